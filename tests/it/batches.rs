//! `batch`: requests as files, and their answers back into the database.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncBufReadExt as _;

use crate::batch_server::{BatchServer, Line, results};
use crate::corpus;
use crate::model::{ModelServer, well};
use crate::site::{Site, finish, pipeline, watch};

/// A laid out corpus with snippets; `describe` is the stage whose rows go into batches.
async fn site(url: &str) -> Site {
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 6);
    let prices = "price_input_per_million = 10.0\nprice_output_per_million = 20.0\n";
    let text = pipeline(url, 4).replace("preflight_completion", &format!("{prices}preflight_completion"));
    site.write(
        "pipeline.toml",
        text.replace("model = \"describer\"", "model = \"describer\"\nbatch.max_requests = 20"),
    );
    site.write("sources.toml", site.read("pipeline.toml"));
    site
}

/// Runs the stages before the first model; no endpoint is touched.
async fn with_snippets(url: &str) -> (Site, i64) {
    let site = site(url).await;
    site.run(&["run", "sources.toml", "--select", "ingest,filter,dedupe,parse"]).await.with(0);
    let snippets = site.number("select count(*) from snippets").await;
    assert!(snippets > 40, "{snippets}");
    (site, snippets)
}

/// What a model answers to a body.
fn told(body: &Value) -> String {
    let hash = blake3::hash(body.to_string().as_bytes()).to_hex();
    format!("Write the function that note {} asks for.", &hash[..16])
}

fn first_byte(body: &Value) -> u8 {
    blake3::hash(body.to_string().as_bytes()).as_bytes()[0]
}

async fn export(site: &Site, code: i32) -> Value {
    let ended = site.run(&["batch", "export", "pipeline.toml", "--stage", "describe", "--json"]).await.with(code);
    serde_json::from_str(ended.stdout.trim()).unwrap()
}

fn files(exported: &Value) -> Vec<PathBuf> {
    let files = exported["files"].as_array().unwrap();
    files.iter().map(|file| PathBuf::from(file[1].as_str().unwrap())).collect()
}

