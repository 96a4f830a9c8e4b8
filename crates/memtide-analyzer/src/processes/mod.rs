//! What is wrong with the processes of a machine? Pure functions from censuses to findings.
//!
//! ```text
//! Census, Census, … ─► Watch ─► courses   how long each process and thread has been as it is
//!                        │  ├─► kin       who is whose child, and who is that no more
//!                        │  └─► crowds    how many there are of each kind, over time
//!                        └─► report: zombies, orphans, expectations, … ─► ProcessesReport
//! ```
//!
//! **The idea.** One look shows a state, two show that it lasts. A zombie that is reaped a moment later,
//! a process that waits for its disk and then goes on, a thread between two jobs are not wrong; so a
//! state counts from the second look on, unless there is only one. What the kernel does not tell (when a
//! process became a zombie, who started an orphan) is said as a bound, or taken from an earlier look.
//!
//! **What the caller must do.** Hand over looks in order of time. The watch keeps a few numbers for each
//! process that is alive and the last census, so it may go on for days.
//!
//! **What it refuses to do.** It reads nothing, ends nothing, and calls nothing an orphan that may be a daemon.

mod commands;
mod course;
mod crowds;
mod difference;
mod expect;
mod holders;
mod kin;
mod machine;
mod objects;
mod orphans;
mod rising;
mod rows;
mod runners;
mod states;
mod stuck;
#[cfg(test)]
mod tests;
mod words;
mod zombies;

pub use expect::{Expectation, ExpectationError};
pub use holders::held;
pub use rising::{Pulsed, rising};
pub use words::command_line;

use course::Courses;
use crowds::Crowds;
use kin::Kin;
use machine::MachineCourse;
use memtide_model::{
    Census, Finding, FindingKind, Nanos, Pid, ProcessId, ProcessState, ProcessesReport, Snapshot,
    Weight,
};
use objects::ObjectCourse;
use std::collections::HashSet;

/// What is asked of a watch.
#[derive(Clone, Debug)]
pub struct Settings {
    /// memtide itself, which no finding names.
    pub own: Pid,
    /// Its user: of processes of others the commands need sudo, unless it is root's.
    pub own_uid: u32,
    /// From which age on a process is too old; `None`: age is nothing.
    pub older: Option<Nanos>,
    /// The expectations as they were written, in the order of [`Look::matches`].
    pub expectations: Vec<Expectation>,
}

/// One look at all processes.
#[derive(Clone, Debug)]
pub struct Look {
    /// All that was seen.
    pub census: Census,
    /// Of each expectation the processes that match: taken before names were redacted.
    pub matches: Vec<Vec<ProcessId>>,
    /// The processes that findings may be about; `None`: all.
    pub judged: Option<HashSet<ProcessId>>,
}

/// All looks so far, as far as they are still needed.
#[derive(Debug)]
pub struct Watch {
    settings: Settings,
    courses: Courses,
    crowds: Crowds,
    objects: ObjectCourse,
    machine: MachineCourse,
    looks: Vec<Counted>,
    last: Option<Look>,
    earlier: Option<Snapshot>,
}

/// What is kept of every look: the first of them and the last.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    at: Nanos,
    wall_ns: i64,
    processes: u64,
    zombies: u64,
}

impl Watch {
    /// Nothing seen yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            courses: Courses::default(),
            crowds: Crowds::default(),
            objects: ObjectCourse::default(),
            machine: MachineCourse::default(),
            looks: Vec::new(),
            last: None,
            earlier: None,
        }
    }

    /// Takes what was seen before the watch began. What of it still lives has been as it is since then,
    /// and parents that died in between are known by name. A snapshot of another boot tells nothing of that.
    pub fn remember(&mut self, snapshot: Snapshot, boot_id: &str) {
        if snapshot.census.boot_id == boot_id {
            self.courses.look(&snapshot.census, None);
        }
        self.earlier = Some(snapshot);
    }

    /// Takes the next look.
    pub fn look(&mut self, look: Look) {
        let census = &look.census;
        let before = self.last.as_ref().map(|look| &look.census);
        let earlier = self.earlier.as_ref().map(|snapshot| &snapshot.census);
        self.courses.look(census, before.or(earlier));
        self.crowds.look(census);
        self.objects.look(census);
        self.machine.look(census);
        let counted = Counted {
            at: census.at,
            wall_ns: census.wall_ns,
            processes: census.processes.len() as u64,
            zombies: census
                .processes
                .iter()
                .filter(|p| kin::is_zombie(p))
                .count() as u64,
        };
        // The first look and the last: all that the report says of them.
        self.looks.truncate(1);
        self.looks.push(counted);
        self.last = Some(look);
        self.courses.count_look();
    }

    /// How many looks were taken.
    pub fn looks(&self) -> u64 {
        self.courses.looks()
    }

    /// What is wrong as of the last look, problems before notes and many before few.
    pub fn findings(&self) -> Vec<Finding> {
        let Some(look) = &self.last else {
            return Vec::new();
        };
        let scene = Scene::of(self, look);
        let mut found = zombies::find(&scene);
        found.extend(orphans::find(&scene));
        found.extend(expect::find(&scene));
        found.extend(self.crowds.find(&scene));
        found.extend(runners::find(&scene));
        found.extend(states::find(&scene));
        found.extend(stuck::find(&scene));
        found.extend(objects::find(&scene));
        found.extend(self.objects.find());
        found.extend(self.machine.find());
        found.sort_by_key(|finding| (finding.weight, finding.kind, u64::MAX - finding.count));
        found
    }

    /// The whole report as of the last look.
    pub fn report(&self) -> ProcessesReport {
        rows::report(self)
    }

    /// The last look as a file keeps it.
    pub fn snapshot(&self) -> Option<Snapshot> {
        let look = self.last.as_ref()?;
        Some(Snapshot {
            schema: memtide_model::processes::SNAPSHOT_SCHEMA.to_owned(),
            census: look.census.clone(),
            findings: self.findings(),
        })
    }
}

/// The last look with all that is known of it: what every rule is given.
struct Scene<'a> {
    settings: &'a Settings,
    look: &'a Look,
    kin: Kin<'a>,
    courses: &'a Courses,
}

impl<'a> Scene<'a> {
    fn of(watch: &'a Watch, look: &'a Look) -> Self {
        Self {
            settings: &watch.settings,
            look,
            kin: Kin::of(&look.census, &watch.courses),
            courses: &watch.courses,
        }
    }

    /// The processes that findings may be about.
    fn judged(&self) -> impl Iterator<Item = &'a ProcessState> {
        let look = self.look;
        let own = self.settings.own;
        look.census
            .processes
            .iter()
            .filter(move |process| !process.kernel && process.id.pid != own)
            .filter(move |process| {
                let among = look.judged.as_ref();
                among.is_none_or(|among| among.contains(&process.id))
            })
    }
}

/// A finding about `processes`, with their number and memory; the rest is to be filled in.
fn about(kind: FindingKind, weight: Weight, processes: &[&ProcessState]) -> Finding {
    let mut ids: Vec<ProcessId> = processes.iter().map(|process| process.id).collect();
    ids.sort_unstable();
    ids.dedup();
    let bytes: u64 = processes.iter().map(|process| rows::memory(process)).sum();
    Finding {
        kind,
        weight,
        summary: String::new(),
        details: Vec::new(),
        count: ids.len() as u64,
        processes: ids,
        parent: None,
        bytes: (bytes > 0).then_some(bytes),
        at_least_seconds: None,
        remedies: Vec::new(),
    }
}
