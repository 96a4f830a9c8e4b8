//! The walk over address spaces that were made up: exact books, races and damage, and hostile bytes.

use super::books::Tally;
use super::layout::{ARENAS, ArenaLayout, BINS, Marking, PARAMETERS};
use super::metadata::Knowledge;
use super::survey::survey;
use crate::memory::PAGE;
use crate::memory::synthetic::Synthetic;
use memtide_model::{Bytes, HeapSnapshot};
use proptest::prelude::*;

const DATA: u64 = 0x7f00_0000_0000;
const MAIN: u64 = DATA + 0x100;
const MP: u64 = DATA + 0x1800;
const HEAP: u64 = 0x5555_0000_0000;
const KEY: u64 = 0x9e37_79b9_7f4a_7c15;

/// A chunk of a made-up heap.
#[derive(Clone, Copy, Debug)]
enum Made {
    Live(u64),
    Free(u64),
    Cached(u64),
}

impl Made {
    const fn size(self) -> u64 {
        match self {
            Self::Live(size) | Self::Free(size) | Self::Cached(size) => size,
        }
    }
}

/// An arena with empty bins at `base`.
fn write_arena(memory: &mut Synthetic, layout: &ArenaLayout, base: u64, top: u64, system: u64) {
    for bin in 0..BINS {
        let at = base + layout.bins + 16 * bin;
        memory.set(at, at - 16);
        memory.set(at + 8, at - 16);
    }
    memory.set(base + layout.top, top);
    memory.set(base + layout.next, base);
    if let Some(threads) = layout.attached_threads {
        memory.set(base + threads, 1);
    }
    memory.set(base + layout.system_mem, system);
    memory.set(base + layout.system_mem + 8, system);
}

/// A process with one arena whose heap holds these chunks, and the rest as `top`.
fn process(chunks: &[Made], pages: u64) -> Synthetic {
    let (layout, settings) = (&ARENAS[0], &PARAMETERS[0]);
    let mut memory = Synthetic::default();
    memory.map(HEAP, vec![0; (pages * PAGE) as usize], "[heap]");
    memory.map(DATA, vec![0; 2 * PAGE as usize], "/usr/lib/libc.so.6");
    let used: u64 = chunks.iter().map(|chunk| chunk.size()).sum();
    let end = HEAP + pages * PAGE;
    write_arena(&mut memory, layout, MAIN, HEAP + used, pages * PAGE);
    memory.set(MP + 16, 128 << 10);
    memory.set(MP + 24, 8);
    memory.set(MP + settings.n_mmaps, 65_536 << 32);
    memory.set(MP + settings.sbrk_base, HEAP);
    memory.set(MP + 104, 64);
    memory.set(MP + 112, 1032);
    memory.set(MP + 120, 7);
    memory.set(MP + 128, KEY);
    let mut at = HEAP;
    let mut flag = 1;
    for chunk in chunks {
        let size = chunk.size();
        memory.set(at + 8, size | flag);
        flag = 1;
        match chunk {
            Made::Live(_) => memory.set(at + 16, 0x4141_4141),
            Made::Cached(_) => memory.set(at + 24, KEY),
            Made::Free(_) => {
                memory.set(at + size, size);
                flag = 0;
            }
        }
        at += size;
    }
    memory.set(at + 8, (end - at) | flag);
    memory
}

/// Writes a thread's structure into the first chunk, with a list that shows the key.
fn write_tcache(memory: &mut Synthetic, cached: u64, size: u64) {
    let bin = (size - 32) / 16;
    memory.set(HEAP + 16 + 128 + 8 * bin, cached + 16);
}

fn look(memory: &Synthetic) -> Option<HeapSnapshot> {
    let mut knowledge = Knowledge::gather(memory).unwrap()?;
    if !knowledge.found.is_used {
        return Some(HeapSnapshot::default());
    }
    let metadata = knowledge.metadata(memory).unwrap()?;
    let mut snapshot = HeapSnapshot::default();
    let survey = survey(memory, &mut knowledge, metadata, false).unwrap();
    let census = survey.write(&knowledge, &mut snapshot);
    assert!(census.is_none(), "nobody asked for classes");
    Some(snapshot)
}

