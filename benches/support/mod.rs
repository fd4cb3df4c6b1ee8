//! What the benches share: a corpus of real Python with planted copies, a database of their own, and a few figures.
#![allow(dead_code)] // each bench uses a part

pub mod archives;
pub mod corpus;
pub mod database;
pub mod server;

use std::error::Error;
use std::io::Write as _;
use std::process::Command;

/// Cores that the goals are set for.
pub const THREADS: usize = 2;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// One row: figure, limit measured in the same run, their ratio, and the goal.
pub fn row(what: &str, figure: f64, limit: f64, unit: &str, goal: &str) -> Result<()> {
    let ratio = figure / limit;
    writeln!(
        std::io::stdout(),
        "{what:<44} {figure:>10.1} {limit:>10.1} {unit:<10} {:>6.1} %   {goal}",
        ratio * 100.0
    )?;
    Ok(())
}

/// The head of a table of [`row`]s.
pub fn head() -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{:<44} {:>10} {:>10} {:<10} {:>8}   goal", "", "figure", "limit", "unit", "ratio")?;
    Ok(())
}

/// A line of plain text.
pub fn say(line: impl std::fmt::Display) -> Result<()> {
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// This program again with other arguments, so that its memory and its threads are its own; what it printed.
pub fn child(arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(std::env::current_exe()?).args(arguments).stderr(std::process::Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the part `{}` ended with {}", arguments.join(" "), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The figures that a [`child`] printed on its last line.
pub fn figures(printed: &str) -> Result<Vec<f64>> {
    let last = printed.lines().last().ok_or("the part printed nothing")?;
    Ok(last.split(' ').map(str::parse).collect::<std::result::Result<_, _>>()?)
}

/// Largest resident set of this process so far, bytes.
pub fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0)
}

/// Processor time of a process, from `/proc/PID/stat`, whose unit is a hundredth of a second.
pub struct Used {
    pub pid: String,
    pub parent: String,
    /// Seconds of its threads.
    pub own: f64,
    /// Seconds of its children that have ended.
    pub children: f64,
}

impl Used {
    /// From the text of the file.
    pub fn of(stat: &str) -> Result<Self> {
        let odd = "an odd /proc/PID/stat";
        // The second field is the name, in brackets, with any characters in it.
        let (pid, rest) = stat.split_once(" (").ok_or(odd)?;
        let fields: Vec<&str> = rest[rest.rfind(')').ok_or(odd)? + 2..].split(' ').collect();
        let seconds = |at: usize| Ok::<_, Box<dyn Error>>(fields.get(at).ok_or(odd)?.parse::<f64>()? / 100.0);
        Ok(Self {
            pid: pid.to_owned(),
            parent: fields.get(1).ok_or(odd)?.to_string(),
            own: seconds(11)? + seconds(12)?,
            children: seconds(13)? + seconds(14)?,
        })
    }

    /// Seconds of this process so far.
    pub fn here() -> Result<f64> {
        Ok(Self::of(&std::fs::read_to_string("/proc/self/stat")?)?.own)
    }
}

/// A runtime like the program's, with [`THREADS`] workers.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?)
}
