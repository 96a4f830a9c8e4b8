//! Finding `main_arena` in a C library without symbols, also in static programs.
//!
//! An empty bin points at itself: at `X` stand twice the address `X - 16`. Bin 127 is never used, so there
//! is at least one. From each such place every layout and every bin number gives a base, and a base is
//! accepted when all 127 bins are empty or lists that point back, `top` is aligned, `system_mem` is at
//! most `max_system_mem`, and the ring of arenas comes back. An arena that was never used is all zeros
//! but for the ring of one, and is found by that when there is no other.
//!
//! The scan reads pages of module data that exist, swapped ones among them: that is a few dozen pages
//! of the C library, once in the life of a process.

use super::arena::{Arena, is_aligned_pointer, ring};
use super::layout::{ARENAS, ArenaLayout, BINS};
use crate::error::Error;
use crate::memory::{Mapping, Memory, PAGE, PageState, Peek, word_at};

/// Writable data of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    /// First address.
    pub(crate) start: u64,
    /// First address behind it.
    pub(crate) end: u64,
    /// True for what is named like the C library.
    is_libc: bool,
}

/// Where malloc's own data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Where `main_arena` is.
    pub(crate) main: u64,
    /// How it is laid out.
    pub(crate) layout: &'static ArenaLayout,
    /// The module's data that it lies in.
    pub(crate) area: Area,
    /// False for an arena that was never used: then there is no heap yet.
    pub(crate) is_used: bool,
}

/// Bytes that are searched at a time, and how many of them again with the next piece.
const PIECE: u64 = 1 << 20;
const OVERLAP: u64 = PAGE;

/// Of a module's data no more is searched.
const LARGEST_AREA: u64 = 64 << 20;

/// Structures that are looked at in one search: what imitates arenas must not make it endless.
const MOST_TRIES: u64 = 1 << 17;

/// Bins whose first chunk may point elsewhere, because the process is at work on them.
const BINS_IN_MOTION: u64 = 4;

