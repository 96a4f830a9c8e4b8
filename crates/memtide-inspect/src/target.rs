//! The process that is looked at: its files in /proc, and whether it is still the same one.
//!
//! Memory is read by pid, and a pid can be given to another process, or a process to another program.
//! So whoever reads compares the [`Image`] from before with that from after.

use crate::error::{Error, ErrorKind};
use crate::memory::Mapping;
use crate::permission;
use memtide_model::{Bytes, Pid, StartTime};
use memtide_proc::parse::{maps, stat, statm};
use memtide_proc::{Buffer, ErrorKind as ProcErrorKind, Pagemap, ProcRoot, ProcessDir, clock};
use std::cell::RefCell;

/// Whose memory it is: changes when the process is another one, or runs another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    start: StartTime,
    code: u64,
    stack: u64,
}

/// A process.
#[derive(Debug)]
pub(crate) struct Target {
    pid: Pid,
    root: ProcRoot,
    process: ProcessDir,
    buffer: RefCell<Buffer>,
}

impl Target {
    /// Of the process `pid`.
    ///
    /// Errors: `Gone`.
    pub(crate) fn open(pid: Pid) -> Result<Self, Error> {
        let failed = |error: memtide_proc::Error| match error.kind() {
            ProcErrorKind::Gone => gone(pid),
            _ => Error::new(ErrorKind::Io, error.to_string()),
        };
        let root = ProcRoot::system().map_err(failed)?;
        let process = root.process(pid).map_err(failed)?;
        Ok(Self {
            pid,
            root,
            process,
            buffer: RefCell::default(),
        })
    }

    /// Its number.
    pub(crate) const fn pid(&self) -> Pid {
        self.pid
    }

    /// Whose memory it is at the moment.
    ///
    /// Errors: `Gone`, of a zombie, too.
    pub(crate) fn image(&self) -> Result<Image, Error> {
        let mut buffer = self.buffer.borrow_mut();
        let bytes = self.process.read("stat", &mut buffer);
        let bytes = bytes.map_err(|error| self.explain(&error))?;
        let stat = stat::parse(bytes).map_err(|error| self.explain(&error))?;
        if matches!(stat.state, b'Z' | b'X') {
            return Err(gone(self.pid));
        }
        Ok(Image {
            start: stat.starttime,
            code: stat.startcode,
            stack: stat.startstack,
        })
    }

    /// Its resident memory by `statm`.
    ///
    /// Errors: `Gone`.
    pub(crate) fn rss(&self) -> Result<Bytes, Error> {
        let mut buffer = self.buffer.borrow_mut();
        let bytes = self.process.read("statm", &mut buffer);
        let bytes = bytes.map_err(|error| self.explain(&error))?;
        let statm = statm::parse(bytes).map_err(|error| self.explain(&error))?;
        Ok(statm.resident.to_bytes(clock::page_size()))
    }

    /// Its mappings, ascending.
    ///
    /// Errors: `Gone`, `Denied`; `Unsupported` of a process of 32 bits.
    pub(crate) fn mappings(&self) -> Result<Vec<Mapping>, Error> {
        let mut buffer = self.buffer.borrow_mut();
        let bytes = self.process.read("maps", &mut buffer);
        let bytes = bytes.map_err(|error| self.explain(&error))?;
        let mut mappings = Vec::new();
        maps::parse(bytes, |entry| mappings.push(Mapping::new(&entry)))
            .map_err(|error| self.explain(&error))?;
        // The kernel walks the list while it changes; what it printed twice or late is left out.
        let mut end = 0;
        mappings.retain(|mapping| {
            let is_next = mapping.start >= end;
            end = end.max(mapping.end);
            is_next
        });
        drop(buffer);
        self.check_width(&mappings)?;
        Ok(mappings)
    }

    /// The states of its pages.
    ///
    /// Errors: `Gone`, `Denied`, `Unsupported`.
    pub(crate) fn pagemap(&self) -> Result<Pagemap, Error> {
        Pagemap::open(&self.process).map_err(|error| self.explain(&error))
    }

    /// A failed read as this crate says it, with the remedy.
    pub(crate) fn explain(&self, error: &memtide_proc::Error) -> Error {
        match error.kind() {
            ProcErrorKind::Gone => gone(self.pid),
            ProcErrorKind::Denied => permission::denied(&self.root, self.pid),
            ProcErrorKind::Missing => Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{error}: this kernel was built without it, and the heap cannot be read without \
                     touching pages that are not present"
                ),
            ),
            _ => Error::new(ErrorKind::Io, error.to_string()),
        }
    }

    /// The stack of a 64-bit process lies far above 4 GiB; all of a 32-bit one below.
    fn check_width(&self, mappings: &[Mapping]) -> Result<(), Error> {
        let pid = self.pid;
        let Some(last) = mappings.iter().rfind(|mapping| mapping.start >> 63 == 0) else {
            self.image()?;
            let text = format!("process {pid} has no memory of its own: it is a kernel thread");
            return Err(Error::new(ErrorKind::NoHeap, text));
        };
        if last.end <= 1 << 32 {
            let text = format!(
                "process {pid} is a 32-bit program; only heaps of 64-bit programs can be read"
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        Ok(())
    }
}

/// The process is no more.
pub(crate) fn gone(pid: Pid) -> Error {
    Error::new(ErrorKind::Gone, format!("process {pid} has ended"))
}

/// The process runs another program than when the look began.
pub(crate) fn replaced(pid: Pid) -> Error {
    let text = format!("process {pid} has become another program while it was read");
    Error::new(ErrorKind::Gone, text)
}
