//! What a look at a heap costs: `cargo bench -p memtide-inspect --bench walk`.
//!
//! Speeds are bytes of heap per second of this process's CPU time, user and system, the pagemap included; a
//! row is the median of several looks, with the quickest and the slowest. Then: what the first look at a
//! process costs more, for it has to find the arenas; the most memory that all of this took; and what a
//! target feels that allocates at full speed meanwhile. For that, windows in which the heap is walked without
//! pause alternate with windows in which this process only spins, or streams through memory of its own, or
//! walks as seldom as a recording does; so all share the machine in the same way, and ratios are taken of
//! neighbours. Their intervals are bootstraps over the rounds.
//!
//! It exits with a failure where a figure misses what is asked of it.

#[path = "../tests/support/mod.rs"]
mod support;

use memtide_inspect::{Inspector, Options};
use memtide_model::HeapSnapshot;
use rustix::time::{ClockId, clock_gettime};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};
use support::{Target, assert_equal, build, program};

const LOOKS: usize = 7;
const PAIRS: usize = 10;
const WINDOW: Duration = Duration::from_millis(1500);
const GIB: u64 = 1 << 30;

fn main() -> ExitCode {
    let mut missed = Vec::new();
    speed(&mut missed);
    discovery(&mut missed);
    memory(&mut missed);
    latency(&mut missed);
    for miss in &missed {
        println!("missed: {miss}");
    }
    ExitCode::from(u8::from(!missed.is_empty()))
}

