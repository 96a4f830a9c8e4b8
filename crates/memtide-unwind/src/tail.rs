//! The tail of the last walk, verified and used again.
//!
//! Consecutive stacks of a thread share most of their frames. A walk goes from the leaf towards the
//! root; where it meets a remembered frame, and everything that the rest of the remembered walk was
//! made from is still the same, the rest is the same. What it was made from: the return addresses in
//! their slots, the `rbp` of frames that are found by it, the word that held the CFA of a
//! realigned frame, and the zero that ended the stack. All of them are read again and compared, so
//! nothing has to be told when frames go away, and `longjmp` or exceptions need no care.
//!
//! Rules are taken to be constant. Who unloads code clears the tail.

use crate::intern::PathHash;
use crate::rule::{Frame, Rule};
use crate::walk::{Cursor, StackMemory, Stop, step};

/// Places for frames, a power of two. One stands for what is above the root.
const ROOM: usize = 512;
const MASK: usize = ROOM - 1;
/// Frames that a tail can hold. A deeper stack is truncated.
pub const MOST_FRAMES: usize = ROOM - 1;

/// An array whose index is cut to its length, so that no check is needed and nothing can panic.
#[derive(Debug)]
struct Ring<T>([T; ROOM]);

impl<T> Ring<T> {
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "the mask is the length less one")]
    fn at(&self, index: usize) -> &T {
        &self.0[index & MASK]
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "the mask is the length less one")]
    fn at_mut(&mut self, index: usize) -> &mut T {
        &mut self.0[index & MASK]
    }
}

/// A remembered frame.
#[derive(Clone, Copy, Debug)]
struct Kept {
    slot: u64,
    address: u64,
    path: PathHash,
    /// How many entries of [`Tail::based`] belong to frames up to this one.
    based_up_to: u32,
}

/// Its slot is above all others, so that no cursor ever goes past it.
const ABOVE_ROOT: Kept = Kept {
    slot: u64::MAX,
    address: 0,
    path: PathHash::ROOT,
    based_up_to: 0,
};

/// A frame that is found by `rbp`, and where that `rbp` came from.
#[derive(Clone, Copy, Debug)]
struct Based {
    /// Index of the frame: root first where it is remembered, leaf first where it is fresh.
    frame: u32,
    base: u64,
    /// Where it was saved; 0 if it was still in the register.
    base_slot: u64,
    /// Of a realigned frame: address of the word that holds its CFA, and its value.
    cfa_word: u64,
    cfa: u64,
}

const NOT_BASED: Based = Based {
    frame: 0,
    base: 0,
    base_slot: 0,
    cfa_word: 0,
    cfa: 0,
};

/// A frame of the walk in progress, leaf first.
#[derive(Clone, Copy, Debug)]
struct Fresh {
    slot: u64,
    address: u64,
}

const NOT_FRESH: Fresh = Fresh {
    slot: 0,
    address: 0,
};

/// The last walk of one thread on its own stack.
#[derive(Debug)]
pub struct Tail {
    /// Remembered frames. Frame `n`, counted from the root and from 1, is `kept[n]`; `kept[0]` stands for
    /// what is above the root.
    count: usize,
    /// Why the walk ended.
    stop: Stop,
    /// Slot of the zero that ended the stack; 0 if something else did.
    end_slot: u64,
    /// Frames stepped over in all walks.
    pub stepped: u64,
    kept: Ring<Kept>,
    based: Ring<Based>,
    fresh: Ring<Fresh>,
    fresh_based: Ring<Based>,
}

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    /// Frames, counted from the root, whose nodes are known from the walk before.
    pub shared: usize,
    /// All frames.
    pub frames: usize,
    /// Why it ended; a walk that met the tail ends as that did.
    pub stop: Stop,
}

/// Where a walk may meet the remembered one.
struct Meeting {
    /// Frames from the root that are known to be intact; nobody has looked yet if it is too many.
    intact: usize,
    /// Only frames up to this one may be met.
    limit: usize,
    /// The next frame that can be met; 0 if there is none.
    next: usize,
    /// That frame's slot.
    slot: u64,
}

