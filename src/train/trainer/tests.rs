//! Whole runs of a small model: stopped, resumed, fed what is not a number, on a disk that is full.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;
use crate::nn::Preset;
use crate::train::checkpoint::{self, CheckpointError};
use crate::train::data::{Pair, Truncation};
use crate::train::error::Quantity;
use crate::train::folder::disk::FullAfter;
use crate::train::{ScheduleKind, Start, StepMetrics, TrainSettings, fresh};

const TEXT: &str = "def add(first, second):\n    return first + second\n\n\ndef least(items):\n    return min(items)\n";

fn library_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(".codepmp")
}

struct Site {
    folder: TempDir,
    pairs: Vec<Pair>,
    held_out: Vec<Pair>,
    settings: TrainSettings,
}

fn pair(id: i64) -> Pair {
    Pair {
        id,
        prompt: format!("Write the function number {id}.\n"),
        chosen: format!("def f{id}(first):\n    return first + {id}\n"),
        rejected: format!("def f{id}(first):\n    pass\n"),
        margin: 0.0,
        repository: String::new(),
        split: None,
    }
}

/// Twenty pairs, in steps of four.
fn site() -> Site {
    let folder = TempDir::new().unwrap();
    let tokenizer = fresh::learn(std::iter::once(TEXT.to_owned()), 300).unwrap();
    fresh::create(Preset::Tiny, &tokenizer, 5, &folder.path().join("model")).unwrap();
    let settings = TrainSettings {
        batch_pairs: 4,
        max_length: 64,
        micro_tokens: 128,
        learning_rate: Some(2e-3),
        export_onnx: false,
        checkpoint_every: Some(2),
        ..TrainSettings::default()
    };
    Site { folder, pairs: (0..20).map(pair).collect(), held_out: (100..106).map(pair).collect(), settings }
}

impl Site {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Trains into `out`; stops once `last` steps are done in all.
    fn run_on(
        &self,
        disk: &dyn Disk,
        out: &str,
        start: &Start,
        last: u64,
    ) -> (Result<Trained, TrainError>, Vec<StepMetrics>) {
        let (model, out) = (self.path("model"), self.path(out));
        let job = TrainJob {
            settings: &self.settings,
            model: &model,
            out: &out,
            start,
            pairs: &self.pairs,
            held_out: &self.held_out,
            source: "a test",
        };
        let stop = CancellationToken::new();
        let mut steps = Vec::new();
        let mut told = |event| {
            if let TrainEvent::Step(metrics) = event {
                if metrics.step >= last {
                    stop.cancel();
                }
                steps.push(*metrics);
            }
        };
        let trained = train_on(disk, &job, &library_dir(), &mut told, &stop);
        (trained, steps)
    }

    fn run(&self, out: &str, start: &Start, last: u64) -> (Trained, Vec<StepMetrics>) {
        let (trained, steps) = self.run_on(&LocalDisk, out, start, last);
        (trained.unwrap(), steps)
    }

    fn refusal(&self, out: &str, start: &Start) -> TrainError {
        let (trained, steps) = self.run_on(&LocalDisk, out, start, u64::MAX);
        assert_eq!(steps.len(), 0);
        trained.unwrap_err()
    }

    fn weights(&self, out: &str) -> Vec<u8> {
        fs::read(self.path(out).join("model.safetensors")).unwrap()
    }
}

fn steps(out: &Path) -> Vec<u64> {
    checkpoint::checkpoints(out).unwrap().into_iter().map(|(step, _)| step).collect()
}

