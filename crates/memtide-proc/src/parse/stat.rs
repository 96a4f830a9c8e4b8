//! `stat` of a process or of a thread: one line of 52 fields (proc(5), `/proc/pid/stat`).
//!
//! The second field is the name in parentheses, and the name may hold anything but a NUL: blanks,
//! parentheses, newlines, bytes that are not UTF-8. Nothing after it holds a parenthesis, so that
//! the last `)` ends it.

use super::scan;
use crate::error::Error;
use memtide_model::{Bytes, Pid, StartTime};

/// What memtide reads of a process's `stat`. Times are in clock ticks
/// ([`crate::clock::ticks_per_second`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat<'a> {
    /// Field 1: pid, of a thread its tid.
    pub pid: Pid,
    /// Field 2: the name, as raw as the kernel prints it, without the parentheses.
    pub comm: &'a [u8],
    /// Field 3: R, S, D, T, t, Z, X, I, ….
    pub state: u8,
    /// Field 4: the parent; pid 0 has none, and a parent in another namespace is 0.
    pub ppid: Pid,
    /// Field 5: process group.
    pub pgrp: i64,
    /// Field 6: session.
    pub session: i64,
    /// Field 9: flags of the kernel (`PF_…`).
    pub flags: u64,
    /// Field 10: minor faults since the start.
    pub min_flt: u64,
    /// Field 12: major faults since the start.
    pub maj_flt: u64,
    /// Field 14: user time in clock ticks.
    pub utime: u64,
    /// Field 15: system time in clock ticks.
    pub stime: u64,
    /// Field 20: threads in the process.
    pub num_threads: u64,
    /// Field 22: when it started.
    pub starttime: StartTime,
    /// Field 23: size of the address space; 0 of a zombie or kernel thread.
    pub vsize: Bytes,
    /// Field 24: resident pages; the kernel's quick count, which may lag.
    pub rss_pages: u64,
    /// Field 26: where its program text starts; 0 or 1 to readers without ptrace access.
    pub startcode: u64,
    /// Field 28: where its stack starts; 0 to readers without ptrace access.
    pub startstack: u64,
    /// Field 52 (since Linux 3.5): the wait status as of waitpid(2); 0 while it runs and to readers
    /// without ptrace access.
    pub exit_code: Option<i32>,
}

/// `PF_KTHREAD`, include/linux/sched.h.
const KERNEL_THREAD: u64 = 0x0020_0000;

impl Stat<'_> {
    /// True of a thread of the kernel, which has no memory of its own.
    pub const fn is_kernel_thread(&self) -> bool {
        self.flags & KERNEL_THREAD != 0
    }
}

/// What a sweep over many threads needs; see [`Stat`] for the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadStat<'a> {
    /// Field 2: the name, without the parentheses.
    pub comm: &'a [u8],
    /// Field 3: R, S, D, T, t, Z, X, I, ….
    pub state: u8,
    /// Field 10: minor faults since the start.
    pub min_flt: u64,
    /// Field 12: major faults since the start.
    pub maj_flt: u64,
    /// Field 14: user time in clock ticks.
    pub utime: u64,
    /// Field 15: system time in clock ticks.
    pub stime: u64,
    /// Field 22: when it started.
    pub starttime: StartTime,
}

const FILE: &str = "stat";

/// Parses a whole `stat`.
///
/// # Errors
/// A field up to the 28th that is missing or no number, or a line that is not ended.
pub fn parse(bytes: &[u8]) -> Result<Stat<'_>, Error> {
    let (pid, comm, fields) = split(bytes)?;
    let mut fields = Fields { rest: fields };
    let stat = Stat {
        pid,
        comm,
        state: fields.letter()?,
        ppid: Pid(fields.natural_u32("parent is no number")?),
        pgrp: fields.integer("process group is no number")?,
        session: fields.integer("session is no number")?,
        flags: fields.skip(2)?.natural("flags are no number")?,
        min_flt: fields.natural("minor faults are no number")?,
        maj_flt: fields.skip(1)?.natural("major faults are no number")?,
        utime: fields.skip(1)?.natural("user time is no number")?,
        stime: fields.natural("system time is no number")?,
        num_threads: fields.skip(4)?.natural("threads are no number")?,
        starttime: StartTime(fields.skip(1)?.natural("start time is no number")?),
        vsize: Bytes(fields.natural("address space is no number")?),
        // Printed as a signed number, and seen negative on old kernels whose counters raced.
        rss_pages: u64::try_from(fields.integer("resident pages are no number")?).unwrap_or(0),
        startcode: fields.skip(1)?.natural("text address is no number")?,
        startstack: fields.skip(1)?.natural("stack address is no number")?,
        exit_code: None,
    };
    // Fields 29 to 51 lie between; kernels before 3.5 end earlier.
    let exit_code = match fields.skip(23) {
        Ok(fields) if !fields.rest.is_empty() => {
            let code = fields.integer("exit code is no number")?;
            Some(i32::try_from(code).map_err(|_| bad("exit code is out of range"))?)
        }
        _ => None,
    };
    Ok(Stat { exit_code, ..stat })
}

