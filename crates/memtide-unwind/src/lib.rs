//! The pure parts of the preload shim: what it computes, without the memory it computes on.
//!
//! Unwinding rules compiled from `.eh_frame` ([`compile`]) and kept in one word each ([`rule`]),
//! steps from frame to frame ([`walk`]), what a walk shares with the one before ([`tail`]) or with all before ([`trie`]), the sampling of blocks and its estimator ([`sampling`]), the
//! numbering of stacks ([`intern`], [`whole`]), the path of a mapped file ([`mapped_path`]).
//!
//! Nothing here allocates, prints, locks or calls the system, and no public function panics on any
//! input: this code runs inside malloc of somebody else's program. There is no `unsafe` in it; the
//! shim hands in slices.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]
#![expect(
    clippy::inline_always,
    reason = "what every block of somebody else's program goes through was measured with it"
)]

#[cfg(test)]
extern crate std;

pub mod compile;
pub mod intern;
pub mod mapped_path;
pub mod rule;
pub mod sampling;
pub mod tail;
pub mod trie;
pub mod walk;
pub mod whole;

pub use compile::{EhFrameSections, compile};
pub use mapped_path::MappedPath;
pub use rule::{Frame, Rule, RuleTable};
