//! What is told before the first call: what a run will cost, whether its endpoints work, whether its prompts fit.

use std::time::Duration;

use serde_json::Value;

use crate::corpus;
use crate::model::{ModelServer, Question, Reply, answer, well};
use crate::site::{Site, pipeline};

/// [`pipeline`] at a dollar for a million prompt tokens and two for a million of answers, 60 requests a minute.
fn priced(url: &str) -> String {
    let settings = "price_input_per_million = 1.0\nprice_output_per_million = 2.0\nrequests_per_minute = 6000\n";
    pipeline(url, 8).replace("preflight_completion", &format!("{settings}preflight_completion"))
}

async fn site() -> (Site, ModelServer) {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 4);
    site.write("pipeline.toml", priced(&server.url));
    (site, server)
}

async fn plan(site: &Site, file: &str) -> Value {
    serde_json::from_str(&site.run(&["plan", file, "--format", "json"]).await.with(0).stdout).unwrap()
}

fn estimate<'p>(plan: &'p Value, stage: &str) -> &'p Value {
    let stages = plan["stages"].as_array().unwrap();
    &stages.iter().find(|row| row["name"] == stage).unwrap()["estimate"]
}

/// Whether `estimated` is within a third of `real`.
fn is_near(estimated: &Value, real: i64) -> bool {
    let estimated = estimated.as_i64().unwrap();
    (estimated - real).abs() * 3 <= real
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_calls_tokens_and_cost_from_real_rows_and_says_by_what() {
    let (site, server) = site().await;
    // Nothing is known of rows yet.
    let before = plan(&site, "pipeline.toml").await;
    assert_eq!(estimate(&before, "describe")["calls"], Value::Null);
    assert_eq!(before["estimate"]["at_least"], true);
    assert_eq!(estimate(&before, "pairs"), &Value::Null);

    site.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse"]).await.with(0);
    let snippets = site.number("select count(*) from snippets").await;
    let before = plan(&site, "pipeline.toml").await;
    let describe = estimate(&before, "describe");
    assert_eq!(
        (&describe["calls"], &describe["prompts"], &describe["answers"]),
        (&snippets.into(), &"rows".into(), &"bound".into())
    );
    assert_eq!(describe["answer_tokens"], snippets * 1024);
    // No description is there: a stand-in of the expected length takes its place.
    let chosen = estimate(&before, "chosen");
    assert_eq!((&chosen["calls"], &chosen["prompts"]), (&(2 * snippets).into(), &"stand_in".into()));
    assert!(
        (1024 * 2 * snippets..1124 * 2 * snippets).contains(&chosen["prompt_tokens"].as_i64().unwrap()),
        "{chosen}"
    );
    assert_eq!(before["estimate"]["calls"], 5 * snippets);
    assert_eq!(before["estimate"]["at_least"], false);
    let text = site.run(&["plan", "pipeline.toml"]).await.with(0).stdout;
    for words in ["Still to be asked", "dollars", "prompts by", "stand-in", "as long as they may be", "in all"] {
        assert!(text.contains(words), "{words}: {text}");
    }

    // By some answers of the stage itself, the rest is told well.
    site.run(&["run", "pipeline.toml", "--select", "describe", "--limit", "15"]).await.with(0);
    let before = plan(&site, "pipeline.toml").await;
    let describe = estimate(&before, "describe").clone();
    assert_eq!((&describe["calls"], &describe["answers"]), (&(snippets - 15).into(), &"stage".into()));
    assert_eq!(describe["measured_calls"], 15);
    // At 6,000 a minute a call takes a hundredth of a second, unless answers take longer.
    assert!(describe["seconds"].as_f64().unwrap() >= (snippets - 15) as f64 / 100.0 - 0.001);
    let spent = "select coalesce(sum(prompt_tokens), 0)::bigint from llm_calls";
    let (tokens_before, cost_before) = (site.number(spent).await, site.number(COST).await);
    site.run(&["run", "pipeline.toml", "--select", "describe"]).await.with(0);
    // The server counts four bytes a token, the estimate 3.5 and the messages' frame.
    assert!(is_near(&describe["prompt_tokens"], site.number(spent).await - tokens_before), "{describe}");
    assert!(is_near(&describe["microdollars"], site.number(COST).await - cost_before), "{describe}");

    site.run(&["run", "pipeline.toml"]).await.with(0);
    let after = plan(&site, "pipeline.toml").await;
    assert_eq!((&after["estimate"]["calls"], &after["estimate"]["microdollars"]), (&0.into(), &0.into()));
    assert!(server.requests() > 0);
}

const COST: &str = "select coalesce(sum(cost_microdollars), 0)::bigint from llm_calls";

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_the_ledger_has_cost_nothing_in_the_plan_and_in_another_pipeline() {
    let (site, server) = site().await;
    site.run(&["run", "pipeline.toml"]).await.with(0);
    let (asked, paid) = (server.requests(), site.number(COST).await);
    // The same snippets by other stages: everything is stale, and all requests are the same.
    let other = priced(&server.url).replace("bytes_max = 100000", "bytes_max = 90000").replace("\"test\"", "\"other\"");
    site.write("other.toml", other);
    site.run(&["run", "other.toml", "--select", "ingest,filter,dedupe,parse"]).await.with(0);
    let before = plan(&site, "other.toml").await;
    let describe = estimate(&before, "describe");
    assert_eq!((&describe["calls"], &describe["microdollars"]), (&0.into(), &0.into()), "{describe}");
    assert_eq!(describe["from_ledger"], site.number("select count(*) / 2 from snippets").await);
    site.run(&["run", "other.toml"]).await.with(0);
    assert_eq!((server.requests(), site.number(COST).await), (asked, paid));
    assert_eq!(site.number("select count(distinct stage_id) from pairs").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_asks_for_one_token_and_a_restart_within_a_day_does_not() {
    let (site, server) = site().await;
    site.write("pipeline.toml", priced(&server.url).replace("preflight_completion = false\n", ""));
    let ended = site.run(&["run", "pipeline.toml", "--dry-run"]).await.with(0);
    assert_eq!(server.requests(), 3);
    for words in ["strong answers", "context of 4,096 tokens", "tells the tokens used", "Still to be asked"] {
        assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
    }
    assert_eq!(site.number("select count(*) from preflights where class = 'ok' and usage_reported").await, 3);
    assert!(site.number("select sum(cost_microdollars)::bigint from preflights").await > 0);
    site.run(&["run", "pipeline.toml", "--dry-run"]).await.with(0);
    assert_eq!(server.requests(), 3);
    site.run(&["run", "pipeline.toml"]).await.with(0);
    let calls = site.number("select count(*) from llm_calls").await;
    assert_eq!(i64::from(server.requests()), 3 + calls);
    let json = site.run(&["run", "pipeline.toml", "--dry-run", "--json"]).await.with(0).stdout;
    let checked: Value = serde_json::from_str(json.trim()).unwrap();
    assert_eq!(checked["checked"]["endpoints"][0]["asked"], false);
    assert_eq!(checked["checked"]["endpoints"][0]["context_tokens"], 4096);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_refuses_to_answer_stops_the_run_before_anything_is_read() {
    let (site, server) = site().await;
    site.write("pipeline.toml", priced(&server.url).replace("preflight_completion = false\n", ""));
    server.follow(|question: &Question| match question.model.as_str() {
        "weak" => Reply::Status(403, "this key may list models but not ask them"),
        _ => Reply::Cut(answer(question)),
    });
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    assert!(ended.stderr.contains("endpoint `weak`") && ended.stderr.contains("may list models"), "{ended:?}");
    assert_eq!(site.number("select count(*) from documents").await, 0);
    // The two that work are remembered, the one that does not is asked again.
    assert_eq!(server.requests(), 3);
    server.follow(well);
    site.run(&["run", "pipeline.toml", "--dry-run"]).await.with(0);
    assert_eq!(server.requests(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn prompts_that_cannot_be_rendered_or_do_not_fit_are_told_before_the_first_call() {
    let (site, server) = site().await;
    site.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse"]).await.with(0);
    let text = priced(&server.url);
    let prompt = "\"Describe:\\n{{ code }}\"";
    assert!(text.contains(prompt));

    // No row has this attribute.
    site.write("broken.toml", text.replace(prompt, "\"{{ code.lines }}\""));
    let ended = site.run(&["run", "broken.toml"]).await.with(1);
    assert!(ended.stderr.contains("stage `describe`") && ended.stderr.contains("cannot be rendered"), "{ended:?}");

    // All are too long; by the server's word, then by the setting.
    site.write("long.toml", text.replace(prompt, &format!("\"{} {{{{ code }}}}\"", "word ".repeat(4000))));
    let ended = site.run(&["run", "long.toml", "--dry-run"]).await.with(1);
    assert!(ended.stderr.contains("longer, with its answer, than the context"), "{ended:?}");
    site.write("short.toml", text.replace("model = \"describer\"", "model = \"describer\"\ncontext_tokens = 1024"));
    site.run(&["run", "short.toml", "--dry-run"]).await.with(1);

    // One is: that is a warning, and the others are asked.
    let one: String =
        sqlx::query_scalar("select min(qualified_name) from snippets").fetch_one(site.pool()).await.unwrap();
    let some = format!("\"{{% if qualified_name == '{one}' %}}{{{{ code.x }}}}{{% endif %}}{{{{ code }}}}\"");
    site.write("some.toml", text.replace(prompt, &some));
    let ended = site.run(&["run", "some.toml", "--dry-run"]).await.with(0);
    assert!(ended.stdout.contains("warning: describe: 1 of") && ended.stdout.contains(&one), "{ended:?}");
    assert_eq!(server.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_is_refused_where_the_server_does_not_tell_what_it_used() {
    let (site, server) = site().await;
    site.write("pipeline.toml", priced(&server.url).replace("preflight_completion = false\n", ""));
    server.follow(|question| Reply::Uncounted(answer(question)));
    let ended = site.run(&["run", "pipeline.toml", "--max-cost", "1"]).await.with(1);
    assert!(ended.stderr.contains("does not tell the tokens"), "{ended:?}");
    assert_eq!(site.number("select count(*) from documents").await, 0);
    let ended = site.run(&["run", "pipeline.toml"]).await.with(0);
    assert!(ended.stderr.contains("its cost stays unknown"), "{ended:?}");
}
