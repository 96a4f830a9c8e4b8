//! What clap parses of `memtide ps`.
#![expect(
    clippy::doc_markdown,
    reason = "the comments are help texts, which are no Markdown"
)]

use crate::cli::args::Color;
use crate::cli::values::parse_duration;
use clap::{Args as ClapArgs, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "\
Examples:
  memtide ps                              zombies, orphans, stuck ones: two looks, a second apart
  memtide ps --expect 'worker\\.py<=35'    more of them than there should be: exit code 1, fit for cron
  memtide ps --user alice --older 1h      what of hers runs for longer
  memtide ps --watch 5s --for 10m         what piles up or stays stuck
  memtide ps --holding tcp:8080           who holds the port; a file, a directory, udp:PORT too
  memtide ps --by growth --for 30s        whose memory grows
  memtide ps --queues                     queues, segments and files that nobody uses any more
  memtide ps --oom --since 2d             whom the kernel killed for want of memory, and why
  memtide ps --snapshot before.json       all of it in a file, before anyone cleans up ...
  memtide ps --diff before.json           ... and what became of it

A command is printed for what was found; memtide ends nothing itself.
Exit code: 1 where something was found, 0 where not, 2 for wrong usage.";

/// How processes are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// By growth of their memory
    Growth,
}

#[derive(Debug, ClapArgs)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Ps {
    /// Judge only the processes of this user (name or number)
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// Judge only the processes whose command line matches this regular expression
    #[arg(long, value_name = "REGEX")]
    pub(crate) name: Option<String>,
    /// How many processes there should be: 'REGEX<=N', also >=, =, < and >; may be given often
    #[arg(long, value_name = "EXPR")]
    pub(crate) expect: Vec<String>,
    /// Processes that are older than this; services only with --user or --name
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) older: Option<Duration>,
    /// Who holds a file, a directory or anything below it, or a port: PATH, tcp:PORT, udp:PORT
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["watch", "duration", "diff", "by", "expect", "older", "tree", "queues"])]
    pub(crate) holding: Option<String>,
    /// Look this often, until --for or Ctrl-C; on a terminal a few lines after each look
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) watch: Option<Duration>,
    /// Look for this long; without --watch once a second
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Keep all that was seen in a file (memtide.census/1), for --diff
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,
    /// What is gone, left and new since that file was written
    #[arg(long, value_name = "FILE")]
    pub(crate) diff: Option<PathBuf>,
    /// All processes by growth of RSS, cheaply; 30s long unless --for says otherwise
    #[arg(long, value_name = "WHAT", conflicts_with_all = ["watch", "diff", "expect", "older"])]
    pub(crate) by: Option<Order>,
    /// All processes as a tree, with their memory and that of all below them
    #[arg(long)]
    pub(crate) tree: bool,
    /// Message queues, shared memory, files in tmpfs, deleted files: what takes memory outside of processes
    #[arg(long)]
    pub(crate) queues: bool,
    #[command(flatten)]
    pub(crate) past: crate::cli::oom::Past,
    /// Write the report as JSON (memtide.report/1; with --oom memtide.oom/1); - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Replace command lines, paths, addresses and user names by placeholders everywhere
    #[arg(long)]
    pub(crate) redact: bool,
    /// No text; only the exit code, errors and what was asked for by a flag
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}
