//! Reads the region of the preload shim, while the target runs or after it, into observations.
#![forbid(unsafe_code)]
