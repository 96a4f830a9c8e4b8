//! What statx(2) tells of a file, without waiting for a server.
//!
//! A file on a network or FUSE filesystem whose server is gone lets stat(2) hang for ever. statx(2) with
//! `AT_STATX_DONT_SYNC` answers with what the kernel knows, which is enough to say which file it is.

use crate::error::Error;
use crate::parse::maps::Device;
use memtide_model::Bytes;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;
use rustix::path::Arg;
use std::path::Path;

/// A file's identity, owner and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// Its filesystem.
    pub device: Device,
    /// Its number there.
    pub inode: u64,
    /// Names that it has; 0 of one that was deleted.
    pub links: u64,
    /// Type and permissions (`st_mode`).
    pub mode: u32,
    /// Who owns it.
    pub uid: u32,
    /// Its length.
    pub size: Bytes,
    /// What it takes on its filesystem, of tmpfs in memory and swap.
    pub allocated: Bytes,
    /// When its contents last changed, seconds since 1970.
    pub changed: i64,
}

/// The bits of `mode` that tell the type (inode(7)).
const TYPE: u32 = 0o170_000;

impl FileStatus {
    /// Of the file at `path`; of a link, what it leads to.
    ///
    /// # Errors
    /// [`Missing`](crate::ErrorKind::Missing), [`Denied`](crate::ErrorKind::Denied), or another one of the system's.
    pub fn at_path(path: &Path) -> Result<Self, Error> {
        Self::read(CWD, path, AtFlags::empty())
            .map_err(|errno| Error::at_path("the status", path, errno))
    }

    /// Of the entry at `path`, of a link itself.
    ///
    /// # Errors
    /// As [`Self::at_path`].
    pub fn of_entry(path: &Path) -> Result<Self, Error> {
        Self::read(CWD, path, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| Error::at_path("the status", path, errno))
    }

    pub(crate) fn read(
        directory: impl AsFd,
        path: impl Arg + Copy,
        flags: AtFlags,
    ) -> Result<Self, Errno> {
        let asked = flags | AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        match rustix::fs::statx(&directory, path, asked, StatxFlags::BASIC_STATS) {
            Ok(status) => Ok(Self {
                device: Device {
                    major: status.stx_dev_major,
                    minor: status.stx_dev_minor,
                },
                inode: status.stx_ino,
                links: u64::from(status.stx_nlink),
                mode: u32::from(status.stx_mode),
                uid: status.stx_uid,
                size: Bytes(status.stx_size),
                allocated: Bytes(status.stx_blocks.saturating_mul(512)),
                changed: status.stx_mtime.tv_sec,
            }),
            // Before Linux 4.11, and under some seccomp filters.
            Err(Errno::NOSYS | Errno::PERM) => Self::read_slowly(directory, path, flags),
            Err(errno) => Err(errno),
        }
    }

    // The types of the fields differ between architectures.
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "see above")]
    fn read_slowly(directory: impl AsFd, path: impl Arg, flags: AtFlags) -> Result<Self, Errno> {
        let status = rustix::fs::statat(directory, path, flags)?;
        Ok(Self {
            device: Device {
                major: rustix::fs::major(status.st_dev),
                minor: rustix::fs::minor(status.st_dev),
            },
            inode: status.st_ino as u64,
            links: status.st_nlink as u64,
            mode: status.st_mode as u32,
            uid: status.st_uid as u32,
            size: Bytes(u64::try_from(status.st_size).unwrap_or(0)),
            allocated: Bytes(
                u64::try_from(status.st_blocks)
                    .unwrap_or(0)
                    .saturating_mul(512),
            ),
            changed: status.st_mtime as i64,
        })
    }

    /// True of a regular file: no directory, device, pipe or socket.
    pub const fn is_regular(&self) -> bool {
        self.mode & TYPE == 0o100_000
    }

    /// True of a directory.
    pub const fn is_directory(&self) -> bool {
        self.mode & TYPE == 0o040_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn both_ways_agree_with_the_standard_library() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, vec![1; 10_000]).unwrap();
        let theirs = std::fs::metadata(&path).unwrap();
        let fast = FileStatus::at_path(&path).unwrap();
        let slow = FileStatus::read_slowly(CWD, &path, AtFlags::empty()).unwrap();
        assert_eq!(fast, slow);
        assert_eq!((fast.inode, fast.links), (theirs.ino(), 1));
        assert_eq!((fast.uid, fast.size), (theirs.uid(), Bytes(10_000)));
        assert_eq!(fast.allocated, Bytes(theirs.blocks() * 512));
        assert_eq!(fast.changed, theirs.mtime());
        let device = rustix::fs::makedev(fast.device.major, fast.device.minor);
        assert_eq!(device, theirs.dev());
        assert!(fast.is_regular() && !fast.is_directory());
        assert!(FileStatus::at_path(folder.path()).unwrap().is_directory());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(FileStatus::at_path(&link).unwrap(), fast);
        assert_ne!(FileStatus::of_entry(&link).unwrap().inode, fast.inode);
        assert!(FileStatus::at_path(Path::new("/nowhere/x")).is_err());
    }
}