#[test]
fn a_run_that_was_stopped_and_resumed_ends_with_the_same_bytes_and_the_same_curve() {
    let mut site = site();
    site.settings.epochs = 2;
    let (whole, curve) = site.run("whole", &Start::Fresh, u64::MAX);
    assert!(whole.finished && whole.steps == 10 && whole.pairs == 40, "{whole:?}");
    let (first, began) = site.run("parts", &Start::Fresh, 3);
    assert!(!first.finished && first.steps == 3, "{first:?}");
    assert_eq!(steps(&site.path("parts")), [3], "the stop itself makes a checkpoint");
    assert!(!site.path("parts").join("model.safetensors").exists(), "a model that is not finished is not there");
    let (second, went_on) = site.run("parts", &Start::Resume, 7);
    assert!(!second.finished && second.steps == 7, "{second:?}");
    let (last, ended) = site.run("parts", &Start::Resume, u64::MAX);
    assert!(last.finished && last.pairs == 40 && last.tokens == whole.tokens, "{last:?}");
    let parts: Vec<_> = [began, went_on, ended].concat();
    let numbers = |steps: &[StepMetrics]| -> Vec<_> {
        steps.iter().map(|at| (at.step, at.loss, at.gradient_norm, at.learning_rate, at.accuracy)).collect()
    };
    assert_eq!(numbers(&parts), numbers(&curve));
    assert!(site.weights("parts") == site.weights("whole"), "the weights differ");
    assert_eq!(last.after, whole.after);
    assert!(whole.before.unwrap().rm_loss > whole.after.unwrap().rm_loss);
}

