//! An engine that is open: what it sees, as events of processes in the order of time.
//!
//! All engines take one road: records, held back until they are in order, threads counted out, what does not belong
//! to the scope left out. Nothing here blocks but [`Source::wait`].

use crate::connector::Connector;
use crate::engine::{
    Engine, Scope, check_ptrace, ptrace_is_for_trees, reach, takes_nothing, why_no_perf,
};
use crate::error::{Error, ErrorKind};
use crate::escapes::Escapes;
use crate::event::{Change, Losses, TreeEvent};
use crate::members::Members;
use crate::order::{HOLD, Order, Record};
use crate::poll::Poll;
use crate::ptrace::Ptrace;
use crate::sideband::{self, Reach, SideBand};
use crate::snapshot::{Look, Seen, descendants, found};
use crate::threads::Threads;
use memtide_model::{Nanos, Pid};
use memtide_proc::clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// How long ends that are not told yet are waited for.
const LATEST_END: Nanos = Nanos(300_000_000);
/// How often it is looked for them.
const BETWEEN_ENDS: Duration = Duration::from_millis(5);

/// An open engine. The rings of the side-band hold 30,000 processes as root and 2,000 per processor otherwise, so
/// [`Source::drain`] must be called when [`Source::wait`] says so, and not merely once per second;
/// [`crate::Follower`] does that.
#[derive(Debug)]
pub struct Source {
    engine: Engine,
    inner: Inner,
    order: Order,
    threads: Threads,
    /// Where processes can escape.
    escapes: Option<Escapes>,
    /// `None`: all that the engine sees belongs to the scope.
    members: Option<Members>,
    sorted: Vec<Record>,
}

#[derive(Debug)]
enum Inner {
    SideBand(SideBand),
    Connector(Connector),
    Ptrace(Ptrace),
    Poll(Box<Poll>),
}

impl Source {
    /// Opens this engine. What is there already comes first, as [`Change::Found`].
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where it cannot be had here, with the remedy, and [`ErrorKind::Gone`] where
    /// there is no such process.
    pub fn open(engine: Engine, scope: Scope) -> Result<Self, Error> {
        let mut look = Look::new()?;
        if let Scope::Tree(pid) | Scope::Existing(pid) = scope
            && look.at(pid).is_none()
        {
            return Err(Error::gone(format!("there is no process {pid}")));
        }
        // Before and after: who was made in between is in the second look, who ended in the first. Whoever did
        // both in that millisecond is missed.
        let before = there(&mut look, scope);
        let inner = Inner::open(engine, scope)?;
        let mut source = Self {
            engine,
            inner,
            order: Order::default(),
            threads: Threads::default(),
            escapes: None,
            members: None,
            sorted: Vec::new(),
        };
        if engine != Engine::Poll {
            let after = there(&mut look, scope);
            source.begin(scope, &before, &after);
            if engine == Engine::SideBand && matches!(reach(scope), Reach::Tree(_)) {
                source.escapes = Some(Escapes::new(look));
            }
        }
        Ok(source)
    }

    /// Opens the best engine that can be had and takes nothing from the program, and says why each better one
    /// cannot. ptrace is one of them only where setuid files give no privileges anyhow: those it traces get none.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] where there is no such process, and errors of polling, which is never refused.
    pub fn open_best(scope: Scope) -> Result<(Self, Vec<(Engine, Error)>), Error> {
        let mut refused = Vec::new();
        for engine in Engine::ALL
            .into_iter()
            .filter(|engine| takes_nothing(*engine))
        {
            match Self::open(engine, scope) {
                Ok(source) => return Ok((source, refused)),
                Err(error) if error.kind() == ErrorKind::Gone || engine == Engine::Poll => {
                    return Err(error);
                }
                Err(error) => refused.push((engine, error)),
            }
        }
        Err(Error::refused("no engine is left".to_owned()))
    }

    /// Which engine it is.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Appends what happened, in the order of time and up to 20 ms ago, and says what was missed since the source was
    /// opened. Does not block.
    pub fn drain(&mut self, out: &mut Vec<TreeEvent>) -> Losses {
        self.read(false);
        self.release(clock::boottime() - HOLD, out)
    }

    /// Appends all that is left, and closes the engine.
    pub fn finish(mut self, out: &mut Vec<TreeEvent>) -> Losses {
        if self.engine == Engine::Connector {
            self.await_ends(out);
        }
        self.read(true);
        if let Inner::SideBand(side_band) = &mut self.inner {
            side_band.lost_in_all();
        }
        self.release(Nanos(u64::MAX), out)
    }

    /// The connector tells an end after the parent can see it, so those that have ended by now are waited for.
    fn await_ends(&mut self, out: &mut Vec<TreeEvent>) {
        let deadline = clock::boottime() + LATEST_END;
        let Ok(mut look) = Look::new() else { return };
        loop {
            self.drain(out);
            let members = self.members.iter().flat_map(Members::alive);
            let is_over = |pid| look.at(pid).is_none_or(|seen| seen.zombie);
            let is_told = !members.copied().any(is_over);
            if is_told || clock::boottime() > deadline {
                return;
            }
            std::thread::sleep(BETWEEN_ENDS);
        }
    }

    /// Waits until it is time to [`Source::drain`], at most so long.
    pub fn wait(&self, timeout: Duration) {
        let mut ready = [PollFd::from_borrowed_fd(self.as_fd(), PollFlags::IN)];
        let timeout = Timespec::try_from(timeout).unwrap_or(Timespec {
            tv_sec: i64::MAX,
            tv_nsec: 0,
        });
        // A signal ends the wait early, which does no harm.
        let _ = poll(&mut ready, Some(&timeout));
    }

