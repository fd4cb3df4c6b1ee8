//! Progress: bars on a terminal, a plain line every few seconds elsewhere, JSON lines on request.

use super::output::outln;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::progress::{Meter, State};

/// Where a command's output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Draws counters until told to end.
pub struct Display {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

const PLAIN_EVERY: Duration = Duration::from_secs(5);
const JSON_EVERY: Duration = Duration::from_secs(1);
const DRAW_EVERY: Duration = Duration::from_millis(150);

impl Display {
    /// Starts drawing `meters`.
    pub fn start(meters: Vec<Arc<Meter>>, output: Output) -> Self {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = match output {
            Output::Json => tokio::spawn(lines(meters, JSON_EVERY, stopped, |meter| outln!("{}", event(meter)))),
            Output::Text if std::io::stderr().is_terminal() => tokio::spawn(bars(meters, stopped)),
            Output::Text => tokio::spawn(lines(meters, PLAIN_EVERY, stopped, |meter| eprintln!("{}", plain(meter)))),
        };
        Self { stop, task }
    }

    /// Draws the last state and ends.
    pub async fn end(self) {
        self.stop.cancel();
        let _ = self.task.await;
    }
}

/// Prints each running stage every so often, and each stage once when it ends.
async fn lines(meters: Vec<Arc<Meter>>, every: Duration, stop: CancellationToken, print: impl Fn(&Meter)) {
    let mut told: Vec<(State, u64)> = vec![(State::Waiting, 0); meters.len()];
    let mut next = Instant::now() + every;
    loop {
        let stopped = stop.is_cancelled();
        let due = Instant::now() >= next;
        if due {
            next += every;
        }
        for (meter, told) in meters.iter().zip(&mut told) {
            let now = (meter.state(), meter.done() + meter.rejected());
            if now.0 != told.0 && now.0 != State::Skipped || due && now != *told {
                print(meter);
                *told = now;
            }
        }
        if stopped {
            return;
        }
        tokio::select! {
            () = sleep(DRAW_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn event(meter: &Meter) -> serde_json::Value {
    json!({
        "event": "stage", "stage": meter.name, "kind": meter.kind, "state": meter.state(), "done": meter.done(),
        "rejected": meter.rejected(), "reused": meter.reused(), "total": meter.total(),
        "seconds": meter.elapsed().as_secs_f64(), "seconds_left": left(meter).map(|left| left.as_secs()),
        "note": meter.note(),
    })
}

fn plain(meter: &Meter) -> String {
    let state = meter.state().as_str();
    format!("{:<12} {state:<8} {}", meter.name, counts(meter))
}

fn counts(meter: &Meter) -> String {
    let mut text = match meter.total().filter(|_| meter.state() == State::Running) {
        Some(total) => format!("{} of {}", HumanCount(meter.done()), HumanCount(total)),
        None => HumanCount(meter.done()).to_string(),
    };
    for (number, what) in [(meter.rejected(), "rejected"), (meter.reused(), "from the ledger")] {
        if number > 0 {
            let _ = write!(text, ", {} {what}", HumanCount(number));
        }
    }
    let note = meter.note();
    if !note.is_empty() {
        let _ = write!(text, ", {note}");
    }
    let seconds = meter.elapsed().as_secs_f64();
    if seconds > 0.0 && meter.state() != State::Waiting {
        let _ = write!(text, ", {:.0}/s", (meter.done() + meter.rejected()) as f64 / seconds);
    }
    match left(meter).filter(|_| meter.state() == State::Running) {
        Some(left) => text + &format!(", {} left", HumanDuration(left)),
        None => text + &format!(", {seconds:.1} s"),
    }
}

/// Time left at the mean rate so far.
fn left(meter: &Meter) -> Option<Duration> {
    let handled = meter.done() + meter.rejected();
    let rest = meter.total()?.checked_sub(handled)?;
    (handled > 0).then(|| meter.elapsed().mul_f64(rest as f64 / handled as f64))
}

async fn bars(meters: Vec<Arc<Meter>>, stop: CancellationToken) {
    let screen = MultiProgress::new();
    let style = ProgressStyle::with_template("{spinner} {prefix:12} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    let with_total =
        ProgressStyle::with_template("{spinner} {prefix:12} [{bar:24}] {wide_msg}").unwrap_or_else(|_| style.clone());
    let bars: Vec<ProgressBar> =
        meters.iter().map(|_| screen.add(ProgressBar::new(0).with_style(style.clone()))).collect();
    loop {
        let stopped = stop.is_cancelled();
        for (meter, bar) in meters.iter().zip(&bars) {
            bar.set_prefix(meter.name.clone());
            match meter.state() {
                State::Waiting => bar.set_message("waiting"),
                State::Skipped => bar.set_message("not selected"),
                state => {
                    if let Some(total) = meter.total() {
                        bar.set_style(with_total.clone());
                        bar.set_length(total);
                    }
                    bar.set_position(meter.done() + meter.rejected());
                    let word = if state == State::Running { String::new() } else { format!("{}: ", state.as_str()) };
                    bar.set_message(word + &counts(meter));
                }
            }
            if stopped || !matches!(meter.state(), State::Running | State::Waiting) {
                bar.abandon();
            } else {
                bar.tick();
            }
        }
        if stopped {
            return;
        }
        tokio::select! {
            () = sleep(DRAW_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}
