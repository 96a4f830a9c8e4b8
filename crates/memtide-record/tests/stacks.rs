//! Call stacks: what is written comes back, within bounds, and says what it left out.

mod common;

use common::place::Tmpfs;
use common::stacks::{Stacks, counters, module, place, stack};
use common::{BOOT, Random, plain_tick, start, target};
use memtide_model::{
    Bytes, CallStack, CodeModuleId, CodePlace, HeapMode, Lost, Nanos, Observations, StackCounters,
    StackEnd, StackHistory, StackId, StackKind, StackObservations, StackOwner, StackTotals,
    StacksTick,
};
use memtide_record::{ErrorKind, Reader, Writer};
use std::path::Path;
use std::time::{Duration, Instant};

fn writer(path: &Path) -> Writer {
    let mut writer = Writer::create(path, &target(), &start(Nanos::SECOND)).expect("new");
    writer
        .stacks_start(HeapMode::Full, Bytes(1))
        .expect("there is room");
    writer
}

fn read(path: &Path, limit: usize) -> Observations {
    Reader::open(path)
        .and_then(|reader| reader.observations(limit))
        .expect("sound")
}

fn stacks(path: &Path) -> StackObservations {
    read(path, usize::MAX).stacks.expect("the shim looked")
}

fn at(second: u64) -> Nanos {
    BOOT + Nanos::from_secs(second)
}

fn tick(writer: &mut Writer, second: u64) {
    writer
        .tick(&plain_tick(at(second), 4_096, true))
        .expect("there is room");
}

/// In an order of their own: a recording has its own.
fn sorted(mut stacks: Vec<(CallStack, StackCounters)>) -> Vec<(CallStack, StackCounters)> {
    stacks.sort_by(|a, b| {
        (&a.0.frames, a.0.kind, a.0.owner, a.1.bytes).cmp(&(
            &b.0.frames,
            b.0.kind,
            b.0.owner,
            b.1.bytes,
        ))
    });
    stacks
}

fn lasts(seen: &StackObservations) -> Vec<(CallStack, StackCounters)> {
    let pair = |history: &StackHistory| (history.stack.clone(), history.last);
    sorted(seen.stacks.iter().map(pair).collect())
}

#[test]
fn what_was_seen_comes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let generated = CodePlace {
        module: None,
        address: u64::MAX - 1,
    };
    let leak = stack(vec![place(1, 0x40), place(0, 0x20), place(0, 0x10)]);
    let other = CallStack {
        kind: StackKind::Mapping,
        owner: StackOwner::Others,
        end: StackEnd::Truncated,
        frames: vec![generated, place(0, 0x20), place(0, 0x10)],
    };
    let bare = CallStack {
        end: StackEnd::Foreign,
        ..stack(Vec::new())
    };
    let totals = |second, live: u64| StackTotals {
        at: at(second) + Nanos(70_000),
        live_bytes: Bytes(live),
        live_blocks: live / 1_024,
        mapping_bytes: Bytes(1 << 40),
        peak_bytes: Bytes(live + 5),
        allocs: 3 * live,
        allocated_bytes: Bytes(9 * live),
    };
    let first = StacksTick {
        totals: totals(0, 1_024),
        new_modules: vec![module("shop"), module("libc.so.6")],
        new_stacks: vec![leak.clone(), other.clone()],
        changed: vec![(StackId(0), counters(1, 0))],
        ..StacksTick::default()
    };
    let second = StacksTick {
        totals: totals(1, 2_048),
        new_stacks: vec![bare.clone()],
        changed: vec![(StackId(0), counters(4, 1)), (StackId(1), counters(9, 9))],
        ..StacksTick::default()
    };
    let lost = Lost {
        reentered: 1,
        threadless: 2,
        no_room: 3,
        overflow: 4,
        ruleless: 5,
        truncated: 6,
        foreign: 7,
        processes: 8,
    };
    let sampled = StackCounters {
        samples: 3,
        freed_samples: 2,
        ..counters(7, 5)
    };
    let third = StacksTick {
        totals: totals(2, 4_096),
        changed: vec![(StackId(2), sampled)],
        lost,
        ended: true,
        ..StacksTick::default()
    };
    for (second, seen) in [&first, &second, &third].into_iter().enumerate() {
        tick(&mut writer, second as u64);
        writer.stacks(seen).expect("there is room");
    }
    writer.finish().expect("there is room");

    let all = read(&path, usize::MAX);
    assert_eq!(all.recording.lenses, ["sampler", "shim"]);
    assert_eq!(all.samples.len(), 3);
    let seen = all.stacks.expect("the shim looked");
    assert_eq!((seen.mode, seen.interval), (HeapMode::Full, Bytes(1)));
    assert_eq!(
        seen.totals,
        [totals(0, 1_024), totals(1, 2_048), totals(2, 4_096)]
    );
    assert_eq!(seen.modules, [module("shop"), module("libc.so.6")]);
    assert_eq!((seen.lost, seen.ended), (lost, true));
    let want = vec![
        (leak.clone(), counters(4, 1)),
        (other, counters(9, 9)),
        (bare, sampled),
    ];
    assert_eq!(lasts(&seen), sorted(want));
    let history = seen.stacks.iter().find(|history| history.stack == leak);
    let points: Vec<_> = history.expect("it is there").points.iter().collect();
    let points: Vec<_> = points
        .iter()
        .map(|p| (p.at, p.allocs, p.frees, p.live_bytes.0))
        .collect();
    assert_eq!(points, [(at(0), 1, 0, 1_024), (at(1), 4, 1, 3_072)]);
    let code = Reader::open(&path).and_then(|reader| reader.code());
    let code = code.expect("sound");
    assert_eq!(code.modules, seen.modules);
    let places = [generated, place(0, 0x10), place(0, 0x20), place(1, 0x40)];
    assert_eq!(code.places, places);
}

