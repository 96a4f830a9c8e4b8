//! The stacks in a region are those that glibc's own unwinder finds in the same process at the same
//! moment, block by block: in code with and without frame pointers, with realigned frames and `alloca`,
//! through exceptions and jumps, from signal handlers and on other stacks.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shim_support;

use memtide_region::Kind;
use shim_support::run::{Heap, Run};
use shim_support::stacks::{Region, Stack, Symbols};
use std::collections::BTreeMap;
use std::path::Path;

/// Frames that the shim follows; of deeper stacks it keeps the innermost ones.
const MOST_FRAMES: usize = 512;
const KEPT_OF_DEEPER: usize = 64;
/// Those that are left of them above `record` and operator new.
const COMPARED_OF_DEEPER: usize = KEPT_OF_DEEPER - 2;

/// Blocks and bytes by the return addresses of the callers of `record`, innermost first.
type Sums = BTreeMap<Vec<u64>, (u64, u64)>;

/// What the program says.
fn wanted(text: &str) -> Sums {
    let mut sums = Sums::new();
    for line in text.lines() {
        let (size, rest) = line.split_once(' ').unwrap();
        let frames = rest
            .split(' ')
            .map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut frames: Vec<u64> = frames.collect();
        // The one in `record` is not among them.
        if frames.len() + 1 > MOST_FRAMES {
            frames.truncate(COMPARED_OF_DEEPER);
        }
        let sum = sums.entry(frames).or_default();
        sum.0 += 1;
        sum.1 += size.parse::<u64>().unwrap();
    }
    sums
}

/// What the region says.
fn found(region: &Region, symbols: &Symbols) -> Sums {
    let mut sums = Sums::new();
    for stack in region
        .stacks
        .values()
        .filter(|stack| stack.kind == Kind::Heap)
    {
        let Some(mut callers) = above_record(stack, region, symbols) else {
            continue;
        };
        // Stacks end in the function where they begin, unless they were cut.
        if region.functions(symbols, stack).last() == Some(&"_ZL4deepi") {
            callers.truncate(COMPARED_OF_DEEPER);
        }
        let sum = sums.entry(callers).or_default();
        sum.0 += stack.counters.allocs;
        sum.1 += stack.counters.bytes;
    }
    sums
}

/// The callers of `record`, if it has asked for the block itself: what it calls is the allocator, or
/// libstdc++'s operator new, which does.
fn above_record(stack: &Stack, region: &Region, symbols: &Symbols) -> Option<Vec<u64>> {
    let is_record = |frame: &(u64, u32)| {
        let alone = Stack {
            kind: stack.kind,
            frames: vec![*frame],
            counters: stack.counters,
        };
        region.functions(symbols, &alone) == ["record"]
    };
    let place = stack.frames.iter().take(2).position(is_record)?;
    let callers = stack.frames.get(place + 1..)?;
    Some(callers.iter().map(|(address, _)| *address).collect())
}

/// Stacks with their functions, for people.
fn named(sums: &Sums, but_not_in: &Sums, region: &Region, symbols: &Symbols) -> String {
    let differs = |(frames, sum): &(&Vec<u64>, &(u64, u64))| but_not_in.get(*frames) != Some(sum);
    let different: Vec<_> = sums.iter().filter(differs).collect();
    let line = |(frames, (blocks, bytes)): &(&Vec<u64>, &(u64, u64))| {
        let stack = Stack {
            kind: Kind::Heap,
            frames: frames.iter().map(|address| (*address, 0)).collect(),
            counters: memtide_region::Counters::default(),
        };
        let names = region.functions(symbols, &stack);
        let (frames, names) = (frames.iter().take(12), names.iter().take(12));
        let frames: Vec<_> = frames.map(|frame| format!("{frame:x}")).collect();
        let names: Vec<_> = names.copied().collect();
        let (frames, names) = (frames.join(" "), names.join(" "));
        format!("{blocks} blocks, {bytes} bytes at {frames} ({names})\n")
    };
    let text: String = different.iter().take(2).map(line).collect();
    format!("{} stacks, of which:\n{text}", different.len())
}

fn assert_same(program: &Path, arguments: [&str; 2]) -> Sums {
    let run = Run::shimmed(program, Heap::Full);
    let done = run.arg(arguments[0]).arg(arguments[1]).finish();
    let (region, symbols) = (done.region(), Symbols::of(program));
    let lost = region.lost();
    assert!(
        lost.truncated > 0 && lost.foreign > 0,
        "deep stacks and coroutines: {lost:?}"
    );
    let (wanted, found) = (wanted(&done.text()), found(region, &symbols));
    assert!(
        wanted == found,
        "{} {arguments:?}\nonly glibc: {}only the shim: {}",
        program.display(),
        named(&wanted, &found, region, &symbols),
        named(&found, &wanted, region, &symbols),
    );
    wanted
}

/// Compiles the program with these flags and compares a few of its runs.
fn same_stacks(name: &str, flags: &[&str]) {
    let program = shim_support::target("stacks.cpp", name, flags);
    let seeds = if shim_support::is_long() { 40 } else { 3 };
    for seed in 1..=seeds {
        let stacks = assert_same(&program, [&seed.to_string(), "3000"]);
        assert!(stacks.len() > 500, "many stacks: {}", stacks.len());
        let deepest = stacks.keys().map(Vec::len).max();
        assert!(deepest > Some(300), "deep ones: {deepest:?}");
    }
}

#[test]
fn code_without_frame_pointers() {
    same_stacks("stacks-none", &["-O2", "-fomit-frame-pointer"]);
}

#[test]
fn code_with_frame_pointers() {
    same_stacks("stacks-pointers", &["-O2", "-fno-omit-frame-pointer"]);
}

#[test]
fn code_with_tail_calls() {
    same_stacks("stacks-tail", &["-O3", "-foptimize-sibling-calls"]);
}

#[test]
fn code_that_realigns_its_stack_everywhere() {
    same_stacks(
        "stacks-realigned",
        &["-O2", "-mstackrealign", "-mpreferred-stack-boundary=5"],
    );
}

#[test]
fn code_that_is_not_optimised() {
    same_stacks("stacks-slow", &["-O0"]);
}
