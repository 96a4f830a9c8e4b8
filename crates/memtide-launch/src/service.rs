//! A service under test: what tells that it is ready, and the load that drives it.
//!
//! ```text
//! start ─► Ready::is_ready, again and again ─► Load::start … Load::poll ─► settle ─► Launched::stop
//! ```
//!
//! The idea: each step can be asked without waiting, so that whoever watches the service goes on
//! watching. What this refuses to do: to decide how long is too long.

mod http;
mod load;
mod ready;

pub use load::{Load, LoadEnd};
pub use ready::Ready;
