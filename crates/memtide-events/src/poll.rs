//! Looking into /proc now and then: what is left where nothing else is allowed.
//!
//! A process that lives shorter than the time between two looks is not seen: of a fork storm more than nine
//! in ten are missed, and a parent that ended in between is not known either. So whatever comes from here is
//! marked as incomplete ([`crate::Losses::polled`]).

use crate::error::Error;
use crate::event::{Change, TreeEvent};
use crate::snapshot::{Look, Seen, descendants, found};
use memtide_model::{Nanos, Pid};
use memtide_proc::clock;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::collections::BTreeMap;

/// The time between two looks. A look takes about 15 µs per process.
const EVERY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 250_000_000,
};

/// Looks again and again.
#[derive(Debug)]
pub(crate) struct Poll {
    look: Look,
    /// `None`: all processes.
    root: Option<Pid>,
    known: BTreeMap<Pid, Seen>,
    timer: OwnedFd,
    next: Nanos,
}

impl Poll {
    /// Of `root` and its descendants, or of the machine.
    pub(crate) fn open(root: Option<Pid>) -> Result<Self, Error> {
        let system = |errno| Error::system("a timer for polling", errno);
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK,
        )
        .map_err(system)?;
        let every = Itimerspec {
            it_interval: EVERY,
            it_value: EVERY,
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every).map_err(system)?;
        Ok(Self {
            look: Look::new()?,
            root,
            known: BTreeMap::new(),
            timer,
            next: Nanos(0),
        })
    }

    /// Looks, where it is time to or `now` is asked for, and hands over what is new.
    pub(crate) fn read(&mut self, now: bool, mut each: impl FnMut(TreeEvent)) {
        // The count of expirations is of no interest; reading it makes the timer quiet.
        let _ = rustix::io::read(&self.timer, &mut [0; 8]);
        let at = clock::boottime();
        if at < self.next && !now {
            return;
        }
        let pause = u64::try_from(EVERY.tv_nsec).unwrap_or(0);
        self.next = at + Nanos(pause);
        let all = self.look.around();
        let mut members = self.root.map(|root| descendants(&all, root));
        if let Some(members) = &mut members {
            // Those that were of the tree once stay, whoever their parent is now.
            for (pid, seen) in &self.known {
                if all.get(pid).is_some_and(|now| now.start == seen.start) {
                    members.extend(descendants(&all, *pid));
                }
            }
        }
        let current: BTreeMap<Pid, Seen> = all
            .into_iter()
            .filter(|(pid, _)| members.as_ref().is_none_or(|members| members.contains(pid)))
            .collect();
        compare(&self.known, &current, at, &mut each);
        self.known = current;
    }

    /// Readable when it is time to look.
    pub(crate) fn ready(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

/// What happened between two looks, as far as they show it.
fn compare(
    before: &BTreeMap<Pid, Seen>,
    after: &BTreeMap<Pid, Seen>,
    at: Nanos,
    each: &mut impl FnMut(TreeEvent),
) {
    for (&pid, was) in before {
        let is_there = after.get(&pid).is_some_and(|is| is.start == was.start);
        if !is_there && !was.zombie {
            each(ended(at, pid, None, None));
        }
    }
    for (&pid, is) in after {
        let was = before.get(&pid).filter(|was| was.start == is.start);
        let Some(was) = was else {
            each(found(pid, is));
            if is.zombie {
                each(ended(at, pid, is.status, Some(is.parent)));
            }
            continue;
        };
        let mut tell = |change| each(TreeEvent { at, pid, change });
        if was.parent != is.parent {
            tell(Change::Reparent {
                new_parent: is.parent,
            });
        }
        if was.comm != is.comm {
            tell(Change::Comm(is.comm));
        }
        if is.zombie && !was.zombie {
            each(ended(at, pid, is.status, Some(is.parent)));
        }
    }
}

const fn ended(at: Nanos, pid: Pid, status: Option<i32>, parent: Option<Pid>) -> TreeEvent {
    TreeEvent {
        at,
        pid,
        change: Change::Exit { status, parent },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Comm;
    use memtide_model::StartTime;

    fn seen(parent: u32, start: u64, comm: &str) -> Seen {
        Seen {
            parent: Pid(parent),
            start: StartTime(start),
            comm: Comm::new(comm.as_bytes()),
            threads: 1,
            zombie: false,
            has_memory: true,
            status: None,
        }
    }

    #[test]
    fn two_looks_show_what_came_went_and_changed() {
        let zombie = Seen {
            zombie: true,
            status: Some(256),
            ..seen(1, 12, "z")
        };
        let before = BTreeMap::from([
            (Pid(2), seen(1, 10, "stays")),
            (Pid(3), seen(2, 11, "orphan")),
            (Pid(4), seen(2, 12, "ends")),
            (Pid(5), seen(2, 13, "reused")),
            (Pid(6), seen(1, 12, "z")),
        ]);
        let after = BTreeMap::from([
            (Pid(2), seen(1, 10, "renamed")),
            (Pid(3), seen(1, 11, "orphan")),
            (Pid(5), seen(9, 99, "other")),
            (Pid(6), zombie),
        ]);
        let mut told = Vec::new();
        compare(&before, &after, Nanos(7), &mut |event| {
            told.push((event.pid.0, event.change));
        });
        let exit = |status, parent: Option<u32>| Change::Exit {
            status,
            parent: parent.map(Pid),
        };
        let expected = [
            (4, exit(None, None)),
            (5, exit(None, None)),
            (2, Change::Comm(Comm::new(b"renamed"))),
            (3, Change::Reparent { new_parent: Pid(1) }),
            (
                5,
                Change::Found {
                    parent: Pid(9),
                    comm: Comm::new(b"other"),
                    threads: 1,
                },
            ),
            (6, exit(Some(256), Some(1))),
        ];
        assert_eq!(told, expected);
    }
}
