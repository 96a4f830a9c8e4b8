//! Refuses debug information whose inlined calls are nested beyond reason.
//!
//! `addr2line` descends into inlined calls by recursion, without a bound: a hostile file of a hundred
//! kilobytes would exhaust the stack, which ends the process and cannot be caught as a panic can.
//! One walk over the entries, which reads no attribute, tells beforehand.

use gimli::{DW_TAG_inlined_subroutine, Dwarf, EntriesRaw, Reader};

/// Compilers nest a few dozen; a level costs the recursion less than a kilobyte or two of a thread's
/// two megabytes.
const DEEPEST: usize = 512;

/// True where some inlined calls are nested deeper than any compiler does. Where an entry is damaged
/// the rest of its unit is left out, as `addr2line` stops there, too.
pub(crate) fn is_too_deep<R: Reader>(dwarf: &Dwarf<R>) -> bool {
    let mut headers = dwarf.units();
    while let Ok(Some(header)) = headers.next() {
        let Ok(abbreviations) = header.abbreviations(&dwarf.debug_abbrev) else {
            continue;
        };
        let entries = header.entries_raw(&abbreviations, None);
        if entries.is_ok_and(|entries| deepest(entries) > DEEPEST) {
            return true;
        }
    }
    false
}

/// How many inlined calls lie in each other at most.
fn deepest<R: Reader>(mut entries: EntriesRaw<'_, R>) -> usize {
    let mut open: Vec<isize> = Vec::new();
    let mut deepest = 0;
    while !entries.is_empty() && deepest <= DEEPEST {
        let depth = entries.next_depth();
        let Ok(entry) = entries.read_abbreviation() else {
            break;
        };
        let Some(entry) = entry else {
            continue;
        };
        if entry.tag() == DW_TAG_inlined_subroutine {
            while open.last().is_some_and(|outer| *outer >= depth) {
                open.pop();
            }
            open.push(depth);
            deepest = deepest.max(open.len());
        }
        if entries.skip_attributes(entry.attributes()).is_err() {
            break;
        }
    }
    deepest
}
