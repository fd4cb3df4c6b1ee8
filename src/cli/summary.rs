//! What a run left behind.

use super::output::{out, outln};
use serde_json::json;

use super::inspect;
use super::progress::Output;
use super::table::{brief, number, table};
use crate::engine::runner::Outcome;
use crate::stages::CapReached;
use crate::store::Store;
use crate::store::training::EvaluationRow;
use crate::telemetry::one_line;

/// Prints the summary and one pair. True if rows of a model stage were rejected.
pub async fn print(store: &Store, outcome: &Outcome, output: Output) -> anyhow::Result<bool> {
    let figures = store.figures(outcome.run).await?;
    let model_stages: Vec<&str> = (outcome.meters.iter())
        .filter(|meter| matches!(meter.kind, "describe" | "generate" | "judge"))
        .map(|meter| meter.name.as_str())
        .collect();
    let failed_rows = figures.rejections.iter().any(|row| model_stages.contains(&row.stage.as_str()));
    if output == Output::Json {
        let stages: Vec<_> = (outcome.meters.iter())
            .map(|meter| {
                json!({ "stage": meter.name, "kind": meter.kind, "state": meter.state(), "done": meter.done(),
                        "rejected": meter.rejected(), "reused": meter.reused(), "seconds": meter.elapsed().as_secs_f64() })
            })
            .collect();
        let failures: Vec<_> = (outcome.failures.iter())
            .map(|(stage, error)| json!({ "stage": stage, "message": one_line(error) }))
            .collect();
        let evaluations = store.evaluations(outcome.run).await?;
        let cap = match cap_of(outcome) {
            Some(cap) => Some(
                json!({ "caps": cap.caps, "spent": cap.spent, "in_batches": cap.batched, "left": left(store, outcome).await? }),
            ),
            None => None,
        };
        let summary = json!({ "event": "summary", "run": outcome.run, "interrupted": outcome.interrupted,
                              "failures": failures, "stages": stages, "figures": figures,
                              "evaluations": evaluations, "cap": cap });
        outln!("{summary}");
        return Ok(failed_rows);
    }

    outln!("\nRun {}", outcome.run);
    let stages = outcome.meters.iter().map(|meter| {
        let reused = if meter.reused() > 0 { number(meter.reused() as i64) } else { String::new() };
        let seconds = format!("{:.1}", meter.elapsed().as_secs_f64());
        let (done, rejected) = (number(meter.done() as i64), number(meter.rejected() as i64));
        vec![
            meter.name.clone(),
            meter.kind.to_owned(),
            meter.state().as_str().to_owned(),
            done,
            rejected,
            reused,
            seconds,
        ]
    });
    out!("\n{}", table(&["stage", "kind", "state", "new rows", "rejected", "ledger", "seconds"], stages));

    outln!("\nIn the database");
    let rows = [
        ("documents", figures.documents),
        ("exact duplicates", figures.exact_duplicates),
        ("near duplicates", figures.near_duplicates),
        ("snippets", figures.snippets),
        ("descriptions", figures.descriptions),
        ("completions", figures.completions),
        ("pairs, train", figures.pairs_train),
        ("pairs, test", figures.pairs_test),
    ];
    out!("{}", table(&["", ""], rows.map(|(what, count)| vec![what.to_owned(), number(count)])));

    if !figures.rejections.is_empty() {
        outln!("\nRejected");
        let rows = figures
            .rejections
            .iter()
            .map(|row| vec![row.stage.clone(), row.class.clone(), number(row.rows), brief(&row.example, 60)]);
        out!("{}", table(&["stage", "class", "rows", "example"], rows));
    }
    if !figures.usage.is_empty() {
        outln!("\nCalls of this run");
        let rows = figures.usage.iter().map(|row| {
            vec![
                row.stage.clone(),
                row.model.clone(),
                number(row.calls),
                number(row.failures),
                number(row.prompt_tokens),
                number(row.completion_tokens),
                format!("{:.4}", row.cost_microdollars as f64 / 1e6),
                format!("{:.0}", row.mean_latency_ms.unwrap_or_default()),
            ]
        });
        let head = ["stage", "model", "calls", "failed", "prompt tokens", "answer tokens", "dollars", "mean ms"];
        out!("{}", table(&head, rows));
    }
    print_evaluations(&store.evaluations(outcome.run).await?);
    for (stage, error) in outcome.failures.iter().filter(|(_, error)| !error.is::<CapReached>()) {
        eprintln!("\nstage `{stage}` failed: {}", one_line(error));
    }
    if let Some(cap) = cap_of(outcome) {
        eprintln!("\nstopped: {cap}");
        let left = left(store, outcome).await?;
        let left: Vec<_> = left.iter().map(|(stage, rows)| format!("{stage} {}", number(*rows))).collect();
        eprintln!("left to do, of the rows that are there: {}", left.join(", "));
        eprintln!("to go on, run the same command with a higher cap");
    } else if outcome.interrupted {
        outln!("\nInterrupted: whatever was answered is committed; run the same command to go on.");
    } else if outcome.failures.is_empty()
        && let Some(pair) = store.sample_pair(outcome.run).await?
    {
        outln!("\nOne of the pairs (codepmp inspect {})\n", pair.id);
        inspect::print_side_by_side(&pair);
    }
    Ok(failed_rows)
}

/// The cap that stopped the run; where several stages met it, the last, which knows all that was spent.
fn cap_of(outcome: &Outcome) -> Option<CapReached> {
    outcome.failures.iter().rev().find_map(|(_, error)| error.downcast_ref().copied())
}

/// Model stages with rows that wait.
async fn left(store: &Store, outcome: &Outcome) -> anyhow::Result<Vec<(String, i64)>> {
    let stages = store.run_stages(outcome.run).await?;
    Ok(stages.into_iter().filter_map(|stage| Some((stage.name, stage.waiting.filter(|rows| *rows > 0)?))).collect())
}

/// Prints what was measured: each model with its interval, and the mean of models that differ by their seed alone.
fn print_evaluations(rows: &[EvaluationRow]) {
    if rows.is_empty() {
        return;
    }
    outln!("\nMeasured on held-out pairs");
    let mut lines: Vec<Vec<String>> = Vec::new();
    for group in rows.chunk_by(|a, b| (&a.stage, &a.model, &a.metric) == (&b.stage, &b.model, &b.metric)) {
        for row in group {
            lines.push(vec![
                row.model.clone(),
                row.seed.map(|seed| seed.to_string()).unwrap_or_default(),
                row.metric.clone(),
                format!("{:.4}", row.value),
                format!("{:.4} to {:.4}", row.low, row.high),
                number(row.n),
                row.stage.clone(),
            ]);
        }
        if group.len() > 1 {
            let mean = group.iter().map(|row| row.value).sum::<f64>() / group.len() as f64;
            let (model, metric) = (group[0].model.clone(), group[0].metric.clone());
            let of = format!("mean of {}", group.len());
            lines.push(vec![model, of, metric, format!("{mean:.4}"), String::new(), String::new(), String::new()]);
        }
    }
    out!("{}", table(&["model", "seed", "metric", "value", "interval", "pairs", "stage"], lines));
}
