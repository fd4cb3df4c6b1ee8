//! Rewards of held-out pairs on the way.

use crate::eval::{PairReward, accuracy};
use crate::runtime::RuntimeError;
use crate::train::HeldOut;
use crate::train::data::{BatchSettings, Encoded, Tokenised, score_batches};
use crate::train::model::Model;

/// Rewards of pairs, in their order.
pub(in crate::train) fn rewards(
    model: &mut Model,
    pairs: &[Tokenised],
    settings: &BatchSettings,
) -> Result<Vec<PairReward>, RuntimeError> {
    let text = |pair: &Tokenised| Encoded {
        prompt: pair.prompt.clone(),
        answers: vec![pair.chosen.clone(), pair.rejected.clone()],
        cut_prompt: false,
        cut_answer: false,
    };
    let texts: Vec<Encoded> = pairs.iter().map(text).collect();
    let scores = scores(model, &texts, settings)?;
    Ok(scores.iter().map(|scores| PairReward { chosen: scores[0], rejected: scores[1] }).collect())
}

/// Rewards of answers: `[text][answer]`.
pub(in crate::train) fn scores(
    model: &mut Model,
    texts: &[Encoded],
    settings: &BatchSettings,
) -> Result<Vec<Vec<f32>>, RuntimeError> {
    let mut scores: Vec<Vec<f32>> = texts.iter().map(|text| vec![f32::NAN; text.answers.len()]).collect();
    for laid in score_batches(texts, settings) {
        laid.restore(&model.score(&laid.batch)?, &mut scores);
    }
    Ok(scores)
}

/// Accuracy and loss of rewards; none without pairs.
pub(super) fn held_out(rewards: &[PairReward], step: u64, seed: u64) -> Option<HeldOut> {
    let accuracy = accuracy(rewards, seed)?;
    let loss = |pair: &PairReward| {
        let lead = f64::from(pair.chosen) - f64::from(pair.rejected);
        // -log sigmoid(lead), without overflow.
        (-lead).max(0.0) + (-lead.abs()).exp().ln_1p()
    };
    Some(HeldOut { step, rm_loss: rewards.iter().map(loss).sum::<f64>() / rewards.len() as f64, accuracy })
}
