//! Every fork, exec and exit of a tree of processes, and the tree that they make.
//!
//! ```text
//!  perf side-band ─┐
//!  proc connector ─┤► records ─► in order ─► threads counted out ─► of the scope ─► TreeEvent ─► Tree
//!  ptrace         ─┤
//!  /proc, polled  ─┘
//! ```
//!
//! **What it does.** Four engines see the same things by different means; [`available`] says which can be had here and why the
//! others cannot. ptrace, under which setuid programs get no privileges, is taken unasked only where nobody
//! misses them. [`Source`] opens one, [`Tree`] is the pure value that its events make, [`Follower`] keeps a tree up to
//! date beside other work, [`Gate`] opens a source on a program before that runs, and [`crosscheck`] runs two engines
//! at once and compares their trees, so that a process that one has lost is found by the other.
//!
//! **What it refuses to do.** It never says that nothing was missed where it cannot know: losses are counted and polling is
//! marked. It never stops a process that runs already. It reads no memory and no command line: that is the
//! sampler's work.
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod bytes;
mod connector;
mod crosscheck;
mod engine;
mod error;
mod escapes;
mod event;
mod follower;
mod gate;
mod members;
mod order;
mod poll;
mod ptrace;
mod sideband;
mod snapshot;
mod source;
mod storm;
mod threads;
mod tree;

pub use crosscheck::{Difference, Side, crosscheck, pair};
pub use engine::{Engine, Scope, available};
pub use error::{Error, ErrorKind};
pub use event::{Change, Comm, Losses, TreeEvent};
pub use follower::{Follower, Recent};
pub use gate::Gate;
pub use source::Source;
pub use storm::storm;
pub use tree::{Counts, End, Folded, Node, NodeId, Orphan, Tree};
