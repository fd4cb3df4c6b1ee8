//! Learning rates: constant, linear, cosine, and warm-up-stable-decay (WSD), as pure functions of the step.
//!
//! Steps count from one: step `n` is the n-th optimizer update. Warm-up of `w` steps gives step `n` the share `n / w` of
//! the peak, so that no update is lost to a rate of zero. The steps after it have progress `(n - 1 - w) / span`, as in
//! the schedules of Hugging Face `transformers` (`get_cosine_schedule_with_warmup`, `get_wsd_schedule`): the first is at
//! the peak, the last one update above the minimum.
//!
//! A [`Schedule`] is resolved: it counts steps, not shares, and is stored in checkpoints, so that a resumed run follows
//! the very rates of the run that it continues. What share of a run is warm-up or decay is for `settings` to say.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate moves after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Stays at the peak.
    Constant,
    /// Falls on a straight line to the minimum.
    Linear,
    /// Falls on half a cosine wave to the minimum (Loshchilov and Hutter, arXiv 1608.03983).
    Cosine,
    /// Warm-up, stable, decay: stays at the peak, and falls to the minimum in a last short phase (MiniCPM, arXiv
    /// 2404.06395).
    #[default]
    Wsd,
}

/// How a WSD schedule falls in its decay phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum DecayShape {
    /// A straight line.
    #[default]
    Linear,
    /// Half a cosine wave.
    Cosine,
    /// `1 - sqrt(progress)`: fast at first (Hägele and others, arXiv 2405.18392).
    OneMinusSqrt,
}

/// Where a step lies in its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The rate rises.
    Warmup,
    /// The rate is at its peak.
    Stable,
    /// The rate falls.
    Decay,
}

impl Phase {
    /// The word for it, as in metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warmup => "warmup",
            Self::Stable => "stable",
            Self::Decay => "decay",
        }
    }
}

/// A learning rate for every step of a run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// What follows the warm-up.
    pub kind: ScheduleKind,
    /// How a WSD schedule falls.
    pub decay_shape: DecayShape,
    /// The highest rate.
    pub peak: f64,
    /// The rate that decay tends to.
    pub minimum: f64,
    /// Steps that the rate rises for.
    pub warmup_steps: u64,
    /// Steps at the end of a WSD schedule that the rate falls for; the other kinds ignore it.
    pub decay_steps: u64,
    /// Steps of the run.
    pub total_steps: u64,
}

impl Schedule {
    /// The learning rate of optimizer update `step`, counted from one. Past the end it stays at the last phase's end.
    pub fn rate(&self, step: u64) -> f64 {
        match self.phase(step) {
            Phase::Warmup => self.peak * step as f64 / self.warmup_steps as f64,
            Phase::Stable => self.peak,
            Phase::Decay => {
                let start = self.decay_start();
                let span = self.total_steps.saturating_sub(start).max(1);
                let progress = (step.saturating_sub(1).saturating_sub(start) as f64 / span as f64).min(1.0);
                self.minimum + (self.peak - self.minimum) * self.left(progress)
            }
        }
    }

    /// The phase of optimizer update `step`, counted from one.
    pub fn phase(&self, step: u64) -> Phase {
        if step <= self.warmup_steps {
            Phase::Warmup
        } else if self.kind == ScheduleKind::Constant || step <= self.decay_start() {
            Phase::Stable
        } else {
            Phase::Decay
        }
    }

    /// The last step before the rate falls; the end of the run where it never does.
    pub fn decay_start(&self) -> u64 {
        match self.kind {
            ScheduleKind::Constant => self.total_steps,
            ScheduleKind::Linear | ScheduleKind::Cosine => self.warmup_steps,
            ScheduleKind::Wsd => self.total_steps.saturating_sub(self.decay_steps).max(self.warmup_steps),
        }
    }

    /// The schedule of a decay run that starts after `step` steps of this one: the rate falls at once, for as many steps
    /// as make `decay_share` of the whole, so that the run ends as if it had been planned that short. At least one step.
    /// None when the rate has not risen to its peak by then or has begun to fall.
    pub fn decayed_from(&self, step: u64, decay_share: f64) -> Option<Self> {
        let at_peak = match self.phase(step) {
            Phase::Warmup => step == self.warmup_steps,
            Phase::Stable => true,
            Phase::Decay => false,
        };
        let keeps_peak = matches!(self.kind, ScheduleKind::Wsd | ScheduleKind::Constant);
        (at_peak && keeps_peak && step > 0).then(|| {
            let total = (step as f64 / (1.0 - decay_share)).round() as u64;
            let decay_steps = total.saturating_sub(step).max(1);
            Self { kind: ScheduleKind::Wsd, decay_steps, total_steps: step + decay_steps, ..self.clone() }
        })
    }

