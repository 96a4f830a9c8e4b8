//! What outlives the processes that made it: System V objects (`/proc/sysvipc/{shm,msg,sem}`, sysvipc(7)) and
//! POSIX message queues (a file of a mounted mqueue filesystem, `mq_overview(7)`).
//!
//! The tables of System V have a header and one row of numbers per object. Keys and numbers of objects are
//! printed as signed, everything else as unsigned; `rss` and `swap` of segments came with Linux 2.6.34.

use super::scan;
use crate::error::Error;
use memtide_model::{Bytes, Pid};

/// What the three kinds have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemV {
    /// The key that it was asked for by; 0 (`IPC_PRIVATE`) where by none.
    pub key: u32,
    /// Its number.
    pub id: u32,
    /// Permissions; of segments also [`Segment::is_doomed`].
    pub mode: u32,
    /// Who owns it.
    pub uid: u32,
    /// Who made it.
    pub creator_uid: u32,
    /// When it was made or its permissions were changed, seconds since 1970.
    pub changed: u64,
}

/// A row of `shm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Which.
    pub object: SystemV,
    /// Its size as it was asked for.
    pub size: Bytes,
    /// Who made it; the number may be another process's by now.
    pub creator: Pid,
    /// Who attached or detached it last.
    pub last: Pid,
    /// How many times it is attached.
    pub attached: u64,
    /// When it was last attached, seconds since 1970; 0: never.
    pub attached_at: u64,
    /// When it was last detached, seconds since 1970; 0: never.
    pub detached_at: u64,
    /// Resident.
    pub resident: Option<Bytes>,
    /// Swapped out.
    pub swapped: Option<Bytes>,
}

/// `SHM_DEST`, include/linux/shm.h.
const DOOMED: u32 = 0o1000;

impl Segment {
    /// True of one that was removed, and goes when the last process detaches it.
    pub const fn is_doomed(&self) -> bool {
        self.object.mode & DOOMED != 0
    }
}

/// A row of `msg`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageQueue {
    /// Which.
    pub object: SystemV,
    /// Bytes of messages in it.
    pub bytes: Bytes,
    /// Messages in it.
    pub messages: u64,
    /// Who sent last; 0: nobody.
    pub last_sender: Pid,
    /// Who received last; 0: nobody.
    pub last_receiver: Pid,
    /// When a message was last sent, seconds since 1970; 0: never.
    pub sent_at: u64,
    /// When a message was last received, seconds since 1970; 0: never.
    pub received_at: u64,
}

/// A row of `sem`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SemaphoreSet {
    /// Which.
    pub object: SystemV,
    /// Semaphores in it.
    pub semaphores: u64,
    /// When it was last operated on, seconds since 1970; 0: never.
    pub used_at: u64,
}

/// Calls `each` with every row of `sysvipc/shm`.
///
/// # Errors
/// A row that is none, a file that is empty or cut off; the rows before it were handed out already.
pub fn parse_segments(bytes: &[u8], mut each: impl FnMut(Segment)) -> Result<(), Error> {
    rows("sysvipc/shm", bytes, |row| {
        let (key, id, mode) = row.head()?;
        let size = Bytes(row.number()?);
        let (creator, last, attached) = (row.pid()?, row.pid()?, row.number()?);
        let (uid, creator_uid) = row.owners()?;
        let (attached_at, detached_at, changed) = (row.number()?, row.number()?, row.number()?);
        each(Segment {
            object: SystemV {
                key,
                id,
                mode,
                uid,
                creator_uid,
                changed,
            },
            size,
            creator,
            last,
            attached,
            attached_at,
            detached_at,
            resident: row.number().map(Bytes),
            swapped: row.number().map(Bytes),
        });
        Some(())
    })
}

/// Calls `each` with every row of `sysvipc/msg`.
///
/// # Errors
/// As [`parse_segments`].
pub fn parse_queues(bytes: &[u8], mut each: impl FnMut(MessageQueue)) -> Result<(), Error> {
    rows("sysvipc/msg", bytes, |row| {
        let (key, id, mode) = row.head()?;
        let (bytes, messages) = (Bytes(row.number()?), row.number()?);
        let (last_sender, last_receiver) = (row.pid()?, row.pid()?);
        let (uid, creator_uid) = row.owners()?;
        let (sent_at, received_at, changed) = (row.number()?, row.number()?, row.number()?);
        each(MessageQueue {
            object: SystemV {
                key,
                id,
                mode,
                uid,
                creator_uid,
                changed,
            },
            bytes,
            messages,
            last_sender,
            last_receiver,
            sent_at,
            received_at,
        });
        Some(())
    })
}

/// Calls `each` with every row of `sysvipc/sem`.
///
/// # Errors
/// As [`parse_segments`].
pub fn parse_semaphores(bytes: &[u8], mut each: impl FnMut(SemaphoreSet)) -> Result<(), Error> {
    rows("sysvipc/sem", bytes, |row| {
        let (key, id, mode) = row.head()?;
        let semaphores = row.number()?;
        let (uid, creator_uid) = row.owners()?;
        let (used_at, changed) = (row.number()?, row.number()?);
        each(SemaphoreSet {
            object: SystemV {
                key,
                id,
                mode,
                uid,
                creator_uid,
                changed,
            },
            semaphores,
            used_at,
        });
        Some(())
    })
}

