//! Pairs that overlap with evaluation sets: found, listed, and kept out of training.

use std::time::Duration;

use serde_json::{Value, json};

use crate::corpus;
use crate::model::{ModelServer, answer, well};
use crate::site::{Site, pipeline};
use crate::training;

/// What the strong model answers to one description, and a benchmark has as well.
const LEAKED: &str = "def moving_average(values, width):\n    window, total = [], 0.0\n    for value in values:\n        \
                      window.append(value)\n        total += value\n        if len(window) > width:\n            \
                      total -= window.pop(0)\n        yield total / len(window)\n";

const STAGES: &str = r#"
[[stages]]
name = "decontaminate"
kind = "decontaminate"
needs = ["pairs"]

[[stages.sets]]
name = "heldout"
path = "bench.jsonl"
fields = ["solution"]

[[stages.sets]]
name = "other"
path = "other.json"

[[stages]]
name = "reward"
kind = "train"
needs = ["pairs", "decontaminate"]
init = { preset = "tiny", vocab = 300 }
training = { objective = "rm", epochs = 1, batch_pairs = 4, max_length = 128, export_onnx = false }
"#;

const SHARES: &str = r#"
[[stages]]
name = "shares"
kind = "sample_efficiency"
needs = ["pairs", "decontaminate"]
arms = { scratch = { init = { preset = "tiny", vocab = 300 } } }
shares = [1.0]
training = { objective = "rm", max_length = 128 }
"#;

fn leaky(question: &crate::model::Question) -> String {
    let first = question.reference.as_bytes()[0];
    if question.model == "strong" && first.is_ascii_digit() {
        format!("```python\n{LEAKED}```")
    } else {
        answer(question)
    }
}

