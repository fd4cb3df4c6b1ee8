//! What the stages that call models have still to ask, and what that will take: for `plan` and before a run.
//!
//! Prompts are those of real rows where there are some: a sample is rendered, and looked up in the ledger, whose answers
//! cost nothing. A stage whose inputs do not exist yet, as a model is to write them, is rendered with a stand-in of the
//! length that they are expected to have. Answers are as long as earlier ones of the stage, else of its model in stages of
//! its kind; else they are taken to be as long as they may be.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use super::batches::work_of;
use super::rows::RowWork;
use super::{AnyStage, Loaded};
use crate::engine::Stage as _;
use crate::ids::StageId;
use crate::llm::{Usage, completion_tokens, prompt_tokens};
use crate::store::Store;
use crate::store::sample::{Measured, Work};
use crate::store::tasks::{Claimed, Inputs};

/// Rows that are rendered.
const SAMPLE: i64 = 400;
/// Rows that are rendered before a run.
const CHECKED: i64 = 100;

/// What a prompt's length was told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptBasis {
    /// Rows that are there.
    Rows,
    /// Rows that are there, with a stand-in for the description that a model has still to write.
    StandIn,
    /// Nothing: no row is there.
    None,
}

/// What an answer's length was told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerBasis {
    /// Earlier answers of the stage.
    Stage,
    /// Earlier answers of the model in other stages of the kind.
    Model,
    /// The most that it may have, `max_tokens`, or a guess where there is none.
    Bound,
}

/// What a stage has still to ask. Tokens, money and time are those of all its calls together.
#[derive(Clone, Debug, Serialize)]
pub struct Forecast {
    /// Name of the stage.
    pub stage: String,
    /// Name of its endpoint.
    pub endpoint: String,
    /// Model asked.
    pub model: String,
    /// Calls; none: not known, as no row is there.
    pub calls: Option<i64>,
    /// Whether more rows may come than are known.
    pub at_least: bool,
    /// Rows that the ledger has answers for, so that no call is made.
    pub from_ledger: i64,
    /// Rows that are out in a batch.
    pub batched: i64,
    /// Tokens of the prompts.
    pub prompt_tokens: i64,
    /// Tokens of the answers.
    pub answer_tokens: i64,
    /// Millionths of a dollar; none: the endpoint has no prices.
    pub microdollars: Option<i64>,
    /// Seconds at the endpoint's limits, other stages aside; none: nothing limits them and no call was timed.
    pub seconds: Option<f64>,
    /// What prompts were told by.
    pub prompts: PromptBasis,
    /// What answers were told by.
    pub answers: AnswerBasis,
    /// Earlier calls that answers were told by.
    pub measured_calls: i64,
    /// The prompts that were rendered.
    #[serde(flatten)]
    pub sample: PromptCheck,
}

/// Prompts of some of a stage's rows.
#[derive(Clone, Debug, Serialize)]
pub struct PromptCheck {
    /// Name of the stage.
    #[serde(skip)]
    pub stage: String,
    /// Model asked.
    #[serde(skip)]
    pub model: String,
    /// Rows that were rendered.
    pub sampled: i64,
    /// The longest of them: tokens of its prompt and of the longest answer together, estimated.
    pub longest: u32,
    /// How many of them are longer than the context.
    pub too_long: i64,
    /// How many of them could not be rendered.
    pub unrendered: i64,
    /// Why, of one of them.
    pub render_error: Option<String>,
}

/// Renders some rows of each model stage among `select` (none: all), which takes no counting of rows.
///
/// # Errors
/// When the database fails.
pub async fn check_prompts(loaded: &Loaded, select: &[String], store: &Store) -> anyhow::Result<Vec<PromptCheck>> {
    let prints: Vec<String> = loaded.plan.stages.iter().map(|planned| planned.fingerprint.clone()).collect();
    let ids = store.known_stages(&prints).await?;
    let mut checks = Vec::new();
    for planned in loaded.plan.stages.iter().filter(|stage| select.is_empty() || select.contains(&stage.name)) {
        let Some(work) = work_of(&planned.stage) else { continue };
        let Some(&need) = ids.get(&prints[planned.needs[0]]) else { continue };
        let rows = store.sample_rows(None, need, work.inputs(), 1, CHECKED).await?;
        checks.push(Rendered::of(work, &rows).check(&planned.name, work));
    }
    Ok(checks)
}

