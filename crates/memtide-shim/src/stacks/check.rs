//! For tests of the shim only (feature `check-walks`): each stack is walked by the tail, by the trie and
//! plainly, in the same process at the same moment, and the numbers are compared.
//!
//! Differences are counted as `lost.nodes`, stacks that were compared in fewer than all ways as
//! `lost.no_room`. A shim that was built so is several times slower and for nobody's use.

use super::{Cursor, Memory, Recorder, Stop};
use super::{base_path, by_trie, intern_frames, plain_walk, stack_of};
use crate::{code, known, region};

#[inline(never)]
pub(super) fn check(recorder: &mut Recorder, start: Cursor) {
    let trie_walks = core::mem::replace(&mut recorder.trie_walks, 1);
    let by_trie = by_trie(recorder, start);
    recorder.trie_walks = trie_walks;
    let by_tail = by_tail(recorder, start);
    let plainly = plain_walk(recorder, start);
    let (Some(by_trie), Some((by_tail, whole))) = (by_trie, by_tail) else {
        return region::count_lost(|lost| &lost.no_room);
    };
    let number = stack_of(plainly);
    if [by_trie, by_tail] != [plainly; 2] || whole.is_some() && whole != number {
        region::count_lost(|lost| &lost.nodes);
    }
}

/// The node by way of the tail, and the number that its whole stack is known by.
fn by_tail(recorder: &mut Recorder, start: Cursor) -> Option<(u32, Option<u32>)> {
    let (rules, top) = (code::rules()?, recorder.top);
    let mut rule_of = |address| code::rule_in(rules, address);
    let walked = recorder.tail.walk(&Memory, &mut rule_of, start, top);
    if matches!(walked.stop, Stop::Signal | Stop::Deep) {
        return None;
    }
    let path = recorder.tail.path(walked, base_path());
    let leaf = recorder.tail.address(walked.frames.wrapping_sub(1));
    Some((intern_frames(recorder, walked), known::find(path, leaf)))
}
