//! A benchmark's questions are asked of an endpoint, many times each, and best-of-N is measured on its answers.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::model::{ModelServer, Question, Reply};
use crate::site::{Site, watch};
use crate::training;

const QUESTIONS: usize = 6;
const SAMPLES: usize = 8;

const PIPELINE: &str = r#"
[endpoints.generator]
base_url = "URL"
model = "strong"
concurrency = 4
preflight_completion = false
price_input_per_million = 1.0
price_output_per_million = 2.0

[[stages]]
name = "questions"
kind = "questions"
data = "questions.jsonl"

[[stages]]
name = "samples"
kind = "generate"
needs = ["questions"]
endpoint = "generator"
samples = 8
sampling = { temperature = 0.7, seed = 1, max_tokens = 64 }
prompt.user = "Solve: {{ prompt }}"
"#;

const MEASURING: &str = r#"
[[stages]]
name = "reward"
kind = "train"
data = "pairs"
init = { preset = "tiny", vocab = 400 }
training = { objective = "rm", max_steps = 2, batch_pairs = 8, learning_rate = 3e-3, max_length = 128, export_onnx = false }

[[stages]]
name = "best"
kind = "evaluate"
needs = ["reward", "samples"]
metric = "best_of_n"
benchmark = { template = "Question: {{ prompt }}\nAnswer: " }
"#;

/// A file of questions, and the pipeline that asks them.
fn lay(site: &Site, url: &str, more: &str) {
    let question = |n: usize| json!({"id": format!("q{n}"), "prompt": format!("{n} + 1?"), "answer": n + 1});
    let lines: Vec<String> = (0..QUESTIONS).map(|n| question(n).to_string()).collect();
    site.write("questions.jsonl", lines.join("\n"));
    site.write("pipeline.toml", PIPELINE.replace("URL", url) + more);
}

fn dice(question: &Question) -> u8 {
    blake3::hash(question.reference.as_bytes()).as_bytes()[0]
}

/// Right about half the time.
fn half_right(question: &Question) -> Reply {
    let n: i64 = question.prompt.strip_prefix("Solve: ").unwrap().split(' ').next().unwrap().parse().unwrap();
    let said = if dice(question) < 128 { n + 1 } else { n + 2 };
    Reply::Text(format!("[{}] It is \\boxed{{{said}}}.", question.reference))
}

/// The same, but some answers to two of the questions are cut.
fn cut(question: &Question) -> Reply {
    let is_cut =
        (question.prompt.contains("3 +") || question.prompt.contains("4 +")) && dice(question).is_multiple_of(3);
    if is_cut { Reply::Cut("It is".to_owned()) } else { half_right(question) }
}

/// The value of the newest figure of this name.
async fn value(site: &Site, metric: &str) -> f64 {
    let query =
        "select value from evaluations where metric = $1 and training_run_id is not null and stage_id is not null
                 order by id desc limit 1";
    sqlx::query_scalar(query).bind(metric).fetch_one(site.pool()).await.unwrap()
}

const WANTED: i64 = (QUESTIONS * SAMPLES) as i64;

