//! Whether a device computes what the processor computes: no device but the processor trains or scores before it has shown
//! that. Providers are large and young, and some give wrong numbers without an error.

use crate::nn::{LossSettings, ModelConfig, Parameter, Precision, Preset, Saving};
use crate::runtime::{Device, Runtime, RuntimeError};
use crate::train::TrainError;
use crate::train::data::{Batch, BatchSettings, Layout, Tokenised, step_batches};
use crate::train::model::{AdamW, Model, ModelSettings};

/// How far numbers may be apart, relative to the greatest of them.
fn allowed(precision: Precision) -> f32 {
    match precision {
        Precision::F32 => 1e-3,
        // Two ways of summing may round to neighbours, which are 1/256 apart, in every product.
        Precision::Bf16 | Precision::Bf16Emulated => 3e-2,
    }
}

/// Computes rewards, losses, gradients and an optimizer step of a small model on the device and on the processor, and
/// compares them. Nothing is done for the processor itself.
///
/// # Errors
/// [`TrainError::WrongDevice`] with the first thing that differs; when the device fails.
pub fn check(runtime: &Runtime, precision: Precision) -> Result<(), TrainError> {
    if *runtime.device() == Device::Cpu {
        return Ok(());
    }
    let name = runtime.device().to_string();
    let failed = |error| TrainError::computing(format!("checking {name}"), || "free its memory".to_owned(), error);
    let found = outcomes(runtime, precision).map_err(failed)?;
    let by_processor = if precision == Precision::Bf16 { Precision::Bf16Emulated } else { precision };
    let wanted = outcomes(&runtime.on_processor(), by_processor).map_err(failed)?;
    compare(&name, &found, &wanted, allowed(precision))
}

/// Something that was computed, by name.
type Outcome = (String, Vec<f32>);

fn compare(device: &str, found: &[Outcome], wanted: &[Outcome], allowed: f32) -> Result<(), TrainError> {
    for ((what, found), (_, wanted)) in found.iter().zip(wanted) {
        let scale = wanted.iter().fold(1e-6_f32, |most, x| most.max(x.abs()));
        let apart = |(a, b): (&f32, &f32)| (a - b).abs() / scale;
        // NaN is as far apart as can be.
        let worst = found.iter().zip(wanted).map(apart).fold(0.0, |most, x| if x <= most { most } else { x });
        if !(worst <= allowed && found.len() == wanted.len()) {
            let (device, what) = (device.to_owned(), what.clone());
            return Err(TrainError::WrongDevice { device, what, apart: worst, allowed });
        }
    }
    Ok(())
}

/// Small, and yet with all that differs between models: grouped heads, biases, several layers and blocks of attention.
fn config() -> ModelConfig {
    ModelConfig {
        hidden_size: 32,
        intermediate_size: 48,
        num_layers: 2,
        head_dim: 8,
        max_positions: 256,
        ..Preset::Tiny.config(61)
    }
}

/// Numbers that are the same everywhere; norms around one.
fn weights(parameter: &Parameter) -> Vec<f32> {
    let salt = parameter.name.bytes().fold(1_u32, |salt, byte| salt.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let centre = if parameter.decay || parameter.name.ends_with("bias") { 0.0 } else { 1.0 };
    let draw = |at: u32| {
        let mixed = (at ^ salt).wrapping_mul(0x9E37_79B1);
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85EB_CA77);
        centre + 0.3 * ((mixed >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    (0..parameter.elements() as u32).map(draw).collect()
}

fn batches() -> Vec<Batch> {
    let text = |length: usize, salt: usize| (0..length).map(|at| ((at * at * 7 + salt * 13) % 61) as u32).collect();
    let lengths = [(20, 30, 40), (9, 30, 20), (25, 11, 60), (70, 50, 33)];
    let pairs: Vec<Tokenised> = (lengths.iter().enumerate())
        .map(|(at, (prompt, chosen, rejected))| Tokenised {
            id: at as i64,
            prompt: text(*prompt, at),
            chosen: text(*chosen, at + 10),
            rejected: text(*rejected, at + 20),
            margin: 0.1 * at as f32,
        })
        .collect();
    let layout = Layout::Packed { row_length: 192 };
    let settings = BatchSettings { layout, micro_tokens: 192, lm: true, sorted: false, pad: 0 };
    step_batches(&pairs.iter().collect::<Vec<_>>(), &settings)
}

fn outcomes(runtime: &Runtime, precision: Precision) -> Result<Vec<Outcome>, RuntimeError> {
    let config = config();
    let losses = LossSettings { centre_coef: 0.1, margin: true, ..LossSettings::default() };
    let settings = ModelSettings { losses, precision, saving: Saving::Save, ..ModelSettings::default() };
    let mut model = Model::load(runtime, &config, settings, |parameter| Ok::<_, RuntimeError>(weights(parameter)))?;
    let mut all = Vec::new();
    model.zero_gradients()?;
    for (at, batch) in batches().iter().enumerate() {
        all.push((format!("scores of batch {at}"), model.score(batch)?));
        let found = model.forward_backward(batch)?;
        all.push((format!("losses of batch {at}"), vec![found.rm, found.lm, found.centre]));
        all.push((format!("rewards of batch {at}"), [found.chosen, found.rejected].concat()));
    }
    all.push(("gradient norm".to_owned(), vec![model.gradient_norm()? as f32]));
    let parameters = config.parameters();
    for parameter in &parameters {
        all.push((format!("gradient of {}", parameter.name), model.read_gradient(parameter)?));
        // The first step goes by the gradient's sign, which is nobody's business where it is about zero.
        let gradient: Vec<f32> = weights(parameter).iter().map(|x| x + 2.0).collect();
        model.write_gradient(parameter, &gradient)?;
    }
    model.update(&AdamW { rate: 1e-2, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.1, step: 1 }, 0.5)?;
    for parameter in &parameters {
        all.push((format!("{} after a step", parameter.name), model.read(parameter)?));
    }
    Ok(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::runtime::testing::runtime;

    #[test]
    fn a_device_that_computes_otherwise_is_refused_with_what_differs() {
        let exact = outcomes(&runtime(), Precision::F32).unwrap();
        compare("cuda:0", &exact, &exact, 0.0).unwrap();
        // Arithmetic that is really coarser stands for a faulty device.
        let coarse = outcomes(&runtime(), Precision::Bf16Emulated).unwrap();
        let error = compare("cuda:0", &coarse, &exact, allowed(Precision::F32)).unwrap_err();
        assert!(error.to_string().starts_with("cuda:0 computes scores of batch 0 wrongly: off by 0.0"), "{error}");
        for value in [f32::NAN, f32::INFINITY] {
            let mut broken = exact.clone();
            let last = broken.last_mut().unwrap();
            *last.1.last_mut().unwrap() = value;
            let error = compare("webgpu:0", &broken, &exact, 0.5).unwrap_err().to_string();
            assert!(error.contains("score.weight after a step"), "{error}");
        }
        check(&runtime(), Precision::F32).unwrap();
    }

    #[test]
    fn the_check_exercises_several_blocks_layers_and_batches() {
        assert!(batches().len() > 1 && batches().iter().all(|batch| batch.shape.length > 128));
    }
}
