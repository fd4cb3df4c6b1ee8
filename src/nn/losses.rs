//! The training objective, and the weights of its parts.
//!
//! Over the pairs `p` of an optimizer step, with rewards `c` of the chosen and `r` of the rejected answer, and over the
//! tokens `t` of the chosen answers:
//!
//! ```text
//! loss = rm_coef     * sum_p w_p * softplus(-(c_p - r_p - margin_p))
//!      + lm_coef     * sum_t u_t * cross_entropy_t
//!      + centre_coef * sum_p w_p * (c_p + r_p)^2
//! ```
//!
//! The first part is the Bradley-Terry loss, with the margin of Llama 2 (arXiv 2307.09288, section 3.2.2); the second is
//! the language-model loss that preference pretraining adds (arXiv 2211.09085 and 2112.00861, section 4); the third keeps
//! rewards around zero (arXiv 2312.09244). `w_p` is one over the step's pairs and `u_t` one over its chosen tokens: the
//! batch brings both, so that packing and micro-batches never change the loss.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The weights of the parts of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LossSettings {
    /// Weight of the Bradley-Terry loss.
    pub rm_coef: f32,
    /// Weight of the language-model loss on chosen answers; 0 leaves the head out of the computation.
    pub lm_coef: f32,
    /// Weight of the term that keeps rewards around zero.
    pub centre_coef: f32,
    /// Whether a pair's margin is demanded of its rewards.
    pub margin: bool,
}

impl Default for LossSettings {
    /// Preference pretraining: both losses alike.
    fn default() -> Self {
        Self { rm_coef: 1.0, lm_coef: 1.0, centre_coef: 0.0, margin: false }
    }
}
