//! What clap parses. Only shapes and help texts; checking is in the options.
#![expect(
    clippy::doc_markdown,
    reason = "the comments are help texts, which are no Markdown"
)]

use crate::suspects::Kind;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use memtide_analyzer::thresholds::COMPARISON_ALPHA;
use memtide_events::Engine;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::values::{parse_bytes, parse_duration, parse_what};
use memtide_report::flamegraph::What;

const EXAMPLES: &str = "\
Examples:
  memtide attach 4182                     watch process 4182; Ctrl-C prints the verdict
  memtide attach 4182 --for 10m --html r.html --png r.png
  memtide attach --name 'gunicorn: master' --json -
  memtide run --heap sampled -- ./server  start it, and see which code allocates
  memtide inspect 4182 --interval 30s     what its heap holds, and what grew in between
  memtide report worker-4182.memtide      the verdict again, from the recording
  memtide compare --allocators glibc,jemalloc -- ./server   would another allocator help?
  memtide ps                              what is wrong with the processes of this machine
  memtide doctor 4182                     what can be seen of it, and what would allow the rest
  memtide demo threads                    a suspect that comes with the program";

const RUN_STREAMS: &str = "\
Streams: standard input, output and error are the program's, untouched. memtide's own words, the
text of the report among them, go to standard error; only `--json -` adds to standard output.

Signals: Ctrl-C reaches the program from the terminal; memtide stays until the program has ended.
SIGTERM and SIGHUP to memtide are passed on once; where the program has not ended 5 seconds later,
or a second one comes, the report is made and the program runs on. The same holds for the SIGTERM
that --for sends. With --timeout or --kill-after the program and all that descends from it are asked, and
killed where they run on; a second signal kills them at once. Who is left is named. (Nothing can be
done after SIGKILL to memtide itself.)

Exit code: that of the program, 128 + n where signal n ended it; 124 where --for or --timeout ended it; 125 where
memtide failed before the start, 126 where the program cannot be run, 127 where there is none.";

const COMPARE_WAYS: &str = "\
Allocators: glibc, tcmalloc, jemalloc, mimalloc or /path/lib.so, with settings after a colon:
  glibc:arena_max=2                       GLIBC_TUNABLES
  jemalloc:dirty_decay_ms=1000,background_thread=true
  tcmalloc:release_rate=10
The first is what the others are held against; the same one twice shows what chance does.

Examples:
  memtide compare --allocators glibc,jemalloc --for 60s -- ./worker --queue jobs
  memtide compare --allocators glibc,glibc:arena_max=2,tcmalloc --ready tcp:8080 \\
      --load './load.sh 8080' --settle 10s -- ./server --port 8080
  memtide compare before.memtide after.memtide

Runs are interleaved, their order is drawn anew with --seed. Each run leaves its recording and its
program's output in a folder (-o). Ctrl-C ends the run under way and reports what is done.";

const INSPECT_COST: &str = "\
Only headers of blocks are read, on pages that are in memory; nothing is written, nothing that a block
holds is kept, and the process runs on. It takes about 0.3 s of CPU time for a heap of 1 GiB. What is
needed is what a debugger needs: the same user, or root where kernel.yama.ptrace_scope is not 0.";

