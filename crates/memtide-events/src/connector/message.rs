//! Messages of the proc connector (`linux/cn_proc.h`) to events.
//!
//! ```text
//! nlmsghdr 16: length u32, type u16, flags u16, sequence u32, port u32
//! cn_msg   20: idx u32, val u32, seq u32, ack u32, length u16, flags u16
//! event    16: what u32, cpu u32, timestamp u64 (CLOCK_MONOTONIC), then by kind:
//!   NONE 0           err u32                     the answer to a request
//!   FORK 1           parent tid, tgid; child tid, tgid
//!   EXEC 2           tid, tgid
//!   COMM 0x200       tid, tgid, name 16 bytes
//!   EXIT 0x80000000  tid, tgid, status, signal, parent tid, tgid
//! ```
//!
//! `seq` counts the messages of each processor, so a gap is a loss.

use crate::bytes::{number_u32, number_u64};
use crate::event::{Change, Comm, TreeEvent};
use crate::order::Record;
use memtide_model::{Nanos, Pid};

const EVENT: usize = 36;
const BODY: usize = EVENT + 16;
const NONE: u32 = 0;
const FORK: u32 = 1;
const EXEC: u32 = 2;
const COMM: u32 = 0x200;
const EXIT: u32 = 0x8000_0000;

/// The number of a message among those of one processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) processor: u32,
    pub(super) sequence: u32,
}

/// What one message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// The kernel has heard a request, of us or of another listener: an errno, 0 for yes.
    Answer {
        /// The errno.
        errno: u32,
        /// Where it stands in the count; answers are counted, too (before Linux 6.6 not, and without processor).
        place: Option<Place>,
    },
    /// Something happened.
    Event {
        /// Where it stands in the count.
        place: Place,
        /// What it says of processes, if anything; its time is of `CLOCK_MONOTONIC`.
        record: Option<Record>,
    },
}

/// Asks for (`PROC_CN_MCAST_LISTEN`) messages.
pub(super) fn listen() -> [u8; 40] {
    /// `NLMSG_DONE`.
    const DONE: u16 = 3;
    let mut request = [0; 40];
    let mut put = |offset: usize, bytes: &[u8]| {
        for (to, from) in request.iter_mut().skip(offset).zip(bytes) {
            *to = *from;
        }
    };
    put(0, &40_u32.to_ne_bytes());
    put(4, &DONE.to_ne_bytes());
    // CN_IDX_PROC and CN_VAL_PROC, then the length of the operation and the operation.
    put(16, &1_u32.to_ne_bytes());
    put(20, &1_u32.to_ne_bytes());
    put(32, &4_u16.to_ne_bytes());
    put(36, &1_u32.to_ne_bytes());
    request
}

/// Reads one message; `None` for one that is cut off.
pub(super) fn parse(message: &[u8]) -> Option<Message> {
    let what = number_u32(message, EVENT)?;
    let place = Place {
        processor: number_u32(message, EVENT + 4)?,
        sequence: number_u32(message, 24)?,
    };
    if what == NONE {
        return Some(Message::Answer {
            errno: number_u32(message, BODY)?,
            place: (place.processor != u32::MAX).then_some(place),
        });
    }
    let record = record(message, what);
    Some(Message::Event { place, record })
}

fn record(message: &[u8], what: u32) -> Option<Record> {
    let at = Nanos(number_u64(message, EVENT + 8)?);
    let word = |index: usize| number_u32(message, BODY + 4 * index);
    let (task, pid) = (word(0)?, Pid(word(1)?));
    let change = match what {
        FORK => {
            let child = Pid(word(3)?);
            let task = word(2)?;
            // The message names the parent of a new thread's process, which has not made it.
            let maker = if task == child.0 { pid } else { child };
            return Some(Record {
                event: TreeEvent {
                    at,
                    pid: maker,
                    change: Change::Fork { child },
                },
                thread: task != child.0,
            });
        }
        // The message does not hold the new name.
        EXEC => Change::Exec { comm: None },
        COMM => Change::Comm(Comm::new(message.get(BODY + 8..)?)),
        EXIT => Change::Exit {
            status: Some(word(2)?.cast_signed()),
            parent: word(5).map(Pid),
        },
        _ => return None,
    };
    Some(Record {
        event: TreeEvent { at, pid, change },
        thread: task != pid.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLACE: Place = Place {
        processor: 1,
        sequence: 9,
    };

    fn message(what: u32, words: &[u32]) -> Vec<u8> {
        let mut message = vec![0; 24];
        message.extend_from_slice(&9_u32.to_ne_bytes());
        message.extend_from_slice(&[0; 8]);
        for word in [what, 1] {
            message.extend_from_slice(&word.to_ne_bytes());
        }
        message.extend_from_slice(&77_u64.to_ne_bytes());
        for word in words {
            message.extend_from_slice(&word.to_ne_bytes());
        }
        message
    }

    fn event(what: u32, words: &[u32]) -> Record {
        match parse(&message(what, words)) {
            Some(Message::Event {
                place: PLACE,
                record: Some(record),
            }) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_are_read() {
        let fork = event(FORK, &[11, 10, 20, 20]);
        assert_eq!(fork.event.pid, Pid(10), "the process, not the thread");
        assert_eq!(fork.event.change, Change::Fork { child: Pid(20) });
        assert_eq!((fork.event.at, fork.thread), (Nanos(77), false));
        let thread = event(FORK, &[1, 1, 21, 10]);
        assert!(thread.thread && thread.event.pid == Pid(10), "its process");
        let exit = event(EXIT, &[20, 20, 0x700, 17, 10, 10]);
        let end = Change::Exit {
            status: Some(0x700),
            parent: Some(Pid(10)),
        };
        assert_eq!((exit.event.change, exit.thread), (end, false));
        let name = u32::from_ne_bytes(*b"a)\n(");
        let comm = event(COMM, &[20, 20, name, 0, 0, 0]);
        assert_eq!(comm.event.change, Change::Comm(Comm::new(b"a)\n(")));
        let answer = Message::Answer {
            errno: 1,
            place: Some(PLACE),
        };
        assert_eq!(parse(&message(NONE, &[1])), Some(answer));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_none(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
