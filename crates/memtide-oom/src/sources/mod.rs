//! Where messages of the kernel are found.

pub(crate) mod files;
pub(crate) mod journal;
pub(crate) mod kmsg;
mod stamps;
pub(crate) mod text;
