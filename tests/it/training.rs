//! Training from outside: `init`, `train`, `score`, `eval`, the stages of the same kinds, what they refuse, and a kill in
//! the middle.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::corpus;
use crate::site::{Ended, Site, finish, watch};

/// Pairs that a few words tell apart.
fn pairs(first: usize, count: usize) -> String {
    (first..first + count).fold(String::new(), |mut text, n| {
        let name = format!("count_orders_{n}");
        let pair = json!({
            "id": n, "prompt": format!("Write `{name}`.\n"), "repository": format!("repository-{}", n % 5),
            "chosen": format!("def {name}(orders):\n    return len(orders)\n"),
            "rejected": format!("def {name}(orders):\n    raise ValueError({n})\n"),
        });
        writeln!(text, "{pair}").unwrap();
        text
    })
}

/// Beside each test's own folder: where `make onnxruntime` has put the library, unless the environment names one.
fn library() -> Option<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".codepmp/onnxruntime");
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    files.into_iter().find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so")))
}

/// The program with the ONNX Runtime library that is there.
pub fn command(site: &Site, arguments: &[&str]) -> Command {
    let mut command = site.command(arguments);
    if std::env::var_os("ORT_DYLIB_PATH").is_none()
        && let Some(library) = library()
    {
        command.env("ORT_DYLIB_PATH", library);
    }
    command
}

/// Runs the program with these words as arguments.
pub async fn run(site: &Site, arguments: &str) -> Ended {
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    finish(command(site, &arguments).spawn().unwrap()).await
}

/// A folder with a fresh model of 300 tokens in `model`, 48 pairs in `train.jsonl` and 32 others in `test.jsonl`.
pub async fn site() -> Site {
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 2);
    site.write("pairs/train.jsonl", pairs(0, 48));
    site.write("pairs/test.jsonl", pairs(1000, 32));
    run(&site, "init --preset tiny --vocab 400 --corpus corpus --out model --seed 3").await.with(0);
    site
}

