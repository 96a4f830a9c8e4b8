//! Comparisons made by hand: every arm's curve, medians and ratios follow from a few numbers.

use super::{MIB, noise};
use memtide_model::comparison::{
    Arm, Compared, Comparison, ComparisonKind, ComparisonVerdict, Medians, Overhead, Ratio, SCHEMA,
    StackDifference, Statistics, Trial,
};
use memtide_model::report::{FrameRow, LedgerRow};
use memtide_model::stacks::StackKind;
use memtide_model::{Account, Shape};

/// What the runs of an arm scatter around.
#[derive(Clone, Copy)]
struct Level {
    peak: f64,
    settled: f64,
    /// MiB per second while it works.
    rate: f64,
    cpu: f64,
    wall: f64,
    metric: Option<f64>,
    /// Live and kept MiB.
    heap: Option<(f64, f64)>,
}

const LEVEL: Level = Level {
    peak: 520.0,
    settled: 412.0,
    rate: 0.0,
    cpu: 24.0,
    wall: 40.0,
    metric: None,
    heap: None,
};

/// Seconds after the work.
const SETTLE: f64 = 12.0;

fn trial(order: u64, level: Level, settles: bool) -> Trial {
    let seed = order as usize * 977;
    let near = |value: f64, index: usize| value * (1.0 + 0.03 * noise(seed + index));
    let (peak, settled, wall) = (
        near(level.peak, 1),
        near(level.settled, 2),
        near(level.wall, 3),
    );
    let end = wall + if settles { SETTLE } else { 0.0 };
    let mut rss = Vec::new();
    for index in 0..=120_u32 {
        let at = f64::from(index) / 120.0 * end;
        let done = (at / wall).min(1.0);
        let wobble = 1.0 + 0.015 * noise(seed + 10 + index as usize);
        let value = if at <= wall {
            let level = peak * (1.0 - (-6.0 * done).exp()) / (1.0 - (-6.0_f64).exp());
            if level.is_finite() { level } else { 0.0 }
        } else {
            settled + (peak - settled) * (-(at - wall)).exp()
        };
        let grown = level.rate * at.min(wall);
        rss.push((at, ((value * wobble + grown).max(4.0) * MIB) as u64));
    }
    let after = |value: f64| ((value + level.rate * wall) * MIB) as u64;
    let faults = near(90_000.0, 5);
    Trial {
        order,
        recording: Some(format!("runs/{order:02}.memtide")),
        peak_rss: after(peak),
        end_rss: after(peak * 0.97),
        settled_rss: after(if settles { settled } else { peak * 0.97 }),
        mean_rss: after(peak * 0.8),
        bytes_per_second: Some(level.rate * MIB * near(1.0, 6)),
        low: Some(level.rate * MIB * 0.96),
        high: Some(level.rate * MIB * 1.05),
        shape: Some(if level.rate > 0.0 {
            Shape::Linear
        } else {
            Shape::Plateau
        }),
        heap_live: level.heap.map(|(live, _)| (live * MIB) as u64),
        heap_retained: level.heap.map(|(_, kept)| (kept * MIB) as u64),
        minor_faults: faults as u64,
        major_faults: 3,
        cpu_seconds: near(level.cpu, 7),
        wall_seconds: wall,
        load_exit: settles.then_some(0),
        metric: level.metric.map(|metric| near(metric, 8)),
        cost_cpu_seconds: 0.2,
        ready_at: settles.then_some(0.6),
        work_ended_at: Some(wall),
        rss,
        ..Trial::default()
    }
}

fn median(arm: &Arm, value: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
    let runs = arm.runs.iter().filter(|run| run.failed.is_none());
    let mut values: Vec<f64> = runs.filter_map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied()
}

fn ends(arm: &Arm, value: impl Fn(&Trial) -> f64) -> (Option<f64>, Option<f64>) {
    let runs = || {
        arm.runs
            .iter()
            .filter(|run| run.failed.is_none())
            .map(&value)
    };
    (runs().reduce(f64::min), runs().reduce(f64::max))
}

