//! What the commands take: checked, plain, without a trace of clap.

use super::args;
use crate::session::Marks;
use crate::suspects::Kind;
use anyhow::{anyhow, bail, ensure};
use memtide_events::Engine;
use memtide_model::{Bytes, HeapMode, Nanos, Pid};
use memtide_report::flamegraph::What;
use regex::bytes::Regex;
use rustix::process::Signal;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// The shortest interval between two samples: below it the reads themselves fill the time.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(1);

/// With `--timeout` alone, this long after SIGTERM.
const KILL_AFTER: Nanos = Nanos::from_secs(10);

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
    pub(crate) flamegraph: Option<PathBuf>,
    pub(crate) folded: Option<PathBuf>,
    pub(crate) flamegraph_of: What,
    pub(crate) redact: bool,
    pub(crate) quiet: bool,
    /// Whether the text of the report is coloured.
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
    /// Whether the heap is looked into from outside.
    pub(crate) inspects: bool,
    /// Whether the processes below it are looked at, and who tells of them.
    pub(crate) children: bool,
    pub(crate) engine: Option<Engine>,
    pub(crate) marks: Marks,
    pub(crate) output: Option<PathBuf>,
    pub(crate) outputs: Outputs,
}

/// `memtide run`.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// What is recorded of the heap; `None`: nothing.
    pub(crate) heap: Option<HeapMode>,
    /// Mean bytes between samples, from 1 on; 1 in full mode.
    pub(crate) interval: Bytes,
    pub(crate) shim: Option<PathBuf>,
    pub(crate) debug_dirs: Vec<PathBuf>,
    pub(crate) suppressions: Option<PathBuf>,
    pub(crate) limit: Limit,
    pub(crate) every: Nanos,
    /// Share of one core, 0 to 1.
    pub(crate) budget: f64,
    /// Whether the heap is looked into from outside.
    pub(crate) inspects: bool,
    /// Whether the processes below it are looked at, and who tells of them.
    pub(crate) children: bool,
    pub(crate) engine: Option<Engine>,
    pub(crate) marks: Marks,
    pub(crate) output: Option<PathBuf>,
    pub(crate) outputs: Outputs,
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
}

/// How long a program of ours may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// It is asked to end after so long.
    pub(crate) after: Option<Nanos>,
    /// Not only the program but all that descends from it is asked, and who runs on is killed so long
    /// after it was asked; `None`: the program alone is asked, and nobody is killed.
    pub(crate) kill_after: Option<Nanos>,
}

/// `memtide inspect`.
#[derive(Clone, Debug)]
pub(crate) struct Inspect {
    pub(crate) who: Who,
    pub(crate) interval: Option<Nanos>,
    pub(crate) stop: bool,
    pub(crate) outputs: Outputs,
}

/// `memtide report`.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) file: PathBuf,
    pub(crate) explain: bool,
    pub(crate) suppressions: Option<PathBuf>,
    pub(crate) outputs: Outputs,
}

/// `memtide compare`.
#[derive(Debug)]
pub(crate) struct Compare {
    pub(crate) what: Compared,
    pub(crate) outputs: Outputs,
}

/// What is compared.
#[derive(Debug)]
pub(crate) enum Compared {
    /// Recordings that are there.
    Recordings(Vec<PathBuf>),
    /// Allocators, on the same work.
    Allocators(Box<Work>),
}

/// Work that is done under several allocators.
#[derive(Debug)]
pub(crate) struct Work {
    /// As [`memtide_launch::allocator::Variant::parse_list`] reads it.
    pub(crate) allocators: String,
    pub(crate) runs: usize,
    pub(crate) duration: Option<Nanos>,
    /// As [`memtide_launch::service::Ready::parse`] reads it.
    pub(crate) ready: Option<String>,
    /// What it says has to be there so long after the start, unless it says a time itself.
    pub(crate) ready_within: Nanos,
    /// A run may take so long from its start to the end of settling.
    pub(crate) timeout: Nanos,
    pub(crate) load: Option<String>,
    pub(crate) settle: Nanos,
    pub(crate) stop: Signal,
    pub(crate) kill_after: Nanos,
    pub(crate) metric: Option<Regex>,
    pub(crate) seed: Option<u64>,
    /// Above 0, below 1.
    pub(crate) alpha: f64,
    pub(crate) every: Nanos,
    /// Share of one core, 0 to 1.
    pub(crate) budget: f64,
    /// Whether the heap is looked into from outside.
    pub(crate) inspects: bool,
    pub(crate) folder: Option<PathBuf>,
    pub(crate) program: OsString,
    pub(crate) arguments: Vec<OsString>,
}