/// All stages together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Total {
    /// Calls that are known of.
    pub calls: i64,
    /// Tokens of prompts and answers.
    pub tokens: i64,
    /// Millionths of a dollar.
    pub microdollars: i64,
    /// Seconds at the limits, where stages that share an endpoint share its limits and others run beside each other.
    pub seconds: f64,
    /// Whether more may come than is known of.
    pub at_least: bool,
}

/// Sums up.
pub fn total(forecasts: &[Forecast]) -> Total {
    let mut total = Total::default();
    let mut seconds: BTreeMap<&str, f64> = BTreeMap::new();
    for forecast in forecasts {
        total.calls += forecast.calls.unwrap_or(0);
        total.tokens += forecast.prompt_tokens + forecast.answer_tokens;
        total.microdollars += forecast.microdollars.unwrap_or(0);
        total.at_least |= forecast.at_least;
        *seconds.entry(&forecast.endpoint).or_default() += forecast.seconds.unwrap_or(0.0);
    }
    total.seconds = seconds.into_values().fold(0.0, f64::max);
    total
}

/// Rows that a stage will have made in the end.
#[derive(Clone, Copy, Debug, Default)]
struct Output {
    rows: i64,
    /// Whether more may come than that.
    at_least: bool,
    /// Tokens of one, where a model writes them.
    tokens: f64,
}

/// What the model stages of `loaded` have still to ask, in order; without a database nothing is known of rows. Of `limit`,
/// the most new rows for each stage, more are not counted.
///
/// # Errors
/// When the database fails.
pub async fn forecast(loaded: &Loaded, store: Option<&Store>, limit: Option<u64>) -> anyhow::Result<Vec<Forecast>> {
    let prints: Vec<String> = loaded.plan.stages.iter().map(|planned| planned.fingerprint.clone()).collect();
    let ids = match store {
        Some(store) => store.known_stages(&prints).await?,
        None => HashMap::new(),
    };
    let mut outputs: Vec<Output> = Vec::new();
    // Questions that are in their file only, by the place of their stage.
    let mut unread: HashMap<usize, Vec<Claimed>> = HashMap::new();
    let mut forecasts = Vec::new();
    for planned in &loaded.plan.stages {
        let id = ids.get(&planned.fingerprint).copied();
        let Some(work) = work_of(&planned.stage) else {
            let progress = match store {
                Some(store) => store.stage_progress(&planned.fingerprint, &planned.name, planned.stage.kind()).await?,
                None => crate::store::progress::StageProgress::default(),
            };
            let mut output = Output { rows: progress.rows, at_least: progress.word() != "fresh", tokens: 0.0 };
            if let (AnyStage::Questions(questions), true) = (&planned.stage, output.at_least) {
                let questions = questions.clone();
                let rows = tokio::task::spawn_blocking(move || questions.preview()).await?;
                if !rows.is_empty() {
                    output = Output { rows: rows.len() as i64, at_least: false, tokens: 0.0 };
                    unread.insert(outputs.len(), rows);
                }
            }
            outputs.push(output);
            continue;
        };
        let need = planned.needs[0];
        let (input, unread) = (outputs[need], unread.get(&need).map_or(&[][..], Vec::as_slice));
        let mut view = View { store, work, id, need: ids.get(&prints[need]).copied(), input, known: vec![], unread };
        if let (Inputs::Descriptions, Some(&snippets)) = (work.inputs(), loaded.plan.stages[need].needs.first()) {
            view.known.extend(ids.get(&prints[snippets]).copied());
        }
        let forecast = view.forecast(&planned.name, planned.stage.kind(), limit).await?;
        let made = match store.zip(id) {
            Some((store, _)) => {
                store.stage_progress(&planned.fingerprint, &planned.name, planned.stage.kind()).await?.rows
            }
            None => 0,
        };
        let left = forecast.calls.unwrap_or(0) + forecast.from_ledger + forecast.batched;
        let tokens = forecast.answer_tokens as f64 / forecast.calls.filter(|calls| *calls > 0).unwrap_or(1) as f64;
        outputs.push(Output { rows: made + left, at_least: forecast.at_least, tokens });
        forecasts.push(forecast);
    }
    Ok(forecasts)
}