async fn site(server: &ModelServer, extra: &str) -> Site {
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 8);
    site.write("pipeline.toml", pipeline(&server.url, 8) + STAGES + extra);
    let item = |id: &str, text: &str| serde_json::json!({ "task_id": id, "solution": text }).to_string() + "\n";
    let far = "completely different words that no answer and no snippet of this test could ever have in common with it at all";
    site.write("bench.jsonl", item("B/0", far) + &item("B/1", LEAKED));
    site.write("other.json", format!("[{{\"question\": \"{far}\"}}]"));
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn overlapping_pairs_are_listed_and_training_on_them_is_refused_unless_told_otherwise() {
    let server =
        ModelServer::start(Duration::from_millis(1), |question| crate::model::Reply::Text(leaky(question))).await;
    let site = site(&server, SHARES).await;
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    let leaked = "select count(*) from preference_pairs where chosen like '%moving_average%'";
    let (pairs, marked) =
        (site.number(leaked).await, site.number("select count(distinct pair_id) from contamination").await);
    assert!(pairs > 0 && pairs == marked, "{pairs} {marked}");
    let trained = "select count(*) from preference_pairs where chosen like '%moving_average%' and split = 'train'";
    let refused = format!("{} of ", site.number(trained).await);
    assert!(ended.stderr.contains(&refused) && ended.stderr.contains("allow_contaminated = true"), "{ended:?}");
    for stage in ["reward", "shares"] {
        let failed = format!("stage `{stage}` failed: {refused}");
        assert!(ended.stderr.contains(&failed), "{stage}: {ended:?}");
    }
    assert_eq!(site.number("select count(*) from training_runs").await, 0);

    let listed = site.run(&["contamination", "--json"]).await.with(0).stdout;
    let rows: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        rows.iter().all(|row| row["set_name"] == "heldout" && row["item"] == "B/1" && row["text"] == "chosen"),
        "{listed}"
    );
    assert!(rows.iter().any(|row| row["class"] == "near_duplicate") && rows.iter().any(|row| row["class"] == "ngram"));
    let table = site.run(&["contamination", "pipeline.toml"]).await.with(0).stdout;
    assert!(table.contains("B/1") && table.contains("moving_average"), "{table}");

    // Told to leave them out, it trains on the others; told to take them, on all.
    for (setting, left_out) in [("pairs = { clean = true }", true), ("allow_contaminated = true", false)] {
        let text = site.read("pipeline.toml").replace("\ninit = {", &format!("\n{setting}\ninit = {{"));
        site.write("other.toml", text);
        training::run(&site, "run other.toml --select reward").await.with(0);
        let of = "select pairs_train from training_runs order by id desc limit 1";
        let all = "select count(*) from pairs where split = 'train'";
        let expected = site.number(all).await - if left_out { site.number(trained).await } else { 0 };
        assert_eq!(site.number(of).await, expected, "{setting}");
    }

    // A changed set is compared with anew, by the same stage.
    site.write("bench.jsonl", "{\"task_id\":\"C\",\"solution\":\"another text of at least thirteen words that nobody has ever put into any answer\"}\n");
    site.run(&["run", "pipeline.toml", "--select", "decontaminate"]).await.with(0);
    assert_eq!(site.number("select count(*) from contamination").await, 0);
    let none = site.run(&["contamination"]).await.with(0).stdout;
    assert!(none.contains("No pair overlaps"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_read_by_the_adapter_that_measures_on_it_and_files_that_are_not_compared_with_are_told() {
    let server =
        ModelServer::start(Duration::from_millis(1), |question| crate::model::Reply::Text(leaky(question))).await;
    let measuring = r#"
[[stages]]
name = "humaneval"
kind = "evaluate"
needs = ["reward"]
metric = "best_of_n"
data = "./bench.jsonl"

[[stages]]
name = "other-pairs"
kind = "evaluate"
needs = ["reward"]
data = "held-out.jsonl"

[[stages]]
name = "page"
kind = "report"
needs = ["decontaminate"]
out = "page"
"#;
    let site = site(&server, measuring).await;
    let item = json!({ "task_id": "HumanEval/7", "prompt": "def moving_average(values, width):\n", "entry_point": "f",
                       "canonical_solution": LEAKED, "test": "def check(f):\n    assert f" });
    site.write("bench.jsonl", format!("{item}\n"));
    let right = site.read("pipeline.toml").replace("fields = [\"solution\"]", "format = \"humaneval\"");
    site.write("pipeline.toml", &right);
    let warning = "stage `other-pairs` measures on held-out.jsonl, which the pairs of `pairs` are not compared with: add it to \
                   the `sets` of `decontaminate`";
    for command in ["validate", "plan"] {
        let told = site.run(&[command, "pipeline.toml"]).await.with(0).stdout;
        assert!(told.contains(warning) && told.matches("warning: ").count() == 1, "{told}");
    }
    let plan: Value =
        serde_json::from_str(&site.run(&["plan", "pipeline.toml", "--format", "json"]).await.with(0).stdout).unwrap();
    assert_eq!(plan["warnings"], json!([warning]));
    // The training is refused, for pairs overlap.
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    assert!(ended.stderr.contains(warning), "{ended:?}");
    let found = "select count(distinct pair_id) from contamination
                 where set_name = 'heldout' and item = 'HumanEval/7' and field = 'canonical_solution' and text = 'chosen'";
    let leaked = "select count(*) from preference_pairs where chosen like '%moving_average%'";
    let leaked = site.number(leaked).await;
    assert!(leaked > 0 && site.number(found).await == leaked);
    let report: Value = serde_json::from_str(&site.read("page/report.json")).unwrap();
    let uncovered = json!([{ "stage": "other-pairs", "file": "held-out.jsonl", "pairs": "pairs",
                             "compared_by": ["decontaminate"] }]);
    assert_eq!(report["uncovered"], uncovered);
    assert!(site.read("page/report.html").contains("<code>held-out.jsonl</code>, of stage other-pairs"));

    // A set that is not of its format is refused with its place, before anything is compared.
    site.write("wrong.toml", right.replace("\"humaneval\"\n", "\"math\"\n"));
    let ended = site.run(&["run", "wrong.toml", "--select", "decontaminate"]).await.with(1);
    assert!(ended.stderr.contains("bench.jsonl:1: field `solution` is missing"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_that_cannot_be_read_and_training_that_would_not_wait_for_the_marks_are_refused() {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = site(&server, "").await;
    let right = site.read("pipeline.toml");
    let wrong = (right.clone() + SHARES).replace("\"pairs\", \"decontaminate\"]", "\"pairs\"]");
    site.write("wrong.toml", wrong);
    let ended = site.run(&["validate", "wrong.toml"]).await.with(2);
    for stage in ["reward", "shares"] {
        let says =
            format!("stage `{stage}` trains on pairs that `decontaminate` marks: add `decontaminate` to its needs");
        assert!(ended.stderr.contains(&says), "{stage}: {ended:?}");
    }
    for (old, new, says) in [
        (
            "\"solution\"",
            "\"solutionn\"",
            "bench.jsonl:1: field `solutionn` holds no text; fields are: task_id, solution",
        ),
        ("\"bench.jsonl\"", "\"nowhere.jsonl\"", "nowhere.jsonl"),
    ] {
        site.write("wrong.toml", right.replace(old, new));
        let ended = site.run(&["run", "wrong.toml", "--limit", "2"]).await.with(1);
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
    }
    site.run(&["contamination", "99"]).await.with(2);
}
