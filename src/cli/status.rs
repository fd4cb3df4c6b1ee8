//! `status`: how a run stands.

use super::output::{out, outln};
use std::time::Duration;

use serde_json::json;

use super::Exit;
use super::args::StatusArgs;
use super::table::{brief, number, table};
use crate::stages::dollars;
use crate::store::Store;
use crate::store::budget::{Amount, SpentFigure};
use crate::store::query::UsageFigure;
use crate::store::runs::StageRow;

/// `codepmp status`
pub async fn status(args: &StatusArgs, store: &Store) -> anyhow::Result<Exit> {
    let run = store.run(args.run).await?.id;
    loop {
        let row = store.run(Some(run)).await?;
        let stages = store.run_stages(run).await?;
        let usage = store.figures(run).await?.usage;
        let spent = spent(store, &stages).await?;
        if args.json {
            outln!("{}", json!({ "run": row, "stages": stages, "usage": usage, "spent": spent }));
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
            print_spent(&spent, &usage);
        }
        if !args.watch || row.state != "running" {
            return Ok(Exit::Done);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// What a stage that asks a model has spent by now, over all runs.
#[derive(Debug, serde::Serialize)]
struct Spent {
    stage: String,
    #[serde(flatten)]
    figure: SpentFigure,
}

async fn spent(store: &Store, stages: &[StageRow]) -> anyhow::Result<Vec<Spent>> {
    let ids: Vec<_> = stages.iter().map(|stage| stage.stage_id).collect();
    let name = |id| stages.iter().find(|stage| stage.stage_id == id).map_or(String::new(), |stage| stage.name.clone());
    let figures = store.spent_by_stage(&ids).await?;
    Ok(figures.into_iter().map(|figure| Spent { stage: name(figure.stage_id), figure }).collect())
}

fn print_spent(spent: &[Spent], usage: &[UsageFigure]) {
    if !spent.is_empty() {
        outln!("\nSpent so far, over all runs of these stages");
        let rows = spent.iter().map(|Spent { stage, figure }| {
            vec![
                stage.clone(),
                figure.model.clone().unwrap_or_default(),
                number(figure.calls),
                number(figure.prompt_tokens),
                number(figure.completion_tokens),
                dollars(figure.cost_microdollars),
            ]
        });
        out!("{}", table(&["stage", "model", "calls", "prompt tokens", "answer tokens", "dollars"], rows));
    }
    let all: Amount = spent
        .iter()
        .map(|Spent { figure, .. }| Amount {
            tokens: figure.prompt_tokens + figure.completion_tokens,
            microdollars: figure.cost_microdollars,
        })
        .sum();
    let (tokens, cost): (i64, i64) = usage.iter().fold((0, 0), |(tokens, cost), row| {
        (tokens + row.prompt_tokens + row.completion_tokens, cost + row.cost_microdollars)
    });
    outln!(
        "{} tokens, {} dollars; of that in this run {} tokens, {} dollars",
        number(all.tokens),
        dollars(all.microdollars),
        number(tokens),
        dollars(cost)
    );
}
