//! A copy of a recording and its `-wal` for reading it from a place where SQLite can make no side
//! files, or of the whole pages of one that was cut off within a page: SQLite fills a page that ends
//! early with zeros, which then read as values that never were.

use super::diagnosis::read_up_to;
use crate::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often copying a file that changes meanwhile is tried.
const COPY_TRIES: u32 = 5;

/// File and `-wal` in a directory that only we can read; gone when this is dropped.
#[derive(Debug)]
pub(super) struct PrivateCopy {
    directory: PathBuf,
    pub(super) file: PathBuf,
}

impl PrivateCopy {
    /// Copies both, again where they change meanwhile.
    pub(super) fn make(path: &Path, wal: &Path) -> Result<Self> {
        let copy = Self::empty()?;
        for _ in 0..COPY_TRIES {
            let before = fingerprint(path, wal)?;
            for (from, to) in [(path, &copy.file), (wal, &side_file(&copy.file, "-wal"))] {
                copy_content(from, to, u64::MAX)
                    .map_err(|error| Error::system("making a private copy of", from, error))?;
            }
            if fingerprint(path, wal)? == before {
                return Ok(copy);
            }
        }
        let text = format!("{} changes faster than it can be copied", path.display());
        Err(Error::new(ErrorKind::Io, text))
    }

    /// Copies the first `length` bytes of a file that changes no more.
    pub(super) fn of_beginning(path: &Path, length: u64) -> Result<Self> {
        let copy = Self::empty()?;
        copy_content(path, &copy.file, length)
            .map_err(|error| Error::system("making a private copy of", path, error))?;
        Ok(copy)
    }

    /// The directory for one.
    fn empty() -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let name = format!("memtide-{}-{number}-{clock:x}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|error| Error::system("making a private copy in", &directory, error))?;
        Ok(Self {
            file: directory.join("copy.memtide"),
            directory,
        })
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The bytes alone: a copy of the read-only mode could not be opened.
fn copy_content(from: &Path, to: &Path, length: u64) -> std::io::Result<()> {
    std::io::copy(&mut File::open(from)?.take(length), &mut File::create(to)?)?;
    Ok(())
}

/// What changes when a checkpoint moves content from the WAL to the file: the file's time, or the
/// WAL's salt in its header. Frames that are only added to the WAL do no harm.
fn fingerprint(path: &Path, wal: &Path) -> Result<(std::time::SystemTime, u64, [u8; 32])> {
    let doing = |error| Error::system("reading", path, error);
    let facts = fs::metadata(path).map_err(doing)?;
    let mut header = [0; 32];
    let mut file = File::open(wal).map_err(|error| Error::system("reading", wal, error))?;
    read_up_to(&mut file, &mut header).map_err(|error| Error::system("reading", wal, error))?;
    Ok((facts.modified().map_err(doing)?, facts.len(), header))
}

/// `path` with `suffix` behind its name.
pub(super) fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
