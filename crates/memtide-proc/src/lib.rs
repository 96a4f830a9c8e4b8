//! Bytes of /proc files to plain structs, and the descriptors that are kept open to read them.
//!
//! The idea: a tick of a sampler is a handful of `pread` calls on descriptors that stay open, into
//! buffers that are used again, read by parsers that borrow from them. After warm-up nothing is
//! allocated, whatever the number of mappings or threads.
//!
//! ```
//! use memtide_proc::{Buffer, ProcRoot, parse::stat};
//!
//! let root = ProcRoot::system()?;
//! let process = root.process(memtide_model::Pid(std::process::id()))?;
//! let kept = process.keep("stat")?;
//! let mut buffer = Buffer::new();
//! let before = stat::parse(kept.read(&mut buffer)?)?.min_flt;
//! let after = stat::parse(kept.read(&mut buffer)?)?.min_flt;
//! assert!(after >= before);
//! # Ok::<(), memtide_proc::Error>(())
//! ```
//!
//! What this crate refuses to do: decide what is read when (the sampler's business), guess a value
//! that a file does not hold (it is `None`), trust a name to be text, stop or signal anybody.
//! Every path goes through a [`ProcRoot`], so that the files of a kernel that is not at hand can be
//! read from a fixture tree.
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod buffer;
pub mod cgroup;
pub mod clock;
pub mod error;
pub mod fd_dir;
pub mod file_status;
pub mod listing;
pub mod pagemap;
pub mod parse;
pub mod pidfd;
pub mod process;
pub mod remote;
pub mod rlimit;
pub mod root;
pub mod smaps_reader;
pub mod threads;

pub use buffer::Buffer;
pub use cgroup::{CgroupLocation, CgroupVersion, MemoryCgroup};
pub use error::{Error, ErrorKind};
pub use fd_dir::FdDir;
pub use file_status::FileStatus;
pub use listing::Listing;
pub use pagemap::{PageState, Pagemap};
pub use pidfd::{ExitStatus, PidFd};
pub use process::{KeptFile, ProcessDir};
pub use remote::RemoteMemory;
pub use root::ProcRoot;
pub use smaps_reader::{SmapsOutcome, SmapsReader};
pub use threads::{Refresh, Sweep, ThreadEvent, ThreadFiles};
