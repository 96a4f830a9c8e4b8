//! After warm-up a tick allocates nothing, whatever the number of mappings and threads. A test
//! binary of its own, because its allocator counts.
#![expect(
    unsafe_code,
    reason = "an allocator that counts is an unsafe trait's implementation"
)]

mod common;

use common::Target;
use memtide_proc::parse::{maps, smaps, stat, statm, status};
use memtide_proc::{Buffer, Listing, SmapsOutcome, SmapsReader, ThreadEvent, ThreadFiles};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Allocations of this thread: the test harness's other threads do not count.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that is ending has no counter any more.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is passed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates when it is done for the second time.
fn allocations(mut work: impl FnMut()) -> u64 {
    work();
    let before = COUNT.get();
    work();
    COUNT.get() - before
}

#[test]
fn the_counter_counts() {
    let count = allocations(|| drop(std::hint::black_box(Box::new(7))));
    assert_eq!(count, 1);
}

#[test]
fn a_tick_allocates_nothing() {
    memtide_proc::rlimit::raise_descriptor_limit().unwrap();
    let program = common::compile("benches/vmatarget.c");
    let arguments = ["3100", "200", "1"].map(std::ffi::OsStr::new);
    let target = Target::start_program(&program, &arguments).unwrap();
    let process = target.directory();
    let (mut listing, mut buffer) = (Listing::new(), Buffer::new());

    let kept = ["stat", "statm", "status", "maps"].map(|file| process.keep(file).unwrap());
    let [stat, statm, status, maps] = &kept;
    let mut reader = SmapsReader::open(&process).unwrap();
    let mut threads = ThreadFiles::open(&process, &mut listing).unwrap();
    let descriptors = process.descriptors().unwrap();

    let basics = allocations(|| {
        stat::parse(stat.read(&mut buffer).unwrap()).unwrap();
        statm::parse(statm.read(&mut buffer).unwrap()).unwrap();
        let status = status::parse(status.read(&mut buffer).unwrap()).unwrap();
        assert_eq!(status.threads, Some(200));
    });
    assert_eq!(basics, 0, "stat, statm, status");

    let mappings = allocations(|| {
        let mut rss = memtide_model::Bytes::ZERO;
        let add = |entry: &smaps::SmapsEntry<'_>| rss += entry.sizes.rss.unwrap_or_default();
        let outcome = reader.for_each(&mut buffer, add).unwrap();
        assert!(matches!(outcome, SmapsOutcome::Read(summary) if summary.mappings > 3000));
        assert!(rss.0 > 3000 * 4096);
    });
    assert_eq!(mappings, 0, "smaps");
    assert!(reader.read_by_line() <= 1, "the layout was learnt");

    let plain = allocations(|| {
        let count = maps::parse(maps.read(&mut buffer).unwrap(), |_| ()).unwrap();
        assert!(count > 3000);
    });
    assert_eq!(plain, 0, "maps");

    let swept = allocations(|| {
        let refresh = threads.refresh(&mut listing).unwrap();
        assert_eq!((refresh.listed, refresh.added), (200, 0));
        let mut faults = 0;
        let sweep = threads.sweep(&mut buffer, |_, event| match event {
            ThreadEvent::Read(stat) => faults += stat.min_flt,
            ThreadEvent::Ended => panic!("none has ended"),
        });
        assert_eq!((sweep.unwrap().read, faults > 0), (200, true));
    });
    assert_eq!(swept, 0, "threads");

    let counted = allocations(|| {
        let counts = descriptors.by_kind(&mut listing, &mut buffer).unwrap();
        assert!(counts.total >= 3);
        process.read("oom_score", &mut buffer).unwrap();
    });
    assert_eq!(counted, 0, "descriptors, files that are read once");
}