#[test]
fn without_a_shim_there_are_no_stacks() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    tick(&mut writer, 0);
    let refused = writer.stacks(&StacksTick::default());
    assert_eq!(
        refused.expect_err("nobody looks").kind(),
        ErrorKind::NoStacks
    );
    writer.finish().expect("there is room");
    assert_eq!(read(&path, 10).stacks, None);
    let looked = dir.path().join("b.memtide");
    self::writer(&looked).finish().expect("there is room");
    let seen = stacks(&looked);
    assert_eq!(
        (seen.stacks.len(), seen.totals.len()),
        (0, 0),
        "and found nothing"
    );
}

/// All values, shared and unshared chains, more stacks than a tick writes.
#[test]
fn any_stacks_come_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = Random(5);
    for round in 0..20 {
        let path = dir.path().join(format!("{round}"));
        let mut writer = writer(&path);
        let mut known: Vec<(CallStack, StackCounters)> = Vec::new();
        for second in 0..100 {
            let mut seen = StacksTick::default();
            if second == 0 {
                seen.new_modules = (0..4).map(|n| module(&format!("lib{n}.so"))).collect();
            }
            for _ in 0..random.below(40) {
                let frames = (0..random.below(7)).map(|_| CodePlace {
                    module: random
                        .one_of(&[None, Some(0), Some(1), Some(2), Some(3)])
                        .map(CodeModuleId),
                    address: random.one_of(&[3, u64::MAX, 1 << 63]),
                });
                let mut new = stack(frames.collect());
                // Two stacks with the same frames are two stacks here, too.
                new.kind = random.one_of(&[StackKind::Heap, StackKind::Mapping]);
                seen.new_stacks.push(new.clone());
                known.push((new, StackCounters::default()));
            }
            for (number, (_, counters)) in (0..).zip(&mut known) {
                if random.below(3) == 0 {
                    *counters = StackCounters {
                        allocs: random.next(),
                        bytes: random.next() >> random.below(64),
                        frees: random.below(100),
                        freed: random.next() >> random.below(64),
                        peak_bytes: random.next(),
                        samples: random.below(2),
                        freed_samples: random.next(),
                    };
                    seen.changed.push((StackId(number), *counters));
                }
            }
            tick(&mut writer, second);
            writer.stacks(&seen).expect("there is room");
        }
        writer.finish().expect("there is room");
        let key = |stacks| -> Vec<String> {
            let mut all: Vec<_> = Vec::into_iter(stacks).map(|s| format!("{s:?}")).collect();
            all.sort();
            all
        };
        assert_eq!(key(lasts(&stacks(&path))), key(known), "round {round}");
    }
}

