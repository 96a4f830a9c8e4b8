//! The command that drives the load.
//!
//! The idea: a thread takes what the command prints as it comes, so that it never waits for us, and notes
//! the moment when it ends; whoever asks is told at once. Of the output the last 1 MiB is kept: a figure of
//! merit is printed at the end.

use crate::error::Error;
use crate::launch::{Launch, SHELL};
use crate::launched::{Ending, Launched};
use crate::program::inspect_program;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{PipeReader, Read as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// So much of the output is kept.
const KEPT: usize = 1 << 20;
/// How long a load may take to end by SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// How long the rest of the output is waited for once all of the group is gone: it is in the pipe, unless
/// somebody who left the group holds that open.
const REST: Duration = Duration::from_millis(100);

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
        let started = Instant::now();
        let launched = launch.spawn(&program)?;
        let output = Arc::new(Output::default());
        let end = launched.end().map(|end| end.try_clone_to_owned());
        let end = end.transpose().map_err(failed)?;
        let kept = Arc::clone(&output);
        thread::Builder::new()
            .name("load".to_owned())
            .spawn(move || kept.follow(reader, end.as_ref()))
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

    /// Whether it has ended, and how; waits for nothing but, once, a tenth of a second at most for the
    /// rest of the output. What it left running in its group is killed then. After the end it answers the
    /// same again.
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

/// What was printed so far.
#[derive(Debug, Default)]
struct Output {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    tail: VecDeque<u8>,
    /// When the command ended.
    end: Option<Instant>,
    /// Nothing more will come, of output or otherwise.
    is_done: bool,
}

impl Output {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until all who could write are gone, and the command has ended.
    fn follow(&self, mut reader: PipeReader, mut end: Option<&OwnedFd>) {
        let mut buffer = vec![0; 64 << 10];
        while self.await_either(&reader, &mut end) {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.state().append(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
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
        self.state().is_done = true;
        self.done.notify_all();
    }

    /// Waits until something can be read; notes the end of the command when that comes first. False where
    /// it cannot be waited for.
    fn await_either(&self, reader: &PipeReader, end: &mut Option<&OwnedFd>) -> bool {
        loop {
            let mut both = vec![PollFd::new(reader, PollFlags::IN)];
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

    /// All of it, and when the command ended.
    fn take(&self) -> (Vec<u8>, Option<Instant>) {
        let waited = self
            .done
            .wait_timeout_while(self.state(), REST, |state| !state.is_done);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        (state.tail.drain(..).collect(), state.end)
    }
}

impl State {
    fn append(&mut self, part: &[u8]) {
        self.tail.extend(part);
        self.tail.drain(..self.tail.len().saturating_sub(KEPT));
    }
}
