//! A run as one page: everything in it, nothing from outside, and nothing of what models wrote taken for markup.

use std::time::Duration;

use serde_json::Value;

use crate::corpus;
use crate::model::{ModelServer, Question, Reply, answer};
use crate::site::{Site, pipeline};
use crate::training;

const HOSTILE: &str = "<script>alert('planted')</script><img src=x onerror=alert(1)>\"'&";

const STAGES: &str = r#"
[[stages]]
name = "reward"
kind = "train"
needs = ["pairs"]
init = { preset = "tiny", vocab = 300 }
pairs = { limit = 8 }
seeds = 2
training = { objective = "rm", epochs = 1, batch_pairs = 4, max_length = 384, export_onnx = false }

[[stages]]
name = "shorter"
kind = "train"
needs = ["pairs"]
init = { preset = "tiny", vocab = 300 }
pairs = { limit = 8 }
training = { objective = "rm", max_steps = 1, batch_pairs = 4, max_length = 384, export_onnx = false }

[[stages]]
name = "accuracy"
kind = "evaluate"
needs = ["pairs", "reward", "shorter"]
baseline = "shorter"
pairs = { split = "test", limit = 8 }
computing = { max_length = 384 }

[[stages]]
name = "report"
kind = "report"
needs = ["export", "accuracy"]
out = "page"
"#;

/// Answers with markup of its own in descriptions, code and errors.
fn hostile(question: &Question) -> Reply {
    let text = answer(question);
    match question.model.as_str() {
        "describer" if question.reference.starts_with('0') => Reply::Status(400, HOSTILE),
        "describer" => Reply::Text(format!("{text} {HOSTILE}")),
        _ => Reply::Text(text.replacen("):\n", &format!("):\n    note = \"\"\"{HOSTILE}\"\"\"\n"), 1)),
    }
}

async fn finished() -> (ModelServer, Site) {
    let server = ModelServer::start(Duration::from_millis(1), hostile).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 6);
    let text =
        pipeline(&server.url, 8).replace("name = \"test\"", "name = \"</title><script>alert(2)</script>\"") + STAGES;
    site.write("pipeline.toml", text);
    let ended = training::run(&site, "run pipeline.toml").await;
    assert!(site.path("page/report.html").exists(), "{}\n{}", ended.stdout, ended.stderr);
    (server, site)
}

