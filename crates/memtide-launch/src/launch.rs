//! One program that is about to be started: its environment, its group, where its output goes.

use crate::allocator::Found;
use crate::error::{Error, ErrorKind};
use crate::launched::Launched;
use crate::program::Program;
use crate::shim::Shim;
use memtide_region::Mode;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Who runs files that are neither programs nor scripts with an interpreter, as execvp(3) says.
pub(crate) const SHELL: &str = "/bin/sh";

/// What the shim is told.
#[derive(Clone, Copy, Debug)]
pub struct Recording<'a> {
    /// An existing folder, as an absolute path, for the regions.
    pub directory: &'a Path,
    /// What to record.
    pub mode: Mode,
    /// Mean bytes between samples, from 1 on.
    pub interval: u64,
}

/// A program that is about to be started.
#[derive(Debug)]
pub struct Launch {
    name: OsString,
    arguments: Vec<OsString>,
    /// In the order in which they are set; `None` takes a variable away.
    environment: Vec<(OsString, Option<OsString>)>,
    output: Output,
    own_group: bool,
}

/// Where standard output and errors go.
#[derive(Debug)]
enum Output {
    Ours,
    Nowhere,
    File(File),
}

impl Launch {
    /// The program as it was typed, and its arguments.
    pub fn new(
        name: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        Self {
            name: name.as_ref().to_owned(),
            arguments: arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned())
                .collect(),
            environment: Vec::new(),
            output: Output::Ours,
            own_group: false,
        }
    }

    /// Under the shim: first in `LD_PRELOAD`, before what is there.
    pub fn record(&mut self, shim: &Shim, recording: Recording<'_>) -> &mut Self {
        let mut preload = shim.preload().to_owned();
        if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
            preload.push(":");
            preload.push(others);
        }
        let mode = match recording.mode {
            Mode::Sampled => "sampled",
            Mode::Full => "full",
        };
        self.environment("LD_PRELOAD", preload)
            .environment("MEMTIDE_DIR", recording.directory)
            .environment("MEMTIDE_HEAP", mode)
            .environment("MEMTIDE_INTERVAL", recording.interval.to_string())
    }

    /// Sets a variable, whatever the caller's environment says of it.
    pub fn environment(
        &mut self,
        name: impl Into<OsString>,
        value: impl Into<OsString>,
    ) -> &mut Self {
        self.environment.push((name.into(), Some(value.into())));
        self
    }

    /// Takes a variable of the caller's environment away.
    pub fn without(&mut self, name: impl Into<OsString>) -> &mut Self {
        self.environment.push((name.into(), None));
        self
    }

    /// With the environment of this allocator: what it sets, and without what is set for others.
    pub fn allocator(&mut self, found: &Found) -> &mut Self {
        for name in &found.removed {
            self.without(name);
        }
        for (name, value) in &found.environment {
            self.environment(name, value);
        }
        self
    }

    /// In a process group of its own: signals of the terminal do not reach it, [`Launched::stop`] ends
    /// all of the group. What is left of the group when the program ends, or what was started is
    /// dropped, is killed.
    pub fn own_group(&mut self) -> &mut Self {
        self.own_group = true;
        self
    }

    /// Standard output and errors go to this file; there is no standard input.
    pub fn output_to(&mut self, file: File) -> &mut Self {
        self.output = Output::File(file);
        self
    }

    /// Without standard input, output and errors; otherwise they are ours.
    pub fn silent(&mut self) -> &mut Self {
        self.output = Output::Nowhere;
        self
    }

    /// Starts `program` under the name that was typed. The kernel has taken it on when this returns:
    /// it may run already, or have ended.
    ///
    /// # Errors
    /// [`ErrorKind::ProgramNotFound`] and [`ErrorKind::ProgramNotRunnable`] as the kernel says, and
    /// [`ErrorKind::System`] where no process can be had.
    pub fn spawn(&self, program: &Program) -> Result<Launched, Error> {
        self.spawn_with(program, |_| {})
    }

    /// As [`Self::spawn`], with a last word on the command: a gate that it has to wait at before its exec. `prepare` is
    /// called for each try, and a file of commands without interpreter takes two.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub fn spawn_with(
        &self,
        program: &Program,
        prepare: impl Fn(&mut Command),
    ) -> Result<Launched, Error> {
        let mut command = Command::new(&program.path);
        command.arg0(&self.name).args(&self.arguments);
        prepare(&mut command);
        let started = match self.start(&mut command) {
            // Commands for a shell, and not a program that is damaged or of another machine.
            Err(error)
                if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error())
                    && program.runs == Path::new(SHELL) =>
            {
                let mut shell = Command::new(SHELL);
                shell.arg(&program.path).args(&self.arguments);
                prepare(&mut shell);
                self.start(&mut shell)
            }
            started => started,
        };
        let child = started.map_err(|error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => ErrorKind::ProgramNotFound,
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::OutOfMemory => {
                    ErrorKind::System
                }
                _ => ErrorKind::ProgramNotRunnable,
            };
            Error::io(kind, "cannot run", &program.path, error)
        })?;
        Ok(Launched::new(child, self.own_group))
    }

    fn start(&self, command: &mut Command) -> io::Result<Child> {
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if self.own_group {
            command.process_group(0);
        }
        match &self.output {
            Output::Ours => {}
            Output::Nowhere => {
                command.stdin(Stdio::null()).stdout(Stdio::null());
                command.stderr(Stdio::null());
            }
            Output::File(file) => {
                command.stdin(Stdio::null()).stdout(file.try_clone()?);
                command.stderr(file.try_clone()?);
            }
        }
        command.spawn()
    }
}
