//! The processes that descend from the target, with their memory.

use crate::ids::{Pid, ProcessId};
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// All of a tree at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreeTick {
    /// When it was looked at.
    pub at: Nanos,
    /// Those who were there, the target itself among them, in order of their pids.
    pub members: Vec<TreeMember>,
    /// Those who had been there at an earlier look and have ended since.
    pub ended: Vec<TreeEnd>,
    /// Processes that began and ended between two looks, all of them so far. Only an engine that is told
    /// of every fork knows them; `None` where nobody is.
    pub short_lived: Option<u64>,
    /// Records that such an engine lost, so far.
    pub lost: u64,
}

/// One process of a tree at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeMember {
    /// Which process.
    pub id: ProcessId,
    /// Who started it. It never changes, whoever its parent is now.
    pub parent: Option<Pid>,
    /// Its `comm`, printable.
    pub name: Arc<str>,
    /// Its arguments, printable, as they were when it last ran; empty of one that was a zombie already
    /// at the first look.
    pub cmdline: Arc<[String]>,
    /// Process group, field 5 of `stat`.
    pub pgid: i64,
    /// Session, field 6.
    pub sid: i64,
    /// Threads, field 20.
    pub threads: u64,
    /// CPU time, user and system, in clock ticks, fields 14 and 15.
    pub cpu_ticks: u64,
    /// State letter, field 3 of `stat`.
    pub state: u8,
    /// Resident bytes, field 24 of `stat`: pages that it shares count in each process.
    pub rss: Bytes,
    /// Proportional set size (`smaps_rollup`) of its last read, which is rarer; `None` before the first, or
    /// where it may not be read.
    pub pss: Option<Bytes>,
    /// True once its parent has ended before it.
    pub orphaned: bool,
}

/// The end of one process of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeEnd {
    /// Which process.
    pub id: ProcessId,
    /// When, at the latest.
    pub at: Nanos,
    /// Wait status as of waitpid(2), where it is known.
    pub status: Option<i32>,
}

impl TreeTick {
    /// Resident bytes of all; shared pages count in each process.
    pub fn rss(&self) -> Bytes {
        self.members.iter().map(|member| member.rss).sum()
    }

    /// The sum of the proportional set sizes, which counts shared pages once; `None` unless it is known of
    /// each that has memory.
    pub fn pss(&self) -> Option<Bytes> {
        let alive = self.members.iter().filter(|member| !member.is_zombie());
        alive.map(|member| member.pss).sum()
    }
}

impl TreeMember {
    /// Whether it has ended and is not yet reaped.
    pub const fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// What a recording gives back of a tree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TreeObservations {
    /// Who told of forks: "side-band", "connector", "ptrace"; "poll" where nobody did.
    pub engine: String,
    /// As [`TreeTick::short_lived`], at the end.
    pub short_lived: Option<u64>,
    /// As [`TreeTick::lost`], at the end.
    pub lost: u64,
    /// Sums over the tree, in order of time.
    pub totals: Vec<TreeTotals>,
    /// Those whose memory moved most; the target is not among them.
    pub members: Vec<MemberHistory>,
    /// How many there were of each name, zombies included; the names of which there were most, 32 at most.
    pub names: Vec<NameHistory>,
}

/// The processes of one name over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameHistory {
    /// Their `comm`, of the last program that each ran.
    pub name: Arc<str>,
    /// How many there were, at the moments at which that changed.
    pub points: Vec<(Nanos, u64)>,
}

/// Sums over a tree at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeTotals {
    /// When.
    pub at: Nanos,
    /// Processes, zombies and the target included.
    pub processes: u64,
    /// Of them zombies.
    pub zombies: u64,
    /// Of them those whose parent ended before them, and who run.
    pub orphans: u64,
    /// Resident bytes; shared pages count in each process.
    pub rss: Bytes,
    /// Proportional set sizes, where they are known of all.
    pub pss: Option<Bytes>,
}

/// One process of a tree over time.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberHistory {
    /// What it was when it was last written.
    pub last: TreeMember,
    /// When it was first looked at.
    pub since: Nanos,
    /// Its end, where it has ended.
    pub ended: Option<TreeEnd>,
    /// Its memory at the moments at which that had changed.
    pub points: Vec<MemberPoint>,
}

/// The memory of one process of a tree at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberPoint {
    /// When.
    pub at: Nanos,
    /// Resident bytes.
    pub rss: Bytes,
    /// Proportional set size of its last read.
    pub pss: Option<Bytes>,
}

impl TreeTotals {
    /// The sums of a look.
    pub fn of(tick: &TreeTick) -> Self {
        let count =
            |is: fn(&TreeMember) -> bool| tick.members.iter().filter(|m| is(m)).count() as u64;
        Self {
            at: tick.at,
            processes: tick.members.len() as u64,
            zombies: count(TreeMember::is_zombie),
            orphans: count(|member| member.orphaned && !member.is_zombie()),
            rss: tick.rss(),
            pss: tick.pss(),
        }
    }
}
