//! The simulator itself: a request in, the completion that follows from it out.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::python::{Parser, Unit, token_estimate};
use crate::reasoning::Problem;

use super::cache::Cache;
use super::chance::of_answer;
use super::compose::{self, Quality};
use super::describe::{WORDINGS, description};
use super::dice::{Dice, hash};
use super::facts::facts;
use super::index::Index;
use super::judge::verdict;
use super::log::RequestLog;
use super::protocol::{ChatRequest, Choice, Completion, FinishReason, Reply, RequestKey, Usage};
use super::role::Role;
use super::settings::{FaultKind, Settings, SettingsError};
use super::solve::solve;
use super::stats::{Counters, Stats};
use super::subject::{Finder, Shown, shown};

/// Tokens that a message takes besides its text.
const TOKENS_PER_MESSAGE: u32 = 4;

/// A simulated model server without its sockets.
pub struct Simulator {
    index: Index,
    pub(super) settings: Settings,
    pub(super) api_key: Option<String>,
    pub(super) counters: Counters,
    pub(super) log: Option<Arc<RequestLog>>,
    finder: Finder,
    started: u64,
    texts: Mutex<Cache<u64, Arc<str>>>,
    answers: Mutex<Cache<RequestKey, Arc<Answer>>>,
}

/// What a request gets.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request's identity.
    pub key: RequestKey,
    /// The completion.
    pub completion: Completion,
    /// The completion as JSON.
    pub body: Vec<u8>,
    /// The fault that was built into it.
    pub fault: Option<FaultKind>,
    /// Whether it is about code of the corpus, or solves a problem of the made reasoning set.
    pub known: bool,
}

/// Why a request gets no completion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// A model name that tells no role.
    #[error("the simulator has no model `{model}`; it has {}", super::role::MODELS.join(", "))]
    UnknownModel {
        /// What was asked for.
        model: String,
    },
    /// A request without messages.
    #[error("`messages` is empty; a request needs at least one message")]
    NoMessages,
    /// More answers than are given at once.
    #[error("`n` is {n}; it must lie between 1 and 128")]
    Count {
        /// What was asked for.
        n: u32,
    },
}

thread_local! {
    static PARSER: RefCell<Parser> = RefCell::new(Parser::new());
}

