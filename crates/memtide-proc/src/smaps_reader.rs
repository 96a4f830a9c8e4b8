//! A process's smaps, read in pieces as the kernel hands them out, in memory that stays small
//! whatever the number of mappings.
//!
//! The kernel prints as many mappings into a page as fit and hands that out per read: asking for
//! more at once brings no more. Each piece is parsed while it is in the processor's first cache.

use crate::buffer::{Buffer, read_at};
use crate::error::{Error, Subject};
use crate::parse::smaps::{SmapsEntry, SmapsParser, Summary};
use crate::process::{KeptFile, ProcessDir};
use memtide_model::Pid;

/// The kept smaps of a process.
#[derive(Debug)]
pub struct SmapsReader {
    file: KeptFile,
    pid: Pid,
    parser: SmapsParser,
}

/// What a pass over smaps brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmapsOutcome {
    /// The mappings that were handed out.
    Read(Summary),
    /// There was nothing: the address space that this descriptor was opened for is no more, because
    /// the process has replaced its program (then [`SmapsReader::reopen`] helps), is a zombie, or is
    /// a kernel thread.
    Empty,
}

/// A block with the longest possible name (4,096 bytes, each escaped to four) is far smaller.
const LONGEST_BLOCK: usize = 1 << 20;

impl SmapsReader {
    /// Opens the smaps of `process`; needs ptrace access.
    ///
    /// # Errors
    /// As [`ProcessDir::keep`].
    pub fn open(process: &ProcessDir) -> Result<Self, Error> {
        Ok(Self {
            file: process.keep("smaps")?,
            pid: process.pid(),
            parser: SmapsParser::new(),
        })
    }

    /// Opens it again, after the process has replaced its program. What was learnt of the
    /// kernel's layout is kept.
    ///
    /// # Errors
    /// As [`ProcessDir::keep`]; the old descriptor then stays.
    pub fn reopen(&mut self, process: &ProcessDir) -> Result<(), Error> {
        self.file = process.keep("smaps")?;
        self.pid = process.pid();
        Ok(())
    }

    /// Calls `each` with every mapping, in order of their addresses.
    ///
    /// The list is no snapshot: the process goes on between two pieces. Where it ends or replaces
    /// its program in the middle, the list just ends early; a caller who needs to know compares the
    /// sum with `statm`'s.
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where the process has ended,
    /// [`Malformed`](crate::ErrorKind::Malformed) where the text is no smaps; the mappings before
    /// were handed out already.
    pub fn for_each(
        &mut self,
        buffer: &mut Buffer,
        mut each: impl FnMut(&SmapsEntry<'_>),
    ) -> Result<SmapsOutcome, Error> {
        self.parser.restart();
        let (mut offset, mut filled) = (0_u64, 0);
        loop {
            let read = buffer
                .space_from(filled)
                .and_then(|space| read_at(self.file.fd(), space, offset));
            let count = read.map_err(|errno| self.system_error(errno))?;
            offset += count as u64;
            filled += count;
            let at_end = count == 0;
            let fed = self.parser.feed(buffer.filled(filled), at_end, &mut each);
            let done = fed.map_err(|error| error.of_process(self.pid))?;
            if at_end {
                return Ok(self.outcome(offset));
            }
            buffer.keep(done, filled);
            filled -= done;
            if filled > LONGEST_BLOCK {
                return Err(self.system_error(rustix::io::Errno::FBIG));
            }
        }
    }

    /// How many mappings of the last pass did not fit the layout that was learnt and were read line
    /// by line, at several times the cost.
    pub const fn read_by_line(&self) -> u64 {
        self.parser.read_by_line()
    }

    const fn outcome(&self, bytes: u64) -> SmapsOutcome {
        if bytes == 0 {
            return SmapsOutcome::Empty;
        }
        SmapsOutcome::Read(Summary {
            mappings: self.parser.mappings(),
            bytes,
        })
    }

    const fn system_error(&self, errno: rustix::io::Errno) -> Error {
        Error::system("smaps", Subject::Process(self.pid), errno)
    }
}
