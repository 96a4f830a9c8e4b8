//! What the kernel wrote down when it killed for want of memory: the kernel log, live or after the fact.
//!
//! ```text
//! /dev/kmsg, dmesg ─┐
//! /var/log/kern.log*├─► Record ─► Assembler ─► Kill ─► explain (sentences, one line of advice)
//! journalctl -k ────┘   one       one dump =
//!                       message   many messages
//! ```
//!
//! The kernel tells of a kill in some eighty messages: who asked for memory, which limit was reached, every
//! process that was there, and whom it chose (`mm/oom_kill.c`, `mm/memcontrol.c`; the forms of Linux 3.10
//! to 6.18 are known). The last of them, `Killed process N (name)`, makes a [`Kill`]; those before it add
//! what they hold where they agree with it, and nothing where they do not.
//!
//! What this crate refuses to do: believe messages that programs wrote (in /dev/kmsg they carry another
//! facility than the kernel's), guess a year or a limit that no line holds, or read without bounds.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod assemble;
mod error;
pub mod explain;
pub mod gather;
pub mod group;
pub mod kill;
mod parse;
mod record;
mod redact;
pub mod report;
mod sources;

pub use assemble::Assembler;
pub use error::{Error, ErrorKind};
pub use gather::{Found, Search, find, find_in, is_first_namespace};
pub use kill::{Constraint, GroupUsage, HostMemory, Kill, Request, Task};
pub use record::Record;
pub use report::Report;
pub use sources::kmsg::Kmsg;
pub use sources::text::{Reader, Zone};
