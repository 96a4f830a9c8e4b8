//! A storm of forks of our own, to try engines with: `memtide doctor --engines` runs it in a process of its own.
//!
//! Its children end at once, some make grandchildren that outlive them, some run another program; names hold
//! parentheses, newlines and tabs. It waits for the end of its standard input or a line there, so that engines can be
//! opened on it before it forks.
#![expect(
    unsafe_code,
    reason = "fork is safe only with one thread, which is checked"
)]

use nix::libc;
use nix::sys::wait::wait;
use nix::unistd::{ForkResult, Pid, execv, fork};
use std::ffi::CStr;
use std::io;

const NAMES: [&CStr; 6] = [
    c"a b) S 1 (x",
    c"new\nline 1 2",
    c"tab\tx)",
    c"((((",
    c"normal",
    c"sp  ace ",
];
/// Children that live at one time, of each worker.
const AT_ONCE: u32 = 8;
const WORKERS: u32 = 2;
/// What every 64th child runs.
const PROGRAM: &CStr = c"/bin/true";

/// Forks about so many processes, and returns when all have ended. For a process that does nothing else.
///
/// # Errors
/// Where this process has several threads, or the system has no room for more processes.
pub fn storm(forks: u32) -> io::Result<()> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other(
            "a storm of forks needs a process with one thread",
        ));
    }
    io::stdin().read_line(&mut String::new())?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    for number in 0..WORKERS {
        if split()?.is_none() {
            let done = worker(number, forks / WORKERS);
            quit(i32::from(done.is_err()));
        }
    }
    while wait().is_ok() {}
    Ok(())
}

/// fork(2): the child's number, or `None` in the child.
fn split() -> io::Result<Option<Pid>> {
    // SAFETY: the process has one thread, so no lock can be held by another.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(Some(child)),
        ForkResult::Child => Ok(None),
    }
}

/// Ends this process without what `main` would do at its end.
fn quit(status: i32) -> ! {
    // SAFETY: _exit has no conditions.
    unsafe { libc::_exit(status) }
}

fn worker(number: u32, forks: u32) -> io::Result<()> {
    take_name(number);
    let mut living = 0;
    for child in 0..forks {
        if split()?.is_none() {
            short_life(child);
        }
        living += 1;
        if living == AT_ONCE {
            while living > 0 && wait().is_ok() {
                living -= 1;
            }
        }
    }
    while wait().is_ok() {}
    Ok(())
}

fn short_life(number: u32) -> ! {
    take_name(number);
    if number % 16 == 3 {
        // A grandchild, which nobody waits for.
        let _ = split();
    } else if number % 64 == 9 {
        let _ = execv(PROGRAM, &[c"t)r\nue 1 S"]);
    }
    quit(0)
}

fn take_name(number: u32) {
    let name = NAMES.iter().cycle().nth(number as usize % NAMES.len());
    // A process that keeps its name is a process, too.
    let _ = name.map(|name| rustix::thread::set_name(name));
}
