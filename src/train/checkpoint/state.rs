//! The state of a run beside weights and moments, as JSON.

use serde::{Deserialize, Serialize};

use crate::train::schedule::Schedule;
use crate::train::settings::TrainSettings;

/// The version of the state's form.
pub const FORM: u32 = 1;

/// Where a run stands.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct RunState {
    /// The version of this form, [`FORM`].
    pub form: u32,
    /// Optimizer steps done.
    pub step: u64,
    /// Optimizer steps of an epoch: with `step` and the settings' seed it tells which pairs come next.
    pub epoch_steps: u64,
    /// Pairs trained on.
    pub pairs: u64,
    /// Real tokens trained on.
    pub tokens: u64,
    /// The learning rates of the whole run.
    pub schedule: Schedule,
    /// The settings of the run, the seed among them.
    pub settings: TrainSettings,
    /// A hash of those settings that move the loss curve.
    pub fingerprint: String,
    /// A hash of the training pairs as tokens, in their order.
    pub data: String,
    /// The folder of the model that the run started from, as it was named.
    pub model: String,
    /// The mark of the training that had made that model; empty for a model of other origin, none in states of earlier
    /// versions.
    #[serde(default)]
    pub base: Option<String>,
}

impl RunState {
    /// What keeps a run with these settings, pairs and model to start from from going on from here; none where nothing does.
    /// `ignored` are settings that may differ; with no `base` the model may as well.
    pub fn difference(
        &self,
        settings: &TrainSettings,
        data: &str,
        base: Option<&str>,
        ignored: &[&str],
    ) -> Option<String> {
        let changed: Vec<String> =
            settings.changed(&self.settings).into_iter().filter(|name| !ignored.contains(&name.as_str())).collect();
        if !changed.is_empty() {
            let names = changed.join(", ");
            return Some(format!("these settings differ: {names}; set them back, or start anew in another folder"));
        }
        if self.data != data {
            return Some(
                "its pairs, their order or their tokens differ; train on the same data, or start anew".to_owned(),
            );
        }
        let other = base.is_some_and(|base| self.base.as_ref().is_some_and(|known| known != base));
        other.then(|| format!("{} was trained anew since; start anew in another folder", self.model))
    }
}
