#![allow(clippy::unwrap_used)]

use super::*;
use crate::graph::Type;
use crate::nn::{Architecture, Preset, score_model};
use crate::runtime::testing::runtime;
use crate::train::data::{BatchSettings, Layout, Tokenised, step_batches};

fn config() -> ModelConfig {
    let mut config = Preset::Tiny.config(60);
    (config.hidden_size, config.intermediate_size, config.num_layers, config.head_dim) = (16, 24, 3, 4);
    config
}

/// Llama: no biases, as many key heads as heads, a head of its own, a window.
fn other() -> ModelConfig {
    let mut config = config();
    (config.architecture, config.qkv_bias, config.tie_embeddings) = (Architecture::Llama, false, false);
    (config.num_kv_heads, config.sliding_window) = (4, Some(5));
    config
}

#[allow(clippy::unnecessary_wraps, reason = "what a model is loaded with may fail")]
fn numbers(parameter: &Parameter) -> Result<Vec<f32>, RuntimeError> {
    let mut state =
        parameter.name.bytes().fold(17_u64, |state, byte| state.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let centre = if parameter.decay || parameter.name.ends_with("bias") { 0.0 } else { 1.0 };
    let draw = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        centre + 0.3 * ((state >> 40) as f32 / (1 << 23) as f32 - 1.0)
    };
    Ok((0..parameter.elements()).map(draw).collect())
}

fn pairs() -> Vec<Tokenised> {
    let text =
        |length: usize, salt: usize| (0..length).map(|at| ((at * at * 7 + salt * 13 + at) % 59) as u32).collect();
    let lengths = [(5, 4, 7), (9, 3, 2), (2, 11, 6), (7, 7, 7), (1, 2, 9)];
    let pair = |(at, (prompt, chosen, rejected)): (usize, &(usize, usize, usize))| Tokenised {
        id: at as i64,
        prompt: text(*prompt, at),
        chosen: text(*chosen, at + 10),
        rejected: text(*rejected, at + 20),
        margin: 0.25 * at as f32,
    };
    lengths.iter().enumerate().map(pair).collect()
}

fn batches(pairs: &[Tokenised], layout: Layout, micro_tokens: usize) -> Vec<Batch> {
    let settings = BatchSettings { layout, micro_tokens, lm: true, sorted: false, pad: 59 };
    step_batches(&pairs.iter().collect::<Vec<_>>(), &settings)
}

const PACKED: Layout = Layout::Packed { row_length: 48 };

fn settings(saving: Saving) -> ModelSettings {
    let losses = LossSettings { centre_coef: 0.1, margin: true, ..LossSettings::default() };
    ModelSettings { losses, saving, ..ModelSettings::default() }
}

fn model(config: &ModelConfig, settings: ModelSettings) -> Model {
    Model::load(&runtime(), config, settings, numbers).unwrap()
}

/// The step's loss and each pair's rewards, by id.
fn step(model: &mut Model, batches: &[Batch]) -> (f64, Vec<[f32; 2]>) {
    model.zero_gradients().unwrap();
    let (mut loss, mut rewards) = (0.0, vec![[f32::NAN; 2]; pairs().len()]);
    let losses = model.settings.losses;
    for batch in batches {
        let found = model.forward_backward(batch).unwrap();
        loss += f64::from(found.rm * losses.rm_coef + found.lm * losses.lm_coef + found.centre * losses.centre_coef);
        for ((id, chosen), rejected) in batch.pairs_ids.iter().zip(found.chosen).zip(found.rejected) {
            rewards[*id as usize] = [chosen, rejected];
        }
    }
    (loss, rewards)
}

fn gradients(model: &Model) -> Vec<Vec<f32>> {
    model.config.parameters().iter().map(|parameter| model.read_gradient(parameter).unwrap()).collect()
}

fn close(found: &[f32], wanted: &[f32], tolerance: f32) -> bool {
    let scale = wanted.iter().fold(0.05_f32, |most, x| most.max(x.abs()));
    found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| (a - b).abs() <= tolerance * scale)
}

