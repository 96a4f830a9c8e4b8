//! The regions that chunks lie in, of each arena.
//!
//! The main arena grows by `brk`: from `sbrk_base` to the end of the last `[heap]` mapping, for the kernel
//! may show one heap as several. The others have heaps of their own, each at a multiple of its largest
//! size, chained from the one that `top` lies in; a heap begins with a `heap_info` (arena, previous
//! heap, size), and an arena's first heap with the arena behind that. Where `brk` is blocked the main
//! arena lives in plain mappings, which `anonymous` finds.

use super::arena::Arena;
use super::layout::ArenaLayout;
use super::parameters::Parameters;
use crate::error::Error;
use crate::memory::{Mapping, Memory, PAGE, word_at};
use std::collections::BTreeSet;

/// Where a region is from; it decides what may stand at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The heap that `brk` moves. Others may take from it in between.
    Brk,
    /// A heap of an arena that is not the main one.
    Heap,
    /// A mapping that the main arena had to make do with.
    Mapping,
}

/// Memory of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    /// First byte that belongs to the arena.
    pub(crate) from: u64,
    /// First chunk.
    pub(crate) start: u64,
    /// First byte behind it.
    pub(crate) end: u64,
    /// Index of its arena.
    pub(crate) arena: usize,
    /// Where it is from.
    pub(crate) origin: Origin,
}

impl Region {
    /// True for an address inside it.
    pub(crate) const fn contains(&self, address: u64) -> bool {
        self.from <= address && address < self.end
    }
}

/// What was found of the heaps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heaps {
    /// By arena, the main arena's first.
    pub(crate) regions: Vec<Region>,
    /// Why not all were found: sentences.
    pub(crate) doubts: Vec<String>,
}

/// Sizes that a heap may have at most, the usual one first; the others come with huge pages.
const LARGEST_HEAPS: [u64; 3] = [64 << 20, 8 << 20, 4 << 30];

/// Heaps in all: 64 MiB each make 4 TiB.
const MOST_HEAPS: usize = 65_536;

/// Finds all regions but those that the main arena has in plain mappings.
pub(crate) fn find(
    memory: &dyn Memory,
    arenas: &[Arena],
    layout: &ArenaLayout,
    parameters: Option<&Parameters>,
) -> Result<Heaps, Error> {
    let mut heaps = Heaps::default();
    if let Some(main) = arenas.first()
        && main.system_mem > 0
    {
        heaps
            .regions
            .extend(brk_region(memory.mappings(), parameters));
    }
    for (index, arena) in arenas.iter().enumerate().skip(1) {
        if !chain(memory, arena, index, layout, &mut heaps.regions)? {
            let doubt = format!(
                "the heaps of the arena at {:#x} are not whole",
                arena.address
            );
            heaps.doubts.push(doubt);
        }
    }
    Ok(heaps)
}

fn brk_region(mappings: &[Mapping], parameters: Option<&Parameters>) -> Option<Region> {
    let mut heap = mappings.iter().filter(|mapping| mapping.is_brk_heap());
    let first = heap.next()?;
    let end = heap.next_back().map_or(first.end, |last| last.end);
    let base = parameters.map_or(0, |parameters| parameters.sbrk_base);
    let is_inside = first.start <= base && base < end;
    let from = if is_inside { base } else { first.start };
    Some(Region {
        from,
        start: from.next_multiple_of(16),
        end,
        arena: 0,
        origin: Origin::Brk,
    })
}

/// Follows the heaps of one arena; false where the chain breaks.
fn chain(
    memory: &dyn Memory,
    arena: &Arena,
    index: usize,
    layout: &ArenaLayout,
    regions: &mut Vec<Region>,
) -> Result<bool, Error> {
    let mappings = memory.mappings();
    // The arena stands right behind the `heap_info` of its first heap.
    let first = arena.address / PAGE * PAGE;
    let info = arena.address - first;
    let Some((mut heap, largest)) = heap_of(memory, arena, first)? else {
        return Ok(false);
    };
    // Heaps lie at multiples of their largest size, so none is met twice unless the chain is a ring.
    let mut met = BTreeSet::new();
    while regions.len() < MOST_HEAPS && heap.is_multiple_of(largest) && met.insert(heap) {
        let Some((owner, previous, size)) = heap_info(memory, heap)? else {
            return Ok(false);
        };
        if owner != arena.address || size == 0 || size > largest {
            return Ok(false);
        }
        let start = if heap == first {
            (arena.address + layout.size).next_multiple_of(16)
        } else {
            heap + info
        };
        let end = (heap.saturating_add(size) / PAGE * PAGE).min(end_of_memory(mappings, heap));
        regions.push(Region {
            from: heap,
            start: start.min(end),
            end,
            arena: index,
            origin: Origin::Heap,
        });
        if heap == first || previous == 0 {
            return Ok(heap == first);
        }
        heap = previous;
    }
    Ok(false)
}

/// Where the memory ends that `address` lies in, what a heap has only reserved among it: it may have grown
/// after the mappings were read.
fn end_of_memory(mappings: &[Mapping], address: u64) -> u64 {
    let first = mappings.partition_point(|mapping| mapping.end <= address);
    let mut end = address;
    for mapping in mappings.get(first..).unwrap_or_default() {
        if mapping.start > end || mapping.is_file() {
            break;
        }
        end = mapping.end;
    }
    end
}

/// The heap that the arena's `top` lies in, and how large a heap may be.
fn heap_of(memory: &dyn Memory, arena: &Arena, first: u64) -> Result<Option<(u64, u64)>, Error> {
    for largest in LARGEST_HEAPS {
        let heap = arena.top / largest * largest;
        let is_heap = first.is_multiple_of(largest)
            && heap_info(memory, heap)?.is_some_and(|(owner, ..)| owner == arena.address);
        if is_heap {
            return Ok(Some((heap, largest)));
        }
    }
    Ok(None)
}

/// Arena, previous heap and size.
fn heap_info(memory: &dyn Memory, heap: u64) -> Result<Option<(u64, u64, u64)>, Error> {
    let mut bytes = [0; 24];
    if memory.read(heap, &mut bytes)? < bytes.len() {
        return Ok(None);
    }
    let words = (word_at(&bytes, 0), word_at(&bytes, 8), word_at(&bytes, 16));
    Ok(match words {
        (Some(owner), Some(previous), Some(size)) if previous.is_multiple_of(PAGE) => {
            Some((owner, previous, size))
        }
        _ => None,
    })
}