fn medians(arm: &Arm) -> Medians {
    let (settled_low, settled_high) = ends(arm, |run| run.settled_rss as f64);
    let (peak_low, peak_high) = ends(arm, |run| run.peak_rss as f64);
    let (cpu_low, cpu_high) = ends(arm, |run| run.cpu_seconds);
    Medians {
        peak_rss: median(arm, |run| Some(run.peak_rss as f64)),
        end_rss: median(arm, |run| Some(run.end_rss as f64)),
        settled_rss: median(arm, |run| Some(run.settled_rss as f64)),
        settled_low,
        settled_high,
        peak_low,
        peak_high,
        mean_rss: median(arm, |run| Some(run.mean_rss as f64)),
        bytes_per_second: median(arm, |run| run.bytes_per_second),
        heap_live: median(arm, |run| run.heap_live.map(|bytes| bytes as f64)),
        heap_retained: median(arm, |run| run.heap_retained.map(|bytes| bytes as f64)),
        cpu_seconds: median(arm, |run| Some(run.cpu_seconds)),
        cpu_low,
        cpu_high,
        wall_seconds: median(arm, |run| Some(run.wall_seconds)),
        faults: median(arm, |run| {
            Some((run.minor_faults + run.major_faults) as f64)
        }),
        metric: median(arm, |run| run.metric),
    }
}

fn ratio(here: Option<f64>, there: Option<f64>, tested: bool) -> Option<Ratio> {
    let value = here? / there?;
    let differs = tested && (value - 1.0).abs() > 0.05;
    Some(Ratio {
        value,
        low: value * 0.96,
        high: value * 1.045,
        p: tested.then_some(if differs { 0.0022 } else { 0.31 }),
        p_corrected: tested.then_some(if differs { 0.0066 } else { 0.62 }),
        differs,
        detectable: tested.then_some(0.047),
    })
}

/// An arm whose runs have these numbers of order.
fn arm(name: &str, allocator: &str, level: Level, orders: &[u64], settles: bool) -> Arm {
    let mut arm = Arm {
        arm: name.to_owned(),
        allocator: allocator.to_owned(),
        environment: Vec::new(),
        failed: None,
        runs: orders
            .iter()
            .map(|order| trial(*order, level, settles))
            .collect(),
        median: Medians::default(),
        settled_rss_ratio: None,
        peak_rss_ratio: None,
        mean_rss_ratio: None,
        cpu_ratio: None,
        wall_ratio: None,
        growth_ratio: None,
        metric_ratio: None,
        given_back: None,
        grows: Some(level.rate > 0.0),
        watching_percent: Some(if name.contains("glibc") { 0.44 } else { 0.4 }),
        ledger: Vec::new(),
        verdict: None,
        stacks: None,
    };
    arm.median = medians(&arm);
    arm
}

/// Fills the ratios of all arms but the first.
fn against_the_first(arms: &mut [Arm]) {
    let Some((first, others)) = arms.split_first_mut() else {
        return;
    };
    for arm in others.iter_mut().filter(|arm| arm.failed.is_none()) {
        let tested = arm.runs.len() >= 5;
        let (here, there) = (arm.median, first.median);
        arm.settled_rss_ratio = ratio(here.settled_rss, there.settled_rss, tested);
        arm.peak_rss_ratio = ratio(here.peak_rss, there.peak_rss, tested);
        arm.mean_rss_ratio = ratio(here.mean_rss, there.mean_rss, tested);
        arm.cpu_ratio = ratio(here.cpu_seconds, there.cpu_seconds, tested);
        arm.wall_ratio = ratio(here.wall_seconds, there.wall_seconds, tested);
        arm.metric_ratio = ratio(here.metric, there.metric, tested);
        let grows = there.bytes_per_second.filter(|rate| *rate > 0.0);
        arm.growth_ratio = ratio(here.bytes_per_second, grows, tested);
    }
}