#[test]
fn every_chunk_is_in_the_books_once() {
    let chunks = [
        Made::Live(0x290),
        Made::Live(32),
        Made::Free(4096 * 3),
        Made::Live(64),
        Made::Cached(48),
        Made::Live(8192),
        Made::Free(1040),
        Made::Live(176),
    ];
    let mut memory = process(&chunks, 16);
    let cached = HEAP + 0x290 + 32 + 4096 * 3 + 64;
    write_tcache(&mut memory, cached, 48);
    let snapshot = look(&memory).unwrap();
    let totals = snapshot.totals;
    assert_eq!(totals.live_blocks, 5);
    assert_eq!(totals.live_bytes, Bytes(0x290 + 32 + 64 + 8192 + 176));
    assert_eq!((totals.cached_blocks, totals.cached_bytes), (1, Bytes(48)));
    let free = 4096 * 3 + 1040;
    assert_eq!((totals.free_blocks, totals.free_bytes), (2, Bytes(free)));
    let used: u64 = chunks.iter().map(|chunk| chunk.size()).sum();
    assert_eq!(totals.top_bytes, Bytes(16 * PAGE - used));
    assert_eq!(totals.heap_resident, Bytes(16 * PAGE));
    // Two whole pages of the large chunk (it begins in the middle of one), and whole pages of top
    // less what malloc_trim leaves.
    let top = (16 * PAGE - used - 33) / PAGE * PAGE;
    assert_eq!(totals.trimmable, Bytes(2 * PAGE + top));
    assert_eq!(totals.stuck, Bytes(free - 2 * PAGE));
    assert_eq!(snapshot.layout, "glibc 2.35 to 2.41");
    assert!(snapshot.quality.is_conclusive(), "{:?}", snapshot.quality);
    assert_eq!(snapshot.quality.parsed, Bytes(16 * PAGE));
    let sizes: Vec<_> = snapshot.sizes.iter().map(|size| size.size).collect();
    assert_eq!(sizes, [32, 48, 64, 176, 656, 1024, 8192, 12288]);
}

#[test]
fn pages_that_are_not_present_are_not_read() {
    let chunks = [Made::Live(64), Made::Live(40 * PAGE), Made::Live(64)];
    let mut memory = process(&chunks, 64);
    for page in 1..40 {
        memory.drop_page(HEAP + page * PAGE);
    }
    let snapshot = look(&memory).unwrap();
    assert_eq!(snapshot.totals.live_blocks, 3);
    assert_eq!(snapshot.totals.heap_resident, Bytes(25 * PAGE));
    assert_eq!(snapshot.totals.live_resident, Bytes(128 + PAGE));
    let touched = memory.touched.borrow();
    let read = (1..40).filter(|page| touched.contains(&(HEAP / PAGE + page)));
    assert_eq!(read.count(), 0);
}

#[test]
fn smashed_headers_cost_a_few_chunks_and_are_counted() {
    let chunks = vec![Made::Live(96); 10_000];
    let mut memory = process(&chunks, 256);
    for smashed in [100, 2000, 2001, 5000, 9990] {
        memory.set(HEAP + smashed * 96 + 8, 0xdead_beef_dead_beef);
    }
    let snapshot = look(&memory).unwrap();
    let lost = 10_000 - snapshot.totals.live_blocks;
    assert!((5..=15).contains(&lost), "{lost} chunks were lost");
    assert!((4..=6).contains(&snapshot.quality.bad_headers));
    assert_eq!(snapshot.quality.skipped, Bytes(lost * 96));
    assert!(snapshot.quality.is_conclusive());
}

#[test]
fn what_a_free_chunk_has_swallowed_meanwhile_is_free() {
    // The walk reads a free chunk's old size, and goes on where it ended. By then the process has freed the
    // nine chunks behind it, too: they are one chunk, and where the old one ended stands anything.
    let mut chunks = vec![Made::Live(96); 50];
    chunks.push(Made::Free(960));
    chunks.extend([Made::Live(96); 109]);
    let mut memory = process(&chunks, 16);
    let start = HEAP + 50 * 96;
    let end = start + 960 + 9 * 96;
    memory.set(start + 960 + 8, 0xdeac);
    memory.set(end, end - start);
    memory.set(end + 8, 96);
    memory.set_after_a_read(start + 8, (end - start) | 1);
    let snapshot = look(&memory).unwrap();
    let (totals, quality) = (snapshot.totals, snapshot.quality);
    assert_eq!((totals.live_blocks, totals.free_blocks), (150, 1));
    assert_eq!(totals.free_bytes, Bytes(end - start));
    assert_eq!(
        (quality.bad_headers, quality.skipped, quality.reread),
        (0, Bytes(0), 1)
    );
}

