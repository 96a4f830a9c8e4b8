//! The tree against a naive model that keeps everything.

use super::*;
use crate::order::{HOLD, Order, Record};
use crate::threads::Threads;
use proptest::prelude::*;

/// A process as the model knows it: all of them, for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Modelled {
    id: NodeId,
    parent: Option<NodeId>,
    comm: Comm,
    execs: u32,
    end: Option<Nanos>,
}

/// What one step of a history does; numbers choose among those that live.
#[derive(Clone, Copy, Debug)]
enum Step {
    Fork(usize),
    Exec(usize, u8),
    Name(usize, u8),
    Exit(usize),
    Thread(usize),
}

/// So few numbers that most are used again.
const PIDS: u32 = 12;
const ROOT: Pid = Pid(1);

fn comm(number: u8) -> Comm {
    Comm::new(&[b'a' + number % 26, b')', b'\n'])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => any::<usize>().prop_map(Step::Fork),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(who, name)| Step::Exec(who, name)),
        1 => (any::<usize>(), any::<u8>()).prop_map(|(who, name)| Step::Name(who, name)),
        3 => any::<usize>().prop_map(Step::Exit),
        1 => any::<usize>().prop_map(Step::Thread),
    ]
}

/// A history: all that ever was, and its records in the order of time.
#[derive(Debug, Default)]
struct History {
    all: Vec<Modelled>,
    records: Vec<Record>,
}

impl History {
    fn of(steps: &[Step]) -> Self {
        let mut history = Self::default();
        let name = Comm::new(b"root");
        history.add(0, ROOT, None, name);
        let found = Change::Found {
            parent: Pid(0),
            comm: name,
            threads: 1,
        };
        history.tell(0, ROOT, found, false);
        for (at, step) in (1..).zip(steps) {
            history.take(at * 1_000_000, *step);
        }
        history
    }

    fn add(&mut self, at: u64, pid: Pid, parent: Option<NodeId>, comm: Comm) {
        let forked = Nanos(at);
        self.all.push(Modelled {
            id: NodeId { pid, forked },
            parent,
            comm,
            execs: 0,
            end: None,
        });
    }

    fn tell(&mut self, at: u64, pid: Pid, change: Change, thread: bool) {
        let at = Nanos(at);
        let event = TreeEvent { at, pid, change };
        self.records.push(Record { event, thread });
    }

    fn living(&mut self, choice: usize) -> Option<&mut Modelled> {
        let mut living: Vec<_> = self
            .all
            .iter_mut()
            .filter(|one| one.end.is_none())
            .collect();
        let count = living.len().max(1);
        (!living.is_empty()).then(|| living.swap_remove(choice % count))
    }

    fn take(&mut self, at: u64, step: Step) {
        let (Step::Fork(who)
        | Step::Exec(who, _)
        | Step::Name(who, _)
        | Step::Exit(who)
        | Step::Thread(who)) = step;
        let Some(actor) = self.living(who) else {
            return;
        };
        let pid = actor.id.pid;
        match step {
            Step::Fork(_) => {
                let (parent, name) = (actor.id, actor.comm);
                let taken = |pid: &u32| {
                    let same = |one: &&Modelled| one.id.pid.0 == *pid && one.end.is_none();
                    self.all.iter().any(|one| same(&one))
                };
                // The next number after the last, as the kernel gives them.
                let last = self.all.last().map_or(0, |one| one.id.pid.0);
                let next = (1..=PIDS).map(|step| (last + step) % PIDS + 1);
                if let Some(child) = next.into_iter().find(|pid| !taken(pid)) {
                    self.add(at, Pid(child), Some(parent), name);
                    self.tell(at, pid, Change::Fork { child: Pid(child) }, false);
                }
            }
            Step::Exec(_, name) => {
                actor.comm = comm(name);
                actor.execs += 1;
                let comm = Some(actor.comm);
                self.tell(at, pid, Change::Exec { comm }, false);
            }
            Step::Name(_, name) => {
                actor.comm = comm(name);
                let comm = actor.comm;
                self.tell(at, pid, Change::Comm(comm), false);
            }
            Step::Exit(_) => {
                actor.end = Some(Nanos(at));
                self.tell(at, pid, END, false);
            }
            // A thread that begins and ends.
            Step::Thread(_) => {
                self.tell(at, pid, Change::Fork { child: pid }, true);
                self.tell(at + 1, pid, END, true);
            }
        }
    }
}

