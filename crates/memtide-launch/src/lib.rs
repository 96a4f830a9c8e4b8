//! Starts programs: finds the preload shim, tests it, looks at the program, sets the environment,
//! waits for the hello, and passes the end on.
//!
//! ```no_run
//! # fn example() -> Result<(), memtide_launch::Error> {
//! use memtide_launch::{HeapMode, Launch, Locate, Recording, RunDir, Shim, inspect_program, resolve};
//! use std::ffi::OsStr;
//!
//! static EMBEDDED: &[u8] = b"the shim, put in by the build script";
//! let program = inspect_program(&resolve(OsStr::new("redis-server"))?)?;
//! let shim = Shim::locate(&Locate::from_environment(None, EMBEDDED))?;
//! let regions = RunDir::create(&[])?;
//! let mut launch = Launch::new("redis-server", ["--port", "6380"]);
//! if program.refusal.is_none() {
//!     launch.record(&shim, Recording { directory: regions.path(), mode: HeapMode::Sampled, interval: 524_288 });
//! }
//! let launched = launch.spawn(&program)?;
//! let end = launched.wait()?;
//! # Ok(()) }
//! ```
//!
//! The idea: whatever could end in a target that runs unrecorded, or does not run at all, is asked
//! before it is started: where the shim may be loaded from, whether it loads, whether the program
//! would load it. What cannot be recorded is a [`Refusal`] with a reason, and the program is started
//! without the shim.
//!
//! The crate refuses to stop, trace or change the target beyond four variables of its environment, and
//! never prints.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod allocator;
mod cache;
mod content_hash;
mod elf;
mod error;
mod family;
mod group;
mod hello;
mod launch;
mod launched;
mod memory_file;
mod processes;
mod program;
mod run_dir;
mod self_test;
pub mod service;
mod shim;
mod usage;

pub use content_hash::content_hash;
pub use error::{Error, ErrorKind};
pub use family::{Collected, Family, Relative};
pub use hello::{Hello, hello};
pub use launch::{Launch, Recording};
pub use launched::{Ending, Launched, Stopped};
pub use memtide_region::Mode as HeapMode;
pub use program::{Program, Refusal, inspect_program, resolve};
pub use run_dir::RunDir;
pub use self_test::{SelfTest, self_test};
pub use shim::{Locate, Origin, Shim};
pub use usage::Usage;
