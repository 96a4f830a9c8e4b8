//! A region file as a source of bytes: read by `pread`, never mapped, because a mapping of a file that
//! somebody truncates ends the reader with SIGBUS.
//!
//! Entries of tables are read one after another and are small, so they are served from a few blocks
//! that are kept for the time of one look at the region. What is as large as a counter page or a
//! header is read straight into the caller's buffer.

use memtide_region::Source;
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Reads of this many bytes and more are not kept.
const STRAIGHT: usize = 2048;
const BLOCK: usize = 32 << 10;
/// Blocks that are kept: the header, and where nodes, modules and pages are being read.
const BLOCKS: usize = 8;

/// The memory of [`RegionFile`], to be used again for the next one.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
    next: usize,
}

#[derive(Debug)]
struct Block {
    number: u64,
    /// As long as the file had bytes there.
    bytes: Vec<u8>,
}

/// One look at a region file. Counters are read anew each time; entries of tables may be as old as the
/// look.
#[derive(Debug)]
pub(crate) struct RegionFile<'a> {
    file: File,
    blocks: RefCell<&'a mut Blocks>,
}

impl<'a> RegionFile<'a> {
    /// Opens the file. `blocks` is emptied first, so what is read is not older than this.
    pub(crate) fn open(path: &Path, blocks: &'a mut Blocks) -> io::Result<Self> {
        let file = File::open(path)?;
        blocks.forget();
        Ok(Self {
            file,
            blocks: RefCell::new(blocks),
        })
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Bytes of the file: a bound for whatever a header that was read before says that it holds.
    pub(crate) fn bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }
}

impl Source for RegionFile<'_> {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        if buffer.len() >= STRAIGHT {
            return self.file.read_exact_at(buffer, offset).is_ok();
        }
        self.blocks.borrow_mut().read(&self.file, offset, buffer)
    }
}

impl Blocks {
    fn forget(&mut self) {
        for block in &mut self.blocks {
            block.number = u64::MAX;
        }
    }

    fn read(&mut self, file: &File, offset: u64, buffer: &mut [u8]) -> bool {
        let mut done = 0;
        while done < buffer.len() {
            let Some(at) = offset.checked_add(done as u64) else {
                return false;
            };
            let within = usize::try_from(at % BLOCK as u64).unwrap_or(BLOCK);
            let block = self.block(file, at / BLOCK as u64);
            let rest = buffer.get_mut(done..).unwrap_or_default();
            let found = block
                .and_then(|bytes| bytes.get(within..))
                .unwrap_or_default();
            let count = found.len().min(rest.len());
            if count == 0 {
                return false;
            }
            for (to, from) in rest.iter_mut().zip(found) {
                *to = *from;
            }
            done += count;
        }
        true
    }

    fn block(&mut self, file: &File, number: u64) -> Option<&[u8]> {
        let known = self.blocks.iter().position(|block| block.number == number);
        let index = match known {
            Some(index) => index,
            None => self.load(file, number)?,
        };
        self.blocks.get(index).map(|block| block.bytes.as_slice())
    }

    /// Reads a block in place of the one that was loaded longest ago.
    fn load(&mut self, file: &File, number: u64) -> Option<usize> {
        if self.blocks.len() < BLOCKS {
            self.blocks.push(Block {
                number: u64::MAX,
                bytes: Vec::new(),
            });
        }
        let index = self.next % self.blocks.len();
        self.next = index + 1;
        let block = self.blocks.get_mut(index)?;
        block.number = u64::MAX;
        block.bytes.resize(BLOCK, 0);
        let start = number.checked_mul(BLOCK as u64)?;
        let mut filled = 0;
        while filled < BLOCK {
            let rest = block.bytes.get_mut(filled..)?;
            match file.read_at(rest, start.checked_add(filled as u64)?) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        block.bytes.truncate(filled);
        block.number = number;
        Some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_stretch_is_what_the_file_has_there_and_none_beyond_its_end() {
        let content: Vec<u8> = (0..BLOCK * 10 + 77)
            .map(|i| (i * 7 / 5).to_le_bytes()[0])
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &content).unwrap();
        let mut blocks = Blocks::default();
        let region = RegionFile::open(file.path(), &mut blocks).unwrap();
        assert_eq!(region.bytes(), content.len() as u64);
        let mut random = 7_u64;
        for _ in 0..5000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let offset = (random >> 33) as usize % (content.len() + 100);
            let mut buffer = vec![0; (random >> 20) as usize % 3000];
            let there = content.get(offset..offset + buffer.len());
            assert_eq!(region.read(offset as u64, &mut buffer), there.is_some());
            if let Some(there) = there {
                assert_eq!(buffer, there, "at {offset}");
            }
        }
        assert!(!region.read(u64::MAX - 4, &mut [0; 16]));
    }
}
