//! The command line of memtide: parse, wire the rooms together, show progress.
//!
//! `main` turns an outcome into an exit code and an error into one line with its remedy; everything
//! that is measured, judged or drawn lives in the other crates.
#![forbid(unsafe_code)]

mod attach;
mod cli;
mod code_files;
mod collect;
mod compare;
mod demo;
mod doctor;
mod engines;
mod error;
mod exit;
mod heap;
mod import;
mod inspect;
mod kin;
mod leash;
mod lens;
mod names;
mod naming;
mod oom;
mod output;
mod progress;
mod ps;
mod report;
mod run;
mod secrets;
mod session;
mod shim;
mod signals;
mod snapshots;
mod suppressions;
mod suspects;
mod symbolize;
mod tree;

use clap::Parser;
use cli::args::{Args, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return not_understood(&error),
    };
    let starts = matches!(args.command, Command::Run(_));
    let code = dispatch(args).unwrap_or_else(|failure| {
        error::print(&failure);
        if starts {
            error::code_of_start(&failure)
        } else {
            exit::Code::Failed
        }
    });
    code.into()
}

/// clap prints help and usage errors itself. A wrong use of `run` must not look like a code of its program.
fn not_understood(error: &clap::Error) -> ExitCode {
    // A closed terminal is no reason to fail differently.
    let _ = error.print();
    let starts = std::env::args_os().nth(1).is_some_and(|word| word == "run");
    match (error.use_stderr(), starts) {
        (false, _) => exit::Code::Done.into(),
        (true, true) => exit::Code::NotStarted.into(),
        (true, false) => exit::Code::Failed.into(),
    }
}

fn dispatch(args: Args) -> anyhow::Result<exit::Code> {
    match args.command {
        Command::Attach(args) => attach::run(&cli::options::Attach::try_from(args)?),
        Command::Run(args) => run::run(&cli::options::Run::try_from(args)?),
        Command::Inspect(args) => inspect::run(&cli::options::Inspect::try_from(args)?),
        Command::Report(args) => report::run(&cli::options::Report::try_from(args)?),
        Command::Compare(args) => compare::run(&cli::options::Compare::try_from(*args)?),
        Command::Collect(args) => collect::run(&args.into()),
        Command::Import(args) => import::run(&args.into()),
        Command::Symbolize(args) => symbolize::run(&args.into()),
        Command::Ps(args) if args.past.oom => oom::run(&(*args).into()),
        Command::Ps(args) => ps::run(&cli::ps::Ps::try_from(*args)?),
        Command::Doctor(args) => doctor::run(&cli::options::Doctor::try_from(args)?),
        Command::Demo(args) => demo::run(&cli::options::Demo::try_from(args)?),
        Command::Hello => Ok(exit::Code::Done),
        Command::Suspect { kind } => suspects::run(kind),
        Command::Storm { forks } => engines::run_storm(forks),
    }
}
