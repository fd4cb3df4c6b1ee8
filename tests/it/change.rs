//! What may change between two starts, what a change costs, and what `retry` asks again.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::corpus;
use crate::model::{ModelServer, Reply, answer, well};
use crate::site::{Site, finish, pipeline, watch};

async fn site(latency: u64) -> (Site, ModelServer) {
    let server = ModelServer::start(Duration::from_millis(latency), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 4);
    site.write("pipeline.toml", pipeline(&server.url, 4));
    (site, server)
}

/// Names of the stages that are `word` by the plan.
async fn stages(site: &Site, file: &str, word: &str) -> BTreeSet<String> {
    let plan = site.run(&["plan", file, "--format", "json"]).await.with(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let stages = plan["stages"].as_array().unwrap().iter().filter(|stage| stage["state"] == word);
    stages.map(|stage| stage["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_run_key_place_limits_and_prices_may_change_and_no_row_is_asked_twice() {
    let (site, server) = site(20).await;
    let mut child = site.start(&["run", "pipeline.toml"]);
    assert!(watch(&mut child, async || server.answers() >= 20).await);
    kill(Pid::from_raw(child.id().unwrap() as i32), Signal::SIGINT).unwrap();
    finish(child).await.with(130);
    let before = server.asked();
    let done = site.number("select count(*) from tasks where state = 'done'").await;
    assert!(done > 0);

    // Another server, with a key, other limits and prices.
    let other = ModelServer::start(Duration::from_millis(1), |question| match question.authorization.as_deref() {
        Some("Bearer another-key-0123456789") => well(question),
        _ => Reply::Status(401, "no key"),
    })
    .await;
    let text = pipeline(&other.url, 9).replace(
        "preflight_completion = false",
        "preflight_completion = false\napi_key_env = \"ANOTHER_KEY\"\nrequests_per_minute = 60000\n\
         tokens_per_minute = 90000000\ntimeout_seconds = 9\nmax_attempts = 2\nprice_input_per_million = 3.0\n\
         price_output_per_million = 4.0\ncontext_tokens = 100000\nbatch = { max_requests = 7 }",
    );
    site.write("pipeline.toml", text);
    assert!(stages(&site, "pipeline.toml", "stale").await.is_empty());
    let mut command = site.command(&["run", "pipeline.toml"]);
    finish(command.env("ANOTHER_KEY", "another-key-0123456789").spawn().unwrap()).await.with(0);
    // The other server was asked for nothing that the first had answered.
    assert!(other.requests() > 0);
    let again =
        other.asked().into_keys().filter(|reference| before.get(reference).is_some_and(|asked| asked.answers > 0));
    assert_eq!(again.count(), 0);
    assert_eq!(site.number("select count(*) from stages where kind in ('describe', 'generate')").await, 3);
    let wanted = 2 * site.number("select count(*) from snippets").await;
    assert_eq!(site.number("select count(*) from pairs").await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_prompt_model_or_sampling_is_stale_in_the_plan_with_what_follows_before_any_call() {
    let (site, server) = site(1).await;
    site.run(&["run", "pipeline.toml"]).await.with(0);
    let text = pipeline(&server.url, 4);
    let requests = server.requests();
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    for (old, new, stale) in [
        ("Describe:", "Explain:", &["describe", "chosen", "rejected", "pairs", "export"][..]),
        ("model = \"weak\"", "model = \"strong\"", &["rejected", "pairs", "export"]),
        ("sampling = { seed = 1 }", "sampling = { seed = 1, temperature = 0.5 }", &["chosen", "pairs", "export"]),
        ("samples = 2", "samples = 3", &["chosen", "pairs", "export"]),
        ("seed = 3", "seed = 4", &["pairs", "export"]),
    ] {
        let changed = text.replacen(old, new, 1);
        assert_ne!(changed, text);
        site.write("changed.toml", changed);
        assert_eq!(stages(&site, "changed.toml", "stale").await, all(stale), "{new}");
        assert_eq!(stages(&site, "changed.toml", "fresh").await.len(), 9 - stale.len(), "{new}");
    }
    assert_eq!(server.requests(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_asks_rows_of_one_class_or_single_rows_again_and_no_others() {
    let (site, server) = site(1).await;
    server.follow(|question| match (question.model.as_str(), question.reference.as_bytes()[0]) {
        ("strong", b'0'..=b'3') => Reply::Cut("```python\ndef cut(".to_owned()),
        ("strong", b'4'..=b'7') => Reply::Text("I would rather talk about the weather.".to_owned()),
        _ => well(question),
    });
    site.run(&["run", "pipeline.toml"]).await.with(1);
    server.follow(well);
    let standing = async |class: &'static str| -> Vec<i64> {
        let query = "select id from rejections where retried_at is null and class = $1 order by id";
        sqlx::query_scalar(query).bind(class).fetch_all(site.pool()).await.unwrap()
    };
    let (cut, prose) = (standing("truncated").await, standing("no_code").await);
    assert!(cut.len() > 2 && prose.len() > 2);

    // One single row.
    let before = server.requests();
    site.run(&["retry", "1", "--rejection", &cut[1].to_string()]).await.with(1);
    assert_eq!(server.requests(), before + 1);
    assert_eq!(standing("truncated").await, [&cut[..1], &cut[2..]].concat());

    // One class.
    site.run(&["retry", "1", "--class", "truncated"]).await.with(1);
    assert_eq!(server.requests(), before + cut.len() as u32);
    assert_eq!((standing("truncated").await, standing("no_code").await), (vec![], prose.clone()));

    // Answers that were no use are in the ledger: retry asks for others all the same.
    site.run(&["retry", "1", "--class", "no_code"]).await.with(0);
    assert_eq!(server.requests(), before + (cut.len() + prose.len()) as u32);
    assert!(standing("no_code").await.is_empty());
    let superseded = site.number("select count(*) from llm_calls where superseded_at is not null").await;
    assert_eq!(superseded, prose.len() as i64);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_is_a_row_with_class_status_latency_message_and_number() {
    let (site, server) = site(1).await;
    server.follow(|question| match question.seen {
        0 if question.model == "describer" => Reply::Status(503, "out for lunch"),
        1 if question.model == "describer" => Reply::Malformed,
        _ => Reply::Text(answer(question)),
    });
    site.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse,describe"]).await.with(0);
    let rows: Vec<(i32, String, Option<i32>, bool, bool, bool)> = sqlx::query_as(
        "select attempt, class, status, coalesce(message, '') <> '', latency_ms > 0, answer is not null
         from llm_calls where input_id = (select min(input_id) from llm_calls) order by attempt",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    let row =
        |attempt, class: &str, status, message, answer| (attempt, class.to_owned(), status, message, true, answer);
    assert_eq!(
        rows,
        [
            row(1, "overloaded", Some(503), true, false),
            row(2, "malformed", Some(200), true, false),
            row(3, "ok", Some(200), false, true),
        ]
    );
    let snippets = site.number("select count(*) from snippets").await;
    assert_eq!(site.number("select count(*) from llm_calls").await, 3 * snippets);
}
