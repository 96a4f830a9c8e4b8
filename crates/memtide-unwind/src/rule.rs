//! How to get from a return address to its caller's frame, in 31 bits, and a table of such rules.
//!
//! x86-64 code built by gcc, clang or rustc restores its caller in one of four ways; everything else
//! ends the stack. A table entry is one 64-bit word, `tag (33) | rule (31)`. Bucket number and tag
//! are together a bijection of the 47-bit address (a multiplication by an odd number), so that one
//! atomic load decides: no false match, no torn read, no lock.

use core::sync::atomic::{AtomicU64, Ordering};

/// Where the caller's frame is, given `rsp` after the return and `rbp`.
///
/// The CFA is the caller's `rsp`; the return address lies 8 bytes below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// CFA is `rsp + cfa`; `rbp` was saved at `CFA - saved`, unless `saved` is 0.
    Stack {
        /// Bytes, a multiple of 8.
        cfa: u32,
        /// Bytes, a multiple of 8.
        saved: u32,
    },
    /// CFA is `rbp + cfa`; `rbp` was saved at `CFA - saved`.
    Base {
        /// Bytes, a multiple of 8.
        cfa: u32,
        /// Bytes, a multiple of 8.
        saved: u32,
    },
    /// CFA is the word at `rbp + offset`, and the saved `rbp` is the word at `rbp`: gcc's way of
    /// entering a function that needs a larger alignment.
    Realigned {
        /// Bytes, a multiple of 8.
        offset: i32,
    },
    /// The frame was made by a signal; the interrupted registers lie in it.
    Signal,
    /// The outermost frame.
    End,
    /// None of these; the stack is not known beyond.
    Unknown,
}

/// A [`Frame`] in 31 bits: kind (3), CFA offset in words (17, signed), slot of `rbp` in words (11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule(u32);

const KIND_STACK: u32 = 1;
const KIND_STACK_SAVED: u32 = 2;
const KIND_BASE: u32 = 3;
const KIND_REALIGNED: u32 = 4;
const KIND_SIGNAL: u32 = 5;
const KIND_END: u32 = 6;
const KIND_UNKNOWN: u32 = 7;

const CFA_BITS: u32 = 17;
const SAVED_BITS: u32 = 11;
const RULE_BITS: u32 = 31;

impl Rule {
    /// The stack is not known beyond this frame.
    pub const UNKNOWN: Self = Self(KIND_UNKNOWN);

    /// Packs a frame; offsets that do not fit or are no whole words give [`Rule::UNKNOWN`].
    pub const fn new(frame: Frame) -> Self {
        let packed = match frame {
            Frame::Stack { cfa, saved: 0 } => Self::pack(KIND_STACK, cfa.cast_signed(), 0),
            Frame::Stack { cfa, saved } => Self::pack(KIND_STACK_SAVED, cfa.cast_signed(), saved),
            Frame::Base { cfa, saved } if saved != 0 => {
                Self::pack(KIND_BASE, cfa.cast_signed(), saved)
            }
            Frame::Realigned { offset } => Self::pack(KIND_REALIGNED, offset, 0),
            Frame::Signal => Some(KIND_SIGNAL),
            Frame::End => Some(KIND_END),
            Frame::Unknown | Frame::Base { .. } => None,
        };
        match packed {
            Some(bits) => Self(bits),
            None => Self::UNKNOWN,
        }
    }

    const fn pack(kind: u32, cfa: i32, saved: u32) -> Option<u32> {
        let limit = 1 << (CFA_BITS - 1);
        let (words, slot) = (cfa / 8, saved / 8);
        let outside = kind == KIND_STACK_SAVED && (saved < 16 || saved > cfa.unsigned_abs());
        let nowhere = cfa == 0 && kind != KIND_REALIGNED;
        if outside || nowhere {
            return None;
        }
        if cfa % 8 != 0 || !saved.is_multiple_of(8) || slot >= 1 << SAVED_BITS {
            return None;
        }
        if words < -limit || words >= limit || (kind != KIND_REALIGNED && words < 0) {
            return None;
        }
        let words = words.cast_unsigned() & ((1 << CFA_BITS) - 1);
        Some(kind | words << 3 | slot << (3 + CFA_BITS))
    }