#[test]
fn chunks_that_make_sense_at_a_second_look_are_not_bad() {
    let chunks = vec![Made::Live(96); 300];
    let mut memory = process(&chunks, 16);
    let at = HEAP + 96 * 100 + 8;
    memory.set(at, 0xdead);
    memory.set_after_a_read(at, 0x61);
    let snapshot = look(&memory).unwrap();
    assert_eq!(snapshot.totals.live_blocks, 300);
    let quality = snapshot.quality;
    assert_eq!((quality.bad_headers, quality.reread), (0, 1));
}

#[test]
fn a_top_that_sank_below_the_walk_is_free() {
    // While the walk is at its 200th chunk the process frees all from the 150th on, and the rest is top.
    let chunks = vec![Made::Live(96); 400];
    let mut memory = process(&chunks, 16);
    let at = HEAP + 96 * 200;
    memory.set(at + 8, 0xdead);
    memory.set(MAIN + ARENAS[0].top, HEAP + 96 * 400);
    let mut knowledge = Knowledge::gather(&memory).unwrap().unwrap();
    let metadata = knowledge.metadata(&memory).unwrap().unwrap();
    memory.set(MAIN + ARENAS[0].top, HEAP + 96 * 150);
    let mut snapshot = HeapSnapshot::default();
    let survey = survey(&memory, &mut knowledge, metadata, false).unwrap();
    survey.write(&knowledge, &mut snapshot);
    assert_eq!(snapshot.totals.live_blocks, 200);
    assert_eq!(snapshot.totals.top_bytes, Bytes(16 * PAGE - 200 * 96));
    assert_eq!(snapshot.quality.skipped, Bytes(0));
}

#[test]
fn a_heap_that_is_mostly_rubbish_is_inconclusive() {
    let chunks = vec![Made::Live(96); 1000];
    let mut memory = process(&chunks, 32);
    for chunk in 0..500 {
        memory.set(HEAP + chunk * 96 + 8, 0xffff_ffff_ffff_fff8);
    }
    let quality = look(&memory).unwrap().quality;
    assert!(!quality.is_conclusive(), "{quality:?}");
    assert!(
        quality.doubts[0].contains("were not understood"),
        "{quality:?}"
    );
}

#[test]
fn an_arena_that_was_never_used_is_a_heap_of_nothing() {
    for layout in &ARENAS {
        let mut memory = Synthetic::default();
        memory.map(DATA, vec![0; 2 * PAGE as usize], "/usr/lib/libc.so.6");
        memory.set(MAIN + layout.next, MAIN);
        if let Some(threads) = layout.attached_threads {
            memory.set(MAIN + threads, 1);
        }
        let knowledge = Knowledge::gather(&memory).unwrap().unwrap();
        assert!(!knowledge.found.is_used);
        assert_eq!(knowledge.found.main, MAIN);
    }
}

#[test]
fn every_layout_is_found_by_its_content() {
    for layout in &ARENAS {
        let mut memory = Synthetic::default();
        memory.map(HEAP, vec![0; 4 * PAGE as usize], "[heap]");
        memory.map(DATA, vec![0; 2 * PAGE as usize], "/usr/lib/libc.so.6");
        memory.set(HEAP + 8, (4 * PAGE) | 1);
        write_arena(&mut memory, layout, MAIN, HEAP, 4 * PAGE);
        let knowledge = Knowledge::gather(&memory).unwrap().unwrap();
        assert_eq!(knowledge.found.main, MAIN);
        assert_eq!(knowledge.found.layout, layout);
    }
}

#[test]
fn lists_and_rings_that_never_end_are_left() {
    let mut memory = process(&vec![Made::Live(64); 100], 4);
    let layout = &ARENAS[0];
    // A fastbin whose chunk leads to itself, and a ring of arenas that never comes back.
    let chunk = HEAP + 64 * 10;
    memory.set(MAIN + layout.fastbins.unwrap() + 16, chunk);
    memory.set(chunk + 16, chunk);
    let snapshot = look(&memory).unwrap();
    assert_eq!(snapshot.totals.cached_blocks, 1);
    assert_eq!(snapshot.totals.live_blocks, 99);
    memory.set(MAIN + layout.next, HEAP);
    assert!(
        look(&memory).is_none(),
        "an arena whose ring is broken is none"
    );
}

