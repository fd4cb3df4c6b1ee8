//! Copies whose first was rejected for what is not in its text.

use crate::site::Site;

const PIPELINE: &str = r#"
[[stages]]
name = "ingest"
kind = "ingest"
[[stages.sources]]
kind = "jsonl"
path = "rows.jsonl"

[[stages]]
name = "filter"
kind = "filter"
needs = ["ingest"]
lines_min = 1
licences = ["MIT"]

[[stages]]
name = "dedupe"
kind = "dedupe"
needs = ["filter"]

[[stages]]
name = "parse"
kind = "parse"
needs = ["dedupe"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_stands_in_for_a_first_one_whose_licence_was_refused() {
    let site = Site::new().await;
    let text = "def total(values):\n    sum = 0\n    for value in values:\n        sum += value\n    return sum\n";
    let row = |repository: &str, licence: &str| {
        serde_json::json!({"content": text, "max_stars_repo_name": repository, "max_stars_repo_path": "total.py",
                           "max_stars_repo_licenses": [licence]})
    };
    let rows = [row("first", "GPL-3.0-only"), row("second", "MIT"), row("third", "MIT")];
    site.write("rows.jsonl", rows.map(|row| row.to_string()).join("\n"));
    site.write("pipeline.toml", PIPELINE);
    site.run(&["run", "pipeline.toml"]).await.with(0);

    let snippets: Vec<String> = sqlx::query_scalar(
        "select d.repository from snippets s join documents d on d.id = s.document_id order by d.id",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    assert_eq!(snippets, ["second"]);
    let rejected: Vec<(String, String)> = sqlx::query_as(
        "select d.repository, j.class from rejections j join documents d on d.id = j.document_id order by d.id",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    let expected = [("first", "licence"), ("third", "exact_duplicate")];
    assert_eq!(rejected, expected.map(|(repository, class)| (repository.to_owned(), class.to_owned())));
}