/// One stage, and what it stands on.
struct View<'a> {
    store: Option<&'a Store>,
    work: &'a RowWork,
    id: Option<StageId>,
    need: Option<StageId>,
    input: Output,
    /// The stage of the snippets that its inputs will be written for.
    known: Vec<StageId>,
    /// Its inputs, where they are in a file only.
    unread: &'a [Claimed],
}

impl View<'_> {
    async fn forecast(&self, name: &str, kind: &'static str, limit: Option<u64>) -> anyhow::Result<Forecast> {
        let work = self.work;
        let settings = &work.endpoint.settings;
        let samples = i64::from(work.samples());
        let there = match (self.store, self.need) {
            (Some(store), Some(need)) => store.work(self.id, need, work.inputs()).await?,
            _ => Work::default(),
        };
        let wanted = work.drawn(self.input.rows.max(there.inputs)) * samples;
        let mut left = (wanted - there.ended - there.batched).max(0);
        if let Some(limit) = limit {
            left = left.min(limit as i64);
        }
        let (measured, answers) = self.measured(kind).await?;
        let answer =
            measured.map_or_else(|| f64::from(completion_tokens(work.sampling())), |found| found.answer_tokens);

        let open = (work.drawn(there.inputs) * samples - there.ended - there.batched).max(0);
        let (rows, prompts, are_open) = self.sample(there, open).await?;
        let rendered = Rendered::of(work, &rows);
        let hits = match self.store.filter(|_| are_open) {
            Some(store) => {
                let paid = store.ledger(&rendered.keys).await?;
                let asked: HashSet<_> = rendered.keys.iter().filter(|key| !paid.contains_key(*key)).collect();
                (rendered.keys.len() - asked.len()) as i64
            }
            None => 0,
        };
        let sampled = rows.len() as i64;
        let share = if sampled == 0 { 0.0 } else { hits as f64 / sampled as f64 };
        let from_ledger = (share * open.min(left) as f64).round() as i64;
        let calls = left - from_ledger;
        let prompt_tokens = (rendered.mean() * calls as f64).round() as i64;
        let answer_tokens = (answer * calls as f64).round() as i64;
        let known = sampled > 0 || (wanted > 0 && left == 0);
        let microdollars = settings.prices().map(|prices| {
            let usage = |prompt, answer| Usage { prompt_tokens: Some(prompt), completion_tokens: Some(answer) };
            let million = prices.cost_microdollars(usage(1_000_000, 0)) as f64 * prompt_tokens as f64
                + prices.cost_microdollars(usage(0, 1_000_000)) as f64 * answer_tokens as f64;
            (million / 1e6).round() as i64
        });
        let minutes =
            |per_minute: Option<u32>, count: i64| per_minute.map(|limit| count as f64 / f64::from(limit) * 60.0);
        let in_flight = measured
            .filter(|found| found.latency_ms > 0.0)
            .map(|found| calls as f64 * found.latency_ms / 1000.0 / f64::from(settings.concurrency));
        let limits = [
            minutes(settings.requests_per_minute, calls),
            minutes(settings.tokens_per_minute, prompt_tokens + answer_tokens),
            minutes(settings.input_tokens_per_minute, prompt_tokens),
            minutes(settings.output_tokens_per_minute, answer_tokens),
            in_flight,
        ];
        Ok(Forecast {
            stage: name.to_owned(),
            endpoint: work.endpoint.name.clone(),
            model: settings.model.clone(),
            calls: known.then_some(calls),
            at_least: self.input.at_least,
            from_ledger,
            batched: there.batched,
            prompt_tokens,
            answer_tokens,
            microdollars,
            seconds: limits.into_iter().flatten().reduce(f64::max),
            prompts,
            answers,
            measured_calls: measured.map_or(0, |found| found.calls),
            sample: rendered.check(name, work),
        })
    }

    async fn measured(&self, kind: &str) -> anyhow::Result<(Option<Measured>, AnswerBasis)> {
        let Some(store) = self.store else { return Ok((None, AnswerBasis::Bound)) };
        if let Some(found) = store.measured(self.id.as_slice()).await? {
            return Ok((Some(found), AnswerBasis::Stage));
        }
        let others = store.stages_of_model(&self.work.endpoint.settings.model, kind).await?;
        let found = store.measured(&others).await?;
        Ok((found, if found.is_some() { AnswerBasis::Model } else { AnswerBasis::Bound }))
    }

    /// Rows to render, of which `open` are still to be done; and whether those are.
    async fn sample(&self, there: Work, open: i64) -> anyhow::Result<(Vec<Claimed>, PromptBasis, bool)> {
        if there.inputs == 0 && !self.unread.is_empty() {
            let step = self.unread.len().div_ceil(SAMPLE as usize);
            let rows = self.unread.iter().step_by(step).cloned().collect();
            return Ok((rows, PromptBasis::Rows, false));
        }
        let Some(store) = self.store else { return Ok((Vec::new(), PromptBasis::None, false)) };
        let (inputs, samples) = (self.work.inputs(), self.work.samples());
        if let Some(need) = self.need.filter(|_| open > 0) {
            let rows = store.sample_rows(self.id, need, inputs, samples, SAMPLE).await?;
            if !rows.is_empty() {
                return Ok((rows, PromptBasis::Rows, true));
            }
            // Those that are left are few, and the points hit none of them: the others are as long.
            return Ok((store.sample_rows(None, need, inputs, 1, SAMPLE).await?, PromptBasis::Rows, false));
        }
        let Some(&snippets) = self.known.first().filter(|_| self.input.rows > there.inputs) else {
            return Ok((Vec::new(), PromptBasis::None, false));
        };
        let mut rows = store.sample_rows(None, snippets, Inputs::Snippets, 1, SAMPLE).await?;
        let stand_in = "text ".repeat((self.input.tokens * 3.5 / 5.0) as usize);
        for row in &mut rows {
            row.description = Some(stand_in.clone());
        }
        let basis = if rows.is_empty() { PromptBasis::None } else { PromptBasis::StandIn };
        Ok((rows, basis, false))
    }
}

