//! What is right among an item's texts.

use crate::benchmark::{Item, Task};
use crate::eval::answer;
use crate::eval::code::{Judge, Verdict};
use crate::stages::training::WrongInput;

/// An item's texts, judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judged {
    /// Whether each text is right.
    pub correct: Vec<bool>,
    /// Answers in normal form, of samples that have answers.
    pub answers: Option<Vec<Option<String>>>,
    /// The right answer in normal form.
    pub gold: Option<String>,
    /// Programs that could not be judged, with the reason of the first; they count as wrong.
    pub unjudged: Option<String>,
}

/// Judges all items. Programs are run by `judge`; without one they are refused. Blocks.
///
/// # Errors
/// [`WrongInput`] where there is a program and no judge.
pub fn judge(items: &[Item], judge: Option<&dyn Judge>) -> anyhow::Result<Vec<Judged>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = items.len().div_ceil(threads).max(1);
    let parts: Vec<anyhow::Result<Vec<Judged>>> = std::thread::scope(|scope| {
        let one = |part| move || part_of(part, judge);
        let running: Vec<_> = items.chunks(share).map(|part| scope.spawn(one(part))).collect();
        let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.map(|part| part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    Ok(parts.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
}

fn part_of(items: &[Item], judge: Option<&dyn Judge>) -> anyhow::Result<Vec<Judged>> {
    items.iter().map(|item| one(item, judge)).collect()
}

fn one(item: &Item, judge: Option<&dyn Judge>) -> anyhow::Result<Judged> {
    let plain = |correct: Vec<bool>| Judged { correct, ..Judged::default() };
    Ok(match &item.task {
        Task::Pair { .. } => plain(vec![true, false]),
        Task::Choice { options, answer } => plain((0..options.len()).map(|at| at == *answer).collect()),
        Task::Ranking { correct, wrong } => {
            plain((0..correct.len() + wrong.len()).map(|at| at < correct.len()).collect())
        }
        Task::Answer { gold, answering } => {
            // A gold answer is the answer itself; it need not be found in a text first.
            let gold = answer::canonical(gold, *answering);
            let answers: Vec<Option<String>> = item.samples.iter().map(|text| answer::read(text, *answering)).collect();
            let correct = answers.iter().map(|found| found.is_some() && *found == gold).collect();
            Judged { correct, answers: Some(answers), gold, unjudged: None }
        }
        Task::Code(test) => {
            let Some(judge) = judge else {
                let message =
                    "these questions ask for programs, which are run in a sandbox only, and there is none here";
                return Err(WrongInput(message.to_owned()).into());
            };
            let mut unjudged = None;
            let mut right = |text: &String| match judge.judge(test, text) {
                Verdict::Passed => true,
                Verdict::Failed => false,
                Verdict::Error(reason) => {
                    unjudged.get_or_insert(reason);
                    false
                }
            };
            let correct = item.samples.iter().map(&mut right).collect();
            Judged { correct, answers: None, gold: None, unjudged }
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::benchmark::{Answering, CodeTest};

    struct Scripted;
    impl Judge for Scripted {
        fn judge(&self, _: &CodeTest, answer: &str) -> Verdict {
            match answer {
                program if program.contains("good") => Verdict::Passed,
                program if program.contains("odd") => Verdict::Error("no room".to_owned()),
                _ => Verdict::Failed,
            }
        }
    }

    fn item(task: Task, samples: &[&str]) -> Item {
        let samples = samples.iter().map(|text| (*text).to_owned()).collect();
        Item { key: "1".into(), subset: String::new(), prompt: "p".into(), task, samples }
    }

    #[test]
    fn samples_are_right_by_their_answers_and_what_cannot_be_read_is_wrong() {
        let task = Task::Answer { gold: "1,200".into(), answering: Answering::Number };
        let item = item(task, &["#### 1200", "I think 7", "no idea"]);
        let found = &judge(&[item], None).unwrap()[0];
        assert_eq!(found.correct, [true, false, false]);
        assert_eq!(found.answers.as_ref().unwrap()[2], None);
        assert_eq!(found.gold.as_deref(), Some("1200"));
    }

    #[test]
    fn programs_are_judged_by_a_judge_alone() {
        let test = CodeTest::Mbpp { setup: String::new(), tests: vec!["assert f()".into()], entry_point: None };
        let item = item(Task::Code(test), &["good = 1", "bad = 1", "odd = 1", "Prose alone, sorry."]);
        let error = judge(std::slice::from_ref(&item), None).unwrap_err();
        assert!(error.is::<WrongInput>() && error.to_string().contains("sandbox"), "{error}");
        let found = &judge(&[item], Some(&Scripted)).unwrap()[0];
        assert_eq!(
            (found.correct.as_slice(), found.unjudged.as_deref()),
            (&[true, false, false, false][..], Some("no room"))
        );
    }
}
