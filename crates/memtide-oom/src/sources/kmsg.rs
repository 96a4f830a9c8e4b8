//! `/dev/kmsg`: the kernel's ring of messages (Documentation/ABI/testing/dev-kmsg).
//!
//! ```text
//! 6,1660,47759902072,-[,caller=T123];memory: usage 65536kB, …     a record per read(2)
//!  SUBSYSTEM=…                                                     further lines: no words
//! ```
//! The first number holds the facility above its three low bits: 0 is the kernel itself. The stamp is in
//! microseconds of a clock that stands still while the machine sleeps, as `CLOCK_MONOTONIC` does.

use crate::error::Error;
use crate::parse::bytes::decimal;
use crate::record::Record;
use memtide_model::Nanos;
use memtide_proc::clock;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read};
use std::os::fd::OwnedFd;

/// A record is at most so long (`PRINTK_MESSAGE_MAX`, with its escapes).
const LONGEST: usize = 8192;
/// The ring holds fewer (256 KiB to some MiB of text); reading ends here where messages keep coming.
const MOST: usize = 1 << 18;

/// The ring, from its oldest message on.
#[derive(Debug)]
pub struct Kmsg {
    file: OwnedFd,
    next: Option<u64>,
    lost: u64,
    offset_ns: i64,
}

impl Kmsg {
    /// Opens it.
    ///
    /// # Errors
    /// `Denied` where `kernel.dmesg_restrict` is 1 and nothing allows it, or a container hides it.
    pub fn open() -> Result<Self, Error> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open("/dev/kmsg", flags, Mode::empty())
            .map_err(|errno| Error::new("/dev/kmsg", errno))?;
        let monotonic = i64::try_from(clock::monotonic().0).unwrap_or(i64::MAX);
        Ok(Self {
            file,
            next: None,
            lost: 0,
            offset_ns: clock::realtime().saturating_sub(monotonic),
        })
    }

    /// The messages that have come since the last call, at the first those that are there.
    ///
    /// # Errors
    /// Where reading fails; that messages were overwritten meanwhile is counted and no error.
    pub fn read(&mut self) -> Result<Vec<Record>, Error> {
        let mut records = Vec::new();
        let mut buffer = vec![0_u8; LONGEST];
        while records.len() < MOST {
            match read(&self.file, &mut buffer) {
                Ok(0) | Err(Errno::AGAIN) => break,
                // Overwritten before it could be read: the next read goes on with the oldest.
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(errno) => return Err(Error::new("/dev/kmsg", errno)),
                Ok(length) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    self.count(bytes);
                    if let Some(mut record) = parse(bytes) {
                        record.wall_ns = record.stamp.and_then(|stamp| {
                            self.offset_ns.checked_add(i64::try_from(stamp.0).ok()?)
                        });
                        records.push(record);
                    }
                }
            }
        }
        Ok(records)
    }

    /// Messages that were overwritten before they could be read.
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    fn count(&mut self, bytes: &[u8]) {
        let Some(sequence) = head(bytes).map(|head| head.sequence) else {
            return;
        };
        if let Some(next) = self.next {
            self.lost = self.lost.saturating_add(sequence.saturating_sub(next));
        }
        self.next = sequence.checked_add(1);
    }
}

struct Head<'a> {
    facility: u64,
    sequence: u64,
    micros: u64,
    rest: &'a [u8],
}

fn head(bytes: &[u8]) -> Option<Head<'_>> {
    let (priority, rest) = decimal(bytes)?;
    let (sequence, rest) = decimal(rest.strip_prefix(b",")?)?;
    let (micros, rest) = decimal(rest.strip_prefix(b",")?)?;
    Some(Head {
        facility: priority >> 3,
        sequence,
        micros,
        rest: rest.strip_prefix(b",")?,
    })
}

/// A record; `None` for what is none, and for what a program wrote into the ring.
pub(crate) fn parse(bytes: &[u8]) -> Option<Record> {
    let Head {
        facility,
        sequence,
        micros,
        rest,
    } = head(bytes)?;
    if facility != 0 {
        return None;
    }
    let semicolon = memchr::memchr(b';', rest)?;
    let (flags, text) = rest.split_at_checked(semicolon)?;
    let text = text.get(1..)?;
    let text = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let caller = flags
        .split(|&byte| byte == b',')
        .find_map(|flag| flag.strip_prefix(b"caller="));
    Some(Record {
        sequence: Some(sequence),
        stamp: Some(Nanos(micros.checked_mul(1000)?)),
        wall_ns: None,
        caller: caller.map(|caller| String::from_utf8_lossy(caller).into_owned()),
        text: unescape(text),
    })
}

/// `\xNN` as the byte that it stands for.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let hex = (byte == b'\\')
            .then(|| after.strip_prefix(b"x")?.split_at_checked(2))
            .flatten();
        let value = hex.and_then(|(digits, after)| {
            let digits = std::str::from_utf8(digits).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            Some((is_hex.then(|| u8::from_str_radix(digits, 16).ok())??, after))
        });
        match value {
            Some((value, after)) => {
                plain.push(value);
                rest = after;
            }
            None => plain.push(byte),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_apart() {
        let record =
            parse(b"4,1632,47759901895,-,caller=T12;a\\x0ab\\\\ x\n SUBSYSTEM=y\n").unwrap();
        assert_eq!(record.sequence, Some(1632));
        assert_eq!(record.stamp, Some(Nanos(47_759_901_895_000)));
        assert_eq!(record.caller.as_deref(), Some("T12"));
        assert_eq!(record.text, b"a\nb\\\\ x");
    }

    #[test]
    fn what_a_program_wrote_is_not_the_kernels() {
        // Facility 1, "user": the kernel sets it for every write to /dev/kmsg.
        assert_eq!(
            parse(b"12,1,2,-;Out of memory: Killed process 1 (init) total-vm:1kB\n"),
            None
        );
        for broken in [
            &b""[..],
            b"4",
            b"4,",
            b"4,1,",
            b"4,1,2",
            b"4,1,2,-",
            b"x,1,2,-;a",
            b"4,1,99999999999999999999,-;a",
        ] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }
}