impl Simulator {
    /// Makes a simulator that knows `index`.
    pub fn new(index: Index, settings: Settings) -> Result<Self, SettingsError> {
        settings.check()?;
        Ok(Self {
            finder: Finder::new(settings.seed),
            started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs()),
            texts: Mutex::new(Cache::new(settings.cached_answers)),
            answers: Mutex::new(Cache::new(settings.cached_answers)),
            counters: Counters::default(),
            api_key: None,
            log: None,
            index,
            settings,
        })
    }

    /// Refuses requests without this key with status 401.
    #[must_use]
    pub fn with_api_key(self, key: String) -> Self {
        Self { api_key: Some(key), ..self }
    }

    /// Writes a line of JSON to `file` for every chat request that it understood: seconds since now at which it came
    /// (`at`) and was done with (`until`), model, key, tokens of prompt and answer, `fate` (`answered`, `failed`, `refused`, or
    /// `left`, when the client did not wait), the fault if one was injected, and the answer that belongs to it.
    #[must_use]
    pub fn with_log(self, file: std::fs::File) -> Self {
        Self { log: Some(Arc::new(RequestLog::new(file))), ..self }
    }

    /// What it knows.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// What it was told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// The answer to a request: the same for the same request and seed, whatever came before, but for faults on the
    /// way and limits, which are the server's.
    pub fn answer(&self, request: &ChatRequest<'_>) -> Result<Arc<Answer>, AnswerError> {
        let role =
            Role::of(&request.model).ok_or_else(|| AnswerError::UnknownModel { model: request.model.to_string() })?;
        if request.messages.is_empty() {
            return Err(AnswerError::NoMessages);
        }
        let n = request.n.unwrap_or(1);
        if !(1..=128).contains(&n) {
            return Err(AnswerError::Count { n });
        }
        let key = request.key();
        let lock = || self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(key) {
            return Ok(known);
        }
        let answer = Arc::new(PARSER.with_borrow_mut(|parser| self.compute(request, role, key, n, parser)));
        lock().insert(key, Arc::clone(&answer));
        Ok(answer)
    }

    /// Writes what `model` answers about every snippet of `units` at this sampling, on all cores, and keeps it: such
    /// requests are then answered without parsing. For load tests; answers are the same without it.
    pub fn prepare(&self, model: &str, units: &[Unit], temperature: Option<f64>, seed: Option<i64>) {
        let Some(role) = Role::of(model) else { return };
        let items = self.index.of_units(units);
        self.texts.lock().unwrap_or_else(PoisonError::into_inner).grow(items.len());
        let sample = sample(temperature, seed, 0);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for part in items.chunks(items.len().div_ceil(threads).max(1)) {
                scope.spawn(move || {
                    let mut parser = Parser::new();
                    for at in part {
                        let subject = Shown::Item(*at);
                        match role {
                            Role::Describer => self.describe(&subject, &mut parser, model, sample),
                            _ => self.write(role, &subject, &mut parser, model, "", sample),
                        };
                    }
                });
            }
        });
    }

    fn compute(&self, request: &ChatRequest<'_>, role: Role, key: RequestKey, n: u32, parser: &mut Parser) -> Answer {
        let question = request.question();
        let fault = of_answer(&self.settings.faults, self.settings.seed, key);
        let problem = match role {
            Role::Strong | Role::Weak => Problem::find(&question),
            Role::Describer | Role::Judge => None,
        };
        let subject = match role {
            Role::Describer => shown(&self.index, parser, &question),
            Role::Strong | Role::Weak if problem.is_some() => Shown::Nothing,
            Role::Strong | Role::Weak | Role::Judge => {
                self.finder.named(&self.index, parser, &question).map_or(Shown::Nothing, Shown::Item)
            }
        };
        let mut usage = Usage::default();
        for message in &request.messages {
            usage.prompt_tokens += token_estimate(&message.text()) + TOKENS_PER_MESSAGE;
        }
        let choices = (0..n).map(|n| {
            let sample = sample(request.temperature, request.seed, n);
            let whole = match (&problem, role) {
                (Some(problem), _) => self.solve(role, problem, &request.model, sample).into(),
                (None, Role::Describer) => self.describe(&subject, parser, &request.model, sample),
                (None, Role::Judge) => self.judge(&subject, &request.model, &question, sample).into(),
                (None, _) => self.write(role, &subject, parser, &request.model, &question, sample),
            };
            let mut dice = self.dice(b"fault", &request.model, &whole, sample);
            let (content, finish_reason) = faulty(&whole, role, fault, &mut dice);
            let (content, finish_reason) = cut(content, finish_reason, request.token_limit());
            usage.completion_tokens += token_estimate(&content);
            let message = Reply { role: "assistant", content };
            Choice { index: n, message, logprobs: None, finish_reason }
        });
        let choices: Vec<Choice> = choices.collect();
        usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
        let completion = Completion {
            id: format!("chatcmpl-{key}"),
            object: "chat.completion",
            created: self.started,
            model: request.model.to_string(),
            choices,
            usage,
            system_fingerprint: "simulator",
        };
        let body = serde_json::to_vec(&completion).unwrap_or_default();
        Answer { key, completion, body, fault, known: problem.is_some() || matches!(subject, Shown::Item(_)) }
    }

    fn describe(&self, subject: &Shown, parser: &mut Parser, model: &str, sample: u64) -> Arc<str> {
        let (code, unit, mention) = match subject {
            Shown::Item(at) => {
                let known = self.index.item(*at).zip(self.index.text(*at));
                let Some((item, text)) = known else {
                    return "".into();
                };
                (text, item.unit, item.mention.to_string())
            }
            Shown::Code { code, unit, mention } => (code.clone(), *unit, mention.clone()),
            Shown::Nothing => return "There is no code to describe in this message.".into(),
        };
        let wording = self.dice(b"wording", model, &code, sample).below(usize::from(WORDINGS)) as u8;
        let key = hash(&[b"description", mention.as_bytes(), code.as_bytes(), &[wording]]);
        self.kept(key, || {
            let facts = facts(parser, &code, unit).map(|(facts, _)| facts).unwrap_or_default();
            description(&facts, unit, &mention, self.settings.seed, wording)
        })
    }

    fn write(
        &self,
        role: Role,
        subject: &Shown,
        parser: &mut Parser,
        model: &str,
        question: &str,
        sample: u64,
    ) -> Arc<str> {
        let Shown::Item(at) = subject else {
            let unit = if question.contains(" class ") { Unit::Class } else { Unit::Function };
            return compose::stub(question, unit, &mut self.dice(b"stub", model, question, sample)).into();
        };
        let key = hash(&[b"code", model.as_bytes(), &at.to_le_bytes(), &sample.to_le_bytes()]);
        self.kept(key, || {
            let text = self.index.text(*at).unwrap_or_default();
            let of = &self.settings;
            let (bugs, habits) = match role {
                Role::Strong | Role::Describer | Role::Judge => (of.strong_bug_share, of.strong_habit_share),
                Role::Weak => (of.weak_bug_share, of.weak_habit_share),
            };
            let quality = Quality { bugs, habits, broken: of.broken_syntax_share };
            compose::answer(parser, &text, quality, &mut self.dice(b"code", model, &text, sample))
        })
    }

    fn solve(&self, role: Role, problem: &Problem, model: &str, sample: u64) -> String {
        let of = &self.settings;
        let mean = if role == Role::Weak { of.weak_right_share } else { of.strong_right_share };
        let mut of_problem = self.dice(b"problem", model, &problem.question, 0);
        solve(problem, mean, &mut of_problem, &mut self.dice(b"solution", model, &problem.question, sample))
    }

    fn judge(&self, subject: &Shown, model: &str, question: &str, sample: u64) -> String {
        let original = match subject {
            Shown::Item(at) => self.index.text(*at),
            _ => None,
        };
        verdict(question, original.as_deref(), &self.settings, &mut self.dice(b"verdict", model, question, sample))
    }

    /// A text that is made once and kept while there is room.
    fn kept(&self, key: u64, make: impl FnOnce() -> String) -> Arc<str> {
        let lock = || self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(key) {
            return known;
        }
        let text: Arc<str> = make().into();
        lock().insert(key, Arc::clone(&text));
        text
    }

    fn dice(&self, purpose: &[u8], model: &str, text: &str, sample: u64) -> Dice {
        let seed = self.settings.seed.to_le_bytes();
        Dice::of(&[purpose, &seed, model.as_bytes(), text.as_bytes(), &sample.to_le_bytes()])
    }
}