/// `memtide collect`.
#[derive(Clone, Debug)]
pub(crate) struct Collect {
    pub(crate) directory: PathBuf,
    pub(crate) debug_dirs: Vec<PathBuf>,
    pub(crate) suppressions: Option<PathBuf>,
    pub(crate) output: Option<PathBuf>,
    pub(crate) outputs: Outputs,
}

/// `memtide import`.
#[derive(Clone, Debug)]
pub(crate) struct Import {
    pub(crate) series: PathBuf,
    pub(crate) truth: Option<PathBuf>,
    pub(crate) allocator: String,
    pub(crate) runtime: String,
    pub(crate) output: Option<PathBuf>,
    pub(crate) outputs: Outputs,
}

/// `memtide symbolize`.
#[derive(Clone, Debug)]
pub(crate) struct Symbolize {
    pub(crate) file: PathBuf,
    pub(crate) debug_dirs: Vec<PathBuf>,
    pub(crate) redact: bool,
}

/// `memtide doctor`.
#[derive(Clone, Debug)]
pub(crate) struct Doctor {
    pub(crate) pid: Option<Pid>,
    /// So many forks for the engines that tell of them; `None`: they are not compared.
    pub(crate) forks: Option<u32>,
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

/// A regular expression that was given by `flag`.
pub(super) fn regular(flag: &str, pattern: &str) -> anyhow::Result<Regex> {
    Regex::new(pattern).map_err(|error| {
        // The last line of a regex error is its reason; those above draw where.
        let error = error.to_string();
        let reason = error.lines().last().unwrap_or_default();
        anyhow!("{flag} {pattern:?} is not a regular expression: {reason}")
    })
}

pub(super) fn nanos(duration: Duration) -> Nanos {
    Nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

impl TryFrom<args::Who> for Who {
    type Error = anyhow::Error;
    fn try_from(who: args::Who) -> anyhow::Result<Self> {
        match (who.pid, who.name) {
            (Some(text), _) => Ok(Self::Pid(pid(&text)?)),
            (None, Some(pattern)) => Ok(Self::Name(regular("--name", &pattern)?)),
            (None, None) => bail!("which process? give a pid or --name REGEX"),
        }
    }
}

impl Outputs {
    /// With the text of the report on `stream`, whose colour is decided here.
    fn on(stream: &impl IsTerminal, outputs: args::Outputs) -> Self {
        let args::Outputs {
            json,
            html,
            png,
            flamegraph,
            folded,
            flamegraph_of,
            redact,
            quiet,
            color,
        } = outputs;
        let color = colored(color, stream);
        Self {
            json,
            html,
            png,
            flamegraph,
            folded,
            flamegraph_of,
            redact,
            quiet,
            color,
        }
    }
}

/// Whether text on `stream` is coloured.
pub(super) fn colored(color: args::Color, stream: &impl IsTerminal) -> bool {
    match color {
        args::Color::Always => true,
        args::Color::Never => false,
        args::Color::Auto => {
            stream.is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

impl From<args::Outputs> for Outputs {
    fn from(outputs: args::Outputs) -> Self {
        Self::on(&std::io::stdout(), outputs)
    }
}

/// What `attach` and `run` ask of times and costs.
fn check_pace(every: Duration, duration: Option<Duration>, budget: f64) -> anyhow::Result<()> {
    ensure!(
        every >= SHORTEST_INTERVAL,
        "--every {} is too short: give 1ms or more; 1s suits most processes",
        humantime::format_duration(every)
    );
    ensure!(
        duration.is_none_or(|duration| duration >= every),
        "--for or --timeout is shorter than --every: not one interval would be seen"
    );
    ensure!(
        budget > 0.0 && budget <= 100.0,
        "--budget {budget} is out of range: give percent of one core, above 0 and up to 100"
    );
    Ok(())
}

impl TryFrom<args::Run> for Run {
    type Error = anyhow::Error;
    fn try_from(args: args::Run) -> anyhow::Result<Self> {
        check_pace(args.every, args.duration.or(args.timeout), args.budget)?;
        let heap = match args.heap {
            args::Heap::Off => None,
            args::Heap::Sampled => Some(HeapMode::Sampled),
            args::Heap::Full => Some(HeapMode::Full),
        };
        ensure!(
            args.interval > 0,
            "--interval 0 would sample nothing and everything; --heap full records every block"
        );
        let mut words = args.command.into_iter();
        let program = words.next();
        Ok(Self {
            heap,
            interval: match heap {
                Some(HeapMode::Full) => Bytes(1),
                _ => Bytes(args.interval),
            },
            shim: args.shim,
            debug_dirs: args.debug_dir,
            suppressions: args.suppressions,
            limit: Limit {
                after: args.timeout.or(args.duration).map(nanos),
                kill_after: args
                    .kill_after
                    .map(nanos)
                    .or(args.timeout.map(|_| KILL_AFTER)),
            },
            every: nanos(args.every),
            budget: args.budget / 100.0,
            inspects: !args.no_inspect,
            children: args.children == args::YesNo::Yes,
            engine: args.engine,
            marks: args.marks.try_into()?,
            output: args.output,
            outputs: Outputs::on(&std::io::stderr(), args.outputs),
            program: program.ok_or_else(|| anyhow!("which program? give it after --"))?,
            arguments: words.collect(),
        })
    }
}

impl TryFrom<args::Attach> for Attach {
    type Error = anyhow::Error;
    fn try_from(args: args::Attach) -> anyhow::Result<Self> {
        check_pace(args.every, args.duration, args.budget)?;
        Ok(Self {
            who: args.who.try_into()?,
            duration: args.duration.map(nanos),
            every: nanos(args.every),
            budget: args.budget / 100.0,
            inspects: !args.no_inspect,
            children: args.children == args::YesNo::Yes,
            engine: args.engine,
            marks: args.marks.try_into()?,
            output: args.output,
            outputs: args.outputs.into(),
        })
    }
}

impl TryFrom<args::Inspect> for Inspect {
    type Error = anyhow::Error;
    fn try_from(args: args::Inspect) -> anyhow::Result<Self> {
        ensure!(
            args.interval
                .is_none_or(|interval| interval >= Duration::from_millis(100)),
            "--interval is too short: give 100ms or more; 30s suits most processes"
        );
        let outputs = args::Outputs {
            json: args.json,
            html: args.html,
            png: None,
            flamegraph: None,
            folded: None,
            flamegraph_of: What::Live,
            redact: args.redact,
            quiet: args.quiet,
            color: args.color,
        };
        Ok(Self {
            who: args.who.try_into()?,
            interval: args.interval.map(nanos),
            stop: args.stop,
            outputs: outputs.into(),
        })
    }
}

impl TryFrom<args::Compare> for Compare {
    type Error = anyhow::Error;
    fn try_from(args: args::Compare) -> anyhow::Result<Self> {
        let outputs = args::Outputs {
            json: args.json.clone(),
            html: args.html.clone(),
            png: args.png.clone(),
            flamegraph: None,
            folded: None,
            flamegraph_of: What::Live,
            redact: args.redact,
            quiet: args.quiet,
            color: args.color,
        };
        let what = match args.allocators {
            Some(_) => Compared::Allocators(Box::new(work(args)?)),
            None if args.recordings.len() >= 2 => Compared::Recordings(args.recordings),
            None => {
                bail!("compare what? give --allocators LIST -- COMMAND, or two recordings and more")
            }
        };
        Ok(Self {
            what,
            outputs: outputs.into(),
        })
    }
}

/// Most runs of one arm: more of them show nothing that matters.
const MOST_RUNS: usize = 1000;

fn work(args: args::Compare) -> anyhow::Result<Work> {
    check_pace(args.every, args.duration, args.budget)?;
    ensure!(
        (1..=MOST_RUNS).contains(&args.runs),
        "--runs {} is out of range: give 1 to {MOST_RUNS}; 6 is a good start, fewer than 5 show nothing",
        args.runs
    );
    ensure!(
        args.alpha > 0.0 && args.alpha < 1.0,
        "--alpha {} is out of range: give a probability such as 0.05",
        args.alpha
    );
    let metric = args.metric.as_deref().map(|pattern| {
        let regex = regular("--metric", pattern)?;
        ensure!(
            regex.captures_len() == 2,
            "--metric {pattern:?} needs one group around the number: 'requests/s: ([0-9.]+)'"
        );
        Ok(regex)
    });
    let settles = if args.load.is_some() {
        Duration::from_secs(10)
    } else {
        Duration::ZERO
    };
    let mut words = args.command.into_iter();
    Ok(Work {
        allocators: args.allocators.unwrap_or_default(),
        runs: args.runs,
        duration: args.duration.map(nanos),
        ready: args.ready,
        ready_within: nanos(args.ready_within),
        timeout: nanos(args.timeout),
        load: args.load,
        settle: nanos(args.settle.unwrap_or(settles)),
        stop: signal(&args.stop)?,
        kill_after: nanos(args.kill_after),
        metric: metric.transpose()?,
        seed: args.seed,
        alpha: args.alpha,
        every: nanos(args.every),
        budget: args.budget / 100.0,
        inspects: !args.no_inspect,
        folder: args.output,
        program: words
            .next()
            .ok_or_else(|| anyhow!("which program? give it after --"))?,
        arguments: words.collect(),
    })
}

/// A signal that asks to end, by its name.
fn signal(name: &str) -> anyhow::Result<Signal> {
    let plain = name.to_ascii_uppercase();
    Ok(match plain.strip_prefix("SIG").unwrap_or(&plain) {
        "TERM" => Signal::TERM,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "HUP" => Signal::HUP,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "KILL" => Signal::KILL,
        _ => bail!(
            "--stop {name:?} is no signal that ends programs: give TERM, INT, QUIT, HUP, USR1, USR2 or KILL"
        ),
    })
}

impl TryFrom<args::Report> for Report {
    type Error = anyhow::Error;
    fn try_from(args: args::Report) -> anyhow::Result<Self> {
        Ok(Self {
            file: args.file,
            explain: args.explain,
            suppressions: args.suppressions,
            outputs: args.outputs.into(),
        })
    }
}

impl From<args::Collect> for Collect {
    fn from(args: args::Collect) -> Self {
        Self {
            directory: args.directory,
            debug_dirs: args.debug_dir,
            suppressions: args.suppressions,
            output: args.output,
            outputs: args.outputs.into(),
        }
    }
}

impl From<args::Import> for Import {
    fn from(args: args::Import) -> Self {
        Self {
            series: args.series,
            truth: args.truth,
            allocator: args.allocator,
            runtime: args.runtime,
            output: args.output,
            outputs: args.outputs.into(),
        }
    }
}

impl From<args::Symbolize> for Symbolize {
    fn from(args: args::Symbolize) -> Self {
        Self {
            file: args.file,
            debug_dirs: args.debug_dir,
            redact: args.redact,
        }
    }
}

impl TryFrom<args::Doctor> for Doctor {
    type Error = anyhow::Error;
    fn try_from(args: args::Doctor) -> anyhow::Result<Self> {
        Ok(Self {
            pid: args.pid.as_deref().map(pid).transpose()?,
            forks: args.engines.then_some(args.forks),
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
