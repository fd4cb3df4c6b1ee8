//! Rewards of items' texts.

use std::collections::HashMap;

use tokio_util::sync::CancellationToken;

use crate::benchmark::Item;
use crate::progress::Meter;
use crate::train::data::Encoded;
use crate::train::{Scorer, TrainError};

/// Texts that are laid out together, at least: between two such parts a shutdown is seen.
const PART: usize = 512;

/// Rewards `[item][text]` of all texts; none for a text that does not fit or is empty. None at all after a shutdown. Texts
/// that are the same in an item are scored once.
///
/// # Errors
/// When the device fails or has too little memory.
pub fn score(
    scorer: &mut Scorer,
    items: &[Item],
    meter: Option<&Meter>,
    shutdown: &CancellationToken,
) -> Result<Option<Vec<Vec<Option<f32>>>>, TrainError> {
    let mut rewards = Vec::with_capacity(items.len());
    let mut rest = items;
    while !rest.is_empty() {
        if shutdown.is_cancelled() {
            return Ok(None);
        }
        let (mut size, mut texts) = (0, 0);
        while size < rest.len() && texts < PART {
            texts += rest[size].texts().len();
            size += 1;
        }
        let (part, later) = rest.split_at(size);
        rest = later;
        rewards.extend(score_part(scorer, part)?);
        if let Some(meter) = meter {
            meter.add_done(part.len() as u64);
        }
    }
    Ok(Some(rewards))
}

fn score_part(scorer: &mut Scorer, items: &[Item]) -> Result<Vec<Vec<Option<f32>>>, TrainError> {
    // Of each item: the prompt with all answers that fit, and for each text its place among them.
    let mut encoded: Vec<Encoded> = Vec::new();
    let mut places: Vec<Vec<Option<(usize, usize)>>> = Vec::with_capacity(items.len());
    for item in items {
        let mut own: Option<Encoded> = None;
        let mut seen: HashMap<&str, Option<(usize, usize)>> = HashMap::new();
        let mut found = Vec::new();
        for text in item.texts() {
            if let Some(place) = seen.get(text) {
                found.push(*place);
                continue;
            }
            // One by one: an answer that does not fit must not take the others along.
            let place = match scorer.encoder().encode(&item.prompt, &[text])? {
                Ok(one) => Some(match &mut own {
                    Some(own) => {
                        own.answers.extend(one.answers);
                        (encoded.len(), own.answers.len() - 1)
                    }
                    None => {
                        own = Some(one);
                        (encoded.len(), 0)
                    }
                }),
                Err(_) => None,
            };
            seen.insert(text, place);
            found.push(place);
        }
        encoded.extend(own);
        places.push(found);
    }
    let scores = scorer.scores(&encoded)?;
    let reward = |place: &Option<(usize, usize)>| place.map(|(text, answer)| scores[text][answer]);
    Ok(places.iter().map(|places| places.iter().map(reward).collect()).collect())
}
