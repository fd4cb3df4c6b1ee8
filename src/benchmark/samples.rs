//! Samples of a generator in a file of their own, brought to the questions that they answer.

use std::collections::HashMap;
use std::path::Path;

use super::error::{BenchmarkError, BenchmarkResult};
use super::{Benchmark, Task};
use crate::records::{files, rows};

/// Reads samples for the questions of `benchmark`: rows with `id` or `task_id` (the item's key) and either `samples`, a
/// list, or one text in `sample` or `completion`; several rows of one key add up.
///
/// # Errors
/// A row of a key that the benchmark does not have, or without samples; questions that get no sample.
pub fn attach(benchmark: &mut Benchmark, path: &Path) -> BenchmarkResult<()> {
    let places: HashMap<String, usize> =
        benchmark.items.iter().enumerate().map(|(at, item)| (item.key.clone(), at)).collect();
    for item in &mut benchmark.items {
        item.samples.clear();
    }
    for file in files(path)? {
        for row in rows(&file, None)? {
            let row = row?;
            let field = if row.get("id").is_none() && row.get("task_id").is_some() { "task_id" } else { "id" };
            let key = row.name(field)?;
            let unknown = || row.wrong(field, format!("is `{key}`, which {} has not", benchmark.path.display()));
            let at = *places.get(&key).ok_or_else(unknown)?;
            let samples = &mut benchmark.items[at].samples;
            match ["sample", "completion"].into_iter().find(|field| row.get(field).is_some()) {
                Some(field) => samples.push(row.text(field)?),
                None => samples.extend(row.some_texts("samples")?),
            }
        }
    }
    match benchmark.items.iter().find(|item| item.samples.is_empty() && asks(&item.task)) {
        Some(item) => Err(BenchmarkError::Unanswered {
            path: path.to_owned(),
            key: item.key.clone(),
            questions: benchmark.path.clone(),
        }),
        None => Ok(()),
    }
}

fn asks(task: &Task) -> bool {
    matches!(task, Task::Answer { .. } | Task::Code(_))
}
