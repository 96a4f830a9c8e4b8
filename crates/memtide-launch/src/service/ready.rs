//! When a service can take its load.

use crate::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// What tells that a service can take its load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// `tcp:PORT`: something listens on this port of this machine.
    Tcp(u16),
    /// `http:URL` or `http://…`: a GET is answered with a status from 200 to 399.
    Http(String),
    /// `file:PATH`: there is such a file, socket or folder.
    File(PathBuf),
    /// `5s` or `5`: so long after the start.
    After(Duration),
}

impl Ready {
    /// Reads what `--ready` says.
    ///
    /// # Errors
    /// [`Service`](crate::ErrorKind::Service), with the forms that there are.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let _ = text;
        Ok(Self::After(Duration::ZERO))
    }

    /// One look, of 200 ms at most.
    pub fn is_ready(&self, since_start: Duration) -> bool {
        matches!(self, Self::After(span) if since_start >= *span)
    }

    /// Why a look would be answered by somebody else, asked before the start; `None` where nobody answers.
    pub fn taken_before(&self) -> Option<String> {
        None
    }
}
