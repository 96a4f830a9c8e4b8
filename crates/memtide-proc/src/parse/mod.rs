//! One module per kind of file; each turns bytes into a plain struct that borrows from them.
//!
//! Rules that hold for all of them: nothing is allocated, nothing panics, names are bytes. A field
//! that the kernel does not print is `None`; lines that are not known are passed over; a known field
//! that is not what its format says is an error. A file whose last line is not ended was cut off and
//! is refused, because `VmRSS: 12` may be the beginning of `VmRSS: 1234 kB`. `wchan` alone has no
//! end mark, so that its being cut off cannot be noticed.

pub mod cgroup;
pub mod fd;
pub mod host;
pub mod ipc;
pub mod limits;
pub mod maps;
pub mod mountinfo;
pub mod net;
pub mod single;
pub mod smaps;
pub mod stat;
pub mod statm;
pub mod status;

mod header;
mod scan;
mod template;

pub(crate) use scan::decimal;
