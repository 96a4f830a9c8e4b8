//! All that a started program has started in turn, orphans among them: who they are, their end, and their
//! exit states.
//!
//! The idea: this process becomes a child subreaper (prctl(2), `PR_SET_CHILD_SUBREAPER`), so that whoever
//! loses their parent becomes our child and not init's. Then everybody whose line of parents leads here
//! descends from the program, whatever process group, session or second fork they hid behind, and a look at
//! /proc finds them all. Signals go through pidfds that are opened before a process's start time is
//! compared, so none reaches somebody who was given a used number.
//!
//! Not found: who was handed to another subreaper by asking it to start them (a service manager, a
//! container engine): those are not descendants. A program that forks faster than it can be killed is killed
//! in rounds, a bounded number of them; who is left then is said.

use crate::processes;
use memtide_model::{Pid, ProcessId, text};
use memtide_proc::parse::stat::{self, Stat};
use memtide_proc::{Buffer, ExitStatus, Listing, PidFd, ProcRoot};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd as _;
use std::time::Duration;

/// A process that forks between the look and the signal is met in the next round.
const ROUNDS: usize = 50;
/// Between two rounds, for those that were killed to end.
const ROUND: Duration = Duration::from_millis(20);

/// A descendant of the program, or the program itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relative {
    /// Which process.
    pub id: ProcessId,
    /// Its process group, field 5 of `stat`.
    pub group: i64,
    /// Its `comm`, printable.
    pub name: String,
}

/// An orphan that has ended and was collected here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// Who it was.
    pub who: Relative,
    /// How it ended.
    pub ending: ExitStatus,
}

/// The descendants of one program that this process started, and that is its only child by its own doing.
#[derive(Debug)]
pub struct Family {
    program: Pid,
}

impl Family {
    /// Makes this process a child subreaper. Call it before the program is started, then
    /// [`Self::of`]; `false` where the kernel refuses (before Linux 3.4).
    pub fn adopt_orphans() -> bool {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).is_ok()
    }

    /// The family of the program with that number.
    pub const fn of(program: u32) -> Self {
        Self {
            program: Pid(program),
        }
    }

    /// Everybody who runs at the moment, the program first where it is one of them. Empty where /proc
    /// cannot be read.
    pub fn running(&self) -> Vec<Relative> {
        let mut all = descendants();
        all.retain(|(_, runs)| *runs);
        all.sort_by_key(|(relative, _)| (relative.id.pid != self.program, relative.id.start));
        all.into_iter().map(|(relative, _)| relative).collect()
    }

    /// Sends a signal to everybody who runs and is not in the process group `spared`, and says to whom. Who is in
    /// that group is named, too: a key of the terminal has told them.
    pub fn signal(&self, signal: Signal, spared: Option<i64>) -> Vec<Relative> {
        let mut all = self.running();
        all.retain(|relative| Some(relative.group) == spared || send(relative, signal));
        all
    }

    /// Kills everybody who runs, in rounds until nobody is left, or the rounds are over; says whom.
    pub fn kill(&self) -> Vec<Relative> {
        let mut killed = BTreeMap::new();
        for _ in 0..ROUNDS {
            let round = self.signal(Signal::KILL, None);
            if round.is_empty() {
                break;
            }
            let fresh = round.into_iter().map(|one| (one.id, one));
            killed.extend(fresh);
            std::thread::sleep(ROUND);
        }
        killed.into_values().collect()
    }

    /// Collects the orphans that have ended: they became children of this process, and would stay zombies.
    /// The program itself is left to whoever started it.
    pub fn collect(&self) -> Vec<Collected> {
        let mut ended = own_children().unwrap_or_else(children_by_search);
        ended.retain(|(who, runs)| who.id.pid != self.program && !runs);
        let mut collected = Vec::new();
        for (who, _) in ended {
            if let Some(ending) = reap(who.id.pid) {
                collected.push(Collected { who, ending });
            }
        }
        collected
    }
}

/// All whose line of parents leads to this process, and whether they run.
fn descendants() -> Vec<(Relative, bool)> {
    let mut children: BTreeMap<Pid, Vec<(Relative, bool)>> = BTreeMap::new();
    processes::each(|stat| {
        let one = (relative(stat), processes::runs(stat));
        children.entry(stat.ppid).or_default().push(one);
    });
    let (mut found, mut seen, mut next) = (Vec::new(), BTreeSet::new(), vec![own_pid()]);
    while let Some(parent) = next.pop() {
        // Parents changed while they were read, or a number was given away: a ring is possible.
        if seen.insert(parent) {
            let its = children.remove(&parent).unwrap_or_default();
            next.extend(its.iter().map(|(relative, _)| relative.id.pid));
            found.extend(its);
        }
    }
    found
}

/// The children of this process by `task/*/children`, which is cheap; `None` on kernels without it.
fn own_children() -> Option<Vec<(Relative, bool)>> {
    let root = ProcRoot::system().ok()?;
    let own = root.process(own_pid()).ok()?;
    let (mut children, mut buffer) = (Vec::new(), Buffer::new());
    let each = |stat: &Stat<'_>| children.push((relative(stat), processes::runs(stat)));
    let told = root.for_each_child(&own, &mut Listing::new(), &mut buffer, each);
    told.ok()?.then_some(children)
}

fn children_by_search() -> Vec<(Relative, bool)> {
    let (mut children, own) = (Vec::new(), own_pid());
    processes::each(|stat| {
        if stat.ppid == own {
            children.push((relative(stat), processes::runs(stat)));
        }
    });
    children
}

fn own_pid() -> Pid {
    Pid(std::process::id())
}

fn relative(stat: &Stat<'_>) -> Relative {
    Relative {
        id: ProcessId {
            pid: stat.pid,
            start: stat.starttime,
        },
        group: stat.pgrp,
        name: text::printable(stat.comm),
    }
}

/// Sends a signal to this very process; false where it has ended, or is somebody else's.
fn send(to: &Relative, signal: Signal) -> bool {
    let Ok(pidfd) = PidFd::open(to.id.pid) else {
        return send_by_number(to, signal);
    };
    is_still(to) && pidfd_send_signal(pidfd.as_fd(), signal).is_ok()
}

/// Before Linux 5.3 there are no pidfds: then a moment lies between the comparison and the signal.
fn send_by_number(to: &Relative, signal: Signal) -> bool {
    let number = i32::try_from(to.id.pid.0).ok();
    let Some(pid) = number.and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    is_still(to) && rustix::process::kill_process(pid, signal).is_ok()
}

fn is_still(one: &Relative) -> bool {
    let mut buffer = Buffer::new();
    let process = ProcRoot::system().and_then(|root| root.process(one.id.pid));
    let bytes = process.and_then(|process| process.read("stat", &mut buffer));
    let stat = bytes.and_then(stat::parse);
    stat.is_ok_and(|stat| stat.starttime == one.id.start && processes::runs(&stat))
}

/// Takes an ended child off the kernel.
fn reap(pid: Pid) -> Option<ExitStatus> {
    let pid = i32::try_from(pid.0).ok()?;
    let pid = rustix::process::Pid::from_raw(pid)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = waitid(WaitId::Pid(pid), options).ok()??;
    let small = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    if let Some(code) = status.exit_status() {
        return Some(ExitStatus::Code(small(code)));
    }
    let signal = status.terminating_signal()?;
    Some(ExitStatus::Signal {
        signal: small(signal),
        core: status.dumped(),
    })
}
