//! `snapshot PID [--classes] [--hold]`: looks at the heap of a process once, and prints every total and every
//! figure of quality as `key value`, one a line.
//!
//! The keys are the names of the fields, so that a script can compare them with what the process says
//! of itself. Contents of blocks are not shown, for they are not read.

use memtide_inspect::{Inspector, Options};
use memtide_model::{HeapSnapshot, Pid};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(pid) = arguments.next().and_then(|text| text.parse().ok()) else {
        eprintln!("usage: snapshot PID [--classes] [--hold]");
        return ExitCode::from(2);
    };
    let rest: Vec<String> = arguments.collect();
    let options = Options {
        hold: rest
            .iter()
            .any(|word| word == "--hold")
            .then_some(Duration::from_millis(500)),
        classes: rest.iter().any(|word| word == "--classes"),
    };
    match Inspector::open(Pid(pid)).and_then(|mut inspector| inspector.snapshot(&options)) {
        Ok(snapshot) => {
            print(&snapshot);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error {:?} {error}", error.kind());
            ExitCode::FAILURE
        }
    }
}

fn print(snapshot: &HeapSnapshot) {
    println!("at {}", snapshot.at.0);
    println!("took {}", snapshot.took.0);
    println!("cpu {}", snapshot.cpu.0);
    println!("held {}", snapshot.held.unwrap_or_default().0);
    println!("rss {}", snapshot.rss.0);
    println!("layout {}", snapshot.layout);
    println!("is_untested {}", snapshot.is_untested);
    print_totals(snapshot);
    print_quality(snapshot);
    for arena in &snapshot.arenas {
        println!("arena {arena:?}");
    }
    for size in &snapshot.sizes {
        println!("size {size:?}");
    }
    for class in &snapshot.classes {
        println!("class {} {} {}", class.count, class.bytes.0, class.name);
    }
}

fn print_totals(snapshot: &HeapSnapshot) {
    let totals = &snapshot.totals;
    for (key, value) in [
        ("live_blocks", totals.live_blocks),
        ("live_bytes", totals.live_bytes.0),
        ("live_resident", totals.live_resident.0),
        ("mmapped_blocks", totals.mmapped_blocks),
        ("mmapped_bytes", totals.mmapped_bytes.0),
        ("mmapped_resident", totals.mmapped_resident.0),
        ("cached_blocks", totals.cached_blocks),
        ("cached_bytes", totals.cached_bytes.0),
        ("cached_resident", totals.cached_resident.0),
        ("free_blocks", totals.free_blocks),
        ("free_bytes", totals.free_bytes.0),
        ("free_resident", totals.free_resident.0),
        ("top_bytes", totals.top_bytes.0),
        ("top_resident", totals.top_resident.0),
        ("trimmable", totals.trimmable.0),
        ("stuck", totals.stuck.0),
        ("overhead_bytes", totals.overhead_bytes.0),
        ("heap_resident", totals.heap_resident.0),
        ("swapped", totals.swapped.0),
    ] {
        println!("{key} {value}");
    }
}

fn print_quality(snapshot: &HeapSnapshot) {
    let quality = &snapshot.quality;
    println!("parsed {}", quality.parsed.0);
    println!("skipped {}", quality.skipped.0);
    println!("bad_headers {}", quality.bad_headers);
    println!("reread {}", quality.reread);
    if let Some((system, walked)) = quality.arena_bytes {
        println!("arena_bytes_system {}", system.0);
        println!("arena_bytes_walked {}", walked.0);
    }
    if let Some((known, found)) = quality.mmapped {
        println!("mmapped_known {known}");
        println!("mmapped_found {found}");
    }
    println!("is_conclusive {}", quality.is_conclusive());
    for doubt in &quality.doubts {
        println!("doubt {doubt}");
    }
}
