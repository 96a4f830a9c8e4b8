//! The command that drives the load.
//!
//! The idea: a thread takes what the command prints as it comes, so that it never waits for us, and notes
//! the moment when it ends. Whoever asks for the end takes the rest out of the pipe itself: what was printed
//! before the end is there by then, so no busy machine, on which the thread does not get its turn, loses a figure. Of the
//! output the last 1 MiB is kept: a figure of merit is printed at the end.

use crate::error::Error;
use crate::launch::{Launch, SHELL};
use crate::launched::{Ending, Launched};
use crate::program::inspect_program;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::Signal;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, PipeReader, Read as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So much of the output is kept.
const KEPT: usize = 1 << 20;
/// How long a load may take to end by SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// So much is read at once.
const PART: usize = 64 << 10;

/// A load that runs. Dropped, it is killed with all of its process group.
#[derive(Debug)]
pub struct Load {
    launched: Launched,
    started: Instant,
    output: Arc<Output>,
    end: Option<LoadEnd>,
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
    /// [`System`](crate::ErrorKind::System) where no process, pipe or thread can be had.
    pub fn start(command: &str) -> Result<Self, Error> {
        let failed = |error| Error::system("starting the load", error);
        let program = inspect_program(Path::new(SHELL))?;
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let mut launch = Launch::new("sh", ["-c", command]);
        launch
            .own_group()
            .output_to(File::from(OwnedFd::from(writer)));
        let output = Arc::new(Output::of(reader).map_err(failed)?);
        let started = Instant::now();
        let launched = launch.spawn(&program)?;
        let end = launched.end().map(|end| end.try_clone_to_owned());
        let end = end.transpose().map_err(failed)?;
        let kept = Arc::clone(&output);
        thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || kept.follow(end.as_ref()))
            .map_err(failed)?;
        Ok(Self {
            launched,
            started,
            output,
            end: None,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.launched.pid()
    }

    /// Whether it has ended, and how; waits for nothing. What it left running in its group is killed then. After
    /// the end it answers the same again.
    ///
    /// # Errors
    /// [`System`](crate::ErrorKind::System) where it cannot be waited for.
    pub fn poll(&mut self) -> Result<Option<LoadEnd>, Error> {
        if self.end.is_none()
            && let Some(ending) = self.launched.wait_for(Duration::ZERO)?
        {
            self.end = Some(self.ended(ending));
        }
        Ok(self.end.clone())
    }

    /// A descriptor that becomes readable when it ends, where the kernel has such.
    pub fn end(&self) -> Option<BorrowedFd<'_>> {
        self.launched.end()
    }

    /// Ends it, with its group: SIGTERM, after 2 seconds SIGKILL. One that has ended is left alone.
    pub fn stop(&mut self) {
        // Of one that cannot be ended there is nothing more to be had; it is dropped, and killed again.
        if self.end.is_none()
            && let Ok(stopped) = self.launched.stop(Signal::TERM, GRACE)
        {
            self.end = Some(self.ended(stopped.ending));
        }
    }

    fn ended(&self, ending: Ending) -> LoadEnd {
        let (output, end) = self.output.take();
        let end = end.unwrap_or_else(Instant::now);
        LoadEnd {
            exit: i32::from(ending.exit_code()),
            output,
            seconds: end.duration_since(self.started).as_secs_f64(),
        }
    }
}

/// What was printed so far, and where the rest comes from.
#[derive(Debug)]
struct Output {
    /// Read only while the state is locked: parts are kept in the order in which they were printed.
    reader: PipeReader,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tail: VecDeque<u8>,
    /// When the command ended.
    end: Option<Instant>,
}

/// What one look into the pipe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// So many bytes, which are kept.
    Some(usize),
    /// Nothing now.
    Nothing,
    /// Nothing any more: all who could write are gone, or it cannot be read.
    End,
}

impl Output {
    /// The reading end is made one that does not wait.
    fn of(reader: PipeReader) -> std::io::Result<Self> {
        fcntl_setfl(&reader, fcntl_getfl(&reader)? | OFlags::NONBLOCK)?;
        Ok(Self {
            reader,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until all who could write are gone, and the command has ended.
    fn follow(&self, mut end: Option<&OwnedFd>) {
        let mut buffer = vec![0; PART];
        while self.await_either(&mut end) {
            // The lock is held for this one read: whoever takes the rest need not wait for all of it.
            if self.state().read(&self.reader, &mut buffer) == Look::End {
                break;
            }
        }
        // It may have closed its output before; mostly that is its very end.
        if let Some(end) = end {
            while matches!(
                poll(&mut [PollFd::new(end, PollFlags::IN)], None),
                Err(Errno::INTR)
            ) {}
            self.state().end = Some(Instant::now());
        }
    }

    /// Waits until something can be read; notes the end of the command when that comes first. False where
    /// it cannot be waited for.
    fn await_either(&self, end: &mut Option<&OwnedFd>) -> bool {
        loop {
            let mut both = vec![PollFd::new(&self.reader, PollFlags::IN)];
            both.extend(end.map(|end| PollFd::new(end, PollFlags::IN)));
            match poll(&mut both, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return false,
            }
            let mut is_ready = both.iter().map(|polled| !polled.revents().is_empty());
            let has_output = is_ready.next().unwrap_or_default();
            if is_ready.next().unwrap_or_default() {
                self.state().end = Some(Instant::now());
                *end = None;
            }
            if has_output {
                return true;
            }
        }
    }

    /// All of it, and when the command ended, as far as the thread has seen that. The rest is taken out of the
    /// pipe: as much as is kept, for somebody who left the group may go on printing for ever.
    fn take(&self) -> (Vec<u8>, Option<Instant>) {
        let mut buffer = vec![0; PART];
        let mut state = self.state();
        let mut rest = 0;
        while let Look::Some(count) = state.read(&self.reader, &mut buffer) {
            rest += count;
            if rest >= KEPT {
                break;
            }
        }
        (state.tail.drain(..).collect(), state.end)
    }
}

impl State {
    /// Keeps what there is, at most a buffer full.
    fn read(&mut self, mut reader: &PipeReader, buffer: &mut [u8]) -> Look {
        loop {
            return match reader.read(buffer) {
                Ok(0) => Look::End,
                Ok(count) => {
                    self.append(buffer.get(..count).unwrap_or_default());
                    Look::Some(count)
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Look::Nothing,
                Err(_) => Look::End,
            };
        }
    }

    fn append(&mut self, part: &[u8]) {
        self.tail.extend(part);
        self.tail.drain(..self.tail.len().saturating_sub(KEPT));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_thread_that_never_gets_its_turn_loses_nothing() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let output = Output::of(reader).unwrap();
        writer.write_all(b"12.5 requests/s\n").unwrap();
        // Somebody who left the group still holds the pipe: no end is waited for.
        assert_eq!(output.take().0, b"12.5 requests/s\n");
        writer.write_all(b"more\n").unwrap();
        drop(writer);
        assert_eq!(output.take().0, b"more\n");
        assert_eq!(output.take().0, b"");
    }
}
