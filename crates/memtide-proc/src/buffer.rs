//! The memory that files are read into, used again for every read.

use rustix::fd::AsFd;
use rustix::io::Errno;

/// A growing buffer. It never shrinks: the largest file that was read once is likely to come again.
#[derive(Debug, Default)]
pub struct Buffer {
    /// All of it is initialised; its length is its capacity.
    space: Vec<u8>,
}

/// The first size: any single file of a process but maps and smaps fits.
const FIRST: usize = 16 * 1024;

/// A file of /proc that does not fit this is not one that memtide means to read.
const LARGEST: usize = 256 << 20;

impl Buffer {
    /// An empty buffer; the first read allocates.
    pub const fn new() -> Self {
        Self { space: Vec::new() }
    }

    /// Reads `fd` from its start to its end. `one_record`: the file is one that the kernel hands out
    /// in a single read, so that a short read is its end and the read that would find the
    /// end is saved.
    pub(crate) fn fill(&mut self, fd: impl AsFd, one_record: bool) -> Result<&[u8], Errno> {
        let mut filled = 0;
        loop {
            let space = self.space_from(filled)?;
            let room = space.len();
            let count = read_at(&fd, space, filled as u64)?;
            filled += count;
            if count == 0 || (one_record && count < room) {
                return self.space.get(..filled).ok_or(Errno::INVAL);
            }
        }
    }

    /// The space behind the first `filled` bytes, grown where there is none.
    pub(crate) fn space_from(&mut self, filled: usize) -> Result<&mut [u8], Errno> {
        if filled >= self.space.len() {
            self.grow()?;
        }
        self.space.get_mut(filled..).ok_or(Errno::INVAL)
    }

    /// The first `filled` bytes.
    pub(crate) fn filled(&self, filled: usize) -> &[u8] {
        self.space.get(..filled).unwrap_or_default()
    }

    /// Moves `from..to` to the start.
    pub(crate) fn keep(&mut self, from: usize, to: usize) {
        if from > 0 && from <= to && to <= self.space.len() {
            self.space.copy_within(from..to, 0);
        }
    }

    fn grow(&mut self) -> Result<(), Errno> {
        let length = self.space.len().saturating_mul(2).max(FIRST);
        if length > LARGEST {
            return Err(Errno::FBIG);
        }
        self.space.resize(length, 0);
        Ok(())
    }
}

/// One `pread`, begun again where a signal broke it off.
pub(crate) fn read_at(fd: impl AsFd, space: &mut [u8], offset: u64) -> Result<usize, Errno> {
    loop {
        match rustix::io::pread(&fd, &mut *space, offset) {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