/// Gives every row behind the header to `read`, which returns `None` where it is not one.
fn rows<'a>(
    file: &'static str,
    bytes: &'a [u8],
    mut read: impl FnMut(&mut Row<'a>) -> Option<()>,
) -> Result<(), Error> {
    for (number, line) in scan::some_lines(file, bytes)?.skip(1) {
        let mut row = Row { rest: line };
        read(&mut row).ok_or(Error::malformed(
            file,
            number,
            "not the columns of its kind",
        ))?;
    }
    Ok(())
}

/// The numbers of a row that are left.
struct Row<'a> {
    rest: &'a [u8],
}

impl Row<'_> {
    fn number(&mut self) -> Option<u64> {
        let (value, rest) = scan::decimal(scan::skip_blanks(self.rest))?;
        self.rest = rest;
        Some(value)
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn pid(&mut self) -> Option<Pid> {
        self.small().map(Pid)
    }

    /// A number that is printed as signed, as the bits that it has.
    fn bits(&mut self) -> Option<u32> {
        let (value, rest) = scan::signed(scan::skip_blanks(self.rest))?;
        self.rest = rest;
        let value = i32::try_from(value).ok()?;
        Some(u32::from_ne_bytes(value.to_ne_bytes()))
    }

    /// Key, number, permissions in octal digits.
    fn head(&mut self) -> Option<(u32, u32, u32)> {
        let (key, id, mode) = (self.bits()?, self.bits()?, self.small()?);
        let mode = u32::from_str_radix(&mode.to_string(), 8).ok()?;
        Some((key, id, mode))
    }

    /// Owner and maker, without their groups.
    fn owners(&mut self) -> Option<(u32, u32)> {
        let (uid, _gid) = (self.small()?, self.small()?);
        let (creator_uid, _creator_gid) = (self.small()?, self.small()?);
        Some((uid, creator_uid))
    }
}

/// Bytes of messages in a POSIX queue, by its file: `QSIZE:129     NOTIFY:0     SIGNO:0 …`.
///
/// # Errors
/// A file without that key, or that is cut off.
pub fn parse_posix_queue(bytes: &[u8]) -> Result<Bytes, Error> {
    let mut lines = scan::some_lines("mqueue", bytes)?;
    let line = lines.next().map_or(&b""[..], |(_, line)| line);
    scan::words(line)
        .find_map(|word| scan::number(word.strip_prefix(b"QSIZE:")?))
        .map(Bytes)
        .ok_or(Error::malformed("mqueue", 1, "no size of the queue"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_have_resident_bytes_since_2_6_34() {
        let text = b"       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      atime      dtime      ctime                   rss                  swap\n\
            -1414812757     196611  1600               1048576  8472  8473      2  1000   100     0     0 1732200001 1732200002 1732200000                524288                  4096\n\
                     0     196612   600               1048576  8472     0      0  1000   100     0     0          0          0 1732200000\n";
        let mut rows = Vec::new();
        parse_segments(text, |row| rows.push(row)).unwrap();
        let first = rows[0];
        assert_eq!((first.object.key, first.object.id), (0xabab_abab, 196_611));
        assert_eq!((first.object.uid, first.object.creator_uid), (1000, 0));
        assert_eq!(
            (first.creator, first.last, first.attached),
            (Pid(8472), Pid(8473), 2)
        );
        assert_eq!(
            (first.size, first.resident),
            (Bytes(1 << 20), Some(Bytes(1 << 19)))
        );
        assert_eq!(
            (first.swapped, first.object.changed),
            (Some(Bytes(4096)), 1_732_200_000)
        );
        assert!(first.is_doomed() && !rows[1].is_doomed());
        assert_eq!((rows[1].resident, rows[1].attached_at), (None, 0));
    }

    #[test]
    fn queues_and_semaphores_are_read() {
        let text = b"       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime      ctime\n\
                     7          1   600          50          1   123     0  1000   100  1000   100 1732200001          0 1732200000\n";
        let mut queues = Vec::new();
        parse_queues(text, |row| queues.push(row)).unwrap();
        assert_eq!((queues[0].bytes, queues[0].messages), (Bytes(50), 1));
        assert_eq!(
            (queues[0].last_sender, queues[0].last_receiver),
            (Pid(123), Pid(0))
        );
        assert_eq!(
            (queues[0].sent_at, queues[0].received_at),
            (1_732_200_001, 0)
        );
        let text = b"       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n\
                     0          3   600         250     5     6     7     8          0 1732200000\n";
        let mut sets = Vec::new();
        parse_semaphores(text, |row| sets.push(row)).unwrap();
        assert_eq!(
            (
                sets[0].semaphores,
                sets[0].object.uid,
                sets[0].object.creator_uid
            ),
            (250, 5, 7)
        );
        assert_eq!(sets[0].object.changed, 1_732_200_000);
    }

    #[test]
    fn rows_of_another_shape_are_refused() {
        for broken in [
            &b"header\n1 2 3\n"[..],
            b"header\n1 2 8 4 5 6 7 8 9 10 11 12 13 14\n",
            b"header\n99999999999 2 600 4 5 6 7 8 9 10 11 12 13 14\n",
            b"header\nx\n",
            b"header",
            b"",
        ] {
            let read = parse_segments(broken, |_| ());
            assert!(read.is_err(), "{}", broken.escape_ascii());
        }
    }

    #[test]
    fn a_posix_queue_tells_its_bytes() {
        let text = b"QSIZE:129        NOTIFY:0     SIGNO:0     NOTIFY_PID:0     \n";
        assert_eq!(parse_posix_queue(text).unwrap(), Bytes(129));
        for broken in [&b"QSIZE:129"[..], b"QSIZE:x\n", b"NOTIFY:0\n", b""] {
            assert!(parse_posix_queue(broken).is_err());
        }
    }
}
