//! The judge of programs: the sandbox.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Data;
use crate::benchmark::{CodeTest, Task};
use crate::eval::code::{Judge, Verdict};
use crate::sandbox::{self, Limits, Program, Sandbox};
use crate::stages::training::WrongInput;

/// Runs answers in a cage.
struct Caged {
    sandbox: Sandbox,
    runtime: Handle,
}

/// A judge for the programs among `data`; none where there are none.
///
/// # Errors
/// [`WrongInput`] where there are programs and no sandbox that holds: nothing is run then.
pub async fn judge_for(data: &Data) -> anyhow::Result<Option<Arc<dyn Judge>>> {
    if !data.items.iter().any(|item| matches!(item.task, Task::Code(_))) {
        return Ok(None);
    }
    let refuse = |error: sandbox::SandboxError| {
        WrongInput(format!("these questions ask for programs, which are run in a sandbox only: {error}"))
    };
    let sandbox = Sandbox::find().await.map_err(refuse)?;
    Ok(Some(Arc::new(Caged { sandbox, runtime: Handle::current() })))
}

impl Judge for Caged {
    fn judge(&self, test: &CodeTest, answer: &str) -> Verdict {
        let program = match test {
            CodeTest::HumanEval { prompt, test, entry_point } => Program::human_eval(prompt, answer, test, entry_point),
            CodeTest::Mbpp { setup, tests, entry_point } => Program::mbpp(answer, setup, tests, entry_point.as_deref()),
        };
        match self.runtime.block_on(self.sandbox.run(&program, &Limits::default())) {
            Ok(sandbox::Verdict::Passed) => Verdict::Passed,
            Ok(sandbox::Verdict::TestsAtFault { message }) => Verdict::Error(message),
            Ok(_) => Verdict::Failed,
            Err(error) => Verdict::Error(error.to_string()),
        }
    }
}