const END: Change = Change::Exit {
    status: None,
    parent: None,
};

/// Feeds the records as several processors' rings give them: each in order, read in turns, none later than
/// it is held back for.
fn feed(history: &History, processors: &[u8], turns: &[u8], tree: &mut Tree) -> u64 {
    let mut rings = vec![std::collections::VecDeque::new(); 4];
    let choices = processors.iter().chain(std::iter::repeat(&0));
    for (record, choice) in history.records.iter().zip(choices) {
        rings[usize::from(*choice) % 4].push_back(*record);
    }
    let mut order = Order::default();
    let mut threads = Threads::default();
    let mut turns = turns.iter().chain(std::iter::repeat(&1));
    let mut out = Vec::new();
    while rings.iter().any(|ring| !ring.is_empty()) {
        for ring in &mut rings {
            let count = usize::from(*turns.next().unwrap()) % 8 + 1;
            let count = count.min(ring.len());
            ring.drain(..count).for_each(|record| order.push(record));
        }
        // Now is when the oldest record that nobody has read yet is as old as it may become.
        let oldest = rings.iter().filter_map(|ring| ring.front());
        let oldest = oldest.map(|record| record.event.at).min();
        order.release(oldest.unwrap_or(Nanos(u64::MAX) - HOLD), &mut out);
    }
    order.release(Nanos(u64::MAX), &mut out);
    let events = out.into_iter().filter_map(|record| threads.apply(record));
    events.for_each(|event| tree.apply(&event));
    order.late()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_of_processors_the_tree_is_the_models(
        steps in prop::collection::vec(step(), 0..300),
        processors: Vec<u8>,
        turns: Vec<u8>,
    ) {
        let history = History::of(&steps);
        let mut tree = Tree::new(usize::MAX);
        prop_assert_eq!(feed(&history, &processors, &turns, &mut tree), 0);
        prop_assert_eq!(tree.nodes().count(), history.all.len());
        for one in &history.all {
            let node = tree.get(one.id).unwrap();
            let seen = Modelled {
                id: node.id,
                parent: node.parent,
                comm: node.comm.unwrap(),
                execs: node.execs,
                end: node.end.map(|end| end.at),
            };
            prop_assert_eq!(&seen, one);
            let until = one.end.unwrap_or(Nanos(u64::MAX));
            prop_assert_eq!(tree.at(one.id.pid, until).map(|node| node.id), Some(one.id));
            let children = history.all.iter().filter(|child| child.parent == Some(one.id));
            let children: Vec<NodeId> = children.map(|child| child.id).collect();
            let mut seen: Vec<NodeId> = tree.children(one.id).map(|node| node.id).collect();
            seen.sort_by_key(|id| id.forked);
            prop_assert_eq!(seen, children);
        }
        let has_ended = |id: &NodeId| history.all.iter().any(|one| one.id == *id && one.end.is_some());
        let orphans = history.all.iter().filter(|one| one.end.is_none());
        let orphans = orphans.filter(|one| one.parent.as_ref().is_some_and(has_ended)).count();
        prop_assert_eq!(tree.orphans().count(), orphans);
        prop_assert_eq!(tree.descendants(history.all[0].id).len(), history.all.len() - 1);
    }

    #[test]
    fn a_small_tree_forgets_nobody_who_lives_and_counts_all(
        steps in prop::collection::vec(step(), 0..300),
        most in 0_usize..8,
    ) {
        let history = History::of(&steps);
        let mut tree = Tree::new(most);
        feed(&history, &[], &[], &mut tree);
        let living = history.all.iter().filter(|one| one.end.is_none()).count();
        prop_assert_eq!(tree.alive().count(), living);
        prop_assert!(tree.nodes().count() <= living + most);
        for node in tree.nodes() {
            let one = history.all.iter().find(|one| one.id == node.id).unwrap();
            prop_assert_eq!(node.parent, one.parent, "a link never changes");
        }
        let folded: u64 = tree.nodes().map(|node| node.folded.total()).sum();
        let folded = folded + tree.folded().total();
        prop_assert_eq!(folded, tree.counts().folded);
        prop_assert_eq!(folded + tree.nodes().count() as u64, history.all.len() as u64);
    }

    #[test]
    fn any_events_are_taken(
        events in prop::collection::vec((0_u64..50, 0_u32..6, 0_u32..6, 0_u8..6), 0..200),
        most in 0_usize..4,
    ) {
        let mut tree = Tree::new(most);
        for (at, pid, other, kind) in events {
            let name = comm(kind);
            let other = Pid(other);
            let change = match kind {
                0 => Change::Found { parent: other, comm: name, threads: 1 },
                1 => Change::Fork { child: other },
                2 => Change::Exec { comm: None },
                3 => Change::Comm(name),
                4 => Change::Reparent { new_parent: other },
                _ => Change::Exit { status: Some(0), parent: Some(other) },
            };
            tree.apply(&TreeEvent { at: Nanos(at * 10_000_000), pid: Pid(pid), change });
            let ended = tree.nodes().filter(|node| !node.is_alive()).count();
            prop_assert!(ended <= most);
            let folded: u64 = tree.nodes().map(|node| node.folded.total()).sum();
            let all = tree.nodes().count() as u64 + folded + tree.folded().total();
            prop_assert_eq!(all, tree.counts().processes);
        }
    }
}