/// Words that a heap may hold, hostile ones among them.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        Just(0),
        Just(KEY),
        (0..4096_u64).prop_map(|n| n * 16 + 1),
        (0..4096_u64).prop_map(|n| n * 16 + 2),
        (0..0x4000_u64).prop_map(|n| HEAP + n * 8),
        (0..0x400_u64).prop_map(|n| DATA + n * 8),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_the_memory_holds_the_walk_ends_and_adds_up(
        sizes in prop::collection::vec((2_u64..40, 0..3), 1..200),
        damage in prop::collection::vec((0_u64..0x3000, word()), 0..60),
        data in prop::collection::vec((0_u64..0x400, word()), 0..4),
        missing in prop::collection::vec(0_u64..24, 0..8),
    ) {
        let chunks: Vec<_> = sizes.iter().scan(false, |was_free, &(size, kind)| {
            let size = size * 16;
            let made = match kind {
                1 if !*was_free => Made::Free(size),
                2 => Made::Cached(size),
                _ => Made::Live(size),
            };
            *was_free = matches!(made, Made::Free(_));
            Some(made)
        }).collect();
        let mut memory = process(&chunks, 32);
        for (offset, word) in damage {
            memory.set(HEAP + offset * 8, word);
        }
        for (offset, word) in data {
            memory.set(DATA + offset * 8, word);
        }
        for page in missing {
            memory.drop_page(HEAP + page * PAGE);
        }
        if let Some(snapshot) = look(&memory) {
            let totals = snapshot.totals;
            let parts = totals.live_resident + totals.cached_resident + totals.free_resident
                + totals.top_resident;
            prop_assert!(parts <= totals.heap_resident, "{totals:?}");
            prop_assert!(totals.trimmable + totals.stuck <= totals.heap_resident, "{totals:?}");
            prop_assert!(totals.heap_resident <= Bytes(64 * PAGE), "{totals:?}");
        }
    }

    #[test]
    fn undamaged_heaps_add_up_to_the_byte(
        sizes in prop::collection::vec((2_u64..400, 0..3), 1..200),
    ) {
        let mut truth = Tally::default();
        let mut was_free = false;
        let mut chunks = vec![Made::Live(0x290), Made::Cached(32)];
        (truth.live_blocks, truth.live_bytes) = (1, 0x290);
        (truth.cached_blocks, truth.cached_bytes) = (1, 32);
        for (size, kind) in sizes {
            let size = size * 16;
            let made = match kind {
                1 if !was_free => Made::Free(size),
                2 if size <= 1040 => Made::Cached(size),
                _ => Made::Live(size),
            };
            was_free = matches!(made, Made::Free(_));
            match made {
                Made::Live(_) => { truth.live_blocks += 1; truth.live_bytes += size; }
                Made::Free(_) => { truth.free_blocks += 1; truth.free_bytes += size; }
                Made::Cached(_) => { truth.cached_blocks += 1; truth.cached_bytes += size; }
            }
            chunks.push(made);
        }
        let mut memory = process(&chunks, 512);
        write_tcache(&mut memory, HEAP + 0x290, 32);
        let snapshot = look(&memory).unwrap();
        let totals = snapshot.totals;
        prop_assert_eq!(
            (totals.live_blocks, totals.live_bytes.0, totals.free_blocks, totals.free_bytes.0,
             totals.cached_blocks, totals.cached_bytes.0),
            (truth.live_blocks, truth.live_bytes, truth.free_blocks, truth.free_bytes,
             truth.cached_blocks, truth.cached_bytes)
        );
        prop_assert_eq!(snapshot.quality.skipped.0, 0);
        prop_assert!(snapshot.quality.is_conclusive(), "{:?}", snapshot.quality);
    }
}

#[test]
fn names_say_what_was_tested() {
    use super::layout::name;
    let arena = &ARENAS[0];
    for (settings, structure, marking, expected) in [
        (
            0,
            Some(0x290),
            Marking::Random,
            ("glibc 2.35 to 2.41", true),
        ),
        (0, None, Marking::Unknown, ("glibc 2.35 to 2.41", true)),
        (1, Some(0x290), Marking::Owner, ("glibc 2.30 to 2.33", true)),
        (1, Some(0x290), Marking::Random, ("glibc 2.34", false)),
        (1, Some(0x250), Marking::None, ("glibc 2.27 to 2.28", false)),
        (1, Some(0x250), Marking::Owner, ("glibc 2.29", false)),
        (0, Some(0x300), Marking::Random, ("glibc 2.42", false)),
    ] {
        let parameters = PARAMETERS.get(settings);
        assert_eq!(name(arena, parameters, structure, marking), expected);
    }
}
