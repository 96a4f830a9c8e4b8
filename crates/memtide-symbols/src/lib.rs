//! Addresses of a process to functions, files, lines and inlined frames.
//!
//! Three steps, each usable alone. A [`ModuleTable`] knows which file was mapped where and when. A
//! [`Locator`] finds, for one module, the files that may tell its names and lines, in gdb's order,
//! checks that they belong to it (build-id or CRC), and says which of them answered. A [`Resolver`]
//! takes a whole list of addresses, sorts them by module, and answers all of them at once: each
//! file's debug information is in memory only while its own addresses are looked up.
//!
//! What the caller must know: whether an address is a return address. The call lies before it, and
//! the byte before belongs to the right line and the right function; see [`Address`].
//!
//! Nothing here fails as a whole. A file that is missing, damaged or of another build is a value in
//! the [`ModuleReport`], with a sentence on what to install; its addresses keep what is still known
//! of them. Files may be hostile: sizes are bounded by [`Limits`], and no length in a file is trusted.
//!
//! Words: an *avma* is an address in the process's memory, an *svma* the address that the file's own
//! tables use for the same byte (for a position-independent file they differ by where it was loaded).
//!
//! It refuses to run programs, to speak to the network, and to write anything.
#![forbid(unsafe_code)]

mod build_id;
mod bytes;
mod demangle;
mod dwarf;
mod elf;
mod locate;
mod module;
mod nesting;
mod package;
mod resolve;
mod symbol_table;

pub use build_id::BuildId;
pub use demangle::demangle;
pub use locate::{Check, Content, FileUsed, HeldFiles, Locator, Origin, Refused};
pub use module::{MappedRange, Module, ModuleId, ModuleTable, Placement, Segment};
pub use resolve::{Address, Frame, Limits, ModuleReport, Resolution, Resolver};
