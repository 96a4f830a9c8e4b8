//! Who asked for the memory: call stacks in order, each with its growth, rate and leak score.

pub(crate) mod suppressions;
