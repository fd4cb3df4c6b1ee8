//! What a model server asks one process to wait, all processes wait.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::corpus;
use crate::scripted::{Act, ScriptedServer, good};
use crate::site::{Site, finish, watch};

/// Two stages that describe: one by a server that throttles, one by a server that does not.
fn pipeline(url: &str) -> String {
    let mut text = String::from(
        "name = \"pauses\"\n[[stages]]\nname = \"ingest\"\nkind = \"ingest\"\n[[stages.sources]]\nkind = \"dir\"\n\
         path = \"corpus/*\"\n[[stages]]\nname = \"parse\"\nkind = \"parse\"\nneeds = [\"ingest\"]\n",
    );
    for name in ["throttled", "free"] {
        write!(
            text,
            "[endpoints.{name}]\nbase_url = \"{url}\"\nmodel = \"{name}\"\nconcurrency = 1\naccount_concurrency = 2\n\
             preflight_completion = false\n\
             [[stages]]\nname = \"{name}\"\nkind = \"describe\"\nneeds = [\"parse\"]\nendpoint = \"{name}\"\n\
             prompt.user = \"Describe:\\n{{{{ code }}}}\"\n",
        )
        .unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_told_nothing_waits_as_long_as_the_one_that_the_server_has_asked_to() {
    let throttles = Arc::new(AtomicBool::new(true));
    let is_throttling = Arc::clone(&throttles);
    let server = ScriptedServer::start(move |question| {
        if question.model == "free" || !is_throttling.load(Ordering::SeqCst) {
            return good();
        }
        let body = json!({"error": {"message": "too many requests"}}).to_string();
        Act::Send(429, vec![("retry-after", "800".to_owned())], body)
    })
    .await;
    let site = Site::new().await;
    // More rows than one process claims at once.
    corpus::lay(&site.path("corpus"), 8);
    site.write("pipeline.toml", pipeline(&server.url));
    let mut first = site.start(&["run", "pipeline.toml", "--select", "ingest,parse,throttled"]);
    let paused = "select count(*) from accounts where paused_until > extract(epoch from now()) + 600";
    assert!(watch(&mut first, async || site.number(paused).await == 1).await);
    assert_eq!(server.asked("throttled"), 1);

    // The second process works for the other account, and asks for its part of this one.
    let mut second = site.start(&["run", "pipeline.toml", "--select", "ingest,parse,throttled,free"]);
    let snippets = site.number("select count(*) from snippets").await;
    let free = "select count(*) from descriptions e join stages s on s.id = e.stage_id where s.name = 'free'";
    let asked = "select count(distinct worker_id) from account_leases where account like '%throttled'";
    let both = async || site.number(free).await == snippets && site.number(asked).await == 2;
    assert!(watch(&mut second, both).await);
    assert_eq!(server.asked("throttled"), 1, "the second process does not wait");

    // Whoever sets the pause to nothing lets all go on that were not asked to wait themselves.
    throttles.store(false, Ordering::SeqCst);
    sqlx::query("update accounts set paused_until = 0").execute(site.pool()).await.unwrap();
    first.kill().await.unwrap();
    finish(second).await.with(0);
    assert_eq!(site.number("select count(*) from descriptions").await, 2 * snippets);
    let requests = site.number("select count(distinct request_key) from llm_calls where endpoint = 'throttled'").await;
    assert_eq!(i64::from(server.asked("throttled")), requests + 1, "each was asked once, but for the killed one");
}