fn check(missed: &mut Vec<String>, is_met: bool, what: String) {
    if !is_met {
        missed.push(what);
    }
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn look(inspector: &mut Inspector) -> HeapSnapshot {
    inspector
        .snapshot(&Options::default())
        .expect("the heap can be read")
}

/// CPU milliseconds, wall milliseconds and what was found.
fn timed(inspector: &mut Inspector) -> (f64, f64, HeapSnapshot) {
    let (before, started) = (cpu(), Instant::now());
    let snapshot = look(inspector);
    let wall = started.elapsed().as_secs_f64();
    ((cpu() - before) * 1e3, wall * 1e3, snapshot)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn speed(missed: &mut Vec<String>) {
    println!(
        "| heap | GiB | chunks | CPU ms | quickest | slowest | GB per core-second | wall ms |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (name, arguments) in [
        ("mixed sizes", "mix 128 0"),
        ("mixed sizes", "mix 1024 0"),
        ("mixed sizes, 80 % freed", "frag 1024 0"),
        ("mixed sizes, 4 arenas", "mix 1024 4"),
        ("small blocks only", "small 1024 0"),
    ] {
        let target = Target::books(arguments);
        let mut inspector = Inspector::open(target.pid()).expect("it can be opened");
        assert_equal(name, &look(&mut inspector), &target.books);
        let looks: Vec<_> = (0..LOOKS).map(|_| timed(&mut inspector)).collect();
        let snapshot = &looks[0].2;
        let bytes: u64 = snapshot
            .arenas
            .iter()
            .map(|arena| arena.system_bytes.0)
            .sum();
        let mut took: Vec<f64> = looks.iter().map(|look| look.0).collect();
        let mut wall: Vec<f64> = looks.iter().map(|look| look.1).collect();
        let (middle, wall) = (median(&mut took), median(&mut wall));
        let rate = bytes as f64 / middle / 1e6;
        println!(
            "| {name} | {:.2} | {} | {middle:.1} | {:.1} | {:.1} | {rate:.2} | {wall:.1} |",
            bytes as f64 / GIB as f64,
            snapshot.totals.live_blocks
                + snapshot.totals.cached_blocks
                + snapshot.totals.free_blocks,
            took[0],
            took[LOOKS - 1],
        );
        let is_mixed = name.starts_with("mixed");
        check(
            missed,
            !is_mixed || rate >= 4.0,
            format!("{name}: {rate:.2} GB of heap per core-second, not 4"),
        );
        let share = middle * GIB as f64 / bytes as f64;
        check(
            missed,
            bytes < GIB / 2 || share <= 300.0,
            format!("{name}: {share:.0} ms of CPU for a GiB, not 300"),
        );
    }
}

/// The first look at a process with hardly any heap is all discovery.
fn discovery(missed: &mut Vec<String>) {
    println!("\n| first look at | CPU ms | wall ms | slowest wall ms |");
    println!("|---|---:|---:|---:|");
    let static_program = build(
        "books",
        &["-pthread", "-static", "-Wl,--allow-multiple-definition"],
    );
    let programs = [
        ("a program on libc.so.6", Some(program("books"))),
        ("a static program", static_program.ok()),
        ("python, its libraries loaded", None),
    ];
    for (name, program) in programs {
        let mut looks = Vec::new();
        for _ in 0..LOOKS {
            let target = match &program {
                Some(program) => Target::start(&mut Command::new(program), "mix 1 0"),
                None => python(),
            };
            let (before, started) = (cpu(), Instant::now());
            let mut inspector = Inspector::open(target.pid()).expect("it can be opened");
            look(&mut inspector);
            let took = (cpu() - before) * 1e3;
            looks.push((took, started.elapsed().as_secs_f64() * 1e3));
        }
        let mut took: Vec<f64> = looks.iter().map(|look| look.0).collect();
        let mut wall: Vec<f64> = looks.iter().map(|look| look.1).collect();
        let (took, middle) = (median(&mut took), median(&mut wall));
        println!(
            "| {name} | {took:.1} | {middle:.1} | {:.1} |",
            wall[LOOKS - 1]
        );
        check(
            missed,
            took <= 50.0,
            format!("{name}: found after {took:.1} ms, not 50"),
        );
    }
}

fn python() -> Target {
    let script = "import os, ssl, sqlite3, ctypes, decimal\n\
                  os.write(1, b'pid %d\\nend\\n' % os.getpid())\nos.read(0, 1)";
    let mut command = Command::new("/usr/bin/python3");
    Target::start(command.args(["-c", script]), "")
}

/// The most that this process ever had in memory, all heaps above walked.
fn memory(missed: &mut Vec<String>) {
    let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .expect("the kernel tells it");
    println!("\nmost memory of this process: {:.1} MiB", kib / 1024.0);
    check(
        missed,
        kib < 48.0 * 1024.0,
        format!("{:.1} MiB of memory, not 48", kib / 1024.0),
    );
}

/// Nanoseconds of an allocation in one window: the median and the 99th percentile.
struct Window {
    median: f64,
    p99: f64,
}

/// What this process does in a window, beside the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arm {
    /// Walks the target's heap without a pause, which is far more than a recording does.
    Walk,
    /// Only uses the processor.
    Spin,
    /// Reads memory of its own as fast as it can.
    Stream,
    /// Walks the heap as a recording does: for a hundredth of the time.
    Recording,
    /// Sleeps.
    Idle,
}

const ARMS: [Arm; 5] = [Arm::Walk, Arm::Spin, Arm::Stream, Arm::Recording, Arm::Idle];

fn latency(missed: &mut Vec<String>) {
    let mut target = Target::start(&mut Command::new(program("churn")), "1 256 timed");
    let mut inspector = Inspector::open(target.pid()).expect("it can be opened");
    let memory = vec![1_u8; 256 << 20];
    target.ask(b'c');
    std::thread::sleep(Duration::from_secs(3));
    let mut windows = ARMS.map(|_| Vec::new());
    let mut looks = 0;
    for round in 0..PAIRS {
        for turn in 0..ARMS.len() {
            // Who comes first changes, so that what drifts hits all.
            let index = (round + turn) % ARMS.len();
            let mut work = || match ARMS[index] {
                Arm::Walk => {
                    look(&mut inspector);
                    looks += 1;
                }
                Arm::Spin => spin(),
                Arm::Stream => stream(&memory),
                Arm::Idle => std::thread::sleep(WINDOW),
                Arm::Recording => {
                    let (took, ..) = timed(&mut inspector);
                    std::thread::sleep(Duration::from_secs_f64(took * 0.099));
                }
            };
            windows[index].push(window(&mut target, &mut work));
        }
    }
    println!(
        "\n{looks} looks at 256 MiB without a pause, {PAIRS} windows of {WINDOW:?} of each kind:"
    );
    println!("| an allocation of the target takes | ns | beside | ns | ratio | 95 % |");
    println!("|---|---:|---|---:|---:|---|");
    let of = |arm: Arm, value: fn(&Window) -> f64| -> Vec<f64> {
        let index = ARMS.iter().position(|other| *other == arm);
        windows[index.expect("it is one of them")]
            .iter()
            .map(value)
            .collect()
    };
    for (ours, control) in [
        (Arm::Walk, Arm::Spin),
        (Arm::Walk, Arm::Stream),
        (Arm::Stream, Arm::Spin),
        (Arm::Recording, Arm::Idle),
    ] {
        for (name, value) in [
            ("median", (|w| w.median) as fn(&Window) -> f64),
            ("99th percentile", |w| w.p99),
        ] {
            let (mut our, mut their) = (of(ours, value), of(control, value));
            let ratios: Vec<f64> = our.iter().zip(&their).map(|(a, b)| a / b).collect();
            let (middle, low, high) = bootstrap(&ratios);
            println!(
                "| {ours:?}, {name} | {:.0} | {control:?} | {:.0} | {middle:.3} | {low:.3} to {high:.3} |",
                median(&mut our),
                median(&mut their)
            );
            // What streaming does says what of it is the memory's and the caches' share.
            let is_judged = name != "median" && ours != Arm::Stream;
            check(
                missed,
                !is_judged || low <= 1.0,
                format!(
                    "{ours:?}: {low:.3} to {high:.3} times the {name} beside a spinning control"
                ),
            );
        }
    }
}

fn window(target: &mut Target, work: &mut impl FnMut()) -> Window {
    target.ask(b'l');
    let started = Instant::now();
    while started.elapsed() < WINDOW {
        work();
    }
    let answer = target.ask(b'l');
    assert!(answer.get("operations") > 1000, "it works: {answer:?}");
    Window {
        median: answer.get("median") as f64,
        p99: answer.get("p99") as f64,
    }
}

fn spin() {
    let started = Instant::now();
    while started.elapsed() < Duration::from_millis(20) {
        std::hint::black_box(cpu());
    }
}

/// Copies memory into a small buffer, piece by piece, as a walk does with the target's.
fn stream(memory: &[u8]) {
    let mut buffer = vec![0_u8; 256 << 10];
    for piece in memory.chunks_exact(buffer.len()) {
        buffer.copy_from_slice(piece);
        std::hint::black_box(&buffer);
    }
}

/// The median of the ratios, and the interval of 95 % of medians of samples drawn from them.
fn bootstrap(ratios: &[f64]) -> (f64, f64, f64) {
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from((state >> 11) % ratios.len() as u64).expect("it is below the length")
    };
    let middle_of = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
    };
    let mut medians: Vec<f64> = (0..4000)
        .map(|_| middle_of(&mut (0..ratios.len()).map(|_| ratios[random()]).collect()))
        .collect();
    medians.sort_by(f64::total_cmp);
    (middle_of(&mut ratios.to_vec()), medians[100], medians[3899])
}
