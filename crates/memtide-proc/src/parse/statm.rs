//! `statm`: sizes in pages (proc(5), `/proc/pid/statm`), the cheapest look at a process's memory.
//!
//! Since Linux 6.2 RSS counters are per-CPU and may lag by a few dozen pages per CPU and kind.

use super::scan;
use crate::error::Error;
use memtide_model::Bytes;

/// A number of pages of the system's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pages(pub u64);

impl Pages {
    /// The pages in bytes; saturates.
    #[must_use]
    pub const fn to_bytes(self, page_size: Bytes) -> Bytes {
        Bytes(self.0.saturating_mul(page_size.0))
    }
}

/// A process's memory in pages. All zero of a zombie or a kernel thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statm {
    /// Address space (`VmSize`).
    pub size: Pages,
    /// Resident (`VmRSS`).
    pub resident: Pages,
    /// Of them backed by files or shared memory (`RssFile` + `RssShmem`).
    pub shared: Pages,
    /// Program text.
    pub text: Pages,
    /// Data and stack.
    pub data: Pages,
}

const FILE: &str = "statm";

/// Parses `statm`.
///
/// # Errors
/// Fewer than six numbers, or a line that is not ended.
#[inline]
pub fn parse(bytes: &[u8]) -> Result<Statm, Error> {
    let Some(mut rest) = bytes.strip_suffix(b"\n") else {
        return Err(Error::malformed(FILE, 0, "cut off in the middle of a line"));
    };
    let mut next = || {
        let bad = Error::malformed(FILE, 0, "fewer than six numbers");
        let (value, after) = scan::decimal(scan::skip_blanks(rest)).ok_or(bad)?;
        rest = after;
        Ok(Pages(value))
    };
    let (size, resident, shared, text) = (next()?, next()?, next()?, next()?);
    // The fifth, "lib", is 0 since Linux 2.6.
    next()?;
    Ok(Statm {
        size,
        resident,
        shared,
        text,
        data: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_number_is_data() {
        let statm = parse(b"6 5 4 3 0 2 0\n").unwrap();
        let pages = |statm: Statm| {
            [
                statm.size,
                statm.resident,
                statm.shared,
                statm.text,
                statm.data,
            ]
        };
        assert_eq!(pages(statm), [6, 5, 4, 3, 2].map(Pages));
        assert_eq!(statm.resident.to_bytes(Bytes(16384)), Bytes(81920));
        for broken in [
            &b"6 5 4 3 0\n"[..],
            b"6 5 4 3 0 2 0",
            b"",
            b"\n",
            b"a b c d e f g\n",
        ] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
    }
}
