//! `smaps` and `smaps_rollup`: sizes per mapping (proc(5), `/proc/pid/smaps`).
//!
//! A block per mapping: a header line as in `maps`, then lines `Key:   value kB`, the last of them
//! `VmFlags`. Which keys there are and in which order is the kernel's choice, but it is the same for
//! all mappings. So the first block is read line by line and remembered as a template, and a later
//! block that has every key at the same place is read by place. One that differs (a
//! value of more than eight digits shifts what follows) is read line by line again: the template
//! makes it faster, never different.
//!
//! Cost: 10,000 mappings are 7 MB of text; by the template they cost a few percent of
//! what the kernel needs to print them (`benches/proc_cost.rs`).

use super::maps::MapEntry;
use super::template::Template;
use super::{header, scan};
use crate::error::Error;
use memtide_model::Bytes;

/// One value for each key of smaps that memtide reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerKey<T> {
    /// `Rss`: resident.
    pub rss: T,
    /// `Pss`: resident, shared pages divided by their users.
    pub pss: T,
    /// `Private_Clean`: not shared, not written.
    pub private_clean: T,
    /// `Private_Dirty`: not shared, written.
    pub private_dirty: T,
    /// `Referenced`: touched since the marks were cleared.
    pub referenced: T,
    /// `Anonymous`: not of a file, copies of a private file's pages included.
    pub anonymous: T,
    /// `LazyFree` (since Linux 4.12): given back with `MADV_FREE` and still resident.
    pub lazy_free: T,
    /// `AnonHugePages`: of them in transparent huge pages.
    pub anon_huge_pages: T,
    /// `ShmemPmdMapped` (since Linux 4.8): shared memory in huge pages.
    pub shmem_pmd_mapped: T,
    /// `Swap`: swapped out.
    pub swap: T,
    /// `SwapPss` (since Linux 4.3): swapped out, shared pages divided by their users.
    pub swap_pss: T,
    /// `Locked`: locked into memory, as `Pss` counts.
    pub locked: T,
}

/// Sizes of a mapping, or of all; `None`: the kernel does not print it.
pub type Sizes = PerKey<Option<Bytes>>;

/// A mapping with its sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmapsEntry<'a> {
    /// The mapping.
    pub map: MapEntry<'a>,
    /// Its sizes.
    pub sizes: Sizes,
}

/// What was gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Mappings handed out.
    pub mappings: u64,
    /// Bytes of text.
    pub bytes: u64,
}

impl<T> PerKey<T> {
    /// The place of the value for `key`, where memtide reads that key.
    #[inline]
    pub(super) fn get_mut(&mut self, key: &[u8]) -> Option<&mut T> {
        Some(match key {
            b"Rss" => &mut self.rss,
            b"Pss" => &mut self.pss,
            b"Private_Clean" => &mut self.private_clean,
            b"Private_Dirty" => &mut self.private_dirty,
            b"Referenced" => &mut self.referenced,
            b"Anonymous" => &mut self.anonymous,
            b"LazyFree" => &mut self.lazy_free,
            b"AnonHugePages" => &mut self.anon_huge_pages,
            b"ShmemPmdMapped" => &mut self.shmem_pmd_mapped,
            b"Swap" => &mut self.swap,
            b"SwapPss" => &mut self.swap_pss,
            b"Locked" => &mut self.locked,
            _ => return None,
        })
    }

    /// `value` of each; `None` as soon as it is `None` once.
    #[inline]
    pub(super) fn try_map<U>(&self, value: impl Fn(&T) -> Option<U>) -> Option<PerKey<U>> {
        Some(PerKey {
            rss: value(&self.rss)?,
            pss: value(&self.pss)?,
            private_clean: value(&self.private_clean)?,
            private_dirty: value(&self.private_dirty)?,
            referenced: value(&self.referenced)?,
            anonymous: value(&self.anonymous)?,
            lazy_free: value(&self.lazy_free)?,
            anon_huge_pages: value(&self.anon_huge_pages)?,
            shmem_pmd_mapped: value(&self.shmem_pmd_mapped)?,
            swap: value(&self.swap)?,
            swap_pss: value(&self.swap_pss)?,
            locked: value(&self.locked)?,
        })
    }
}

/// Reads smaps piece by piece, and remembers how this kernel lays a block out.
#[derive(Debug, Default)]
pub struct SmapsParser {
    template: Template,
    mappings: u64,
    read_by_line: u64,
}

