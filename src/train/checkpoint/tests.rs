//! Checkpoints against torn saves, full disks and other runs.

use std::fs;
use std::path::Path;

use super::keep::{keep, remove_all};
use super::*;
use crate::nn::{ModelConfig, Parameter, Preset};
use crate::train::folder::disk::{FullAfter, LocalDisk};
use crate::train::{Schedule, TrainSettings};

/// Weights and moments that tell their step.
struct Numbered(u64);

impl Saving for Numbered {
    fn weights(&mut self, parameter: &Parameter) -> Result<Vec<f32>, Box<dyn std::error::Error + Send + Sync>> {
        Ok((0..parameter.elements()).map(|n| (self.0 * 1000 + n as u64) as f32).collect())
    }

    fn moments(&mut self, parameter: &Parameter) -> Result<[Vec<f32>; 2], Box<dyn std::error::Error + Send + Sync>> {
        Ok([vec![self.0 as f32; parameter.elements()], vec![-0.5 * self.0 as f32; parameter.elements()]])
    }
}

fn config() -> ModelConfig {
    Preset::Tiny.config(32)
}

fn state(step: u64) -> RunState {
    let settings = TrainSettings::default();
    RunState {
        form: state::FORM,
        step,
        epoch_steps: 7,
        pairs: step * 16,
        tokens: step * 1600,
        schedule: Schedule { total_steps: 100, ..settings.schedule(100, 128) },
        fingerprint: settings.fingerprint(),
        settings,
        data: "data".to_owned(),
        model: "model".to_owned(),
        base: Some("base".to_owned()),
    }
}

fn put(disk: &dyn crate::train::folder::Disk, out: &Path, step: u64) -> Result<std::path::PathBuf, CheckpointError> {
    save(disk, out, &config(), out, &state(step), &mut Numbered(step))
}

fn steps(out: &Path) -> Vec<u64> {
    checkpoints(out).unwrap().into_iter().map(|(step, _)| step).collect()
}

/// Every file of a folder with its bytes.
fn content(folder: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name(), fs::read(entry.path()).unwrap())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn a_checkpoint_is_read_back_as_it_was_saved() {
    let out = tempfile::tempdir().unwrap();
    let path = put(&LocalDisk, out.path(), 3).unwrap();
    let mut checkpoint = Checkpoint::open(&path).unwrap();
    assert_eq!(checkpoint.state, state(3));
    for parameter in config().parameters() {
        let weights = Numbered(3).weights(&parameter).unwrap();
        assert_eq!(checkpoint.model.read(&parameter, 0).unwrap(), weights, "{}", parameter.name);
        assert_eq!(checkpoint.moments(&parameter).unwrap(), Numbered(3).moments(&parameter).unwrap());
    }
}

#[test]
fn a_disk_that_fills_up_at_any_file_leaves_the_former_checkpoint_whole() {
    let out = tempfile::tempdir().unwrap();
    let former = put(&LocalDisk, out.path(), 1).unwrap();
    let before = content(&former);
    let all: u64 = before.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut failed = 0;
    for room in [0, 10, 700, 100_000, all / 3 + 100, all / 2, all - 300, all - 1] {
        // The same step again, too: a save never touches what it replaces before it is whole.
        for step in [1, 2] {
            let error = put(&FullAfter::new(room), out.path(), step).unwrap_err().to_string();
            assert!(error.contains("what was there before is as it was"), "{error}");
            failed += 1;
        }
        assert_eq!(steps(out.path()), [1]);
        assert!(content(&former) == before, "room for {room}");
        assert_eq!(fs::read_dir(out.path().join(FOLDER)).unwrap().count(), 1, "litter with room for {room}");
    }
    assert_eq!(failed, 16);
    put(&FullAfter::new(2 * all), out.path(), 2).unwrap();
    assert_eq!(steps(out.path()), [1, 2]);
}

#[test]
fn a_torn_folder_of_a_killed_save_is_no_checkpoint_and_is_cleared_by_the_next() {
    let out = tempfile::tempdir().unwrap();
    put(&LocalDisk, out.path(), 1).unwrap();
    let torn = out.path().join(FOLDER).join(".partial-step-00000002");
    fs::create_dir(&torn).unwrap();
    fs::write(torn.join(STATE), "{").unwrap();
    assert_eq!(newest(out.path()).unwrap().unwrap().0, 1);
    put(&LocalDisk, out.path(), 2).unwrap();
    assert!(!torn.exists());
    assert_eq!(steps(out.path()), [1, 2]);
}

#[test]
fn the_newest_and_those_for_good_are_kept_and_the_rest_goes() {
    let out = tempfile::tempdir().unwrap();
    for step in 1..=6 {
        put(&LocalDisk, out.path(), step).unwrap();
    }
    keep(out.path(), 2, &[2, 3].into()).unwrap();
    assert_eq!(steps(out.path()), [2, 3, 5, 6]);
    keep(out.path(), 9, &[].into()).unwrap();
    assert_eq!(steps(out.path()), [2, 3, 5, 6]);
    remove_all(out.path()).unwrap();
    assert_eq!(steps(out.path()), [0_u64; 0]);
    assert_eq!(newest(out.path()).unwrap(), None);
}

#[test]
fn a_damaged_checkpoint_says_which_file() {
    let out = tempfile::tempdir().unwrap();
    let path = put(&LocalDisk, out.path(), 1).unwrap();
    let optimizer = path.join(OPTIMIZER);
    let bytes = fs::read(&optimizer).unwrap();
    fs::write(&optimizer, &bytes[..bytes.len() - 5]).unwrap();
    let error = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.contains("optimizer.safetensors") && error.contains("damaged"), "{error}");
    fs::write(&optimizer, fs::read(path.join("model.safetensors")).unwrap()).unwrap();
    let error = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.contains("missing: first.model.embed_tokens.weight"), "{error}");
    let text = fs::read_to_string(path.join(STATE)).unwrap();
    fs::write(path.join(STATE), text.replace("\"form\": 1", "\"form\": 99")).unwrap();
    let error = Checkpoint::open(&path).unwrap_err().to_string();
    assert!(error.contains("use the version that wrote it"), "{error}");
}

#[test]
fn another_run_is_told_by_its_settings_its_pairs_or_the_training_that_it_started_from() {
    let state = state(1);
    let same = TrainSettings { device: "cuda:0".to_owned(), ..state.settings.clone() };
    assert_eq!(state.difference(&same, "data", Some("base"), &[]), None);
    let other = TrainSettings { seed: 5, batch_pairs: 3, ..same.clone() };
    let told = state.difference(&other, "data", Some("base"), &[]).unwrap();
    assert!(told.contains("seed, batch_pairs"), "{told}");
    assert_eq!(state.difference(&other, "data", Some("base"), &["seed", "batch_pairs"]), None);
    assert!(state.difference(&same, "other", Some("base"), &[]).unwrap().contains("its pairs"));
    assert!(state.difference(&same, "data", Some("another"), &[]).unwrap().contains("model was trained anew"));
    assert_eq!(state.difference(&same, "data", None, &[]), None);
    let earlier = RunState { base: None, ..state };
    assert_eq!(earlier.difference(&same, "data", Some("another"), &[]), None);
}
