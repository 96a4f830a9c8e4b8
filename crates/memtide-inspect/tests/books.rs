//! The heap of an idle program equals the program's own books to the byte: one arena and many, caches on and
//! off, mapped chunks, gaps in the heap, and the ways in which programs are built.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_inspect::{ErrorKind, Inspector, Options};
use memtide_model::{Bytes, HeapSnapshot, Pid};
use std::process::Command;
use support::{Target, assert_equal, build, program, skip};

/// Bytes before the first chunk of an arena that is not the main one: the heap's head (48 bytes), the arena's
/// structure (2,200), and what aligns the block.
const ARENA_HEAD: u64 = 2256;

/// The program with these arguments and tunables, looked at and compared.
fn check(arguments: &str, tunables: &str) -> HeapSnapshot {
    let mut command = Command::new(program("books"));
    command.env("GLIBC_TUNABLES", tunables);
    let target = Target::start(&mut command, arguments);
    let snapshot = target.snapshot();
    assert_equal(&format!("{arguments} {tunables}"), &snapshot, &target.books);
    snapshot
}

#[test]
fn one_arena() {
    for mode in ["mix", "frag", "small", "shrink"] {
        let snapshot = check(&format!("{mode} 16 0"), "");
        assert_eq!(
            snapshot.totals.overhead_bytes,
            Bytes(0),
            "{mode}: nothing is overhead"
        );
        assert_eq!(snapshot.arenas.len(), 1, "{mode}");
        assert!(!snapshot.is_untested, "{mode}: {}", snapshot.layout);
    }
}

#[test]
fn many_arenas() {
    for (arguments, arenas) in [("mix 24 4", 5), ("frag 24 8", 9), ("joined 16 4", 5)] {
        let snapshot = check(arguments, "");
        // Threads that come when others have ended take over their arenas; these all lived at once.
        assert_eq!(snapshot.arenas.len(), arenas, "{arguments}");
        assert_eq!(
            snapshot.totals.overhead_bytes,
            Bytes(ARENA_HEAD * (arenas as u64 - 1)),
            "{arguments}: each arena's head is overhead"
        );
    }
}

/// An arena that has outgrown its first 64 MiB goes on in a second heap.
#[test]
fn an_arena_of_several_heaps() {
    let snapshot = check("frag 150 1", "");
    assert_eq!(snapshot.arenas.len(), 2);
    assert!(snapshot.arenas[1].system_bytes > Bytes(128 << 20));
}

#[test]
fn one_arena_for_many_threads() {
    let snapshot = check("mix 16 4", "glibc.malloc.arena_max=1");
    assert_eq!(snapshot.arenas.len(), 1);
}

#[test]
fn caches_of_threads() {
    for tunables in [
        "glibc.malloc.tcache_count=0",
        "glibc.malloc.tcache_count=2000",
        "glibc.malloc.tcache_max=65536:glibc.malloc.tcache_count=500",
        "glibc.malloc.tcache_max=48",
    ] {
        check("mix 16 0", tunables);
        check("frag 16 3", tunables);
    }
}

/// Without caches of threads, what is cached is in fastbins, of which malloc itself tells the sum.
#[test]
fn fastbins() {
    for arguments in ["fast 8 0", "fast 8 3"] {
        let mut command = Command::new(program("books"));
        command.env("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0");
        let target = Target::start(&mut command, arguments);
        let snapshot = target.snapshot();
        assert_equal(arguments, &snapshot, &target.books);
        assert!(target.books.get("fsmblks") > 0, "{:?}", target.books);
        assert_eq!(
            snapshot.totals.cached_bytes.0,
            target.books.get("fsmblks"),
            "{arguments}"
        );
        assert_eq!(
            snapshot.totals.cached_blocks,
            target.books.get("smblks"),
            "{arguments}"
        );
    }
    check("fast 8 3", "");
    check("mix 8 0", "glibc.malloc.mxfast=0");
}

#[test]
fn fill_patterns() {
    check("frag 16 2", "glibc.malloc.perturb=165");
}

#[test]
fn chunks_with_a_mapping_of_their_own() {
    let snapshot = check("big 96 2", "glibc.malloc.mmap_threshold=131072");
    assert!(snapshot.totals.mmapped_blocks > 20, "{:?}", snapshot.totals);
    check("aligned 32 0", "");
    check("aligned 32 2", "glibc.malloc.mmap_threshold=131072");
}

#[test]
fn memory_that_others_took_by_sbrk() {
    let snapshot = check("sbrk 0 0", "");
    // 12,345 * 16 and 4,096 bytes are theirs; two fenceposts of 16 bytes stand before each.
    assert_eq!(
        snapshot.totals.overhead_bytes,
        Bytes(12_345 * 16 + 4096 + 64)
    );
}

#[test]
fn a_heap_that_could_not_grow_where_it_was() {
    let snapshot = check("brk 0 0", "");
    assert_eq!(snapshot.arenas.len(), 1);
}