#[test]
fn every_parameters_gradient_is_the_slope_of_the_loss() {
    for config in [config(), other()] {
        let batches = batches(&pairs(), PACKED, 1000);
        let mut model = model(&config, settings(Saving::Save));
        step(&mut model, &batches);
        let found = gradients(&model);
        for (parameter, gradient) in config.parameters().iter().zip(found) {
            let norm = gradient.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            assert!(norm > 1e-6, "{} has no gradient", parameter.name);
            let start = model.read(parameter).unwrap();
            let reach = 2e-3 / norm;
            let mut at = |side: f64| {
                let moved = start
                    .iter()
                    .zip(&gradient)
                    .map(|(w, g)| (f64::from(*w) + side * reach * f64::from(*g) / norm) as f32);
                let part = model.buffers.weights.of(&model.buffers, parameter).unwrap();
                part.write_f32(&moved.collect::<Vec<_>>()).unwrap();
                step(&mut model, &batches).0
            };
            let slope = (at(1.0) - at(-1.0)) / (2.0 * reach);
            at(0.0);
            assert!((slope - norm).abs() <= 0.02 * norm + 1e-4, "{}: {slope} against {norm}", parameter.name);
        }
    }
}

#[test]
fn packing_padding_and_micro_batches_give_the_same_losses_rewards_and_gradients() {
    for config in [config(), other()] {
        let mut first = model(&config, settings(Saving::Save));
        let (loss, rewards) = step(&mut first, &batches(&pairs(), PACKED, 1000));
        let wanted = gradients(&first);
        for (layout, micro_tokens) in [(PACKED, 48), (Layout::Padded, 1000), (Layout::Padded, 64)] {
            let mut other = model(&config, settings(Saving::Save));
            let (again, others) = step(&mut other, &batches(&pairs(), layout, micro_tokens));
            assert!((loss - again).abs() < 1e-5 * loss, "{layout:?} {micro_tokens}: {loss} against {again}");
            assert!(close(&others.concat(), &rewards.concat(), 1e-5), "{layout:?} {micro_tokens}: {others:?}");
            for ((parameter, found), wanted) in config.parameters().iter().zip(gradients(&other)).zip(&wanted) {
                assert!(close(&found, wanted, 1e-5), "{layout:?} {micro_tokens}: {}", parameter.name);
            }
        }
    }
}

#[test]
fn activations_that_are_computed_again_give_the_same_gradients() {
    let batches = batches(&pairs(), PACKED, 1000);
    let mut models = [Saving::Save, Saving::Recompute].map(|saving| model(&config(), settings(saving)));
    let losses: Vec<_> = models.iter_mut().map(|model| step(model, &batches)).collect();
    assert_eq!(losses[0], losses[1]);
    for (found, wanted) in gradients(&models[1]).iter().zip(gradients(&models[0])) {
        assert!(close(found, &wanted, 1e-6));
    }
}

fn train(model: &mut Model, steps: u64) -> Vec<f64> {
    let batches = batches(&pairs(), PACKED, 1000);
    let mut losses = Vec::new();
    for at in 1..=steps {
        losses.push(step(model, &batches).0);
        let norm = model.gradient_norm().unwrap();
        let adamw = AdamW { rate: 3e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, step: at };
        model.update(&adamw, (1.0 / norm).min(1.0)).unwrap();
    }
    losses
}

#[test]
fn training_lowers_the_loss_and_gives_the_same_bytes_each_time() {
    let mut models = [(); 2].map(|()| model(&config(), settings(Saving::Save)));
    let curves: Vec<Vec<f64>> = models.iter_mut().map(|model| train(model, 25)).collect();
    assert!(curves[0][24] < 0.7 * curves[0][0], "{:?}", curves[0]);
    assert_eq!(curves[0], curves[1]);
    for parameter in config().parameters() {
        assert_eq!(models[0].read(&parameter).unwrap(), models[1].read(&parameter).unwrap(), "{}", parameter.name);
    }
}

#[test]
fn a_model_that_goes_on_from_its_state_gives_the_same_bytes() {
    let mut whole = model(&config(), settings(Saving::Save));
    train(&mut whole, 6);
    let parameters = config().parameters();
    let mut resumed: Model =
        Model::load(&runtime(), &config(), settings(Saving::Save), |parameter| whole.read(parameter)).unwrap();
    for parameter in &parameters {
        resumed.write_moments(parameter, &whole.read_moments(parameter).unwrap()).unwrap();
    }
    assert_eq!(train(&mut whole, 3), train(&mut resumed, 3));
    for parameter in &parameters {
        assert_eq!(whole.read(parameter).unwrap(), resumed.read(parameter).unwrap(), "{}", parameter.name);
    }
}