#[test]
fn a_tick_writes_those_that_moved_most_and_a_minute_all() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let frames = |n: u32| vec![place(0, u64::from(n)), place(0, 1_000)];
    for second in 0..=60 {
        let mut seen = StacksTick::default();
        if second == 0 {
            seen.new_modules = vec![module("shop")];
            seen.new_stacks = (0..100).map(|n| stack(frames(n))).collect();
        } else {
            // Stack n has n KiB at the first second; later none moves but the first.
            let moved = if second == 1 { 0..100 } else { 0..1 };
            seen.changed = moved
                .map(|n| (StackId(n), counters(u64::from(n) + second, 0)))
                .collect();
        }
        tick(&mut writer, second);
        writer.stacks(&seen).expect("there is room");
        if second == 2 {
            let now = stacks(&path);
            let (rest, rows) = now.stacks.split_last().expect("not all have a row");
            assert_eq!(rows.len(), 64, "32 a tick");
            assert_eq!(now.lost.overflow, 36);
            // Of those without: n + 1 KiB each, the first one more.
            assert_eq!(rest.last.live_bytes(), 1_024 * (36 * 37 / 2 + 1));
        }
    }
    let now = stacks(&path);
    assert_eq!(now.stacks.len(), 100, "all since the minute is over");
    assert_eq!(now.lost.overflow, 0);
    let of = |n: u32| {
        let found = now.stacks.iter().find(|h| h.stack.frames == frames(n));
        found.expect("it has a row by now")
    };
    let times = |n| of(n).points.iter().map(|p| p.at).collect::<Vec<_>>();
    assert_eq!(times(99), [at(1)]);
    assert_eq!(times(68), [at(1)]);
    assert_eq!(times(67), [at(2)]);
    for n in 1..100 {
        assert_eq!(of(n).last, counters(u64::from(n) + 1, 0));
    }
}

/// Sums are kept of stacks for which a recording has no room, and their number.
#[test]
fn what_is_left_out_is_counted_and_in_the_sum() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut program = Stacks::new(68_536, 68_536, 68_536, 1_000);
    program.depth = 5;
    tick(&mut writer, 0);
    writer.stacks(&program.next()).expect("there is room");
    let cut_off = stacks(&path);
    assert_eq!(cut_off.lost.overflow, 68_536 - 2_048, "before the end");
    writer.finish().expect("there is room");
    let seen = stacks(&path);
    assert_eq!(seen.stacks.len(), 65_537);
    assert_eq!(seen.lost.overflow, 3_000);
    let live =
        |stacks: &[StackHistory]| -> u64 { stacks.iter().map(|h| h.last.live_bytes()).sum() };
    for seen in [&cut_off, &seen] {
        let rest = seen.stacks.last().expect("it comes last");
        assert_eq!(rest.stack.end, StackEnd::Overflow);
        assert!(rest.stack.frames.is_empty() && rest.points.is_empty());
        assert_eq!(Bytes(live(&seen.stacks)), seen.totals[0].live_bytes);
    }
    // The smallest are those that are left out.
    let smallest = seen.stacks[..65_536].iter().map(|h| h.last.live_bytes());
    let mut all: Vec<u64> = program.all.iter().map(|(_, c)| c.live_bytes()).collect();
    all.sort_unstable();
    assert_eq!(smallest.min(), Some(all[3_000]));
}

/// `memtide collect` makes such a recording from regions.
#[test]
fn a_recording_of_stacks_alone_has_no_samples() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut program = Stacks::new(50, 10, 50, 1 << 20);
    let mut totals = Vec::new();
    for _ in 0..300 {
        let seen = program.next();
        totals.push(seen.totals);
        writer.stacks(&seen).expect("there is room");
    }
    writer.finish().expect("there is room");
    let all = read(&path, 1_000);
    assert_eq!((all.samples.len(), all.recording.samples), (0, 0));
    assert_eq!(all.recording.ended, totals[299].at);
    let seen = all.stacks.expect("the shim looked");
    assert_eq!(seen.totals, totals);
    assert_eq!(lasts(&seen), sorted(program.all));
    let thin = read(&path, 20).stacks.expect("the shim looked").totals;
    assert!((18..=20).contains(&thin.len()), "{}", thin.len());
    assert_eq!(thin.last(), totals.last());
    assert!(thin.iter().all(|total| totals.contains(total)));
}

#[test]
fn stacks_after_the_last_tick_get_a_tick_that_is_no_sample() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut program = Stacks::new(5, 5, 5, 100);
    for second in 0..4 {
        tick(&mut writer, second);
        writer.stacks(&program.next()).expect("room");
    }
    // The program is gone: no tick any more, but what the shim left behind.
    let mut last = program.next();
    last.ended = true;
    writer.stacks(&last).expect("room");
    writer.finish().expect("there is room");
    let all = read(&path, 100);
    assert_eq!((all.samples.len(), all.recording.samples), (4, 4));
    let seen = all.stacks.expect("the shim looked");
    assert!(seen.ended);
    assert_eq!(seen.totals.len(), 5);
    assert_eq!(seen.totals[4], last.totals);
    assert_eq!(lasts(&seen), sorted(program.all));
}