/// Parses the fields of a thread's `stat` up to the 22nd, and does not look at the others.
///
/// # Errors
/// As [`parse`].
#[inline]
pub fn parse_thread(bytes: &[u8]) -> Result<ThreadStat<'_>, Error> {
    let (_, comm, fields) = split(bytes)?;
    let mut fields = Fields { rest: fields };
    Ok(ThreadStat {
        comm,
        state: fields.letter()?,
        min_flt: fields.skip(6)?.natural("minor faults are no number")?,
        maj_flt: fields.skip(1)?.natural("major faults are no number")?,
        utime: fields.skip(1)?.natural("user time is no number")?,
        stime: fields.natural("system time is no number")?,
        starttime: StartTime(fields.skip(6)?.natural("start time is no number")?),
    })
}

const fn bad(why: &'static str) -> Error {
    Error::malformed(FILE, 0, why)
}

/// The pid, the name, and the fields from the third on, each followed by one blank or the newline.
#[inline]
fn split(bytes: &[u8]) -> Result<(Pid, &[u8], &[u8]), Error> {
    let Some(line) = bytes.strip_suffix(b"\n") else {
        return Err(bad("cut off in the middle of a line"));
    };
    let name = |line| {
        let (pid, rest) = scan::decimal(line)?;
        let rest = rest.strip_prefix(b" (")?;
        let (comm, fields) = rest.split_at_checked(memchr::memrchr(b')', rest)?)?;
        Some((
            Pid(u32::try_from(pid).ok()?),
            comm,
            fields.strip_prefix(b") ")?,
        ))
    };
    name(line).ok_or(bad("no pid and name in parentheses"))
}

/// The fields that are left, the next one first.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    #[inline]
    fn letter(&mut self) -> Result<u8, Error> {
        let Some((&state, rest)) = self.rest.split_first() else {
            return Err(bad("no state"));
        };
        if !state.is_ascii_graphic() {
            return Err(bad("state is no letter"));
        }
        self.step(rest, "state is no letter")?;
        Ok(state)
    }

    #[inline]
    fn natural(&mut self, why: &'static str) -> Result<u64, Error> {
        let (value, rest) = scan::decimal(self.rest).ok_or(bad(why))?;
        self.step(rest, why)?;
        Ok(value)
    }

    fn natural_u32(&mut self, why: &'static str) -> Result<u32, Error> {
        u32::try_from(self.natural(why)?).map_err(|_| bad(why))
    }

    fn integer(&mut self, why: &'static str) -> Result<i64, Error> {
        let (value, rest) = scan::signed(self.rest).ok_or(bad(why))?;
        self.step(rest, why)?;
        Ok(value)
    }

    /// Goes over the blank behind a field; at the end of the line there is none.
    #[inline]
    fn step(&mut self, rest: &'a [u8], why: &'static str) -> Result<(), Error> {
        self.rest = match rest.split_first() {
            Some((b' ', rest)) => rest,
            Some(_) => return Err(bad(why)),
            None => rest,
        };
        Ok(())
    }

    /// Goes over `count` fields without looking at them.
    #[inline]
    fn skip(&mut self, count: usize) -> Result<&mut Self, Error> {
        let mut left = count;
        while left > 0 {
            let Some(blank) = self.rest.iter().position(|&byte| byte == b' ') else {
                return Err(bad("too few fields"));
            };
            self.rest = self.rest.get(blank + 1..).unwrap_or_default();
            left -= 1;
        }
        Ok(self)
    }
}