#[test]
fn the_update_is_adamw_with_decay_on_matrices_only() {
    let mut model = model(&config(), settings(Saving::Save));
    step(&mut model, &batches(&pairs(), PACKED, 1000));
    let parameters = model.config.parameters();
    let before: Vec<_> = parameters.iter().map(|parameter| model.read(parameter).unwrap()).collect();
    let found = gradients(&model);
    let norm = found.concat().iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    assert!((model.gradient_norm().unwrap() / norm - 1.0).abs() < 1e-5);
    let adamw = AdamW { rate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.5, step: 1 };
    model.update(&adamw, 0.5).unwrap();
    for ((parameter, before), gradient) in parameters.iter().zip(before).zip(found) {
        // In the first step the corrected moments are the gradient and its square.
        let wanted: Vec<f32> = (before.iter().zip(gradient))
            .map(|(p, g)| {
                let keep = if parameter.decay { 1.0 - 1e-2 * 0.5 } else { 1.0 };
                let g = 0.5 * g;
                p * keep - 1e-2 * g / (g.abs() + 1e-8)
            })
            .collect();
        assert!(close(&model.read(parameter).unwrap(), &wanted, 1e-4), "{}", parameter.name);
    }
}

#[test]
fn a_score_does_not_depend_on_what_it_is_computed_beside() {
    let config = other();
    let mut scorer = Model::scorer(&runtime(), &config, numbers).unwrap();
    let mut trained = model(&config, settings(Saving::Save));
    let (_, wanted) = step(&mut trained, &batches(&pairs(), PACKED, 1000));
    for (layout, micro_tokens) in [(PACKED, 1000), (PACKED, 48), (Layout::Padded, 1000)] {
        for pairs in [pairs(), pairs().into_iter().rev().collect(), pairs()[1..2].to_vec()] {
            for batch in batches(&pairs, layout, micro_tokens) {
                let scores = scorer.score(&batch).unwrap();
                for (at, id) in batch.pairs_ids.iter().enumerate() {
                    let found = [scores[at], scores[batch.shape.pairs + at]];
                    assert!(close(&found, &wanted[*id as usize], 1e-5), "{layout:?}: pair {id}: {found:?}");
                }
            }
        }
    }
    assert!(scorer.zero_gradients().is_err());
}

#[test]
fn the_exported_graph_gives_the_same_rewards_with_padding_at_either_end() {
    for config in [config(), other()] {
        let mut trained = model(&config, settings(Saving::Save));
        let (_, wanted) = step(&mut trained, &batches(&pairs(), PACKED, 1000));
        let graph = score_model::<RuntimeError>(&config, |graph, parameter| {
            Ok(graph.weight(&parameter.name, Type::F32, &parameter.shape, Type::F32.encode(&numbers(parameter)?)))
        })
        .unwrap();
        let runtime = runtime();
        let session = runtime.session(&graph).unwrap();
        let rows: Vec<Vec<u32>> = pairs()
            .iter()
            .flat_map(|p| {
                [[p.prompt.clone(), p.chosen.clone()].concat(), [p.prompt.clone(), p.rejected.clone()].concat()]
            })
            .collect();
        let length = rows.iter().map(Vec::len).max().unwrap();
        for left in [false, true] {
            let row = |row: &Vec<u32>, fill: i64, of: &dyn Fn(u32) -> i64| {
                let padding = vec![fill; length - row.len()];
                let own: Vec<i64> = row.iter().map(|token| of(*token)).collect();
                if left { [padding, own].concat() } else { [own, padding].concat() }
            };
            let tensor = |fill: i64, of: &dyn Fn(u32) -> i64| {
                let tensor = runtime.tensor(Type::I64, &[rows.len(), length]).unwrap();
                tensor.write_i64(&rows.iter().flat_map(|tokens| row(tokens, fill, of)).collect::<Vec<_>>()).unwrap();
                tensor
            };
            let (ids, mask) = (tensor(59, &|token| i64::from(token)), tensor(0, &|_| 1));
            let rewards = runtime.tensor(Type::F32, &[rows.len()]).unwrap();
            session.run(&[("input_ids", &ids), ("attention_mask", &mask)], &[("rewards", &rewards)]).unwrap();
            let found = rewards.read_f32().unwrap();
            assert!(close(&found, &wanted.concat(), 1e-5), "left {left}: {found:?} against {wanted:?}");
        }
    }
}