impl SmapsParser {
    /// A parser that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands out the mappings that lie wholly in `bytes`, which go on where the last call's consumed
    /// part ended, and returns the length of the part that is done with. Whether a block is whole
    /// shows by the header after it; with `at_end` none follows the last one.
    ///
    /// # Errors
    /// What is no block, or is cut off at the end; the mappings before it were handed out already.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        at_end: bool,
        mut each: impl FnMut(&SmapsEntry<'_>),
    ) -> Result<usize, Error> {
        let mut rest = bytes;
        while let Some((line, body)) = split_line(rest) {
            let Some((sizes, after)) = self.sizes(body, at_end)? else {
                break;
            };
            self.mappings += 1;
            let map = header::parse(line).map_err(|why| self.malformed(why))?;
            each(&SmapsEntry { map, sizes });
            rest = after;
        }
        if at_end && !rest.is_empty() {
            self.mappings += 1;
            return Err(self.malformed("cut off in the middle of a line"));
        }
        Ok(bytes.len() - rest.len())
    }

    /// Starts from the first mapping again, with the layout remembered.
    pub fn restart(&mut self) {
        self.mappings = 0;
        self.read_by_line = 0;
    }

    /// Mappings handed out since the last restart.
    pub const fn mappings(&self) -> u64 {
        self.mappings
    }

    /// How many of them did not fit the template and were read line by line.
    pub const fn read_by_line(&self) -> u64 {
        self.read_by_line
    }

    /// The sizes of the block that starts `body` and what follows it; `None` where it is not whole.
    #[inline]
    fn sizes<'a>(
        &mut self,
        body: &'a [u8],
        at_end: bool,
    ) -> Result<Option<(Sizes, &'a [u8])>, Error> {
        if let Some((sizes, after)) = self.template.read(body) {
            match after.first() {
                None if at_end => return Ok(Some((sizes, after))),
                None => return Ok(None),
                Some(first) if !starts_field(*first) => return Ok(Some((sizes, after))),
                // The block has a line more than the template.
                Some(_) => {}
            }
        }
        let mut sizes = Sizes::default();
        let read = read_lines(body, at_end, &mut sizes);
        let Some(after) = read.map_err(|why| {
            self.mappings += 1;
            self.malformed(why)
        })?
        else {
            return Ok(None);
        };
        self.read_by_line += 1;
        if let Some(block) = body.get(..body.len() - after.len()) {
            self.template.learn(block);
        }
        Ok(Some((sizes, after)))
    }

    const fn malformed(&self, why: &'static str) -> Error {
        Error::malformed("smaps", self.mappings, why)
    }
}

/// Parses a whole `smaps` that is in memory; `each` is called with every mapping.
///
/// # Errors
/// As [`SmapsParser::feed`].
pub fn parse(bytes: &[u8], each: impl FnMut(&SmapsEntry<'_>)) -> Result<Summary, Error> {
    let mut parser = SmapsParser::new();
    parser.feed(bytes, true, each)?;
    Ok(Summary {
        mappings: parser.mappings,
        bytes: bytes.len() as u64,
    })
}

/// Parses `smaps_rollup` (since Linux 4.14): the sums over all mappings.
///
/// # Errors
/// A known key that is no size; a file that is empty, cut off, or holds more than one block.
pub fn parse_rollup(bytes: &[u8]) -> Result<Sizes, Error> {
    let bad = |why| Error::malformed("smaps_rollup", 1, why);
    let (line, body) = split_line(bytes).ok_or(bad("no header"))?;
    header::parse(line).map_err(bad)?;
    let mut sizes = Sizes::default();
    match read_lines(body, true, &mut sizes).map_err(bad)? {
        Some([]) => Ok(sizes),
        _ => Err(bad("more than one block")),
    }
}

/// True for the first byte of a key; a header starts with a digit or a small letter.
#[inline]
const fn starts_field(byte: u8) -> bool {
    byte.is_ascii_uppercase()
}

#[inline]
fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)?)?;
    Some((line, rest.get(1..)?))
}

/// Reads the lines of a block up to the next header, which is returned with all after it. `None`
/// where the bytes end before that, and it is not `at_end`.
fn read_lines<'a>(
    body: &'a [u8],
    at_end: bool,
    sizes: &mut Sizes,
) -> Result<Option<&'a [u8]>, &'static str> {
    let mut rest = body;
    loop {
        match rest.first() {
            Some(&first) if starts_field(first) => {}
            Some(_) => return Ok(Some(rest)),
            None => return Ok(at_end.then_some(rest)),
        }
        let Some((line, after)) = split_line(rest) else {
            return if at_end {
                Err("cut off in the middle of a line")
            } else {
                Ok(None)
            };
        };
        if let Some((key, value)) = scan::key_value(line)
            && let Some(size) = sizes.get_mut(key)
        {
            *size = Some(scan::kibibytes(value).ok_or("value is no size in kB")?);
        }
        rest = after;
    }
}
