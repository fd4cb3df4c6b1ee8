//! Runs a plan: which stages there are, what each needs, what identifies it, and who runs when.
//!
//! The engine is generic over [`Stage`] and never names a kind. It orders stages, groups source stages that form one
//! streaming chain, starts every group at once, and tells each when what it needs has ended.

pub mod fingerprint;
pub mod plan;
pub mod runner;
pub mod stage;

pub use plan::{Plan, PlanError, Planned};
pub use stage::{Class, Context, Facets, Stage};
