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

/// Frames that a tail can hold, a power of two. Deeper stacks are truncated.
pub const MOST_FRAMES: usize = 512;
const MASK: usize = MOST_FRAMES - 1;

/// An array whose index is cut to its length, so that no check is needed and nothing can panic.
#[derive(Debug)]
struct Ring<T>([T; MOST_FRAMES]);

impl<T: Copy> Ring<T> {
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "the mask is the length less one")]
    fn get(&self, index: usize) -> T {
        self.0[index & MASK]
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "the mask is the length less one")]
    fn set(&mut self, index: usize, value: T) {
        self.0[index & MASK] = value;
    }
}

/// A frame that is found by `rbp`, and where that `rbp` came from.
#[derive(Clone, Copy, Debug)]
struct Based {
    /// Index of the frame, root first.
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

/// The last walk of one thread on its own stack.
#[derive(Debug)]
pub struct Tail {
    count: usize,
    slots: Ring<u64>,
    addresses: Ring<u64>,
    nodes: Ring<u32>,
    paths: Ring<PathHash>,
    /// How many entries of `based` belong to frames up to this one.
    based_up_to: Ring<u32>,
    based: Ring<Based>,
    /// Why the walk ended.
    stop: Stop,
    /// Slot of the zero that ended the stack; 0 if something else did.
    end_slot: u64,
    fresh: Ring<Fresh>,
    fresh_based: Ring<Based>,
    /// Frames stepped over in all walks.
    pub stepped: u64,
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

/// Where a walk met the remembered one.
struct Meeting {
    /// Frames from the root that are known to be intact; not looked at yet if `None`.
    intact: Option<usize>,
    /// Only frames below this may be met.
    limit: usize,
    /// The next frame that can be met, plus one.
    next: usize,
}

impl Tail {
    /// One that remembers nothing.
    pub const fn new() -> Self {
        Self {
            count: 0,
            slots: Ring([0; MOST_FRAMES]),
            addresses: Ring([0; MOST_FRAMES]),
            nodes: Ring([0; MOST_FRAMES]),
            paths: Ring([PathHash::ROOT; MOST_FRAMES]),
            based_up_to: Ring([0; MOST_FRAMES]),
            based: Ring([NOT_BASED; MOST_FRAMES]),
            stop: Stop::Root,
            end_slot: 0,
            fresh: Ring([Fresh { slot: 0, address: 0 }; MOST_FRAMES]),
            fresh_based: Ring([NOT_BASED; MOST_FRAMES]),
            stepped: 0,
        }
    }

    /// Forgets the last walk.
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// Return address of frame `index`, counted from the root.
    pub fn address(&self, index: usize) -> u64 {
        self.addresses.get(index)
    }

    /// Walks from `start`, whose slot holds the first return address, to the root. All addresses
    /// read lie in `start.slot..end`. After [`Stop::Signal`] and [`Stop::Deep`] nothing is
    /// remembered and the frames must be had by a plain walk.
    #[inline]
    pub fn walk(
        &mut self,
        memory: &impl StackMemory,
        rule_of: &mut impl FnMut(u64) -> Rule,
        start: Cursor,
        end: u64,
    ) -> Walked {
        let mut meeting = Meeting {
            intact: None,
            limit: self.count,
            next: self.count,
        };
        let (mut fresh, mut fresh_based) = (0, 0);
        let mut cursor = start;
        let mut base_slot = 0;
        let mut address = memory.word(cursor.slot);
        loop {
            if self.meets(memory, &mut meeting, cursor, address) {
                return self.keep(meeting.next, fresh, fresh_based, self.stop);
            }
            if fresh == MOST_FRAMES {
                return self.refuse(Stop::Deep);
            }
            let rule = rule_of(address);
            self.fresh.set(
                fresh,
                Fresh {
                    slot: cursor.slot,
                    address,
                },
            );
            if rule.uses_base() {
                self.fresh_based.set(
                    fresh_based,
                    Based::of(memory, rule, fresh, cursor, base_slot, end),
                );
                fresh_based += 1;
            }
            fresh += 1;
            let caller = match step(memory, cursor, rule, end) {
                Ok(caller) => caller,
                Err(Stop::Signal) => return self.refuse(Stop::Signal),
                Err(stop) => {
                    self.end_slot = 0;
                    return self.keep(0, fresh, fresh_based, stop);
                }
            };
            if let Some(slot) = saved_slot(rule, cursor, caller) {
                base_slot = slot;
            }
            cursor = caller;
            address = memory.word(cursor.slot);
            if address == 0 {
                self.end_slot = cursor.slot;
                return self.keep(0, fresh, fresh_based, Stop::Root);
            }
        }
    }

