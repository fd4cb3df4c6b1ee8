//! Runs a program against its tests: starts both, hands messages to and fro, and tells the verdict.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::cage::{Cage, Heard, Inmate, Role};
use super::{Limits, Program, SandboxError, proof};

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// All tests passed.
    Passed,
    /// A test failed, or the answer ended before its tests did.
    Failed {
        /// Where the answer's process ended: its exit code, 128 and more for a signal.
        exit: Option<i32>,
        /// The error, and the last of what was printed.
        message: String,
    },
    /// It took longer than it may, by the processor's or the wall clock.
    TimedOut,
    /// It took more memory than it may.
    OutOfMemory,
    /// It printed or returned more than it may.
    TooMuchOutput,
    /// Nothing is known of the answer: the tests themselves do not compile, or need what cannot be handed over.
    TestsAtFault {
        /// What is wrong with them.
        message: String,
    },
}

impl Verdict {
    /// Whether the answer is right.
    pub fn passed(&self) -> bool {
        *self == Self::Passed
    }
}

/// A place to run answers' code in, proved to hold.
#[derive(Debug)]
pub struct Sandbox {
    cage: Cage,
    places: Semaphore,
}

/// How answer and tests came to an end.
enum End {
    Verdict(Report),
    AnswerEnded,
    JudgeEnded,
    TooMuchOutput,
}

/// The judge's last message (`inside/judge.py`).
#[derive(Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
enum Report {
    Passed,
    Failed { memory: bool, text: String },
    AtFault { text: String },
}

/// Exit code of a process that took more processor time than it may (128 + SIGXCPU).
const OUT_OF_TIME: i32 = 152;

impl Sandbox {
    /// Finds bubblewrap and Python, and proves that the cage holds on this machine.
    ///
    /// # Errors
    /// When something is missing, or a trial could do from within what it must not.
    pub async fn find() -> Result<Self, SandboxError> {
        let cage = Cage::find().await?;
        proof::prove(&cage).await?;
        let places = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self { cage, places: Semaphore::new(places) })
    }

    /// What it was found to be made of, in words.
    pub fn found(&self) -> String {
        self.cage.found()
    }

    /// Runs `program`. At most as many run at once as the machine has processors; the others wait here.
    ///
    /// # Errors
    /// When the cage could not be made; whatever the answer does is a verdict.
    pub async fn run(&self, program: &Program, limits: &Limits) -> Result<Verdict, SandboxError> {
        let _place = self.places.acquire().await; // never closed
        let source = json!({"source": program.answer});
        let tests = json!({"context": program.context, "tests": program.tests, "entry_point": program.entry_point});
        let (mut answer, mut judge) = tokio::try_join!(
            self.cage.start(Role::Answer, limits, source),
            self.cage.start(Role::Judge, limits, tests),
        )?;
        let whole = async {
            let end = talk(&mut answer, &mut judge).await;
            verdict(end, &mut answer, &mut judge).await
        };
        let verdict = timeout(Duration::from_secs(limits.wall_seconds), whole).await.unwrap_or(Verdict::TimedOut);
        tokio::join!(answer.end(), judge.end());
        Ok(verdict)
    }
}

/// Hands messages to and fro: the answer has loaded, the judge calls, the answer replies, and so on to the verdict.
async fn talk(answer: &mut Inmate, judge: &mut Inmate) -> End {
    loop {
        match answer.next().await {
            Heard::Line(reply) => judge.send(&reply).await,
            Heard::TooLong => return End::TooMuchOutput,
            Heard::End => return End::AnswerEnded,
        }
        match judge.next().await {
            Heard::Line(order) => match serde_json::from_slice(&order) {
                Ok(report) => return End::Verdict(report),
                Err(_) => answer.send(&order).await,
            },
            Heard::TooLong => return End::TooMuchOutput,
            Heard::End => return End::JudgeEnded,
        }
    }
}

async fn verdict(end: End, answer: &mut Inmate, judge: &mut Inmate) -> Verdict {
    match end {
        End::Verdict(Report::Passed) => Verdict::Passed,
        End::Verdict(Report::Failed { memory: true, .. }) => Verdict::OutOfMemory,
        End::Verdict(Report::Failed { text, .. }) => Verdict::Failed { exit: None, message: text },
        End::Verdict(Report::AtFault { text }) => Verdict::TestsAtFault { message: text },
        End::TooMuchOutput => Verdict::TooMuchOutput,
        End::AnswerEnded => match answer.ended().await {
            Some(OUT_OF_TIME) => Verdict::TimedOut,
            exit => Verdict::Failed {
                exit,
                message: format!("the answer ended before its tests: {}", answer.prints.tail().trim()),
            },
        },
        End::JudgeEnded => match judge.ended().await {
            Some(OUT_OF_TIME) => Verdict::TimedOut,
            exit => Verdict::TestsAtFault {
                message: format!("the tests ended with exit code {exit:?}: {}", judge.prints.tail().trim()),
            },
        },
    }
}
