//! What `memtide ps` takes: checked, plain.

pub(crate) mod args;

use super::options::{colored, nanos, regular};
use anyhow::{Context as _, ensure};
use memtide_analyzer::processes::Expectation;
use memtide_model::Nanos;
use memtide_report::processes::Sections;
use regex::bytes::Regex;
use std::path::PathBuf;
use std::time::Duration;

/// The shortest time between two looks: one takes tens of milliseconds where there are hundreds of processes.
const SHORTEST_LOOK: Duration = Duration::from_millis(100);
/// Between two looks where nothing else was asked for, and between two beats of growth.
const SECOND: Duration = Duration::from_secs(1);
/// How long growth is watched where nothing else was asked for.
const GROWTH: Duration = Duration::from_secs(30);

/// `memtide ps`.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Ps {
    pub(crate) user: Option<String>,
    pub(crate) name: Option<Regex>,
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) older: Option<Nanos>,
    pub(crate) task: Task,
    /// Between two looks.
    pub(crate) every: Nanos,
    /// From the first look to the last; `None`: until somebody ends it.
    pub(crate) duration: Option<Nanos>,
    /// Whether each look is told on a terminal.
    pub(crate) tells: bool,
    pub(crate) snapshot: Option<PathBuf>,
    pub(crate) diff: Option<PathBuf>,
    pub(crate) sections: Sections,
    pub(crate) json: Option<PathBuf>,
    pub(crate) redact: bool,
    pub(crate) quiet: bool,
    pub(crate) color: bool,
}

/// What it is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Look at all processes and judge them.
    Judge,
    /// Say who holds something: a path, or a protocol and port.
    Holding(String),
    /// Put them in order of growth.
    Growth,
}

impl TryFrom<args::Ps> for Ps {
    type Error = anyhow::Error;
    fn try_from(args: args::Ps) -> anyhow::Result<Self> {
        let every = args.watch.unwrap_or(SECOND);
        ensure!(
            every >= SHORTEST_LOOK,
            "--watch {} is too short: give 100ms or more; 5s suits most machines",
            humantime::format_duration(every)
        );
        ensure!(
            args.duration.is_none_or(|duration| duration >= every),
            "--for is shorter than the time between two looks, {}",
            humantime::format_duration(every)
        );
        let duration = match (args.duration, args.watch, args.by) {
            (Some(duration), ..) => Some(duration),
            (None, _, Some(_)) => Some(GROWTH),
            (None, Some(_), None) => None,
            (None, None, None) => Some(every),
        };
        let task = match (args.holding, args.by) {
            (Some(what), _) => Task::Holding(what),
            (None, Some(args::Order::Growth)) => Task::Growth,
            (None, None) => Task::Judge,
        };
        Ok(Self {
            user: args.user,
            name: args.name.map(|name| regular("--name", &name)).transpose()?,
            expectations: expectations(&args.expect, args.redact)?,
            older: args.older.map(nanos),
            sections: Sections {
                tree: args.tree,
                growth: task == Task::Growth,
                objects: args.queues,
            },
            task,
            every: nanos(every),
            duration: duration.map(nanos),
            tells: args.watch.is_some(),
            snapshot: args.snapshot,
            diff: args.diff,
            json: args.json,
            redact: args.redact,
            quiet: args.quiet,
            color: colored(args.color, &std::io::stdout()),
        })
    }
}

/// An expression may hold what a command line holds, so `--redact` hides it, too.
fn expectations(texts: &[String], redact: bool) -> anyhow::Result<Vec<Expectation>> {
    let numbered = texts.iter().enumerate();
    numbered
        .map(|(index, text)| {
            let expected = Expectation::parse(text).context("--expect")?;
            Ok(if redact {
                expected.shown_as(format!("<expectation-{}>", index + 1))
            } else {
                expected
            })
        })
        .collect()
}
