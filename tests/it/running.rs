//! `run`: exit codes, what it does only when told, and what it never does twice.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::{Connection as _, Executor as _};
use tokio::process::Child;

use crate::corpus;
use crate::model::{ModelServer, Reply, answer, well};
use crate::site::{Site, finish, pipeline, watch};

/// A small corpus and a server whose answers take `latency`.
async fn small(latency: u64) -> (Site, ModelServer) {
    let server = ModelServer::start(Duration::from_millis(latency), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 4);
    site.write("pipeline.toml", pipeline(&server.url, 4));
    (site, server)
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().unwrap() as i32), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_has_nothing_to_do_and_asks_nothing() {
    let (site, server) = small(1).await;
    let first = site.run(&["run", "pipeline.toml"]).await.with(0);
    for words in ["In the database", "exact duplicates", "pairs, train", "Rejected", "Calls of this run", "| "] {
        assert!(first.stdout.contains(words), "{words}: {}", first.stdout);
    }
    let (requests, pairs) = (server.requests(), site.number("select count(*) from pairs").await);
    assert!(pairs > 20, "{pairs}");
    site.run(&["run", "pipeline.toml"]).await.with(0);
    assert_eq!(server.requests(), requests);
    assert_eq!(site.number("select count(*) from pairs").await, pairs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_reached_exactly_in_each_stage_and_the_next_run_goes_on() {
    let (site, server) = small(1).await;
    for round in 1..=2 {
        site.run(&["run", "pipeline.toml", "--limit", "5"]).await.with(0);
        for count in [
            "select count(*) from documents",
            "select count(*) from descriptions",
            "select count(*) from completions where role = 'chosen'",
            "select count(*) from completions where role = 'rejected'",
            "select count(*) from pairs",
        ] {
            assert_eq!(site.number(count).await, 5 * round, "{count}");
        }
    }
    site.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse,describe"]).await.with(0);

    // Rows that are rejected are made up for.
    let chosen = "select count(*) from completions where role = 'chosen'";
    let before = site.number(chosen).await;
    server.follow(|question| match question.reference.as_bytes()[0] {
        b'0'..=b'4' => Reply::Text("I would rather talk about the weather.".to_owned()),
        _ => well(question),
    });
    site.run(&["run", "pipeline.toml", "--select", "chosen", "--limit", "20"]).await.with(1);
    assert_eq!(site.number(chosen).await, before + 20);
    // A model that never answers well is not asked about everything.
    server.follow(|_| Reply::Text("It rains.".to_owned()));
    let requests = server.requests();
    site.run(&["run", "pipeline.toml", "--select", "rejected", "--limit", "8"]).await.with(1);
    assert!((8..=16).contains(&(server.requests() - requests)), "{}", server.requests() - requests);

    // Without a limit the rest is done; what was rejected stands.
    server.follow(well);
    site.run(&["run", "pipeline.toml"]).await.with(1);
    let wanted = 2 * 2 * site.number("select count(*) from snippets").await;
    let rejected = site.number("select count(*) from rejections where class = 'no_code'").await;
    assert_eq!(site.number("select count(*) from completions").await, wanted - rejected);
}

#[tokio::test(flavor = "multi_thread")]
async fn selected_stages_run_alone_and_do_not_touch_the_endpoints_of_others() {
    let (site, server) = small(1).await;
    let dead = pipeline("http://127.0.0.1:1/v1", 4);
    site.write("pipeline.toml", &dead);
    site.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse"]).await.with(0);
    assert!(site.number("select count(*) from snippets").await > 20);
    assert_eq!(site.number("select count(*) from tasks").await, 0);
    site.write("pipeline.toml", pipeline(&server.url, 4));
    site.run(&["run", "pipeline.toml", "--select", "describe"]).await.with(0);
    assert!(site.number("select count(*) from descriptions").await > 20);
    assert_eq!(site.number("select count(*) from completions").await, 0);
    let ended = site.run(&["run", "pipeline.toml", "--select", "describ"]).await.with(2);
    assert!(ended.stderr.contains("no stage `describ`") && ended.stderr.contains("describe, chosen"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_checks_everything_and_does_nothing() {
    let (site, server) = small(1).await;
    let ended = site.run(&["run", "pipeline.toml", "--dry-run"]).await.with(0);
    assert!(ended.stdout.contains("nothing was done") && ended.stdout.contains("missing"), "{ended:?}");
    assert_eq!(server.requests(), 0);
    assert_eq!(site.number("select (select count(*) from runs) + (select count(*) from documents)").await, 0);
    site.write("pipeline.toml", pipeline("http://127.0.0.1:1/v1", 4));
    site.run(&["run", "pipeline.toml", "--dry-run"]).await.with(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_run_commits_every_answer_and_ends_with_130() {
    let (site, server) = small(40).await;
    let mut child = site.start(&["run", "pipeline.toml"]);
    assert!(watch(&mut child, async || server.answers() >= 10).await);
    signal(&child, Signal::SIGINT);
    let ended = finish(child).await.with(130);
    assert!(ended.stdout.contains("Interrupted"), "{ended:?}");
    let committed = site.number("select count(*) from llm_calls where class = 'ok'").await;
    assert_eq!(committed, i64::from(server.answers()));
    assert_eq!(site.number("select count(*) from tasks where state = 'leased'").await, 0);
    assert_eq!(site.number("select count(*) from runs where state = 'interrupted'").await, 1);
    site.run(&["run", "pipeline.toml"]).await.with(0);
    assert!(server.asked().values().all(|asked| asked.answers == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_does_not_wait_for_slow_calls() {
    let (site, server) = small(1).await;
    server.follow(|question| Reply::Late(Duration::from_secs(60), answer(question)));
    let mut child = site.start(&["run", "pipeline.toml"]);
    assert!(watch(&mut child, async || server.requests() >= 4).await);
    signal(&child, Signal::SIGINT);
    // The first one says that it waits; the second must come after it has been heard.
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal(&child, Signal::SIGTERM);
    let start = Instant::now();
    let ended = finish(child).await.with(130);
    assert!(start.elapsed() < Duration::from_secs(10), "{ended:?}");
    assert!(ended.stderr.contains("once more to stop at once"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_stops_the_run_early_and_rejects_no_row() {
    let (site, server) = small(1).await;
    server.follow(|question| match question.authorization.as_deref() {
        Some("Bearer right-0123456789") => well(question),
        _ => Reply::Status(401, "incorrect API key"),
    });
    let keyed = "model = \"strong\"\napi_key_env = \"STRONG_KEY\"";
    let text = pipeline(&server.url, 4).replace("model = \"strong\"", keyed);
    let text = text.replace("model = \"describer\"", "model = \"describer\"\napi_key_env = \"STRONG_KEY\"");
    site.write("pipeline.toml", text.replace("model = \"weak\"", "model = \"weak\"\napi_key_env = \"STRONG_KEY\""));

    let ended = site.run(&["run", "pipeline.toml"]).await;
    assert!(matches!(ended.code, Some(1 | 2)) && ended.stderr.contains("STRONG_KEY"), "no key: {ended:?}");
    assert_eq!(server.requests(), 0);

    let mut command = site.command(&["run", "pipeline.toml"]);
    let ended = finish(command.env("STRONG_KEY", "wrong-9876543210").spawn().unwrap()).await.with(1);
    assert!(ended.stderr.contains("401") && ended.stderr.contains("describer"), "{ended:?}");
    assert!(!ended.stderr.contains("wrong-9876543210") && !ended.stdout.contains("wrong-9876543210"), "{ended:?}");
    assert!(server.requests() <= 8, "{} requests with a key that was refused", server.requests());
    let rejected = "select count(*) from rejections j join stages s on s.id = j.stage_id where s.kind = 'describe'";
    assert_eq!(site.number(rejected).await, 0);

    let mut command = site.command(&["run", "pipeline.toml"]);
    finish(command.env("STRONG_KEY", "right-0123456789").spawn().unwrap()).await.with(0);
    assert!(site.number("select count(*) from pairs").await > 20);
    let leaks = "select count(*) from llm_calls c where c::text like '%0123456789%' or c::text like '%9876543210%'";
    assert_eq!(site.number(leaks).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_down_at_the_start_is_named_before_anything_is_read() {
    let (site, _server) = small(1).await;
    site.write("pipeline.toml", pipeline("http://127.0.0.1:1/v1", 4));
    let start = Instant::now();
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    assert!(ended.stderr.contains("http://127.0.0.1:1/v1"), "{ended:?}");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert_eq!(site.number("select count(*) from documents").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_output_is_one_object_a_line_and_ends_with_the_summary() {
    let (site, _server) = small(1).await;
    let ended = site.run(&["run", "pipeline.toml", "--json"]).await.with(0);
    let lines: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let (summary, events) = lines.split_last().unwrap();
    assert_eq!(summary["event"], "summary");
    assert_eq!(summary["figures"]["exact_duplicates"], 1);
    assert_eq!(summary["figures"]["near_duplicates"], 1);
    assert!(events.iter().any(|event| event["stage"] == "pairs" && event["state"] == "done"), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_no_use_become_rejections_and_retry_takes_one_class_of_them_up_again() {
    let (site, server) = small(1).await;
    // The first character of the reference decides, so the same request fails again.
    server.follow(|question| match (question.model.as_str(), question.reference.as_bytes()[0]) {
        ("strong", b'0'..=b'3') => Reply::Cut("```python\ndef cut(".to_owned()),
        ("strong", b'4'..=b'6') => Reply::Text("I would rather talk about the weather.".to_owned()),
        ("strong", b'7') => Reply::Text(format!("{}\nor also\n```python\nx = 2\n```\n", answer(question))),
        _ => well(question),
    });
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    assert!(ended.stdout.contains("truncated") && ended.stdout.contains("no_code"), "{ended:?}");
    let of = async |class: &'static str| {
        let count = "select count(*) from rejections where retried_at is null and class = $1";
        sqlx::query_scalar::<_, i64>(count).bind(class).fetch_one(site.pool()).await.unwrap()
    };
    let (truncated, prose) = (of("truncated").await, of("no_code").await);
    assert!(truncated > 0 && prose > 0);
    assert!(site.number("select count(*) from completions where blocks = 2").await > 0);
    let wanted = 2 * site.number("select count(*) from snippets").await;
    assert_eq!(site.number("select count(*) from pairs").await, wanted - truncated - prose);

    server.follow(well);
    let ended = site.run(&["retry", "1", "--class", "truncated"]).await.with(1);
    assert!(ended.stdout.contains(&format!("{truncated} rows that were rejected (truncated)")), "{ended:?}");
    assert_eq!((of("truncated").await, of("no_code").await), (0, prose));
    assert_eq!(site.number("select count(*) from pairs").await, wanted - prose);
    site.run(&["retry", "99"]).await.with(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_does_not_commit_only_so_many_answers_are_gathered_as_calls_are_allowed() {
    let (site, server) = small(1).await;
    site.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse"]).await.with(0);
    let mut blocker = site.pool().acquire().await.unwrap().detach();
    let mut transaction = blocker.begin().await.unwrap();
    transaction.execute("lock table llm_calls in share row exclusive mode").await.unwrap();
    let mut run = site.start(&["run", "pipeline.toml"]);
    assert!(watch(&mut run, async || server.requests() > 0).await);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let gathered = server.requests();
    transaction.rollback().await.unwrap();
    finish(run).await.with(0);
    // Four calls at once, and four answers that wait for their commit, of which the last calls may add four.
    assert!((1..=12).contains(&gathered), "{gathered} answers would have been lost by a kill");
    assert!(server.requests() > 40);
}