/// Three hours: totals and points get fewer, never others than they were.
#[test]
fn old_stacks_are_thinned() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut program = Stacks::new(20, 20, 20, 3_000);
    let mut totals = Vec::new();
    let mut samples = 0;
    for second in 0..3 * 3_600 {
        // The sampler is slower than the shim here.
        if second % 4 == 0 {
            tick(&mut writer, second);
            samples += 1;
        }
        let seen = program.next();
        totals.push(seen.totals);
        writer.stacks(&seen).expect("there is room");
    }
    writer.finish().expect("there is room");
    let all = read(&path, usize::MAX);
    assert_eq!(all.recording.samples, samples);
    let merged: u64 = all
        .samples
        .iter()
        .map(|sample| u64::from(sample.merged.samples))
        .sum();
    assert_eq!(merged, samples);
    let seen = all.stacks.expect("the shim looked");
    // 3,600 of the last hour, one or two in ten seconds of the two before.
    assert!(
        (4_300..=5_100).contains(&seen.totals.len()),
        "{}",
        seen.totals.len()
    );
    // Where the sampler's tick is gone, times lie between those that are left.
    for total in &seen.totals {
        let was = totals.iter().find(|was| was.allocs == total.allocs);
        let was = was.expect("it is one of those that were");
        assert_eq!(
            StackTotals {
                at: was.at,
                ..*total
            },
            *was
        );
        assert!(
            total.at.0.abs_diff(was.at.0) < 6_000_000_000,
            "{total:?}, {was:?}"
        );
    }
    assert_eq!(seen.totals.last(), totals.last());
    assert_eq!(lasts(&seen), sorted(program.all));
    for history in &seen.stacks {
        let (old, young): (Vec<_>, Vec<_>) = history
            .points
            .iter()
            .copied()
            .partition(|p| p.at < at(2 * 3_600));
        assert!((100..=130).contains(&old.len()), "{}", old.len());
        assert!(young.len() > 200, "{}", young.len());
        assert!(history.points.is_sorted_by_key(|p| (p.at, p.allocs)));
    }
    let few = read(&path, 50).stacks.expect("the shim looked");
    assert!(few.totals.len() <= 50 && few.stacks.iter().all(|h| h.points.len() <= 50));
    assert_eq!(few.totals.last(), totals.last());
}

/// What a full disk kept out comes with the next tick that fits.
#[test]
fn a_full_disk_loses_ticks_and_no_stacks() {
    let Some(small) = Tmpfs::new(2_048) else {
        return;
    };
    let path = small.path().join("a.memtide");
    let filler = small.path().join("filler");
    let mut writer = writer(&path);
    let mut program = Stacks::new(3_000, 30, 200, 10_000);
    let mut lost = 0;
    let mut stored = Vec::new();
    for second in 0..150 {
        match second {
            30 => fill(&filler),
            70 => std::fs::remove_file(&filler).expect("it is there"),
            _ => {}
        }
        // On a full disk either may fail: the tick or its stacks.
        let ticked = writer.tick(&plain_tick(at(second), 4_096, true));
        let seen = program.next();
        match writer.stacks(&seen) {
            Ok(()) => stored.push(seen.totals),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Full, "{error}");
                assert!((30..70).contains(&second), "{second}: {error}");
                lost += 1;
            }
        }
        assert!(ticked.is_ok() || (30..70).contains(&second));
    }
    assert!(lost > 10, "the disk was never full: {lost}");
    writer.finish().expect("there is room");
    let seen = stacks(&path);
    assert_eq!(seen.totals, stored);
    assert_eq!(lasts(&seen), sorted(program.all));
    assert_eq!(seen.lost.overflow, 0);
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).expect("there is room");
    while file.write_all(&[7; 512]).is_ok() {}
}

/// Half a million stacks that begin at once must not hold up the recorder.
#[test]
fn many_stacks_at_once_do_not_hold_up_a_tick() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let mut writer = writer(&path);
    let mut program = Stacks::new(200_000, 200_000, 200_000, 1 << 20);
    let seen = program.next();
    let begun = Instant::now();
    writer.stacks(&seen).expect("there is room");
    let first = begun.elapsed();
    let mut longest = Duration::ZERO;
    for _ in 0..5 {
        let seen = program.next();
        let begun = Instant::now();
        writer.stacks(&seen).expect("there is room");
        longest = longest.max(begun.elapsed());
    }
    println!("200,000 new stacks: {first:?}, then {longest:?} a tick that all move");
    let most = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(longest < Duration::from_millis(60) * most, "{longest:?}");
    assert_eq!(stacks(&path).stacks.len(), 2_048 + 5 * 32 + 1);
}
