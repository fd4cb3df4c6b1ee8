//! Benchmarks' files as files of pairs, each pair with the lines that it comes from.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;

use super::export::{Columns, ExportFormat, Group, Sink, long, optional_long, text};
use super::training::{Adapter, WrongInput};
use crate::benchmark::{self, Format, Made, Reasons};
use crate::train::data::select::held_out;

/// What is to be converted, and how.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The benchmark's file or folder.
    pub path: PathBuf,
    /// Its format; told from its first row if none is named.
    pub format: Option<Format>,
    /// Template of the prompt; the prompt as it is without one.
    pub template: Option<String>,
    /// Folder of the pairs.
    pub out: PathBuf,
    /// Format of the files in it.
    pub files: ExportFormat,
    /// Share of the prompts whose pairs are held out; from 0 to below 1.
    pub test_share: f64,
    /// Decides which.
    pub seed: u64,
}

/// What was converted.
#[derive(Clone, Debug, Serialize)]
pub struct Converted {
    /// The file or folder.
    pub source: String,
    /// Its format.
    pub format: Format,
    /// Pairs to train on.
    pub train: u64,
    /// Pairs held out.
    pub test: u64,
    /// Rows that made no pair, by reason.
    pub left_out: Reasons,
}

/// Says what the files beside it were made of.
const NOTE: &str = "conversion.json";

/// A pair of a benchmark as a row of a file.
#[derive(Clone, Debug, Serialize)]
struct ConvertedPair {
    id: i64,
    prompt: String,
    chosen: String,
    rejected: String,
    split: &'static str,
    subset: String,
    key: String,
    file: String,
    line: i64,
    rejected_line: Option<i64>,
}

impl Columns for ConvertedPair {
    const SCHEMA: &'static str = "message pairs {
    REQUIRED INT64 id;
    REQUIRED BYTE_ARRAY prompt (UTF8);
    REQUIRED BYTE_ARRAY chosen (UTF8);
    REQUIRED BYTE_ARRAY rejected (UTF8);
    REQUIRED BYTE_ARRAY split (UTF8);
    REQUIRED BYTE_ARRAY subset (UTF8);
    REQUIRED BYTE_ARRAY key (UTF8);
    REQUIRED BYTE_ARRAY file (UTF8);
    REQUIRED INT64 line;
    OPTIONAL INT64 rejected_line;
}";

    fn write(group: &mut Group<'_>, rows: &[Self]) -> anyhow::Result<()> {
        long(group, rows, |row| row.id)?;
        text(group, rows, |row| &row.prompt)?;
        text(group, rows, |row| &row.chosen)?;
        text(group, rows, |row| &row.rejected)?;
        text(group, rows, |row| row.split)?;
        text(group, rows, |row| &row.subset)?;
        text(group, rows, |row| &row.key)?;
        text(group, rows, |row| &row.file)?;
        long(group, rows, |row| row.line)?;
        optional_long(group, rows, |row| row.rejected_line)
    }
}

/// Writes the pairs of a benchmark's file to `train.*` and, with a test share, `test.*`; all pairs of a prompt are on one
/// side. Rows are read and written one at a time. Each file takes its name when it is whole. Blocks.
///
/// # Errors
/// [`WrongInput`] for settings and rows that make no pairs, with file, line and field; when the folder cannot be written.
pub fn convert(conversion: &Conversion) -> anyhow::Result<Converted> {
    let Conversion { path, out, files, test_share, seed, .. } = conversion;
    if !(0.0..1.0).contains(test_share) {
        return Err(WrongInput(format!("--test-share is {test_share}, but must be 0 or more and below 1")).into());
    }
    let format = match conversion.format {
        Some(format) => format,
        None => detected(path)?,
    };
    let adapter = Adapter::of(format, conversion.template.as_deref())
        .map_err(|(setting, message)| WrongInput(format!("--{setting}: {message}")))?;
    let splits: &[&'static str] = if *test_share > 0.0 { &["train", "test"] } else { &["train"] };
    let stale = out.join(files.file("test"));
    if splits.len() == 1 && stale.exists() {
        let what = "is of another conversion, and would be taken for held-out pairs of this one";
        return Err(WrongInput(format!("{} {what}: remove it, or name another folder", stale.display())).into());
    }
    let pairs = adapter.pairs(path)?;
    std::fs::create_dir_all(out).with_context(|| format!("creating the folder {}", out.display()))?;
    let mut sinks = Vec::new();
    for split in splits {
        sinks.push(Sink::create(*files, &out.join(files.file(split)))?);
    }
    let (mut counts, mut left_out) = ([0_u64; 2], Reasons::default());
    for made in pairs {
        let (pair, origin) = match made? {
            Made::Whole(pair, origin) => (pair, origin),
            Made::LeftOut(row) => {
                left_out.add(&row);
                continue;
            }
        };
        let side = usize::from(*test_share > 0.0 && held_out(&pair.prompt, *seed, *test_share));
        let benchmark::Pair { key, subset, prompt, chosen, rejected } = pair;
        let row = ConvertedPair {
            id: (counts[0] + counts[1]) as i64,
            prompt,
            chosen,
            rejected,
            split: splits[side],
            subset,
            key,
            file: origin.place.path.to_string_lossy().into_owned(),
            line: origin.place.line as i64,
            rejected_line: origin.rejected.map(|place| place.line as i64),
        };
        sinks[side].write(row)?;
        counts[side] += 1;
    }
    for sink in sinks {
        sink.finish()?;
    }
    let source = path.display().to_string();
    let converted = Converted { source, format, train: counts[0], test: counts[1], left_out };
    let note = json!({ "converted": converted, "template": conversion.template, "test_share": test_share, "seed": seed,
                       "version": env!("CARGO_PKG_VERSION") });
    let place = out.join(NOTE);
    std::fs::write(&place, format!("{note:#}\n")).with_context(|| format!("writing {}", place.display()))?;
    Ok(converted)
}

fn detected(path: &Path) -> anyhow::Result<Format> {
    let found = benchmark::detect(path).map_err(|error| WrongInput(error.to_string()))?;
    let known = Format::names_with_pairs();
    let unknown = || WrongInput(format!("{}: its fields are of no format known: name one of {known}", path.display()));
    Ok(found.ok_or_else(unknown)?)
}
