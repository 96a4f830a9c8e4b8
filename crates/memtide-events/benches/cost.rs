//! What following costs those who fork: `cargo bench -p memtide-events [-- FORKS PAIRS]`.
//!
//! A storm of forks runs without and with an engine, in turns, so that both see the same machine. Of each pair two
//! ratios are taken: of the time per fork, and of the CPU time per fork that the storm itself used (user and system, of all
//! that descends from it), which other work on the machine disturbs less. Printed are the medians of the pairs, and
//! the spread of the middle half. It fails where the side-band adds more than [`MOST_ADDED`] to the CPU time of a fork.

use memtide_events::{Engine, Follower, Scope, Source};
use memtide_model::Pid;
use memtide_proc::PidFd;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What following by the side-band may add to the CPU time of a fork, by the median of the pairs.
const MOST_ADDED: f64 = 0.15;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let numbers = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse().ok());
    let numbers: Vec<usize> = numbers.collect();
    let forks = numbers.first().copied().unwrap_or(20_000);
    let pairs = numbers.get(1).copied().unwrap_or(7);
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/processes");
    Command::new(fixtures.join("build"))
        .args(["-q", "storm"])
        .status()?;
    let storm = fixtures.join("bin/storm");
    for engine in Engine::ALL {
        let mut wall = Vec::new();
        let mut cpu = Vec::new();
        let mut plain = Vec::new();
        for pair in 0..pairs {
            // Who is first changes, so that a machine that gets slower favours nobody.
            let (with, without) = if pair % 2 == 0 {
                let without = run(&storm, forks, None)?;
                (run(&storm, forks, Some(engine))?, without)
            } else {
                let with = run(&storm, forks, Some(engine))?;
                (with, run(&storm, forks, None)?)
            };
            wall.push(with.wall / without.wall);
            cpu.push(with.cpu / without.cpu);
            plain.push(without.cpu);
        }
        println!(
            "{engine:10} time per fork {}, CPU of the storm per fork {} ({:.0} us without)",
            spread(&mut wall),
            spread(&mut cpu),
            quantile(&mut plain, 2)
        );
        let added = quantile(&mut cpu, 2) - 1.0;
        if engine == Engine::SideBand && added > MOST_ADDED {
            return Err(format!("the side-band adds {:.0} % to a fork", 100.0 * added).into());
        }
    }
    Ok(())
}

/// Microseconds per fork.
struct Cost {
    wall: f64,
    cpu: f64,
}

fn run(storm: &Path, forks: usize, engine: Option<Engine>) -> Outcome<Cost> {
    let folder = tempfile::tempdir()?;
    let books = folder.path().join("books");
    let mut child = Command::new(storm)
        .arg(&books)
        .args([&forks.to_string(), "2"])
        .stdin(Stdio::piped())
        .spawn()?;
    let pid = Pid(child.id());
    let open = |engine| Source::open(engine, Scope::Tree(pid)).and_then(Follower::start);
    let follower = engine.map(open).transpose()?;
    let before = children_cpu()?;
    let end = PidFd::open(pid)?;
    drop(child.stdin.take());
    while !end.has_ended()? {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait()?;
    let cpu = children_cpu()? - before;
    drop(follower);
    let bytes = std::fs::read(&books)?;
    let number = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).copied();
    let count = u64::from_ne_bytes(number(0).ok_or("no books")?) as f64;
    let seconds = f64::from_ne_bytes(number(8).ok_or("no books")?);
    Ok(Cost {
        wall: seconds * 1e6 / count,
        cpu: cpu * 1e6 / count,
    })
}

/// Seconds of CPU that children used who were waited for.
fn children_cpu() -> Outcome<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}

/// The median, and the quarters beside it.
fn spread(values: &mut [f64]) -> String {
    let [low, middle, high] = [1, 2, 3].map(|quarter| quantile(values, quarter));
    format!("x{middle:.3} ({low:.3} to {high:.3})")
}

fn quantile(values: &mut [f64], quarter: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get(last * quarter / 4).copied().unwrap_or(f64::NAN)
}
