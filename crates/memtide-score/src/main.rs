//! How good are the verdicts? Scores the engine on the labelled corpus, in the open.
//!
//! ```text
//! fixtures/corpus ─► recorded: series, windows, looks ─┐
//!                ─► live: programs, drawn or as listed ─┼─► answers ─► measures ─► tables, targets
//! random numbers ─► simulate: series without growth ────┘
//! ```
//!
//! The tool knows labels and the engine does not; no name of a case has a meaning here. It refuses to fit
//! anything of the engine: what it finds is a number in a table, and a target that is held or missed.
//! A miss is a failure unless it is known and said why (`summary::known`).
#![forbid(unsafe_code)]

mod ahead;
mod answer;
mod error;
mod files;
mod live;
mod manifest;
mod markdown;
mod measure;
mod observe;
mod options;
mod page;
mod pool;
mod random;
mod recorded;
mod simulate;
mod summary;

use error::{Error, Result};
use options::{Options, What};
use std::process::ExitCode;

/// A target was missed.
const MISSED: u8 = 1;
/// There is no score.
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(MISSED),
        Err(error) => {
            eprintln!("memtide-score: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// True if no target is missed but those that are known to be, or nobody asks.
fn run() -> Result<bool> {
    let options = Options::parse(std::env::args().skip(1))?;
    let held = match (&options.again, options.what) {
        (Some(folder), _) => page::again(folder, &options)?,
        (None, What::Recorded) => page::recorded(&options)?,
        (None, What::Simulated) => page::simulated(&options)?,
        (None, What::Live | What::Long) => page::live(&options)?,
    };
    Ok(held || options.report_only)
}

/// The day, such as 2026-11-21.
fn today() -> String {
    jiff::Zoned::now().date().to_string()
}
