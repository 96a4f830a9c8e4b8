//! Names in a directory that are numbers: processes, threads, descriptors.

use rustix::fd::AsFd;
use rustix::fs::{RawDir, SeekFrom};
use rustix::io::Errno;
use std::mem::MaybeUninit;

/// The memory that directories are read into, used again for every listing.
#[derive(Debug)]
pub struct Listing {
    space: Vec<MaybeUninit<u8>>,
}

/// One `getdents64` brings about 1,300 threads at this size.
const SIZE: usize = 32 * 1024;

impl Default for Listing {
    fn default() -> Self {
        Self::new()
    }
}

impl Listing {
    /// Space for listings: 32 KiB.
    pub fn new() -> Self {
        Self {
            space: vec![MaybeUninit::uninit(); SIZE],
        }
    }

    /// Calls `each` with every name in `directory`, from its start, that is a number below 2^32.
    pub(crate) fn numbers(
        &mut self,
        directory: impl AsFd,
        mut each: impl FnMut(u32),
    ) -> Result<(), Errno> {
        rustix::fs::seek(&directory, SeekFrom::Start(0))?;
        let mut entries = RawDir::new(&directory, &mut self.space);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if let Some((number, [])) = crate::parse::decimal(entry.file_name().to_bytes())
                && let Ok(number) = u32::try_from(number)
            {
                each(number);
            }
        }
        Ok(())
    }
}