/// The values of all `attribute`s of a page.
fn values<'p>(page: &'p str, attribute: &str) -> Vec<&'p str> {
    let start = format!(" {attribute}=\"");
    page.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_in_a_page_that_holds_all_of_it_and_runs_nothing() {
    let (_server, site) = finished().await;
    let page = site.read("page/report.html");
    let told: Value = serde_json::from_str(&site.read("page/report.json")).unwrap();

    // What models and people wrote is there, as text.
    let lower = page.to_lowercase();
    for markup in ["<script", "<img", "<iframe", "<link", "<object", "javascript:", "@import", "url("] {
        assert!(!lower.contains(markup), "{markup}");
    }
    assert!(page.contains("&lt;script&gt;alert") && page.contains("&lt;&#x2f;title&gt;"));
    assert!(page.contains("default-src 'none'"));
    // Nothing is asked for from outside: links lead into the page, and the drawings name their own format alone.
    assert!(values(&page, "href").iter().all(|link| link.starts_with('#')), "{:?}", values(&page, "href"));
    assert!(values(&page, "src").is_empty());
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    let (before, _) = outside.split_once("<section id=\"stages\">").unwrap();
    assert!(!before.contains("http://") && !before.contains("https://"));

    // Both say the same.
    let accuracy = told["measured"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["metric"] == "accuracy" && row["model"] == "reward")
        .unwrap();
    assert_eq!((&accuracy["seeds"], &accuracy["over"]), (&2.into(), &"seeds_and_items".into()));
    let mean = "select count(*) from evaluations where metric = 'mean_accuracy' and model = 'reward' and value = $1 and low = $2";
    let mean = sqlx::query_scalar::<_, i64>(mean).bind(accuracy["value"].as_f64()).bind(accuracy["low"].as_f64());
    assert_eq!(mean.fetch_one(site.pool()).await.unwrap(), 1, "the interval is that over seeds and items: {accuracy}");
    assert!(page.contains("interval of that mean over seeds and items"));
    let compared = &told["compared"][0];
    assert_eq!((&compared["model"], &compared["baseline"]), (&"reward".into(), &"shorter".into()));
    let gap = compared["first"].as_f64().unwrap() - compared["second"].as_f64().unwrap();
    assert!((compared["difference"].as_f64().unwrap() - gap).abs() < 1e-9 && page.contains("Compared, item by item"));
    let metrics: Vec<_> =
        told["measured"].as_array().unwrap().iter().map(|row| row["metric"].as_str().unwrap()).collect();
    assert!(
        metrics.iter().all(|metric| !metric.starts_with("mean_") && !metric.ends_with("_difference")),
        "{metrics:?}"
    );
    assert!(page.contains(&format!("{:.4}", accuracy["value"].as_f64().unwrap())));
    let quality = &told["pairs"][0]["quality"];
    assert_eq!(quality["counts"]["pairs"].as_i64().unwrap(), site.number("select count(*) from pairs").await);
    let shares =
        |of: &str| quality[of].as_array().unwrap().iter().map(|row| row["pairs"].as_i64().unwrap()).sum::<i64>();
    for of in ["repositories", "licences", "units", "models", "describers"] {
        assert_eq!(shares(of), quality["counts"]["pairs"].as_i64().unwrap(), "{of}");
    }
    let bars = quality["similarity"]["pairs"].as_array().unwrap().iter().map(|bar| bar.as_i64().unwrap()).sum::<i64>();
    assert_eq!(bars, quality["counts"]["pairs"].as_i64().unwrap());
    let auc = quality["length"]["auc"]["value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&auc));
    for id in ["results", "training", "pairs", "examples", "data", "costs", "stages"] {
        assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
    }
    assert!(page.matches("<svg").count() >= 5 && page.contains("<mark>"));
    assert!(
        told["trainings"].as_array().unwrap().len() == 3 && !told["training_curves"].as_array().unwrap().is_empty()
    );
    assert!(told["stages"].as_array().unwrap().iter().all(|stage| stage["fingerprint"].as_str().unwrap().len() == 32));
    assert!(told["definition"].as_str().unwrap().contains("kind = \"report\""));

    // Points of a curve, as a stage that draws one leaves them.
    sqlx::query(
        "insert into curve_points (stage_id, curve, arm, share, seed, pairs, data_mark, test_mark, metric, value, low, high, n,
             seconds)
         select (select stage_id from run_stages where name = 'accuracy'), 'sample_efficiency', arm, share, seed, 9, 'd', 't',
                'accuracy', 0.5 + share / 5 + seed * 0.01, 0.4, 0.9, 40, 1
         from unnest(array['pmp', 'fresh']) arm, unnest(array[0.1, 1.0]) share, generate_series(0, 2) seed",
    )
    .execute(site.pool())
    .await
    .unwrap();

    sqlx::query(
        "insert into curve_estimates (stage_id, arm, baseline, share, metric, value, low, high, n, points)
         select m.stage_id, 'pmp', 'fresh', 0.1, 'accuracy', 0.0125, -0.03, 0.05, 40, m.points || b.points
         from curve_means m, curve_means b where m.arm = 'pmp' and b.arm = 'fresh' and m.share = 0.1 and b.share = 0.1",
    )
    .execute(site.pool())
    .await
    .unwrap();

    // The command writes the same run, by its number and by its file.
    for (source, out) in [("1", "by-run"), ("pipeline.toml", "by-file")] {
        site.run(&["report", source, "--out", out]).await.with(0);
        let again: Value = serde_json::from_str(&site.read(&format!("{out}/report.json"))).unwrap();
        assert_eq!(again["measured"], told["measured"]);
        let curve = &again["curves"][0];
        assert_eq!((&curve["kind"], &curve["lines"][1]["name"]), (&"sample_efficiency".into(), &"pmp".into()));
        let point = &curve["lines"][1]["points"][0];
        let mean = point["y"].as_f64().unwrap();
        assert!((mean - 0.53).abs() < 1e-9 && point["low"].as_f64().unwrap() < mean && point["seeds"] == 3, "{point}");
        let differences = again["curve_differences"].as_array().unwrap();
        assert_eq!((differences.len(), &differences[0]["low"]), (1, &(-0.03).into()));
        let page = site.read(&format!("{out}/report.html"));
        assert!(page.contains("Sample efficiency: accuracy") && page.contains("0.0125"));
    }
    site.run(&["report", "99", "--out", "x"]).await.with(2);
    // The card beside the files is made of the same counts, and names of models are no markup in it.
    let card = site.read("out/README.md");
    let counts = &quality["counts"];
    assert!(card.contains(&format!("num_examples: {}", counts["train"])) && !card.contains("<script"), "{card}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_without_pairs_has_a_page_too() {
    let server = ModelServer::start(Duration::from_millis(1), hostile).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 2);
    site.write("pipeline.toml", pipeline(&server.url, 8));
    site.run(&["run", "pipeline.toml", "--select", "ingest,filter"]).await.with(0);
    site.run(&["report", "--out", "page"]).await.with(0);
    let page = site.read("page/report.html");
    assert!(page.contains("<section id=\"stages\">") && !page.contains("<section id=\"pairs\">"));
    assert!(page.contains("skipped"), "{page}");
}