    /// What is left of the way from peak to minimum at a progress from 0 to 1.
    fn left(&self, progress: f64) -> f64 {
        let shape = match self.kind {
            ScheduleKind::Cosine => DecayShape::Cosine,
            ScheduleKind::Constant | ScheduleKind::Linear => DecayShape::Linear,
            ScheduleKind::Wsd => self.decay_shape,
        };
        match shape {
            DecayShape::Linear => 1.0 - progress,
            DecayShape::Cosine => 0.5 * (1.0 + (PI * progress).cos()),
            DecayShape::OneMinusSqrt => 1.0 - progress.sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(kind: ScheduleKind) -> Schedule {
        Schedule {
            kind,
            decay_shape: DecayShape::Linear,
            peak: 2.0,
            minimum: 0.5,
            warmup_steps: 10,
            decay_steps: 20,
            total_steps: 110,
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    #[test]
    fn every_kind_warms_up_in_equal_steps_that_end_at_the_peak() {
        for kind in [ScheduleKind::Constant, ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::Wsd] {
            let schedule = schedule(kind);
            for step in 1..=10 {
                close(schedule.rate(step), 0.2 * step as f64);
            }
            close(schedule.rate(11), 2.0);
        }
    }

    #[test]
    fn a_constant_schedule_never_falls() {
        let schedule = schedule(ScheduleKind::Constant);
        assert!((11..=500).all(|step| schedule.rate(step).to_bits() == 2.0_f64.to_bits()));
        assert_eq!(schedule.phase(110), Phase::Stable);
    }

    #[test]
    fn a_linear_schedule_is_the_line_from_peak_to_minimum() {
        let schedule = schedule(ScheduleKind::Linear);
        for step in 11..=110_u32 {
            close(schedule.rate(step.into()), 2.0 - 1.5 * f64::from(step - 11) / 100.0);
        }
        close(schedule.rate(111), 0.5);
        close(schedule.rate(5000), 0.5);
    }

    #[test]
    fn a_cosine_schedule_passes_the_mean_halfway() {
        let schedule = schedule(ScheduleKind::Cosine);
        close(schedule.rate(61), 1.25);
        close(schedule.rate(11 + 25), 0.5 + 0.75 * (1.0 + (PI / 4.0).cos()));
        close(schedule.rate(111), 0.5);
    }

    #[test]
    fn wsd_stays_at_the_peak_and_falls_in_its_last_steps() {
        let mut schedule = schedule(ScheduleKind::Wsd);
        assert!((11..=91).all(|step| schedule.rate(step).to_bits() == 2.0_f64.to_bits()));
        assert_eq!(schedule.phase(90), Phase::Stable);
        assert_eq!(schedule.phase(91), Phase::Decay);
        close(schedule.rate(101), 1.25);
        close(schedule.rate(111), 0.5);
        schedule.decay_shape = DecayShape::OneMinusSqrt;
        close(schedule.rate(96), 0.5 + 1.5 * 0.5);
        schedule.decay_shape = DecayShape::Cosine;
        close(schedule.rate(101), 1.25);
    }

    #[test]
    fn a_run_of_warmup_alone_and_one_of_a_single_step_have_finite_rates() {
        let mut short = schedule(ScheduleKind::Wsd);
        short.total_steps = 1;
        short.decay_steps = 1;
        short.warmup_steps = 0;
        close(short.rate(1), 2.0);
        short.warmup_steps = 1;
        close(short.rate(1), 2.0);
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine] {
            short.kind = kind;
            assert!((1..5).all(|step| short.rate(step).is_finite()));
        }
    }

    #[test]
    fn a_decay_run_from_a_stable_step_ends_where_a_run_planned_that_short_would() {
        let schedule = schedule(ScheduleKind::Wsd);
        let run = schedule.decayed_from(45, 0.1).expect("step 45 is stable");
        assert_eq!((run.total_steps, run.decay_steps), (50, 5));
        close(run.rate(45), 2.0);
        close(run.rate(48), 2.0 - 1.5 * 2.0 / 5.0);
        assert!((1..=45).all(|step| run.rate(step).to_bits() == schedule.rate(step).to_bits()));
    }

    #[test]
    fn no_decay_run_starts_in_warmup_or_in_decay_or_under_a_schedule_without_a_stable_phase() {
        let wsd = schedule(ScheduleKind::Wsd);
        assert_eq!(wsd.decayed_from(9, 0.1), None);
        assert!(wsd.decayed_from(10, 0.1).is_some());
        assert!(wsd.decayed_from(90, 0.1).is_some());
        assert_eq!(wsd.decayed_from(91, 0.1), None);
        assert_eq!(schedule(ScheduleKind::Cosine).decayed_from(10, 0.1), None);
    }
}
