//! Two programs on one database share the work.

use std::time::Duration;

use crate::corpus;
use crate::model::{ModelServer, well};
use crate::site::{Site, finish, pipeline};

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
