//! `pagemap`: one word per page of the address space (proc(5), `/proc/pid/pagemap`; since Linux 2.6.25).
//!
//! The file is addressed by page number: 8 bytes a page, bit 63 for present and bit 62 for swapped. What
//! else is in a word (the physical page) is not for everybody, and not looked at.

use crate::buffer;
use crate::error::{Error, Subject};
use crate::process::{KeptFile, ProcessDir};
use memtide_model::Pid;

/// Whether a page is in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PageState {
    /// Not mapped, never touched, or given back: reading it would bring in a page of zeros.
    #[default]
    Absent,
    /// In memory.
    Present,
    /// Swapped out (or on its way to another place): reading it would bring it back.
    Swapped,
}

impl PageState {
    const fn of(word: u64) -> Self {
        if word >> 63 == 1 {
            Self::Present
        } else if word >> 62 & 1 == 1 {
            Self::Swapped
        } else {
            Self::Absent
        }
    }
}

/// The open file; it belongs to the address space that the process had then, and is empty after an exec.
#[derive(Debug)]
pub struct Pagemap {
    file: KeptFile,
    pid: Pid,
}

const FILE: &str = "pagemap";
const WORD: usize = 8;
/// Pages that are asked for in one read.
const BATCH: usize = 2048;

impl Pagemap {
    /// Opens it.
    ///
    /// # Errors
    /// [`Denied`](crate::ErrorKind::Denied) without ptrace access,
    /// [`Missing`](crate::ErrorKind::Missing) where the kernel was built without
    /// `CONFIG_PROC_PAGE_MONITOR`.
    pub fn open(process: &ProcessDir) -> Result<Self, Error> {
        Ok(Self {
            file: process.keep(FILE)?,
            pid: process.pid(),
        })
    }

    /// The states of the pages from number `first` (address by page size) on. Returns how many were
    /// had: fewer where the address space ends, or has gone; the rest are absent.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn states(&self, first: u64, states: &mut [PageState]) -> Result<usize, Error> {
        let mut bytes = [0; BATCH * WORD];
        let mut done = 0;
        while let Some(rest) = states.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let want = rest.len().min(BATCH) * WORD;
            let offset = first.saturating_add(done as u64).saturating_mul(8);
            let space = bytes.get_mut(..want).unwrap_or_default();
            let read = buffer::read_at(self.file.fd(), space, offset)
                .map_err(|errno| Error::system(FILE, Subject::Process(self.pid), errno))?;
            let words = bytes.get(..read).unwrap_or_default().chunks_exact(WORD);
            let had = words.len();
            for (state, word) in rest.iter_mut().zip(words) {
                *state = PageState::of(u64::from_le_bytes(word.try_into().unwrap_or_default()));
            }
            done += had;
            if had == 0 {
                rest.fill(PageState::Absent);
                break;
            }
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProcRoot, clock};

    #[test]
    fn touched_pages_are_present_and_the_others_are_not() {
        let page = usize::try_from(clock::page_size().0).unwrap();
        let pages = 3 * BATCH;
        let mut space: Vec<u8> = Vec::with_capacity(pages * page);
        let start = (space.as_ptr() as u64).next_multiple_of(page as u64);
        let process = ProcRoot::system()
            .unwrap()
            .process(Pid(std::process::id()))
            .unwrap();
        let pagemap = Pagemap::open(&process).unwrap();
        // Fresh memory of this size comes straight from the kernel: nothing of it was touched.
        let mut states = vec![PageState::Present; pages - 1];
        let had = pagemap.states(start / page as u64, &mut states).unwrap();
        assert_eq!(had, pages - 1);
        let touched = states.iter().filter(|s| **s == PageState::Present).count();
        assert!(touched <= 1, "{touched} pages were touched by nobody");
        space.resize(pages * page, 1);
        pagemap.states(start / page as u64, &mut states).unwrap();
        assert!(states.iter().all(|state| *state == PageState::Present));
    }

    #[test]
    fn behind_the_address_space_everything_is_absent() {
        let process = ProcRoot::system()
            .unwrap()
            .process(Pid(std::process::id()))
            .unwrap();
        let mut states = [PageState::Present; 4];
        let had = Pagemap::open(&process)
            .unwrap()
            .states(u64::MAX / 4096, &mut states);
        assert_eq!((had, states), (Ok(0), [PageState::Absent; 4]));
    }
}
