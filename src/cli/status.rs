//! `status`: how a run stands.

use super::output::{out, outln};
use std::time::Duration;

use serde_json::json;

use super::Exit;
use super::args::StatusArgs;
use super::table::{brief, number, table};
use crate::store::Store;

/// `codepmp status`
pub async fn status(args: &StatusArgs, store: &Store) -> anyhow::Result<Exit> {
    let run = store.run(args.run).await?.id;
    loop {
        let row = store.run(Some(run)).await?;
        let stages = store.run_stages(run).await?;
        let usage = store.figures(run).await?.usage;
        if args.json {
            outln!("{}", json!({ "run": row, "stages": stages, "usage": usage }));
        } else {
            outln!("run {}: {} ({}), started {}", row.id, row.state, row.pipeline, row.started_at.format("%F %T UTC"));
            let rows = stages.iter().map(|stage| {
                vec![
                    stage.name.clone(),
                    stage.kind.clone(),
                    stage.state.clone(),
                    number(stage.done),
                    number(stage.rejected),
                    stage.waiting.map(number).unwrap_or_default(),
                    stage.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default(),
                    brief(stage.message.as_deref().unwrap_or_default(), 60),
                ]
            });
            out!("{}", table(&["stage", "kind", "state", "new rows", "rejected", "waiting", "seconds", ""], rows));
            let (tokens, cost): (i64, i64) = usage.iter().fold((0, 0), |(tokens, cost), row| {
                (tokens + row.prompt_tokens + row.completion_tokens, cost + row.cost_microdollars)
            });
            outln!("{} tokens, {:.4} dollars", number(tokens), cost as f64 / 1e6);
        }
        if !args.watch || row.state != "running" {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
