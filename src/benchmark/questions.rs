//! Questions with one right answer: GSM8K, MATH, HumanEval, MBPP.

use super::plain::key;
use super::{Answering, CodeTest, Item, Task, last_boxed};
use crate::records::{RecordResult, Row};

/// GSM8K (Cobbe et al. 2021): `question`, and `answer`, which ends with `#### ` and the number.
pub(super) fn gsm8k(row: &Row, number: usize) -> RecordResult<Item> {
    let answer = row.text("answer")?;
    let gold = answer.rsplit_once("####").map(|(_, gold)| gold.trim().to_owned()).filter(|gold| !gold.is_empty());
    let gold = gold.ok_or_else(|| row.wrong("answer", "has no `#### ` with a number behind it".to_owned()))?;
    let task = Task::Answer { gold, answering: Answering::Number };
    Ok(Item::new(key(row, number)?, String::new(), row.text("question")?, task))
}

/// MATH (Hendrycks et al. 2021: `problem`, `level`, `type`, `solution`) and MATH-500 (with `answer`, `subject` and
/// `unique_id`). Without `answer`, it is in the solution's last box.
pub(super) fn math(row: &Row, number: usize) -> RecordResult<Item> {
    let gold = match row.optional_text("answer")? {
        Some(answer) => answer,
        None => {
            let solution = row.text("solution")?;
            let boxed = last_boxed(&solution).map(str::to_owned);
            boxed.ok_or_else(|| row.wrong("solution", "has no \\boxed{...} with the answer".to_owned()))?
        }
    };
    let id = row.optional_text("unique_id")?;
    let id = id.map_or_else(|| key(row, number), Ok)?;
    let subject = row.optional_text("subject")?.or(row.optional_text("type")?).unwrap_or_default();
    Ok(Item::new(id, subject, row.text("problem")?, Task::Answer { gold, answering: Answering::Math }))
}

/// HumanEval (Chen et al. 2021): the `prompt` is the head of a function, `test` defines `check`, which is given it.
pub(super) fn humaneval(row: &Row) -> RecordResult<Item> {
    let (prompt, test, entry_point) = (row.text("prompt")?, row.text("test")?, row.text("entry_point")?);
    let task = Task::Code(CodeTest::HumanEval { prompt: prompt.clone(), test, entry_point });
    Ok(Item::new(row.name("task_id")?, String::new(), prompt, task))
}

/// MBPP (Austin et al. 2021): `text` of the full set, `prompt` of the sanitized one; the tests are shown to the model, as
/// in the paper, for they alone name the function. Which of the names in them it is, the set's own solution says: it may be
/// that of a builtin.
pub(super) fn mbpp(row: &Row) -> RecordResult<Item> {
    let asked = if row.get("text").is_some() { row.text("text")? } else { row.text("prompt")? };
    let tests = row.some_texts("test_list")?;
    let mut setup = match row.get("test_imports") {
        Some(_) => row.texts("test_imports")?,
        None => Vec::new(),
    };
    setup.extend(row.optional_text("test_setup_code")?.filter(|code| !code.trim().is_empty()));
    let setup = setup.join("\n").replace("\r\n", "\n");
    let prompt = format!("{}\nYour code should pass these tests:\n\n{}\n", asked.trim_end(), tests.join("\n"));
    let solution = row.optional_text("code")?.unwrap_or_default();
    let mut defined =
        solution.lines().filter_map(|line| line.strip_prefix("def ")?.split_once('(').map(|(name, _)| name.trim()));
    let entry_point = defined.rfind(|name| tests[0].contains(&format!("{name}("))).map(str::to_owned);
    let task = Task::Code(CodeTest::Mbpp { setup, tests, entry_point });
    Ok(Item::new(row.name("task_id")?, String::new(), prompt, task))
}
