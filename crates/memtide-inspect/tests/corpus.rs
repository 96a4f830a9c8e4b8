//! Programs of the corpus while they run, their time compressed: of a leak nearly all growth is live, of a
//! fragmented heap nearly none; what bursts and arenas keep is what malloc says at the same time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_inspect::{Inspector, Options};
use memtide_model::{HeapSnapshot, Pid};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What must come out.
enum Expect {
    /// The live share of the growth of RSS.
    LeakOf(f64),
    /// The same, at most, once so many bytes live.
    KeptOf(f64, u64),
    /// The share of live bytes in what malloc holds, at the end.
    LiveOfHeld(f64),
    /// Live and held bytes are those of the program's own log: how far off they may be.
    Log(f64, f64),
}

struct Case {
    program: &'static str,
    arguments: &'static str,
    /// When to look first, and when to look last.
    from: Duration,
    to: Duration,
    expect: Expect,
}

const fn case(
    program: &'static str,
    arguments: &'static str,
    from_ms: u64,
    to_ms: u64,
    expect: Expect,
) -> Case {
    Case {
        program,
        arguments,
        from: Duration::from_millis(from_ms),
        to: Duration::from_millis(to_ms),
        expect,
    }
}

const CASES: [Case; 10] = [
    case(
        "leak_small",
        "rate=6000000",
        1500,
        6000,
        Expect::LeakOf(0.9),
    ),
    case(
        "leak_one_thread",
        "rate=6000000",
        1500,
        6000,
        Expect::LeakOf(0.9),
    ),
    case("leak_stairs", "period=0.4", 1500, 6000, Expect::LeakOf(0.9)),
    case(
        "frag_interleave",
        "rate=3000 slope=1500",
        1500,
        6000,
        Expect::KeptOf(0.1, 0),
    ),
    // Its store fills up first.
    case(
        "frag_mixed",
        "rate=300000 drift=2.4",
        300,
        5000,
        Expect::KeptOf(0.1, 16 << 20),
    ),
    case(
        "frag_survivor",
        "gap=0.05",
        1500,
        6000,
        Expect::KeptOf(0.1, 0),
    ),
    case(
        "burst_retain",
        "at=0.5",
        2000,
        5000,
        Expect::LiveOfHeld(0.05),
    ),
    // It holds so little after its trim that live bytes move by some percent from one step to the next.
    case("burst_trim", "at=0.5", 4500, 7500, Expect::Log(0.06, 0.02)),
    case(
        "arena_bloat",
        "threads=24 gap=0.1",
        4500,
        7500,
        Expect::Log(0.02, 0.02),
    ),
    case(
        "arena_reserve",
        "threads=40 gap=0.02",
        3500,
        7500,
        Expect::Log(0.02, 0.02),
    ),
];

/// The corpus's own figures, which take the better part of a minute.
const LONG_CASES: [Case; 18] = [
    leak("leak_small", "rate=2000000 size=120"),
    leak("leak_small", "rate=500000 size=120"),
    leak("leak_small", "rate=900000 size=3000"),
    leak("leak_one_thread", "rate=400000 threads=8"),
    leak("leak_one_thread", "rate=150000 threads=24"),
    leak("leak_stairs", "period=5 step=3000000"),
    leak("leak_stairs", "period=9 step=6000000"),
    fragmented("frag_interleave", "rate=300", 0),
    fragmented("frag_interleave", "rate=150 size=4000 slope=300", 0),
    fragmented("frag_mixed", "drift=12", 16 << 20),
    fragmented("frag_mixed", "drift=25 live_mb=30", 30 << 20),
    fragmented("frag_survivor", "batch=300 gap=0.5", 0),
    fragmented("frag_survivor", "batch=150 gap=0.5 size=5000 inc=120", 0),
    fragmented("frag_survivor", "batch=300 gap=0.5 keep=20", 0),
    case(
        "burst_retain",
        "at=8 mb=60",
        10_000,
        46_000,
        Expect::LiveOfHeld(0.05),
    ),
    case(
        "burst_retain",
        "at=8 mb=30 again=12",
        10_000,
        46_000,
        Expect::LiveOfHeld(0.05),
    ),
    case(
        "arena_bloat",
        "threads=24 gap=1.5",
        38_000,
        46_000,
        Expect::Log(0.02, 0.02),
    ),
    case(
        "arena_reserve",
        "threads=40 gap=1",
        42_000,
        47_000,
        Expect::Log(0.02, 0.02),
    ),
];

const fn leak(program: &'static str, arguments: &'static str) -> Case {
    case(program, arguments, 6000, 46_000, Expect::LeakOf(0.9))
}

const fn fragmented(program: &'static str, arguments: &'static str, once_full: u64) -> Case {
    case(
        program,
        arguments,
        6000,
        46_000,
        Expect::KeptOf(0.1, once_full),
    )
}

/// A program of the corpus; killed when this is dropped.
struct Running {
    child: Child,
    started: Instant,
    log: tempfile::NamedTempFile,
}