#[test]
fn a_run_that_is_stopped_before_its_first_step_writes_nothing() {
    let site = site();
    let (trained, steps) = site.run("out", &Start::Fresh, 0);
    assert_eq!(steps.len(), 1, "the token is cancelled in the first step");
    assert_eq!(trained.steps, 1);
    let stop = CancellationToken::new();
    stop.cancel();
    let (model, out) = (site.path("model"), site.path("early"));
    let job = TrainJob {
        settings: &site.settings,
        model: &model,
        out: &out,
        start: &Start::Fresh,
        pairs: &site.pairs,
        held_out: &[],
        source: "a test",
    };
    let trained = train(&job, &library_dir(), &mut |_| {}, &stop).unwrap();
    assert_eq!((trained.steps, trained.finished, trained.checkpoint), (0, false, None));
    assert_eq!(checkpoint::checkpoints(&out).unwrap(), []);
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_with_its_pairs_and_the_last_good_checkpoint() {
    let mut site = site();
    (site.settings.margin, site.settings.checkpoint_every) = (true, Some(1));
    site.pairs[13].margin = f32::NAN;
    let (trained, done) = site.run_on(&LocalDisk, "out", &Start::Fresh, u64::MAX);
    let Err(TrainError::NotFinite { what, value, step, pairs, checkpoint }) = trained else {
        panic!("{trained:?}");
    };
    assert!(what == Quantity::Loss && value.is_nan() && pairs.contains(&13) && pairs.len() <= 4, "{pairs:?}");
    assert_eq!(step, done.len() as u64 + 1);
    assert_eq!(
        checkpoint.as_deref(),
        done.last().map(|_| checkpoint::folder(&site.path("out"), done.len() as u64)).as_deref()
    );
    // With the pair mended the run is another one, and says so.
    site.pairs[13].margin = 0.5;
    if !done.is_empty() {
        let refused = site.refusal("out", &Start::Resume);
        assert!(matches!(refused, TrainError::Checkpoint(CheckpointError::OtherRun { .. })), "{refused}");
    }
}

#[test]
fn a_full_disk_ends_the_run_and_the_checkpoint_before_it_can_be_gone_on_from() {
    let site = site();
    let (_, whole) = site.run("whole", &Start::Fresh, u64::MAX);
    let measured = FullAfter::new(u64::MAX);
    let (_, _) = site.run_on(&measured, "measured", &Start::Fresh, 2);
    let one = u64::MAX - measured.1.get();
    let (ended, done) = site.run_on(&FullAfter::new(one + one / 2), "out", &Start::Fresh, u64::MAX);
    let error = ended.unwrap_err().to_string();
    assert!(error.contains("space") || error.contains("full"), "{error}");
    assert_eq!(done.len(), 4, "the second checkpoint did not fit");
    assert_eq!(steps(&site.path("out")), [2]);
    let (resumed, rest) = site.run("out", &Start::Resume, u64::MAX);
    assert!(resumed.finished && rest.first().unwrap().step == 3);
    assert_eq!(rest.last().unwrap().loss.to_bits(), whole.last().unwrap().loss.to_bits());
    assert!(site.weights("out") == site.weights("whole"));
}

#[test]
fn a_decay_starts_from_a_stable_checkpoint_and_falls_to_the_minimum() {
    let mut site = site();
    (site.settings.schedule, site.settings.epochs, site.settings.keep_last) = (Some(ScheduleKind::Constant), 4, 20);
    site.settings.checkpoint_every = Some(4);
    let (_, stable) = site.run("stable", &Start::Fresh, u64::MAX);
    let from = checkpoint::folder(&site.path("stable"), 12);
    site.settings.decay_share = 0.25;
    let (decayed, falling) = site.run("decayed", &Start::DecayFrom(from.clone()), u64::MAX);
    assert!(decayed.finished && falling.first().unwrap().step == 13, "{decayed:?}");
    let rates: Vec<f64> = falling.iter().map(|at| at.learning_rate).collect();
    assert!(rates.windows(2).all(|two| two[1] < two[0]) && rates[0] <= stable[12].learning_rate, "{rates:?}");
    assert_eq!(falling.len() as u64, decayed.total_steps - 12);
    assert_eq!(
        falling[0].loss.to_bits(),
        stable[12].loss.to_bits(),
        "the first step starts from the same weights, on the same pairs"
    );
    let refused =
        site.refusal("decayed-again", &Start::DecayFrom(checkpoint::folder(&site.path("decayed"), decayed.steps)));
    assert!(matches!(refused, TrainError::Checkpoint(CheckpointError::NotStable { .. })), "{refused}");
}

#[test]
fn what_cannot_be_trained_is_refused_before_a_step() {
    let mut site = site();
    let refused = site.refusal("out", &Start::Resume);
    assert!(matches!(refused, TrainError::Checkpoint(CheckpointError::None { .. })), "{refused}");
    site.settings.max_length = 5000;
    assert!(site.refusal("out", &Start::Fresh).to_string().contains("4096 positions"));
    site.settings.max_length = 4;
    let refused = site.refusal("out", &Start::Fresh);
    assert!(matches!(refused, TrainError::NoPairs { read: 20, too_long: 20, .. }), "{refused}");
    site.settings.max_length = 64;
    site.settings.device = "tpu:0".to_owned();
    let refused = site.refusal("out", &Start::Fresh).to_string();
    assert!(refused.contains("tpu"), "{refused}");
    assert!(!site.path("out").exists(), "nothing was written");
    site.settings.device = "cpu".to_owned();
    site.run("out", &Start::Fresh, 2);
    let refused = site.refusal("out", &Start::Fresh);
    assert!(matches!(refused, TrainError::Checkpoint(CheckpointError::Occupied { step: 2, .. })), "{refused}");
    site.settings.learning_rate = Some(1e-4);
    let refused = site.refusal("out", &Start::Resume).to_string();
    assert!(refused.contains("learning_rate"), "{refused}");
    let (again, _) = site.run("out", &Start::ResumeIfPossible, u64::MAX);
    assert!(again.finished && again.steps == 5, "another run starts anew: {again:?}");
}

#[test]
fn pairs_that_are_too_long_are_dropped_or_cut_as_the_settings_say_and_counted() {
    let mut site = site();
    site.pairs[3].prompt = "Write the function.\n".repeat(40);
    let (dropped, _) = site.run("dropped", &Start::Fresh, u64::MAX);
    site.settings.truncation = Truncation::CutPrompt;
    let (cut, _) = site.run("cut", &Start::Fresh, u64::MAX);
    assert_eq!((dropped.pairs, cut.pairs), (19, 20));
    let refused = site.refusal("dropped", &Start::Resume).to_string();
    assert!(refused.contains("truncation"), "{refused}");
}
