//! Chunks in fastbins: free, but marked as in use, and known only by the lists that they are in.
//!
//! Since 2.32 the pointers are mangled by their own place (safe linking): stored = next ^ (place >> 12).
//! Whether they are is found by which reading of them leads into the heap.

use super::arena::{Arena, is_aligned_pointer};
use super::layout::Marking;
use super::marks::Marks;
use crate::error::Error;
use crate::memory::Peek;

/// Chunks that are followed in all, so that a look at the heap has an end.
const MOST_CHUNKS: u64 = 4_000_000;

/// The size of chunks that the lists hold: 32, 48, …, 176 bytes.
pub(crate) const LARGEST_FAST_CHUNK: u64 = 176;

/// Marks all chunks in fastbins. The second value is false where there are too many.
pub(crate) fn find(
    peek: &mut Peek<'_>,
    arenas: &[Arena],
    marking: Marking,
) -> Result<(Marks, bool), Error> {
    let is_mangled = match marking {
        Marking::Random => true,
        Marking::None => false,
        Marking::Owner | Marking::Unknown => are_mangled(peek, arenas)?,
    };
    let mut marks = Marks::default();
    let mut left = MOST_CHUNKS;
    for arena in arenas {
        for (&head, size) in arena.fastbins.iter().zip((32..).step_by(16)) {
            let mut chunk = head;
            while chunk != 0 {
                if left == 0 || peek.is_exhausted() || marks.is_full() {
                    return Ok((marks, false));
                }
                if !is_fast(peek, chunk, size)? || !marks.insert(chunk) {
                    break;
                }
                left -= 1;
                let stored = peek.word(chunk + 16)?.unwrap_or(0);
                chunk = next(chunk, stored, is_mangled);
            }
        }
    }
    Ok((marks, true))
}

/// Which reading of the pointers leads on to more chunks of the right size.
fn are_mangled(peek: &mut Peek<'_>, arenas: &[Arena]) -> Result<bool, Error> {
    let (mut mangled, mut plain) = (0, 0);
    for arena in arenas {
        for (&chunk, size) in arena.fastbins.iter().zip((32..).step_by(16)) {
            if chunk == 0 || !is_fast(peek, chunk, size)? {
                continue;
            }
            let stored = peek.word(chunk + 16)?.unwrap_or(0);
            for (votes, is_mangled) in [(&mut mangled, true), (&mut plain, false)] {
                let next = next(chunk, stored, is_mangled);
                *votes += u32::from(next == 0 || is_fast(peek, next, size)?);
            }
        }
    }
    Ok(mangled > plain)
}

const fn next(chunk: u64, stored: u64, is_mangled: bool) -> u64 {
    if is_mangled {
        stored ^ ((chunk + 16) >> 12)
    } else {
        stored
    }
}

fn is_fast(peek: &mut Peek<'_>, chunk: u64, size: u64) -> Result<bool, Error> {
    let is_there = is_aligned_pointer(chunk);
    Ok(is_there && peek.word(chunk + 8)?.is_some_and(|word| word & !7 == size))
}
