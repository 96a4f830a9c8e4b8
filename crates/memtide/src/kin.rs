//! All that a program of ours has started in turn: asked to end and killed where `run --timeout` says so,
//! named where it is left behind, and collected where it was orphaned.
//!
//! Nobody is ended unless `--timeout` or `--kill-after` asks for it. What is left of a program that ended by
//! itself is only named, with the command that would end it.

use memtide_launch::{Collected, Family, Relative};
use memtide_model::{Nanos, ProcessId};
use memtide_proc::ExitStatus;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// So many are named in a sentence; of more the number is told.
const NAMED: usize = 8;
/// So many orphans that ended badly are told one by one.
const TOLD_ORPHANS: usize = 32;

/// The program, and who descends from it.
pub(crate) struct Kin {
    family: Family,
    kill_after: Option<Nanos>,
    /// Who was sent a signal that asks to end.
    asked: Vec<Relative>,
    is_killed: bool,
    /// Those who were killed: how they ended is no news.
    killed: BTreeSet<ProcessId>,
    orphans: u64,
    failed_orphans: u64,
}

impl Kin {
    /// Of the program with that number.
    pub(crate) fn of(program: u32, kill_after: Option<Nanos>) -> Self {
        Self {
            family: Family::of(program),
            kill_after,
            asked: Vec::new(),
            is_killed: false,
            killed: BTreeSet::new(),
            orphans: 0,
            failed_orphans: 0,
        }
    }

    /// How long after they were asked they are killed; `None`: the program alone is asked, nobody killed.
    pub(crate) fn kill_after(&self) -> Option<Nanos> {
        self.kill_after
    }

    /// Whether nothing more can be done to end them.
    pub(crate) fn is_killed(&self) -> bool {
        self.is_killed
    }

    /// Asks everybody to end, and says whom. Those in the process group `spared` know it from a key of the terminal.
    pub(crate) fn ask(&mut self, signal: Signal, spared: Option<i64>) -> String {
        self.asked = self.family.signal(signal, spared);
        names(&self.asked)
    }

    /// Whether some were asked to end and are waited for: somebody still runs.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.asked.is_empty() && !self.family.running().is_empty()
    }

    /// Kills everybody who still runs, and says so; `None` where nobody did.
    pub(crate) fn kill(&mut self) -> Option<String> {
        self.is_killed = true;
        let killed = self.family.kill();
        if killed.is_empty() {
            return None;
        }
        self.killed.extend(killed.iter().map(|one| one.id));
        let (ignored, late): (Vec<_>, Vec<_>) = killed
            .into_iter()
            .partition(|one| self.asked.iter().any(|asked| asked.id == one.id));
        let mut said = Vec::new();
        if !ignored.is_empty() {
            said.push(format!(
                "{} did not end when asked and {} killed",
                names(&ignored),
                was(&ignored)
            ));
        }
        if !late.is_empty() {
            said.push(format!(
                "{} started after the signal and {} killed",
                names(&late),
                was(&late)
            ));
        }
        Some(said.join("; "))
    }

    /// Collects orphans that have ended: a sentence for each that did not end with 0.
    pub(crate) fn collect(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        let collected = self.family.collect().into_iter();
        for orphan in collected.filter(|orphan| !self.killed.contains(&orphan.who.id)) {
            self.orphans += 1;
            if orphan.ending == ExitStatus::Code(0) {
                continue;
            }
            self.failed_orphans += 1;
            if said.len() < TOLD_ORPHANS && self.failed_orphans <= TOLD_ORPHANS as u64 {
                said.push(told(&orphan));
            }
        }
        said
    }

    /// What there is to say when nobody is waited for any more.
    pub(crate) fn aftermath(&mut self) -> Vec<String> {
        let mut said = self.collect();
        let left = self.family.running();
        if !left.is_empty() {
            said.push(self.left(&left));
        }
        if self.orphans > 0 {
            said.push(format!(
                "{} lost {} parent and ended; {} of them not with exit code 0",
                processes(self.orphans),
                if self.orphans == 1 { "its" } else { "their" },
                self.failed_orphans
            ));
        }
        said
    }

    fn left(&self, left: &[Relative]) -> String {
        let still = if left.len() == 1 {
            "still runs"
        } else {
            "still run"
        };
        if !self.asked.is_empty() {
            return format!("{} {still}, even after SIGKILL", names(left));
        }
        let pids: Vec<String> = left.iter().map(|one| one.id.pid.to_string()).collect();
        format!(
            "the program has ended, and {} that it started {still}: {}; `kill {}` would ask them to end",
            processes(left.len() as u64),
            names(left),
            pids.join(" ")
        )
    }
}

fn told(orphan: &Collected) -> String {
    let (pid, name) = (orphan.who.id.pid, &orphan.who.name);
    match orphan.ending {
        ExitStatus::Code(code) => {
            format!("pid {pid} ({name}), whose parent had ended, ended with exit code {code}")
        }
        ExitStatus::Signal { signal, .. } => {
            format!("pid {pid} ({name}), whose parent had ended, was ended by signal {signal}")
        }
    }
}

fn processes(count: u64) -> String {
    if count == 1 {
        "1 process".to_owned()
    } else {
        format!("{count} processes")
    }
}

const fn was(all: &[Relative]) -> &'static str {
    if all.len() == 1 { "was" } else { "were" }
}

/// "pid 12 (sleep), pid 13 (sh) and 4 others".
fn names(all: &[Relative]) -> String {
    let mut named = String::new();
    for (place, one) in all.iter().take(NAMED).enumerate() {
        let before = if place > 0 { ", " } else { "" };
        // A string takes all that is written to it.
        let _ = write!(named, "{before}pid {} ({})", one.id.pid, one.name);
    }
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::{Pid, StartTime};

    fn relatives(count: u32) -> Vec<Relative> {
        let one = |number| Relative {
            id: ProcessId {
                pid: Pid(number),
                start: StartTime(1),
            },
            group: 1,
            name: "x".to_owned(),
        };
        (1..=count).map(one).collect()
    }

    #[test]
    fn many_are_named_in_part() {
        assert_eq!(names(&relatives(2)), "pid 1 (x), pid 2 (x)");
        assert!(names(&relatives(10)).ends_with("pid 8 (x) and 2 more"));
    }
}
