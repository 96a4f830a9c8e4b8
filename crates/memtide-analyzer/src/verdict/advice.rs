//! What to do, in sentences that can be followed.
//!
//! A command of memtide stands at the end of its sentence, behind a colon and with nothing after it, so that it can
//! be copied as it is; a test runs every one through the parser of the command line. Settings of malloc come
//! with the value that the numbers of the last look speak for, and with the line that tries them on the
//! same work: an allocator's effect is measured and not promised.

use super::facts::Facts;
use crate::heap;
use crate::record::Track;
use crate::thresholds::{
    ARENA_KEEPS_BYTES, ARENA_TOP_SHARE, ARENAS, LARGE_COVERED_SHARE, LARGE_SHARE,
    MMAP_THRESHOLD_BYTES, TRIM_HELPS_SHARE,
};
use memtide_model::report::{ArenaRow, Heap};
use memtide_model::{MappingClass, Target, text};

/// Stands for a command line that is not known, or is no line that a shell could run.
pub(super) const UNKNOWN_COMMAND: &str = "CMD";
/// Characters of a command line that advice repeats.
const LONGEST_COMMAND: usize = 120;
/// Seconds of a run that tries an allocator, at least and at most: some dozen runs are to end within a morning.
const RUNS: [f64; 2] = [60.0, 300.0];
/// Fewer arenas, as an arm of a comparison.
const FEWER_ARENAS: &str = "glibc:arena_max=2";
/// How the number of arenas is bounded.
pub(super) const BOUND_ARENAS: &str =
    "Bound the arenas: MALLOC_ARENA_MAX=2 in the environment, or mallopt(M_ARENA_MAX, 2)";

/// A setting of glibc's malloc for which the numbers speak.
struct Setting {
    /// What it is and why.
    sentence: String,
    /// The same as an arm of a comparison.
    arm: String,
}

