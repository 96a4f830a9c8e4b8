//! The hello of the shim: a region whose header is complete.

use crate::error::{Error, ErrorKind};
use memtide_region::{Mode, Reader, Source};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What the shim said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The process, in its own pid namespace.
    pub pid: u32,
    /// What it records.
    pub mode: Mode,
    /// Mean bytes between samples; 1 in full mode.
    pub interval: u64,
    /// The build of the shim.
    pub build_hash: u64,
    /// The region.
    pub file: PathBuf,
}

struct RegionFile(File);

impl Source for RegionFile {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> bool {
        self.0.read_exact_at(buffer, offset).is_ok()
    }
}

/// The hello of process `pid`, or of any process where that is `None`, among the regions of `directory`;
/// `None` while there is no complete one.
///
/// # Errors
/// [`ErrorKind::System`] where the folder cannot be read, [`ErrorKind::Shim`] where a region has
/// another layout than this build reads.
pub fn hello(directory: &Path, pid: Option<u32>) -> Result<Option<Hello>, Error> {
    let failed = |error| {
        Error::io(
            ErrorKind::System,
            "reading the folder of regions",
            directory,
            error,
        )
    };
    for entry in fs::read_dir(directory).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let is_wanted = pid_of(&file).is_some_and(|found| pid.is_none_or(|pid| pid == found));
        if is_wanted && let Some(hello) = read(&file)? {
            return Ok(Some(hello));
        }
    }
    Ok(None)
}

/// The process of `PID-N.region`.
fn pid_of(file: &Path) -> Option<u32> {
    let name = file.file_name()?.to_str()?.strip_suffix(".region")?;
    name.split_once('-')?.0.parse().ok()
}

fn read(file: &Path) -> Result<Option<Hello>, Error> {
    // A link or a pipe of that name is not ours and must not make us wait.
    let nofollow = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(nofollow.bits().cast_signed())
        .open(file);
    let Ok(region) = open else { return Ok(None) };
    let summary = Reader::new(RegionFile(region)).and_then(|reader| reader.summary());
    match summary {
        Ok(summary) => Ok(Some(Hello {
            pid: summary.pid,
            mode: summary.mode,
            interval: summary.interval,
            build_hash: summary.build_hash,
            file: file.to_path_buf(),
        })),
        Err(error @ memtide_region::Error::Version(_)) => {
            let text = format!("the shim is of another build: {error}");
            Err(Error::new(ErrorKind::Shim, text))
        }
        // Not yet complete.
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_region::layout::{HEADER_BYTES, MAGIC, VERSION};

    /// The first fields of a header: magic, version, its size, build, pid, parent, start, mode,
    /// state, interval.
    fn region(magic: u64, version: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(magic.to_le_bytes());
        bytes.extend(version.to_le_bytes());
        bytes.extend(4096_u32.to_le_bytes());
        bytes.extend(77_u64.to_le_bytes());
        bytes.extend(42_u32.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(5_u64.to_le_bytes());
        bytes.extend(2_u32.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        bytes
    }

    #[test]
    fn a_hello_comes_with_the_magic_and_from_the_asked_process() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(hello(dir.path(), Some(42)).unwrap(), None);
        let file = dir.path().join("42-0.region");
        fs::write(&file, region(0, VERSION)).unwrap();
        assert_eq!(hello(dir.path(), Some(42)).unwrap(), None);
        fs::write(&file, region(MAGIC, VERSION)).unwrap();
        let found = hello(dir.path(), Some(42)).unwrap().unwrap();
        assert_eq!(
            (found.pid, found.build_hash, found.mode),
            (42, 77, Mode::Full)
        );
        assert_eq!(hello(dir.path(), Some(4)).unwrap(), None);
        assert_eq!(hello(dir.path(), None).unwrap(), Some(found));
    }

    #[test]
    fn another_layout_is_said() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("7-1.region"), region(MAGIC, VERSION + 1)).unwrap();
        let error = hello(dir.path(), None).unwrap_err();
        assert!(error.to_string().contains("another build"), "{error}");
    }
}
