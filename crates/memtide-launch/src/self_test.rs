//! Whether the shim loads and answers, before a program of the user is started under it.

use crate::error::{Error, ErrorKind};
use crate::hello::hello;
use crate::launch::{Launch, Recording};
use crate::program::{inspect_program, resolve};
use crate::run_dir::RunDir;
use crate::shim::Shim;
use memtide_region::Mode;
use rustix::process::Signal;
use std::ffi::OsString;
use std::time::Duration;

/// What is run under the shim for a test.
#[derive(Clone, Debug)]
pub struct SelfTest {
    /// A small dynamic program that ends at once: memtide itself, with a command that does nothing.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The build that the shim must be of.
    pub build_hash: u64,
    /// How long it may take.
    pub limit: Duration,
}

/// Runs the program under the shim in a folder of its own and reads the hello.
///
/// # Errors
/// [`ErrorKind::SelfTest`] where the program does not end well in time, or no hello comes;
/// [`ErrorKind::Shim`] where the shim is of another build.
pub fn self_test(shim: &Shim, test: &SelfTest) -> Result<(), Error> {
    let program = inspect_program(&resolve(&test.program)?)?;
    if program.refusal.is_some() {
        // A memtide that is itself linked statically cannot try it on itself.
        return Ok(());
    }
    let regions = RunDir::create(&[])?;
    let recording = Recording {
        directory: regions.path(),
        mode: Mode::Full,
        interval: 1,
    };
    let mut launch = Launch::new(&test.program, &test.arguments);
    launch.record(shim, recording);
    launch.silent();
    let mut launched = launch.spawn(&program)?;
    let Some(end) = launched.wait_for(test.limit)? else {
        launched.signal(Signal::KILL);
        launched.wait()?;
        return Err(failed(shim, "a program under it did not end"));
    };
    let found = hello(regions.path(), None)?;
    match found {
        Some(found) if found.build_hash != test.build_hash => Err(other_build(shim)),
        Some(_) if end.exit_code() == 0 => Ok(()),
        Some(_) => Err(failed(shim, "a program under it failed")),
        None => Err(failed(
            shim,
            "it did not load, or could not write its region",
        )),
    }
}

fn other_build(shim: &Shim) -> Error {
    let text = format!(
        "the shim {} is of another build than this memtide; use the one that came with it",
        shim.file().display()
    );
    Error::new(ErrorKind::Shim, text)
}

fn failed(shim: &Shim, what: &str) -> Error {
    let text = format!(
        "the shim {} does not work here: {what}",
        shim.file().display()
    );
    Error::new(ErrorKind::SelfTest, text)
}
