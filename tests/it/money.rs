//! Caps: what they count, that they are never exceeded, and that they stop a run in order.

use std::time::Duration;

use serde_json::Value;

use crate::corpus;
use crate::model::{ModelServer, Reply, answer, well};
use crate::site::{Site, finish, pipeline};

/// A pipeline whose answers are bounded, at a dollar for a million prompt tokens and two for a million of answers.
fn priced(url: &str, concurrency: u32) -> String {
    let prices = "price_input_per_million = 1.0\nprice_output_per_million = 2.0\n";
    let text = pipeline(url, concurrency).replace("preflight_completion", &format!("{prices}preflight_completion"));
    let text = text.replace("sampling = { seed = 1 }", "sampling = { seed = 1, max_tokens = 100 }");
    text.replace("endpoint = \"describer\"", "endpoint = \"describer\"\nsampling = { max_tokens = 100 }")
}

async fn site(latency: u64, concurrency: u32) -> (Site, ModelServer) {
    let server = ModelServer::start(Duration::from_millis(latency), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 6);
    site.write("pipeline.toml", priced(&server.url, concurrency));
    (site, server)
}

const SPENT: &str = "select coalesce(sum(cost_microdollars), 0)::bigint from llm_calls";
const TOKENS: &str = "select coalesce(sum(prompt_tokens + completion_tokens), 0)::bigint from llm_calls";

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_on_money_stops_the_run_in_order_below_the_cap_and_a_higher_one_goes_on() {
    let (site, server) = site(5, 8).await;
    let ended = site.run(&["run", "pipeline.toml", "--max-cost", "0.004"]).await.with(1);
    let spent = site.number(SPENT).await;
    assert!(spent <= 4000, "{spent}");
    // The next call of at most 100 tokens of answer and some hundred bytes of prompt did not fit; no more is left over.
    assert!(spent > 4000 - 900, "{spent}");
    for words in ["the cap is reached", "0.0040 dollars", "left to do", "describe", "higher cap"] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    // What was answered is committed, nothing is rejected for it, nothing is held back.
    assert_eq!(site.number("select count(*) from llm_calls where class = 'ok'").await, i64::from(server.answers()));
    let rejected = "select count(*) from rejections j join stages s on s.id = j.stage_id where s.kind = 'describe'";
    assert_eq!(site.number(rejected).await, 0);
    assert_eq!(site.number("select count(*) from tasks where state = 'leased'").await, 0);
    assert_eq!(site.number("select count(*) from reservations").await, 0);
    assert_eq!(site.number("select sum(cost_microdollars)::bigint from spending").await, spent);

    // What was spent before counts: the same again has what was left over, less than 900, which a shorter prompt may fit into.
    site.run(&["run", "pipeline.toml", "--max-cost", "0.004"]).await.with(1);
    let together = site.number(SPENT).await;
    assert!((spent..=4000).contains(&together), "{spent} and {together}");
    assert!(server.asked().values().all(|asked| asked.answers == 1));

    site.run(&["run", "pipeline.toml", "--max-cost", "10", "--max-tokens", "10000000"]).await.with(0);
    assert!(server.asked().values().all(|asked| asked.answers == 1));
    let status: Value = serde_json::from_str(&site.run(&["status", "--json"]).await.with(0).stdout).unwrap();
    let told: Vec<_> = (status["spent"].as_array().unwrap().iter())
        .map(|row| (row["stage"].as_str().unwrap(), row["model"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("describe", "describer"), ("chosen", "strong"), ("rejected", "weak")]);
    let sum: i64 =
        status["spent"].as_array().unwrap().iter().map(|row| row["cost_microdollars"].as_i64().unwrap()).sum();
    assert_eq!(sum, site.number(SPENT).await);
    assert!(site.run(&["status"]).await.with(0).stdout.contains("Spent so far"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_on_tokens_holds_for_all_processes_together() {
    let (site, server) = site(10, 6).await;
    let arguments = ["run", "pipeline.toml", "--max-tokens", "6000"];
    let (one, two, three) = (site.start(&arguments), site.start(&arguments), site.start(&arguments));
    let (one, two, three) = tokio::join!(finish(one), finish(two), finish(three));
    for ended in [one, two, three] {
        assert!(ended.with(1).stderr.contains("of 6000 tokens"));
    }
    let used = site.number(TOKENS).await;
    assert!((5000..=6000).contains(&used), "{used}");
    assert_eq!(site.number("select count(*) from llm_calls where class = 'ok'").await, i64::from(server.answers()));
    assert!(server.asked().values().all(|asked| asked.answers == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_joins_without_a_cap_is_held_to_that_of_the_run_beside_it() {
    let (site, server) = site(40, 4).await;
    let mut first = site.start(&["run", "pipeline.toml", "--max-tokens", "6000"]);
    assert!(crate::site::watch(&mut first, async || server.answers() >= 3).await);
    let second = site.start(&["run", "pipeline.toml"]);
    let (first, second) = tokio::join!(finish(first), finish(second));
    first.with(1);
    assert!(second.with(1).stderr.contains("held to the cap"));
    let used = site.number(TOKENS).await;
    assert!((4000..=6000).contains(&used), "{used}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_no_use_count_and_their_text_is_kept() {
    let (site, server) = site(1, 4).await;
    server.follow(|question| match question.model.as_str() {
        "describer" => Reply::Cut("Write the fun".to_owned()),
        _ => well(question),
    });
    site.run(&["run", "pipeline.toml", "--max-cost", "0.002"]).await.with(1);
    let spent = site.number(SPENT).await;
    assert!((1000..=2000).contains(&spent), "{spent}");
    let kept = "select count(*) from llm_calls where class = 'truncated' and answer = 'Write the fun'";
    assert_eq!(site.number(kept).await, i64::from(server.answers()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_on_money_needs_prices_and_a_cap_of_nothing_asks_nothing() {
    let (site, server) = site(1, 4).await;
    site.write("free.toml", pipeline(&server.url, 4));
    let ended = site.run(&["run", "free.toml", "--max-cost", "1"]).await.with(2);
    assert!(ended.stderr.contains("price_input_per_million"), "{ended:?}");
    site.run(&["run", "pipeline.toml", "--max-cost", "-1"]).await.with(2);
    site.run(&["run", "pipeline.toml", "--max-cost", "much"]).await.with(2);
    let ended = site.run(&["run", "pipeline.toml", "--max-tokens", "0", "--json"]).await.with(1);
    assert_eq!(server.requests(), 0);
    let summary: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(summary["cap"]["caps"]["tokens"], 0);
    assert_eq!(summary["cap"]["left"][0][0], "describe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_run_leaves_no_reservation_that_counts() {
    let (site, server) = site(1, 4).await;
    server.follow(|question| Reply::Late(Duration::from_secs(60), answer(question)));
    let mut child = site.start(&["run", "pipeline.toml", "--max-cost", "0.004"]);
    assert!(crate::site::watch(&mut child, async || server.requests() >= 4).await);
    child.kill().await.unwrap();
    assert!(site.number("select count(*) from reservations where cost_microdollars > 0").await > 0);
    server.follow(well);
    site.run(&["run", "pipeline.toml", "--max-cost", "0.004"]).await.with(1);
    assert!(site.number(SPENT).await > 3000);
}
