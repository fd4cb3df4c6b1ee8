//! Two programs on one database share the work.

use std::time::Duration;

use crate::corpus;
use crate::model::{ModelServer, Reply, answer, well};
use crate::site::{Site, finish, pipeline, watch};

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_finish_a_pipeline_together_and_do_each_row_once() {
    let server = ModelServer::start(Duration::from_millis(20), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 20);
    site.write("pipeline.toml", pipeline(&server.url, 4));
    let (one, two) = (site.start(&["run", "pipeline.toml"]), site.start(&["run", "pipeline.toml"]));
    let (one, two) = tokio::join!(finish(one), finish(two));
    one.with(0);
    two.with(0);

    let snippets = site.number("select count(*) from snippets").await;
    assert!(snippets > 150, "{snippets}");
    assert_eq!(site.number("select count(*) from descriptions").await, snippets);
    assert_eq!(site.number("select count(*) from completions").await, snippets * 4);
    assert_eq!(site.number("select count(*) from pairs").await, snippets * 2);
    let twice = "select count(*) from (select from llm_calls where class = 'ok'
                 group by stage_id, input_id, sample having count(*) > 1) repeated";
    assert_eq!(site.number(twice).await, 0);
    // Two functions may be equal, so a request may serve several rows, but none is answered twice.
    for (reference, asked) in server.asked() {
        assert_eq!(asked.answers, 1, "{reference}: {asked:?}");
    }
    let workers = "select count(distinct run_id) from llm_calls";
    assert_eq!(site.number(workers).await, 2, "one of the two did all the work");
    assert_eq!(site.number("select count(*) from runs where state = 'done'").await, 2);
}

/// A pipeline that ends with descriptions, whose prompts name the file alone: many rows have the same.
fn alike(url: &str, settings: &str) -> String {
    let text = pipeline(url, 8);
    let text = text.split("[[stages]]\nname = \"chosen\"").next().unwrap();
    text.replace("Describe:\\n{{ code }}", "Describe: {{ path }}")
        .replace("endpoint = \"describer\"\n", &format!("endpoint = \"describer\"\n{settings}\n"))
}

/// Splitting makes it a stage of its own, with the same requests.
const SPLIT: &str = "on_failure = { bad_request = { retry = 1 }, truncated = { split = 2 } }";

const DISTINCT: &str = "select count(distinct request_key) from llm_calls";

#[tokio::test(flavor = "multi_thread")]
async fn equal_requests_of_two_processes_and_of_two_stages_at_one_moment_are_paid_once() {
    let server = ModelServer::start(Duration::from_millis(300), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 12);
    site.write("pipeline.toml", alike(&server.url, ""));
    // Another stage, whose first sample is that of the former.
    site.write("other.toml", alike(&server.url, "samples = 2"));
    let files = ["pipeline.toml", "pipeline.toml", "other.toml", "other.toml"];
    let runs = files.map(|file| finish(site.start(&["run", file])));
    for ended in futures::future::join_all(runs).await {
        ended.with(0);
    }
    let snippets = site.number("select count(*) from snippets").await;
    assert!(snippets > 100, "{snippets}");
    assert_eq!(site.number("select count(*) from descriptions").await, snippets * 3);
    let requests = site.number(DISTINCT).await;
    assert!(requests < 20, "{requests}");
    assert_eq!(i64::from(server.requests()), requests, "{:?}", server.asked());
    assert_eq!(site.number("select count(*) from llm_calls").await, requests);
    assert_eq!(site.number("select count(*) from requests_under_way").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_answer_asks_itself_when_the_other_is_killed() {
    let server =
        ModelServer::start(Duration::ZERO, |question| Reply::Late(Duration::from_secs(600), answer(question))).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 12);
    site.write("pipeline.toml", alike(&server.url, ""));
    let mut first = site.start(&["run", "pipeline.toml"]);
    let entered = async || site.number("select count(*) from requests_under_way").await;
    assert!(watch(&mut first, async || server.requests() >= 3 && entered().await >= 3).await);
    let asked = server.requests();
    site.write("other.toml", alike(&server.url, SPLIT));
    let mut second = site.start(&["run", "other.toml"]);
    let workers = "select count(distinct worker_id) from tasks where state = 'leased'";
    assert!(watch(&mut second, async || site.number(workers).await == 2).await);
    let before = server.asked();
    server.follow(well);
    first.kill().await.unwrap();
    finish(second).await.with(0);
    let snippets = site.number("select count(*) from snippets").await;
    assert_eq!(site.number("select count(*) from descriptions").await, snippets);
    assert_eq!(before.values().map(|asked| asked.requests).sum::<u32>(), asked, "the second asked as well");
    for (reference, asked) in server.asked() {
        let killed = u32::from(before.contains_key(&reference));
        assert_eq!((asked.requests, asked.answers), (1 + killed, 1), "{reference}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_answer_that_does_not_come_asks_by_its_own_policy() {
    let server = ModelServer::start(Duration::from_millis(200), |question| match question.seen {
        0 => Reply::Status(400, "not this time"),
        _ => well(question),
    })
    .await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 4);
    let one = alike(&server.url, "");
    let (_, stage) = one.split_once("[[stages]]\nname = \"describe\"").unwrap();
    site.write("pipeline.toml", format!("{one}\n[[stages]]\nname = \"other\"{stage}{SPLIT}\n"));
    // Which of the two asks first is chance; one that asks first and gives up has no row at all.
    let ended = site.run(&["run", "pipeline.toml"]).await;
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    let snippets = site.number("select count(*) from snippets").await;
    let described = async |name: &str| -> i64 {
        let query = "select count(*) from descriptions e join stages s on s.id = e.stage_id where s.name = $1";
        sqlx::query_scalar(query).bind(name).fetch_one(site.pool()).await.unwrap()
    };
    // The stage that may ask again has all its answers, whether it asked first or waited.
    assert_eq!(described("other").await, snippets);
    assert!(described("describe").await <= snippets);
    for (reference, asked) in server.asked() {
        assert_eq!((asked.requests, asked.answers), (2, 1), "{reference}");
    }
}
