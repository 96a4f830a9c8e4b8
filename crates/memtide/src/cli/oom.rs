//! `memtide ps --oom`: what clap parses of it, and what it takes.

use super::options::colored;
use super::ps::args::Ps;
use super::values::parse_duration;
use clap::Args as ClapArgs;
use std::path::PathBuf;
use std::time::Duration;

/// Flags that `ps` has for processes that run; kills are in the past.
const OF_THE_LIVING: [&str; 12] = [
    "user", "name", "expect", "older", "holding", "watch", "duration", "snapshot", "diff", "by",
    "tree", "queues",
];

#[derive(Debug, ClapArgs)]
pub(crate) struct Past {
    /// Whom the kernel killed for want of memory, and why: by its log, the journal and the files in /var/log
    #[arg(long, conflicts_with_all = OF_THE_LIVING)]
    pub(crate) oom: bool,
    /// With --oom: kills since so long ago
    #[arg(long, value_name = "DURATION", default_value = "7d", value_parser = parse_duration)]
    pub(crate) since: Duration,
    /// With --oom: read this file only, whatever its times: a saved dmesg, a log of another machine; may be gzipped
    #[arg(long, value_name = "FILE", requires = "oom")]
    pub(crate) log: Option<PathBuf>,
}

/// `memtide ps --oom`, checked and plain.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) since: Duration,
    pub(crate) log: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) redact: bool,
    pub(crate) quiet: bool,
    pub(crate) color: bool,
}

impl From<Ps> for Options {
    fn from(args: Ps) -> Self {
        Self {
            since: args.past.since,
            log: args.past.log,
            json: args.json,
            redact: args.redact,
            quiet: args.quiet,
            color: colored(args.color, &std::io::stdout()),
        }
    }
}