/// The command that started the process, as a shell takes it; shortened where it is long, and `CMD` where the process
/// wrote a title over it.
pub(super) fn command(target: &Target) -> String {
    let quoted = |argument: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
        if !argument.is_empty() && argument.chars().all(plain) {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    // Titles are one string, as in "nginx: worker process"; programs with a space in their name are rare.
    let is_title = |program: &String| program.contains(' ') && !target.exe.contains(' ');
    if target.cmdline.first().is_none_or(is_title) {
        return UNKNOWN_COMMAND.to_owned();
    }
    let words: Vec<String> = target.cmdline.iter().map(quoted).collect();
    let line = words.join(" ");
    match words.first() {
        Some(_) if line.chars().count() <= LONGEST_COMMAND => line,
        Some(program) if program.chars().count() <= LONGEST_COMMAND => format!("{program} …"),
        _ => UNKNOWN_COMMAND.to_owned(),
    }
}

/// To record longer, by `seconds`, in a duration that the command line takes.
pub(super) fn longer(facts: &Facts, seconds: f64) -> String {
    longer_because(facts, seconds, "Record longer")
}

/// The same with a reason in place of the plain words.
pub(super) fn longer_because(facts: &Facts, seconds: f64, words: &str) -> String {
    let whole = (facts.record.seconds() + seconds.max(0.0)).max(60.0);
    let minutes = (whole / 60.0).ceil();
    let time = if minutes <= 120.0 {
        format!("{minutes:.0}m")
    } else {
        format!("{:.0}h", (minutes / 60.0).ceil())
    };
    format!(
        "{words}: memtide attach {} --for {time}",
        facts.observations.target.id.pid
    )
}

/// The line that tries other allocators and these settings on the same work, each run as long as this record within
/// [`RUNS`]; `None` where malloc is not glibc's.
fn comparison(facts: &Facts, arms: &[&str]) -> Option<String> {
    let target = &facts.observations.target;
    target.allocator.starts_with("glibc").then(|| {
        let arms = [&["glibc"], arms, &["tcmalloc", "jemalloc", "mimalloc"]].concat();
        format!(
            "Try what helps, several runs of each: memtide compare --allocators {} --for {:.0}s -- {}",
            arms.join(","),
            facts.record.seconds().ceil().clamp(RUNS[0], RUNS[1]),
            command(target)
        )
    })
}

/// What helps against many arenas.
pub(super) fn fewer_arenas(facts: &Facts) -> Vec<String> {
    let bound = format!(
        "{BOUND_ARENAS}; or use an allocator that shares memory between threads (jemalloc, tcmalloc, mimalloc)."
    );
    std::iter::once(bound)
        .chain(comparison(facts, &[FEWER_ARENAS]))
        .collect()
}

/// What helps against memory that malloc keeps: by the numbers of the last look, in general where nobody looked.
pub(super) fn against_kept(facts: &Facts, general: &[&str]) -> Vec<String> {
    let Some(heap) = heap::heap(facts.observations).filter(|heap| heap.conclusive) else {
        let several = facts.series(Track::ClassCount(MappingClass::Arena)).end() >= 1.0;
        let arms: &[&str] = if several { &[FEWER_ARENAS] } else { &[] };
        let general = general.iter().map(|&advice| advice.to_owned());
        return general.chain(comparison(facts, arms)).collect();
    };
    let mut advice = trim(&heap);
    let settings: Vec<Setting> = [arenas(&heap), large_blocks(&heap), top(&heap)]
        .into_iter()
        .flatten()
        .collect();
    let arms: Vec<&str> = settings
        .iter()
        .map(|setting| setting.arm.as_str())
        .collect();
    let line = comparison(facts, &arms);
    advice.extend(settings.into_iter().map(|setting| setting.sentence));
    advice.extend(line);
    advice
}

/// Whether a trim gives back what is kept, and what to do where it does not.
fn trim(heap: &Heap) -> Vec<String> {
    let kept = text::bytes(kept(heap));
    let trimmable = text::bytes(heap.trimmable_bytes as f64);
    if trim_helps(heap) {
        return vec![format!(
            "Call malloc_trim(0) when the load falls: it would give back {trimmable} of the {kept} that malloc keeps."
        )];
    }
    let mut advice = vec!["Holes between long-lived blocks: allocate what lives long apart from what does not, and avoid to shrink blocks in place (realloc to less), which leaves a hole behind each; or try an allocator that keeps sizes apart (jemalloc, mimalloc).".to_owned()];
    if heap.knows_trim() {
        advice.push(format!(
            "malloc_trim(0) does not help: it would give back {trimmable} of the {kept} that malloc keeps."
        ));
    }
    advice
}

fn trim_helps(heap: &Heap) -> bool {
    heap.knows_trim() && heap.trimmable_bytes as f64 >= TRIM_HELPS_SHARE * kept(heap)
}

/// Where many arenas keep memory, and none of them most of it.
fn arenas(heap: &Heap) -> Option<Setting> {
    let keeps = |arena: &ArenaRow| arena.resident_bytes.saturating_sub(arena.live_bytes) as f64;
    let sum: f64 = heap.arenas.iter().map(keeps).sum();
    let most = heap.arenas.iter().map(keeps).fold(0.0, f64::max);
    let many = (heap.arenas.iter()).filter(|arena| keeps(arena) >= ARENA_KEEPS_BYTES);
    let count = many.count();
    (count as f64 >= ARENAS && most < ARENA_TOP_SHARE * sum).then(|| Setting {
        sentence: format!(
            "{count} arenas keep {} together: with fewer of them (MALLOC_ARENA_MAX=2 in the environment) what one thread frees serves another.",
            text::bytes(sum)
        ),
        arm: FEWER_ARENAS.to_owned(),
    })
}

/// Where blocks that malloc would give mappings of their own lie between others. The threshold is the greatest power of
/// two that takes in [`LARGE_COVERED_SHARE`] of their bytes: each mapping costs two system calls.
fn large_blocks(heap: &Heap) -> Option<Setting> {
    let mut rows: Vec<(u64, u64)> = (heap.size_classes.iter())
        .filter(|row| row.size >= MMAP_THRESHOLD_BYTES)
        .map(|row| (row.size, row.live_bytes))
        .collect();
    let large = (rows.iter()).fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
    // Whether mapped chunks are among the sizes or not, this is in the arenas.
    let within = large.saturating_sub(heap.mmapped_bytes) as f64;
    let all = heap.live_bytes.saturating_sub(heap.mmapped_bytes) as f64;
    if within <= 0.0 || within < LARGE_SHARE * all {
        return None;
    }
    rows.sort_unstable_by(|a, b| b.cmp(a));
    let mut covered = 0.0;
    let (smallest, _) = (rows.into_iter()).find(|(_, bytes)| {
        covered += *bytes as f64;
        covered >= LARGE_COVERED_SHARE * large as f64
    })?;
    let value = (1 << smallest.ilog2()).max(MMAP_THRESHOLD_BYTES);
    Some(Setting {
        sentence: format!(
            "Large blocks lie between small ones ({} in blocks of 128 KiB and more): MALLOC_MMAP_THRESHOLD_={value} in the environment, or mallopt(M_MMAP_THRESHOLD, {value}), gives each of {} and more a mapping of its own, which free() returns to the kernel.",
            text::bytes(within),
            text::bytes(value as f64)
        ),
        arm: format!("glibc:mmap_threshold={value}"),
    })
}

/// Where most of what a trim would give back is the unused end of the heap, which `free` itself gives back beyond its threshold.
fn top(heap: &Heap) -> Option<Setting> {
    let top = heap.top_resident_bytes as f64;
    let value = MMAP_THRESHOLD_BYTES;
    let most = top >= TRIM_HELPS_SHARE * heap.trimmable_bytes as f64 && top > value as f64;
    (most && trim_helps(heap)).then(|| Setting {
        sentence: format!(
            "{} of it is the unused end of the heap: MALLOC_TRIM_THRESHOLD_={value} in the environment, or mallopt(M_TRIM_THRESHOLD, {value}), lets free() give that back; left alone malloc raises this threshold to up to 64 MiB.",
            text::bytes(top)
        ),
        arm: format!("glibc:trim_threshold={value}"),
    })
}

/// What malloc keeps resident and the program does not use, in bytes.
pub(super) fn kept(heap: &Heap) -> f64 {
    heap.resident_bytes.saturating_sub(heap.live_resident_bytes) as f64
}
