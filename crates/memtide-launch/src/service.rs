//! A service under test: when it is ready, and the load that drives it.

mod load;
mod ready;

pub use load::{Load, LoadEnd};
pub use ready::Ready;
