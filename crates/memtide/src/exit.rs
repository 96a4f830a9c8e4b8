//! Exit codes of the command line.

use std::process::ExitCode;

/// What the process ends with. A verdict alone is never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done: 0.
    Done,
    /// `ps`: something was found: 1.
    Found,
    /// Wrong usage, or a failure of the tool: 2.
    Failed,
    /// `run`: what the program ended with, 128 + n for signal n.
    Program(u8),
    /// `run --for`: the time was up before the program ended: 124, as timeout(1).
    TimedOut,
    /// `run`: memtide failed before or while it started the program: 125, as env(1).
    NotStarted,
}

impl Code {
    /// The number.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Found => 1,
            Self::Failed => 2,
            Self::Program(code) => code,
            Self::TimedOut => 124,
            Self::NotStarted => 125,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}
