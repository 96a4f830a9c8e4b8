//! One look at the heap, from the metadata to the sums.

use super::anonymous::{self, Mapped, Wanted};
use super::books::Tally;
use super::layout::{self, Marking};
use super::metadata::{Knowledge, Metadata};
use super::parameters;
use super::walk::Walk;
use crate::classes::Census;
use crate::error::Error;
use crate::memory::{Memory, PAGE};
use crate::visit::Visitor;
use memtide_model::{ArenaTotals, Bytes, HeapQuality, HeapSnapshot, HeapTotals, SizeClass};

/// What a look at all of the heap came to.
#[derive(Debug)]
pub(crate) struct Survey {
    metadata: Metadata,
    walked: Walked,
}

/// What one walk came to.
#[derive(Debug)]
struct Walked {
    tallies: Vec<Tally>,
    sizes: Vec<SizeClass>,
    mapped: Mapped,
    /// Mapped blocks by malloc's count, before and after.
    counts: Option<(u64, u64)>,
    census: Option<Census>,
}

/// Unparsed bytes beyond which nothing follows, as one part in so many.
const SKIPPED_SHARE: u64 = 50;

/// Memory that an arena may have got between two reads, as one part in so many and in bytes.
const ARENA_SHARE: u64 = 50;
const ARENA_SLACK: u64 = 1 << 20;

/// Walks all of the heap. With `counts_classes` chunks in use are counted by their first words, too. The
/// walk is done again when it has found threads' structures that were not known.
pub(crate) fn survey(
    memory: &dyn Memory,
    knowledge: &mut Knowledge,
    mut metadata: Metadata,
    counts_classes: bool,
) -> Result<Survey, Error> {
    let census = || counts_classes.then(|| Census::new(memory.mappings()));
    let mut walked = walk(memory, knowledge, &mut metadata, census())?;
    if metadata.marking != Marking::Random && knowledge.mark(memory, &mut metadata)? {
        walked = walk(memory, knowledge, &mut metadata, census())?;
    }
    Ok(Survey { metadata, walked })
}

fn walk(
    memory: &dyn Memory,
    knowledge: &mut Knowledge,
    metadata: &mut Metadata,
    mut census: Option<Census>,
) -> Result<Walked, Error> {
    let has_pieces = metadata.has_pieces(memory);
    let Metadata {
        arenas,
        parameters,
        heaps,
        rules,
        ..
    } = metadata;
    let visitor = census.as_mut().map(|census| census as &mut dyn Visitor);
    let layout = knowledge.found.layout;
    let mut walk = Walk::new(memory, layout, arenas.len(), rules, visitor);
    walk.trim_by(parameters.map_or(PAGE, |parameters| parameters.trim_unit));
    for region in &heaps.regions {
        if let Some(arena) = arenas.get(region.arena) {
            walk.region(*region, arena)?;
        }
    }
    let wanted = Wanted {
        blocks: parameters.map(|parameters| parameters.mapped_chunks),
        rest: layout.mapped_rest,
        pieces_of: arenas.first().filter(|_| has_pieces),
    };
    let mapped = anonymous::search(&mut walk, &heaps.regions, wanted)?;
    let after = match metadata.place {
        Some(place) => parameters::read(memory, place, false)?,
        None => None,
    };
    let counts = wanted.blocks.map(|before| {
        let after = after.map_or(before, |parameters| parameters.mapped_chunks);
        (before, after)
    });
    knowledge.structures = std::mem::take(&mut walk.structures);
    let (tallies, sizes) = (walk.tallies, walk.histogram.sizes());
    Ok(Walked {
        tallies,
        sizes,
        mapped,
        counts,
        census,
    })
}