impl Running {
    fn start(case: &Case) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fixtures/corpus/src")
            .join(format!("{}.c", case.program));
        let program = support::build_file(&source, "gcc", &["-lm", "-lpthread", "-lrt"]).unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new(program)
            .args(case.arguments.split(' '))
            .arg("dur=120")
            .env("CORPUS_TRUTH", log.path())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            child,
            started: Instant::now(),
            log,
        }
    }

    fn wait_until(&self, when: Duration) {
        std::thread::sleep(when.saturating_sub(self.started.elapsed()));
    }

    /// Medians of live and held bytes by the program's own log, from `from` on.
    fn logged(&self, from: Duration, to: Duration) -> (f64, f64) {
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        let rows: Vec<(f64, f64)> = text
            .lines()
            .filter_map(|line| {
                let values: Vec<f64> = line.split(',').map_while(|v| v.parse().ok()).collect();
                let [time, live, held] = values[..] else {
                    return None;
                };
                let inside = time >= from.as_secs_f64() && time <= to.as_secs_f64();
                inside.then_some((live, held))
            })
            .collect();
        assert!(
            rows.len() > 2,
            "the log has rows between {from:?} and {to:?}: {text}"
        );
        medians(&rows)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Of both columns. Some programs have the blocks of a job for moments, and the log's moments are not the looks':
/// means would compare how often each happened to meet one.
fn medians(rows: &[(f64, f64)]) -> (f64, f64) {
    let median = |column: fn(&(f64, f64)) -> f64| {
        let mut sorted: Vec<f64> = rows.iter().map(column).collect();
        sorted.sort_by(f64::total_cmp);
        f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
    };
    (median(|row| row.0), median(|row| row.1))
}

/// Live and held bytes as the program counts them: what a thread has cached is used for malloc, as are its
/// own structures.
fn live_and_held(snapshot: &HeapSnapshot) -> (f64, f64) {
    let totals = &snapshot.totals;
    let live = totals.live_bytes + totals.cached_bytes + totals.overhead_bytes;
    let held = (live + totals.free_bytes + totals.top_bytes).0;
    (live.0 as f64, held as f64)
}

/// What is wrong with a case, in words.
fn look(case: &Case) -> Option<String> {
    let running = Running::start(case);
    running.wait_until(case.from);
    let mut inspector = Inspector::open(Pid(running.child.id())).unwrap();
    let mut snap = || inspector.snapshot(&Options::default()).unwrap();
    let interval = (case.to.saturating_sub(case.from) / 30).max(Duration::from_millis(200));
    let begin = running.started.elapsed();
    let mut snapshots = vec![snap()];
    while running.started.elapsed() < case.to {
        std::thread::sleep(interval);
        snapshots.push(snap());
    }
    // A look that raced too much says so, and nothing follows from it.
    let looks = snapshots.len();
    snapshots.retain(|snapshot| {
        for doubt in &snapshot.quality.doubts {
            println!("{}: {doubt}", case.program);
        }
        snapshot.quality.is_conclusive()
    });
    if looks - snapshots.len() > looks / 10 {
        return Some(format!(
            "{} of {looks} looks are doubted",
            looks - snapshots.len()
        ));
    }
    let end = running.started.elapsed();
    let judged = match case.expect {
        Expect::LeakOf(at_least) => {
            let share = live_share(&snapshots, 0);
            (share < at_least).then(|| format!("a live share of {share:.3}, not {at_least}"))
        }
        Expect::KeptOf(at_most, once_full) => {
            let share = live_share(&snapshots, once_full);
            (share > at_most).then(|| format!("a live share of {share:.3}, not {at_most}"))
        }
        Expect::LiveOfHeld(at_most) => {
            let last = snapshots.last().expect("there is one at least");
            let (_, held) = live_and_held(last);
            let share = last.totals.live_bytes.0 as f64 / held;
            (share > at_most).then(|| format!("{share:.3} of what is held lives, not {at_most}"))
        }
        Expect::Log(live_off, held_off) => {
            let rows: Vec<_> = snapshots.iter().map(live_and_held).collect();
            let (found, told) = (medians(&rows), running.logged(begin, end));
            println!("{}: found {found:?}, logged {told:?}", case.program);
            let off = (found.0 / told.0 - 1.0, found.1 / told.1 - 1.0);
            (off.0.abs() > live_off || off.1.abs() > held_off)
                .then(|| format!("off by {off:?}: found {found:?}, logged {told:?}"))
        }
    };
    judged.map(|wrong| format!("{wrong}; at the end {:#?}", snapshots.last()))
}

/// Live bytes' share of the growth of RSS, from the first snapshot on at which so many bytes live.
fn live_share(snapshots: &[HeapSnapshot], once_full: u64) -> f64 {
    let first = snapshots
        .iter()
        .find(|snapshot| snapshot.totals.live_bytes.0 >= once_full)
        .expect("so many bytes live at some time");
    let last = snapshots.last().expect("there is one at least");
    let grew = |of: fn(&HeapSnapshot) -> u64| of(last) as f64 - of(first) as f64;
    let (live, rss) = (grew(|s| s.totals.live_resident.0), grew(|s| s.rss.0));
    println!("live {live}, RSS {rss}");
    live / rss.max(f64::from(1 << 20))
}

/// All at once: they hardly need the processor.
fn look_at_all(cases: &[Case]) {
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let looks: Vec<_> = cases
            .iter()
            .map(|case| (case, scope.spawn(|| look(case))))
            .collect();
        looks
            .into_iter()
            .filter_map(|(case, look)| {
                let wrong = look.join().expect("the look does not panic")?;
                Some(format!("{} {}: {wrong}", case.program, case.arguments))
            })
            .collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn programs_of_the_corpus() {
    look_at_all(&CASES);
}

/// Slow: a minute.
#[test]
fn programs_of_the_corpus_at_their_own_pace() {
    if std::env::var_os("MEMTIDE_LONG").is_none() {
        return support::skip("it takes a minute; set MEMTIDE_LONG=1");
    }
    look_at_all(&LONG_CASES);
}