/// Tells why the memory of a Linux process grows.
#[derive(Debug, Parser)]
#[command(name = "memtide", version, about, after_help = EXAMPLES, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch a running process from outside; Ctrl-C or --for ends it and prints the verdict
    Attach(Attach),
    /// Start a program, watch it until it ends, print the verdict; with --heap also who allocates
    #[command(after_long_help = RUN_STREAMS)]
    Run(Run),
    /// Look into the heap of a running process: live and free blocks, arenas, sizes, C++ classes
    #[command(after_help = INSPECT_COST)]
    Inspect(Inspect),
    /// Print the verdict of a recording again, as text, JSON, HTML or PNG
    Report(Report),
    /// The same work under several allocators, or several recordings, side by side
    #[command(after_help = COMPARE_WAYS)]
    Compare(Box<Compare>),
    /// Make a recording of what the preload shim left in a folder, and print the verdict
    Collect(Collect),
    /// Make a recording of a series that was recorded otherwise, and print the verdict
    Import(Import),
    /// Add the names of functions, files and lines to a recording, later or on another machine
    Symbolize(Symbolize),
    /// What is wrong with the processes here: zombies, orphans, leaks, stuck ones; who holds a file or port
    #[command(after_help = super::ps::args::EXAMPLES)]
    Ps(Box<super::ps::args::Ps>),
    /// Say what can be seen here and of this process, and what would allow the rest
    Doctor(Doctor),
    /// Start a suspect that comes with the program, watch it for half a minute, give the verdict
    Demo(Demo),
    /// What the self-test of the shim runs: nothing
    #[command(hide = true)]
    Hello,
    /// The suspect itself
    #[command(hide = true)]
    Suspect { kind: Kind },
    /// What `doctor --engines` follows
    #[command(hide = true)]
    Storm { forks: u32 },
}

/// Which process.
#[derive(Debug, ClapArgs)]
#[group(required = true, multiple = false)]
pub(crate) struct Who {
    /// Process id
    #[arg(value_name = "PID")]
    pub(crate) pid: Option<String>,
    /// The one process whose command line matches this regular expression
    #[arg(long, value_name = "REGEX")]
    pub(crate) name: Option<String>,
}

/// Where results go.
#[derive(Debug, ClapArgs)]
pub(crate) struct Outputs {
    /// Write the report as JSON (memtide.report/1); - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the chart as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,
    /// Write a flame graph of the call stacks as SVG (needs a recording by `run --heap`)
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) flamegraph: Option<PathBuf>,
    /// Write the call stacks folded, a line each, for other tools
    #[arg(long, value_name = "FILE")]
    pub(crate) folded: Option<PathBuf>,
    /// What these two show: growth, live, peak or never-freed
    #[arg(long, value_name = "WHAT", default_value = "live", value_parser = parse_what)]
    pub(crate) flamegraph_of: What,
    /// Replace command lines, paths and user names by placeholders everywhere
    #[arg(long)]
    pub(crate) redact: bool,
    /// No preview, progress or text report; only errors and what was asked for by a flag
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// A switch that is on or off by itself, and can be set either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    /// On
    Yes,
    /// Off
    No,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Attach {
    #[command(flatten)]
    pub(crate) who: Who,
    /// End after this long, such as 30s, 10m, 2h; without it Ctrl-C ends the recording
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// Take a sample this often
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_duration)]
    pub(crate) every: Duration,
    /// The recorder's own cost may reach this share of one core, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub(crate) budget: f64,
    /// Do not read the heap of the process (headers of its blocks, never what they hold)
    #[arg(long)]
    pub(crate) no_inspect: bool,
    /// Follow the processes that it starts, and theirs, with their memory
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_value = "no",
          default_missing_value = "yes")]
    pub(crate) children: YesNo,
    /// Who tells of forks: side-band, connector, ptrace or poll; without it the best that takes nothing from the program
    /// (under ptrace setuid programs get no privileges)
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<Engine>,
    #[command(flatten)]
    pub(crate) marks: super::marks::Marks,
    /// The recording; without it NAME-PID-DATE.memtide in this directory
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

