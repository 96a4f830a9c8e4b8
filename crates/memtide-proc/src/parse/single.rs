//! Files that hold one thing: `comm`, `wchan`, `oom_score`, `children`, `syscall`, sysctl numbers.

use super::scan;
use crate::error::Error;
use memtide_model::Pid;

/// Parses a file of one decimal number and a newline: `oom_score`, `sys/vm/max_map_count`,
/// `memory.failcnt`. `file` names it in errors.
///
/// # Errors
/// Anything else in it.
pub fn parse_number(file: &'static str, bytes: &[u8]) -> Result<u64, Error> {
    let bad = || Error::malformed(file, 0, "not one number on one line");
    scan::number(bytes.strip_suffix(b"\n").ok_or_else(bad)?).ok_or_else(bad)
}

/// The name in `comm`: all bytes before the last newline, for a name may hold newlines itself.
///
/// # Errors
/// Without the newline that ends it.
pub fn parse_comm(bytes: &[u8]) -> Result<&[u8], Error> {
    bytes
        .strip_suffix(b"\n")
        .ok_or_else(|| Error::malformed("comm", 0, "not ended by a newline"))
}

/// The kernel function in `wchan` (no newline ends it); `None` where the task does not wait (`0`),
/// or the kernel does not tell this reader.
pub fn parse_wchan(bytes: &[u8]) -> Option<&[u8]> {
    let name = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    (!name.is_empty() && name != b"0").then_some(name)
}

/// A system call that a task is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InSyscall {
    /// Its number in the table of the task's architecture.
    pub number: i64,
    /// Its first argument; of futex(2) the address.
    pub first: u64,
    /// Its fourth; of futex(2) and `futex_waitv` where the time lies after which it gives up, 0 for never.
    pub fourth: u64,
}

/// The system call in `syscall` (`202 0x7f… …`); `None` where the task runs, or sleeps in the kernel for another
/// reason (`-1`, a page fault).
///
/// # Errors
/// Anything else in it.
pub fn parse_syscall(bytes: &[u8]) -> Result<Option<InSyscall>, Error> {
    let bad = || {
        Error::malformed(
            "syscall",
            0,
            "neither running nor a call with its arguments",
        )
    };
    let line = bytes.strip_suffix(b"\n").ok_or_else(bad)?;
    if line == b"running" {
        return Ok(None);
    }
    let (number, rest) = scan::signed(line).ok_or_else(bad)?;
    // Of no call there are two registers, of a call six arguments before these.
    let mut arguments = rest.split(|byte| *byte == b' ').skip(1).map(argument);
    let first = arguments.next().flatten().ok_or_else(bad)?;
    if number < 0 {
        return Ok(None);
    }
    let fourth = arguments.nth(2).flatten().ok_or_else(bad)?;
    Ok(Some(InSyscall {
        number,
        first,
        fourth,
    }))
}

fn argument(word: &[u8]) -> Option<u64> {
    let (number, rest) = scan::hexadecimal(word.strip_prefix(b"0x")?)?;
    rest.is_empty().then_some(number)
}

/// Calls `each` with the pids in `task/TID/children` (since Linux 3.5, with `CONFIG_PROC_CHILDREN`).
///
/// # Errors
/// What is no number followed by a blank; the pids before it were handed out already.
pub fn parse_children(bytes: &[u8], mut each: impl FnMut(Pid)) -> Result<(), Error> {
    const BAD: Error = Error::malformed("children", 0, "not numbers, each followed by a blank");
    let mut rest = bytes;
    while !rest.is_empty() {
        let (pid, after) = scan::decimal(rest).ok_or(BAD)?;
        rest = after.strip_prefix(b" ").ok_or(BAD)?;
        each(Pid(u32::try_from(pid).map_err(|_| BAD)?));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn children(bytes: &[u8]) -> (Vec<u32>, bool) {
        let mut pids = Vec::new();
        let complete = parse_children(bytes, |pid| pids.push(pid.0)).is_ok();
        (pids, complete)
    }

    #[test]
    fn children_are_ended_by_blanks() {
        assert_eq!(children(b""), (vec![], true));
        assert_eq!(children(b"12 345 "), (vec![12, 345], true));
        // Cut off: 34 may be the beginning of 345.
        assert_eq!(children(b"12 34"), (vec![12], false));
        assert_eq!(children(b"12 x "), (vec![12], false));
        assert_eq!(children(b"4294967296 "), (vec![], false));
    }

    #[test]
    fn one_number_is_one_number() {
        assert_eq!(parse_number("oom_score", b"667\n").unwrap(), 667);
        for broken in [&b"667"[..], b"", b"\n", b"6 7\n", b"-1\n", b"6\n7\n"] {
            assert!(parse_number("oom_score", broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_name_may_hold_newlines() {
        assert_eq!(parse_comm(b"a) b\n(\xff\n").unwrap(), b"a) b\n(\xff");
        assert!(parse_comm(b"a").is_err());
    }

    #[test]
    fn zero_is_no_kernel_function() {
        assert_eq!(parse_wchan(b"0"), None);
        assert_eq!(parse_wchan(b""), None);
        assert_eq!(parse_wchan(b"ep_poll"), Some(&b"ep_poll"[..]));
    }

    #[test]
    fn a_call_has_a_number_and_arguments() {
        let call = |text: &[u8]| parse_syscall(text).unwrap();
        let futex = b"202 0x5597de13b180 0x80 0x0 0x0 0x0 0x0 0x7f126e39be88 0x7f126e4a1829\n";
        let expected = InSyscall {
            number: 202,
            first: 0x5597_de13_b180,
            fourth: 0,
        };
        assert_eq!(call(futex), Some(expected));
        let timed =
            b"202 0x5597de13b180 0x189 0x0 0x7ffc8c 0x0 0xffffffff 0x7f126e39be88 0x7f126e4a1829\n";
        assert_eq!(call(timed).unwrap().fourth, 0x7f_fc8c);
        assert_eq!(call(b"running\n"), None);
        assert_eq!(call(b"-1 0x7ffc 0x7f12\n"), None);
        for broken in [
            &b"202"[..],
            b"202\n",
            b"202 x\n",
            b"202 0x1 0x2 0x3\n",
            b"",
            b"\n",
            b"running",
        ] {
            assert!(parse_syscall(broken).is_err(), "{broken:?}");
        }
    }
}
