//! Records of the perf side-band, as `perf_event_open(2)` lays them out, to events.
//!
//! After the header, with `sample_id_all` and `TID|TIME`:
//!
//! ```text
//! FORK, EXIT  pid u32, ppid u32, tid u32, ptid u32, time u64, (pid u32, tid u32, time u64)
//! COMM        pid u32, tid u32, comm NUL-padded to 8 bytes,   (pid u32, tid u32, time u64)
//! LOST        id u64, lost u64, …
//! ```
//!
//! `pid` is the process, `tid` the task; of a fork they are the child's, and `ppid` is the process that
//! called it, of an exit `ppid` is the parent at that time. There is no exit status in here.

use crate::bytes::{number_u32, number_u64};
use crate::event::{Change, Comm, TreeEvent};
use crate::order::Record;
use memtide_model::{Nanos, Pid};

const LOST: u32 = 2;
const COMM: u32 = 3;
const EXIT: u32 = 4;
const FORK: u32 = 7;
/// In the header's `misc` of a COMM: it is an exec.
const COMM_EXEC: u16 = 1 << 13;
/// Bytes at the end of each record: pid, tid, time.
const SAMPLE_ID: usize = 16;

/// What one record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// Something happened.
    Happened(Record),
    /// So many records found no room.
    Lost(u64),
}

/// Reads a record of this type; `None` for one that says nothing of processes, is cut off, or is of a
/// process outside of our pid namespace (whose number is 0, or -1 of one that is being taken apart).
pub(super) fn parse(kind: u32, misc: u16, body: &[u8]) -> Option<Parsed> {
    match kind {
        LOST => number_u64(body, 8).map(Parsed::Lost),
        FORK => fork(body).map(Parsed::Happened),
        EXIT => exit(body).map(Parsed::Happened),
        COMM => comm(misc, body).map(Parsed::Happened),
        _ => None,
    }
}

/// A number that a process of ours can have.
fn pid(number: u32) -> Option<Pid> {
    (1..=i32::MAX.unsigned_abs())
        .contains(&number)
        .then_some(Pid(number))
}

fn fork(body: &[u8]) -> Option<Record> {
    let child = pid(number_u32(body, 0)?)?;
    // A parent outside of our namespace cannot make a child in it but by setns(2): 0, like any unknown.
    let parent = Pid(number_u32(body, 4)?);
    let task = number_u32(body, 8)?;
    Some(Record {
        event: TreeEvent {
            at: Nanos(number_u64(body, 16)?),
            pid: parent,
            change: Change::Fork { child },
        },
        thread: task != child.0,
    })
}

fn exit(body: &[u8]) -> Option<Record> {
    let ended = pid(number_u32(body, 0)?)?;
    let parent = pid(number_u32(body, 4)?);
    Some(Record {
        event: TreeEvent {
            at: Nanos(number_u64(body, 16)?),
            pid: ended,
            change: Change::Exit {
                status: None,
                parent,
            },
        },
        thread: number_u32(body, 8)? != ended.0,
    })
}

fn comm(misc: u16, body: &[u8]) -> Option<Record> {
    let named = pid(number_u32(body, 0)?)?;
    let end = body.len().checked_sub(SAMPLE_ID)?;
    let comm = Comm::new(body.get(8..end)?);
    let change = if misc & COMM_EXEC == 0 {
        Change::Comm(comm)
    } else {
        Change::Exec { comm: Some(comm) }
    };
    Some(Record {
        event: TreeEvent {
            at: Nanos(number_u64(body, end + 8)?),
            pid: named,
            change,
        },
        thread: number_u32(body, 4)? != named.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|n| n.to_ne_bytes()).collect()
    }

    fn with_time(mut body: Vec<u8>, time: u64) -> Vec<u8> {
        body.extend_from_slice(&time.to_ne_bytes());
        body
    }

    #[test]
    fn a_fork_is_told_from_a_new_thread() {
        let body = with_time(words(&[20, 10, 20, 11]), 77);
        let Some(Parsed::Happened(record)) = parse(FORK, 0, &body) else {
            panic!("a fork is one")
        };
        assert!(!record.thread);
        assert_eq!(record.event.at, Nanos(77));
        assert_eq!(record.event.pid, Pid(10));
        assert_eq!(record.event.change, Change::Fork { child: Pid(20) });
        let body = with_time(words(&[10, 10, 21, 10]), 78);
        let Some(Parsed::Happened(record)) = parse(FORK, 0, &body) else {
            panic!("a new thread is one")
        };
        assert!(record.thread && record.event.pid == Pid(10));
    }

    #[test]
    fn names_are_raw_and_exec_is_in_the_header() {
        let mut body = words(&[5, 5]);
        body.extend_from_slice(b"a b)\n\t(x\0\0\0\0\0\0\0\0");
        let body = with_time([body, words(&[5, 5])].concat(), 9);
        let name = Comm::new(b"a b)\n\t(x");
        for (misc, change) in [
            (0, Change::Comm(name)),
            (COMM_EXEC, Change::Exec { comm: Some(name) }),
        ] {
            let Some(Parsed::Happened(record)) = parse(COMM, misc, &body) else {
                panic!("a name is one")
            };
            assert_eq!(record.event.change, change);
            assert_eq!(record.event.at, Nanos(9));
        }
    }

    #[test]
    fn losses_are_counts_and_other_namespaces_are_nobody() {
        let body: Vec<u8> = [1_u64, 42, 0, 0]
            .iter()
            .flat_map(|n| n.to_ne_bytes())
            .collect();
        assert_eq!(parse(LOST, 0, &body), Some(Parsed::Lost(42)));
        for number in [0, u32::MAX] {
            let body = with_time(words(&[number, 1, number, 1]), 7);
            assert_eq!(parse(EXIT, 0, &body), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_or_none(kind in 0_u32..24, misc: u16, body: Vec<u8>) {
            let _ = parse(kind, misc, &body);
        }
    }
}
