//! A gate between fork and exec: a program is followed before it has run its first instruction.
//!
//! The standard library returns from `spawn` only when the exec has succeeded, so the child cannot wait for whoever calls it.
//! Instead the child tells its number through a pipe and waits; a thread opens the source and lets it pass; and
//! `spawn` returns as ever, with its errors. Where memtide ends meanwhile, the child gives up and runs nothing.

use crate::error::Error;
use memtide_model::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{getpid, getppid};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;

/// How often a waiting child looks whether its parent is still there.
const LOOK_EVERY: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// What stands in the place of a number when there will be no more children.
const NOBODY: u32 = 0;

/// Where children wait before their exec.
#[derive(Debug)]
pub struct Gate {
    numbers: OwnedFd,
    release: OwnedFd,
    child: Arc<ChildSide>,
}

#[derive(Debug)]
struct ChildSide {
    tell: OwnedFd,
    wait: OwnedFd,
}

impl Gate {
    /// Runs `spawn`, and `open` for each child that comes to the gate while it runs; a child passes when `open` has
    /// returned, whatever it returned. What is given back is of the last child, which is the one that runs: a
    /// script without interpreter is tried twice. `None` where no child was made.
    ///
    /// ```
    /// use memtide_events::{Gate, Scope, Source};
    /// use std::process::Command;
    ///
    /// let (child, opened) = Gate::follow(
    ///     |pid| Source::open_best(Scope::Tree(pid)),
    ///     |gate| {
    ///         let mut command = Command::new("true");
    ///         gate.install(&mut command);
    ///         command.spawn()
    ///     },
    /// )?;
    /// let (source, refused) = opened.expect("a child was made")?;
    /// println!("{} follows, {} cannot", source.engine(), refused.len());
    /// child?.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Where no pipe can be had; `spawn` did not run then.
    pub fn follow<T, O: Send>(
        open: impl Fn(Pid) -> O + Send,
        spawn: impl FnOnce(&Self) -> T,
    ) -> Result<(T, Option<O>), Error> {
        let gate = Self::new()?;
        let (numbers, release) = (&gate.numbers, &gate.release);
        Ok(std::thread::scope(|scope| {
            let opener = scope.spawn(move || let_pass(numbers, release, &open));
            let spawned = spawn(&gate);
            // A pipe that cannot be written to has lost its reader, who is done then.
            let _ = rustix::io::write(&gate.child.tell, &NOBODY.to_ne_bytes());
            // Where `open` panicked, nobody was opened.
            (spawned, opener.join().ok().flatten())
        }))
    }

    fn new() -> Result<Self, Error> {
        let pipe = || {
            pipe_with(PipeFlags::CLOEXEC)
                .map_err(|errno| Error::system("a pipe for the gate before exec", errno))
        };
        let ((numbers, tell), (wait, release)) = (pipe()?, pipe()?);
        let child = Arc::new(ChildSide { tell, wait });
        Ok(Self {
            numbers,
            release,
            child,
        })
    }

    /// Makes what `command` starts wait at this gate. To be spawned inside of [`Gate::follow`]: later there is nobody to let it
    /// pass, and it fails to start.
    #[expect(
        unsafe_code,
        reason = "pre_exec runs in a fork of a process with threads"
    )]
    pub fn install(&self, command: &mut Command) {
        let child = Arc::clone(&self.child);
        let parent = getpid();
        // SAFETY: between fork and exec only system calls are made (poll, write, read, getpid, getppid), on
        // descriptors that the closure keeps open; nothing is allocated and no lock is taken.
        unsafe {
            command.pre_exec(move || child.pass(parent));
        }
    }
}

impl ChildSide {
    /// In the child: tells its number and waits.
    fn pass(&self, parent: rustix::process::Pid) -> io::Result<()> {
        let own = getpid().as_raw_nonzero().get().unsigned_abs();
        let mut ready = [PollFd::new(&self.wait, PollFlags::IN)];
        // Nobody reads what is told to a gate that is gone, and to tell it would be fatal.
        poll(&mut ready, Some(&Timespec::default()))?;
        let [state] = &ready;
        if state.revents().contains(PollFlags::HUP) {
            return Err(Errno::PIPE.into());
        }
        rustix::io::write(&self.tell, &own.to_ne_bytes())?;
        loop {
            match poll(&mut ready, Some(&LOOK_EVERY)) {
                Ok(0) | Err(Errno::INTR) if getppid() == Some(parent) => {}
                Ok(0) | Err(_) => return Err(Errno::SRCH.into()),
                Ok(_) => break,
            }
        }
        match rustix::io::read(&self.wait, &mut [0; 1])? {
            0 => Err(Errno::PIPE.into()),
            _ => Ok(()),
        }
    }
}

/// Opens for each number that comes, and lets its bearer pass.
fn let_pass<O>(numbers: &OwnedFd, release: &OwnedFd, open: &impl Fn(Pid) -> O) -> Option<O> {
    let mut opened = None;
    let mut number = [0; 4];
    // Four bytes are written and read at once.
    while let Ok(4) = rustix::io::retry_on_intr(|| rustix::io::read(numbers, &mut number)) {
        let pid = u32::from_ne_bytes(number);
        if pid == NOBODY {
            break;
        }
        opened = Some(open(Pid(pid)));
        if rustix::io::write(release, &[1]).is_err() {
            break;
        }
    }
    opened
}
