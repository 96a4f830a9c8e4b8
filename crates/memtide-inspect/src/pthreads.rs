//! Threads that ended and were never joined, by glibc's own records.
//!
//! Counting stacks is not enough: glibc keeps those of joined and detached threads for the next thread (40 MiB
//! of them, nptl/allocatestack.c). So `struct pthread` is read, which lies in the last page of each stack:
//!
//! | offset | what | |
//! | --- | --- | --- |
//! | 0, 0x10 | `header.tcb`, `header.self` | its own address |
//! | 0x2c0 | `list` | the next of all stacks in use, or of all cached ones |
//! | 0x2d0 | `tid` | 0 once the kernel has ended the thread (`CLONE_CHILD_CLEARTID`), -1 once it was joined |
//! | 0x308 | `cancelhandling` | 0x10 exiting (`start_thread`), 0x20 its record was freed (`__nptl_free_tcb`) |
//!
//! A record is freed when a thread is joined, or at its end when it is detached; until then its stack stays. So
//! ended and not joined is: `tid` 0, exiting, not freed. Stacks that lie side by side without a guard are found
//! through `list`. Offsets hold from glibc 2.31 to 2.41 on x86-64, and no version decides: a record counts only
//! when all of the above and `stackblock` with its size, found by what they say, fit together.
//!
//! It refuses to guess: on other processors, with another C library, or where no record is found though there
//! are stacks, nothing is known. Stacks that a program brings itself are not glibc's to keep.
#![expect(
    clippy::cast_possible_truncation,
    reason = "offsets within a page; the crate refuses to be built for machines of 32 bits"
)]

use crate::error::Error;
use crate::memory::{Mapping, Memory, PAGE, PageState, word_at};
use memtide_model::{Bytes, EndedThreads};
use std::collections::HashSet;

/// Bytes of a record that are read: all of it in the versions above.
const RECORD: usize = 0x8c0;
const SELF: [usize; 2] = [0, 0x10];
const LIST: usize = 0x2c0;
const TID: usize = 0x2d0;
const ROBUST_LIST: usize = 0x2e0;
const CANCEL: usize = 0x308;
/// Where `stackblock`, its size and the guard's may stand, one behind the other.
const STACK_BLOCK: std::ops::Range<usize> = 0x400..RECORD - 24;
/// `EXITING_BITMASK` and `TERMINATED_BITMASK`, nptl/descr.h.
const EXITING: u64 = 0x10;
const FREED: u64 = 0x20;
/// All bits of `cancelhandling` that have a meaning.
const CANCEL_BITS: u64 = 0x7f;
/// Records are aligned at least so.
const ALIGNED: usize = 64;
/// Records that are looked at.
const MOST_RECORDS: usize = 65_536;
/// The farthest that a record lies below its stack's upper end.
const FARTHEST: u64 = 64 << 10;

/// One `struct pthread`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    next: u64,
    tid: i32,
    cancel: u64,
    /// Where its stack begins, its size, and how much of that is guard.
    stack: Option<(u64, u64, u64)>,
}

impl Record {
    const fn is_alive(&self) -> bool {
        self.tid > 0
    }

    const fn is_ended_and_kept(&self) -> bool {
        self.tid == 0 && self.cancel & EXITING != 0 && self.cancel & FREED == 0
    }
}

/// Counts them. `None` where it cannot be known.
///
/// Errors: `Gone`, `Denied`.
pub(crate) fn ended(memory: &dyn Memory) -> Result<Option<EndedThreads>, Error> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(None);
    }
    let tops = tops(memory)?;
    let mut pages = Vec::new();
    memory.gather(&tops, PAGE as usize, &mut pages)?;
    let mut ahead: Vec<u64> = (tops.iter().zip(pages.chunks_exact(PAGE as usize)))
        .filter_map(|(top, page)| record_in(*top, page))
        .collect();
    if ahead.is_empty() {
        return Ok(tops.is_empty().then(EndedThreads::default));
    }
    let mut seen = HashSet::new();
    let mut found = EndedThreads::default();
    while let Some(address) = ahead.pop() {
        if seen.len() >= MOST_RECORDS || !seen.insert(address) {
            continue;
        }
        let mut bytes = [0; RECORD];
        let read = memory.read(address, &mut bytes)?;
        let Some(record) = bytes.get(..read).and_then(|bytes| parse(address, bytes)) else {
            continue;
        };
        // The head of the list lies in the C library and is no record.
        ahead.extend(record.next.checked_sub(LIST as u64));
        add(&mut found, &record, memory)?;
    }
    Ok(Some(found))
}

fn add(found: &mut EndedThreads, record: &Record, memory: &dyn Memory) -> Result<(), Error> {
    let Some((start, size, guard)) = record.stack else {
        return Ok(());
    };
    if record.is_alive() {
        found.alive += 1;
    } else if record.is_ended_and_kept() {
        found.count += 1;
        found.stack_bytes += Bytes(size);
        found.stack_resident += resident(memory, start + guard, start + size)?;
    }
    Ok(())
}

