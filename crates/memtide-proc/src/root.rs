//! A directory that is /proc, or a tree that looks like it.

use crate::buffer::Buffer;
use crate::error::{Error, Subject};
use crate::listing::Listing;
use crate::parse::single;
use crate::parse::stat::{self, Stat};
use crate::process::{KeptFile, ProcessDir};
use memtide_model::Pid;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use std::path::{Path, PathBuf};

/// An open root of process files.
#[derive(Debug)]
pub struct ProcRoot {
    directory: OwnedFd,
    path: PathBuf,
    counts_descriptors: bool,
}

/// The magic number of a mounted procfs (`linux/magic.h`, `PROC_SUPER_MAGIC`).
const PROC_MAGIC: u64 = 0x9fa0;

impl ProcRoot {
    /// The system's `/proc`.
    ///
    /// # Errors
    /// Where it is not mounted.
    pub fn system() -> Result<Self, Error> {
        Self::open(Path::new("/proc"))
    }

    /// The directory at `path`: `/proc` of another mount namespace, or a fixture tree.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let directory = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())
            .map_err(|errno| Error::at_path("the root of /proc", path, errno))?;
        let is_proc = rustix::fs::fstatfs(&directory)
            .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| kind == PROC_MAGIC));
        // Since Linux 6.2 the size of an fd directory is the number of descriptors; before, it is
        // 0. This process has at least the descriptor that was just opened.
        let counts_descriptors = is_proc
            && rustix::fs::statat(&directory, "self/fd", rustix::fs::AtFlags::empty())
                .is_ok_and(|status| status.st_size > 0);
        Ok(Self {
            directory,
            path: path.to_owned(),
            counts_descriptors,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True where the number of a process's descriptors is one `fstat` (Linux 6.2 and later).
    pub const fn counts_descriptors(&self) -> bool {
        self.counts_descriptors
    }

    /// Opens the directory of `pid`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Gone`] where there is no such process (or hidepid hides it).
    pub fn process(&self, pid: Pid) -> Result<ProcessDir, Error> {
        ProcessDir::open(self, pid)
    }

    /// Keeps one of the machine's files open, such as `meminfo`.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn keep(&self, file: &'static str) -> Result<KeptFile, Error> {
        KeptFile::open_at(&self.directory, file, file, Subject::Machine)
    }

    /// Reads one of the machine's files once.
    ///
    /// # Errors
    /// Where it cannot be opened or read.
    pub fn read<'b>(&self, file: &'static str, buffer: &'b mut Buffer) -> Result<&'b [u8], Error> {
        self.keep(file)?.read(buffer)
    }

    /// Calls `each` with every process that there is at the moment, in order of the pids.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn for_each_process(
        &self,
        listing: &mut Listing,
        mut each: impl FnMut(Pid),
    ) -> Result<(), Error> {
        listing
            .numbers(&self.directory, |number| each(Pid(number)))
            .map_err(|errno| Error::at_path("the list of processes", &self.path, errno))
    }

    /// Calls `each` with the `stat` of every process. One that vanishes before it is read is left out.
    ///
    /// # Errors
    /// Where the directory cannot be read.
    pub fn for_each_stat(
        &self,
        listing: &mut Listing,
        buffer: &mut Buffer,
        mut each: impl FnMut(&Stat<'_>),
    ) -> Result<(), Error> {
        self.for_each_process(listing, |pid| self.stat_of(pid, buffer, &mut each))
    }

    /// Calls `each` with the `stat` of every child of `process`, as `task/*/children` lists them: each under the
    /// thread that made it. False on kernels that have no such file, where only [`Self::for_each_stat`] helps.
    /// A child that was reaped meanwhile is left out.
    ///
    /// # Errors
    /// Where the threads cannot be listed.
    pub fn for_each_child(
        &self,
        process: &ProcessDir,
        listing: &mut Listing,
        buffer: &mut Buffer,
        mut each: impl FnMut(&Stat<'_>),
    ) -> Result<bool, Error> {
        let (mut threads, mut pids, mut is_told) = (Vec::new(), Vec::new(), false);
        process.for_each_thread(listing, |tid| threads.push(tid))?;
        for tid in threads {
            if let Ok(bytes) = process.read_of_thread(tid, "children", buffer) {
                is_told = true;
                // What comes before a broken number was handed out already.
                let _ = single::parse_children(bytes, |pid| pids.push(pid));
            }
        }
        for pid in pids {
            self.stat_of(pid, buffer, &mut each);
        }
        Ok(is_told)
    }

    /// Calls `each` with the `stat` of this process, if there still is one.
    fn stat_of(&self, pid: Pid, buffer: &mut Buffer, each: &mut impl FnMut(&Stat<'_>)) {
        let process = self.process(pid);
        let bytes = process.and_then(|process| process.read("stat", buffer));
        if let Ok(stat) = bytes.and_then(stat::parse) {
            each(&stat);
        }
    }

    pub(crate) fn directory(&self) -> impl AsFd + '_ {
        &self.directory
    }
}

/// How directories are opened here.
pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);
