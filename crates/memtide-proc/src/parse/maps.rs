//! `maps`: one line per mapping (proc(5), `/proc/pid/maps`).

use super::{header, scan};
use crate::error::Error;
use memtide_model::Bytes;

/// A mapping of the address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapEntry<'a> {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// Read, write, execute, private or shared: `rw-p`.
    pub protection: [u8; 4],
    /// Where in the file it starts, in bytes.
    pub offset: u64,
    /// The file's device; 0:0 of anonymous memory.
    pub device: Device,
    /// The file's inode; 0 of anonymous memory.
    pub inode: u64,
    /// Path or `[name]` as raw as the kernel prints it: any bytes, blanks at the end kept, a newline
    /// written `\012` (and a backslash not escaped, so that this cannot be undone). ` (deleted)` is
    /// part of it. Empty of unnamed memory.
    pub name: &'a [u8],
}

/// A device number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Major.
    pub major: u32,
    /// Minor.
    pub minor: u32,
}

impl MapEntry<'_> {
    /// The length of its address range.
    pub const fn size(&self) -> Bytes {
        Bytes(self.end.saturating_sub(self.start))
    }

    /// True for a mapping that others can see the writes of: `s` as the fourth letter.
    pub const fn is_shared(&self) -> bool {
        self.protection[3] == b's'
    }
}

/// Calls `each` with every mapping; returns how many there were.
///
/// # Errors
/// A line that is no mapping, or is not ended; those before it were handed out already.
pub fn parse<'a>(bytes: &'a [u8], mut each: impl FnMut(MapEntry<'a>)) -> Result<u64, Error> {
    let mut mappings = 0;
    for (number, line) in scan::whole_lines("maps", bytes)? {
        each(header::parse(line).map_err(|why| Error::malformed("maps", number, why))?);
        mappings = number;
    }
    Ok(mappings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &[u8]) -> MapEntry<'_> {
        let mut found = None;
        assert_eq!(parse(line, |entry| found = Some(entry)).unwrap(), 1);
        found.unwrap()
    }

    #[test]
    fn every_field_is_read() {
        let entry = one(b"55ac384ee000-55ac384f4000 r-xs 00002000 fe:1a 247282                     /usr/bin/head\n");
        assert_eq!(
            entry,
            MapEntry {
                start: 0x55ac_384e_e000,
                end: 0x55ac_384f_4000,
                protection: *b"r-xs",
                offset: 0x2000,
                device: Device {
                    major: 0xfe,
                    minor: 0x1a
                },
                inode: 247_282,
                name: b"/usr/bin/head",
            }
        );
        assert_eq!(entry.size(), Bytes(0x6000));
        assert!(entry.is_shared());
    }

    #[test]
    fn names_keep_their_bytes() {
        let prefix = b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ";
        for (text, name) in [
            (&b""[..], &b""[..]),
            (b"                         ", b""),
            (b"   [anon: glibc: malloc]", b"[anon: glibc: malloc]"),
            (b"   /a b  c  ", b"/a b  c  "),
            (b"   /x\\012y\xff (deleted)", b"/x\\012y\xff (deleted)"),
            (b"   /SYSVx", b"/SYSVx"),
        ] {
            let line = [prefix, text, b"\n"].concat();
            assert_eq!(one(&line).name, name, "{}", text.escape_ascii());
        }
        // The inode may end the line.
        assert_eq!(
            one(b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0\n").name,
            b""
        );
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        for line in [
            &b"x-7f0000001000 rw-p 00000000 00:00 0\n"[..],
            b"7f0000000000 7f0000001000 rw-p 00000000 00:00 0\n",
            b"7f0000001000-7f0000000000 rw-p 00000000 00:00 0\n",
            b"7f0000000000-7f0000001000 rwxps 00000000 00:00 0\n",
            b"7f0000000000-7f0000001000 rw-p 00000000 0000 0\n",
            b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0x\n",
            b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0",
            b"\n",
        ] {
            assert!(parse(line, |_| ()).is_err(), "{}", line.escape_ascii());
        }
    }
}