    /// As a number that can be kept.
    #[inline(always)]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// From [`Self::to_bits`]; any number is a rule, most of them unknown ones.
    #[inline(always)]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Of the frames that are found by adding to a register: what is added for the CFA, and how far
    /// below it `rbp` was saved (0: it was not), in bytes.
    #[inline(always)]
    pub const fn offsets(self) -> Option<(u64, u64)> {
        // Three bits of kind below words are bytes.
        const CFA: u32 = ((1 << CFA_BITS) - 1) << 3;
        if (self.0 & 7).wrapping_sub(KIND_STACK) > KIND_BASE - KIND_STACK {
            return None;
        }
        let saved = (self.0 >> CFA_BITS) & !7;
        Some(((self.0 & CFA) as u64, saved as u64))
    }

    /// As [`Self::offsets`], for frames that are found by `rsp`. The first is at least 8, the second 0 or
    /// from 16 up to the first, or the rule could not have been packed.
    #[inline(always)]
    pub const fn stack_offsets(self) -> Option<(u64, u64)> {
        match self.offsets() {
            Some(offsets) if !self.uses_base() => Some(offsets),
            _ => None,
        }
    }

    /// Whether the frame is found by `rbp`.
    #[inline(always)]
    pub const fn uses_base(self) -> bool {
        matches!(self.0 & 7, KIND_BASE | KIND_REALIGNED)
    }

    /// The frame that was packed.
    #[inline]
    pub const fn frame(self) -> Frame {
        let words = (self.0 >> 3) & ((1 << CFA_BITS) - 1);
        let saved = (self.0 >> (3 + CFA_BITS)) * 8;
        let cfa = words * 8;
        match self.0 & 7 {
            KIND_STACK => Frame::Stack { cfa, saved: 0 },
            KIND_STACK_SAVED => Frame::Stack { cfa, saved },
            KIND_BASE => Frame::Base { cfa, saved },
            KIND_REALIGNED => Frame::Realigned {
                offset: (words << (32 - CFA_BITS)).cast_signed() >> (32 - CFA_BITS - 3),
            },
            KIND_SIGNAL => Frame::Signal,
            KIND_END => Frame::End,
            _ => Frame::Unknown,
        }
    }
}

/// Eight rules in a cache line. All zero is empty: no rule has kind 0.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Bucket([AtomicU64; 8]);

/// Bits of a bucket number; the other 33 of 47 are the tag.
const BUCKET_BITS: u32 = 14;
const ADDRESS_BITS: u32 = 47;
const TAG_BITS: u32 = ADDRESS_BITS - BUCKET_BITS;
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Rules by return address. Full buckets forget a rule, which is then compiled again.
#[derive(Clone, Copy, Debug)]
pub struct RuleTable<'a>(&'a [Bucket; 1 << BUCKET_BITS]);

impl<'a> RuleTable<'a> {
    /// Buckets that a table needs: one MiB, touched only where addresses are seen.
    pub const BUCKETS: usize = 1 << BUCKET_BITS;

    /// A table over these buckets, if they are as many as [`Self::BUCKETS`].
    pub fn new(buckets: &'a [Bucket]) -> Option<Self> {
        buckets.try_into().ok().map(Self)
    }

    /// The bucket of an address and its tag there; `None` above the 47 bits of user space.
    #[inline(always)]
    fn place(self, address: u64) -> Option<(&'a Bucket, u64)> {
        if address >> ADDRESS_BITS != 0 {
            return None;
        }
        let mixed = address.wrapping_mul(MULTIPLIER) & ((1 << ADDRESS_BITS) - 1);
        let bucket = usize::try_from(mixed >> TAG_BITS).ok()?;
        Some((self.0.get(bucket)?, mixed & ((1 << TAG_BITS) - 1)))
    }

    /// The rule of this address, if it is known.
    #[inline(always)]
    pub fn get(self, address: u64) -> Option<Rule> {
        let (bucket, tag) = self.place(address)?;
        // Most buckets have one rule.
        let [first, ..] = &bucket.0;
        Self::matching(first, tag).or_else(|| Self::get_among_others(bucket, tag))
    }

    #[inline(always)]
    fn matching(slot: &AtomicU64, tag: u64) -> Option<Rule> {
        // With the right tag taken off, the rule is left, which is not 0; anything else is larger.
        let rule = slot.load(Ordering::Relaxed) ^ tag << RULE_BITS;
        let found = rule.wrapping_sub(1) < (1 << RULE_BITS) - 1;
        #[expect(clippy::cast_possible_truncation, reason = "below 2^31, or not used")]
        let bits = rule as u32;
        found.then_some(Rule(bits))
    }

