//! Bytes of a file, read on demand.
//!
//! Files are read with pread(2), not mapped: a debug file that is truncated or overwritten under a
//! mapping kills its reader with SIGBUS, and a reader that watches builds will meet that. Only the
//! parts that are needed are read, and each only once, so a mapping would save little: nearly all of
//! `.debug_info` is walked for a long list of addresses.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A file, or bytes that were unpacked from one.
#[derive(Debug)]
pub(crate) enum Bytes {
    File { file: Arc<File>, length: u64 },
    Memory(Vec<u8>),
}

impl Bytes {
    /// Opens a regular file. A pipe or a device is refused: opening it could wait for ever.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Self::of(Arc::new(File::open(path)?))
    }

    /// Of a file that is open.
    pub(crate) fn of(file: Arc<File>) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self::File { file, length })
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes from `offset` on; an error unless all `size` of them are there. Nothing is
    /// allocated for a size that the file cannot have.
    pub(crate) fn read(&self, offset: u64, size: u64) -> io::Result<Vec<u8>> {
        let beyond = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let end = offset
            .checked_add(size)
            .filter(|end| *end <= self.length())
            .ok_or_else(beyond)?;
        match self {
            Self::File { file, .. } => {
                let mut bytes = vec![0; usize::try_from(size).map_err(|_| beyond())?];
                file.read_exact_at(&mut bytes, offset)?;
                Ok(bytes)
            }
            Self::Memory(bytes) => usize::try_from(offset)
                .ok()
                .zip(usize::try_from(end).ok())
                .and_then(|(start, end)| bytes.get(start..end))
                .map(<[u8]>::to_vec)
                .ok_or_else(beyond),
        }
    }

    /// CRC-32 of the whole, as `.gnu_debuglink` has it (that of zlib).
    pub(crate) fn crc32(&self) -> io::Result<u32> {
        const STEP: u64 = 1 << 20;
        let mut hasher = crc32fast::Hasher::new();
        let mut offset = 0;
        while offset < self.length() {
            let size = STEP.min(self.length() - offset);
            hasher.update(&self.read(offset, size)?);
            offset += size;
        }
        Ok(hasher.finalize())
    }
}

/// A position in [`Bytes`], for the ELF parser.
pub(crate) struct Cursor<'a> {
    bytes: &'a Bytes,
    position: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, position: 0 }
    }
}

impl io::Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.length().saturating_sub(self.position);
        let size = left.min(buffer.len() as u64);
        let bytes = self.bytes.read(self.position, size)?;
        self.position += size;
        if let Some(part) = buffer.get_mut(..bytes.len()) {
            part.copy_from_slice(&bytes);
        }
        Ok(bytes.len())
    }
}

impl io::Seek for Cursor<'_> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let (base, by) = match to {
            io::SeekFrom::Start(position) => (position, 0),
            io::SeekFrom::End(by) => (self.bytes.length(), by),
            io::SeekFrom::Current(by) => (self.position, by),
        };
        self.position = base
            .checked_add_signed(by)
            .ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
