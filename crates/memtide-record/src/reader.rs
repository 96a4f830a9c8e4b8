//! Reading a recording (interface; the body follows).

use crate::Result;
use memtide_model::{Observations, Target};
use std::path::Path;

/// An open recording.
#[derive(Debug)]
pub struct Reader {}

#[expect(unused_variables, reason = "bodies follow")]
impl Reader {
    /// Opens a recording: finished, still being written, or cut off by a kill.
    pub fn open(path: &Path) -> Result<Self> {
        todo!()
    }
    /// Opens a damaged or truncated recording for as much as can still be read of it.
    pub fn salvage(path: &Path) -> Result<Self> {
        todo!()
    }
    /// The process as it was found, or as it was after its last exec.
    pub fn target(&self) -> Result<Target> {
        todo!()
    }
    /// All that was seen, thinned to at most `limit` samples.
    pub fn observations(&self, limit: usize) -> Result<Observations> {
        todo!()
    }
}
