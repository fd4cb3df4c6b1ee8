//! Printing to standard output. A reader that has left (`codepmp sql ... | head`) is no error.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write as _, stdout};

/// `print!`, but a closed pipe is no panic.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::output::write(format_args!($($text)*)) };
}

/// `println!`, but a closed pipe is no panic.
macro_rules! outln {
    () => { $crate::cli::output::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::output::write(format_args!("{}\n", format_args!($($text)*))) };
}

pub(super) use {out, outln};

/// Writes to standard output; what a reader that has left does not want is not missed.
pub fn write(text: Arguments<'_>) {
    if let Err(error) = stdout().lock().write_fmt(text)
        && error.kind() != ErrorKind::BrokenPipe
    {
        eprintln!("error: writing to standard output: {error}");
    }
}
