//! Snapshots of heaps that never were, in which no two numbers are the same by design.

use super::{BOOT, Random};
use memtide_model::{
    ArenaTotals, Bytes, HeapClass, HeapQuality, HeapSnapshot, HeapTotals, Nanos, SizeClass,
};

/// A snapshot of that second, with so many arenas, sizes and classes.
pub(crate) fn snapshot(
    random: &mut Random,
    second: u64,
    (arenas, sizes, classes): (usize, usize, usize),
) -> HeapSnapshot {
    let mut number = || random.next() >> 20;
    let mut bytes = || Bytes(number());
    let totals = HeapTotals {
        live_blocks: bytes().0,
        live_bytes: bytes(),
        live_resident: bytes(),
        mmapped_blocks: bytes().0,
        mmapped_bytes: bytes(),
        mmapped_resident: bytes(),
        cached_blocks: bytes().0,
        cached_bytes: bytes(),
        cached_resident: bytes(),
        free_blocks: bytes().0,
        free_bytes: bytes(),
        free_resident: bytes(),
        top_bytes: bytes(),
        top_resident: bytes(),
        trimmable: bytes(),
        stuck: bytes(),
        overhead_bytes: bytes(),
        heap_resident: bytes(),
        swapped: bytes(),
    };
    let quality = HeapQuality {
        parsed: bytes(),
        skipped: bytes(),
        bad_headers: bytes().0,
        reread: bytes().0,
        arena_bytes: Some((bytes(), bytes())),
        mmapped: Some((bytes().0, bytes().0)),
        doubts: Vec::new(),
    };
    let mut arena = |n: usize| ArenaTotals {
        address: 0x7f00_0000_0030 + ((n as u64) << 26),
        is_main: n == 0,
        threads: bytes().0,
        system_bytes: bytes(),
        live_blocks: bytes().0,
        live_bytes: bytes(),
        cached_bytes: bytes(),
        free_bytes: bytes(),
        resident: bytes(),
    };
    let arenas = (0..arenas).map(&mut arena).collect();
    let size = |n: usize| SizeClass {
        size: 32 + 16 * n as u64,
        live_blocks: bytes().0,
        live_bytes: bytes(),
        free_blocks: bytes().0,
        free_bytes: bytes(),
    };
    let sizes = (0..sizes).map(size).collect();
    let mut classes: Vec<HeapClass> = (0..classes)
        .map(|n| HeapClass {
            name: format!("shop::Thing<std::string, {n}>"),
            runtime: "c++".into(),
            count: number(),
            bytes: Bytes(number()),
        })
        .collect();
    classes.sort_by_key(|class| std::cmp::Reverse(class.bytes));
    HeapSnapshot {
        at: BOOT + Nanos::from_secs(second),
        took: Nanos(number()),
        cpu: Nanos(number()),
        held: None,
        rss: Bytes(number()),
        layout: "glibc 2.36 to 2.41".into(),
        is_untested: false,
        totals,
        quality,
        arenas,
        sizes,
        classes,
        ended_threads: None,
    }
}

/// The same without its lists.
pub(crate) fn bare(snapshot: &HeapSnapshot) -> HeapSnapshot {
    HeapSnapshot {
        arenas: Vec::new(),
        sizes: Vec::new(),
        classes: Vec::new(),
        ..snapshot.clone()
    }
}
