//! The way out of a deadlock with a target that execs just now.
//!
//! An exec ends all other threads first, and the kernel waits until each is reaped. Those that we seized
//! are for us to reap. Meanwhile it makes whoever seizes a further thread wait for the end of that exec:
//! the tracing thread would wait for itself. So another thread of this process does it.

use super::tracees::raw;
use memtide_model::Pid;
use memtide_proc::parse::status;
use memtide_proc::{Buffer, Listing, ProcRoot};
use nix::sys::wait::{WaitPidFlag, waitpid};

/// Reaps the threads of a process that have ended while this process traced them. The main thread is
/// left to the process's parent, and those of others to them: the kernel refuses these.
pub(super) fn reap(pid: Pid) {
    let Ok(process) = ProcRoot::system().and_then(|root| root.process(pid)) else {
        return;
    };
    let mut others = Vec::new();
    let listed = process.for_each_thread(&mut Listing::new(), |tid| {
        if tid.0 != pid.0 {
            others.push(tid);
        }
    });
    if listed.is_err() {
        return;
    }
    let mut buffer = Buffer::new();
    for tid in others {
        let bytes = process.read_of_thread(tid, "status", &mut buffer);
        let is_zombie = bytes
            .and_then(status::parse)
            .is_ok_and(|status| status.state == Some(b'Z'));
        // Only then: a wait for one that stands still would take its signal away.
        if is_zombie {
            let _ = waitpid(raw(tid), Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL));
        }
    }
}
