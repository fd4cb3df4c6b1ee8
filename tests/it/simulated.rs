//! A pipeline that names a simulator stands alone: `run` hosts it for as long as it needs it.

use std::path::Path;

use crate::site::{Site, pipeline};

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_with_a_simulator_runs_by_itself_through_faults_of_every_kind() {
    let site = Site::new().await;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/python");
    let corpus = fixtures.to_str().unwrap();
    let simulator = format!(
        "[simulators.local]\ncorpus = [\"{corpus}\"]\nseed = 5\nretry_after_ms = 10\nfaults = {{ 500 = 0.03, 429 = 0.02, \
         drop = 0.03, malformed = 0.02, truncated = 0.04, empty = 0.02, prose = 0.04, several = 0.05 }}\n\n[[stages]]"
    );
    let text = pipeline("URL", 16)
        .replace("base_url = \"URL\"", "simulator = \"local\"")
        .replace("model = \"", "model = \"simulated-")
        .replace("model = \"simulated-strong\"", "model = \"simulated-strong\"\nstream = true")
        .replace("corpus/*", corpus)
        .replacen("[[stages]]", &simulator, 1);
    site.write("pipeline.toml", text);
    // Truncated answers and prose are rejected rows.
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    for class in ["truncated", "no_code"] {
        assert!(ended.stdout.contains(class), "{class}: {}", ended.stdout);
    }
    let wanted = 2 * site.number("select count(*) from snippets").await;
    let pairs = site.number("select count(*) from pairs").await;
    assert!(wanted > 40 && pairs > wanted / 2 && pairs < wanted, "{pairs} of {wanted}");
    let transient = "select count(distinct class) from llm_calls where class in
        ('overloaded', 'throttled', 'connection', 'malformed', 'empty')";
    assert!(site.number(transient).await >= 3);
    // Answers that came piece by piece tell how long the first one took, and no others do.
    let streamed = "select count(*) from llm_calls where class = 'ok'
                    and (model = 'simulated-strong') <> (first_token_ms is not null)";
    assert_eq!(site.number(streamed).await, 0);
    let speed = "select count(*) from streaming_speed where model = 'simulated-strong' and tokens_per_second > 0
                 and median_first_token_ms <= p95_first_token_ms";
    assert_eq!(site.number(speed).await, 1);
    let unpaired = "select count(*) from tasks t where state in ('ready', 'leased')";
    assert_eq!(site.number(unpaired).await, 0);
    let true_code = "select count(*) from preference_pairs p join snippets s on s.id = p.snippet_id
                     where p.chosen_valid and p.chosen_model = 'simulated-strong'";
    assert!(site.number(true_code).await > pairs * 9 / 10);

    let calls = site.number("select count(*) from llm_calls").await;
    site.run(&["run", "pipeline.toml"]).await.with(1);
    assert_eq!(site.number("select count(*) from llm_calls").await, calls);
}