    fn read(&mut self, last: bool) {
        let order = &mut self.order;
        let threadless = |event| Record {
            event,
            thread: false,
        };
        match &mut self.inner {
            Inner::SideBand(engine) => engine.read(|record| order.push(record)),
            Inner::Connector(engine) => engine.read(|record| order.push(record)),
            Inner::Ptrace(engine) => engine.read(|record| order.push(record)),
            Inner::Poll(engine) => engine.read(last, |event| order.push(threadless(event))),
        }
    }

    fn release(&mut self, until: Nanos, out: &mut Vec<TreeEvent>) -> Losses {
        self.order.release(until, &mut self.sorted);
        let (threads, members) = (&mut self.threads, &mut self.members);
        let mut give = |event: TreeEvent| {
            let is_ours = members
                .as_mut()
                .is_none_or(|members| members.concerns(&event));
            out.extend(is_ours.then_some(event));
        };
        for record in self.sorted.drain(..) {
            let event = match self.engine {
                Engine::Poll => Some(record.event),
                _ => threads.apply(record),
            };
            let escapes = &mut self.escapes;
            let is_true = |event: &TreeEvent| {
                escapes
                    .as_mut()
                    .is_none_or(|escapes| escapes.is_true(event))
            };
            event.filter(is_true).into_iter().for_each(&mut give);
        }
        if let Some(escapes) = &mut self.escapes {
            escapes.ended(give);
        }
        Losses {
            records: self.inner.lost(),
            late: self.order.late(),
            escaped: self.escapes.as_ref().map_or(0, Escapes::count),
            polled: self.engine == Engine::Poll,
        }
    }

    /// Tells of those that are there, and leaves all others out.
    fn begin(&mut self, scope: Scope, before: &BTreeMap<Pid, Seen>, after: &BTreeMap<Pid, Seen>) {
        let now = clock::boottime();
        let mut all = after.clone();
        // The first look's threads: those that come after it are told by the engine.
        all.extend(before.clone());
        let order = match scope {
            Scope::Tree(root) | Scope::Existing(root) => {
                let members = descendants(&all, root);
                self.members = Some(Members::new(members.iter().copied()));
                members
            }
            Scope::Machine => all.keys().copied().collect(),
        };
        for pid in parents_first(&all, &order) {
            let Some(seen) = all.get(&pid) else { continue };
            let event = found(pid, seen);
            self.order.push(Record {
                event,
                thread: false,
            });
            let ended = before.contains_key(&pid) && !after.contains_key(&pid);
            if seen.zombie || ended {
                let event = TreeEvent {
                    at: now,
                    pid,
                    change: Change::Exit {
                        status: seen.status,
                        parent: Some(seen.parent),
                    },
                };
                self.order.push(Record {
                    event,
                    thread: false,
                });
            }
        }
    }
}

impl AsFd for Source {
    /// Readable when it is time to drain.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.inner {
            Inner::SideBand(engine) => engine.ready(),
            Inner::Connector(engine) => engine.ready(),
            Inner::Ptrace(engine) => engine.ready(),
            Inner::Poll(engine) => engine.ready(),
        }
    }
}

impl Inner {
    fn open(engine: Engine, scope: Scope) -> Result<Self, Error> {
        match (engine, scope) {
            (Engine::SideBand, _) => {
                let reach = reach(scope);
                sideband::probe(reach).map_err(|error| why_no_perf(&error, reach))?;
                SideBand::open(reach).map(Self::SideBand)
            }
            (Engine::Connector, _) => Connector::open().map(Self::Connector),
            (Engine::Ptrace, Scope::Tree(root)) => {
                check_ptrace(root)?;
                Ptrace::open(root).map(Self::Ptrace)
            }
            (Engine::Ptrace, _) => Err(ptrace_is_for_trees()),
            (Engine::Poll, Scope::Machine) => {
                Poll::open(None).map(|poll| Self::Poll(Box::new(poll)))
            }
            (Engine::Poll, Scope::Tree(root) | Scope::Existing(root)) => {
                Poll::open(Some(root)).map(|poll| Self::Poll(Box::new(poll)))
            }
        }
    }

    const fn lost(&self) -> u64 {
        match self {
            Self::SideBand(engine) => engine.lost(),
            Self::Connector(engine) => engine.lost(),
            Self::Ptrace(_) | Self::Poll(_) => 0,
        }
    }
}

/// The processes that may belong to the scope.
fn there(look: &mut Look, scope: Scope) -> BTreeMap<Pid, Seen> {
    match scope {
        Scope::Tree(root) => look.at(root).map(|seen| (root, seen)).into_iter().collect(),
        Scope::Existing(_) | Scope::Machine => look.around(),
    }
}

/// These processes, each after its parent.
fn parents_first(all: &BTreeMap<Pid, Seen>, members: &HashSet<Pid>) -> Vec<Pid> {
    let depth = |pid: Pid| {
        let parent = |pid: &Pid| all.get(pid).map(|seen| seen.parent);
        // Links of two looks may form a ring; no tree is deeper than it has processes.
        std::iter::successors(Some(pid), parent)
            .take(all.len())
            .count()
    };
    let mut ordered: Vec<(usize, Pid)> = members.iter().map(|pid| (depth(*pid), *pid)).collect();
    ordered.sort_unstable();
    ordered.into_iter().map(|(_, pid)| pid).collect()
}
