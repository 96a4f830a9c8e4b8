//! One arena as it is read: `struct malloc_state`, and the ring of all of them.

use super::layout::{ArenaLayout, FASTBINS};
use crate::error::Error;
use crate::memory::{Memory, word_at};

/// What the walk needs to know of an arena.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arena {
    /// Where it is.
    pub(crate) address: u64,
    /// The chunk that is the unused end of its memory.
    pub(crate) top: u64,
    /// The next arena.
    pub(crate) next: u64,
    /// Threads that use it; 0 where that is not kept.
    pub(crate) threads: u64,
    /// Bytes that it has from the system.
    pub(crate) system_mem: u64,
    /// Heads of its fastbins.
    pub(crate) fastbins: Vec<u64>,
}

/// More arenas than that are not believed: eight to a core is glibc's limit.
const MOST_ARENAS: usize = 4096;

/// Addresses of programs are below this.
const END_OF_USER_MEMORY: u64 = 1 << 47;

impl Arena {
    /// From the bytes of a structure; `None` where they are too few.
    pub(crate) fn parse(address: u64, bytes: &[u8], layout: &ArenaLayout) -> Option<Self> {
        let word = |offset: u64| word_at(bytes, usize::try_from(offset).ok()?);
        let fastbins = layout.fastbins.map_or(0..0, |_| 0..FASTBINS);
        let first = layout.fastbins.unwrap_or(0);
        let threads = layout.attached_threads;
        Some(Self {
            address,
            top: word(layout.top)?,
            next: word(layout.next)?,
            threads: threads.map_or(Some(0), word)?,
            system_mem: word(layout.system_mem)?,
            fastbins: fastbins
                .map(|index| word(first + 8 * index))
                .collect::<Option<_>>()?,
        })
    }

    /// Reads the one at `address`; `None` where it cannot be read.
    pub(crate) fn read(
        memory: &dyn Memory,
        address: u64,
        layout: &ArenaLayout,
    ) -> Result<Option<Self>, Error> {
        let mut bytes = vec![0; usize::try_from(layout.size).unwrap_or(0)];
        let read = memory.read(address, &mut bytes)?;
        bytes.truncate(read);
        Ok(Self::parse(address, &bytes, layout))
    }

    /// True where its pointers and numbers can be those of an arena.
    pub(crate) fn is_plausible(&self) -> bool {
        is_aligned_pointer(self.top)
            && self.next.is_multiple_of(8)
            && is_pointer(self.next)
            && self.threads <= 1 << 22
            && self.system_mem < END_OF_USER_MEMORY
    }
}

/// The ring of arenas that `main` is in, itself first. The second value is false where the ring does
/// not come back to it.
pub(crate) fn ring(
    memory: &dyn Memory,
    main: Arena,
    layout: &ArenaLayout,
) -> Result<(Vec<Arena>, bool), Error> {
    let start = main.address;
    let mut next = main.next;
    let mut arenas = vec![main];
    while next != start {
        if arenas.len() >= MOST_ARENAS || arenas.iter().any(|arena| arena.address == next) {
            return Ok((arenas, false));
        }
        match Arena::read(memory, next, layout)? {
            Some(arena) if arena.is_plausible() => {
                next = arena.next;
                arenas.push(arena);
            }
            _ => return Ok((arenas, false)),
        }
    }
    Ok((arenas, true))
}

/// True for what can be an address in a program.
pub(crate) const fn is_pointer(word: u64) -> bool {
    4096 <= word && word < END_OF_USER_MEMORY
}

/// True for what can be the address of a chunk.
pub(crate) const fn is_aligned_pointer(word: u64) -> bool {
    is_pointer(word) && word.is_multiple_of(16)
}