fn apply(tree: &mut Tree, at: u64, pid: u32, change: Change) {
    tree.apply(&TreeEvent {
        at: Nanos(at),
        pid: Pid(pid),
        change,
    });
}

fn fork(child: u32) -> Change {
    Change::Fork { child: Pid(child) }
}

#[test]
fn an_orphan_keeps_its_parent_and_says_who_reaps_it() {
    let mut tree = Tree::default();
    let name = Comm::new(b"worker");
    let found = Change::Found {
        parent: Pid(0),
        comm: name,
        threads: 1,
    };
    apply(&mut tree, 0, 10, found);
    apply(&mut tree, 30_000_000, 10, fork(11));
    apply(&mut tree, 40_000_000, 11, fork(12));
    apply(&mut tree, 50_000_000, 11, END);
    apply(
        &mut tree,
        60_000_000,
        12,
        Change::Reparent { new_parent: Pid(1) },
    );
    let orphan = tree.orphans().next().unwrap();
    assert_eq!(orphan.node.id.pid, Pid(12));
    assert_eq!(orphan.parent.pid, Pid(11));
    assert_eq!(orphan.dead.unwrap().end.unwrap().at, Nanos(50_000_000));
    assert_eq!(orphan.node.adopted_by, Some(Pid(1)));
    assert_eq!(orphan.node.comm, Some(name), "names are inherited");
}

#[test]
fn an_end_that_nobody_saw_shows_when_the_number_is_used_again() {
    let mut tree = Tree::default();
    apply(&mut tree, 100_000_000, 5, fork(6));
    apply(&mut tree, 200_000_000, 5, fork(6));
    let first = tree.at(Pid(6), Nanos(150_000_000)).unwrap();
    assert!(first.end.is_some_and(|end| !end.seen));
    let counts = tree.counts();
    assert_eq!((counts.processes, counts.unseen_ends), (2, 1));
    assert_eq!(counts.unknown_parents, 2, "nobody saw process 5");
}

#[test]
fn who_was_found_while_it_was_forked_is_one_process() {
    let mut tree = Tree::default();
    let found = |parent| Change::Found {
        parent: Pid(parent),
        comm: Comm::new(b"x"),
        threads: 1,
    };
    apply(&mut tree, 0, 5, found(0));
    apply(&mut tree, 100_000_000, 6, found(5));
    apply(&mut tree, 104_000_000, 5, fork(6));
    assert_eq!(tree.nodes().count(), 2);
    assert_eq!(tree.counts().unseen_ends, 0);
}

#[test]
fn a_million_short_lives_take_little() {
    let mut tree = Tree::default();
    apply(&mut tree, 0, 1, fork(2));
    for number in 0..1_000_000_u64 {
        let at = 1000 + 10 * number;
        let child = 3 + u32::try_from(number % 30_000).unwrap();
        apply(&mut tree, at, 2, fork(child));
        apply(
            &mut tree,
            at + 1,
            child,
            Change::Comm(comm((number % 3) as u8)),
        );
        apply(&mut tree, at + 2, child, END);
    }
    assert!(tree.nodes().count() <= Tree::ENDED + 1);
    let parent = tree.alive_with(Pid(2)).unwrap();
    assert_eq!(parent.folded.by_comm().count(), 3);
    let kept = tree.children(parent.id).count() as u64;
    assert_eq!(parent.folded.total() + kept, 1_000_000);
}