    /// Gives each frame that is not shared its node: `intern` gets the caller's node, the path and the
    /// address. The first caller is `root` with `path`. The leaf's node is returned.
    #[inline]
    pub fn intern(
        &mut self,
        walked: Walked,
        root: (u32, PathHash),
        mut intern: impl FnMut(u32, PathHash, u64) -> u32,
    ) -> u32 {
        let (mut node, mut path) = match walked.shared.checked_sub(1) {
            Some(last) => (self.nodes.get(last), self.paths.get(last)),
            None => root,
        };
        for index in walked.shared..walked.frames {
            let address = self.addresses.get(index);
            path = path.then(address);
            node = intern(node, path, address);
            self.paths.set(index, path);
            self.nodes.set(index, node);
        }
        node
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
        while meeting.next > 0 && self.slots.get(meeting.next - 1) < cursor.slot {
            meeting.next -= 1;
        }
        let Some(frame) = meeting.next.checked_sub(1) else {
            return false;
        };
        if self.slots.get(frame) != cursor.slot
            || self.addresses.get(frame) != address
            || frame >= meeting.limit
        {
            return false;
        }
        let intact = match meeting.intact {
            Some(intact) => intact,
            None => {
                let intact = self.intact(memory, frame);
                meeting.intact = Some(intact);
                intact
            }
        };
        if frame > intact {
            meeting.limit = intact + 1;
            return false;
        }
        match self.changed_base(memory, frame, cursor) {
            Some(changed) => {
                meeting.limit = changed;
                false
            }
            None => true,
        }
    }

    /// How many frames from the root on, at most `frames`, have their return addresses still.
    #[inline(always)]
    fn intact(&self, memory: &impl StackMemory, frames: usize) -> usize {
        if self.end_slot != 0 && memory.word(self.end_slot) != 0 {
            return 0;
        }
        let differs = |index| memory.word(self.slots.get(index)) ^ self.addresses.get(index);
        let mut index = 0;
        while index + 4 <= frames {
            let any = differs(index) | differs(index + 1) | differs(index + 2) | differs(index + 3);
            if any != 0 {
                break;
            }
            index += 4;
        }
        while index < frames && differs(index) == 0 {
            index += 1;
        }
        index
    }

    /// The first frame from the root, up to `frame`, that is found by another `rbp` now.
    #[inline(always)]
    fn changed_base(
        &self,
        memory: &impl StackMemory,
        frame: usize,
        cursor: Cursor,
    ) -> Option<usize> {
        let entries = self.based_up_to.get(frame) as usize;
        (0..entries).find_map(|entry| {
            let based = self.based.get(entry);
            let base = if based.base_slot > cursor.slot {
                memory.word(based.base_slot)
            } else {
                cursor.base
            };
            let moved = based.cfa_word != 0 && memory.word(based.cfa_word) != based.cfa;
            (base != based.base || moved).then_some(based.frame as usize)
        })
    }

    /// Remembers the fresh frames on top of `shared` ones.
    #[inline(always)]
    fn keep(&mut self, shared: usize, fresh: usize, fresh_based: usize, stop: Stop) -> Walked {
        self.stepped += fresh as u64;
        let frames = shared + fresh;
        if frames > MOST_FRAMES {
            return self.refuse(Stop::Deep);
        }
        let mut entries = match shared.checked_sub(1) {
            Some(last) => self.based_up_to.get(last) as usize,
            None => 0,
        };
        let mut left = fresh_based;
        for index in shared..frames {
            // Fresh frames are leaf first, remembered ones root first.
            let from = frames - 1 - index;
            let frame = self.fresh.get(from);
            self.slots.set(index, frame.slot);
            self.addresses.set(index, frame.address);
            if left > 0 {
                let mut based = self.fresh_based.get(left - 1);
                if based.frame as usize == from {
                    based.frame = u32::try_from(index).unwrap_or(0);
                    self.based.set(entries, based);
                    entries += 1;
                    left -= 1;
                }
            }
            self.based_up_to
                .set(index, u32::try_from(entries).unwrap_or(0));
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
        let (cfa_word, cfa) = match rule.frame() {
            Frame::Realigned { offset } => {
                let word = cursor.base.wrapping_add_signed(i64::from(offset));
                let readable = word >= cursor.slot
                    && word.is_multiple_of(8)
                    && end.checked_sub(word).is_some_and(|room| room >= 8);
                if readable {
                    (word, memory.word(word))
                } else {
                    (0, 0)
                }
            }
            _ => (0, 0),
        };
        Self {
            frame: u32::try_from(fresh).unwrap_or(0),
            base: cursor.base,
            base_slot,
            cfa_word,
            cfa,
        }
    }
}

/// Where the caller's `rbp` was read from; `None` if it stayed in the register.
#[inline(always)]
fn saved_slot(rule: Rule, from: Cursor, caller: Cursor) -> Option<u64> {
    match rule.frame() {
        Frame::Stack { saved: 0, .. } => None,
        Frame::Stack { saved, .. } | Frame::Base { saved, .. } => {
            Some(caller.slot + 8 - u64::from(saved))
        }
        Frame::Realigned { .. } => Some(from.base),
        _ => None,
    }
}