fn comparison(mut arms: Vec<Arm>, kind: ComparisonKind, summary: &str) -> Comparison {
    against_the_first(&mut arms);
    let tested = arms.len().saturating_sub(1) as u64;
    Comparison {
        schema: SCHEMA.to_owned(),
        of: Compared::Allocators,
        baseline: arms.first().map_or_else(String::new, |arm| arm.arm.clone()),
        command: ["python3", "service.py", "--threads", "16"]
            .map(str::to_owned)
            .to_vec(),
        load: Some("python3 load.py --requests 20000".to_owned()),
        runs: arms.first().map_or(0, |arm| arm.runs.len() as u64),
        seed: 4_711,
        arms,
        statistics: Statistics {
            alpha: 0.05,
            tested,
            tests: tested,
            runs_needed: 5,
            resamples: 2_000,
        },
        overhead: Overhead {
            budget_percent: 1.0,
            used_percent: 0.42,
            heap_read: true,
        },
        verdict: ComparisonVerdict {
            kind,
            arm: None,
            summary: summary.to_owned(),
            evidence: Vec::new(),
            advice: Vec::new(),
        },
        warnings: Vec::new(),
    }
}

/// Which runs an arm has when arms take turns.
fn turns(index: u64, arms: u64, runs: u64) -> Vec<u64> {
    (0..runs)
        .map(|round| round * arms + (index + round) % arms + 1)
        .collect()
}

fn libraries(arm: &mut Arm, lines: &[&str]) {
    arm.environment = lines.iter().map(|line| (*line).to_owned()).collect();
}

/// The classic case: a threaded service that keeps memory under glibc.
pub(crate) fn service() -> Comparison {
    let glibc = Level {
        metric: Some(1_812.0),
        heap: Some((96.0, 302.0)),
        ..LEVEL
    };
    let tcmalloc = Level {
        peak: 480.0,
        settled: 141.0,
        cpu: 24.9,
        heap: None,
        ..glibc
    };
    let arenas = Level {
        peak: 431.0,
        settled: 168.0,
        cpu: 27.9,
        wall: 44.0,
        metric: Some(1_650.0),
        heap: Some((96.0, 61.0)),
        ..glibc
    };
    let jemalloc = Level {
        peak: 466.0,
        settled: 203.0,
        cpu: 24.2,
        heap: None,
        ..glibc
    };
    let mut arms = vec![
        arm("glibc", "glibc 2.36", glibc, &turns(0, 4, 6), true),
        arm(
            "glibc:arena_max=2",
            "glibc 2.36",
            arenas,
            &turns(1, 4, 6),
            true,
        ),
        arm(
            "jemalloc",
            "jemalloc 5.3.0",
            jemalloc,
            &turns(2, 4, 6),
            true,
        ),
        arm(
            "tcmalloc",
            "gperftools 2.10",
            tcmalloc,
            &turns(3, 4, 6),
            true,
        ),
    ];
    libraries(&mut arms[1], &["GLIBC_TUNABLES=glibc.malloc.arena_max=2"]);
    libraries(
        &mut arms[2],
        &["LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"],
    );
    libraries(
        &mut arms[3],
        &["LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4"],
    );
    let mut service = comparison(
        arms,
        ComparisonKind::Take,
        "Take tcmalloc: RSS after settling is 66 % less than under glibc (64 to 67 %); it takes 3.8 % more \
         CPU time (1.2 to 6.0 %); no difference in time is shown, and 4.7 % could have been seen.",
    );
    service.verdict.arm = Some("tcmalloc".to_owned());
    service.verdict.evidence = vec![
        "RSS after settling is 412 MiB under glibc and 141 MiB under tcmalloc.".to_owned(),
        "Under glibc 302 MiB of it are kept by the allocator and not used by the program."
            .to_owned(),
        "glibc:arena_max=2 holds 59 % less (57 to 61 %), at 16 % more CPU time.".to_owned(),
    ];
    service.verdict.advice = vec![
        "In a shell, before the command: LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4"
            .to_owned(),
        "Confirm it under real load, for as long as the growth took to matter.".to_owned(),
    ];
    service
}