/// Finds the arena that is in use, or else one that never was.
pub(crate) fn find(memory: &dyn Memory) -> Result<Option<Found>, Error> {
    let mut tries = MOST_TRIES;
    for wanted in [Wanted::Used, Wanted::Unused] {
        for area in areas(memory.mappings()) {
            if let Some(found) = find_in(memory, area, wanted, &mut tries)? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// True if what was found before is still there.
pub(crate) fn is_still_there(memory: &dyn Memory, found: &Found) -> Result<bool, Error> {
    let is_mapped = areas(memory.mappings())
        .iter()
        .any(|area| area.start == found.area.start && area.end == found.area.end);
    let mut tries = MOST_TRIES;
    Ok(found.is_used && is_mapped && check(memory, found.main, found.layout, &mut tries)?)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Used,
    Unused,
}

/// Data of all modules, the C library's first: writable pages of a file, and what follows without a gap.
fn areas(mappings: &[Mapping]) -> Vec<Area> {
    let mut areas: Vec<Area> = Vec::new();
    for (index, mapping) in mappings.iter().enumerate() {
        if !mapping.is_file() || !mapping.is_writable || mapping.is_shared {
            continue;
        }
        // Not initialised data lies behind; of a program without a gap before its heap they are one.
        let behind = mappings.get(index + 1).filter(|next| {
            next.start == mapping.end && (next.is_plain_memory() || next.is_brk_heap())
        });
        let end = behind.map_or(mapping.end, |next| next.end);
        areas.push(Area {
            start: mapping.start,
            end: end.min(mapping.start.saturating_add(LARGEST_AREA)),
            is_libc: is_libc(&mapping.name),
        });
    }
    areas.sort_by_key(|area| !area.is_libc);
    areas
}

fn is_libc(path: &[u8]) -> bool {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    name.starts_with(b"libc.so") || name.starts_with(b"libc-2.")
}

fn find_in(
    memory: &dyn Memory,
    area: Area,
    wanted: Wanted,
    tries: &mut u64,
) -> Result<Option<Found>, Error> {
    let mut bytes = Vec::new();
    let mut start = area.start;
    while start < area.end {
        let end = area.end.min(start + PIECE + OVERLAP);
        read_existing(memory, start, end, &mut bytes)?;
        let found = match wanted {
            Wanted::Used => used_in(memory, start, &bytes, tries)?,
            Wanted::Unused => unused_in(start, &bytes),
        };
        if let Some((main, layout)) = found {
            return Ok(Some(Found {
                main,
                layout,
                area,
                is_used: wanted == Wanted::Used,
            }));
        }
        start += PIECE;
    }
    Ok(None)
}

/// Reads what was ever touched between two page borders; the rest is zeros.
pub(crate) fn read_existing(
    memory: &dyn Memory,
    start: u64,
    end: u64,
    bytes: &mut Vec<u8>,
) -> Result<(), Error> {
    let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
    bytes.clear();
    bytes.resize(length, 0);
    let mut states = vec![PageState::Absent; length.div_ceil(PAGE as usize)];
    memory.pages(start / PAGE, &mut states)?;
    for (index, (page, state)) in bytes.chunks_mut(PAGE as usize).zip(states).enumerate() {
        if state != PageState::Absent {
            memory.read(start + index as u64 * PAGE, page)?;
        }
    }
    Ok(())
}

type Base = (u64, &'static ArenaLayout);

fn used_in(
    memory: &dyn Memory,
    start: u64,
    bytes: &[u8],
    tries: &mut u64,
) -> Result<Option<Base>, Error> {
    let pairs = bytes.windows(16).step_by(8).zip((start..).step_by(8));
    for (pair, at) in pairs {
        let itself = at.wrapping_sub(16);
        if word_at(pair, 0) != Some(itself) || word_at(pair, 8) != Some(itself) {
            continue;
        }
        for layout in &ARENAS {
            for bin in 0..BINS {
                let Some(base) = at.checked_sub(layout.bins + 16 * bin) else {
                    break;
                };
                // Other allocators have lists that point at themselves by the hundred, and each would be read from
                // the process once for every number that a bin can have. What could be one is read anew: its
                // lists moved on since.
                let seen = seen(start, bytes, base, layout);
                let could_be = seen.is_none_or(|seen| plausible(base, seen, layout).is_some());
                let is_one = could_be && check(memory, base, layout, tries)?;
                if is_one {
                    return Ok(Some((base, layout)));
                }
            }
        }
    }
    Ok(None)
}

/// The rules above, of one place and one layout.
fn check(
    memory: &dyn Memory,
    base: u64,
    layout: &'static ArenaLayout,
    tries: &mut u64,
) -> Result<bool, Error> {
    if *tries == 0 {
        return Ok(false);
    }
    *tries -= 1;
    let mut bytes = vec![0; usize::try_from(layout.size).unwrap_or(0)];
    if memory.read(base, &mut bytes)? < bytes.len() {
        return Ok(false);
    }
    let Some(arena) = plausible(base, &bytes, layout) else {
        return Ok(false);
    };
    let Some(lists) = bins_in_use(base, &bytes, layout) else {
        return Ok(false);
    };
    if !point_back(memory, &lists)? {
        return Ok(false);
    }
    let (arenas, is_closed) = ring(memory, arena, layout)?;
    *tries = tries.saturating_sub(arenas.len() as u64);
    Ok(is_closed)
}

/// The arena in these bytes, if its sizes can be those of one.
fn plausible(base: u64, bytes: &[u8], layout: &'static ArenaLayout) -> Option<Arena> {
    let arena = Arena::parse(base, bytes, layout)?;
    let largest = word_at(bytes, layout.system_mem as usize + 8).unwrap_or(0);
    (arena.is_plausible() && arena.system_mem <= largest).then_some(arena)
}

/// The bytes of such a structure, where all of it was read with what surrounds it.
fn seen<'b>(start: u64, bytes: &'b [u8], base: u64, layout: &ArenaLayout) -> Option<&'b [u8]> {
    let offset = usize::try_from(base.checked_sub(start)?).ok()?;
    let size = usize::try_from(layout.size).ok()?;
    bytes.get(offset..offset.checked_add(size)?)
}

/// Bins that are not empty, as (address of the bin, its first chunk); `None` where one is neither that
/// nor empty.
fn bins_in_use(base: u64, bytes: &[u8], layout: &ArenaLayout) -> Option<Vec<(u64, u64)>> {
    let mut lists = Vec::new();
    for bin in 0..BINS {
        let offset = usize::try_from(layout.bins + 16 * bin).ok()?;
        let itself = (base + layout.bins + 16 * bin).checked_sub(16)?;
        let (first, last) = (word_at(bytes, offset)?, word_at(bytes, offset + 8)?);
        if first == itself && last == itself {
            continue;
        }
        let are_chunks = is_aligned_pointer(first) && is_aligned_pointer(last);
        if first == itself || last == itself || !are_chunks {
            return None;
        }
        lists.push((itself, first));
    }
    ((lists.len() as u64) < BINS).then_some(lists)
}

/// True if the first chunks of the lists name their bins as their predecessors.
fn point_back(memory: &dyn Memory, lists: &[(u64, u64)]) -> Result<bool, Error> {
    let mut peek = Peek::new(memory, 2 * BINS);
    let (mut good, mut other) = (0, 0);
    for &(bin, first) in lists {
        // `bk` of the chunk. A chunk that is swapped out says nothing.
        match peek.word(first + 24)? {
            Some(back) if back == bin => good += 1,
            Some(_) => other += 1,
            None => {}
        }
    }
    let empty = BINS - lists.len() as u64;
    Ok(other <= BINS_IN_MOTION && other <= good + empty / 2)
}

/// An arena as it is in the library's file: zeros, a ring of one, and one thread.
fn unused_in(start: u64, bytes: &[u8]) -> Option<Base> {
    for (word, at) in bytes.chunks_exact(8).zip((start..).step_by(8)) {
        let next = word_at(word, 0)?;
        for layout in &ARENAS {
            if next.checked_add(layout.next) != Some(at) || next < start {
                continue;
            }
            let offset = usize::try_from(next - start).ok()?;
            let size = usize::try_from(layout.size).ok()?;
            if let Some(all) = bytes.get(offset..offset + size)
                && is_unused(all, layout)
            {
                return Some((next, layout));
            }
        }
    }
    None
}

fn is_unused(bytes: &[u8], layout: &ArenaLayout) -> bool {
    bytes
        .chunks_exact(8)
        .zip((0..).step_by(8))
        .all(|(word, offset)| {
            let word = word_at(word, 0).unwrap_or(0);
            if offset == layout.next {
                true
            } else if Some(offset) == layout.attached_threads {
                word == 1
            } else {
                word == 0
            }
        })
}
