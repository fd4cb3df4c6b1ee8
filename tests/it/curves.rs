//! Curves from one command: points of shares and of checkpoints, a kill in the middle, and the reasoning set.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::site::{Site, watch};
use crate::training::{command, run};

/// Pairs that a few words tell apart.
fn pairs(first: usize, count: usize) -> String {
    (first..first + count).fold(String::new(), |mut text, n| {
        let pair = json!({
            "id": n, "prompt": format!("Write `count_{n}`.\n"),
            "chosen": format!("def count_{n}(orders):\n    return len(orders)\n"),
            "rejected": format!("def count_{n}(orders):\n    raise ValueError({n})\n"),
        });
        writeln!(text, "{pair}").unwrap();
        text
    })
}

const PIPELINE: &str = r#"
[[stages]]
name = "pretrained"
kind = "train"
data = "pairs"
init = { preset = "tiny", vocab = 400 }

[stages.training]
batch_pairs = 4
learning_rate = 3e-3
max_length = 128
geometric_first = 4
geometric_factor = 1.5
export_onnx = false

[[stages]]
name = "shares"
kind = "sample_efficiency"
needs = ["pretrained"]
data = "pairs"
shares = [0.25, 1.0]
seeds = 2
training = { batch_pairs = 4, learning_rate = 3e-3, max_length = 128, objective = "rm" }
computing = { max_length = 128 }

[stages.arms]
pretrained = { model = "pretrained" }
scratch = { init = { preset = "tiny", tokenizer = "pretrained" } }

[[stages]]
name = "growth"
kind = "scaling"
needs = ["pretrained"]
computing = { max_length = 128 }
"#;

async fn site() -> Site {
    let site = Site::new().await;
    site.write("pairs/train.jsonl", pairs(0, 48));
    site.write("pairs/test.jsonl", pairs(1000, 16));
    site.write("pipeline.toml", PIPELINE);
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_goes_on_with_the_points_that_are_missing() {
    let site = site().await;
    let mut child = command(&site, &["run", "pipeline.toml"]).spawn().unwrap();
    let points = "select count(*) from curve_points where metric = 'accuracy'";
    assert!(watch(&mut child, async || site.number(points).await >= 3).await, "it ended before it could be killed");
    child.kill().await.unwrap();
    let before = site.number("select coalesce(max(id), 0) from curve_points").await;
    run(&site, "run pipeline.toml").await.with(0);
    // Two arms, two shares, two seeds; stable checkpoints at 4, 6 and 9 of 12 steps, and the finished model.
    assert_eq!(site.number(points).await, 8 + 4);
    assert!(site.number("select min(id) from curve_points").await <= before, "points from before the kill are kept");
    let seen = "select count(*) from scaling_curve where metric = 'accuracy'
                and (step, pairs) in ((4, 20), (6, 28), (9, 40), (12, 48))";
    let places: Vec<(i64, f64)> =
        sqlx::query_as("select step, pairs from scaling_curve where metric = 'rm_loss' order by step")
            .fetch_all(site.pool())
            .await
            .unwrap();
    assert_eq!(site.number(seen).await, 4, "{places:?}");
    let efficiency = "select count(*) from sample_efficiency where seeds = 2 and metric = 'accuracy' and n = 16
                      and low <= mean and mean <= high and pairs = 48 * share and arm in ('pretrained', 'scratch')";
    assert_eq!(site.number(efficiency).await, 4);
    // Arms are compared on the same items, which are kept with each point.
    let differences = "select count(*) from curve_differences where arm = 'pretrained' and baseline = 'scratch' and n = 16
                       and low <= difference and difference <= high and abs(difference - arm_mean + baseline_mean) < 1e-9
                       and metric in ('accuracy', 'margin', 'rm_loss') and share in (0.25, 1.0)";
    assert_eq!(site.number(differences).await, 6);
    let again = "select count(*) from latest_curve_points p where metric = 'accuracy' and abs(p.value - (
                     select avg(case when rewards[1] > rewards[2] then 1.0 when rewards[1] = rewards[2] then 0.5 else 0.0 end)
                     from evaluation_items i where i.scoring_id = p.scoring_id)) < 1e-9";
    assert_eq!(site.number(again).await, 12, "a point's figure is that of its items");
    let models = std::fs::read_dir(site.path("data/models")).unwrap().flatten().map(|entry| entry.path());
    for folder in models.filter(|path| !path.to_string_lossy().contains("pretrained")) {
        let left: Vec<_> = walk(&folder);
        assert!(left.is_empty(), "models of points are removed: {left:?}");
    }
    // Again does nothing; one more share makes its points alone.
    run(&site, "run pipeline.toml").await.with(0);
    assert_eq!(
        site.number("select count(*) from training_runs where name like 'shares/%' and state = 'done'").await,
        8
    );
    site.write("pipeline.toml", PIPELINE.replace("[0.25, 1.0]", "[0.25, 0.5, 1.0]"));
    run(&site, "run pipeline.toml").await.with(0);
    assert_eq!(
        site.number("select count(*) from training_runs where name like 'shares/%' and state = 'done'").await,
        12
    );
    assert_eq!(site.number(differences).await, 6);
    assert_eq!(site.number("select count(*) from curve_differences where metric = 'accuracy'").await, 3);
}

