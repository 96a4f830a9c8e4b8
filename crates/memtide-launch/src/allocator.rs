//! Which allocator a program is to run on, and which one it runs on.

use crate::error::{Error, ErrorKind};
use crate::program::Program;
use std::ffi::OsString;
use std::path::PathBuf;

/// An allocator with its settings, as it was given: `glibc:arena_max=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    name: String,
}

impl Variant {
    /// Reads one variant: `NAME`, `NAME:SETTING=VALUE,…`, `/path/lib.so`, or `/path/lib.so:SETTING=VALUE,…`.
    ///
    /// # Errors
    /// [`ErrorKind::Allocator`] for an allocator, a setting or a value that there is not, with those that
    /// there are.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self {
            name: text.to_owned(),
        })
    }

    /// Reads a list. Commas separate variants and settings: a word whose first `=` stands before any `:`
    /// is a setting of the variant before it. The second of two variants that are alike is called
    /// `NAME#2`, and so on.
    ///
    /// # Errors
    /// As [`Self::parse`], and for an empty list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Error> {
        text.split(',').map(Self::parse).collect()
    }

    /// Its name as it was given, with `#2` and so on where it was given before.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Finds the library, and what the environment of `program` must say to run on it. It is tried on a
    /// program that does nothing: what the loader or the allocator complains of is an error here.
    ///
    /// # Errors
    /// [`ErrorKind::Allocator`] where the library is not there (with the Debian package that has it), does
    /// not load, does not know a setting, or cannot serve this program; [`ErrorKind::System`] where
    /// it cannot be tried.
    pub fn find(&self, program: &Program) -> Result<Found, Error> {
        let _ = program;
        Err(Error::new(ErrorKind::Allocator, "not found"))
    }
}

/// What a program needs in order to run on an allocator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The library that is preloaded; `None` where glibc's own is used as it is.
    pub library: Option<PathBuf>,
    /// Variables to set. `LD_PRELOAD` is whole: the library, then what the caller preloads and is no allocator.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables of the caller's environment that are taken away because they set up an allocator: an arm
    /// is what its name says and nothing else. The same in all arms but for those in `environment`.
    pub removed: Vec<OsString>,
}

/// Why `program` cannot be run on another allocator, whichever it is; `None` where it can. A sentence
/// fragment that names the program and says what would help.
pub fn refusal(program: &Program) -> Option<String> {
    let _ = program;
    None
}

/// What is to be said beforehand about a program that can be run on another allocator, but takes much of
/// its memory elsewhere; `None` where nothing is known of that.
pub fn caution(program: &Program) -> Option<String> {
    let _ = program;
    None
}

/// The allocator that a running process takes its memory from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Name, and version where its file tells: "jemalloc 5.3.0".
    pub name: String,
    /// The file that has the process's `malloc`, as the process names it.
    pub library: PathBuf,
}

/// Verifies that the process runs on what was found: that its `malloc` is bound to that library, and that
/// the settings arrived in its environment.
///
/// # Errors
/// [`ErrorKind::NotYet`] while it is still being loaded; [`ErrorKind::Allocator`] where it runs on
/// another one, or without the settings, with what was found instead; [`ErrorKind::System`] where it
/// has ended or may not be read.
pub fn bound(pid: u32, found: &Found) -> Result<Bound, Error> {
    let _ = (pid, found);
    Err(Error::new(ErrorKind::NotYet, "not yet"))
}
