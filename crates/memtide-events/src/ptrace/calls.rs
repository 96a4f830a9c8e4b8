//! The calls of ptrace(2) that are needed, with every signal: nix knows no real-time signals, which glibc
//! itself sends to threads, and a program under watch must get them.
#![expect(
    unsafe_code,
    reason = "ptrace and waitid are contracts with the kernel that the compiler cannot check"
)]

use nix::libc;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// A task that stopped or ended, and waits to be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) task: i32,
    pub(super) what: What,
}

/// Why it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Stopped: `PTRACE_EVENT_*` in the second byte, the signal in the first.
    Stopped(i32),
    /// Ended.
    Ended,
}

/// Which of our traced tasks to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Any that stops or ends, however long that takes.
    Any,
    /// Any that has stopped, without waiting.
    AnyStopped,
    /// This one, if it has ended, without waiting; it is reaped.
    Reap(i32),
    /// This one, if it has stopped, without waiting; its stop is not shown again.
    Consume(i32),
}

/// Attaches without stopping: its forks, execs and ends will stop it, and its children are attached, too.
pub(super) fn seize(task: i32) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACEFORK
        | libc::PTRACE_O_TRACEVFORK
        | libc::PTRACE_O_TRACECLONE
        | libc::PTRACE_O_TRACEEXEC
        | libc::PTRACE_O_TRACEEXIT;
    call(libc::PTRACE_SEIZE, task, options.into())
}

/// Lets a stopped task go on, with a signal unless that is 0.
pub(super) fn go_on(task: i32, signal: i32) -> io::Result<()> {
    call(libc::PTRACE_CONT, task, signal.into())
}

/// Leaves a task in its group stop, and hears of it again.
pub(super) fn listen(task: i32) -> io::Result<()> {
    call(libc::PTRACE_LISTEN, task, 0)
}

/// Lets a stopped task go for good.
pub(super) fn detach(task: i32) -> io::Result<()> {
    call(libc::PTRACE_DETACH, task, 0)
}

/// What goes with the event that a task is stopped at: a new task's number, a status.
pub(super) fn message(task: i32) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the kernel writes one unsigned long to the address, which is that of one.
    let result = unsafe {
        libc::ptrace(
            libc::PTRACE_GETEVENTMSG,
            task,
            ptr::null_mut::<libc::c_void>(),
            &raw mut message,
        )
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(message)
}

fn call(request: libc::c_uint, task: i32, data: libc::c_long) -> io::Result<()> {
    // SAFETY: for the four requests above data is a number and the address is ignored: no memory of ours is
    // read or written.
    let result = unsafe { libc::ptrace(request, task, ptr::null_mut::<libc::c_void>(), data) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A task's number as waitid wants it; of what is none, 0, which nobody has.
fn number(task: i32) -> libc::id_t {
    libc::id_t::try_from(task).unwrap_or(0)
}

/// The next task that waits, and only of those that this thread traces. What is not named stays as it
/// is, and a stop is over once the task goes on. `Ok(None)`: none at the moment.
///
/// # Errors
/// `ECHILD` where this thread traces nobody (any more).
pub(super) fn wait(wait: Wait) -> io::Result<Option<Waiting>> {
    let (kind, id, options) = match wait {
        Wait::Any => (
            libc::P_ALL,
            0,
            libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT,
        ),
        Wait::AnyStopped => (
            libc::P_ALL,
            0,
            libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT,
        ),
        Wait::Reap(task) => (libc::P_PID, number(task), libc::WEXITED | libc::WNOHANG),
        Wait::Consume(task) => (libc::P_PID, number(task), libc::WSTOPPED | libc::WNOHANG),
    };
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the kernel writes one siginfo_t to the address, which is that of one.
    let result = unsafe {
        libc::waitid(
            kind,
            id,
            info.as_mut_ptr(),
            options | libc::__WALL | libc::__WNOTHREAD,
        )
    };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeros is a valid siginfo_t, and the kernel has overwritten it with another or not at all.
    let info = unsafe { info.assume_init() };
    // SAFETY: waitid fills in these fields; where nothing waits they are zero.
    let (task, status) = unsafe { (info.si_pid(), info.si_status()) };
    if task == 0 {
        return Ok(None);
    }
    let what = match info.si_code {
        libc::CLD_TRAPPED | libc::CLD_STOPPED => What::Stopped(status),
        _ => What::Ended,
    };
    Ok(Some(Waiting { task, what }))
}
