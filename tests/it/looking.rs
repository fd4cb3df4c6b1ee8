//! `status`, `inspect`, `sql` and `export`: looking at what a run left behind.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::corpus;
use crate::model::{ModelServer, well};
use crate::site::{Site, pipeline};

async fn finished() -> Site {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 8);
    site.write("pipeline.toml", pipeline(&server.url, 8));
    site.run(&["run", "pipeline.toml"]).await.with(0);
    site
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

fn rows(text: &str) -> Vec<Value> {
    text.lines().map(json).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_is_looked_at_from_every_side() {
    let site = finished().await;

    let status = json(&site.run(&["status", "--json"]).await.with(0).stdout);
    assert_eq!(status["run"]["state"], "done");
    let stages = status["stages"].as_array().unwrap();
    assert!(stages.len() == 9 && stages.iter().all(|stage| stage["state"] == "done"), "{stages:?}");
    let text = site.run(&["status", "1"]).await.with(0).stdout;
    assert!(text.contains("run 1: done") && text.contains("describe"), "{text}");
    site.run(&["status", "77"]).await.with(2);

    let id = site.number("select min(id) from pairs").await.to_string();
    let shown = site.run(&["inspect", &id]).await.with(0).stdout;
    for words in ["chosen, strong", "rejected, weak", "-+-", "return total + len(values)", "Lineage", "package/part_"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let traced = json(&site.run(&["inspect", &id, "--json"]).await.with(0).stdout);
    for column in ["chosen_call_id", "rejected_call_id", "description_call_id", "snippet_id", "document_id", "shard_id"]
    {
        assert!(traced["lineage"][column].is_i64(), "{column}: {traced}");
    }
    for column in ["chosen_prompt_fingerprint", "chosen_latency_ms", "chosen_sampling", "chosen_completion_tokens"] {
        assert!(!traced["lineage"][column].is_null(), "{column}: {traced}");
    }
    let ended = site.run(&["inspect", "999999"]).await.with(2);
    assert!(ended.stderr.contains("999999"), "{ended:?}");

    let question = "select name, kind, 'a,\"b' as odd, null as nothing from stages order by id limit 2";
    let csv = site.run(&["sql", question, "--format", "csv"]).await.with(0).stdout;
    assert_eq!(csv, "name,kind,odd,nothing\ningest,ingest,\"a,\"\"b\",\nfilter,filter,\"a,\"\"b\",\n");
    let lines = rows(&site.run(&["sql", question, "--format", "json"]).await.with(0).stdout);
    assert_eq!((lines.len(), &lines[1]["kind"], &lines[1]["nothing"]), (2, &json("\"filter\""), &Value::Null));
    let table = site.run(&["sql", question]).await.with(0).stdout;
    assert!(table.contains("nothing") && table.contains("(2 rows)"), "{table}");
    // Columns of one name keep their values.
    let twice = "select 1 as n, 'x' as m, 2 as n, 3 as n_2";
    assert_eq!(site.run(&["sql", twice, "--format", "csv"]).await.with(0).stdout, "n,m,n,n_2\n1,x,2,3\n");
    let lines = rows(&site.run(&["sql", twice, "--format", "json"]).await.with(0).stdout);
    assert_eq!(lines[0], json(r#"{"n": 1, "m": "x", "n_2": 2, "n_2_2": 3}"#));
    for refused in [
        "delete from pairs",
        "with gone as (delete from pairs returning id) select * from gone",
        "select * from nowhere",
        "create table t (n int)",
    ] {
        let ended = site.run(&["sql", refused]).await;
        assert!(matches!(ended.code, Some(1 | 2)) && ended.stderr.starts_with("error: "), "{ended:?}");
    }
    for (wrong, place) in [
        ("select id\n  from pairs\n where nothing = 1", "at line 3, column 8: "),
        ("\n select 'é', nothing;\n", "at line 2, column 14: "),
        ("select id from pairs order by\n id limit", "at line 2, column 10: "),
    ] {
        let ended = site.run(&["sql", wrong]).await.with(2);
        assert!(ended.stderr.contains(place), "{wrong}: {ended:?}");
    }
    // A write hidden in a query, which only the transaction can refuse.
    let hidden = "select setval('pairs_id_seq', 1)";
    let ended = site.run(&["sql", hidden]).await;
    assert!(ended.code != Some(0) && ended.stderr.contains("read-only"), "{ended:?}");
    assert!(site.number("select count(*) from pairs").await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_hold_every_pair_in_three_formats_with_no_repository_on_both_sides() {
    let site = finished().await;
    let pairs = site.number("select count(*) from pairs").await as usize;
    for (source, out) in [("pipeline.toml", "by-file"), ("1", "by-run")] {
        site.run(&["export", source, "--format", "jsonl", "--out", out]).await.with(0);
    }
    let (train, test) = (rows(&site.read("by-file/train.jsonl")), rows(&site.read("by-file/test.jsonl")));
    assert_eq!(rows(&site.read("by-run/train.jsonl")), train);
    assert_eq!(train.len() + test.len(), pairs);
    assert!(!train.is_empty() && !test.is_empty());
    let repositories = |rows: &[Value]| -> BTreeSet<String> {
        rows.iter().map(|row| row["repository"].as_str().unwrap().to_owned()).collect()
    };
    assert!(repositories(&train).is_disjoint(&repositories(&test)));
    for row in train.iter().chain(&test) {
        for column in ["prompt", "chosen", "rejected"] {
            assert!(!row[column].as_str().unwrap().trim().is_empty(), "{row}");
        }
        for column in ["id", "chosen_id", "rejected_id", "description_id", "snippet_id", "document_id"] {
            assert!(row[column].is_i64(), "{row}");
        }
        assert!(!row["chosen"].as_str().unwrap().contains("```"), "{row}");
    }

    site.run(&["export", "pipeline.toml", "--format", "jsonl.zst", "--out", "packed"]).await.with(0);
    let packed = std::fs::File::open(site.path("packed/train.jsonl.zst")).unwrap();
    let unpacked = String::from_utf8(zstd::decode_all(packed).unwrap()).unwrap();
    assert_eq!(rows(&unpacked), train);

    site.run(&["export", "pipeline.toml", "--format", "parquet", "--out", "columns"]).await.with(0);
    for (split, rows) in [("train", train.len()), ("test", test.len())] {
        let bytes = std::fs::read(site.path(&format!("columns/{split}.parquet"))).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
        let file = std::fs::File::open(site.path(&format!("columns/{split}.parquet"))).unwrap();
        let reader = parquet::file::reader::SerializedFileReader::new(file).unwrap();
        let metadata = parquet::file::reader::FileReader::metadata(&reader).file_metadata();
        assert_eq!(metadata.num_rows() as usize, rows);
        let columns: Vec<&str> = metadata.schema_descr().columns().iter().map(|column| column.name()).collect();
        for column in ["prompt", "chosen", "rejected", "description_id", "document_id"] {
            assert!(columns.contains(&column), "{columns:?}");
        }
    }
    let names = std::fs::read_dir(site.path("columns")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: BTreeSet<_> = names.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(left, ["README.md", "test.parquet", "train.parquet"].map(str::to_owned).into());
    let card = site.read("columns/README.md");
    assert!(card.starts_with("---\npretty_name: \"pairs\"\nlicense: "), "{card}");
    let rows = format!(
        "  - name: train\n    num_bytes: {}\n    num_examples: {}",
        site.size("columns/train.parquet"),
        train.len()
    );
    assert!(card.contains(&rows) && card.contains("path: \"test.parquet\""), "{card}");
    site.run(&["export", "nowhere.toml", "--out", "x"]).await.with(2);
    site.run(&["export", "pipeline.toml", "--stage", "chosen", "--out", "x"]).await.with(2);
}
