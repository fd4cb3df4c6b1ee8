//! Training preference models: from pairs and a model's folder to a trained model's folder.
//!
//! ```text
//! Pair ──data──> Batch ──trainer──> Model (on ONNX Runtime) ──folder──> a model that transformers loads
//!                           └──checkpoint──> what a stopped run goes on from
//! ```
//!
//! Invariants: a run is a function of its settings, its model and its pairs, in their order: on the CPU two runs, or one
//! that was stopped and resumed, give the same bytes. Whatever is written appears whole or not at all. [`train`] computes
//! on the thread that calls it. Printing, SQL and reading pairs from a database are left to those above.

pub mod checkpoint;
pub mod data;
pub mod device;
pub mod error;
pub mod folder;
pub mod fresh;
pub mod job;
pub mod model;
pub mod schedule;
pub mod score;
pub mod settings;
pub mod spacing;
pub mod trainer;

pub use error::TrainError;
pub use job::{HeldOut, RunPlan, Start, StepMetrics, TrainEvent, TrainJob, Trained};
pub use schedule::{DecayShape, Schedule, ScheduleKind};
pub use score::{ScoreSettings, Scorer};
pub use settings::{Activations, Arrangement, ComputePrecision, Objective, SettingError, TrainSettings};
pub use trainer::{FINISHED, plan, train, training_mark};
