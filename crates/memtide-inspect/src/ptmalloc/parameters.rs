//! Finding `mp_`, malloc's settings: the count of mapped chunks, and where the heap begins.
//!
//! It stands in the same data as `main_arena`. It is believed when `sbrk_base` lies in the heap, the
//! counts are below their maxima and the settings are sane; of several such places the one that looks
//! most like malloc's defaults is taken. All that depends on it has another way.

use super::discover::{Found, read_existing};
use super::layout::{ARENA_TEST, EXACT_TCACHE_BINS, MMAP_THRESHOLD, PARAMETERS, ParametersLayout};
use crate::error::Error;
use crate::memory::{Mapping, Memory, PAGE, word_at};

/// What is read of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Parameters {
    /// Mapped chunks at the moment.
    pub(crate) mapped_chunks: u64,
    /// Their bytes.
    pub(crate) mapped_bytes: u64,
    /// Where the heap begins; 0 before the first block.
    pub(crate) sbrk_base: u64,
    /// Up to which size of chunk a thread caches, where there is a cache.
    pub(crate) tcache_limit: Option<u64>,
    /// What `top` is trimmed by, where that is larger than a page.
    pub(crate) trim_unit: u64,
}

/// Where it is, and how it is laid out.
pub(crate) type Place = (u64, &'static ParametersLayout);

/// So far from `main_arena` it is searched.
const REACH: u64 = 1 << 20;

/// Finds it near an arena. `has_heap`: the main arena has memory, so that `sbrk_base` was set.
pub(crate) fn find(
    memory: &dyn Memory,
    found: &Found,
    has_heap: bool,
) -> Result<Option<Place>, Error> {
    let near = found.main.saturating_sub(REACH) / PAGE * PAGE;
    let start = found.area.start.max(near);
    let end = found.area.end.min(found.main.saturating_add(REACH));
    let mut bytes = Vec::new();
    read_existing(memory, start, end, &mut bytes)?;
    let mut best: Option<(u32, Place)> = None;
    for &row in found.layout.parameters {
        let Some(layout) = PARAMETERS.get(row) else {
            continue;
        };
        let size = usize::try_from(layout.size).unwrap_or(usize::MAX);
        let places = bytes.windows(size).step_by(8).zip((start..).step_by(8));
        for (bytes, at) in places {
            let is_good = is_plausible(memory.mappings(), bytes, layout, has_heap);
            let likeness = likeness(bytes, layout).unwrap_or(0);
            if is_good.unwrap_or(false) && best.is_none_or(|(most, _)| likeness > most) {
                best = Some((likeness, (at, layout)));
            }
        }
    }
    Ok(best.map(|(_, place)| place))
}

/// How many of the settings are malloc's defaults.
fn likeness(bytes: &[u8], layout: &ParametersLayout) -> Option<u32> {
    let word = |offset: u64| word_at(bytes, usize::try_from(offset).ok()?);
    let tcache = layout.tcache.map_or(Some(0), word)?;
    let mut likeness = u32::from(word(layout.n_mmaps)? >> 32 == 65_536);
    likeness += u32::from(word(ARENA_TEST)? == 8);
    likeness += u32::from(word(MMAP_THRESHOLD)? >= 128 << 10);
    likeness += u32::from(tcache == EXACT_TCACHE_BINS);
    Some(likeness + u32::from(word(layout.sbrk_base)? != 0))
}

/// Reads it; `None` where it makes no sense any more.
pub(crate) fn read(
    memory: &dyn Memory,
    place: Place,
    has_heap: bool,
) -> Result<Option<Parameters>, Error> {
    let (address, layout) = place;
    let mut bytes = vec![0; usize::try_from(layout.size).unwrap_or(0)];
    let read = memory.read(address, &mut bytes)?;
    bytes.truncate(read);
    let is_good = is_plausible(memory.mappings(), &bytes, layout, has_heap).unwrap_or(false);
    Ok(if is_good { parse(&bytes, layout) } else { None })
}

fn parse(bytes: &[u8], layout: &ParametersLayout) -> Option<Parameters> {
    let word = |offset: u64| word_at(bytes, usize::try_from(offset).ok()?);
    let tcache = layout.tcache.map_or(Some(None), |at| {
        let (bins, largest) = (word(at)?, word(at + 8)?);
        Some(Some((bins, largest)))
    });
    let trim_unit = layout.thp_pagesize.and_then(word).unwrap_or(0);
    let is_unit = trim_unit.is_power_of_two() && (PAGE..=1 << 30).contains(&trim_unit);
    Some(Parameters {
        mapped_chunks: word(layout.n_mmaps)? & u64::from(u32::MAX),
        mapped_bytes: word(layout.mmapped_mem)?,
        sbrk_base: word(layout.sbrk_base)?,
        // A chunk is larger than what is asked for by its header and the rounding.
        tcache_limit: tcache?.map(|(_, largest)| largest + 32),
        trim_unit: if is_unit { trim_unit } else { PAGE },
    })
}

fn is_plausible(
    mappings: &[Mapping],
    bytes: &[u8],
    layout: &ParametersLayout,
    has_heap: bool,
) -> Option<bool> {
    let word = |offset: u64| word_at(bytes, usize::try_from(offset).ok()?);
    let (threshold, arena_test) = (word(MMAP_THRESHOLD)?, word(ARENA_TEST)?);
    if !(1024..1 << 40).contains(&threshold) || !(1..1024).contains(&arena_test) {
        return Some(false);
    }
    let counts = word(layout.n_mmaps)?;
    let (count, most) = (counts & u64::from(u32::MAX), counts >> 32);
    let (mapped, most_mapped) = (word(layout.mmapped_mem)?, word(layout.mmapped_mem + 8)?);
    if most > 1 << 24 || count > most.max(1) || mapped > most_mapped || mapped % PAGE != 0 {
        return Some(false);
    }
    if let Some(at) = layout.tcache {
        let (bins, largest, slots) = (word(at)?, word(at + 8)?, word(at + 16)?);
        let is_sane = bins <= 4096 && largest <= 1 << 26 && slots < 1 << 16;
        if !is_sane || (bins == 0 && largest > 0) {
            return Some(false);
        }
    }
    let base = word(layout.sbrk_base)?;
    if base == 0 {
        return Some(!has_heap);
    }
    Some(can_be_base(mappings, base))
}

/// True for an address in the heap, of any alignment: others may have moved the break before. A heap that
/// could not be had from `brk` begins in plain memory.
fn can_be_base(mappings: &[Mapping], base: u64) -> bool {
    let mapping = crate::memory::find(mappings, base);
    mapping.is_some_and(|mapping| mapping.is_brk_heap() || mapping.is_plain_memory())
}
