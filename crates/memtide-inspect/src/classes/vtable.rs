//! From a vtable's address to the class's name, step by step, each one checked.

use super::modules::Modules;
use super::names;
use crate::error::Error;
use crate::memory::{Memory, PAGE, PageState};
use memtide_model::text::printable;

/// Longest mangled name that is read. Those of deep templates have some thousand bytes.
const LONGEST_NAME: usize = 8192;

/// `ET_EXEC`: an ELF file that is mapped where its addresses say.
const FIXED: u64 = 2;

/// Looks at the modules' memory, and at no page that is swapped out.
pub(super) struct Look<'a, M> {
    memory: &'a M,
    modules: &'a Modules,
    met_swapped_page: bool,
}

impl<'a, M: Memory> Look<'a, M> {
    /// Of a process with these modules.
    pub(super) fn new(memory: &'a M, modules: &'a Modules) -> Self {
        Self {
            memory,
            modules,
            met_swapped_page: false,
        }
    }

    /// True if anything could not be looked at for now.
    pub(super) const fn met_swapped_page(&self) -> bool {
        self.met_swapped_page
    }

    /// The class of objects that start with `word`; `None` where it is no vtable.
    ///
    /// The offset to the top has to be 0: a block starts where its object does. (Other bases' vtables,
    /// further on in the object, have negative ones.) The first function may be 0: a destructor of an
    /// abstract class. Without a `type_info` that is too little to go by, so there it may not.
    pub(super) fn class_name(&mut self, word: u64) -> Result<Option<String>, Error> {
        let Some([0, info, function]) = self.words(word.wrapping_sub(16))? else {
            return Ok(None);
        };
        let is_function = self.modules.is_code(function);
        if info == 0 {
            return if is_function {
                self.place(word)
            } else {
                Ok(None)
            };
        }
        if !is_function && function != 0 {
            return Ok(None);
        }
        let Some([info_vtable, name]) = self.words(info)? else {
            return Ok(None);
        };
        // A `type_info` is an object of a class with virtual functions itself.
        let Some([0, _, info_function]) = self.words(info_vtable.wrapping_sub(16))? else {
            return Ok(None);
        };
        if !self.modules.is_code(info_function) {
            return Ok(None);
        }
        Ok(self.text(name)?.as_deref().and_then(names::readable))
    }

    /// What a vtable is called that has no name: the file's own name, and the address as the file counts.
    fn place(&mut self, word: u64) -> Result<Option<String>, Error> {
        let Some(file) = self.modules.start_of_file(word) else {
            return Ok(None);
        };
        let (start, path) = (file.start, file.name.clone());
        // Programs that are not position-independent count from 0; others from where they were put.
        let kind = self.words(start + 16)?.map(|[word]| word & 0xffff);
        let address = match kind {
            Some(FIXED) => word,
            _ => word - start,
        };
        let path = path.strip_suffix(b" (deleted)").unwrap_or(&path);
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        Ok(Some(format!("vtable at {}+{address:#x}", printable(name))))
    }

    /// Words in one module's memory; `None` where they are not, or cannot be read.
    fn words<const N: usize>(&mut self, address: u64) -> Result<Option<[u64; N]>, Error> {
        let mut bytes = [0; 64];
        let Some(bytes) = bytes.get_mut(..N * 8) else {
            return Ok(None);
        };
        if !address.is_multiple_of(8) || self.read(address, bytes)? < bytes.len() {
            return Ok(None);
        }
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Ok(Some(words))
    }

    /// Text up to its NUL.
    fn text(&mut self, address: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        // Most names are short.
        for room in [256, LONGEST_NAME] {
            bytes.resize(room, 0);
            let read = self.read(address, &mut bytes)?;
            bytes.truncate(read);
            if let Some(end) = memchr::memchr(0, &bytes) {
                bytes.truncate(end);
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Reads what of a range is a module's and not swapped out, up to the first byte that is not.
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(here) = address.checked_add(done as u64) else {
                break;
            };
            if !self.may_read(here)? {
                break;
            }
            let in_page = usize::try_from(PAGE - here % PAGE).unwrap_or(0);
            let length = rest.len().min(in_page);
            let read = self
                .memory
                .read(here, rest.get_mut(..length).unwrap_or_default())?;
            done += read;
            if read < length {
                break;
            }
        }
        Ok(done)
    }

    /// A file's page that was never touched may be brought in: it costs nobody anything. One of `.bss`
    /// holds nothing.
    fn may_read(&mut self, address: u64) -> Result<bool, Error> {
        let Some(mapping) = self.modules.mapping_of(address) else {
            return Ok(false);
        };
        let mut state = [PageState::Absent];
        self.memory.pages(address / PAGE, &mut state)?;
        let [state] = state;
        self.met_swapped_page |= state == PageState::Swapped;
        Ok(match state {
            PageState::Present => true,
            PageState::Swapped => false,
            PageState::Absent => mapping.is_file(),
        })
    }
}
