//! The engine against numbers that PyTorch and `transformers` gave: `fixtures/parity/record.py`.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::graph::{Graph, Type};
use crate::nn::{language_model, score_model};
use crate::runtime::Tensor;
use crate::runtime::testing::runtime;
use crate::train::data::{BatchSettings, Layout, Tokenised, step_batches};
use crate::train::folder::{ModelFolder, TensorFile};

const CASES: [&str; 5] = [
    "qwen2-tied-grouped",
    "qwen2-untied-grouped",
    "qwen2-tied-ungrouped",
    "llama-untied-grouped",
    "mistral-untied-window",
];

/// Relative, to the greatest number of what is compared.
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Recorded {
    pairs: Vec<RecordedPair>,
    rate: f64,
    beta1: f32,
    beta2: f32,
    epsilon: f32,
    decay: f32,
    clip: f64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct RecordedPair {
    prompt: Vec<u32>,
    chosen: Vec<u32>,
    rejected: Vec<u32>,
}

#[derive(Deserialize)]
struct Step {
    rm: f64,
    lm: f64,
    norm: f64,
    /// Of the chosen and the rejected answer, by pair.
    rewards: Vec<[f32; 2]>,
}

struct Case {
    name: &'static str,
    folder: PathBuf,
    recorded: Recorded,
    tensors: TensorFile,
}

impl Case {
    fn open(name: &'static str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parity").join(name);
        let recorded = serde_json::from_slice(&std::fs::read(folder.join("record.json")).unwrap()).unwrap();
        let tensors = TensorFile::open(&folder.join("record.safetensors")).unwrap();
        Self { name, folder, recorded, tensors }
    }

    fn tensor(&mut self, name: &str) -> Vec<f32> {
        self.tensors.read(name).unwrap().unwrap()
    }

    fn model(&self, saving: Saving) -> Model {
        let mut folder = ModelFolder::open(&self.folder).unwrap();
        let config = folder.config().clone();
        let settings = ModelSettings { saving, ..ModelSettings::default() };
        Model::load(&runtime(), &config, settings, |parameter| {
            Ok::<_, RuntimeError>(folder.read(parameter, 0).unwrap())
        })
        .unwrap()
    }

    fn batches(&self, layout: Layout) -> Vec<Batch> {
        let pairs: Vec<Tokenised> = (self.recorded.pairs.iter().enumerate())
            .map(|(at, pair)| Tokenised {
                id: at as i64,
                prompt: pair.prompt.clone(),
                chosen: pair.chosen.clone(),
                rejected: pair.rejected.clone(),
                margin: 0.0,
            })
            .collect();
        let settings = BatchSettings { layout, micro_tokens: 1000, lm: true, sorted: false, pad: 0 };
        step_batches(&pairs.iter().collect::<Vec<_>>(), &settings)
    }

    fn close(&self, what: &str, found: &[f32], wanted: &[f32]) {
        let scale = wanted.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let worst = found.iter().zip(wanted).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(found.len() == wanted.len() && scale > 0.0, "{}: {what}", self.name);
        assert!(f64::from(worst / scale) <= TOLERANCE, "{}: {what}: {worst:e} of {scale:e}", self.name);
    }
}

/// One sequence through an exported graph.
fn run(graph: &Graph, output: &str, shape: &[usize], tokens: &[u32]) -> Vec<f32> {
    let runtime = runtime();
    let tensor = |numbers: Vec<i64>| {
        let tensor: Tensor = runtime.tensor(Type::I64, &[1, tokens.len()]).unwrap();
        tensor.write_i64(&numbers).unwrap();
        tensor
    };
    let (ids, mask) = (tensor(tokens.iter().map(|id| i64::from(*id)).collect()), tensor(vec![1; tokens.len()]));
    let found = runtime.tensor(Type::F32, shape).unwrap();
    let session = runtime.session(graph).unwrap();
    session.run(&[("input_ids", &ids), ("attention_mask", &mask)], &[(output, &found)]).unwrap();
    found.read_f32().unwrap()
}

#[test]
fn logits_and_rewards_are_those_of_pytorch() {
    for name in CASES {
        let mut case = Case::open(name);
        let model = case.model(Saving::Save);
        let read = |graph: &Graph, parameter: &Parameter| {
            let bytes = Type::F32.encode(&model.read(parameter)?);
            Ok(graph.weight(&parameter.name, Type::F32, &parameter.shape, bytes))
        };
        let logits = language_model::<RuntimeError>(model.config(), read).unwrap();
        let rewards = score_model::<RuntimeError>(model.config(), read).unwrap();
        let vocabulary = model.config().vocab_size;
        let (mut all_logits, mut all_rewards) = (Vec::new(), Vec::new());
        for pair in &case.recorded.pairs {
            for answer in [&pair.chosen, &pair.rejected] {
                let tokens = [&pair.prompt[..], answer].concat();
                all_logits.extend(run(&logits, "logits", &[1, tokens.len(), vocabulary], &tokens));
                all_rewards.extend(run(&rewards, "rewards", &[1], &tokens));
            }
        }
        let wanted = case.tensor("logits");
        case.close("logits", &all_logits, &wanted);
        case.close("rewards", &all_rewards, &case.recorded.steps[0].rewards.concat());
    }
}

#[test]
fn losses_gradients_and_ten_steps_are_those_of_pytorch() {
    let ways = [(Layout::Packed { row_length: 48 }, Saving::Recompute), (Layout::Padded, Saving::Save)];
    for (name, (layout, saving)) in CASES.into_iter().flat_map(|name| ways.map(|way| (name, way))) {
        let mut case = Case::open(name);
        let mut model = case.model(saving);
        let batches = case.batches(layout);
        let parameters = model.config().parameters();
        for at in 0..case.recorded.steps.len() {
            let wanted = &case.recorded.steps[at];
            model.zero_gradients().unwrap();
            let (mut losses, mut rewards) = ([0.0_f32; 2], vec![[f32::NAN; 2]; wanted.rewards.len()]);
            for batch in &batches {
                let found = model.forward_backward(batch).unwrap();
                losses = [losses[0] + found.rm, losses[1] + found.lm];
                for ((id, chosen), rejected) in batch.pairs_ids.iter().zip(found.chosen).zip(found.rejected) {
                    rewards[*id as usize] = [chosen, rejected];
                }
            }
            let norm = model.gradient_norm().unwrap();
            case.close(&format!("step {at}: rm"), &losses[..1], &[wanted.rm as f32]);
            case.close(&format!("step {at}: lm"), &losses[1..], &[wanted.lm as f32]);
            case.close(&format!("step {at}: rewards"), &rewards.concat(), &wanted.rewards.concat());
            if at == 0 {
                for parameter in &parameters {
                    let what = format!("gradient.{}", parameter.name);
                    let wanted = case.tensor(&what);
                    case.close(&what, &model.read_gradient(parameter).unwrap(), &wanted);
                }
            }
            let wanted = &case.recorded.steps[at];
            case.close(&format!("step {at}: norm"), &[norm as f32], &[wanted.norm as f32]);
            let Recorded { rate, beta1, beta2, epsilon, decay, clip, .. } = case.recorded;
            let adamw = AdamW { rate, beta1, beta2, epsilon, decay, step: at as u64 + 1 };
            model.update(&adamw, (clip / norm).min(1.0)).unwrap();
        }
        for parameter in &parameters {
            let what = format!("after.{}", parameter.name);
            let wanted = case.tensor(&what);
            case.close(&what, &model.read(parameter).unwrap(), &wanted);
        }
    }
}
