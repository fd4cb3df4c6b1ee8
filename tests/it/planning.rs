//! `validate`, `plan` and `schema`: what is told about a pipeline file before anything happens.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::corpus;
use crate::model::{ModelServer, well};
use crate::site::{Site, pipeline};

/// `line:column` of the first place of `needle`.
fn place(text: &str, needle: &str) -> String {
    let before = &text[..text.find(needle).expect(needle)];
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
    format!("{}:{column}", before.matches('\n').count() + 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_a_file_are_refused_with_their_place_and_what_is_allowed() {
    let site = Site::new().await;
    let right = pipeline("http://127.0.0.1:1/v1", 4);
    site.write("right.toml", &right);
    site.run(&["validate", "right.toml"]).await.with(0);
    // What to replace, with what, where the mistake is, and what the message says.
    let mistakes = [
        ("needs = [\"ingest\"]", "needs = [\"parse\"]", "\"filter\"]", "filter -> parse -> dedupe -> filter"),
        ("needs = [\"ingest\"]", "needs = [\"ingestt\"]", "\"ingestt\"", "stages are: ingest, dedupe"),
        ("needs = [\"ingest\"]", "needs = [\"pairs\"]", "\"filter\"]", "circle"),
        ("bytes_max =", "bytes_maxx =", "bytes_maxx", "bytes_max"),
        ("bytes_max = 100000", "bytes_max = \"many\"", "\"many\"", "expected u64"),
        ("{{ code }}", "{{ cod }}", "cod }}", "unknown variable `cod`; allowed: code, name"),
        ("{{ code }}", "{{ code | uper }}", "uper", "unknown filter"),
        ("Do: {{ description }}", "Do:\\n{{ descriptio }}", "descriptio }}", "unknown variable `descriptio`"),
        ("endpoint = \"weak\"", "endpoint = \"week\"", "\"week\"", "endpoints are: describer, strong, weak"),
        ("kind = \"pair\"", "kind = \"pear\"", "\"pear\"", "kinds are: ingest, filter"),
        ("test_share = 0.5", "test_share = 3.0", "3.0", "between 0 and 1"),
        ("seed = 3", "seed = -3", "-3", "whole number"),
        ("model = \"weak\"", "modell = \"weak\"", "modell", "model"),
        ("name = \"test\"", "name = = 1", "= 1", ""),
        ("model = \"weak\"", "model = \"weak\"\nbase_urls = [\"http://h\"]", "[\"http://h\"]", "along with `base_url`"),
        ("model = \"weak\"", "model = \"weak\"\nstall_seconds = 0", "0\nconcurrency", "between 1 and 86400"),
        (
            "preflight_completion = false\n\n[endpoints.weak]\n",
            "account = \"a\"\nrequests_per_minute = 5\n[endpoints.weak]\naccount = \"a\"\nrequests_per_minute = 7\n",
            "7\nbase_url",
            "`requests_per_minute` is 7, but 5 for endpoint `strong`",
        ),
        (
            "endpoint = \"weak\"",
            "endpoint = \"weak\"\non_failure.slow.retry = 2",
            "slow",
            "expected one of `throttled`",
        ),
        (
            "endpoint = \"weak\"",
            "endpoint = \"weak\"\non_failure.empty.split = 2",
            "split",
            "expected `retry` or `then`",
        ),
        (
            "endpoint = \"weak\"",
            "endpoint = \"weak\"\non_failure.empty.then = \"weep\"",
            "\"weep\"",
            "expected `reject` or `stop`",
        ),
        (
            "endpoint = \"weak\"",
            "endpoint = \"weak\"\non_failure = { truncated = { split = 1 } }",
            "{ truncated",
            "2 to 20",
        ),
    ];
    for (old, new, at, says) in mistakes {
        let wrong = right.replacen(old, new, 1);
        assert_ne!(wrong, right, "{old}");
        site.write("wrong.toml", &wrong);
        for command in [&["validate", "wrong.toml"][..], &["plan", "wrong.toml"], &["run", "wrong.toml"]] {
            let ended = site.run(command).await.with(2);
            let expected = format!("wrong.toml:{}:", place(&wrong, at));
            assert!(ended.stderr.contains(&expected), "{new}: not {expected} in {}", ended.stderr);
            assert!(ended.stderr.contains(says), "{new}: not {says:?} in {}", ended.stderr);
        }
    }
    let ended = site.run(&["validate", "nowhere.toml"]).await.with(2);
    assert!(ended.stderr.contains("nowhere.toml"), "{ended:?}");
    site.run(&["validate"]).await.with(2);
    site.run(&["ran", "right.toml"]).await.with(2);
}

/// Words of `plan --format json` by stage.
async fn words(site: &Site, file: &str) -> BTreeMap<String, String> {
    let ended = site.run(&["plan", file, "--format", "json"]).await.with(0);
    let plan: Value = serde_json::from_str(&ended.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    plan["stages"].as_array().unwrap().iter().map(|stage| (text(&stage["name"]), text(&stage["state"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_setting_makes_its_stage_and_what_follows_stale_and_nothing_else() {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 3);
    let text = pipeline(&server.url, 8);
    site.write("pipeline.toml", &text);
    assert!(words(&site, "pipeline.toml").await.values().all(|word| word == "missing"));
    site.run(&["run", "pipeline.toml"]).await.with(0);
    assert!(words(&site, "pipeline.toml").await.values().all(|word| word == "fresh"));

    let changes = [
        // Another prompt for the strong model; elsewhere, harder or under another name is no change.
        (
            "endpoint = \"strong\"\nsamples = 2\nsampling = { seed = 1 }\nprompt.user = \"{{ description }}\"",
            "endpoint = \"strong\"\nsamples = 2\nsampling = { seed = 1 }\nprompt.user = \"Now: {{ description }}\"",
            &["chosen", "export", "pairs"][..],
        ),
        (
            "bytes_max = 100000",
            "bytes_max = 90000",
            &["chosen", "dedupe", "describe", "export", "filter", "pairs", "parse", "rejected"],
        ),
        ("test_share = 0.5", "test_share = 0.4", &["export", "pairs"]),
        ("concurrency = 8", "concurrency = 9\ntimeout_seconds = 7", &[]),
        (
            "concurrency = 8",
            "stream = true\naccount = \"a\"\noutput_tokens_per_minute = 99999\naccount_concurrency = 3\ntoken_booking = \"most\"",
            &[],
        ),
        ("base_url = \"http:", "base_urls = [\"http://localhost:1/v1\", \"http://localhost:2/v1\"] #", &[]),
        // What is done about failures decides no answer; that a cut one is completed does.
        ("endpoint = \"weak\"", "endpoint = \"weak\"\non_failure.overloaded = { retry = 9, then = \"stop\" }", &[]),
        (
            "endpoint = \"weak\"",
            "endpoint = \"weak\"\non_failure.truncated.split = 3",
            &["export", "pairs", "rejected"],
        ),
    ];
    for (old, new, expected) in changes {
        let changed = text.replacen(old, new, 1);
        assert_ne!(changed, text);
        site.write("changed.toml", changed);
        let words = words(&site, "changed.toml").await;
        let stale: Vec<&str> =
            words.iter().filter(|(_, word)| *word == "stale").map(|(stage, _)| stage.as_str()).collect();
        assert_eq!(stale, expected, "{new}");
        let fresh = words.values().filter(|word| *word == "fresh").count();
        assert_eq!(fresh + stale.len(), 9, "{words:?}");
    }

    // Only what the change touches is asked.
    let before = server.asked();
    site.write("pipeline.toml", text.replacen(changes[0].0, changes[0].1, 1));
    site.run(&["run", "pipeline.toml"]).await.with(0);
    let new: Vec<_> = server.asked().into_iter().filter(|(reference, _)| !before.contains_key(reference)).collect();
    assert!(!new.is_empty() && new.iter().all(|(_, asked)| asked.model == "strong"), "{new:?}");
    assert!(before.iter().all(|(reference, asked)| server.asked()[reference] == *asked));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_drawn_in_every_format_whatever_the_order_of_the_file() {
    let site = Site::new().await;
    let text = pipeline("http://127.0.0.1:1/v1", 4);
    // Stages in reverse.
    let (head, stages) = text.split_at(text.find("[[stages]]\nname").unwrap());
    let mut parts: Vec<&str> = stages.split("[[stages]]\nname").filter(|part| !part.is_empty()).collect();
    parts.reverse();
    let reversed = format!("{head}[[stages]]\nname{}", parts.join("\n[[stages]]\nname"));
    site.write("pipeline.toml", reversed);
    let table = site.run(&["plan", "pipeline.toml"]).await.with(0).stdout;
    let order: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let at = |name: &str| order.iter().position(|stage| *stage == name).expect(name);
    for (first, then) in [("ingest", "filter"), ("parse", "describe"), ("describe", "chosen"), ("pairs", "export")] {
        assert!(at(first) < at(then), "{table}");
    }
    let dot = site.run(&["plan", "pipeline.toml", "--format", "dot"]).await.with(0).stdout;
    assert!(dot.starts_with("digraph") && dot.contains("\"chosen\" -> \"pairs\""), "{dot}");
    let mermaid = site.run(&["plan", "pipeline.toml", "--format", "mermaid"]).await.with(0).stdout;
    assert!(mermaid.starts_with("flowchart") && mermaid.contains("-->"), "{mermaid}");
}

/// Paths of the pipelines that come with the program.
fn shipped() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "toml")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pipelines_that_come_with_the_program_are_right_and_the_schema_knows_all_their_settings() {
    let site = Site::new().await;
    let schema: Value = serde_json::from_str(&site.run(&["schema"]).await.with(0).stdout).unwrap();
    let kinds = schema["properties"]["stages"]["items"]["oneOf"].as_array().unwrap();
    let files = shipped();
    assert!(files.len() >= 3);
    for file in files {
        site.run(&["validate", file.to_str().unwrap()]).await.with(0);
        let text = std::fs::read_to_string(&file).unwrap();
        let pipeline: toml::Table = text.parse().unwrap();
        for (key, value) in &pipeline {
            let known = &schema["properties"][key];
            assert!(known.is_object(), "{}: {key}", file.display());
            for (name, section) in value.as_table().into_iter().flatten() {
                for setting in section.as_table().unwrap().keys() {
                    let known = &known["additionalProperties"]["properties"][setting];
                    assert!(known.is_object(), "{}: {key}.{name}.{setting}", file.display());
                }
            }
        }
        for stage in pipeline["stages"].as_array().unwrap() {
            let stage = stage.as_table().unwrap();
            let is_kind = |kind: &&Value| kind["properties"]["kind"]["const"] == stage["kind"].as_str().unwrap();
            let kind = kinds.iter().find(is_kind).unwrap();
            for setting in stage.keys() {
                assert!(kind["properties"][setting].is_object(), "{}: {setting}", file.display());
            }
            for required in kind["required"].as_array().unwrap() {
                assert!(stage.contains_key(required.as_str().unwrap()), "{}: {required}", file.display());
            }
        }
    }
}
