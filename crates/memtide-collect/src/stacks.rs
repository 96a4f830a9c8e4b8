//! The stacks of all processes with their sums, and which of them changed.
//!
//! A stack is known by its frames, its kind and its owner. Regions tell what their rows gained; at the
//! end of a tick the stacks that look different from last time are given out.

use crate::frames::{FrameId, Frames};
use crate::modules::Modules;
use crate::sums::{Abandoned, Sums};
use memtide_model::{
    Bytes, CallStack, StackCounters, StackEnd, StackId, StackKind, StackOwner, StackTotals,
};
use std::collections::HashMap;

/// Frames of all stacks together: 512 MiB of them. Real programs stay far below, a damaged region
/// could ask for more memory than there is.
const MOST_FRAMES: usize = 1 << 25;

/// What makes a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) leaf: FrameId,
    pub(crate) kind: StackKind,
    pub(crate) owner: StackOwner,
}

/// One stack's sums over regions.
#[derive(Debug)]
struct Stack {
    key: Key,
    sums: Sums,
    abandoned: Abandoned,
    /// Bytes at the peak, summed over the processes that run.
    peak: u64,
    /// The highest such number of one process that ended.
    ended_peak: u64,
    shown: StackCounters,
    changed: bool,
}

/// What is known of all regions together.
#[derive(Debug)]
pub(crate) struct Stacks {
    pub(crate) frames: Frames,
    pub(crate) modules: Modules,
    numbers: HashMap<Key, u32>,
    known: Vec<Stack>,
    new: Vec<CallStack>,
    /// Numbers of those with `changed`.
    changed: Vec<u32>,
    frames_left: usize,
    totals: StackTotals,
}

impl Stacks {
    pub(crate) fn new() -> Self {
        Self {
            frames: Frames::new(),
            modules: Modules::default(),
            numbers: HashMap::new(),
            known: Vec::new(),
            new: Vec::new(),
            changed: Vec::new(),
            frames_left: MOST_FRAMES,
            totals: StackTotals::default(),
        }
    }

    /// The number of a stack, which is made where it is new.
    pub(crate) fn number(&mut self, key: Key) -> u32 {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let (mut frames, mut end) = self.frames.stack(key.leaf);
        if frames.len() > self.frames_left {
            let overflow = Key {
                leaf: FrameId::OVERFLOW,
                ..key
            };
            if let Some(number) = self.numbers.get(&overflow) {
                return *number;
            }
            (frames, end) = (Vec::new(), StackEnd::Overflow);
        }
        self.frames_left -= frames.len();
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let leaf = if end == StackEnd::Overflow && frames.is_empty() {
            FrameId::OVERFLOW
        } else {
            key.leaf
        };
        let key = Key { leaf, ..key };
        self.numbers.insert(key, number);
        self.known.push(Stack {
            key,
            sums: Sums::default(),
            abandoned: Abandoned::default(),
            peak: 0,
            ended_peak: 0,
            shown: StackCounters::default(),
            changed: false,
        });
        self.new.push(CallStack {
            kind: key.kind,
            owner: key.owner,
            end,
            frames,
        });
        number
    }

    /// The same stack under another owner.
    pub(crate) fn number_for(&mut self, number: u32, owner: StackOwner) -> u32 {
        match self.known.get(number as usize) {
            Some(stack) => {
                let key = Key { owner, ..stack.key };
                self.number(key)
            }
            None => number,
        }
    }

    /// A row of a region has gone from `before` to `now`.
    pub(crate) fn advance(&mut self, number: u32, before: &Sums, now: &Sums) {
        self.change(number, |stack| stack.sums.advance(before, now));
    }

    /// Bytes of a row at the peak have gone from `before` to `now`.
    pub(crate) fn advance_peak(&mut self, number: u32, before: u64, now: u64) {
        self.change(number, |stack| {
            stack.peak = stack.peak.wrapping_add(now).wrapping_sub(before);
        });
    }

    /// The process of a row with these last counters ended.
    pub(crate) fn abandon(&mut self, number: u32, last: &Sums, peak: u64) {
        self.change(number, |stack| {
            stack.abandoned.add(last.live());
            stack.peak = stack.peak.wrapping_sub(peak);
            if peak.cast_signed() > 0 {
                stack.ended_peak = stack.ended_peak.max(peak);
            }
        });
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Stack)) {
        let Some(stack) = self.known.get_mut(number as usize) else {
            return;
        };
        change(stack);
        if !stack.changed {
            stack.changed = true;
            self.changed.push(number);
        }
    }

    /// The stacks that came since the last call.
    pub(crate) fn take_new(&mut self) -> Vec<CallStack> {
        std::mem::take(&mut self.new)
    }

    /// The stacks that look different from the last call, by number.
    pub(crate) fn take_changed(&mut self) -> Vec<(StackId, StackCounters)> {
        let mut numbers = std::mem::take(&mut self.changed);
        numbers.sort_unstable();
        let mut changed = Vec::with_capacity(numbers.len());
        for number in numbers {
            let Some(stack) = self.known.get_mut(number as usize) else {
                continue;
            };
            stack.changed = false;
            let now = stack.shown();
            let before = std::mem::replace(&mut stack.shown, now);
            if before != now {
                changed.push((StackId(number), now));
                if stack.key.owner == StackOwner::Target {
                    advance_totals(&mut self.totals, stack.key.kind, &before, &now);
                }
            }
        }
        changed
    }

    /// Sums over the target's stacks as they were given out; the caller knows the time and the peak.
    pub(crate) fn totals(&self) -> StackTotals {
        self.totals
    }

    /// Blocks and bytes that were never freed by processes that ended, by stack.
    pub(crate) fn abandoned(&self) -> impl Iterator<Item = (StackId, u64, Bytes)> {
        (0..).zip(&self.known).filter_map(|(number, stack)| {
            let (blocks, bytes) = stack.abandoned.shown();
            (stack.abandoned != Abandoned::default()).then_some((
                StackId(number),
                blocks,
                Bytes(bytes),
            ))
        })
    }
}

impl Stack {
    fn shown(&self) -> StackCounters {
        let running = if self.peak.cast_signed() < 0 {
            0
        } else {
            self.peak
        };
        self.sums
            .shown(&self.abandoned, running.max(self.ended_peak))
    }
}

fn advance_totals(
    totals: &mut StackTotals,
    kind: StackKind,
    before: &StackCounters,
    now: &StackCounters,
) {
    // Each term was added before it is taken away, so wrapping sums are exact.
    let step = |sum: u64, before: u64, now: u64| sum.wrapping_add(now).wrapping_sub(before);
    let bytes = (before.live_bytes(), now.live_bytes());
    if kind == StackKind::Mapping {
        totals.mapping_bytes.0 = step(totals.mapping_bytes.0, bytes.0, bytes.1);
        return;
    }
    totals.live_bytes.0 = step(totals.live_bytes.0, bytes.0, bytes.1);
    let blocks = (before.live_blocks(), now.live_blocks());
    totals.live_blocks = step(totals.live_blocks, blocks.0, blocks.1);
    totals.allocs = step(totals.allocs, before.allocs, now.allocs);
    totals.allocated_bytes.0 = step(totals.allocated_bytes.0, before.bytes, now.bytes);
}
