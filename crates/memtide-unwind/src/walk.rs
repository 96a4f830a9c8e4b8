//! One step from a frame to its caller, within bounds.
//!
//! The bounds are the part of a stack that is known to be mapped, from the current `rsp` up. A
//! step reads nothing outside of them, goes only towards the root, and refuses what is not aligned:
//! so a walk ends, whatever the rules and the stack hold.

use crate::rule::{Frame, Rule};

/// Reads words of a stack.
pub trait StackMemory {
    /// The word at `address`. It is asked only for multiples of 8 within the bounds of the walk.
    fn word(&self, address: u64) -> u64;
}

/// Where a walk stands: on the slot of a return address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Address of the slot.
    pub slot: u64,
    /// `rbp` as it is after the return.
    pub base: u64,
}

/// Why a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// At the outermost frame.
    Root,
    /// At a frame made by a signal.
    Signal,
    /// The rule is not known, or leads out of the bounds or back.
    Lost,
    /// There are more frames than are followed.
    Deep,
}

/// From a frame to its caller. `rule` is that of the return address in `from.slot`; `end` is the
/// first address that may not be read, a multiple of 8; the slot itself lies below it.
#[inline(always)]
pub fn step(memory: &impl StackMemory, from: Cursor, rule: Rule, end: u64) -> Result<Cursor, Stop> {
    let Some((cfa, saved)) = rule.stack_offsets() else {
        return step_oddly(memory, from, rule, end);
    };
    // After the return `rsp` stands above the slot; such a rule never leads below it, and it never
    // says that `rbp` was saved outside of the frame.
    let slot = from.slot.wrapping_add(cfa);
    if slot >= end {
        return Err(Stop::Lost);
    }
    let base = match saved {
        0 => from.base,
        saved => memory.word((slot + 8).wrapping_sub(saved)),
    };
    Ok(Cursor { slot, base })
}

/// The steps that need more care: what is found by `rbp`, which may hold anything.
#[inline(never)]
fn step_oddly(
    memory: &impl StackMemory,
    from: Cursor,
    rule: Rule,
    end: u64,
) -> Result<Cursor, Stop> {
    let stack = from.slot.wrapping_add(8);
    let read = |address: u64| {
        let room = end.checked_sub(address).is_some_and(|room| room >= 8);
        let inside = address >= stack && room && address.is_multiple_of(8);
        inside.then(|| memory.word(address)).ok_or(Stop::Lost)
    };
    match rule.frame() {
        Frame::Base { cfa, saved } => {
            let cfa = from.base.wrapping_add(u64::from(cfa));
            let base = read(cfa.wrapping_sub(u64::from(saved)))?;
            let slot = cfa.checked_sub(8).filter(|slot| *slot >= stack);
            let slot = slot.ok_or(Stop::Lost)?;
            read(slot).map(|_| Cursor { slot, base })
        }
        Frame::Realigned { offset } => {
            let holder = from.base.wrapping_add_signed(i64::from(offset));
            let (cfa, base) = (read(holder)?, read(from.base)?);
            // What a frame saved lies in it; the tail relies on that.
            let slot = cfa.checked_sub(8).filter(|slot| *slot > from.base);
            let slot = slot.ok_or(Stop::Lost)?;
            read(slot).map(|_| Cursor { slot, base })
        }
        Frame::End => Err(Stop::Root),
        Frame::Signal => Err(Stop::Signal),
        _ => Err(Stop::Lost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const LOW: u64 = 0x7ffe_0000_0000;

    struct Words(Vec<u64>);

    impl StackMemory for Words {
        fn word(&self, address: u64) -> u64 {
            assert!(address.is_multiple_of(8), "{address:#x} is not aligned");
            let index = usize::try_from((address - LOW) / 8).expect("above the bounds");
            self.0[index]
        }
    }

    #[test]
    fn each_kind_of_frame_leads_to_its_caller() {
        let words = Words((0..16).map(|index| LOW + index * 8).collect());
        let from = Cursor {
            slot: LOW,
            base: LOW + 64,
        };
        let end = LOW + 128;
        let go = |frame| step(&words, from, Rule::new(frame), end);
        let at = |slot, base| {
            Ok(Cursor {
                slot: LOW + slot,
                base: LOW + base,
            })
        };
        // rsp is LOW + 8 after the return; each word of this stack holds its own address.
        assert_eq!(go(Frame::Stack { cfa: 32, saved: 0 }), at(32, 64));
        assert_eq!(go(Frame::Stack { cfa: 32, saved: 16 }), at(32, 24));
        assert_eq!(go(Frame::Base { cfa: 16, saved: 16 }), at(72, 64));
        assert_eq!(go(Frame::Realigned { offset: 16 }), at(72, 64));
        let saved_outside = go(Frame::Realigned { offset: 8 });
        assert_eq!(saved_outside, Err(Stop::Lost), "where the address lies");
        assert_eq!(go(Frame::End), Err(Stop::Root));
        assert_eq!(go(Frame::Signal), Err(Stop::Signal));
        assert_eq!(go(Frame::Unknown), Err(Stop::Lost));
        assert_eq!(
            go(Frame::Stack { cfa: 120, saved: 0 }),
            at(120, 64),
            "last word"
        );
        assert_eq!(go(Frame::Stack { cfa: 128, saved: 0 }), Err(Stop::Lost));
        assert_eq!(
            go(Frame::Stack { cfa: 0, saved: 0 }),
            Err(Stop::Lost),
            "no progress"
        );
    }

    /// `Words` panics where anything outside is read; the walk must end by itself.
    #[test]
    fn garbage_never_leads_out_of_the_bounds_or_round_in_circles() {
        let mut random = 3_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut steps = 0;
        for _ in 0..20_000 {
            let words = (0..64).map(|_| match next() % 3 {
                0 => next(),
                1 => LOW + next() % 520,
                _ => LOW + next() % 64 * 8,
            });
            let words = Words(words.collect());
            let base = words.0[0];
            let mut cursor = Cursor { slot: LOW, base };
            for taken in 0.. {
                assert!(taken < 64, "every step goes up");
                let mut words_below = |most| u32::try_from(next() % most * 8).expect("small");
                let (cfa, saved) = (words_below(20), words_below(5));
                let frame = match next() % 4 {
                    0 => Frame::Base { cfa, saved },
                    1 => Frame::Realigned {
                        offset: -(saved.cast_signed()),
                    },
                    _ => Frame::Stack { cfa, saved },
                };
                match step(&words, cursor, Rule::new(frame), LOW + 512) {
                    Ok(found) => {
                        assert!(found.slot > cursor.slot && found.slot <= LOW + 504);
                        cursor = found;
                        steps += 1;
                    }
                    Err(_) => break,
                }
            }
        }
        assert!(steps > 10_000, "the walks went somewhere: {steps}");
        let words = Words(Vec::new());
        let edge = Cursor {
            slot: u64::MAX - 15,
            base: u64::MAX,
        };
        let rule = Rule::new(Frame::Stack { cfa: 8, saved: 0 });
        assert_eq!(step(&words, edge, rule, u64::MAX - 7), Err(Stop::Lost));
    }
}
