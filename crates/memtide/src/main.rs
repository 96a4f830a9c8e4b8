//! The command line of memtide: parse, wire the rooms together, show progress.
//!
//! `main` turns an outcome into an exit code and an error into one line with its remedy; everything
//! that is measured, judged or drawn lives in the other crates.
#![forbid(unsafe_code)]

mod attach;
mod cli;
mod demo;
mod doctor;
mod error;
mod exit;
mod output;
mod progress;
mod report;
mod secrets;
mod signals;
mod suspects;

use clap::Parser;
use cli::args::{Args, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap prints help and usage errors itself, and ends with 0 or 2.
    let args = Args::parse();
    match run(args) {
        Ok(code) => code.into(),
        Err(failure) => error::print(&failure),
    }
}

fn run(args: Args) -> anyhow::Result<exit::Code> {
    match args.command {
        Command::Attach(args) => attach::run(&cli::options::Attach::try_from(args)?),
        Command::Report(args) => report::run(&cli::options::Report::try_from(args)?),
        Command::Doctor(args) => doctor::run(&cli::options::Doctor::try_from(args)?),
        Command::Demo(args) => demo::run(&cli::options::Demo::try_from(args)?),
        Command::Suspect { kind } => suspects::run(kind),
    }
}
