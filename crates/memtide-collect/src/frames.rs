//! Stacks as a tree of places that all processes share: a frame is the frame of its caller and a place.
//!
//! A region has a tree of its own, of addresses. Each of its nodes is looked up here once, so that a
//! stack costs one step and not its depth, and equal stacks of different processes meet in one
//! number.

use crate::modules::Place;
use memtide_model::{CodePlace, StackEnd};
use std::hash::{BuildHasher, RandomState};

/// More frames of one stack are not followed; the shim itself stops far below.
const MOST_FRAMES: usize = 4096;

/// A frame with its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FrameId(u32);

impl FrameId {
    /// What a stack ends in, as a caller of its outermost frame.
    const ENDS: [StackEnd; 4] = [
        StackEnd::Root,
        StackEnd::Overflow,
        StackEnd::Truncated,
        StackEnd::Foreign,
    ];
    /// Nothing above: where the thread began.
    pub(crate) const ROOT: Self = Self(0);
    /// What could not be told apart.
    pub(crate) const OVERFLOW: Self = Self(1);
    /// Callers that were not followed.
    pub(crate) const TRUNCATED: Self = Self(2);
    /// Callers on memory that may not be walked.
    pub(crate) const FOREIGN: Self = Self(3);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Frame {
    caller: FrameId,
    place: Place,
}

/// All frames that were ever seen.
#[derive(Debug)]
pub(crate) struct Frames {
    /// Frame `FrameId(4 + index)`.
    known: Vec<Frame>,
    /// Open addressing: zero, or a frame's index and one. A power of two long, at most half full.
    slots: Vec<u32>,
    /// Seeded by chance, because addresses are foreign input.
    hasher: RandomState,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            known: Vec::new(),
            slots: vec![0; 1024],
            hasher: RandomState::new(),
        }
    }

    /// The frame at `place` that was called from `caller`. When there are four billion, all others
    /// are [`FrameId::OVERFLOW`].
    pub(crate) fn child(&mut self, caller: FrameId, place: Place) -> FrameId {
        let frame = Frame { caller, place };
        let slot = self.slot(&frame);
        match self.slots.get(slot) {
            Some(0) | None => self.insert(frame, slot),
            Some(number) => FrameId(number - 1 + 4),
        }
    }

    /// The places of a stack, innermost first, and why it ends.
    pub(crate) fn stack(&self, leaf: FrameId) -> (Vec<CodePlace>, StackEnd) {
        let mut places = Vec::new();
        let mut id = leaf;
        while places.len() < MOST_FRAMES {
            if let Some(end) = FrameId::ENDS.get(id.0 as usize) {
                return (places, *end);
            }
            let Some(frame) = self.known.get(id.0 as usize - 4) else {
                return (places, StackEnd::Overflow);
            };
            places.push(frame.place.public());
            id = frame.caller;
        }
        (places, StackEnd::Truncated)
    }

    /// Where the frame is, or where it belongs.
    fn slot(&self, frame: &Frame) -> usize {
        let mask = self.slots.len() - 1;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "only its low bits are used"
        )]
        let mut slot = self.hash(frame) as usize & mask;
        loop {
            match self.slots.get(slot) {
                Some(0) | None => return slot,
                Some(number) if self.known.get(*number as usize - 1) == Some(frame) => {
                    return slot;
                }
                Some(_) => slot = (slot + 1) & mask,
            }
        }
    }

    fn hash(&self, frame: &Frame) -> u64 {
        let Place { module, address } = frame.place;
        self.hasher.hash_one((frame.caller.0, module, address))
    }

    fn insert(&mut self, frame: Frame, slot: usize) -> FrameId {
        let number = self.known.len() + 1;
        let (Ok(number), true) = (u32::try_from(number), number < u32::MAX as usize - 4) else {
            return FrameId::OVERFLOW;
        };
        self.known.push(frame);
        if let Some(free) = self.slots.get_mut(slot) {
            *free = number;
        }
        if self.known.len() * 2 > self.slots.len() {
            self.grow();
        }
        FrameId(number - 1 + 4)
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        let mask = self.slots.len() - 1;
        for (number, frame) in (1..).zip(&self.known) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "only its low bits are used"
            )]
            let mut slot = self.hash(frame) as usize & mask;
            // Every frame is there once, so the first free slot is its own.
            while self.slots.get(slot).is_some_and(|taken| *taken != 0) {
                slot = (slot + 1) & mask;
            }
            if let Some(free) = self.slots.get_mut(slot) {
                *free = number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(address: u64) -> Place {
        Place {
            module: Place::NO_MODULE,
            address,
        }
    }

    fn addresses(frames: &Frames, leaf: FrameId) -> Vec<u64> {
        let (places, end) = frames.stack(leaf);
        assert_eq!(end, StackEnd::Root);
        places.iter().map(|place| place.address).collect()
    }

    #[test]
    fn equal_callers_and_places_are_one_frame_and_others_are_not() {
        let mut frames = Frames::new();
        let mut ids = Vec::new();
        for caller in 0..100 {
            let caller = frames.child(FrameId::ROOT, place(caller));
            ids.extend((0..100).map(|i| frames.child(caller, place(i))));
        }
        let mut distinct = ids.clone();
        distinct.sort_by_key(|id| id.0);
        distinct.dedup();
        assert_eq!(distinct.len(), 10_000);
        let caller = frames.child(FrameId::ROOT, place(57));
        assert_eq!(frames.child(caller, place(3)), ids[5703]);
        assert_eq!(addresses(&frames, ids[5703]), [3, 57]);
        assert_eq!(frames.known.len(), 10_100);
    }

    #[test]
    fn stacks_end_as_their_roots_say_and_at_the_bound() {
        let mut frames = Frames::new();
        let foreign = frames.child(FrameId::FOREIGN, place(9));
        assert_eq!(frames.stack(foreign).1, StackEnd::Foreign);
        assert_eq!(
            frames.stack(FrameId::OVERFLOW),
            (vec![], StackEnd::Overflow)
        );
        let mut deep = FrameId::ROOT;
        for address in 0..5000 {
            deep = frames.child(deep, place(address));
        }
        let (places, end) = frames.stack(deep);
        assert_eq!((places.len(), end), (MOST_FRAMES, StackEnd::Truncated));
        assert_eq!(places[0].address, 4999, "the innermost frames are kept");
    }
}