#[test]
fn a_heap_without_brk() {
    check("nobrk 16 0", "");
    check("nobrk 16 2", "");
}

/// A mark of a cache that is no more says nothing.
#[test]
fn blocks_of_a_thread_that_has_ended() {
    check("reborn 0 0", "");
}

#[test]
fn huge_pages() {
    check("frag 32 0", "glibc.malloc.hugetlb=1");
    check("mix 32 2", "glibc.malloc.hugetlb=1");
}

#[test]
fn after_a_trim() {
    let mut target = Target::books("frag 16 2");
    let books = target.ask(b't');
    assert_equal("after a trim", &target.snapshot(), &books);
}

/// One inspector looks again at a heap that has grown since.
#[test]
fn a_second_look() {
    let mut target = Target::books("mix 8 2");
    let mut inspector = Inspector::open(target.pid()).unwrap();
    let first = inspector.snapshot(&Options::default()).unwrap();
    assert_equal("the first look", &first, &target.books);
    let books = target.ask(b'g');
    let second = inspector.snapshot(&Options::default()).unwrap();
    assert_equal("the second look", &second, &books);
    assert_eq!(second.totals.live_blocks - first.totals.live_blocks, 50_000);
    assert!(second.at > first.at);
}

/// Nothing in the layout of the program itself matters, nor that its names were taken away.
#[test]
fn programs_built_in_other_ways() {
    for options in [
        &["-pthread", "-no-pie"][..],
        &["-pthread", "-s"],
        &["-pthread", "-static", "-Wl,--allow-multiple-definition"],
        &[
            "-pthread",
            "-static-pie",
            "-s",
            "-Wl,--allow-multiple-definition",
        ],
    ] {
        let program = match build("books", options) {
            Ok(program) => program,
            Err(reason) => {
                skip(&format!("{options:?}: {reason}"));
                continue;
            }
        };
        let target = Target::start(&mut Command::new(program), "mix 16 2");
        assert_equal(&format!("{options:?}"), &target.snapshot(), &target.books);
    }
}

/// Where everything lies does not matter either: `brk` then begins right behind the program's data.
#[test]
fn a_program_at_fixed_addresses() {
    let mut command = Command::new("setarch");
    command.args(["-R"]).arg(program("books"));
    if Command::new("setarch")
        .args(["-R", "true"])
        .output()
        .is_err()
    {
        return skip("setarch is not installed");
    }
    let target = Target::start(&mut command, "mix 16 2");
    assert_equal("without randomisation", &target.snapshot(), &target.books);
}

/// After a fork the kernel may show one heap as two mappings.
#[test]
fn a_fork_child() {
    let mut target = Target::books("mix 16 0");
    let child = target.ask(b'f').get("child");
    let child = Pid(u32::try_from(child).unwrap());
    assert_equal("the child", &support::snapshot(child), &target.books);
    assert_equal("its parent", &target.snapshot(), &target.books);
}

#[test]
fn heaps_of_nothing() {
    check("empty 0 0", "");
    // Never used at all: malloc has not even set up its arena.
    let target = Target::books("untouched 0 0");
    let look = Inspector::open(target.pid()).and_then(|mut i| i.snapshot(&Options::default()));
    match look {
        Ok(snapshot) => {
            assert_eq!(snapshot.totals.live_blocks, 0);
            assert_eq!(snapshot.totals.heap_resident, Bytes(0));
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::NoHeap, "{error}"),
    }
}

/// What of the heap is resident, by the kernel's own count of the heap's mapping.
#[test]
fn resident_bytes_are_the_kernels() {
    for mode in ["mix", "frag", "shrink"] {
        let mut target = Target::books(&format!("{mode} 24 0"));
        assert_resident(mode, &target);
        target.ask(b't');
        assert_resident(&format!("{mode}, trimmed"), &target);
    }
}

fn assert_resident(name: &str, target: &Target) {
    let snapshot = target.snapshot();
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", target.pid().0)).unwrap();
    let heap = smaps.split_once("[heap]").expect("it has a heap").1;
    let line = heap.lines().find(|line| line.starts_with("Rss:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    let totals = &snapshot.totals;
    assert_eq!(totals.heap_resident, Bytes(kib * 1024), "{name}: resident");
    let parts = [
        totals.live_resident,
        totals.cached_resident,
        totals.free_resident,
        totals.top_resident,
    ];
    let sum = parts.iter().fold(Bytes(0), |sum, part| sum + *part);
    assert!(
        sum <= totals.heap_resident,
        "{name}: parts {parts:?} of {:?}",
        totals.heap_resident
    );
    // Nothing else is there but headers and the rest of the last page.
    assert!(
        totals.heap_resident.0 - sum.0 <= 4096,
        "{name}: parts {parts:?} of {:?}",
        totals.heap_resident
    );
}
