//! What the commands take: checked, plain, without a trace of clap.

use super::args;
use crate::suspects::Kind;
use anyhow::{anyhow, bail, ensure};
use memtide_model::{Nanos, Pid};
use regex::bytes::Regex;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::time::Duration;

/// The shortest interval between two samples: below it the reads themselves fill the time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// Which process.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    /// By its number.
    Pid(Pid),
    /// The one whose command line matches.
    Name(Regex),
}

/// Where results go.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    pub(crate) json: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    pub(crate) png: Option<PathBuf>,
    pub(crate) redact: bool,
    pub(crate) quiet: bool,
    /// Whether text on standard output is coloured.
    pub(crate) color: bool,
}

/// `memtide attach`.
#[derive(Clone, Debug)]
pub(crate) struct Attach {
    pub(crate) who: Who,
    pub(crate) duration: Option<Nanos>,
    pub(crate) every: Nanos,
    /// Share of one core, 0 to 1.
    pub(crate) budget: f64,
    pub(crate) output: Option<PathBuf>,
    pub(crate) outputs: Outputs,
}

/// `memtide report`.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) file: PathBuf,
    pub(crate) explain: bool,
    pub(crate) outputs: Outputs,
}

/// `memtide doctor`.
#[derive(Clone, Debug)]
pub(crate) struct Doctor {
    pub(crate) pid: Option<Pid>,
    pub(crate) proc_root: PathBuf,
}

/// `memtide demo`.
#[derive(Clone, Debug)]
pub(crate) struct Demo {
    pub(crate) kind: Kind,
    pub(crate) duration: Nanos,
    pub(crate) output: Option<PathBuf>,
    pub(crate) outputs: Outputs,
}

fn pid(text: &str) -> anyhow::Result<Pid> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(Pid(number)),
        _ => {
            bail!("{text:?} is not a process id; give a number as `ps` prints it, or --name REGEX")
        }
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

impl TryFrom<args::Who> for Who {
    type Error = anyhow::Error;
    fn try_from(who: args::Who) -> anyhow::Result<Self> {
        match (who.pid, who.name) {
            (Some(text), _) => Ok(Self::Pid(pid(&text)?)),
            (None, Some(pattern)) => Regex::new(&pattern).map(Self::Name).map_err(|error| {
                // The last line of a regex error is its reason; those above draw where.
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default();
                anyhow!("--name {pattern:?} is not a regular expression: {reason}")
            }),
            (None, None) => bail!("which process? give a pid or --name REGEX"),
        }
    }
}

impl From<args::Outputs> for Outputs {
    fn from(outputs: args::Outputs) -> Self {
        let args::Outputs {
            json,
            html,
            png,
            redact,
            quiet,
            color,
        } = outputs;
        let color = match color {
            args::Color::Always => true,
            args::Color::Never => false,
            args::Color::Auto => {
                std::io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        Self {
            json,
            html,
            png,
            redact,
            quiet,
            color,
        }
    }
}

impl TryFrom<args::Attach> for Attach {
    type Error = anyhow::Error;
    fn try_from(args: args::Attach) -> anyhow::Result<Self> {
        ensure!(
            args.every >= SHORTEST_INTERVAL,
            "--every {} is too short: give 1ms or more; 1s suits most processes",
            humantime::format_duration(args.every)
        );
        ensure!(
            args.duration.is_none_or(|duration| duration >= args.every),
            "--for is shorter than --every: not one interval would be seen"
        );
        ensure!(
            args.budget > 0.0 && args.budget <= 100.0,
            "--budget {} is out of range: give percent of one core, above 0 and up to 100",
            args.budget
        );
        Ok(Self {
            who: args.who.try_into()?,
            duration: args.duration.map(nanos),
            every: nanos(args.every),
            budget: args.budget / 100.0,
            output: args.output,
            outputs: args.outputs.into(),
        })
    }
}

impl TryFrom<args::Report> for Report {
    type Error = anyhow::Error;
    fn try_from(args: args::Report) -> anyhow::Result<Self> {
        Ok(Self {
            file: args.file,
            explain: args.explain,
            outputs: args.outputs.into(),
        })
    }
}

impl TryFrom<args::Doctor> for Doctor {
    type Error = anyhow::Error;
    fn try_from(args: args::Doctor) -> anyhow::Result<Self> {
        Ok(Self {
            pid: args.pid.as_deref().map(pid).transpose()?,
            proc_root: args.proc_root,
        })
    }
}

impl TryFrom<args::Demo> for Demo {
    type Error = anyhow::Error;
    fn try_from(args: args::Demo) -> anyhow::Result<Self> {
        ensure!(
            args.duration >= Duration::from_secs(2),
            "--for {} is too short for a demo: give 2s or more",
            humantime::format_duration(args.duration)
        );
        Ok(Self {
            kind: args.kind,
            duration: nanos(args.duration),
            output: args.output,
            outputs: args.outputs.into(),
        })
    }
}
