//! Exit codes of the command line.

use std::process::ExitCode;

/// What the process ends with. A verdict alone is never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done.
    Done = 0,
    /// Wrong usage, or a failure of the tool.
    Failed = 2,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