    #[inline(never)]
    fn get_among_others(bucket: &Bucket, tag: u64) -> Option<Rule> {
        let [_, others @ ..] = &bucket.0;
        others.iter().find_map(|slot| Self::matching(slot, tag))
    }

    /// Remembers a rule; may forget another one of the same bucket.
    pub fn insert(self, address: u64, rule: Rule) {
        let Some((bucket, tag)) = self.place(address) else {
            return;
        };
        let word = tag << RULE_BITS | u64::from(rule.0);
        let is_place = |slot: &&AtomicU64| {
            let found = slot.load(Ordering::Relaxed);
            found == 0 || found >> RULE_BITS == tag
        };
        // Which one goes does not matter as long as neighbours in a bucket do not chase each other.
        let victim = usize::try_from(tag % 8).unwrap_or(0);
        let slot = bucket.0.iter().find(is_place);
        if let Some(slot) = slot.or(bucket.0.get(victim)) {
            slot.store(word, Ordering::Relaxed);
        }
    }

    /// Forgets all rules; for when a module has been unloaded.
    pub fn clear(self) {
        let used = self.0.iter().flat_map(|bucket| &bucket.0);
        for slot in used.filter(|slot| slot.load(Ordering::Relaxed) != 0) {
            slot.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use std::vec::Vec;

    fn buckets() -> Box<[Bucket]> {
        let buckets: Vec<Bucket> = (0..RuleTable::BUCKETS).map(|_| Bucket::default()).collect();
        buckets.into_boxed_slice()
    }

    #[test]
    fn frames_survive_packing_and_what_does_not_fit_is_unknown() {
        for cfa in (0..524_288).step_by(8 * 37) {
            for saved in (0..16_384).step_by(8 * 91) {
                let frame = Frame::Stack { cfa, saved };
                let is_frame = cfa > 0 && (saved == 0 || (16..=cfa).contains(&saved));
                let expected = if is_frame { frame } else { Frame::Unknown };
                assert_eq!(Rule::new(frame).frame(), expected);
                if saved != 0 && cfa != 0 {
                    let frame = Frame::Base { cfa, saved };
                    assert_eq!(Rule::new(frame).frame(), frame);
                }
            }
        }
        for offset in [-524_288, -8, 0, 8, 524_280] {
            let frame = Frame::Realigned { offset };
            assert_eq!(Rule::new(frame).frame(), frame);
        }
        let misfits = [
            Frame::Stack { cfa: 12, saved: 0 },
            Frame::Stack {
                cfa: 524_288,
                saved: 0,
            },
            Frame::Stack {
                cfa: u32::MAX - 7,
                saved: 0,
            },
            Frame::Base {
                cfa: 16,
                saved: 16_384,
            },
            Frame::Base { cfa: 16, saved: 0 },
            Frame::Realigned { offset: 4 },
        ];
        for frame in misfits {
            assert_eq!(Rule::new(frame), Rule::UNKNOWN, "{frame:?}");
        }
    }

    #[test]
    fn a_lookup_gives_the_rule_of_that_address_or_nothing() {
        let memory = buckets();
        let table = RuleTable::new(&memory).expect("as many as it wants");
        let rule_of = |address: u64| {
            let cfa = u32::try_from(address % 60_000).expect("small") * 8;
            Rule::new(Frame::Stack { cfa, saved: 16 })
        };
        let address = |index: u64| 0x7f00_0000_0000 + index * 13 + (index >> 9) * 0x10_0000;
        for index in 0..60_000 {
            table.insert(address(index), rule_of(address(index)));
        }
        let mut kept = 0;
        for index in 0..120_000 {
            let found = table.get(address(index));
            assert!(found.is_none() || found == Some(rule_of(address(index))));
            assert!(found.is_none() || index < 60_000, "never inserted");
            kept += u32::from(found.is_some());
        }
        assert!(
            kept > 54_000,
            "buckets forget few at half their load: kept {kept}"
        );
        table.clear();
        assert_eq!(table.get(address(1)), None);
        table.insert(1 << 47, rule_of(1));
        assert_eq!(table.get(1 << 47), None, "outside of user space");
    }
}
