//! What happened, as against what was measured.

use crate::ids::Pid;
use crate::units::Nanos;
use serde::{Deserialize, Serialize};

/// The kinds of [`Event`]. The first six are keys of `memtide.report/1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The process replaced its program.
    Exec,
    /// It made a child.
    Fork,
    /// It ended.
    Exit,
    /// The kernel's OOM killer ended it: its log names the process.
    Oom,
    /// The OOM killer was at work in its control group when it ended: the `oom_kill` counter rose. Which of the
    /// group's processes it chose, the counter does not tell.
    GroupOom,
    /// The kernel's log, read around its end, has no OOM kill of it.
    NotOom,
    /// A lens took a snapshot.
    Snapshot,
    /// Ticks that were due and were not taken.
    Gap,
    /// It became a zombie: ended, not yet reaped.
    Zombie,
    /// Its pid now belongs to another process.
    PidReused,
    /// Something could not be read any more, or can be read again.
    Access,
    /// The recorder itself: started, ended, ended by a signal.
    Recorder,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Exec,
        Self::Fork,
        Self::Exit,
        Self::Oom,
        Self::GroupOom,
        Self::NotOom,
        Self::Snapshot,
        Self::Gap,
        Self::Zombie,
        Self::PidReused,
        Self::Access,
        Self::Recorder,
    ];

    /// Its name in recordings and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Fork => "fork",
            Self::Exit => "exit",
            Self::Oom => "oom",
            Self::GroupOom => "group_oom",
            Self::NotOom => "not_oom",
            Self::Snapshot => "snapshot",
            Self::Gap => "gap",
            Self::Zombie => "zombie",
            Self::PidReused => "pid_reused",
            Self::Access => "access",
            Self::Recorder => "recorder",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Something that happened at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When; for a gap, when it ended.
    pub at: Nanos,
    /// What.
    pub kind: EventKind,
    /// To which process.
    pub pid: Pid,
    /// A sentence for people.
    pub text: String,
    /// A number that goes with it: of an exit the wait status (`128 + n` never: see `Exit` in
    /// the text), of a gap the ticks that were skipped.
    pub value: Option<i64>,
}
