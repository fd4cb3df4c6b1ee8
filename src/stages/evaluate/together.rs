//! What the models of a stage say together: several seeds of one training, and each training beside the baseline.

use serde_json::{Value, json};

use crate::engine::Context;
use crate::eval::Estimate;
use crate::stages::AnyStage;
use crate::stages::measuring::{Data, compared, over_seeds};
use crate::store::evaluation::ItemRow;
use crate::store::training::NewEvaluation;

/// The items of one train stage's models, by seed.
struct Trained {
    place: usize,
    name: String,
    seeds: Vec<Vec<ItemRow>>,
}

/// Writes what is there to say of several models: for each figure its mean over the seeds of a training (`mean_...`), and
/// how a training differs from the baseline (`..._difference`). The rows name the train stage as their model.
///
/// # Errors
/// When the database fails.
pub(super) async fn summarise(
    context: &Context<AnyStage>,
    data: &Data,
    baseline: Option<usize>,
    seed: u64,
) -> anyhow::Result<()> {
    let store = &context.store;
    let scorings = store.scorings_of(context.id(), &data.mark).await?;
    let mut all = Vec::new();
    for (place, (&need, &stage)) in context.stage().needs.iter().zip(&context.needs[0]).enumerate() {
        let planned = &context.plan.stages[need];
        let AnyStage::Train(train) = &planned.stage else { continue };
        let mut seeds = Vec::new();
        for seed in train.seeds() {
            let training = store.training_of(stage, seed).await?.map(|row| row.id);
            let scoring = scorings.iter().find(|row| row.training_run_id.is_some() && row.training_run_id == training);
            // A run that was stopped has not measured all of them: the next one goes on.
            let Some(scoring) = scoring else { return Ok(()) };
            seeds.push(store.evaluation_items(scoring.id).await?);
        }
        all.push(Trained { place, name: planned.name.clone(), seeds });
    }
    let row = |name: &str, estimate: &Estimate, details: Value| NewEvaluation {
        run: Some(context.run),
        stage: Some(context.id()),
        training: None,
        step: None,
        model: name.to_owned(),
        data: data.source.clone(),
        data_mark: data.mark.clone(),
        metric: estimate.metric.clone(),
        value: estimate.value,
        low: estimate.low,
        high: estimate.high,
        confidence: 0.95,
        n: estimate.n,
        details,
    };
    let mut rows = Vec::new();
    for trained in all.iter().filter(|trained| trained.seeds.len() > 1) {
        for found in over_seeds(data.metric, &trained.seeds, seed).map_err(anyhow::Error::msg)? {
            let details = json!({ "interval": "bootstrap over seeds and items", "seeds": found.seeds,
                                  "spread": found.spread, "seed": seed });
            rows.push(row(&trained.name, &found.mean, details));
        }
    }
    if let Some(base) = all.iter().find(|trained| Some(trained.place) == baseline) {
        for trained in all.iter().filter(|trained| trained.place != base.place) {
            for found in compared(data.metric, &trained.seeds, &base.seeds, seed).map_err(anyhow::Error::msg)? {
                let details = json!({ "interval": "bootstrap over seeds and items, paired", "baseline": base.name,
                                      "first": found.first, "second": found.second, "better": found.better,
                                      "worse": found.worse, "seed": seed });
                rows.push(row(&trained.name, &found.difference, details));
            }
        }
    }
    for row in &rows {
        store.write_evaluation(row).await?;
    }
    Ok(())
}