/// The addresses of the last pages of what may be stacks: memory with a closed guard right below it. Only those
/// that are present, which a stack's always is.
fn tops(memory: &dyn Memory) -> Result<Vec<u64>, Error> {
    let mut tops = Vec::new();
    for pair in memory.mappings().windows(2) {
        let [guard, stack] = pair else { continue };
        let closed = !guard.is_readable && !guard.is_writable && guard.end == stack.start;
        if closed && stack.is_plain_memory() && tops.len() < MOST_RECORDS {
            let top = last_page(stack);
            let mut state = [PageState::Absent];
            memory.pages(top / PAGE, &mut state)?;
            if state == [PageState::Present] {
                tops.push(top);
            }
        }
    }
    Ok(tops)
}

const fn last_page(stack: &Mapping) -> u64 {
    stack.end.saturating_sub(PAGE)
}

/// The address of a record that begins in this page.
fn record_in(address: u64, page: &[u8]) -> Option<u64> {
    let offsets = (0..page.len()).step_by(ALIGNED);
    let mut records = offsets.filter_map(|offset| {
        let own = address + offset as u64;
        let is_own = |at: &usize| word_at(page, offset + at) == Some(own);
        SELF.iter().all(is_own).then_some(own)
    });
    records.next()
}

/// A record, where all that it says fits together.
fn parse(address: u64, bytes: &[u8]) -> Option<Record> {
    let word = |at| word_at(bytes, at);
    if SELF.iter().any(|at| word(*at) != Some(address)) {
        return None;
    }
    // Its low half alone is the number of the thread.
    let [a, b, c, d, ..] = word(TID)?.to_le_bytes();
    let tid = i32::from_le_bytes([a, b, c, d]);
    let cancel = word(CANCEL)? & 0xffff_ffff;
    let is_idle = word(ROBUST_LIST)? == address + ROBUST_LIST as u64;
    if tid < -1 || cancel & !CANCEL_BITS != 0 || tid == 0 && !is_idle {
        return None;
    }
    let mut at = STACK_BLOCK.step_by(8);
    Some(Record {
        next: word(LIST)?,
        tid,
        cancel,
        stack: at.find_map(|at| stack(address, word(at)?, word(at + 8)?, word(at + 16)?)),
    })
}

/// A stack block that holds the record near its upper end.
fn stack(address: u64, start: u64, size: u64, guard: u64) -> Option<(u64, u64, u64)> {
    let whole = [start, size, guard].iter().all(|value| value % PAGE == 0);
    let end = start.checked_add(size)?;
    let is_it = whole && start < address && address < end && end - address <= FARTHEST;
    (is_it && guard < size).then_some((start, size, guard))
}

/// Bytes between two addresses that are in memory.
fn resident(memory: &dyn Memory, start: u64, end: u64) -> Result<Bytes, Error> {
    const STEP: u64 = 512;
    let mut states = [PageState::Absent; STEP as usize];
    let (mut page, last) = (start / PAGE, end / PAGE);
    let mut present = 0;
    while page < last {
        let count = (last - page).min(STEP);
        let states = states.get_mut(..count as usize).unwrap_or_default();
        states.fill(PageState::Absent);
        memory.pages(page, states)?;
        present += states
            .iter()
            .filter(|state| **state == PageState::Present)
            .count() as u64;
        page += count;
    }
    Ok(Bytes(present * PAGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: u64 = 0x7f00_0040_0700;
    const STACK: (u64, u64, u64) = (0x7f00_0000_0000, 0x40_1000, 0x1000);

    /// A record as glibc 2.36 writes it.
    fn written(tid: i32, cancel: u32) -> Vec<u8> {
        let mut bytes = vec![0; RECORD];
        let mut put =
            |at: usize, value: u64| bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        put(0, HERE);
        put(0x10, HERE);
        put(LIST, 0x7f11_0000_02c0);
        put(TID, u64::from(tid.cast_unsigned()));
        put(ROBUST_LIST, HERE + 0x2e0);
        put(CANCEL, u64::from(cancel));
        put(0x690, STACK.0);
        put(0x698, STACK.1);
        put(0x6a0, STACK.2);
        bytes
    }

    #[test]
    fn a_record_tells_who_ended_and_who_was_let_go() {
        for (tid, cancel, alive, kept, what) in [
            (4711, 0, true, false, "it lives"),
            (4711, 0x10, true, false, "it is ending"),
            (0, 0x10, false, true, "it ended"),
            (0, 0x30, false, false, "it was detached"),
            (-1, 0x30, false, false, "it was joined"),
            (0, 0, false, false, "it has not begun"),
        ] {
            let record = parse(HERE, &written(tid, cancel)).expect(what);
            assert_eq!(
                (record.is_alive(), record.is_ended_and_kept()),
                (alive, kept),
                "{what}"
            );
            assert_eq!(record.stack, Some(STACK));
        }
    }

    #[test]
    fn what_does_not_fit_together_is_no_record() {
        assert_eq!(
            parse(HERE + 64, &written(0, 0x10)),
            None,
            "not its own address"
        );
        assert_eq!(parse(HERE, &written(-7, 0)), None, "no thread");
        assert_eq!(parse(HERE, &written(0, 0x1000)), None, "no such bit");
        for length in 0..RECORD {
            let cut = &written(0, 0x10)[..length];
            assert!(parse(HERE, cut).is_none_or(|record| record.tid == 0));
        }
        let mut busy = written(0, 0x10);
        busy[ROBUST_LIST] ^= 1;
        assert_eq!(parse(HERE, &busy), None, "an ended thread holds no lock");
    }
}
