//! All that is read before the walk: arenas, settings, regions, and how cached chunks are known.
//!
//! It is small, and it must fit together; so this is what a process is held for, if it is held at all.

use super::arena::{self, Arena};
use super::discover::{self, Found};
use super::fastbins::{self, LARGEST_FAST_CHUNK};
use super::heaps::{self, Heaps, Origin};
use super::layout::Marking;
use super::parameters::{self, Parameters, Place};
use super::tcache::{self, Cached};
use super::walk::Rules;
use crate::error::Error;
use crate::memory::{Mapping, Memory, Peek, find};
use std::collections::BTreeSet;

/// What stays true of a program as long as it runs.
#[derive(Debug)]
pub(crate) struct Knowledge {
    /// Where malloc's data is.
    pub(crate) found: Found,
    place: Option<Place>,
    /// The one key of all threads' cached chunks.
    key: Option<u64>,
    /// Chunks that may be threads' structures, as the last walk noted them.
    pub(crate) structures: BTreeSet<u64>,
}

/// What was read before a walk.
#[derive(Debug)]
pub(crate) struct Metadata {
    /// The arenas, the main one first.
    pub(crate) arenas: Vec<Arena>,
    /// The settings.
    pub(crate) parameters: Option<Parameters>,
    /// Which table fitted them.
    pub(crate) place: Option<Place>,
    /// The regions.
    pub(crate) heaps: Heaps,
    /// How cached chunks are marked.
    pub(crate) marking: Marking,
    /// The size of threads' structures, if any was seen.
    pub(crate) structure: Option<u64>,
    /// How cached chunks are known.
    pub(crate) rules: Rules,
    /// Why something may be missing: sentences.
    pub(crate) doubts: Vec<String>,
}

/// Pages that the lists may cost.
const PEEK_BUDGET: u64 = 1 << 20;

/// How large a chunk may be that a thread caches, where the settings were not found.
const UNKNOWN_LIMIT: u64 = 1 << 23;

impl Knowledge {
    /// Finds malloc's data; `None` where there is none.
    pub(crate) fn gather(memory: &dyn Memory) -> Result<Option<Self>, Error> {
        let found = discover::find(memory)?;
        Ok(found.map(|found| Self {
            found,
            place: None,
            key: None,
            structures: BTreeSet::new(),
        }))
    }

    /// True if it is still so.
    pub(crate) fn holds(&self, memory: &dyn Memory) -> Result<bool, Error> {
        discover::is_still_there(memory, &self.found)
    }

    /// Reads what the walk needs to know; `None` where the main arena cannot be read any more.
    pub(crate) fn metadata(&mut self, memory: &dyn Memory) -> Result<Option<Metadata>, Error> {
        let layout = self.found.layout;
        let Some(main) = Arena::read(memory, self.found.main, layout)? else {
            return Ok(None);
        };
        let mut doubts = Vec::new();
        let (arenas, is_whole) = arena::ring(memory, main, layout)?;
        if !is_whole {
            doubts.push("the ring of arenas does not close".to_owned());
        }
        let has_heap = arenas.first().is_some_and(|main| main.system_mem > 0);
        let parameters = self.parameters(memory, has_heap)?;
        let mut heaps = heaps::find(memory, &arenas, layout, parameters.as_ref())?;
        doubts.append(&mut heaps.doubts);
        let mut metadata = Metadata {
            arenas,
            parameters,
            place: self.place,
            heaps,
            marking: Marking::Unknown,
            structure: None,
            rules: Rules::default(),
            doubts,
        };
        self.mark(memory, &mut metadata)?;
        Ok(Some(metadata))
    }

    /// Looks at threads' structures again, after a walk that may have found more. True if that changed
    /// what is known of cached chunks.
    pub(crate) fn mark(&mut self, memory: &dyn Memory, of: &mut Metadata) -> Result<bool, Error> {
        let mut peek = Peek::new(memory, PEEK_BUDGET);
        let known = self.structures.iter().copied();
        let candidates: BTreeSet<u64> = known.chain(first_chunks(&of.heaps)).collect();
        let mut cached = tcache::examine(memory, &mut peek, self.found.area, &candidates)?;
        self.remember(memory, &mut cached)?;
        let changed = cached.marking != of.marking
            || cached.keys != of.rules.keys
            || cached.marking == Marking::None;
        peek.forget();
        let (fast, is_whole) = fastbins::find(&mut peek, &of.arenas, cached.marking)?;
        if !is_whole {
            let doubt = "the fastbins hold more chunks than are followed".to_owned();
            if !of.doubts.contains(&doubt) {
                of.doubts.push(doubt);
            }
        }
        let limit = of.parameters.and_then(|parameters| parameters.tcache_limit);
        let key_limit = limit.unwrap_or(UNKNOWN_LIMIT);
        let fast_limit = if fast.is_empty() {
            0
        } else {
            LARGEST_FAST_CHUNK
        };
        let listed_limit = if cached.listed.is_empty() {
            0
        } else {
            key_limit
        };
        of.marking = cached.marking;
        of.structure = cached.structure.or(of.structure);
        of.rules = Rules {
            keys: cached.keys,
            key_limit,
            listed: cached.listed,
            fast,
            set_limit: fast_limit.max(listed_limit),
        };
        Ok(changed)
    }

    /// A random key is found once, and is there even when all lists are empty at the moment.
    fn remember(&mut self, memory: &dyn Memory, cached: &mut Cached) -> Result<(), Error> {
        if cached.marking == Marking::Random {
            self.key = cached.keys.first().copied();
        } else if cached.marking == Marking::Unknown
            && let Some(key) = self.key
            && tcache::holds_key(memory, self.found.area, key)?
        {
            cached.marking = Marking::Random;
            cached.keys = vec![key];
        }
        Ok(())
    }

    fn parameters(
        &mut self,
        memory: &dyn Memory,
        has_heap: bool,
    ) -> Result<Option<Parameters>, Error> {
        if let Some(place) = self.place
            && let Some(parameters) = parameters::read(memory, place, has_heap)?
        {
            return Ok(Some(parameters));
        }
        self.place = parameters::find(memory, &self.found, has_heap)?;
        match self.place {
            Some(place) => parameters::read(memory, place, has_heap),
            None => Ok(None),
        }
    }
}

impl Metadata {
    /// True if the main arena has memory outside of the heap that `brk` moves.
    pub(crate) fn has_pieces(&self, memory: &dyn Memory) -> bool {
        let Some(main) = self.arenas.first().filter(|main| main.system_mem > 0) else {
            return false;
        };
        let brk = self
            .heaps
            .regions
            .iter()
            .find(|region| region.origin == Origin::Brk);
        let is_top_outside = brk.is_none_or(|region| !region.contains(main.top))
            && find(memory.mappings(), main.top).is_some_and(Mapping::is_plain_memory);
        // malloc asks for at least 1 MiB (MMAP_AS_MORECORE_SIZE).
        let in_heap = brk.map_or(0, |region| region.end - region.from);
        is_top_outside || main.system_mem > in_heap + (512 << 10)
    }

    /// True if `top` of the main arena lies in memory that was not mapped when the mappings were read.
    pub(crate) fn is_outgrown(&self, memory: &dyn Memory) -> bool {
        let main = self.arenas.first().filter(|main| main.system_mem > 0);
        main.is_some_and(|main| find(memory.mappings(), main.top).is_none())
    }
}

/// The first chunk of an arena is often the structure of the thread that made it.
fn first_chunks(heaps: &Heaps) -> impl Iterator<Item = u64> {
    heaps.regions.iter().map(|region| region.start)
}