const NOT_LOOKED: usize = usize::MAX;

impl Tail {
    /// One that remembers nothing.
    #[expect(
        clippy::large_stack_arrays,
        reason = "the shim never calls it: it maps zeroed memory"
    )]
    pub const fn new() -> Self {
        Self {
            count: 0,
            stop: Stop::Root,
            end_slot: 0,
            stepped: 0,
            kept: Ring([ABOVE_ROOT; ROOM]),
            based: Ring([NOT_BASED; ROOM]),
            fresh: Ring([NOT_FRESH; ROOM]),
            fresh_based: Ring([NOT_BASED; ROOM]),
        }
    }

    /// Forgets the last walk; also makes a tail of memory that was all zero.
    pub fn clear(&mut self) {
        self.count = 0;
        *self.kept.at_mut(0) = ABOVE_ROOT;
    }

    /// Return address of frame `index`, counted from the root.
    pub fn address(&self, index: usize) -> u64 {
        self.kept.at(index + 1).address
    }

    /// Walks from `start`, whose slot holds the first return address, to the root. All addresses
    /// read lie in `start.slot..end`. After [`Stop::Signal`] and [`Stop::Deep`] nothing is
    /// remembered and the frames must be had by a plain walk.
    #[inline(always)]
    pub fn walk(
        &mut self,
        memory: &impl StackMemory,
        rule_of: &mut impl FnMut(u64) -> Rule,
        start: Cursor,
        end: u64,
    ) -> Walked {
        let mut meeting = Meeting {
            intact: NOT_LOOKED,
            limit: self.count,
            next: self.count,
            slot: self.kept.at(self.count).slot,
        };
        let (mut fresh, mut fresh_based) = (0, 0);
        let mut cursor = start;
        let mut base_slot = 0;
        let mut address = memory.word(cursor.slot);
        loop {
            if self.meets(memory, &mut meeting, cursor, address) {
                self.move_base_slot(meeting.next, cursor, base_slot);
                return self.keep(meeting.next, fresh, fresh_based, self.stop);
            }
            if fresh == MOST_FRAMES {
                return self.refuse(Stop::Deep);
            }
            let rule = rule_of(address);
            *self.fresh.at_mut(fresh) = Fresh {
                slot: cursor.slot,
                address,
            };
            fresh += 1;
            if let Some((cfa, saved)) = rule.stack_offsets() {
                // As `step` does it, with what is known of such rules.
                let slot = cursor.slot.wrapping_add(cfa);
                if slot >= end {
                    self.end_slot = 0;
                    return self.keep(0, fresh, fresh_based, Stop::Lost);
                }
                if saved != 0 {
                    base_slot = (slot + 8).wrapping_sub(saved);
                    cursor.base = memory.word(base_slot);
                }
                cursor.slot = slot;
            } else {
                let based = (fresh, fresh_based);
                let stepped = self.step_by_base(memory, rule, (cursor, base_slot), end, based);
                fresh_based += usize::from(rule.uses_base());
                match stepped {
                    Ok(caller) => (cursor, base_slot) = caller,
                    Err(Stop::Signal) => return self.refuse(Stop::Signal),
                    Err(stop) => {
                        self.end_slot = 0;
                        return self.keep(0, fresh, fresh_based, stop);
                    }
                }
            }
            address = memory.word(cursor.slot);
            if address == 0 {
                self.end_slot = cursor.slot;
                return self.keep(0, fresh, fresh_based, Stop::Root);
            }
        }
    }

    /// A step from a frame that is not found by `rsp`; says where its `rbp` was saved, too. A frame that is
    /// found by `rbp` is noted as such.
    #[inline(never)]
    fn step_by_base(
        &mut self,
        memory: &impl StackMemory,
        rule: Rule,
        (cursor, base_slot): (Cursor, u64),
        end: u64,
        (fresh, fresh_based): (usize, usize),
    ) -> Result<(Cursor, u64), Stop> {
        if rule.uses_base() {
            *self.fresh_based.at_mut(fresh_based) =
                Based::of(memory, rule, fresh - 1, cursor, base_slot, end);
        }
        let caller = step(memory, cursor, rule, end)?;
        Ok((caller, saved_slot(rule, cursor, caller, base_slot)))
    }

    /// The hash of the whole stack; `root` is that of what is above it.
    #[inline(always)]
    pub fn path(&mut self, walked: Walked, root: PathHash) -> PathHash {
        self.kept.at_mut(0).path = root;
        let mut path = self.kept.at(walked.shared).path;
        let mut index = walked.shared;
        while index < walked.frames {
            index += 1;
            let kept = self.kept.at_mut(index);
            path = path.then(kept.address);
            kept.path = path;
        }
        path
    }

    /// The return addresses of the last walk with the hash of their path, root first.
    pub fn frames(&self, walked: Walked) -> impl Iterator<Item = (PathHash, u64)> {
        (1..=walked.frames).map(|index| {
            let kept = self.kept.at(index);
            (kept.path, kept.address)
        })
    }

    /// Whether the cursor stands on a remembered frame from which on nothing has changed. Then
    /// `next` is the number of frames that are shared.
    #[inline(always)]
    fn meets(
        &self,
        memory: &impl StackMemory,
        meeting: &mut Meeting,
        cursor: Cursor,
        address: u64,
    ) -> bool {
        while meeting.slot < cursor.slot {
            meeting.next -= 1;
            meeting.slot = self.kept.at(meeting.next).slot;
        }
        meeting.slot == cursor.slot
            && self.kept.at(meeting.next).address == address
            && self.is_same(memory, meeting, cursor, meeting.next)
    }

    /// Whether nothing from `frame` to the root has changed.
    #[inline(always)]
    fn is_same(
        &self,
        memory: &impl StackMemory,
        meeting: &mut Meeting,
        cursor: Cursor,
        frame: usize,
    ) -> bool {
        if frame > meeting.limit {
            return false;
        }
        if meeting.intact == NOT_LOOKED {
            if self.end_slot != 0 && memory.word(self.end_slot) != 0 {
                // Even the outermost frame has a caller now.
                meeting.limit = 0;
                return false;
            }
            meeting.intact = self.intact(memory, frame);
        }
        // The frame itself is the one that the cursor stands on.
        if frame > meeting.intact + 1 {
            meeting.limit = meeting.intact + 1;
            return false;
        }
        if self.kept.at(frame).based_up_to == 0 {
            return true;
        }
        match self.changed_base(memory, frame, cursor) {
            Some(changed) => {
                meeting.limit = changed - 1;
                false
            }
            None => true,
        }
    }

    /// How many frames from the root on, of those before frame `end`, have their return addresses still.
    #[inline(never)]
    fn intact(&self, memory: &impl StackMemory, end: usize) -> usize {
        let kept = self.kept.0.get(1..end).unwrap_or_default();
        let differs = |kept: &Kept| memory.word(kept.slot) ^ kept.address;
        let (fours, rest) = kept.as_chunks::<4>();
        let mut intact = 0;
        for [a, b, c, d] in fours {
            // What is left of a four that differs is not worth another look.
            if differs(a) | differs(b) | differs(c) | differs(d) != 0 {
                return intact;
            }
            intact += 4;
        }
        intact + rest.iter().take_while(|kept| differs(kept) == 0).count()
    }

    /// The first frame from the root, up to `frame`, that is found by another `rbp` now.
    #[inline(always)]
    fn changed_base(
        &self,
        memory: &impl StackMemory,
        frame: usize,
        cursor: Cursor,
    ) -> Option<usize> {
        let entries = self.kept.at(frame).based_up_to as usize;
        let based = self.based.0.get(..entries).unwrap_or_default();
        let changed = based.iter().find(|based| {
            let base = if based.base_slot > cursor.slot {
                memory.word(based.base_slot)
            } else {
                cursor.base
            };
            let moved = based.cfa_word != 0 && memory.word(based.cfa_word) != based.cfa;
            base != based.base || moved
        });
        changed.map(|based| based.frame as usize)
    }

    /// The shared frames may have got their `rbp` from elsewhere in this walk. That holds for the last of
    /// them that is found by it, if at all: for all others it was saved by shared frames.
    #[inline(always)]
    fn move_base_slot(&mut self, shared: usize, cursor: Cursor, base_slot: u64) {
        let entries = self.kept.at(shared).based_up_to as usize;
        if let Some(last) = entries.checked_sub(1) {
            let based = self.based.at_mut(last);
            if based.base_slot <= cursor.slot {
                based.base_slot = base_slot;
            }
        }
    }

    /// Remembers the fresh frames on top of `shared` ones.
    #[inline(always)]
    fn keep(&mut self, shared: usize, fresh: usize, fresh_based: usize, stop: Stop) -> Walked {
        self.stepped += fresh as u64;
        let frames = shared + fresh;
        if frames > MOST_FRAMES {
            return self.refuse(Stop::Deep);
        }
        let based_up_to = self.kept.at(shared).based_up_to;
        if fresh_based != 0 {
            return self.keep_based(shared, fresh, fresh_based, (stop, based_up_to));
        }
        // Fresh frames are leaf first, remembered ones root first.
        let (mut index, mut from) = (shared, fresh);
        while from > 0 {
            index += 1;
            from -= 1;
            let Fresh { slot, address } = *self.fresh.at(from);
            let kept = self.kept.at_mut(index);
            (kept.slot, kept.address, kept.based_up_to) = (slot, address, based_up_to);
        }
        self.count = frames;
        self.stop = stop;
        Walked {
            shared,
            frames,
            stop,
        }
    }

    /// As [`Self::keep`], where some of the frames are found by `rbp`.
    #[inline(never)]
    fn keep_based(
        &mut self,
        shared: usize,
        fresh: usize,
        fresh_based: usize,
        (stop, mut based_up_to): (Stop, u32),
    ) -> Walked {
        let frames = shared + fresh;
        let mut left = fresh_based;
        for (index, from) in (shared + 1..=frames).zip((0..fresh).rev()) {
            if left > 0 {
                let mut based = *self.fresh_based.at(left - 1);
                if based.frame as usize == from {
                    based.frame = u32::try_from(index).unwrap_or(0);
                    *self.based.at_mut(based_up_to as usize) = based;
                    based_up_to += 1;
                    left -= 1;
                }
            }
            let Fresh { slot, address } = *self.fresh.at(from);
            let kept = self.kept.at_mut(index);
            (kept.slot, kept.address, kept.based_up_to) = (slot, address, based_up_to);
        }
        self.count = frames;
        self.stop = stop;
        Walked {
            shared,
            frames,
            stop,
        }
    }

    #[cold]
    fn refuse(&mut self, stop: Stop) -> Walked {
        self.count = 0;
        Walked {
            shared: 0,
            frames: 0,
            stop,
        }
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

impl Based {
    #[inline(always)]
    fn of(
        memory: &impl StackMemory,
        rule: Rule,
        fresh: usize,
        cursor: Cursor,
        base_slot: u64,
        end: u64,
    ) -> Self {
        let (mut cfa_word, mut cfa) = (0, 0);
        if let Frame::Realigned { offset } = rule.frame() {
            let word = cursor.base.wrapping_add_signed(i64::from(offset));
            let room = end.checked_sub(word).is_some_and(|room| room >= 8);
            if word > cursor.slot && word.is_multiple_of(8) && room {
                (cfa_word, cfa) = (word, memory.word(word));
            }
        }
        Self {
            frame: u32::try_from(fresh).unwrap_or(0),
            base: cursor.base,
            base_slot,
            cfa_word,
            cfa,
        }
    }
}

/// Where the caller's `rbp` was read from: `before` if it stayed in the register.
#[inline(always)]
fn saved_slot(rule: Rule, from: Cursor, caller: Cursor, before: u64) -> u64 {
    match rule.offsets() {
        Some((_, 0)) => before,
        Some((_, saved)) => (caller.slot + 8).wrapping_sub(saved),
        None => from.base,
    }
}
