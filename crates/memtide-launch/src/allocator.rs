//! Which allocator a program is to run on, and which one it runs on.
//!
//! ```text
//! "jemalloc:dirty_decay_ms=0" ─► Variant ─► find: library, environment, a trial ─► Launch::allocator
//!                                                        bound: what the process really took ◄─┘
//! ```
//!
//! The idea: everything that could make two arms of a comparison the same program without anybody noticing
//! is looked for: a setting that the library does not know, a program that brings its own `malloc`, a
//! wrapper that clears the environment. What cannot be verified is an error and not a hope.
//!
//! What is inherited: the caller's environment, but for what sets up allocators (`LD_PRELOAD` and
//! `GLIBC_TUNABLES` as far as they do, `MALLOC_*`, `TCMALLOC_*`, `MIMALLOC_*`), which is taken away in every arm.

mod bound;
mod files;
mod find;
mod image;
mod kind;
mod link_map;
mod refusal;
mod search;
mod settings;
mod variant;

pub use bound::{Bound, bound};
pub use files::Files;
pub use refusal::{caution, refusal};
pub use variant::Variant;

use kind::Kind;
use std::ffi::OsString;
use std::path::PathBuf;

/// What the loader preloads.
const PRELOAD: &str = "LD_PRELOAD";
/// What glibc is told, and how names of its malloc's settings begin there.
const TUNABLES: &str = "GLIBC_TUNABLES";
const TUNABLE: &str = "glibc.malloc.";

/// What a program needs in order to run on an allocator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The library that is preloaded; `None` where glibc's own is used as it is.
    pub library: Option<PathBuf>,
    /// Variables to set. `LD_PRELOAD` is whole: the library, then what the caller preloads and is no
    /// allocator. For glibc it is there, too, where the program names a library with another allocator:
    /// then it has the C library itself.
    pub environment: Vec<(OsString, OsString)>,
    /// Variables of the caller's environment that are taken away because they set up an allocator: an arm
    /// is what its name says and nothing else. The same in all arms but for those in `environment`.
    pub removed: Vec<OsString>,
    kind: Kind,
}