async fn tally(site: &Site, arguments: &[&str], code: i32) -> Value {
    let all = [&["batch", "import", "--json"], arguments].concat();
    serde_json::from_str(site.run(&all).await.with(code).stdout.trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_goes_to_the_server_and_its_answers_come_the_way_of_online_ones_at_half_the_price() {
    let server = BatchServer::start(|body| Line::Answer(told(body))).await;
    let (site, snippets) = with_snippets(&server.url).await;
    let exported = export(&site, 0).await;
    let files = files(&exported);
    assert_eq!(files.len() as i64, (snippets + 19) / 20);
    let lines: usize = files.iter().map(|file| std::fs::read_to_string(file).unwrap().lines().count()).sum();
    assert_eq!(lines as i64, snippets);
    // Nothing is left to export, and the plan knows where the rows are.
    assert!(export(&site, 0).await["files"].as_array().unwrap().is_empty());
    let plan: Value =
        serde_json::from_str(&site.run(&["plan", "pipeline.toml", "--format", "json"]).await.with(0).stdout).unwrap();
    let describe = plan["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "describe").unwrap();
    assert_eq!((&describe["estimate"]["batched"], &describe["estimate"]["calls"]), (&snippets.into(), &0.into()));
    assert_eq!(describe["state"], "partial");

    server.set_status("in_progress");
    site.run(&["batch", "submit"]).await.with(0);
    assert_eq!(server.batches(), files.len());
    site.run(&["batch", "submit"]).await.with(0);
    assert_eq!(server.batches(), files.len(), "submitted twice");
    let told = site.run(&["batch", "status"]).await.with(0).stdout;
    assert!(told.contains("in_progress") && told.contains("describe-1.jsonl"), "{told}");
    site.run(&["batch", "import"]).await.with(0);
    assert_eq!(site.number("select count(*) from descriptions").await, 0);

    server.set_status("completed");
    let ended = site.run(&["batch", "import"]).await.with(0);
    assert!(ended.stdout.contains("20 answered"), "{ended:?}");
    assert_eq!(site.number("select count(*) from descriptions").await, snippets);
    assert_eq!(
        site.number("select count(*) from batches where state = 'imported' and reserved_tokens = 0").await,
        files.len() as i64
    );
    // 100 tokens at 10 and 10 at 20 dollars a million, at half the price.
    let calls =
        "select count(*) from llm_calls where class = 'ok' and cost_microdollars = 600 and batch_id is not null";
    assert_eq!(site.number(calls).await, snippets);
    assert_eq!(site.number("select cost_microdollars from spent_by_stage").await, 600 * snippets);
    // All is accounted for: nothing is taken twice.
    assert!(site.run(&["batch", "import"]).await.with(0).stdout.is_empty());
    assert_eq!(site.number("select count(*) from llm_calls").await, snippets);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_expired_missing_and_repeated_lines_are_accounted_for_and_the_rest_is_done_online() {
    let script = |body: &Value| match first_byte(body) % 8 {
        0 => Line::Status(500),
        1 => Line::Status(400),
        2 => Line::Expired,
        3 => Line::Missing,
        4 => Line::Cut("Write the".to_owned()),
        5 => Line::Twice(told(body)),
        _ => Line::Answer(told(body)),
    };
    let server = BatchServer::start(script).await;
    let (site, snippets) = with_snippets(&server.url).await;
    let files = files(&export(&site, 0).await);
    let mut expected = [0_i64; 8];
    for file in &files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let request: Value = serde_json::from_str(line).unwrap();
            expected[usize::from(first_byte(&request["body"]) % 8)] += 1;
        }
    }
    assert!(expected.iter().all(|count| *count > 0), "{expected:?}");
    site.run(&["batch", "submit"]).await.with(0);
    server.set_status("expired");
    let ended = site.run(&["batch", "import", "--json"]).await.with(1);
    let sum = |key: &str| -> i64 {
        ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()[key].as_i64().unwrap()).sum()
    };
    assert_eq!(sum("answered"), expected[5] + expected[6] + expected[7]);
    assert_eq!(sum("rejected"), expected[1] + expected[4]);
    assert_eq!(sum("returned"), expected[0] + expected[2]);
    assert_eq!((sum("missing"), sum("repeated")), (expected[3], expected[5]));
    for (class, count) in [("overloaded", expected[0]), ("bad_request", expected[1]), ("timed_out", expected[2])] {
        let rows: i64 = sqlx::query_scalar("select count(*) from llm_calls where class = $1 and batch_id is not null")
            .bind(class)
            .fetch_one(site.pool())
            .await
            .unwrap();
        assert_eq!(rows, count, "{class}");
    }
    let states =
        "select string_agg(distinct state || ' ' || class, ', ' order by state || ' ' || class) from batch_requests";
    let states: String = sqlx::query_scalar(states).fetch_one(site.pool()).await.unwrap();
    assert_eq!(
        states,
        "answered ok, rejected bad_request, rejected truncated, returned missing, returned overloaded, returned timed_out"
    );

    // What was given up is asked online, by another place of the same endpoint; what was rejected stays so.
    let online = ModelServer::start(Duration::from_millis(1), well).await;
    site.write("pipeline.toml", site.read("pipeline.toml").replace(&server.url, &online.url));
    site.run(&["run", "pipeline.toml", "--select", "describe"]).await.with(1);
    assert_eq!(i64::from(online.requests()), expected[0] + expected[2] + expected[3]);
    assert_eq!(site.number("select count(*) from descriptions").await, snippets - expected[1] - expected[4]);
    site.run(&["retry", "3", "--class", "truncated"]).await;
    let standing = "select count(*) from rejections where retried_at is null and class = 'truncated'";
    assert_eq!(site.number(standing).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_out_are_not_asked_online_and_results_of_vllm_may_come_in_any_order() {
    let online = ModelServer::start(Duration::from_millis(1), well).await;
    let (site, snippets) = with_snippets(&online.url).await;
    let ended = site.run(&["batch", "export", "pipeline.toml", "--stage", "describe", "--limit", "30"]).await.with(0);
    assert!(
        ended.stdout.contains("batch 1: 20 requests") && ended.stdout.contains("batch 2: 10 requests"),
        "{ended:?}"
    );
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    assert!(ended.stderr.contains("30 rows are out in batches"), "{ended:?}");
    assert_eq!(site.number("select count(*) from descriptions").await, snippets - 30);

    // Both files' results in one, back to front, with lines of elsewhere; then the second half of them.
    let requests = site.read("batches/describe-1.jsonl") + &site.read("batches/describe-2.jsonl");
    let (answers, _) = results(requests.as_bytes(), &|body| Line::Answer(told(body)));
    let lines: Vec<&str> = answers.lines().collect();
    let foreign = r#"{"custom_id": "request-1", "response": {"status_code": 200, "body": {}}}"#;
    site.write("half.jsonl", format!("{}\n{foreign}\nno json\n\n", lines[..15].join("\n")));
    site.write("all.jsonl", answers.clone());
    let half = tally(&site, &["--results", "half.jsonl"], 1).await;
    assert_eq!((&half["answered"], &half["foreign"], &half["malformed"]), (&15.into(), &1.into(), &1.into()));
    assert_eq!(site.number("select count(*) from tasks where state = 'batched'").await, 15);
    let all = tally(&site, &["--results", "all.jsonl"], 0).await;
    assert_eq!((&all["answered"], &all["repeated"]), (&15.into(), &15.into()));
    assert_eq!(site.number("select count(*) from descriptions").await, snippets);
    assert_eq!(site.number("select count(*) from batches where state = 'imported'").await, 2);
    site.run(&["run", "pipeline.toml"]).await.with(0);
    assert_eq!(site.number("select count(*) from pairs").await, 2 * snippets);
    let asked: BTreeSet<String> = online.asked().into_values().map(|asked| asked.model).collect();
    assert_eq!(asked.len(), 3);
    assert!(online.asked().values().all(|asked| asked.answers == 1));
    // A file that is written for another database's rows is refused line by line.
    let wrong = answers.replace("codepmp-1-1-", "codepmp-1-2-");
    site.write("wrong.jsonl", wrong);
    let wrong = tally(&site, &["--results", "wrong.jsonl"], 0).await;
    assert_eq!((&wrong["answered"], &wrong["foreign"]), (&0.into(), &1.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_given_up_frees_its_rows_and_takes_late_answers_all_the_same() {
    let online = ModelServer::start(Duration::from_millis(1), well).await;
    let (site, snippets) = with_snippets(&online.url).await;
    site.run(&["batch", "export", "pipeline.toml", "--stage", "describe", "--limit", "20"]).await.with(0);
    let ended = site.run(&["batch", "release", "1"]).await.with(0);
    assert!(ended.stdout.contains("20 rows are to be done again"), "{ended:?}");
    assert_eq!(site.number("select count(*) from tasks where state = 'batched'").await, 0);
    let requests = site.read("batches/describe-1.jsonl");
    let (answers, _) = results(requests.as_bytes(), &|body| Line::Answer(told(body)));
    site.write("late.jsonl", answers);
    assert_eq!(tally(&site, &["--results", "late.jsonl"], 0).await["answered"], 20);
    site.run(&["run", "pipeline.toml", "--select", "describe"]).await.with(0);
    assert_eq!(i64::from(online.requests()), snippets - 20);
    site.run(&["batch", "release", "99"]).await.with(2);
    site.run(&["batch", "export", "pipeline.toml", "--stage", "pairs"]).await.with(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_any_two_steps_loses_nothing_and_makes_no_second_batch() {
    let server = BatchServer::start(|body| Line::Answer(told(body))).await;
    let (site, snippets) = with_snippets(&server.url).await;
    // Before the file counts: the rows are free again.
    let mut lock = site.pool().begin().await.unwrap();
    sqlx::query("lock table batch_requests in share mode").execute(&mut *lock).await.unwrap();
    let mut child = site.start(&["batch", "export", "pipeline.toml", "--stage", "describe"]);
    let part = site.path("batches/describe-1.jsonl.part");
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    assert!(watch(&mut child, async || part.exists() && site.number(waits).await > 0).await);
    child.kill().await.unwrap();
    lock.rollback().await.unwrap();
    assert!(!site.path("batches/describe-1.jsonl").exists());

    // After it counts, before it has its name: the next command names it.
    let exported = loop {
        let ended = site.run(&["batch", "export", "pipeline.toml", "--stage", "describe", "--json"]).await.with(0);
        let exported: Value = serde_json::from_str(ended.stdout.trim()).unwrap();
        // The rows of the killed one are free when its connection is seen to be closed.
        if site.number("select count(*) from tasks where state = 'batched'").await == snippets {
            break exported;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert!(!files(&exported).is_empty());
    let batches = site.number("select count(*) from batches").await;
    let first: String =
        sqlx::query_scalar("select file from batches order by id limit 1").fetch_one(site.pool()).await.unwrap();
    std::fs::rename(&first, format!("{first}.part")).unwrap();

    // After the server made the batch, before it said so.
    server.be_deaf(1);
    let mut child = site.start(&["batch", "submit"]);
    assert!(watch(&mut child, async || server.batches() == 1).await);
    child.kill().await.unwrap();
    assert_eq!(site.number("select count(*) from batches where state = 'submitting'").await, 1);
    site.run(&["batch", "submit"]).await.with(0);
    assert_eq!(server.batches() as i64, batches);
    assert_eq!(site.number("select count(*) from batches where state = 'submitted'").await, batches);

    // While results are committed.
    let mut lock = site.pool().begin().await.unwrap();
    sqlx::query("lock table batch_requests in share mode").execute(&mut *lock).await.unwrap();
    let mut child = site.start(&["batch", "import"]);
    assert!(watch(&mut child, async || site.number(waits).await > 0).await);
    child.kill().await.unwrap();
    lock.rollback().await.unwrap();
    assert_eq!(site.number("select count(*) from llm_calls").await, 0);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let ended = finish(site.start(&["batch", "import"])).await;
        if ended.code == Some(0) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{ended:?}");
    }
    assert_eq!(site.number("select count(*) from descriptions").await, snippets);
    assert_eq!(site.number("select count(*) from llm_calls").await, snippets);
    assert_eq!(site.number("select count(*) from batches where state = 'imported'").await, batches);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_holds_for_batches_and_what_is_out_counts_online() {
    let online = ModelServer::start(Duration::from_millis(1), well).await;
    let (site, _) = with_snippets(&online.url).await;
    let text = site
        .read("pipeline.toml")
        .replace("endpoint = \"describer\"", "endpoint = \"describer\"\nsampling.max_tokens = 50");
    site.write("pipeline.toml", text);
    let ended =
        site.run(&["batch", "export", "pipeline.toml", "--stage", "describe", "--max-tokens", "5000"]).await.with(1);
    assert!(ended.stderr.contains("the cap leaves no room"), "{ended:?}");
    let reserved = site.number("select sum(reserved_tokens)::bigint from batches").await;
    assert!((4000..=5000).contains(&reserved), "{reserved}");
    // Online little fits beside it, and a run does not wait for the batch.
    let ended = site.run(&["run", "pipeline.toml", "--max-tokens", "5000"]).await.with(1);
    assert!(ended.stderr.contains("batches that are out may take"), "{ended:?}");
    let used = site.number("select coalesce(sum(prompt_tokens + completion_tokens), 0)::bigint from llm_calls").await;
    assert!(used + reserved <= 5000, "{used} and {reserved}");
    site.run(&["batch", "release", "1"]).await.with(0);
    assert_eq!(site.number("select sum(reserved_tokens)::bigint from batches").await, 0);
    site.run(&["run", "pipeline.toml", "--max-tokens", "5000"]).await.with(1);
    assert!(site.number("select sum(prompt_tokens + completion_tokens)::bigint from llm_calls").await > used);
    assert!(site.number("select sum(prompt_tokens + completion_tokens)::bigint from llm_calls").await <= 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulator_takes_batches_too_and_answers_as_it_does_online() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/python");
    let corpus = fixtures.to_str().unwrap();
    let site = Site::new().await;
    let mut simulator = site.start(&["simulate", "--corpus", corpus, "--listen", "127.0.0.1:0"]);
    let mut first = String::new();
    tokio::io::BufReader::new(simulator.stdout.take().unwrap()).read_line(&mut first).await.unwrap();
    let url = first.trim().split(' ').next_back().unwrap();
    let text = pipeline(url, 4).replace("model = \"", "model = \"simulated-").replace("corpus/*", corpus);
    site.write("pipeline.toml", text);
    site.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse,describe"]).await.with(0);
    let snippets = site.number("select count(*) from snippets").await;
    let ended = site.run(&["batch", "export", "pipeline.toml", "--stage", "chosen"]).await.with(0);
    assert!(ended.stdout.contains("batch 1: "), "{ended:?}");
    site.run(&["batch", "submit"]).await.with(0);
    let ended = site.run(&["batch", "import"]).await.with(0);
    assert!(ended.stdout.contains("answered"), "{ended:?}");
    assert_eq!(site.number("select count(*) from completions where role = 'chosen'").await, 2 * snippets);
    // The same online: the ledger is asked first, so another database is needed to see it.
    let texts = "select string_agg(c.text, '|' order by e.snippet_id, c.sample)
                 from completions c join descriptions e on e.id = c.description_id";
    let in_batches = site.text(texts).await;
    let other = Site::new().await;
    other.write("pipeline.toml", site.read("pipeline.toml"));
    other.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse,describe,chosen"]).await.with(0);
    assert_eq!(other.text(texts).await, in_batches);
    simulator.kill().await.unwrap();
}