/// Eight arms with long names; an arm and a run failed, and a program had to be killed.
pub(crate) fn eight_arms() -> Comparison {
    let names = [
        ("glibc", 1.0),
        ("glibc:arena_max=2", 0.62),
        ("glibc:trim_threshold=131072,mmap_threshold=65536", 0.81),
        ("jemalloc:dirty_decay_ms=1000,background_thread=true", 0.55),
        ("jemalloc:dirty_decay_ms=5000,background_thread=true", 0.67),
        ("tcmalloc:release_rate=10,aggressive_decommit=1", 0.44),
        ("mimalloc", 1.12),
        ("/opt/company/lib/liballoc-experimental.so.7", 0.97),
    ];
    let mut arms = Vec::new();
    for (index, (name, factor)) in names.into_iter().enumerate() {
        let level = Level {
            settled: LEVEL.settled * factor,
            peak: LEVEL.peak * (0.6 + 0.4 * factor),
            cpu: LEVEL.cpu * (1.6 - 0.6 * factor),
            ..LEVEL
        };
        arms.push(arm(name, "", level, &turns(index as u64, 8, 6), true));
    }
    arms[6].failed = Some("the library was not found; Debian has it in libmimalloc2.0".to_owned());
    arms[6].runs.clear();
    arms[6].median = Medians::default();
    arms[6].grows = None;
    arms[3].runs[2].failed = Some("the load ended with exit code 1".to_owned());
    arms[4].runs[0].killed = true;
    let mut eight = comparison(
        arms,
        ComparisonKind::Take,
        "Take tcmalloc:release_rate=10,aggressive_decommit=1: RSS after settling is 56 % less than under glibc \
         (54 to 58 %); it takes 34 % more CPU time (29 to 40 %).",
    );
    eight.verdict.arm = Some(eight.arms[5].arm.clone());
    eight.warnings = vec![
        "mimalloc is not compared: the library was not found; Debian has it in libmimalloc2.0.".to_owned(),
        "1 of 6 runs of jemalloc:dirty_decay_ms=1000,background_thread=true failed and count for nothing."
            .to_owned(),
    ];
    eight
}

/// A pure leak: it grows alike in all arms.
pub(crate) fn leak() -> Comparison {
    let level = Level {
        peak: 40.0,
        settled: 38.0,
        rate: 4.0,
        ..LEVEL
    };
    let lower = Level {
        peak: 30.0,
        settled: 27.0,
        ..level
    };
    let arms = vec![
        arm("glibc", "glibc 2.36", level, &turns(0, 3, 6), true),
        arm("jemalloc", "jemalloc 5.3.0", lower, &turns(1, 3, 6), true),
        arm("tcmalloc", "gperftools 2.10", lower, &turns(2, 3, 6), true),
    ];
    comparison(
        arms,
        ComparisonKind::NoneHelps,
        "No allocator helps: memory grows by 4.00 MiB/s under glibc, and no slower growth is shown under \
         jemalloc and tcmalloc. A leak is not cured by an allocator.",
    )
}

/// Two arms without a load: nothing settles, nothing differs.
pub(crate) fn two_alike() -> Comparison {
    let arms = vec![
        arm("glibc", "glibc 2.36", LEVEL, &turns(0, 2, 6), false),
        arm("glibc#2", "glibc 2.36", LEVEL, &turns(1, 2, 6), false),
    ];
    let mut alike = comparison(
        arms,
        ComparisonKind::NoDifference,
        "No difference in memory worth a change is shown between glibc and glibc#2; a saving of 4.5 % could \
         have been seen.",
    );
    alike.load = None;
    alike
}

/// Three runs of each: no test is possible.
pub(crate) fn too_few() -> Comparison {
    let arms = vec![
        arm("glibc", "glibc 2.36", LEVEL, &turns(0, 2, 3), true),
        arm(
            "tcmalloc",
            "gperftools 2.10",
            Level {
                settled: 130.0,
                ..LEVEL
            },
            &turns(1, 2, 3),
            true,
        ),
    ];
    comparison(
        arms,
        ComparisonKind::Undetermined,
        "Too few runs: glibc has 3 runs that count, and 5 are the least.",
    )
}

