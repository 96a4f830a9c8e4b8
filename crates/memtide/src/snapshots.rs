//! Snapshots of the target's heap, taken in a thread of their own while the sampler goes on.
//!
//! When one is due, the [`plan`] says: at the start, at moments that double, when the heap has grown by a
//! quarter, and at the end, within a budget of CPU time. Each is stored when it is there, so the last one
//! survives the target. What keeps the heap from being read is told once, and the recording goes on.

pub(crate) mod plan;

use crate::lens::start_time;
use memtide_inspect::{Error, ErrorKind, Inspector, Options};
use memtide_model::{HeapSnapshot, Nanos, ProcessId, Sample};
use memtide_sampler::clock;
use plan::Plan;
use std::fs;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

/// Room below the limit of a cgroup that we share with the target: with less of it nothing is read, for
/// what memtide needs for that could be the last.
const ROOM: u64 = 64 << 20;

/// What came of a look.
pub(crate) enum Found {
    /// A snapshot.
    Snapshot(Box<HeapSnapshot>),
    /// None, and why: a sentence.
    Nothing(String),
}

/// The snapshots of one recording.
pub(crate) struct Snapshots {
    process: ProcessId,
    plan: Plan,
    worker: Option<Worker>,
    /// When the one under way was asked for.
    asked: Option<Nanos>,
    /// The last reason that was told.
    told: Option<String>,
    /// Whether the target's memory cgroup is ours, too.
    shares_cgroup: bool,
}

/// The thread that looks. It ends when nobody can ask it any more.
struct Worker {
    orders: Sender<()>,
    results: Receiver<Option<Looked>>,
}

/// What a look found, and the CPU time that it took, in vain or not.
struct Looked {
    outcome: Result<HeapSnapshot, Error>,
    cpu: Nanos,
}

impl Snapshots {
    /// Of a process, the first one at `first`, at the cost of `share` of one core.
    pub(crate) fn of(process: ProcessId, first: Nanos, share: f64) -> Self {
        let pid = process.pid.to_string();
        Self {
            process,
            plan: Plan::new(first, share),
            worker: Worker::start(process).ok(),
            asked: None,
            told: None,
            shares_cgroup: cgroup("self").is_some_and(|own| Some(own) == cgroup(&pid)),
        }
    }

    /// Asks for a snapshot if one is due after this tick.
    pub(crate) fn tick(&mut self, sample: &Sample) {
        let anon = sample.memory.rss_anon.unwrap_or(sample.memory.rss);
        if self.asked.is_none() && self.plan.is_due(sample.at, anon) {
            if self.shares_cgroup && room(sample).is_some_and(|room| room < ROOM) {
                return;
            }
            self.plan.asked(sample.at, anon);
            self.ask(sample.at);
        }
    }

    /// Asks for a snapshot out of turn, and says in a clause what comes of it.
    pub(crate) fn at_once(&mut self, sample: &Sample) -> &'static str {
        if self.worker.is_none() {
            return "its heap cannot be read";
        }
        if self.asked.is_some() {
            return "a snapshot of its heap is under way";
        }
        if self.shares_cgroup && room(sample).is_some_and(|room| room < ROOM) {
            return "its heap is not read: memtide is in the same control group and would take the last room";
        }
        let anon = sample.memory.rss_anon.unwrap_or(sample.memory.rss);
        self.plan.asked(sample.at, anon);
        self.ask(sample.at);
        "a snapshot of its heap is taken"
    }

    /// What has come since the last call.
    pub(crate) fn take(&mut self) -> Option<Found> {
        let worker = self.worker.as_ref()?;
        match worker.results.try_recv() {
            Ok(result) => self.settle(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                self.worker = None;
                self.asked = None;
                None
            }
        }
    }

    /// The last look: the one under way, or else one more. Waits no longer than `patience`.
    pub(crate) fn last(&mut self, patience: Duration) -> Vec<Found> {
        let mut found = Vec::new();
        let until =
            clock::boottime() + Nanos(u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX));
        // One that began long ago does not show the end.
        let stale = self
            .asked
            .is_some_and(|at| clock::boottime() - at > Nanos::from_secs(1));
        for more in [stale, false] {
            if self.asked.is_none() {
                self.ask(clock::boottime());
            }
            let left = until.0.saturating_sub(clock::boottime().0);
            let Some(worker) = &self.worker else {
                break;
            };
            let Ok(result) = worker.results.recv_timeout(Duration::from_nanos(left)) else {
                break;
            };
            found.extend(self.settle(result));
            if !more {
                break;
            }
        }
        found
    }

    /// Another program has taken the target's place: everything is to be found out anew.
    pub(crate) fn replaced(&mut self, at: Nanos) {
        self.plan.restart(at + Nanos::SECOND);
        self.worker = Worker::start(self.process).ok();
        self.asked = None;
    }

    fn ask(&mut self, at: Nanos) {
        let asked = self.worker.as_ref().map(|worker| worker.orders.send(()));
        self.asked = matches!(asked, Some(Ok(()))).then_some(at);
    }

    fn settle(&mut self, looked: Option<Looked>) -> Option<Found> {
        self.asked = None;
        let Looked { outcome, cpu } = looked?;
        let error = match outcome {
            Ok(snapshot) => {
                self.plan.took(clock::boottime(), cpu);
                self.told = None;
                return Some(Found::Snapshot(Box::new(snapshot)));
            }
            Err(error) => error,
        };
        self.plan.missed(clock::boottime(), cpu);
        match error.kind() {
            // The sampler will tell.
            ErrorKind::Gone => return None,
            // A heap may come, and a disturbed read may succeed.
            ErrorKind::NoHeap | ErrorKind::Io => {}
            _ => self.worker = None,
        }
        let why = error.to_string();
        if self.told.as_ref() == Some(&why) {
            return None;
        }
        self.told = Some(why.clone());
        Some(Found::Nothing(why))
    }
}

impl Worker {
    fn start(process: ProcessId) -> std::io::Result<Self> {
        let (orders, inbox) = channel();
        let (outbox, results) = channel();
        thread::Builder::new()
            .name("memtide-heap".to_owned())
            .spawn(move || {
                let mut inspector = None;
                while let Ok(()) = inbox.recv() {
                    if outbox.send(look(process, &mut inspector)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { orders, results })
    }
}

/// One look; what was found out about the process is kept in `inspector`. A number that has become another
/// process's is nobody's: `None`.
fn look(process: ProcessId, inspector: &mut Option<Inspector>) -> Option<Looked> {
    let began = clock::thread_cpu();
    let options = Options {
        hold: None,
        classes: true,
    };
    let taken = match inspector.take() {
        Some(kept) => Ok(kept),
        None => Inspector::open(process.pid),
    };
    let outcome = taken.and_then(|mut kept| {
        let snapshot = kept.snapshot(&options)?;
        *inspector = Some(kept);
        Ok(snapshot)
    });
    // Asked afterwards, it holds for all that was read before.
    let is_it = start_time(process.pid) == Some(process.start);
    let cpu = clock::thread_cpu() - began;
    is_it.then_some(Looked { outcome, cpu })
}

/// The memory cgroup's path, or the unified one's, as `/proc/PID/cgroup` names it.
fn cgroup(process: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/cgroup")).ok()
}

fn room(sample: &Sample) -> Option<u64> {
    let cgroup = sample.cgroup?;
    Some(cgroup.limit?.saturating_sub(cgroup.current).0)
}