#[tokio::test(flavor = "multi_thread")]
async fn questions_are_sampled_kept_with_their_lineage_and_measured_with_what_failed() {
    let server = ModelServer::start(Duration::from_millis(1), cut).await;
    let site = training::site().await;
    lay(&site, &server.url, MEASURING);
    // Answers that are cut are rejected rows.
    let first = training::run(&site, "run pipeline.toml").await.with(1);
    let failed =
        site.number("select count(*) from rejections where class = 'truncated' and question_id is not null").await;
    assert!((1..10).contains(&failed), "{failed}");
    assert_eq!(site.number("select count(*) from samples").await, WANTED - failed);
    assert!(first.stdout.contains("truncated"), "{}", first.stdout);
    // Each leads back to its call and to the line of its question.
    let lineage = "select count(*) from sample_lineage l join llm_calls c on c.id = l.call_id
                   where l.model = 'strong' and trim(c.answer) = l.text and l.key = 'q' || (l.line - 1)
                     and l.file like '%questions.jsonl' and l.prompt = (l.line - 1) || ' + 1?' and l.sample < 8";
    assert_eq!(site.number(lineage).await, WANTED - failed);
    let counted = "select count(*) from question_samples where wanted = 8 and answered + failed = 8 and open = 0";
    assert_eq!(site.number(counted).await, QUESTIONS as i64);
    assert_eq!(site.number("select sum(failed)::bigint from question_samples").await, failed);

    // Chance and oracle follow from the samples alone; what failed is wrong.
    let right = "select count(*) from sample_lineage where position('{' || answer || '}' in text) > 0";
    let right = site.number(right).await;
    let known = "select count(distinct key) from sample_lineage where position('{' || answer || '}' in text) > 0";
    let known = site.number(known).await;
    assert!(right > 10 && known > 3, "{right} of {known}");
    for size in [1, 8] {
        let chance = value(&site, &format!("random@{size}")).await;
        assert!((chance - right as f64 / WANTED as f64).abs() < 1e-9, "{chance}, {right} of {WANTED}");
    }
    assert!((value(&site, "best_of_n@1").await - value(&site, "random@1").await).abs() < 1e-9);
    assert!((value(&site, "oracle@8").await - known as f64 / QUESTIONS as f64).abs() < 1e-9);
    let told = "select count(distinct metric) from evaluations where (details ->> 'failed_samples')::bigint > 0
                and metric ~ '^(best_of_n|majority|weighted_vote|oracle|random)@[1248]$'";
    assert_eq!(site.number(told).await, 20);
    assert_eq!(site.number("select min(n) from evaluations where stage_id is not null").await, QUESTIONS as i64);

    // Again is free, and nothing is left to be asked.
    let asked = server.requests();
    training::run(&site, "run pipeline.toml").await.with(1);
    let scored = site.number("select count(*) from scorings where stage_id is not null").await;
    assert_eq!((server.requests(), scored), (asked, 1));
    let plan = site.run(&["plan", "pipeline.toml", "--format", "json"]).await.with(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert!(plan["stages"].as_array().unwrap().iter().all(|stage| stage["state"] == "fresh"), "{plan}");
    assert_eq!(plan["estimate"]["calls"], 0);

    // What failed is asked for again alone, and measured anew.
    server.follow(half_right);
    training::run(&site, "retry 1 --class truncated").await.with(0);
    assert_eq!(i64::from(server.requests() - asked), failed);
    assert_eq!(site.number("select count(*) from samples").await, WANTED);
    let whole = "select count(*) from evaluations where metric = 'best_of_n@8' and details ->> 'failed_samples' = '0'";
    assert_eq!(site.number(whole).await, 1);
}

/// All samples: key, number and text.
async fn samples(site: &Site) -> Vec<(String, i32, String)> {
    let query = "select key, sample, text from sample_lineage order by 1, 2";
    sqlx::query_as(query).fetch_all(site.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampling_that_is_killed_goes_on_with_the_same_samples_and_pays_for_none_twice() {
    let server = ModelServer::start(Duration::from_millis(15), half_right).await;
    let calm = Site::new().await;
    lay(&calm, &server.url, "");
    calm.run(&["run", "pipeline.toml"]).await.with(0);
    let expected = samples(&calm).await;
    assert_eq!(expected.len(), QUESTIONS * SAMPLES);
    assert!(server.asked().values().all(|asked| asked.requests == 1), "each sample is a request of its own");

    let server = ModelServer::start(Duration::from_millis(15), half_right).await;
    let site = Site::new().await;
    lay(&site, &server.url, "");
    for _ in 0..3 {
        let until = server.answers() + 9;
        let mut child = site.start(&["run", "pipeline.toml"]);
        assert!(watch(&mut child, async || server.answers() >= until).await, "the program ended before the kill");
        child.kill().await.unwrap();
        while server.open() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    assert!(site.number("select count(*) from samples").await < WANTED);
    site.run(&["run", "pipeline.toml"]).await.with(0);
    assert_eq!(samples(&site).await, expected);
    // At each kill as many calls may have been in flight as are asked at once.
    let repeated: u32 = server.asked().values().map(|asked| asked.requests - 1).sum();
    assert!(repeated <= 3 * 4, "{repeated}");
    let twice = "select count(*) from (select from llm_calls where class = 'ok' group by input_id, sample having count(*) > 1) t";
    assert_eq!(site.number(twice).await, 0);
}

/// A program in a code block, right about half the time, and now and then no program at all.
fn programs(question: &Question) -> Reply {
    let name = question.prompt.split("assert ").nth(1).unwrap().split('(').next().unwrap();
    let body = match dice(question) {
        0..120 => "return 2 * x",
        120..220 => "return x",
        _ => "return 2 *",
    };
    Reply::Text(format!("Sample {}:\n```python\ndef {name}(x):\n    {body}\n```\n", question.reference))
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_an_endpoint_writes_are_run_against_the_tests_of_their_questions() {
    let server = ModelServer::start(Duration::from_millis(1), programs).await;
    let site = training::site().await;
    lay(&site, &server.url, MEASURING);
    // As MBPP is published; the second function has the name of a builtin.
    let questions = ["twice", "sum", "double"].into_iter().zip(900..).map(|(name, id)| {
        let tests = [format!("assert {name}(2) == 4"), format!("assert {name}(-1) == -2")];
        json!({"task_id": id, "text": "Write a function that gives twice a number.", "test_setup_code": "",
               "code": format!("def {name}(x):\r\n  return 2*x"), "test_list": tests, "challenge_test_list": []})
        .to_string()
    });
    site.write("questions.jsonl", questions.collect::<Vec<_>>().join("\n"));
    training::run(&site, "run pipeline.toml").await.with(0);
    let right = site.number("select count(*) from samples where text like '%return 2 * x%'").await;
    let all = 3 * SAMPLES as i64;
    assert!(right > 4 && right < all - 4, "{right}");
    let judged = "select count(*) from samples s join questions q on q.id = s.question_id
                  join evaluation_items i on i.key = q.key where i.correct[s.sample + 1] = (s.text like '%return 2 * x%')";
    assert_eq!(site.number(judged).await, all);
    assert!((value(&site, "random@8").await - right as f64 / all as f64).abs() < 1e-9);
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_are_estimated_from_the_file_and_limited_capped_and_told_apart_when_it_changes() {
    let server = ModelServer::start(Duration::from_millis(1), half_right).await;
    let site = training::site().await;
    lay(&site, &server.url, MEASURING);
    let estimate = async || {
        let plan = site.run(&["plan", "pipeline.toml", "--format", "json"]).await.with(0);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        plan["stages"].as_array().unwrap().iter().find(|row| row["name"] == "samples").unwrap()["estimate"].clone()
    };
    let before = estimate().await;
    assert_eq!(
        (&before["calls"], &before["prompts"], &before["at_least"]),
        (&json!(48), &json!("rows"), &json!(false))
    );
    assert_eq!(before["answer_tokens"], 48 * 64);
    let cost = before["microdollars"].as_i64().unwrap();
    assert!(cost > 48 * 64 * 2 && cost < 48 * 64 * 3, "{before}");

    // A cap holds for samples as for everything.
    let ended =
        site.run(&["run", "pipeline.toml", "--select", "questions,samples", "--max-tokens", "400"]).await.with(1);
    assert!(ended.stdout.contains("the cap is reached") || ended.stderr.contains("the cap is reached"), "{ended:?}");
    let some = site.number("select count(*) from samples").await;
    assert!(some > 0 && some < WANTED, "{some}");
    assert_eq!(estimate().await["calls"], WANTED - some);

    // Of a trial only the questions with all their samples are measured; the others are counted.
    site.run(&["run", "pipeline.toml", "--select", "samples", "--limit", "10"]).await.with(0);
    let whole = site.number("select count(*) from question_samples where open = 0").await;
    assert!(whole > 0 && whole < QUESTIONS as i64, "{whole}");
    training::run(&site, "run pipeline.toml --select reward,best").await.with(0);
    let counted =
        format!("select count(*) from scorings where items = {whole} and left_out = {}", QUESTIONS as i64 - whole);
    let counted: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(counted)).fetch_one(site.pool()).await.unwrap();
    assert_eq!(counted, 1);

    // A file may grow; it may not become another.
    let file = site.read("questions.jsonl");
    site.write("questions.jsonl", format!("{file}\n{}", json!({"id": "q6", "prompt": "6 + 1?", "answer": 7})));
    site.run(&["run", "pipeline.toml", "--select", "questions,samples"]).await.with(0);
    assert_eq!(site.number("select count(*) from samples").await, WANTED + SAMPLES as i64);
    site.write("questions.jsonl", file.replace("3 + 1?", "3 plus 1?"));
    let changed = site.run(&["run", "pipeline.toml", "--select", "questions"]).await.with(1);
    assert!(
        changed.stdout.contains("is not what it was") || changed.stderr.contains("is not what it was"),
        "{changed:?}"
    );
    assert_eq!(site.number("select count(*) from questions").await, 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_or_measured_is_refused_with_what_is_allowed() {
    let site = Site::new().await;
    lay(&site, "http://127.0.0.1:1/v1", MEASURING);
    site.run(&["validate", "pipeline.toml"]).await.with(0);
    let text = site.read("pipeline.toml");
    let another = "\n[[stages]]\nname = \"more\"\nkind = \"generate\"\nneeds = [\"questions\"]\nendpoint = \"generator\"\n\
                   prompt.user = \"{{ prompt }}\"\n";
    let pairs = "\n[[stages]]\nname = \"pairs\"\nkind = \"pair\"\nneeds = [\"samples\", \"more\"]\nchosen = \"samples\"\n\
                 rejected = \"more\"\n";
    let mistakes = [
        ("Solve: {{ prompt }}", "{{ answer }}", "unknown variable `answer`; allowed: prompt, subset", ""),
        ("samples = 8", "samples = 8\nrole = \"chosen\"", "answers to questions have none", ""),
        ("data = \"questions.jsonl\"", "data = \"questions.jsonl\"\nlimit = 0", "limit: is 0", ""),
        ("data = \"questions.jsonl\"", "data = \"questions.jsonl\"\nneeds = [\"reward\"]", "stands on no stage", ""),
        ("metric = \"best_of_n\"", "metric = \"accuracy\"", "accuracy cannot be measured on the answers", ""),
        ("metric = \"best_of_n\"", "metric = \"best_of_n\"\ndata = \"x.jsonl\"", "`data` names x.jsonl", ""),
        ("\"reward\", \"samples\"]", "\"reward\"]", "best_of_n is measured on a file", ""),
        (
            "\"reward\", \"samples\"]",
            "\"reward\", \"samples\", \"more\"]",
            "and there are `samples` and `more`",
            another,
        ),
        (
            "x",
            "x",
            "`samples` answers questions; pairs are made of answers to descriptions",
            &format!("{another}{pairs}"),
        ),
    ];
    for (old, new, says, more) in mistakes {
        site.write("wrong.toml", text.replacen(old, new, 1) + more);
        let ended = site.run(&["validate", "wrong.toml"]).await.with(2);
        assert!(ended.stderr.contains(says), "{new}: not {says:?} in {}", ended.stderr);
    }
    // Pairs are no questions, and a field that is wrong is named with its line.
    for (rows, says) in [
        ("{\"prompt\": \"p\", \"chosen\": \"a\", \"rejected\": \"b\"}", "rows of another kind"),
        (
            "{\"prompt\": \"p\", \"answer\": \"1\"}\n{\"prompt\": 5, \"answer\": \"1\"}",
            "questions.jsonl:2: field `prompt`",
        ),
    ] {
        site.write("questions.jsonl", rows);
        let ended = site.run(&["run", "pipeline.toml", "--select", "questions"]).await.with(1);
        assert!(ended.stdout.contains(says) || ended.stderr.contains(says), "not {says:?} in {ended:?}");
    }
    assert_eq!(site.number("select count(*) from questions").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_of_n_pipeline_runs_from_made_questions_to_its_page_on_the_simulator() {
    let site = Site::new().await;
    let made = "make-benchmark --out out/best-of-n/reasoning --seed 11 --train 40 --test 4 --questions 8 --samples 1";
    training::run(&site, made).await.with(0);
    let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/best-of-n.toml")).unwrap();
    site.write(
        "pipelines/best-of-n.toml",
        file.replace("samples = 64", "samples = 16").replace("epochs = 2", "max_steps = 2"),
    );
    training::run(&site, "run pipelines/best-of-n.toml").await.with(0);
    assert_eq!(site.number("select count(*) from samples").await, 8 * 16);
    let chance = value(&site, "random@16").await;
    assert!((0.2..0.7).contains(&chance), "{chance}");
    assert!(value(&site, "oracle@16").await > chance + 0.1 && value(&site, "best_of_n@16").await <= 1.0);
    let told: Value = serde_json::from_str(&site.read("out/best-of-n/report/report.json")).unwrap();
    assert!(told["curves"].to_string().contains("best_of_n"), "{}", told["curves"]);
    assert!(site.read("out/best-of-n/report/report.html").contains("best-of-n"));
}
