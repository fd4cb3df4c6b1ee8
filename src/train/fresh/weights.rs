//! Random weights in a safetensors file.
//!
//! Matrices are normal with a standard deviation of 0.02; those that write into the residual stream are divided by the
//! square root of how often that is done, so that its size does not grow with depth (Radford et al. 2019, "Language
//! models are unsupervised multitask learners"). Norms are one, biases zero. Each tensor has a stream of its own: another
//! depth leaves the tensors that it shares as they were.

use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::FreshError;
use crate::nn::{LayerWeight, ModelConfig, Parameter, Place};

const DEVIATION: f64 = 0.02;

/// Writes the weights of `config`, all but the reward head.
pub(super) fn write(config: &ModelConfig, seed: u64, path: &Path) -> Result<(), FreshError> {
    let drawn: Vec<(Parameter, Vec<u8>)> = (config.parameters().into_iter())
        .filter(|parameter| parameter.place != Place::Score)
        .map(|parameter| {
            let bytes = draw(config, &parameter, seed).iter().flat_map(|value| value.to_le_bytes()).collect();
            (parameter, bytes)
        })
        .collect();
    let failed = |source| FreshError::Weights { path: path.to_owned(), source };
    let views = drawn
        .iter()
        .map(|(parameter, bytes)| {
            Ok((&parameter.name, TensorView::new(Dtype::F32, parameter.shape.clone(), bytes).map_err(failed)?))
        })
        .collect::<Result<Vec<_>, FreshError>>()?;
    // Loaders of `transformers` ask for the format.
    let about = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    safetensors::serialize_to_file(views, Some(about), path).map_err(failed)
}

pub(in crate::train) fn draw(config: &ModelConfig, parameter: &Parameter, seed: u64) -> Vec<f32> {
    if !parameter.decay {
        let value = if parameter.name.ends_with("bias") { 0.0 } else { 1.0 };
        return vec![value; parameter.elements()];
    }
    let deviation = match parameter.place {
        Place::Layer(_, LayerWeight::Output | LayerWeight::Down) => DEVIATION / (2.0 * config.num_layers as f64).sqrt(),
        _ => DEVIATION,
    };
    let mut key = blake3::Hasher::new();
    key.update(&seed.to_le_bytes()).update(parameter.name.as_bytes());
    let mut rng = StdRng::from_seed(*key.finalize().as_bytes());
    (0..parameter.elements()).map(|_| (deviation * normal(&mut rng)) as f32).collect()
}

/// A draw from the standard normal distribution (Box and Muller 1958).
fn normal(rng: &mut StdRng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Preset;

    #[test]
    fn matrices_are_normal_norms_one_and_biases_zero() {
        let config = Preset::Tiny.config(1000);
        for parameter in config.parameters() {
            let values = draw(&config, &parameter, 1);
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / values.len() as f64;
            let spread = values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / values.len() as f64;
            let expected = match parameter.place {
                _ if parameter.name.ends_with("bias") => (0.0, 0.0),
                _ if parameter.shape.len() == 1 => (1.0, 1.0),
                Place::Score => continue,
                Place::Layer(_, LayerWeight::Output | LayerWeight::Down) => (0.0, 0.02 / 8.0_f64.sqrt()),
                _ => (0.0, 0.02),
            };
            assert!((mean - expected.0).abs() < 1e-3, "{}: mean {mean}", parameter.name);
            assert!((spread.sqrt() - expected.1).abs() < 1e-3, "{}: {}", parameter.name, spread.sqrt());
        }
    }
}
