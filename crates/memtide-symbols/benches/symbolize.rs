//! What it costs to name 20,000 addresses of a large program: time, peak memory, and the ratio to
//! `addr2line -f -i` fed the same list.
//!
//! `cargo bench -p memtide-symbols [-- PROGRAM]`; without a program it asks this bench itself, or the
//! debug build of memtide where there is one.
#![allow(clippy::unwrap_used, reason = "a bench has nobody to hand an error to")]

#[path = "../tests/support/mod.rs"]
mod support;

use memtide_model::text;
use memtide_symbols::{Locator, Resolver};
use std::path::PathBuf;
use std::time::Instant;

const ADDRESSES: usize = 20_000;

fn main() {
    let given = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'));
    let program = given.map_or_else(largest, PathBuf::from);
    let svmas = support::sample(&program, ADDRESSES);
    let size = std::fs::metadata(&program).unwrap().len();
    println!(
        "{}: {}, {} addresses",
        program.display(),
        text::bytes(size as f64),
        svmas.len()
    );

    let before = peak();
    let mut seconds = f64::INFINITY;
    for threads in [1, 2] {
        for _ in 0..3 {
            let start = Instant::now();
            let resolver = Resolver::new(Locator::new([])).with_threads(threads);
            let resolution = support::resolve(&resolver, support::module(&program), &svmas);
            seconds = start.elapsed().as_secs_f64();
            let frames: usize = (0..svmas.len()).map(|i| resolution.frames(i).len()).sum();
            let report = &resolution.modules()[0];
            println!(
                "{threads} threads: {seconds:.3} s, {frames} frames, {} without line, {} without function",
                report.without_line, report.without_function
            );
        }
        println!(
            "peak RSS {} (before: {})",
            text::bytes(peak()),
            text::bytes(before)
        );
    }

    let start = Instant::now();
    let theirs = support::oracle("addr2line", &["-C"], &program, &svmas);
    let their_seconds = start.elapsed().as_secs_f64();
    assert_eq!(theirs.len(), svmas.len());
    println!(
        "addr2line -f -i -C: {their_seconds:.3} s, ratio {:.1}",
        their_seconds / seconds
    );
}

/// Peak RSS in bytes (`VmHWM`, proc(5)).
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        * 1024.0
}

fn largest() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let debug = own
        .ancestors()
        .nth(3)
        .map(|target| target.join("debug/memtide"));
    debug.filter(|path| path.exists()).unwrap_or(own)
}