#[test]
fn rows_of_several_blocks_give_what_short_rows_give() {
    let text = |length: usize, salt: usize| (0..length).map(|at| ((at * at * 7 + salt * 13) % 59) as u32).collect();
    let pair = |at: usize| Tokenised {
        id: at as i64,
        prompt: text(20 + at, at),
        chosen: text(40 + 3 * at, at + 10),
        rejected: text(60 - at, at + 20),
        margin: 0.25,
    };
    let pairs: Vec<_> = (0..5).map(pair).collect();
    for config in [config(), other()] {
        let mut short = model(&config, settings(Saving::Save));
        let (loss, rewards) = step(&mut short, &batches(&pairs, Layout::Padded, 1000));
        let wanted = gradients(&short);
        for saving in [Saving::Save, Saving::Recompute] {
            let mut long = model(&config, settings(saving));
            let laid = batches(&pairs, Layout::Packed { row_length: 320 }, 1000);
            assert!(laid.iter().any(|batch| batch.shape.length == 320));
            let (again, others) = step(&mut long, &laid);
            assert!((loss - again).abs() < 1e-5 * loss, "{loss} against {again}");
            assert!(close(&others.concat(), &rewards.concat(), 1e-5), "{others:?} against {rewards:?}");
            for ((parameter, found), wanted) in config.parameters().iter().zip(gradients(&long)).zip(&wanted) {
                assert!(close(&found, wanted, 1e-5), "{}", parameter.name);
            }
        }
    }
}

#[test]
fn bf16_gives_nearly_what_f32_gives_and_trains() {
    let batches = batches(&pairs(), PACKED, 1000);
    let mut exact = model(&config(), settings(Saving::Save));
    let (loss, _) = step(&mut exact, &batches);
    let wanted = gradients(&exact);
    for saving in [Saving::Save, Saving::Recompute] {
        let narrow = ModelSettings { precision: Precision::Bf16Emulated, ..settings(saving) };
        let mut coarse = model(&config(), narrow);
        let (again, _) = step(&mut coarse, &batches);
        assert!((loss - again).abs() < 1e-2 * loss && loss.to_bits() != again.to_bits(), "{loss} against {again}");
        let norm = |numbers: &[f32]| numbers.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
        let apart = |a: &[f32], b: &[f32]| norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>()) / norm(b);
        let found = gradients(&coarse);
        let share = apart(&found.concat(), &wanted.concat());
        assert!(share < 0.05 && share > 1e-5, "all gradients: {share}");
        // Biases of the first layer sum up many products that nearly cancel out.
        for ((parameter, found), wanted) in config().parameters().iter().zip(&found).zip(&wanted) {
            let share = apart(found, wanted);
            assert!(share < 0.15 && found.len() == wanted.len(), "{}: {share}", parameter.name);
        }
        let curve = train(&mut coarse, 25);
        assert!(curve[24] < 0.7 * curve[0], "{curve:?}");
    }
}

#[test]
fn a_model_of_one_layer_is_all_last_layer() {
    let config = ModelConfig { num_layers: 1, ..config() };
    let mut first = model(&config, settings(Saving::Save));
    let (loss, rewards) = step(&mut first, &batches(&pairs(), PACKED, 1000));
    let mut other = model(&config, settings(Saving::Recompute));
    let (again, others) = step(&mut other, &batches(&pairs(), Layout::Padded, 64));
    assert!((loss - again).abs() < 1e-5 * loss && close(&others.concat(), &rewards.concat(), 1e-5));
    for (found, wanted) in gradients(&other).iter().zip(gradients(&first)) {
        assert!(close(found, &wanted, 1e-5));
    }
}
