//! A region built by hand, byte by byte, and what is left of it under damage.

#![expect(clippy::cast_possible_truncation, reason = "offsets of a small buffer")]

use super::*;
use std::vec;
use std::vec::Vec;

const NODES_AT: u64 = 4096;
const MODULES_AT: u64 = NODES_AT + Table::NODES.segment_bytes(0);
const PAGES_AT: u64 = MODULES_AT + Table::MODULES.segment_bytes(0);
const STACKS_AT: u64 = PAGES_AT + Table::PAGES.segment_bytes(0);
const PAGE_AT: u64 = STACKS_AT + Table::STACKS.segment_bytes(0);

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put64(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn table(bytes: &mut [u8], head: usize, length: u32, at: u64) {
    put32(bytes, head, length);
    put64(bytes, head + offset_of!(TableHead, segments), at);
}

/// Nodes 2 <- 3 <- 4 (a mapping); one module; one page with counters of stacks 3 and 4.
fn region() -> Vec<u8> {
    let mut bytes = vec![0; PAGE_AT as usize + PAGE_BYTES];
    put64(&mut bytes, 0, MAGIC);
    put32(&mut bytes, offset_of!(Header, version), VERSION);
    put32(&mut bytes, offset_of!(Header, pid), 4182);
    put32(&mut bytes, offset_of!(Header, mode), 2);
    put32(&mut bytes, offset_of!(Header, state), 1);
    put64(&mut bytes, offset_of!(Header, peak_epoch), 8);
    table(&mut bytes, offset_of!(Header, nodes), 5, NODES_AT);
    table(&mut bytes, offset_of!(Header, modules), 1, MODULES_AT);
    table(&mut bytes, offset_of!(Header, pages), 1, PAGES_AT);
    table(&mut bytes, offset_of!(Header, stacks), 2, STACKS_AT);
    put32(&mut bytes, STACKS_AT as usize, 3);
    put32(&mut bytes, STACKS_AT as usize + 4, 4);
    for (id, address, parent) in [(2, 0x5000, 0), (3, 0x6000, 2), (4, MARK_MAPPING, 3)] {
        let at = NODES_AT as usize + id * 16;
        put64(&mut bytes, at, address);
        put32(&mut bytes, at + 8, parent);
    }
    let module = MODULES_AT as usize;
    put64(&mut bytes, module, 0x4000);
    put64(&mut bytes, module + 8, 0x3000);
    put32(&mut bytes, module + offset_of!(ModuleEntry, unloaded), 1);
    put32(&mut bytes, module + offset_of!(ModuleEntry, path_bytes), 4);
    let path = module + offset_of!(ModuleEntry, path);
    bytes[path..path + 4].copy_from_slice(b"/a/b");
    put64(&mut bytes, PAGES_AT as usize, PAGE_AT);
    let page = PAGE_AT as usize;
    for (index, row) in [(0, [10, 1000, 4, 300]), (1, [1, 4096, 0, 0])] {
        for (field, value) in row.into_iter().enumerate() {
            put64(&mut bytes, page + index * 64 + field * 8, value);
        }
    }
    put64(&mut bytes, page + 32, 900);
    put64(&mut bytes, page + 40, 8);
    put64(&mut bytes, page + 64 + 32, 1);
    put64(&mut bytes, page + 64 + 40, 6);
    bytes
}

#[test]
fn what_was_written_is_read() {
    let bytes = region();
    let reader = Reader::new(bytes.as_slice()).unwrap();
    let summary = reader.summary().unwrap();
    assert_eq!((summary.pid, summary.mode), (4182, Mode::Full));
    assert_eq!((summary.nodes, summary.modules, summary.pages), (5, 1, 1));
    let frames: Vec<u64> = reader.frames(4).map(|node| node.address).collect();
    assert_eq!(
        frames,
        [0x6000, 0x5000],
        "innermost first, without the mark"
    );
    assert_eq!(reader.kind(4), Ok(Kind::Mapping));
    assert_eq!(reader.kind(3), Ok(Kind::Heap));
    let module = reader.module(0).unwrap();
    assert_eq!(module.path(), b"/a/b");
    assert!(module.contains(0x6000, 0) && !module.contains(0x6000, 1));
    let mut seen = Vec::new();
    let page = reader.page(0).unwrap();
    let each = |id, row: Counters| seen.push((id, row.live_bytes(), row.peak_bytes));
    reader.counters(&page, summary.peak_epoch, each).unwrap();
    let message = "stack 3 changed since the peak of 900, stack 4 did not";
    assert_eq!(seen, [(3, 700, 900), (4, 4096, 4096)], "{message}");
}

#[test]
fn refusals_name_what_is_wrong() {
    let mut bytes = region();
    assert_eq!(Reader::new(&bytes[..4000]).err(), Some(Error::Short));
    put32(&mut bytes, offset_of!(Header, version), 99);
    assert_eq!(Reader::new(&bytes[..]).err(), Some(Error::Version(99)));
    put64(&mut bytes, 0, 1);
    assert_eq!(Reader::new(&bytes[..]).err(), Some(Error::Magic));
}

/// Reads everything that a collector would.
fn read_all(bytes: &[u8]) {
    let Ok(reader) = Reader::new(bytes) else {
        return;
    };
    let Ok(summary) = reader.summary() else {
        return;
    };
    for id in 0..summary.nodes.min(20) {
        assert!(
            reader.frames(id).count() <= id as usize,
            "parents are older"
        );
        let _ = reader.kind(id);
    }
    for index in 0..summary.modules.min(20) {
        let _ = reader.module(index).map(|module| module.path().len());
    }
    for index in 0..summary.pages.min(20) {
        if let Ok(page) = reader.page(index) {
            let _ = reader.counters(&page, summary.peak_epoch, |_, row| {
                assert_ne!(row, Counters::default());
            });
        }
        let _ = reader.thread(index);
    }
}

#[test]
fn hostile_bytes_are_errors_and_loops_end() {
    let whole = region();
    for length in (0..whole.len()).step_by(977) {
        read_all(&whole[..length]);
    }
    let mut random = 1_u64;
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..6 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Half of the damage goes where lengths and offsets are.
            let span = if random & 1 == 0 { 1100 } else { bytes.len() };
            let at = (random >> 8) as usize % (span - 8) / 4 * 4;
            let value = [0, u64::MAX, 1 << 63, random, 4][(random >> 3) as usize % 5];
            if at >= 16 {
                put64(&mut bytes, at, value);
            }
        }
        read_all(&bytes);
    }
    let mut looped = whole;
    put32(&mut looped, NODES_AT as usize + 2 * 16 + 8, 4);
    read_all(&looped);
}
