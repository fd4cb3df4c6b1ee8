//! Measuring from outside: `eval` and `evaluate` stages on benchmarks, what they keep, and what they refuse.

use serde_json::Value;

use crate::site::{Ended, Site, finish};
use crate::training::{command, site};

async fn run(site: &Site, arguments: &[&str]) -> Ended {
    finish(command(site, arguments).spawn().unwrap()).await
}

/// A file of `fixtures/benchmarks`.
fn fixture(name: &str) -> String {
    format!("{}/fixtures/benchmarks/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A reward model of two steps, by seed.
async fn train(site: &Site, out: &str, seed: &str) {
    let arguments =
        ["train", "rm", "--data", "pairs", "--model", "model", "--out", out, "--seed", seed, "--max-steps", "2"];
    let more = ["--batch", "8", "--lr", "3e-3", "--max-length", "128", "--held-out", "0", "--set", "export_onnx=false"];
    run(site, &[&arguments[..], &more[..]].concat()).await.with(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn best_of_n_is_measured_kept_by_item_and_printed_with_votes_and_chance() {
    let site = site().await;
    train(&site, "trained", "0").await;
    let data = fixture("samples.jsonl");
    let found = run(&site, &["eval", "best-of-n", "--model", "trained", "--data", &data, "--json"]).await.with(0);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    let figures = found["figures"].as_array().unwrap();
    let value = |metric: &str| {
        let figure =
            figures.iter().find(|figure| figure["metric"] == metric).unwrap_or_else(|| panic!("{metric}: {found}"));
        figure["value"].as_f64().unwrap()
    };
    assert_eq!(figures.len(), 15, "{found}");
    for chooser in ["best_of_n", "majority", "weighted_vote", "oracle", "random"] {
        assert!((value(&format!("{chooser}@1")) - value("random@1")).abs() < 1e-9, "{chooser}: {found}");
    }
    assert!((value("oracle@4") - 1.0).abs() < 1e-9, "{found}");
    assert_eq!(figures[0]["details"]["unreadable_answers"], 2, "{found}");
    let kept = "select count(*) from evaluations e join scorings s on s.id = e.scoring_id
                where s.metric = 'best_of_n' and s.items = 3 and s.scored = 12 and e.n = 3";
    assert_eq!(site.number(kept).await, 15);
    let items = "select count(*) from evaluation_items where array_length(rewards, 1) = 4 and gold is not null";
    assert_eq!(site.number(items).await, 3);
    // The oracle's figure can be had from rows alone.
    let right = "select sum(case when true = any (correct) then 1 else 0 end) from evaluation_items";
    assert_eq!(site.number(right).await, 3);
}

/// The figures of an `eval ... --json`.
fn figures(ended: &Ended) -> Vec<(String, f64)> {
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    let figures = found["figures"].as_array().unwrap().iter();
    figures.map(|figure| (figure["metric"].as_str().unwrap().to_owned(), figure["value"].as_f64().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn published_formats_are_measured_and_two_models_compared_without_scoring_again() {
    let site = site().await;
    train(&site, "one", "0").await;
    train(&site, "two", "5").await;
    let eval = async |command: &str, data: &str| {
        run(&site, &["eval", command, "--model", "one", "--data", &fixture(data), "--json"]).await.with(0)
    };
    let names = |ended: &Ended| figures(ended).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(&eval("choice", "reclor.json").await), ["choice"]);
    assert_eq!(names(&eval("choice", "logiqa2.txt").await), ["choice"]);
    assert_eq!(names(&eval("accuracy", "reclor.json").await), ["accuracy"]);
    let shepherd = eval("accuracy", "math-shepherd.jsonl").await;
    assert_eq!(names(&shepherd), ["accuracy"]);
    assert!(shepherd.stdout.contains("no right solution to compare with"), "{shepherd:?}");
    let ranked = eval("accuracy", "reward-bench-2.jsonl").await;
    let subsets = ["reward_bench_2", "reward_bench_2/Factuality", "reward_bench_2/Math", "reward_bench_2/Ties"];
    assert_eq!(names(&ranked), subsets);

    let scorings = site.number("select count(*) from scorings").await;
    let data = fixture("reclor.json");
    let compare =
        ["eval", "compare", "--model", "one", "--model", "two", "--metric", "choice", "--data", &data, "--json"];
    let compared = run(&site, &compare).await.with(0);
    let compared: Value = serde_json::from_str(&compared.stdout).unwrap();
    let found = &compared["compared"][0];
    let gap = found["first"].as_f64().unwrap() - found["second"].as_f64().unwrap();
    assert!((found["difference"]["value"].as_f64().unwrap() - gap).abs() < 1e-9, "{compared}");
    assert_eq!(site.number("select count(*) from scorings").await, scorings + 1, "the first model was scored before");
    run(&site, &compare).await.with(0);
    assert_eq!(site.number("select count(*) from scorings").await, scorings + 1, "nothing is scored twice");
    let alone = run(&site, &["eval", "compare", "--model", "one", "--data", &data]).await.with(2);
    assert!(alone.stderr.contains("compare takes two"), "{alone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_judged_in_the_sandbox_or_not_at_all() {
    let site = site().await;
    train(&site, "one", "0").await;
    let (data, samples) = (fixture("humaneval.jsonl.gz"), fixture("humaneval-samples.jsonl"));
    let arguments = ["eval", "best-of-n", "--model", "one", "--data", &data, "--samples", &samples, "--json"];
    let ended = run(&site, &arguments).await;
    if codepmp::sandbox::Sandbox::find().await.is_err() {
        assert!(ended.code == Some(2) && ended.stderr.contains("run in a sandbox only"), "{ended:?}");
        return;
    }
    let found = figures(&ended.with(0));
    let value = |metric: &str| found.iter().find(|(name, _)| name == metric).map(|(_, value)| *value).unwrap();
    assert!((value("random@1") - 0.5).abs() < 1e-9 && (value("oracle@4") - 1.0).abs() < 1e-9, "{found:?}");
    assert!(found.iter().all(|(name, _)| !name.starts_with("majority")), "programs do not vote: {found:?}");
    let kept = "select count(*) from evaluation_items where correct = '{true,false,true,false}' and answers is null";
    assert_eq!(site.number(kept).await, 1);
}

const PIPELINE: &str = r#"
[[stages]]
name = "model"
kind = "train"
data = "pairs"
init = { preset = "tiny", vocab = 400 }
seeds = 2
training = { objective = "rm", max_steps = 2, batch_pairs = 8, learning_rate = 3e-3, max_length = 128, export_onnx = false }

[[stages]]
name = "longer"
kind = "train"
data = "pairs"
init = { preset = "tiny", vocab = 400 }
training = { objective = "rm", max_steps = 4, batch_pairs = 8, learning_rate = 3e-3, max_length = 128, export_onnx = false }

[[stages]]
name = "best"
kind = "evaluate"
needs = ["model", "longer"]
metric = "best_of_n"
data = "samples.jsonl"
baseline = "longer"
benchmark = { template = "Question: {{ prompt }}\nAnswer: " }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_measures_a_benchmark_once_over_seeds_and_beside_a_baseline() {
    let site = site().await;
    site.write("samples.jsonl", std::fs::read(fixture("samples.jsonl")).unwrap());
    site.write("pipeline.toml", PIPELINE);
    let first = run(&site, &["run", "pipeline.toml"]).await.with(0);
    assert!(first.stdout.contains("best_of_n@4") && first.stdout.contains("mean_best_of_n@4"), "{first:?}");
    // Three models of 15 figures; means over seeds and differences at the three sizes.
    let counts = "select 1000 * (select count(*) from scorings where stage_id is not null) + count(*) from evaluations
                  where stage_id is not null";
    assert_eq!(site.number(counts).await, 3000 + 3 * 15 + 3 + 3);
    let together = "select count(*) from evaluations where model = 'model' and training_run_id is null
                    and (metric = 'mean_best_of_n@4' and details ->> 'seeds' = '2'
                         or metric = 'best_of_n@2_difference' and details ->> 'baseline' = 'longer')";
    assert_eq!(site.number(together).await, 2);
    run(&site, &["run", "pipeline.toml"]).await.with(0);
    assert_eq!(site.number(counts).await, 3000 + 3 * 15 + 3 + 3);
    let plan = run(&site, &["plan", "pipeline.toml", "--format", "json"]).await.with(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert!(plan["stages"].as_array().unwrap().iter().all(|stage| stage["state"] == "fresh"), "{plan}");
    let mistakes = [
        ("baseline = \"longer\"", "baseline = \"nobody\"", "`nobody` is not among the needs"),
        ("data = \"samples.jsonl\"", "samples = \"samples.jsonl\"", "best_of_n is measured on a file"),
        ("metric = \"best_of_n\"", "metric = \"choice\"\nsamples = \"x\"", "choice takes no samples"),
        ("{{ prompt }}", "{{ question }}", "unknown variable `question`"),
        ("metric = \"best_of_n\"", "metric = \"best\"", "unknown variant `best`"),
    ];
    for (old, new, says) in mistakes {
        site.write("wrong.toml", PIPELINE.replacen(old, new, 1));
        let ended = run(&site, &["validate", "wrong.toml"]).await.with(2);
        assert!(ended.stderr.contains(says), "{new}: not {says:?} in {}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_measured_is_refused_with_its_reason() {
    let site = site().await;
    site.write("broken.jsonl", "{\"prompt\": \"p\", \"samples\": [\"a\", 5], \"answer\": \"1\"}\n");
    site.write("bare.jsonl", "{\"question\": \"1 + 1?\", \"answer\": \"2 #### 2\"}\n");
    site.write("odd.jsonl", "{\"left\": 1, \"right\": 2}\n");
    let cases = [
        (vec!["--data", "broken.jsonl"], "broken.jsonl:1: field `samples[1]` is a number, but must be a text"),
        (vec!["--data", "bare.jsonl"], "they have no samples: name a file of them"),
        (vec!["--data", "odd.jsonl"], "fields left, right are of no format known"),
        (vec!["--data", "pairs/test.jsonl"], "questions with samples are wanted"),
        (vec!["--data", "nowhere.jsonl"], "nowhere.jsonl"),
        (vec!["--data", "bare.jsonl", "--format", "gsm9k"], "there is no format `gsm9k`; formats are: pairs"),
        (vec!["--data", "bare.jsonl", "--template", "{{ question }}"], "unknown variable `question`; allowed: prompt"),
    ];
    for (arguments, says) in cases {
        let arguments: Vec<&str> = ["eval", "best-of-n", "--model", "model"].into_iter().chain(arguments).collect();
        let ended = run(&site, &arguments).await.with(2);
        assert!(ended.stderr.contains(says), "{arguments:?}: not {says:?} in {}", ended.stderr);
    }
    assert_eq!(site.number("select count(*) from scorings").await, 0);
}
