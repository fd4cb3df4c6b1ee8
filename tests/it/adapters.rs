//! Benchmarks' files as published, from outside: trained on, turned into files of pairs, and refused where they are none.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::site::Site;
use crate::training::{run, site};

/// Solutions of Math-Shepherd: of each problem two right ones and one wrong one, the rows of all problems mixed.
fn shepherd(problems: usize) -> String {
    let mark = "\u{43a}\u{438}";
    let row = |n: usize, sum: usize, sign: char| {
        let (asked, steps) = (format!("What is {n} plus 1?"), format!("Step 1: It is {sum}. The answer is: {sum}"));
        json!({ "input": format!("{asked} {steps} {mark}"), "label": format!("{asked} {steps} {sign}"), "task": "GSM8K" })
    };
    let rounds = [(1, '+'), (7, '-'), (1, '+')];
    let all = rounds.into_iter().flat_map(|(more, sign)| (0..problems).map(move |n| row(n, n + more, sign)));
    all.fold(String::new(), |mut text, row| {
        writeln!(text, "{row}").unwrap();
        text
    })
}

const TRAIN: &str = "train rm --data shepherd.jsonl --format math-shepherd --model model --out trained --batch 8 --lr 3e-3 \
                     --max-length 128 --set export_onnx=false";

#[tokio::test(flavor = "multi_thread")]
async fn a_reward_model_is_finetuned_on_a_benchmark_as_published_and_what_was_left_out_is_told() {
    let site = site().await;
    site.write("shepherd.jsonl", shepherd(24));
    let trained = run(&site, TRAIN).await.with(0);
    let told = "left out: 24 rows (no wrong solution to compare with), the first shepherd.jsonl:49";
    assert!(trained.stdout.contains(told), "{trained:?}");
    let kept = "select count(*) from training_runs where state = 'done' and pairs_train = 24
                and data = 'shepherd.jsonl (math-shepherd)'";
    assert_eq!(site.number(kept).await, 1);

    // The same by a pipeline, with a template, which makes other pairs of the file.
    let pipeline = r#"
[[stages]]
name = "reward"
kind = "train"
data = "shepherd.jsonl"
format = "math-shepherd"
init = { preset = "tiny", vocab = 400 }
pairs = { repositories = ["GSM8K"] }
training = { objective = "rm", batch_pairs = 8, max_length = 128, max_steps = 2, export_onnx = false }
"#;
    site.write("pipeline.toml", pipeline);
    run(&site, "run pipeline.toml").await.with(0);
    let template = "format = \"math-shepherd\"\ntemplate = \"Question: {{ prompt }}Answer: \"";
    site.write("pipeline.toml", pipeline.replace("format = \"math-shepherd\"", template));
    run(&site, "run pipeline.toml").await.with(0);
    assert_eq!(site.number("select count(*) from training_runs where pairs_train = 24").await, 3);
    assert_eq!(site.number("select count(distinct data_mark) from training_runs").await, 2);

    for (old, new, says) in [
        ("data = \"shepherd.jsonl\"\n", "", "format: is of a file, and `data` names none"),
        (
            "\"math-shepherd\"",
            "\"gsm8k\"",
            "gsm8k has questions, which stand for no pairs; formats that do: pairs, options",
        ),
        ("\"math-shepherd\"", "\"shepherd\"", "unknown variant `shepherd`"),
        ("format = \"math-shepherd\"", "template = \"x\"", "template: is for benchmarks, and `format` names none"),
        ("\"math-shepherd\"", "\"math-shepherd\"\ntemplate = \"{{ question }}\"", "unknown variable `question`"),
    ] {
        site.write("wrong.toml", pipeline.replacen(old, new, 1));
        let ended = run(&site, "validate wrong.toml").await.with(2);
        assert!(ended.stderr.contains(says), "{new}: not {says:?} in {}", ended.stderr);
    }
    // Without the format, the file is refused with the one that it looks like; a broken row with its place.
    let plain = run(&site, &TRAIN.replace(" --format math-shepherd", "")).await.with(2);
    assert!(plain.stderr.contains("its fields are those of math-shepherd: say so with --format"), "{plain:?}");
    site.write("shepherd.jsonl", shepherd(2) + "{\"input\": 5, \"label\": \"\", \"task\": \"GSM8K\"}\n");
    let broken = run(&site, TRAIN).await.with(2);
    assert!(broken.stderr.contains("shepherd.jsonl:7: field `input` is a number, but must be a text"), "{broken:?}");
}

