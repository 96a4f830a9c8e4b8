//! Two engines at once on the same processes: what one has lost, the other shows.
//!
//! The engines share nothing but the kernel. Their times differ a little, so a process of the one is that of the
//! other where the numbers are the same and the forks lie within [`TOLERANCE`]; a number is not used again in so
//! short a time.

use crate::engine::{Engine, Scope, available};
use crate::error::Error;
use crate::event::{Losses, TreeEvent};
use crate::source::Source;
use crate::tree::{Node, NodeId, Tree};
use memtide_model::{Nanos, Pid};
use memtide_proc::PidFd;
use std::collections::{BTreeMap, HashMap};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How far two engines' times of one fork may lie apart: ptrace sees it when it is scheduled.
const TOLERANCE: Nanos = Nanos(100_000_000);
/// How long to wait for records before the child is looked at.
const PAUSE: Duration = Duration::from_millis(10);
/// So many missing processes are named.
const NAMED: usize = 8;

/// An engine and the tree that it saw.
type Followed = (Engine, Tree);

/// How the trees of two engines differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What the first engine saw.
    pub first: Side,
    /// What the second saw.
    pub second: Side,
    /// Processes that both saw, but with another parent.
    pub other_parent: u64,
    /// Processes that both saw and named, but with another last name.
    pub other_name: u64,
}

/// What one of two engines saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Which.
    pub engine: Engine,
    /// Processes.
    pub processes: u64,
    /// Processes that the other did not see.
    pub alone: u64,
    /// The first of those, with their parents' numbers and printable names.
    pub examples: Vec<(Pid, Option<Pid>, String)>,
    /// What it says itself that it missed.
    pub losses: Losses,
}

impl Difference {
    /// True where both saw the same tree.
    pub const fn is_none(&self) -> bool {
        self.first.alone == 0
            && self.second.alone == 0
            && self.other_parent == 0
            && self.other_name == 0
    }
}

/// The two engines that are worth comparing here: side-band and connector where they can be had, ptrace beside
/// the first otherwise; `None` where there is only one but polling.
pub fn pair() -> Option<(Engine, Engine)> {
    let had = available(Scope::Tree(Pid(std::process::id())));
    let mut had = had
        .into_iter()
        .filter(|(engine, verdict)| *engine != Engine::Poll && verdict.is_ok())
        .map(|(engine, _)| engine);
    Some((had.next()?, had.next()?))
}

/// Runs a command that waits for a line on its standard input before it forks (as [`crate::storm`] does), follows it
/// with both engines, and compares.
///
/// # Errors
/// Where the command cannot be started or one of the engines cannot be had.
pub fn crosscheck(
    command: &mut Command,
    first: Engine,
    second: Engine,
) -> Result<Difference, Error> {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| Error::system("starting the storm of forks", error))?;
    let pid = Pid(child.id());
    let scope = Scope::Tree(pid);
    let opened = Source::open(first, scope).and_then(|one| Ok((one, Source::open(second, scope)?)));
    // Its end is as good as a line.
    drop(child.stdin.take());
    let followed = opened.and_then(|(one, two)| follow(pid, Seen::new(one), Seen::new(two)));
    if followed.is_err() {
        let _ = child.kill();
    }
    let _ = child.wait();
    let (one, two) = followed?;
    Ok(compare(&one, &two))
}

/// Drains both until the first process has ended. A plain wait for it would take the stops away that ptrace waits for.
fn follow(pid: Pid, one: Seen, two: Seen) -> Result<(Followed, Followed), Error> {
    let system = |error| Error::system("waiting for the storm of forks", error);
    let end = PidFd::open(pid).map_err(system)?;
    let mut sides = [one, two];
    while !end.has_ended().map_err(system)? {
        for side in &mut sides {
            side.source.wait(PAUSE);
            side.drain();
        }
    }
    let [one, two] = sides.map(Seen::finish);
    Ok((one, two))
}

/// What one source has shown so far.
struct Seen {
    source: Source,
    tree: Tree,
    events: Vec<TreeEvent>,
}

impl Seen {
    fn new(source: Source) -> Self {
        Self {
            source,
            // Nothing is folded: every process is compared.
            tree: Tree::new(usize::MAX),
            events: Vec::new(),
        }
    }

    fn drain(&mut self) {
        self.source.drain(&mut self.events);
        for event in self.events.drain(..) {
            self.tree.apply(&event);
        }
    }

    fn finish(mut self) -> Followed {
        let engine = self.source.engine();
        let losses = self.source.finish(&mut self.events);
        self.events.iter().for_each(|event| self.tree.apply(event));
        self.tree.note_losses(losses);
        (engine, self.tree)
    }
}

fn compare(one: &Followed, two: &Followed) -> Difference {
    let same = matches(&one.1, &two.1);
    let back: HashMap<NodeId, NodeId> = same.iter().map(|(one, two)| (*two, *one)).collect();
    let mut difference = Difference {
        first: side(one, &same),
        second: side(two, &back),
        other_parent: 0,
        other_name: 0,
    };
    for (a, b) in &same {
        let (Some(a), Some(b)) = (one.1.get(*a), two.1.get(*b)) else {
            continue;
        };
        let parent = a.parent.map(|parent| same.get(&parent).copied());
        difference.other_parent += u64::from(parent != b.parent.map(Some));
        let named = a.comm.zip(b.comm);
        difference.other_name += u64::from(named.is_some_and(|(a, b)| a != b));
    }
    difference
}

fn side((engine, tree): &Followed, same: &HashMap<NodeId, NodeId>) -> Side {
    let alone: Vec<&Node> = tree
        .nodes()
        .filter(|node| !same.contains_key(&node.id))
        .collect();
    let examples = alone.iter().take(NAMED).map(|node| {
        let name = node.comm.map(|comm| comm.text()).unwrap_or_default();
        (node.id.pid, node.parent.map(|parent| parent.pid), name)
    });
    Side {
        engine: *engine,
        processes: tree.counts().processes,
        alone: alone.len() as u64,
        examples: examples.collect(),
        losses: tree.losses(),
    }
}

/// Which node of the first tree is which of the second.
fn matches(one: &Tree, two: &Tree) -> HashMap<NodeId, NodeId> {
    let mut others: BTreeMap<NodeId, bool> = two.nodes().map(|node| (node.id, false)).collect();
    let mut same = HashMap::new();
    for node in one.nodes() {
        let NodeId { pid, forked } = node.id;
        let around = NodeId {
            pid,
            forked: forked - TOLERANCE,
        }..=NodeId {
            pid,
            forked: forked + TOLERANCE,
        };
        let distance = |other: &NodeId| other.forked.0.abs_diff(forked.0);
        let free = others.range(around).filter(|(_, taken)| !**taken);
        if let Some(other) = free.map(|(id, _)| *id).min_by_key(distance) {
            others.insert(other, true);
            same.insert(node.id, other);
        }
    }
    same
}
