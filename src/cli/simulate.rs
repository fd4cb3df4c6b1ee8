//! `simulate`: a simulator of a model, by itself.

use std::fs::File;
use std::sync::Arc;

use super::output::outln;
use anyhow::Context as _;
use tokio::net::TcpListener;

use super::Exit;
use super::args::SimulateArgs;
use crate::simulate;
use crate::stages::{SimulatorSettings, build_simulator};

/// `codepmp simulate`
pub async fn simulate(args: SimulateArgs) -> anyhow::Result<Exit> {
    let defaults = SimulatorSettings::default();
    let settings = SimulatorSettings {
        corpus: args.corpus,
        seed: args.seed,
        requests_per_minute: args.rpm,
        tokens_per_minute: args.tpm,
        latency_ms: args.latency,
        faults: args.fault.into_iter().map(|fault| (fault.kind, fault.probability)).collect(),
        strong_bug_share: args.strong_bug_share.unwrap_or(defaults.strong_bug_share),
        weak_bug_share: args.weak_bug_share.unwrap_or(defaults.weak_bug_share),
        strong_habit_share: args.strong_habit_share.unwrap_or(defaults.strong_habit_share),
        weak_habit_share: args.weak_habit_share.unwrap_or(defaults.weak_habit_share),
        ..defaults
    };
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("listening on {}", args.listen))?;
    let mut simulator = build_simulator(settings, std::env::current_dir()?).await?;
    if let Some(path) = &args.log {
        let file = File::options().create(true).append(true).open(path);
        simulator = simulator.with_log(file.with_context(|| format!("opening the log {}", path.display()))?);
    }
    let shutdown = crate::shutdown::on_signals()?;
    outln!("simulator (no model) at http://{}/v1", listener.local_addr()?);
    simulate::serve(listener, Arc::new(simulator), shutdown).await?;
    Ok(Exit::Done)
}