fn row(account: Account, start: f64, end: f64, seconds: f64, shape: Shape) -> LedgerRow {
    LedgerRow {
        account,
        start_bytes: (start * MIB) as i64,
        end_bytes: (end * MIB) as i64,
        growth_bytes: ((end - start) * MIB) as i64,
        bytes_per_second: Some((end - start) * MIB / seconds),
        shape,
    }
}

/// A recording that starts at 80 MiB and grows by so many MiB in a minute.
fn recording(index: u64, file: &str, grown: f64) -> Arm {
    let level = Level {
        rate: grown / 60.0,
        peak: 80.0,
        settled: 80.0,
        wall: 60.0,
        ..LEVEL
    };
    let mut arm = arm(file, "glibc 2.36", level, &[index + 1], false);
    let shape = if grown > 0.0 {
        Shape::Linear
    } else {
        Shape::Plateau
    };
    arm.ledger = vec![
        row(Account::HeapLive, 50.0, 50.0 + grown * 0.9, 60.0, shape),
        row(Account::HeapRetained, 12.0, 12.0 + grown * 0.1, 60.0, shape),
        row(Account::File, 18.0, 18.0, 60.0, Shape::Flat),
    ];
    let verdict = if grown > 0.0 {
        format!(
            "A heap leak: memory grows by {grown:.0} MiB in a minute and nothing is given back."
        )
    } else {
        "Memory rose while the program warmed up and has been level since.".to_owned()
    };
    arm.verdict = Some(verdict);
    arm.median.cpu_seconds = None;
    arm.grows = Some(grown > 0.0);
    arm
}

fn frame(function: &str, module: &str, file: &str, line: u32) -> FrameRow {
    FrameRow {
        function: Some(function.to_owned()),
        module: Some(module.to_owned()),
        file: Some(file.to_owned()),
        line: Some(line),
        inlined: false,
        address: "0x12ab".to_owned(),
    }
}

fn difference(function: &str, old: Option<f64>, new: Option<f64>) -> StackDifference {
    let live = |rate: Option<f64>| (rate.unwrap_or(0.0) * 60.0) as u64;
    StackDifference {
        kind: StackKind::Heap,
        baseline_live_bytes: live(old),
        live_bytes: live(new),
        baseline_bytes_per_second: old,
        bytes_per_second: new,
        difference: new.unwrap_or(0.0) - old.unwrap_or(0.0),
        frames: vec![
            frame("malloc", "/lib/libc.so.6", "malloc.c", 3301),
            frame(function, "/opt/shop/shop", "src/order.cpp", 57),
            frame("main", "/opt/shop/shop", "src/main.cpp", 12),
        ],
    }
}

fn recordings(arms: Vec<Arm>, kind: ComparisonKind, summary: &str) -> Comparison {
    let mut comparison = comparison(arms, kind, summary);
    comparison.of = Compared::Recordings;
    comparison.command = Vec::new();
    comparison.load = None;
    comparison.runs = 1;
    comparison.overhead = Overhead::default();
    comparison.statistics = Statistics {
        tested: comparison.statistics.tested,
        ..Statistics::default()
    };
    for arm in comparison.arms.iter_mut().skip(1) {
        arm.settled_rss_ratio = None;
        arm.peak_rss_ratio = None;
        arm.mean_rss_ratio = None;
        arm.cpu_ratio = None;
        arm.wall_ratio = None;
        if let Some(ratio) = &mut arm.growth_ratio {
            ratio.differs = (ratio.value - 1.0).abs() > 0.1;
        }
    }
    comparison
}

/// Before and after a fix, with call stacks.
pub(crate) fn fix() -> Comparison {
    let mut after = recording(1, "after-fix", 0.0);
    after.stacks = Some(vec![
        difference(
            "shop::Order::create(std::string const&)",
            Some(1.4 * MIB),
            Some(0.0),
        ),
        difference("shop::Cache::load(int)", None, Some(0.02 * MIB)),
        difference("shop::Log::append(char const*)", Some(0.01 * MIB), None),
    ]);
    let arms = vec![recording(0, "before", 96.0), after];
    let mut fix = recordings(
        arms,
        ComparisonKind::Better,
        "after-fix does not grow any more: 0 B/s against 1.60 MiB/s in before.",
    );
    fix.verdict.arm = Some("after-fix".to_owned());
    fix.verdict.evidence = vec![
        "The growth of heap_live differs most: 0 B in after-fix and +86.4 MiB in \
         before."
            .to_owned(),
    ];
    fix
}