const TRAIN: &str = "train rm --data pairs --model model --out trained --epochs 4 --batch 8 --lr 3e-3 --max-length 128";

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_model_learns_an_easy_difference_and_scores_and_measures_it() {
    let site = site().await;
    let trained = run(&site, TRAIN).await.with(0);
    assert!(trained.stdout.contains("held-out accuracy 1.0000"), "{trained:?}");
    for file in ["config.json", "model.safetensors", "tokenizer.json", "training.json", "score.onnx"] {
        assert!(site.path("trained").join(file).exists(), "{file}");
    }
    assert_eq!(site.number("select count(*) from training_metrics").await, 24);
    assert_eq!(
        site.number(
            "select count(*) from training_runs where state = 'done' and objective = 'rm' and total_steps = 24"
        )
        .await,
        1
    );
    let measured = "select count(*) from evaluations e join training_runs t on t.id = e.training_run_id
                    where e.metric = 'accuracy' and e.value = 1 and e.low > 0.8 and e.high = 1 and e.n = 32";
    assert_eq!(site.number(measured).await, 1 + i64::from(trained.stdout.contains("before")));

    let found = run(&site, "eval accuracy --model trained --data pairs --json").await.with(0);
    let found: Value = serde_json::from_str(&found.stdout).unwrap();
    let estimate = &found["evaluation"]["accuracy"];
    assert_eq!((estimate["value"].as_f64(), estimate["n"].as_u64()), (Some(1.0), Some(32)), "{found}");

    run(&site, "score --model trained --input pairs/test.jsonl --output scored.jsonl").await.with(0);
    let scored: Vec<Value> =
        site.read("scored.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(scored.len(), 32);
    for (n, row) in scored.iter().enumerate() {
        assert_eq!(row["id"], json!(1000 + n), "the order of the input is kept");
        assert!(row["reward_chosen"].as_f64().unwrap() > row["reward_rejected"].as_f64().unwrap(), "{row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_json_lines_tell_what_machines_want_and_no_db_leaves_the_database_alone() {
    let site = site().await;
    let dry = run(&site, &format!("{TRAIN} --dry-run --json --no-db")).await.with(0);
    let plan: Value = serde_json::from_str(&dry.stdout).unwrap();
    assert_eq!((&plan["plan"]["total_steps"], &plan["plan"]["pairs"]), (&json!(24), &json!(48)), "{plan}");
    assert!(!site.path("trained").exists());
    let trained = run(&site, &format!("{TRAIN} --json --no-db --held-out 0 --max-steps 3")).await.with(0);
    let events: Vec<Value> = trained.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps: Vec<_> = events.iter().filter(|event| event["event"] == "step").collect();
    assert_eq!(steps.len(), 3, "{events:?}");
    assert!(steps.iter().all(|step| step["loss"].as_f64().unwrap() > 0.0 && step["tokens"].as_u64().unwrap() > 100));
    assert_eq!(events.last().unwrap()["event"], "trained");
    assert_eq!(site.number("select count(*) from training_runs").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_trained_on_is_refused_with_its_reason() {
    let site = site().await;
    site.write("empty.jsonl", pairs(0, 1).replace("def count_orders_0(orders):\\n    return len(orders)\\n", " "));
    site.write("long.jsonl", pairs(0, 1).replace("return len", &"again ".repeat(300)));
    site.write("broken.jsonl", "{\"prompt\": \"p\", \"chosen\": \"c\"}\n");
    let copy = |name: &str| {
        for file in std::fs::read_dir(site.path("model")).unwrap().flatten() {
            site.write(&format!("{name}/{}", file.file_name().to_string_lossy()), std::fs::read(file.path()).unwrap());
        }
    };
    copy("truncated");
    let weights = std::fs::read(site.path("model/model.safetensors")).unwrap();
    site.write("truncated/model.safetensors", &weights[..weights.len() / 2]);
    copy("other");
    let config = site.read("other/config.json");
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["vocab_size"] = json!(100);
    site.write("other/config.json", config.to_string());

    // What is given in place of what is right, the exit code, and what the message says.
    let cases = [
        ("--data pairs", "--data empty.jsonl", 2, "empty"),
        ("--data pairs", "--data long.jsonl", 2, "max_length"),
        ("--data pairs", "--data broken.jsonl", 2, "broken.jsonl:1: field `rejected` is missing"),
        ("--data pairs", "--data nowhere.jsonl", 2, "nowhere.jsonl"),
        ("--data pairs", "--data nothing", 2, "no run of a pipeline called nothing"),
        ("--model model", "--model nowhere", 2, "nowhere"),
        ("--model model", "--model truncated", 2, "truncated/model.safetensors"),
        ("--model model", "--model other", 2, "other"),
        ("--batch 8", "--device cuda:9", 2, "cuda:9"),
        ("--batch 8", "--device tpu", 2, "tpu"),
        ("--batch 8", "--set centre=1", 2, "unknown field `centre`"),
        ("--lr 3e-3", "--lr 0", 2, "learning_rate"),
        ("--epochs 4", "--resume", 2, "checkpoint"),
    ];
    for (right, wrong, code, says) in cases {
        let arguments = TRAIN.replace(right, wrong);
        assert_ne!(arguments, TRAIN);
        let ended = run(&site, &arguments).await;
        assert_eq!(ended.code, Some(code), "{wrong}: {ended:?}");
        assert!(ended.stderr.contains(says), "{wrong}: not {says:?} in {}", ended.stderr);
        assert!(!site.path("trained/config.json").exists(), "{wrong}");
    }
    run(&site, "eval accuracy --model nowhere --data pairs").await.with(2);
    run(&site, "score --model model --input nowhere.jsonl --output scored.jsonl").await.with(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_training_goes_on_and_ends_as_one_that_was_left_alone() {
    let site = site().await;
    let longer = TRAIN.replace("--epochs 4", "--epochs 8 --checkpoint-every 2 --threads 1");
    run(&site, &longer.replace("trained", "alone")).await.with(0);
    let arguments: Vec<&str> = longer.split_whitespace().collect();
    let mut child = command(&site, &arguments).spawn().unwrap();
    let steps = "select count(*) from training_metrics m join training_runs t on t.id = m.training_run_id
                 where t.name = 'trained'";
    assert!(watch(&mut child, async || site.number(steps).await >= 7).await, "it ended before it could be killed");
    child.kill().await.unwrap();
    let refused = finish(command(&site, &arguments).spawn().unwrap()).await.with(2);
    assert!(refused.stderr.contains("--resume"), "{refused:?}");
    let resumed = run(&site, &format!("{longer} --resume")).await.with(0);
    assert!(resumed.stdout.contains("48 of 48 steps"), "{resumed:?}");
    let weights = |name: &str| std::fs::read(site.path(name).join("model.safetensors")).unwrap();
    assert!(weights("trained") == weights("alone"), "the weights differ");
    let curves = "select count(*) from training_metrics a join training_metrics b using (step)
                  join training_runs t on t.id = a.training_run_id and t.name = 'alone'
                  join training_runs u on u.id = b.training_run_id and u.name = 'trained' and u.state = 'done'
                  where a.loss = b.loss and a.gradient_norm = b.gradient_norm";
    assert_eq!(site.number(curves).await, 48);
    assert_eq!(site.number("select count(*) from training_runs where state = 'done'").await, 2);
    assert_eq!(site.number("select count(*) from training_runs where state = 'failed'").await, 1, "the refused one");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_stay_at_geometric_steps_and_a_decay_from_one_of_them_makes_a_model() {
    let site = site().await;
    let stable =
        TRAIN.replace("trained", "stable") + " --schedule wsd --set geometric_first=3 --set geometric_factor=2";
    run(&site, &format!("{stable} --set export_onnx=false --no-db")).await.with(0);
    let mut kept: Vec<String> = std::fs::read_dir(site.path("stable/checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    // The wsd schedule begins to fall after step 22; the last checkpoint is the run's own.
    assert_eq!(kept, ["step-00000003", "step-00000006", "step-00000012", "step-00000024"]);
    let decay = TRAIN.replace("trained", "decayed") + " --schedule wsd --decay 0.25 --no-db --json";
    let apart = "--set onnx_single_file_bytes=0 --decay-from stable/checkpoints/step-00000006";
    let decayed = run(&site, &format!("{decay} {apart}")).await.with(0);
    let steps: Vec<Value> = (decayed.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()))
        .filter(|event| event["event"] == "step")
        .collect();
    let told = |key: &str| steps.iter().map(|step| step[key].clone()).collect::<Vec<_>>();
    assert_eq!((told("step"), told("phase")), (vec![json!(7), json!(8)], vec![json!("decay"); 2]), "{decayed:?}");
    assert!(site.path("decayed/score.onnx").exists() && site.path("decayed/score.onnx.data").exists());
    let other = decay.replace("decayed", "other");
    let falling = run(&site, &format!("{other} --decay-from stable/checkpoints/step-00000024")).await.with(2);
    assert!(falling.stderr.contains("stable"), "{falling:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bf16_is_refused_on_the_cpu_and_its_numbers_are_to_be_had_on_f32_kernels() {
    let site = site().await;
    let refused = run(&site, &format!("{TRAIN} --precision bf16 --no-db")).await.with(2);
    assert!(refused.stderr.contains("bf16_emulated"), "{refused:?}");
    let trained =
        run(&site, &format!("{TRAIN} --precision bf16-emulated --no-db --set export_onnx=false")).await.with(0);
    assert!(trained.stdout.contains("held-out accuracy 1.0000"), "{trained:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_which_library_and_devices_it_sees_and_a_plugin_that_is_none_is_refused() {
    let site = Site::new().await;
    let told = run(&site, "doctor").await;
    assert!(told.stdout.contains("ONNX Runtime") && told.stdout.contains("cpu (CPUExecutionProvider)"), "{told:?}");
    site.write("plugin.so", "none");
    let mut doctor = command(&site, &["doctor"]);
    let told = finish(doctor.env("CODEPMP_ORT_PLUGINS", site.path("plugin.so")).spawn().unwrap()).await.with(1);
    assert!(told.stdout.contains("plugin.so is not a usable plugin"), "{told:?}");
}

const PIPELINE: &str = r#"
[[stages]]
name = "pretrained"
kind = "train"
data = "pairs"
init = { preset = "tiny", vocab = 400 }
training = { epochs = 2, batch_pairs = 8, learning_rate = 3e-3, max_length = 128, export_onnx = false }

[[stages]]
name = "finetuned"
kind = "train"
needs = ["pretrained"]
model = "pretrained"
data = "pairs"
pairs = { limit = 24 }
seeds = 2
training = { objective = "rm", batch_pairs = 8, learning_rate = 1e-3, max_length = 128, export_onnx = false }

[[stages]]
name = "accuracy"
kind = "evaluate"
needs = ["pretrained", "finetuned"]
data = "pairs"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn stages_train_from_each_other_and_print_what_was_measured_and_do_nothing_twice() {
    let site = site().await;
    site.write("pipeline.toml", PIPELINE);
    let first = run(&site, "run pipeline.toml").await.with(0);
    assert!(first.stdout.contains("Measured on held-out pairs") && first.stdout.contains("mean of 2"), "{first:?}");
    let counts = "select 100 * (select count(*) from training_runs where state = 'done') + count(*) from evaluations
                  where stage_id is not null";
    assert_eq!(site.number(counts).await, 304);
    let based = "select count(*) from training_runs t join training_runs b on b.id = t.base_training_run_id
                 where b.name = 'pretrained' and t.name = 'finetuned'";
    assert_eq!(site.number(based).await, 2);
    let steps = site.number("select count(*) from training_metrics").await;
    assert_eq!(steps, 12 + 2 * 3);
    let second = run(&site, "run pipeline.toml").await.with(0);
    assert_eq!(site.number(counts).await, 304, "{second:?}");
    assert_eq!(site.number("select count(*) from training_metrics").await, steps);
    let plan = run(&site, "plan pipeline.toml --format json").await.with(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    for stage in plan["stages"].as_array().unwrap() {
        assert_eq!(stage["state"], "fresh", "{stage}");
    }
    // Another rate for the second stage leaves the first as it is.
    site.write("pipeline.toml", PIPELINE.replace("learning_rate = 1e-3", "learning_rate = 2e-3"));
    run(&site, "run pipeline.toml").await.with(0);
    assert_eq!(site.number("select count(*) from training_runs where name = 'pretrained'").await, 1);
    assert_eq!(site.number("select count(*) from training_runs where name = 'finetuned'").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_is_trained_anew_when_the_one_that_it_starts_from_was() {
    let site = site().await;
    site.write("others/train.jsonl", pairs(2000, 24));
    let own = |pipeline: &str| {
        pipeline.replace("model = \"pretrained\"\ndata = \"pairs\"", "model = \"pretrained\"\ndata = \"others\"")
    };
    site.write("pipeline.toml", own(PIPELINE));
    run(&site, "run pipeline.toml").await.with(0);
    let trained = "select 10 * count(*) filter (where name = 'pretrained') + count(*) filter (where name = 'finetuned')
                   from training_runs where state = 'done'";
    assert_eq!(site.number(trained).await, 12);
    site.write("pairs/train.jsonl", pairs(0, 56));
    run(&site, "run pipeline.toml").await.with(0);
    assert_eq!(site.number(trained).await, 24);
    let newest = "select count(*) from training_runs t join training_runs b on b.id = t.base_training_run_id
                  where t.name = 'finetuned' and b.id = (select max(id) from training_runs where name = 'pretrained')
                  and exists (select from evaluations e where e.training_run_id = t.id and e.stage_id <> t.stage_id)";
    assert_eq!(site.number(newest).await, 2);
    run(&site, "run pipeline.toml").await.with(0);
    assert_eq!(site.number(trained).await, 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_training_stages_are_refused_with_what_is_allowed() {
    let site = Site::new().await;
    site.write("right.toml", PIPELINE);
    run(&site, "validate right.toml").await.with(0);
    let mistakes = [
        ("model = \"pretrained\"\n", "", "neither `model` nor `init`"),
        ("model = \"pretrained\"", "model = \"elsewhere\"", "neither `model` nor `init.tokenizer` names `pretrained`"),
        ("epochs = 2", "epoch = 2", "unknown field `epoch`"),
        ("epochs = 2", "epochs = 0", "epochs"),
        ("limit = 24", "limit = 0", "limit is 0"),
        ("seeds = 2", "seeds = 0", "seeds"),
        ("data = \"pairs\"\ninit", "init", "it has no pairs"),
        (
            "kind = \"evaluate\"\nneeds = [\"pretrained\", \"finetuned\"]",
            "kind = \"evaluate\"",
            "at least one train stage",
        ),
    ];
    for (old, new, says) in mistakes {
        let wrong = PIPELINE.replacen(old, new, 1);
        assert_ne!(wrong, PIPELINE, "{old}");
        site.write("wrong.toml", wrong);
        let ended = run(&site, "validate wrong.toml").await.with(2);
        assert!(ended.stderr.contains(says), "{new}: not {says:?} in {}", ended.stderr);
    }
}