/// The prompts of a sample.
#[derive(Default)]
struct Rendered {
    keys: Vec<[u8; 16]>,
    tokens: Vec<u32>,
    failed: i64,
    error: Option<String>,
}

impl Rendered {
    fn of(work: &RowWork, rows: &[Claimed]) -> Self {
        let mut rendered = Self::default();
        for row in rows {
            match work.request(row) {
                Ok(request) => {
                    rendered.keys.push(request.request_key());
                    rendered.tokens.push(prompt_tokens(&request.messages));
                }
                Err(message) => {
                    rendered.failed += 1;
                    rendered.error.get_or_insert(format!("{} of {}: {message}", row.qualified_name, row.path));
                }
            }
        }
        rendered
    }

    fn check(&self, stage: &str, work: &RowWork) -> PromptCheck {
        let answer = completion_tokens(work.sampling());
        let context = work.endpoint.context_tokens().unwrap_or(u32::MAX);
        let lengths = self.tokens.iter().map(|prompt| prompt.saturating_add(answer));
        PromptCheck {
            stage: stage.to_owned(),
            model: work.endpoint.settings.model.clone(),
            sampled: self.tokens.len() as i64 + self.failed,
            longest: lengths.clone().max().unwrap_or(0),
            too_long: lengths.filter(|tokens| *tokens > context).count() as i64,
            unrendered: self.failed,
            render_error: self.error.clone(),
        }
    }

    fn mean(&self) -> f64 {
        let sum: f64 = self.tokens.iter().map(|tokens| f64::from(*tokens)).sum();
        if self.tokens.is_empty() { 0.0 } else { sum / self.tokens.len() as f64 }
    }
}
