//! `limits`: a table of resource limits (proc(5), `/proc/pid/limits`).
//!
//! The grammar is: the limit's name, then soft and hard value, then the unit, separated by blanks.
//! Names hold single blanks themselves, so that a line is found by the name that it starts with.

use super::scan;
use crate::error::Error;

/// A limit's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// `unlimited`.
    Unlimited,
    /// At most so many; the unit is the limit's.
    AtMost(u64),
}

impl Bound {
    /// The number, where there is a limit.
    pub const fn value(self) -> Option<u64> {
        match self {
            Self::Unlimited => None,
            Self::AtMost(value) => Some(value),
        }
    }
}

/// A soft limit, which holds, and the hard one, up to which its owner may raise it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What holds.
    pub soft: Bound,
    /// Up to where it may be raised.
    pub hard: Bound,
}

/// The limits that bear on memory; `None`: the kernel does not print it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `Max address space`, `RLIMIT_AS`, bytes.
    pub address_space: Option<Limit>,
    /// `Max data size`, `RLIMIT_DATA`, bytes.
    pub data: Option<Limit>,
    /// `Max stack size`, `RLIMIT_STACK`, bytes.
    pub stack: Option<Limit>,
    /// `Max locked memory`, `RLIMIT_MEMLOCK`, bytes.
    pub locked: Option<Limit>,
    /// `Max open files`, `RLIMIT_NOFILE`.
    pub open_files: Option<Limit>,
    /// `Max processes`, `RLIMIT_NPROC`: processes and threads of the user.
    pub processes: Option<Limit>,
}

/// Parses `limits`.
///
/// # Errors
/// A known limit without two values; a file that is empty or cut off.
pub fn parse(bytes: &[u8]) -> Result<Limits, Error> {
    let mut limits = Limits::default();
    for (number, line) in scan::some_lines("limits", bytes)? {
        let known = [
            (&b"Max address space "[..], &mut limits.address_space),
            (b"Max data size ", &mut limits.data),
            (b"Max stack size ", &mut limits.stack),
            (b"Max locked memory ", &mut limits.locked),
            (b"Max open files ", &mut limits.open_files),
            (b"Max processes ", &mut limits.processes),
        ];
        for (name, field) in known {
            if let Some(values) = line.strip_prefix(name) {
                let bad = Error::malformed("limits", number, "no soft and hard value");
                *field = Some(limit(values).ok_or(bad)?);
            }
        }
    }
    Ok(limits)
}

fn limit(values: &[u8]) -> Option<Limit> {
    let mut values = scan::words(values).map(|word| match word {
        b"unlimited" => Some(Bound::Unlimited),
        word => scan::number(word).map(Bound::AtMost),
    });
    Some(Limit {
        soft: values.next()??,
        hard: values.next()??,
    })
}