/// What is recorded of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Heap {
    /// Nothing: the program is only watched from outside
    Off,
    /// One block in so many bytes (--interval): cheap enough to leave on
    Sampled,
    /// Every block: exact, and slower
    Full,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// Record which code allocates, by a library that is preloaded into the program
    #[arg(long, value_name = "MODE", default_value = "off")]
    pub(crate) heap: Heap,
    /// With --heap sampled: the mean number of bytes from one sample to the next
    #[arg(long, value_name = "SIZE", default_value = "512KiB", value_parser = parse_bytes)]
    pub(crate) interval: u64,
    /// The preload shim, where it is not to be the one that memtide carries; also MEMTIDE_SHIM
    #[arg(long, value_name = "FILE")]
    pub(crate) shim: Option<PathBuf>,
    /// Look for debug files in this folder, too, as below /usr/lib/debug; may be given often
    #[arg(long, value_name = "DIR")]
    pub(crate) debug_dir: Vec<PathBuf>,
    /// Call stacks that are known and accepted, as `leak:PATTERN` lines of LeakSanitizer
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,
    /// Send SIGTERM after this long, such as 30s, 10m, 2h; without it the program's end is awaited
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// End the program and all that it started after this long: SIGTERM first, then SIGKILL
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, conflicts_with = "duration")]
    pub(crate) timeout: Option<Duration>,
    /// With --timeout, or when memtide is ended by a signal: kill who still runs this long after
    /// SIGTERM (10s with --timeout)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) kill_after: Option<Duration>,
    /// Take a sample this often
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse_duration)]
    pub(crate) every: Duration,
    /// The recorder's own cost may reach this share of one core, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub(crate) budget: f64,
    /// Do not read the heap of the process (headers of its blocks, never what they hold)
    #[arg(long)]
    pub(crate) no_inspect: bool,
    /// Follow the processes that it starts, and theirs, with their memory
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_value = "yes",
          default_missing_value = "yes")]
    pub(crate) children: YesNo,
    /// Who tells of forks: side-band, connector, ptrace or poll; without it the best that takes nothing from the program
    /// (under ptrace setuid programs get no privileges)
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<Engine>,
    #[command(flatten)]
    pub(crate) marks: super::marks::Marks,
    /// The recording; without it NAME-PID-DATE.memtide in this directory
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    #[command(flatten)]
    pub(crate) who: Who,
    /// Look a second time after this long, such as 30s, 10m, and say what grew
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) interval: Option<Duration>,
    /// Hold the process while lists are read (half a second at most): its system calls may return EINTR
    #[arg(long)]
    pub(crate) stop: bool,
    /// Write the report as JSON (memtide.report/1); - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Replace command lines, paths and user names by placeholders everywhere
    #[arg(long)]
    pub(crate) redact: bool,
    /// No progress or text; only errors and what was asked for by a flag
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Report {
    /// A recording
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Add what each account means and how to read the table
    #[arg(long)]
    pub(crate) explain: bool,
    /// Call stacks that are known and accepted, as `leak:PATTERN` lines of LeakSanitizer
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Compare {
    /// Recordings to compare: before and after a change
    #[arg(value_name = "RECORDING", conflicts_with_all = ["allocators", "command"])]
    pub(crate) recordings: Vec<PathBuf>,
    /// Allocators to try, with commas between them
    #[arg(long, value_name = "LIST", requires = "command")]
    pub(crate) allocators: Option<String>,
    /// Runs of each; fewer than 5 can show no difference
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub(crate) runs: usize,
    /// End the work of each run after this long, such as 60s, and a load with it; without this and without --load the
    /// program's own end is awaited
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) duration: Option<Duration>,
    /// The program is a service: ready when tcp:PORT, http:URL or file:PATH is there, or after some time
    #[arg(long, value_name = "WHEN")]
    pub(crate) ready: Option<String>,
    /// A run whose service is not there by then has failed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub(crate) ready_within: Duration,
    /// A run that takes longer than this is ended and has failed, its load with it
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// Command for /bin/sh that does the work to a program that is ready; its end is the end of the work
    #[arg(long, value_name = "COMMAND")]
    pub(crate) load: Option<String>,
    /// Wait so long after the load, so that what is given back shows (10s with --load, else 0s)
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) settle: Option<Duration>,
    /// Signal that asks the program to end: TERM, INT, QUIT, HUP, USR1, USR2 or KILL
    #[arg(long, value_name = "SIGNAL", default_value = "TERM")]
    pub(crate) stop: String,
    /// A program that has not ended so long after that signal is killed with its process group
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_duration)]
    pub(crate) kill_after: Duration,
    /// A number in the output of the load (or of the program), such as 'requests/s: ([0-9.]+)'
    #[arg(long, value_name = "REGEX")]
    pub(crate) metric: Option<String>,
    /// What the order of the runs is drawn from
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Chance of an error that is allowed where there is no difference
    #[arg(long, value_name = "P", default_value_t = COMPARISON_ALPHA)]
    pub(crate) alpha: f64,
    /// Take a sample this often
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = parse_duration)]
    pub(crate) every: Duration,
    /// The recorder's own cost may reach this share of one core, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0)]
    pub(crate) budget: f64,
    /// Do not read the heap of the process (headers of its blocks, never what they hold)
    #[arg(long)]
    pub(crate) no_inspect: bool,
    /// Folder for the recordings of all runs; without it compare-NAME-DATE in this directory
    #[arg(long, short, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Write the comparison as JSON (memtide.compare/1); - for standard output
    #[arg(long, value_name = "FILE|-")]
    pub(crate) json: Option<PathBuf>,
    /// Write it as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write the charts as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,
    /// Replace command lines, paths and user names by placeholders everywhere
    #[arg(long)]
    pub(crate) redact: bool,
    /// No progress or text; only errors and what was asked for by a flag
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// When to use colour; NO_COLOR is honoured
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND", requires = "allocators")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Collect {
    /// The folder that programs were given as MEMTIDE_DIR
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Look for debug files in this folder, too, as below /usr/lib/debug; may be given often
    #[arg(long, value_name = "DIR")]
    pub(crate) debug_dir: Vec<PathBuf>,
    /// Call stacks that are known and accepted, as `leak:PATTERN` lines of LeakSanitizer
    #[arg(long, value_name = "FILE")]
    pub(crate) suppressions: Option<PathBuf>,
    /// The recording; without it NAME-PID-DATE.memtide in this directory
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// A CSV file with a row per sample, gzipped or not, as the series of the corpus
    #[arg(value_name = "SERIES")]
    pub(crate) series: PathBuf,
    /// What malloc held meanwhile (columns t, live, held): taken as looks into the heap
    #[arg(long, value_name = "FILE")]
    pub(crate) truth: Option<PathBuf>,
    /// The allocator that the process used, which the file does not tell
    #[arg(long, value_name = "NAME", default_value = "glibc")]
    pub(crate) allocator: String,
    /// Its language runtime, such as 'cpython 3.11'
    #[arg(long, value_name = "NAME", default_value = "none")]
    pub(crate) runtime: String,
    /// The recording; without it SERIES.memtide in this directory
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Symbolize {
    /// A recording with call stacks
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Look for debug files in this folder, too, as below /usr/lib/debug; may be given often
    #[arg(long, value_name = "DIR")]
    pub(crate) debug_dir: Vec<PathBuf>,
    /// Store placeholders in place of the paths of source files
    #[arg(long)]
    pub(crate) redact: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// Process id; without it, what can be said of the machine
    #[arg(value_name = "PID")]
    pub(crate) pid: Option<String>,
    /// Who can tell of forks here; two of them follow a storm of forks at once, and are compared
    #[arg(long, conflicts_with = "pid")]
    pub(crate) engines: bool,
    /// With --engines: so many processes
    #[arg(long, value_name = "N", default_value_t = 5000, requires = "engines",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) forks: u32,
    /// Read this directory in place of /proc
    #[arg(long, value_name = "DIR", default_value = "/proc", hide = true)]
    pub(crate) proc_root: PathBuf,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Demo {
    /// What the suspect does
    #[arg(default_value = "leak")]
    pub(crate) kind: Kind,
    /// How long to watch it
    #[arg(long = "for", value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// The recording; without it demo-KIND-DATE.memtide in this directory
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) outputs: Outputs,
}
