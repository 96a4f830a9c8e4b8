//! glibc's malloc ("ptmalloc"), read from outside.
//!
//! ```text
//! discover ─► arena, parameters ─► heaps ─► walk ⇄ recover ─► books
//!  (layout)        tcache, fastbins ──┘       └─► anonymous (mapped blocks, pieces)
//! ```
//!
//! What is known of a C library stays known ([`Knowledge`]), so that the next look only verifies it.
//! What this refuses to do: take a layout on faith. Each part says what it checked, and the rest is a
//! doubt.
#![expect(
    clippy::cast_possible_truncation,
    reason = "offsets into buffers; the crate refuses to be built for machines of 32 bits"
)]

pub(crate) mod anonymous;
pub(crate) mod arena;
pub(crate) mod books;
pub(crate) mod discover;
pub(crate) mod fastbins;
pub(crate) mod heaps;
pub(crate) mod layout;
pub(crate) mod marks;
pub(crate) mod metadata;
pub(crate) mod parameters;
mod recover;
mod resync;
pub(crate) mod survey;
pub(crate) mod tcache;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

pub(crate) use metadata::Knowledge;