/// The rows of a file of JSON lines.
fn rows(site: &Site, name: &str) -> Vec<Value> {
    site.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_becomes_files_of_pairs_that_know_their_lines() {
    let site = site().await;
    site.write("shepherd.jsonl", shepherd(40));
    let convert = "convert-benchmark shepherd.jsonl --out shepherd --test-share 0.25 --json";
    let told: Value = serde_json::from_str(&run(&site, convert).await.with(0).stdout).unwrap();
    let told = &told["converted"];
    let (train, test) = (rows(&site, "shepherd/train.jsonl"), rows(&site, "shepherd/test.jsonl"));
    assert_eq!((told["format"].as_str(), told["train"].as_u64()), (Some("math-shepherd"), Some(train.len() as u64)));
    assert!(train.len() + test.len() == 40 && test.len() > 2, "{told}");
    assert_eq!(told["left_out"][0]["rows"], 40);
    let lines = site.read("shepherd.jsonl");
    let lines: Vec<&str> = lines.lines().collect();
    for row in train.iter().chain(&test) {
        let side = |line: &str, sign: char| {
            let source: Value = serde_json::from_str(lines[row[line].as_u64().unwrap() as usize - 1]).unwrap();
            assert!(source["label"].as_str().unwrap().ends_with(sign), "{row}");
            source["input"].as_str().unwrap().to_owned()
        };
        assert!(side("line", '+').contains(row["chosen"].as_str().unwrap()), "{row}");
        assert!(side("rejected_line", '-').contains(row["rejected"].as_str().unwrap()), "{row}");
        assert_eq!((&row["file"], &row["subset"]), (&json!("shepherd.jsonl"), &json!("GSM8K")));
    }
    let note: Value = serde_json::from_str(&site.read("shepherd/conversion.json")).unwrap();
    assert_eq!((&note["converted"], &note["test_share"]), (told, &json!(0.25)));

    // The folder is trained on as one that `export` wrote, in each of the formats.
    for form in ["jsonl.zst", "parquet"] {
        run(&site, &format!("{convert} --as {form} --out {form}").replace("--out shepherd ", "")).await.with(0);
        let train_on = format!(
            "train rm --data {form} --model model --out trained-{form} --max-length 128 --dry-run --json --no-db"
        );
        let plan: Value = serde_json::from_str(&run(&site, &train_on).await.with(0).stdout).unwrap();
        assert_eq!(plan["plan"]["pairs"].as_u64(), Some(train.len() as u64), "{plan}");
    }
    let stale = run(&site, "convert-benchmark shepherd.jsonl --out shepherd").await.with(2);
    assert!(stale.stderr.contains("shepherd/test.jsonl is of another conversion"), "{stale:?}");

    let fixture = |name: &str| format!("{}/fixtures/benchmarks/{name}", env!("CARGO_MANIFEST_DIR"));
    for (name, pairs, more) in [
        ("logiqa2.txt", 3, "held out"),
        ("code-ultra-feedback.jsonl", 1, "left out: 1 rows (all responses have one rating)"),
        ("reward-bench-2.jsonl", 18, "reward-bench-2.jsonl (reward-bench-2): 18 pairs for training"),
        ("pairs.jsonl", 2, "(pairs)"),
    ] {
        let out = format!("out-{name}");
        let ended = run(&site, &format!("convert-benchmark {} --out {out}", fixture(name))).await.with(0);
        assert!(ended.stdout.contains(more), "{ended:?}");
        assert_eq!(rows(&site, &format!("{out}/train.jsonl")).len(), pairs, "{name}");
    }
    for (arguments, says) in [
        (fixture("gsm8k.jsonl"), "gsm8k has questions, which stand for no pairs"),
        (fixture("pairs.jsonl") + " --format reclor", "pairs.jsonl:1: field `answers` is missing"),
        ("nowhere.jsonl".to_owned(), "nowhere.jsonl"),
        (fixture("logiqa2.txt") + " --test-share 1", "--test-share is 1, but must be 0 or more and below 1"),
        (fixture("logiqa2.txt") + " --template {{question}}", "unknown variable `question`; allowed: prompt"),
    ] {
        let ended = run(&site, &format!("convert-benchmark {arguments} --out refused")).await.with(2);
        assert!(ended.stderr.contains(says), "{arguments}: not {says:?} in {}", ended.stderr);
        assert!(!site.path("refused/train.jsonl").exists(), "{arguments}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pairs_of_a_file_are_compared_with_evaluation_sets_before_they_are_trained_on() {
    let site = Site::new().await;
    let asked = "A train leaves the town at noon with nine wagons, and loses two of them at each of three stops; how many are left?";
    let row = |steps: &str, sign: &str, mark: &str| format!("{asked} Step 1: {steps} The answer is: {sign} {mark}");
    let shepherd = [("9 - 6 = 3.", "3", "+"), ("9 - 2 = 7.", "7", "-")].map(|(steps, answer, sign)| {
        let (input, label) = (row(steps, answer, "\u{43a}\u{438}"), row(steps, answer, sign));
        json!({ "input": input, "label": label, "task": "GSM8K" }).to_string() + "\n"
    });
    site.write("shepherd.jsonl", shepherd.concat());
    let question = json!({ "question": asked, "answer": "Nine less six is three. #### 3" });
    site.write("gsm8k.jsonl", format!("{{\"question\": \"1 + 1?\", \"answer\": \"#### 2\"}}\n{question}\n"));
    let compare = "contamination --data shepherd.jsonl --format math-shepherd --set gsm8k.jsonl:gsm8k";
    let told = run(&site, &format!("{compare} --json")).await.with(0).stdout;
    let rows: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |row: &Value| (row["pair_id"].clone(), row["text"].clone(), row["item"].clone(), row["field"].clone());
    assert!(rows.iter().all(|row| said(row) == (json!(0), json!("prompt"), json!("1"), json!("question"))), "{told}");
    assert!(rows.iter().any(|row| row["class"] == "near_duplicate") && rows.iter().any(|row| row["class"] == "ngram"));
    let table = run(&site, compare).await.with(0).stdout;
    assert!(table.contains("1 of 1 pairs of shepherd.jsonl (math-shepherd) overlap with them"), "{table}");
    let other = run(&site, &compare.replace(":gsm8k", ":math")).await.with(2);
    assert!(other.stderr.contains("gsm8k.jsonl:1: field `problem` is missing"), "{other:?}");
}