/// What tells answers to the same messages apart. At temperature 0 only the position among `n` answers does.
fn sample(temperature: Option<f64>, seed: Option<i64>, n: u32) -> u64 {
    let temperature = temperature.unwrap_or(1.0);
    let seed = if temperature == 0.0 { 0 } else { seed.unwrap_or(0) };
    hash(&[&seed.to_le_bytes(), &temperature.to_bits().to_le_bytes(), &n.to_le_bytes()])
}

fn faulty(whole: &str, role: Role, fault: Option<FaultKind>, dice: &mut Dice) -> (String, FinishReason) {
    let content = match fault {
        Some(FaultKind::Empty) => String::new(),
        Some(FaultKind::Prose) if role == Role::Describer => {
            "I am not sure what this code is for. Could you tell me more about it?".to_owned()
        }
        Some(FaultKind::Prose) => dice
            .word(&[
                "To do this, first check the input, then go through the values one by one and collect the results.",
                "I cannot write this without knowing more. Which version of Python do you use?",
            ])
            .to_owned(),
        Some(FaultKind::Several) if matches!(role, Role::Strong | Role::Weak) => {
            format!("{whole}\n\nYou can try it like this:\n\n```python\nprint(1)\n```\n\n```\n1\n```")
        }
        Some(FaultKind::Truncated) => {
            let share = 0.3 + 0.5 * dice.unit();
            let end = whole.floor_char_boundary((whole.len() as f64 * share) as usize);
            return (whole[..end].to_owned(), FinishReason::Length);
        }
        _ => whole.to_owned(),
    };
    (content, FinishReason::Stop)
}

/// Cuts an answer at the token limit of its request.
fn cut(content: String, finish: FinishReason, limit: Option<u32>) -> (String, FinishReason) {
    let Some(limit) = limit.filter(|limit| token_estimate(&content) > *limit) else {
        return (content, finish);
    };
    // The estimate grows with the text, so the longest prefix that fits is found by halving.
    let (mut fits, mut over) = (0, content.len());
    while over - fits > 1 {
        let middle = usize::midpoint(fits, over);
        let end = content.floor_char_boundary(middle);
        if token_estimate(&content[..end]) <= limit {
            fits = middle;
        } else {
            over = middle;
        }
    }
    (content[..content.floor_char_boundary(fits)].to_owned(), FinishReason::Length)
}

#[cfg(test)]
#[path = "simulator_tests.rs"]
mod tests;
