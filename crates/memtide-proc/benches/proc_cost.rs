//! What reading and parsing /proc costs, as a ratio to the bare reads of the same files in the same
//! run: `cargo bench -p memtide-proc`.
//!
//! Bare reads are `pread` loops that look at nothing. Batches of both kinds alternate; the ratio is
//! taken of each pair of neighbours, and the median of the ratios is printed, so that a slow moment
//! of a shared machine hits both or is one outlier. CPU time is this thread's, user and system. The
//! targets are `vmatarget.c`; `procfloor.c` measures the same reads from C, as a check on the floor.

use memtide_model::{Bytes, Pid};
use memtide_proc::parse::{stat, statm};
use memtide_proc::{
    Buffer, Listing, ProcRoot, ProcessDir, SmapsReader, ThreadEvent, ThreadFiles, clock,
};
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const ROUNDS: usize = 61;

type Failure = Box<dyn core::error::Error>;

fn main() -> Result<(), Failure> {
    memtide_proc::rlimit::raise_descriptor_limit()?;
    println!("| read | bare µs | ours µs | ratio | 10 % to 90 % | target |");
    println!("|---|---|---|---|---|---|");
    basics(&Target::start(&["50", "10"])?)?;
    let many_mappings = Target::start(&["10000", "1", "1"])?;
    smaps(&many_mappings)?;
    let many_threads = Target::start(&["50", "1000"])?;
    threads(&many_threads)?;
    println!("\nThe same reads from C, 10,000 mappings, then 1,000 threads:");
    floor(&many_mappings, &["smaps kept"])?;
    floor(
        &many_threads,
        &["stat kept", "statm kept", "task/*/stat kept"],
    )?;
    Ok(())
}

/// `statm` and `stat` of a tick.
fn basics(target: &Target) -> Result<(), Failure> {
    let process = target.directory()?;
    let bare = [target.open("statm")?, target.open("stat")?];
    let kept = [process.keep("statm")?, process.keep("stat")?];
    let mut space = vec![0; 16 << 10];
    let mut buffer = Buffer::new();
    let measured = compare(
        2000,
        || {
            for file in &bare {
                black_box(rustix::io::pread(file, &mut *space, 0)?);
            }
            Ok(())
        },
        || {
            black_box(statm::parse(kept[0].read(&mut buffer)?)?);
            black_box(stat::parse(kept[1].read(&mut buffer)?)?);
            Ok(())
        },
    )?;
    measured.print("statm + stat, kept", 1.3);
    Ok(())
}

/// All mappings, with the sums that a sampler makes of them.
fn smaps(target: &Target) -> Result<(), Failure> {
    let process = target.directory()?;
    let bare = target.open("smaps")?;
    let mut reader = SmapsReader::open(&process)?;
    let mut space = vec![0; 64 << 10];
    let mut buffer = Buffer::new();
    let mut mappings = 0;
    let measured = compare(
        1,
        || {
            let mut offset = 0;
            loop {
                match rustix::io::pread(&bare, &mut *space, offset)? {
                    0 => return Ok(()),
                    count => offset += count as u64,
                }
            }
        },
        || {
            mappings = 0;
            let mut rss = Bytes::ZERO;
            reader.for_each(&mut buffer, |entry| {
                mappings += 1;
                rss += entry.sizes.rss.unwrap_or_default();
                black_box(entry);
            })?;
            black_box(rss);
            Ok(())
        },
    )?;
    measured.print(&format!("smaps of {mappings} mappings, parsed"), 1.2);
    Ok(())
}

/// `min_flt` of every thread.
fn threads(target: &Target) -> Result<(), Failure> {
    let process = target.directory()?;
    let mut listing = Listing::new();
    let mut table = ThreadFiles::open(&process, &mut listing)?;
    let mut bare = Vec::new();
    process.for_each_thread(&mut listing, |tid| bare.push(tid))?;
    let bare: Vec<OwnedFd> = bare
        .into_iter()
        .map(|tid| target.open(&format!("task/{}/stat", tid.0)))
        .collect::<Result<_, _>>()?;
    let mut space = vec![0; 1024];
    let mut buffer = Buffer::new();
    let measured = compare(
        2,
        || {
            for file in &bare {
                black_box(rustix::io::pread(file, &mut *space, 0)?);
            }
            Ok(())
        },
        || {
            let mut faults = 0;
            let sweep = table.sweep(&mut buffer, |_, event| {
                if let ThreadEvent::Read(stat) = event {
                    faults += stat.min_flt;
                }
            })?;
            black_box((sweep, faults));
            Ok(())
        },
    )?;
    measured.print(&format!("min_flt of {} threads", table.len()), 1.1);
    Ok(())
}