/// Files below a folder.
fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_curves_are_refused_with_what_is_allowed() {
    let site = site().await;
    run(&site, "validate pipeline.toml").await.with(0);
    let mistakes = [
        ("[0.25, 1.0]", "[]", "name at least one"),
        ("[0.25, 1.0]", "[0.0, 1.0]", "above 0"),
        ("seeds = 2", "seeds = 0", "seeds"),
        ("seeds = 2", "baseline = 'other'", "is no arm; there are pretrained, scratch"),
        ("{ model = \"pretrained\" }", "{}", "one of `model` and `init`"),
        ("data = \"pairs\"\nshares", "shares", "it has no pairs"),
        ("tokenizer = \"pretrained\"", "tokenizer = 3", "string"),
        ("geometric_first = 4\n", "", "geometric_first"),
        ("needs = [\"pretrained\"]\ncomputing", "computing", "exactly one train stage"),
    ];
    for (old, new, says) in mistakes {
        let wrong = PIPELINE.replacen(old, new, 1);
        assert_ne!(wrong, PIPELINE, "{old}");
        site.write("wrong.toml", wrong);
        let ended = run(&site, "validate wrong.toml").await.with(2);
        assert!(ended.stderr.contains(says), "{new}: not {says:?} in {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reasoning_set_is_made_and_trains() {
    let site = Site::new().await;
    let made = "make-benchmark --out pairs --train 24 --test 16 --questions 4 --samples 8 --json";
    let made: Value = serde_json::from_str(&run(&site, made).await.with(0).stdout).unwrap();
    assert!(made["made"]["right"].as_f64().unwrap() > 0.0, "{made}");
    assert_eq!(site.read("pairs/samples.jsonl").lines().count(), 4);
    site.write(
        "pipeline.toml",
        "[[stages]]\nname = 'curve'\nkind = 'sample_efficiency'\ndata = 'pairs/pairs'\nshares = [1.0]\nbest_of_n = 'pairs/samples.jsonl'\n\
         arms = { scratch = { init = { preset = 'tiny', vocab = 400 } } }\ncomputing = { max_length = 256 }\n\
         training = { objective = 'rm', max_length = 256 }\n",
    );
    run(&site, "run pipeline.toml").await.with(0);
    let points = "select count(*) from curve_points where pairs = 24 and (metric = 'accuracy' and n = 16
                  or metric = 'best_of_n@8' and n = 4 and value between low and high)";
    assert_eq!(site.number(points).await, 2);
    let items =
        "select count(*) from curve_points p join evaluation_items i using (scoring_id) where metric = 'best_of_n@8'";
    assert_eq!(site.number(items).await, 4);
}
