//! Answers that a generate stage has of a benchmark's questions, as items for best-of-N.

use std::path::PathBuf;

use crate::benchmark::{Benchmark, Item, Reason};
use crate::engine::{Context, Stage as _};
use crate::stages::measuring::{Data, DataSettings, Metric};
use crate::stages::{AnyStage, WrongInput, questions};
use crate::store::questions::Sampled;

/// Position in the plan of the generate stage among the needs.
pub(super) fn stage_of(context: &Context<AnyStage>) -> Option<usize> {
    let mut needs = context.stage().needs.iter().copied();
    needs.find(|&need| context.plan.stages[need].stage.kind() == "generate")
}

/// Says whether the stage measures on a generate stage's answers, or what is wrong if it cannot.
///
/// # Errors
/// What is allowed, as a sentence.
pub(super) fn check(
    needs: &[(&str, &AnyStage)],
    metric: Metric,
    data: Option<&str>,
    samples: Option<&str>,
) -> Result<bool, String> {
    let generating: Vec<(&str, &AnyStage)> =
        needs.iter().filter(|(_, stage)| stage.kind() == "generate").copied().collect();
    let (name, stage) = match generating[..] {
        [] => return Ok(false),
        [only] => only,
        [(first, _), (second, _), ..] => {
            return Err(format!(
                "it measures on the answers of one generate stage, and there are `{first}` and `{second}`"
            ));
        }
    };
    match stage {
        AnyStage::Generate(generate) if generate.asks_questions() => {}
        _ => return Err(format!("`{name}` answers descriptions; best_of_n is measured on answers to questions")),
    }
    if metric != Metric::BestOfN {
        return Err(format!("{} cannot be measured on the answers of `{name}`: best_of_n can", metric.name()));
    }
    if let Some((setting, file)) = data.map(|file| ("data", file)).or(samples.map(|file| ("samples", file))) {
        return Err(format!("`{setting}` names {file}, and `needs` the generate stage `{name}`: one of them"));
    }
    if let Some((pairs, _)) = needs.iter().find(|(_, stage)| stage.kind() == "pair") {
        return Err(format!("best_of_n is measured on the answers of `{name}`, not on the pairs of `{pairs}`"));
    }
    Ok(true)
}

/// The questions that were asked as often as the stage at `at` wants, with its answers; and how many of these failed. Other
/// questions are left out with their number.
///
/// # Errors
/// [`WrongInput`] when none was, or the items cannot be measured.
pub(super) async fn read(
    context: &Context<AnyStage>,
    at: usize,
    settings: &DataSettings,
) -> anyhow::Result<(Data, Option<usize>)> {
    let planned = &context.plan.stages[at];
    let AnyStage::Generate(generate) = &planned.stage else { anyhow::bail!("a bug: the stage does not generate") };
    let (asked, samples) = (planned.needs[0], generate.work.samples());
    let rows = context.store.sampled(context.all_ids[asked], context.all_ids[at], samples).await?;
    let all = rows.len();
    let (whole, open): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.ended == i64::from(samples));
    let name = &planned.name;
    if whole.is_empty() {
        let message =
            format!("stage `{name}` has all {samples} samples of none of {all} questions yet: run it to its end");
        return Err(WrongInput(message).into());
    }
    let format = whole[0].question.format.parse().map_err(WrongInput)?;
    let items: Vec<Item> = whole.into_iter().map(questions::item).collect::<anyhow::Result<_>>()?;
    let found = Benchmark { path: PathBuf::new(), format, items, left_out: Vec::new() };
    let mut data = Data::of(Metric::BestOfN, found, format!("samples of stage `{name}`"), settings)?;
    if let Some(Sampled { question, .. }) = open.first() {
        let (reason, rows) = (format!("not asked {samples} times yet"), open.len() as u64);
        data.left_out.0.push(Reason { reason, rows, first: format!("{}:{}", question.file, question.line) });
        tracing::warn!("{rows} of {all} questions were not asked {samples} times yet and are left out");
    }
    let failed = data.items.iter().flat_map(|item| &item.samples).filter(|text| text.is_empty()).count();
    Ok((data, Some(failed)))
}
