//! The command line in two layers: what clap parses ([`args`]) and what the commands take
//! ([`options`]). Nothing below the first knows clap.

#[cfg(test)]
mod advised;
pub(crate) mod args;
pub(crate) mod marks;
pub(crate) mod oom;
pub(crate) mod options;
pub(crate) mod ps;
pub(crate) mod values;