/// Five releases, the last of which grows faster.
pub(crate) fn releases() -> Comparison {
    let grown = [20.0, 22.0, 0.0, 19.0, 75.0];
    let arms = grown.iter().enumerate().map(|(index, grown)| {
        let index = index as u64;
        recording(index, &format!("shop-2.{index}"), *grown)
    });
    let mut releases = recordings(
        arms.collect(),
        ComparisonKind::Worse,
        "shop-2.4 grows faster: 1.25 MiB/s against 341 KiB/s in shop-2.0.",
    );
    releases.verdict.arm = Some("shop-2.4".to_owned());
    releases
}

/// No arm at all: interrupted before the first run was done.
pub(crate) fn nothing() -> Comparison {
    comparison(
        Vec::new(),
        ComparisonKind::Undetermined,
        "There is nothing to compare.",
    )
}

/// More arms than there are colours.
pub(crate) fn twenty_arms() -> Comparison {
    let arms = (0..20_u64).map(|index| {
        let level = Level {
            settled: 100.0 + 15.0 * index as f64,
            peak: 300.0 + 10.0 * index as f64,
            ..LEVEL
        };
        let name = format!("glibc:arena_max={}", index + 1);
        arm(&name, "glibc 2.36", level, &turns(index, 20, 5), true)
    });
    comparison(
        arms.collect(),
        ComparisonKind::NoDifference,
        "No difference is shown.",
    )
}

/// Names that want to act, and numbers that are none.
pub(crate) fn hostile() -> Comparison {
    let bad = "</script><img src=x onerror=alert(1)>\u{202e}\u{1b}[2J\n\"'&".to_owned()
        + &"x".repeat(10_000);
    let mut hostile = fix();
    hostile.of = Compared::Allocators;
    for arm in &mut hostile.arms {
        arm.allocator.clone_from(&bad);
        arm.environment = vec![format!("LD_PRELOAD={bad}")];
        arm.verdict = Some(bad.clone());
        arm.median.settled_rss = Some(f64::NAN);
        arm.median.cpu_seconds = Some(f64::INFINITY);
        arm.median.cpu_high = Some(f64::NAN);
        for run in &mut arm.runs {
            run.rss = vec![(f64::NAN, 1), (3.0, u64::MAX), (f64::INFINITY, 5), (1.0, 0)];
            run.metric = Some(f64::NEG_INFINITY);
            run.failed = (arm.stacks.is_some()).then(|| bad.clone());
        }
        for stack in arm.stacks.iter_mut().flatten() {
            stack.difference = f64::NAN;
            for frame in &mut stack.frames {
                frame.function = Some(bad.clone());
                frame.file = Some(bad.clone());
            }
        }
    }
    hostile.arms[1].arm.clone_from(&bad);
    hostile.arms[1].growth_ratio = ratio(Some(f64::INFINITY), Some(0.0), true);
    hostile.command = vec![bad.clone()];
    hostile.load = Some(bad.clone());
    hostile.verdict.arm = Some(bad.clone());
    hostile.verdict.summary.clone_from(&bad);
    hostile.verdict.evidence = vec![bad.clone()];
    hostile.verdict.advice = vec![bad.clone()];
    hostile.warnings = vec![bad];
    hostile
}

/// All of them, with a name for files.
pub(crate) fn all() -> Vec<(&'static str, Comparison)> {
    vec![
        ("compare-service", service()),
        ("compare-eight", eight_arms()),
        ("compare-leak", leak()),
        ("compare-alike", two_alike()),
        ("compare-too-few", too_few()),
        ("compare-fix", fix()),
        ("compare-releases", releases()),
        ("compare-nothing", nothing()),
        ("compare-twenty", twenty_arms()),
        ("compare-hostile", hostile()),
    ]
}