/// Costs of one execution in microseconds, and the ratios of neighbours, all sorted.
struct Measured {
    bare: Vec<f64>,
    ours: Vec<f64>,
    ratios: Vec<f64>,
}

fn compare(
    batch: u32,
    mut bare: impl FnMut() -> Result<(), Failure>,
    mut ours: impl FnMut() -> Result<(), Failure>,
) -> Result<Measured, Failure> {
    let mut measured = Measured {
        bare: Vec::new(),
        ours: Vec::new(),
        ratios: Vec::new(),
    };
    // The first round warms up: buffers grow, layouts are learnt.
    for round in 0..=ROUNDS {
        let (first, second) = if round % 2 == 0 {
            (cost(batch, &mut bare)?, cost(batch, &mut ours)?)
        } else {
            let second = cost(batch, &mut ours)?;
            (cost(batch, &mut bare)?, second)
        };
        if round > 0 {
            measured.bare.push(first);
            measured.ours.push(second);
            measured.ratios.push(second / first);
        }
    }
    for values in [&mut measured.bare, &mut measured.ours, &mut measured.ratios] {
        values.sort_by(f64::total_cmp);
    }
    Ok(measured)
}

/// CPU time of one execution in microseconds, the mean over a batch.
fn cost(batch: u32, work: &mut impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
    let before = clock::thread_cpu();
    for _ in 0..batch {
        work()?;
    }
    let spent = clock::thread_cpu() - before;
    Ok(spent.as_secs_f64() * 1e6 / f64::from(batch))
}

impl Measured {
    fn print(&self, what: &str, target: f64) {
        let middle = |values: &[f64]| values[ROUNDS / 2];
        let verdict = if middle(&self.ratios) <= target {
            "held"
        } else {
            "MISSED"
        };
        println!(
            "| {what} | {:.2} | {:.2} | {:.3} | {:.3} to {:.3} | {target} {verdict} |",
            middle(&self.bare),
            middle(&self.ours),
            middle(&self.ratios),
            self.ratios[ROUNDS / 10],
            self.ratios[ROUNDS - 1 - ROUNDS / 10],
        );
    }
}

/// Prints the lines of `procfloor` for the reads of these names.
fn floor(target: &Target, names: &[&str]) -> Result<(), Failure> {
    let program = compile("procfloor.c")?;
    let output = Command::new(program)
        .args([&target.pid.to_string(), "5", "20"])
        .output()?;
    for line in String::from_utf8(output.stdout)?.lines() {
        let is_wanted = |name: &&str| line.starts_with(&format!("| {name} |"));
        if line.starts_with("| file") || names.iter().any(is_wanted) {
            println!("{line}");
        }
    }
    Ok(())
}

/// A running `vmatarget`, ended with this value.
struct Target {
    child: Child,
    pid: Pid,
}

impl Target {
    fn start(arguments: &[&str]) -> Result<Self, Failure> {
        let mut child = Command::new(compile("vmatarget.c")?)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("the target has an output")?;
        let target = Self {
            pid: Pid(child.id()),
            child,
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        if line.trim_end() != format!("ready {}", target.pid) {
            return Err(format!("the target said {line:?}").into());
        }
        Ok(target)
    }

    fn directory(&self) -> Result<ProcessDir, Failure> {
        Ok(ProcRoot::system()?.process(self.pid)?)
    }

    fn open(&self, file: &str) -> Result<OwnedFd, Failure> {
        let path = format!("/proc/{}/{file}", self.pid);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(path, flags, Mode::empty())?)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compile(source: &str) -> Result<PathBuf, Failure> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches")
        .join(source);
    let name = source.file_stem().ok_or("a source has a name")?;
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = Command::new("cc")
        .args(["-O2", "-g", "-pthread", "-o"])
        .args([&program, &source])
        .status()?;
    if !status.success() {
        return Err(format!("cc could not compile {}", source.display()).into());
    }
    Ok(program)
}