impl Survey {
    /// Fills in what the walk found; what it counted of classes is handed back.
    pub(crate) fn write(
        self,
        knowledge: &Knowledge,
        snapshot: &mut HeapSnapshot,
    ) -> Option<Census> {
        let metadata = &self.metadata;
        let (name, is_tested) = layout::name(
            knowledge.found.layout,
            metadata.place.map(|place| place.1),
            metadata.structure,
            metadata.marking,
        );
        name.clone_into(&mut snapshot.layout);
        snapshot.is_untested = !is_tested;
        let mut sum = Tally::default();
        for tally in &self.walked.tallies {
            sum.add(tally);
        }
        snapshot.totals = totals(&sum, &self.walked.mapped);
        snapshot.quality = self.quality(&sum);
        let arenas = metadata.arenas.iter().zip(&self.walked.tallies).enumerate();
        snapshot.arenas = arenas
            .map(|(index, (arena, tally))| ArenaTotals {
                address: arena.address,
                is_main: index == 0,
                threads: arena.threads,
                system_bytes: Bytes(arena.system_mem),
                live_blocks: tally.live_blocks,
                live_bytes: Bytes(tally.live_bytes),
                cached_bytes: Bytes(tally.cached_bytes),
                free_bytes: Bytes(tally.free_bytes + tally.top_bytes),
                resident: Bytes(tally.resident),
            })
            .collect();
        snapshot.sizes = self.walked.sizes;
        self.walked.census
    }

    fn quality(&self, sum: &Tally) -> HeapQuality {
        let mut doubts = self.metadata.doubts.clone();
        let arenas = self.metadata.arenas.iter();
        let system: u64 = arenas
            .map(|arena| arena.system_mem)
            .fold(0, u64::saturating_add);
        let walked = sum.walked.saturating_sub(sum.foreign);
        if sum.skipped > sum.walked / SKIPPED_SHARE {
            doubts.push(format!(
                "{} of {} bytes were not understood",
                sum.skipped, sum.walked
            ));
        }
        if system.abs_diff(walked) > system / ARENA_SHARE + ARENA_SLACK {
            doubts.push(format!(
                "malloc has {system} bytes from the system, and {walked} were found"
            ));
        }
        self.doubt_mapped(&mut doubts);
        HeapQuality {
            parsed: Bytes(sum.walked.saturating_sub(sum.skipped)),
            skipped: Bytes(sum.skipped),
            bad_headers: sum.bad_headers,
            reread: sum.reread,
            arena_bytes: Some((Bytes(system), Bytes(walked))),
            mmapped: self
                .walked
                .counts
                .map(|(before, _)| (before, self.walked.mapped.blocks)),
            doubts,
        }
    }

    /// Blocks come and go while they are counted.
    fn doubt_mapped(&self, doubts: &mut Vec<String>) {
        let found = self.walked.mapped.blocks;
        if !self.walked.mapped.is_whole {
            doubts
                .push("there is more plain memory than was searched for mapped blocks".to_owned());
        }
        let Some((before, after)) = self.walked.counts else {
            return;
        };
        let (least, most) = (before.min(after), before.max(after));
        let slack = 2 + most / 50;
        if found + slack < least || found > most + slack {
            doubts.push(format!(
                "malloc counts {before} blocks with mappings of their own, and {found} were found"
            ));
        }
    }
}

fn totals(sum: &Tally, mapped: &Mapped) -> HeapTotals {
    HeapTotals {
        live_blocks: sum.live_blocks + mapped.blocks,
        live_bytes: Bytes(sum.live_bytes + mapped.bytes),
        live_resident: Bytes(sum.live_resident + mapped.resident),
        mmapped_blocks: mapped.blocks,
        mmapped_bytes: Bytes(mapped.bytes),
        mmapped_resident: Bytes(mapped.resident),
        cached_blocks: sum.cached_blocks,
        cached_bytes: Bytes(sum.cached_bytes),
        cached_resident: Bytes(sum.cached_resident),
        free_blocks: sum.free_blocks,
        free_bytes: Bytes(sum.free_bytes),
        free_resident: Bytes(sum.free_resident),
        top_bytes: Bytes(sum.top_bytes),
        top_resident: Bytes(sum.top_resident),
        trimmable: Bytes(sum.trimmable),
        stuck: Bytes(sum.stuck),
        overhead_bytes: Bytes(sum.overhead),
        heap_resident: Bytes(sum.resident + mapped.resident),
        swapped: Bytes(sum.swapped + mapped.swapped),
    }
}
