//! What threads keep for themselves (tcache), and how the walk tells it from what is in use.
//!
//! A cached chunk looks like one in use. Since 2.29 its second word is a key, which is erased when the
//! chunk is handed out again: the address of the thread's structure, or since 2.34 one random word for
//! the whole process. The structures are chunks of a size of their own; the keys that their lists show
//! are candidates. A random key is believed only when it also stands in the C library's data: in a
//! race, or with a program that fills its memory, a pattern may look like one. Before 2.29 there is no
//! key, and the lists themselves are walked.

use super::arena::is_aligned_pointer;
use super::discover::{Area, read_existing};
use super::layout::{EXACT_TCACHE_BINS, Marking, TCACHES, TcacheLayout};
use super::marks::Marks;
use crate::error::Error;
use crate::memory::{Memory, Peek, find};
use memchr::memmem;
use std::collections::{BTreeMap, BTreeSet};

/// What the walk asks.
#[derive(Debug)]
pub(crate) struct Cached {
    /// How cached chunks are marked.
    pub(crate) marking: Marking,
    /// Keys, ascending.
    pub(crate) keys: Vec<u64>,
    /// Chunks that the lists held, where there are no keys.
    pub(crate) listed: Marks,
    /// Structures that were looked at, and which size they have.
    pub(crate) structure: Option<u64>,
}

/// Of one list so many chunks are followed.
const LONGEST_LIST: u64 = 65_535;

/// Bytes of the library's data that are searched for the key at a time.
const PIECE: u64 = 1 << 20;

/// A thread's structure with lists in it.
struct Structure {
    /// What its owner sees: the address behind the chunk's header.
    address: u64,
    /// First block of each list that is not empty.
    heads: Vec<u64>,
}

/// True for sizes of chunks that may be a thread's structure.
#[inline]
pub(crate) fn is_structure_size(size: u64) -> bool {
    matches!(size, 0x250 | 0x290 | 0x300)
}

/// Looks at the chunks that may be threads' structures. `library` is where the key must stand, too.
pub(crate) fn examine(
    memory: &dyn Memory,
    peek: &mut Peek<'_>,
    library: Area,
    candidates: &BTreeSet<u64>,
) -> Result<Cached, Error> {
    let (structures, chunk) = structures(peek, candidates)?;
    let mut owners = BTreeSet::new();
    let mut votes = BTreeMap::<u64, u32>::new();
    for structure in &structures {
        for head in &structure.heads {
            match peek.word(head + 8)? {
                Some(key) if key == structure.address => {
                    owners.insert(key);
                }
                Some(key) if find(memory.mappings(), key).is_none() && key > 1 << 16 => {
                    *votes.entry(key).or_default() += 1;
                }
                _ => {}
            }
        }
    }
    let mut cached = Cached {
        marking: Marking::Unknown,
        keys: Vec::new(),
        listed: Marks::default(),
        structure: chunk,
    };
    if !owners.is_empty() {
        cached.marking = Marking::Owner;
        cached.keys = owners.into_iter().collect();
    } else if let Some(key) = random_key(memory, library, &votes)? {
        cached.marking = Marking::Random;
        cached.keys = vec![key];
    } else if chunk == Some(0x250) && !structures.is_empty() {
        cached.marking = Marking::None;
        for head in structures.iter().flat_map(|structure| &structure.heads) {
            follow(peek, *head, &mut cached.listed)?;
        }
    }
    Ok(cached)
}

/// True if the key still stands in the library's data; it stays as long as the program does.
pub(crate) fn holds_key(memory: &dyn Memory, library: Area, key: u64) -> Result<bool, Error> {
    let needle = key.to_le_bytes();
    let finder = memmem::Finder::new(&needle);
    let mut bytes = Vec::new();
    let mut start = library.start;
    while start < library.end {
        let end = library.end.min(start + PIECE);
        read_existing(memory, start, end, &mut bytes)?;
        if finder.find_iter(&bytes).any(|at| at.is_multiple_of(8)) {
            return Ok(true);
        }
        start = end;
    }
    Ok(false)
}

fn random_key(
    memory: &dyn Memory,
    library: Area,
    votes: &BTreeMap<u64, u32>,
) -> Result<Option<u64>, Error> {
    let mut ranked: Vec<_> = votes.iter().map(|(key, votes)| (*votes, *key)).collect();
    ranked.sort_unstable_by(|a, b| b.cmp(a));
    for (_, key) in ranked.into_iter().take(16) {
        if holds_key(memory, library, key)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// Those of the candidates whose lists are sound and not all empty, and the size of their chunks.
fn structures(
    peek: &mut Peek<'_>,
    candidates: &BTreeSet<u64>,
) -> Result<(Vec<Structure>, Option<u64>), Error> {
    let mut found = Vec::new();
    let mut size = None;
    for &chunk in candidates {
        let bytes = peek.word(chunk + 8)?.unwrap_or(0) & !7;
        let Some(layout) = TCACHES.iter().find(|layout| layout.chunk == bytes) else {
            continue;
        };
        if let Some(heads) = heads(peek, chunk + 16, layout)?
            && !heads.is_empty()
        {
            size = Some(bytes);
            let address = chunk + 16;
            found.push(Structure { address, heads });
        }
    }
    Ok((found, size))
}

/// First blocks of the lists; `None` where one cannot be that.
fn heads(
    peek: &mut Peek<'_>,
    address: u64,
    layout: &TcacheLayout,
) -> Result<Option<Vec<u64>>, Error> {
    let mut heads = Vec::new();
    let mut odd = 0;
    for bin in 0..layout.bins {
        let Some(head) = peek.word(address + layout.entries + 8 * bin)? else {
            return Ok(None);
        };
        if head == 0 {
            continue;
        }
        if !is_aligned_pointer(head) {
            return Ok(None);
        }
        // Lists move while they are read: one may be elsewhere by now.
        let size = peek.word(head - 8)?.map(|size| size & !7);
        if bin < EXACT_TCACHE_BINS && size != Some(32 + 16 * bin) {
            odd += 1;
            continue;
        }
        heads.push(head);
    }
    Ok((odd <= heads.len()).then_some(heads))
}

/// Marks the chunks of one list, without safe linking: that came after the keys.
fn follow(peek: &mut Peek<'_>, head: u64, listed: &mut Marks) -> Result<(), Error> {
    let mut block = head;
    for _ in 0..LONGEST_LIST {
        if !is_aligned_pointer(block) || !listed.insert(block - 16) {
            break;
        }
        block = peek.word(block)?.unwrap_or(0);
    }
    Ok(())
}
