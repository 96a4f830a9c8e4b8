//! The tail and the trie find the frames, and give the numbers, that a plain walk does: on programs at
//! random that call, return, jump, switch stacks and leave garbage behind, at each of some 100,000
//! calls of the allocator.
//!
//! All three ways give numbers by one table, as they do in the shim, so that a number must stand for the
//! same list of return addresses whoever asked first. Where the program is honest the plain walk itself is
//! compared with the simulated machine's own list of active functions.

#[expect(unreachable_pub, reason = "a module of a test, not a crate")]
mod machine;

use machine::program::Program;
use machine::{Context, Dice, Event, Machine};
use memtide_unwind::intern::{self, Found, PathHash, Slot};
use memtide_unwind::tail::{MOST_FRAMES, Tail};
use memtide_unwind::trie::{Edge, Node, Origin, Reached, Trie, Used};
use memtide_unwind::walk::{Cursor, StackMemory, Stop, step};
use std::collections::HashMap;
use std::iter;

const PROGRAMS: u64 = 240;
const EVENTS: u64 = 500;
/// The node from which stacks start.
const BASE: u32 = 7;

/// The numbers of all stacks of a program.
struct Numbers {
    slots: Vec<Slot>,
    /// The caller's number and the address, from the number after [`BASE`] on.
    nodes: Vec<(u32, u64)>,
}

impl Numbers {
    fn new() -> Self {
        Self {
            slots: slots(64),
            nodes: Vec::new(),
        }
    }

    fn number(&mut self, parent: u32, path: PathHash, address: u64) -> u32 {
        if self.nodes.len() * 2 >= self.slots.len() {
            let larger = slots(self.slots.len() * 2);
            intern::copy(&self.slots, &larger);
            self.slots = larger;
        }
        match intern::find(&self.slots, path, parent, address) {
            Found::Node(id) => id,
            Found::NoRoom => panic!("the table is half empty"),
            Found::Vacant(index) => {
                self.nodes.push((parent, address));
                let id = BASE + u32::try_from(self.nodes.len()).expect("few");
                intern::insert(&self.slots, index, (path, parent, address), id);
                id
            }
        }
    }

    /// The number of a list of addresses, root first, that was walked plainly.
    fn of(&mut self, addresses: impl Iterator<Item = u64>) -> u32 {
        let (mut node, mut path) = (BASE, PathHash::ROOT);
        for address in addresses {
            path = path.then(address);
            node = self.number(node, path, address);
        }
        node
    }

    /// The addresses of a number, leaf first.
    fn addresses(&self, number: u32) -> Vec<u64> {
        let mut at = number;
        iter::from_fn(|| {
            let index = usize::try_from(at.checked_sub(BASE + 1)?).expect("small");
            let (parent, address) = self.nodes[index];
            at = parent;
            Some(address)
        })
        .collect()
    }
}

fn slots(count: usize) -> Vec<Slot> {
    iter::repeat_with(Slot::default).take(count).collect()
}

/// The memory of a trie.
struct Forest {
    nodes: Vec<Node>,
    origins: Vec<Origin>,
    edges: Vec<Edge>,
    used: Used,
}

impl Forest {
    fn new(nodes: usize) -> Self {
        Self {
            nodes: iter::repeat_with(Node::default).take(nodes).collect(),
            origins: iter::repeat_with(Origin::default).take(nodes).collect(),
            edges: iter::repeat_with(Edge::default).take(nodes).collect(),
            used: Used::default(),
        }
    }
}

/// Frames one by one, leaf first, with nothing but [`step`].
fn plain(machine: &Machine, start: Cursor) -> (Vec<u64>, Stop) {
    let memory = machine.now();
    let (mut cursor, mut found) = (start, Vec::new());
    loop {
        let address = memory.word(cursor.slot);
        if address == 0 {
            return (found, Stop::Root);
        }
        if found.len() == MOST_FRAMES {
            return (found, Stop::Deep);
        }
        found.push(address);
        match step(memory, cursor, machine.rule(address), memory.top) {
            Ok(caller) => cursor = caller,
            Err(stop) => return (found, stop),
        }
    }
}

/// How often what happened, so that a test that tests nothing is seen.
#[derive(Debug, Default)]
struct Seen {
    events: u64,
    roots: u64,
    lost: u64,
    signals: u64,
    deep: u64,
    foreign: u64,
    frames: u64,
    stepped: u64,
    tries: u64,
    truths: u64,
}

/// The three ways, and what they share.
struct Ways {
    /// One that sees every event, and others that see few, as where a thread went by the trie meanwhile.
    tails: Vec<(Box<Tail>, u64)>,
    forest: Forest,
    numbers: Numbers,
    /// The only number of each list of addresses.
    known: HashMap<Vec<u64>, u32>,
    /// The only number of each hash.
    hashes: HashMap<u64, u32>,
    seen: Seen,
}

impl Ways {
    fn compare(&mut self, machine: &Machine, event: &Event, dice: &mut Dice) {
        let (found, stop) = plain(machine, event.start);
        self.seen.events += 1;
        self.seen.frames += found.len() as u64;
        *match stop {
            Stop::Root => &mut self.seen.roots,
            Stop::Lost => &mut self.seen.lost,
            Stop::Signal => &mut self.seen.signals,
            Stop::Deep => &mut self.seen.deep,
        } += 1;
        if let Some(truth) = &event.truth {
            let most = truth.len().min(MOST_FRAMES);
            assert_eq!(found, truth[..most], "what the machine has called");
            self.seen.truths += 1;
        }
        let number = match stop {
            Stop::Root | Stop::Lost => Some(self.numbers.of(found.iter().rev().copied())),
            Stop::Signal | Stop::Deep => None,
        };
        if let Some(number) = number {
            let first = *self.known.entry(found.clone()).or_insert(number);
            assert_eq!(first, number, "a stack has one number");
            assert_eq!(self.numbers.addresses(number), found, "and it is its own");
        }
        for index in 0..self.tails.len() {
            if dice.one_in(self.tails[index].1) {
                self.compare_tail(index, machine, event.start, (&found, stop, number));
            }
        }
        // A new stack takes the trie the square of its frames.
        if found.len() < 100 || dice.one_in(10) {
            self.compare_trie(machine, event.start, (&found, stop, number));
        }
    }

    fn compare_tail(
        &mut self,
        index: usize,
        machine: &Machine,
        start: Cursor,
        (found, stop, number): (&[u64], Stop, Option<u32>),
    ) {
        let tail = &mut self.tails[index].0;
        let memory: &Context = machine.now();
        let mut rule_of = |address| machine.rule(address);
        let walked = tail.walk(memory, &mut rule_of, start, memory.top);
        let refused = matches!(walked.stop, Stop::Signal | Stop::Deep);
        let Some(number) = number.filter(|_| found.len() < MOST_FRAMES) else {
            // Somebody else must walk; it does not matter why.
            assert!(
                refused,
                "tail {index} cannot have followed this: {walked:?}"
            );
            return;
        };
        assert_eq!(walked.stop, stop, "tail {index} ends as the walk does");
        let addresses: Vec<u64> = (0..walked.frames)
            .rev()
            .map(|frame| tail.address(frame))
            .collect();
        assert_eq!(addresses, found, "tail {index} has the same frames");
        let numbers = &mut self.numbers;
        let path = tail.path(walked, PathHash::ROOT);
        let mut got = (BASE, PathHash::ROOT);
        for (path, address) in tail.frames(walked) {
            assert_eq!(
                got.1.then(address),
                path,
                "tail {index} has the frames' hashes"
            );
            got = (numbers.number(got.0, path, address), path);
        }
        assert_eq!(got, (number, path), "tail {index} gives the same number");
        let first = *self.hashes.entry(path.number()).or_insert(number);
        assert_eq!(first, number, "no other stack has its hash");
        if index == 0 {
            self.seen.stepped += (walked.frames - walked.shared) as u64;
        }
    }

    fn compare_trie(
        &mut self,
        machine: &Machine,
        start: Cursor,
        (found, stop, number): (&[u64], Stop, Option<u32>),
    ) {
        let end = loop {
            let Forest {
                nodes,
                origins,
                edges,
                used,
            } = &mut self.forest;
            let trie = Trie {
                nodes,
                origins,
                edges,
            };
            match trie.walk(machine.now(), start, machine.now().top) {
                Reached::New { parent, address } => {
                    if !trie.grow(used, parent, address, machine.rule(address)) {
                        let size = nodes.len();
                        self.forest = Forest::new(size);
                        self.seen.tries += 1;
                    }
                }
                Reached::Refused => break None,
                Reached::End(end, stopped) => {
                    assert_eq!(stopped, stop, "the trie ends as the walk does");
                    assert!(
                        trie.addresses(end).eq(found.iter().rev().copied()),
                        "the trie has the same frames"
                    );
                    if trie.number(end) == 0 {
                        let number = self.numbers.of(trie.addresses(end));
                        trie.set_number(end, number);
                    }
                    break Some(trie.number(end));
                }
            }
        };
        assert_eq!(end, number, "the trie gives the same number");
    }
}

/// Runs the program of a seed with tails that come from another one.
fn run(seed: u64, tails: Vec<(Box<Tail>, u64)>) -> Ways {
    let mut program = Program::new(seed);
    let mut dice = Dice::new(seed + 1_000_000);
    let mut ways = Ways {
        tails,
        forest: Forest::new(*dice.of(&[1 << 11, 1 << 15])),
        numbers: Numbers::new(),
        known: HashMap::new(),
        hashes: HashMap::new(),
        seen: Seen::default(),
    };
    while ways.seen.events < EVENTS {
        program.go_on(&mut dice);
        if !dice.one_in(2) {
            continue;
        }
        let event = program.machine.allocate(&mut dice);
        if program.machine.current == 0 {
            ways.compare(&program.machine, &event, &mut dice);
            continue;
        }
        // Another stack is walked plainly, if it is walked; the tail is of no use there.
        ways.seen.foreign += 1;
        if dice.one_in(2) {
            for (tail, _) in &mut ways.tails {
                tail.clear();
            }
        }
    }
    ways
}

#[test]
fn tail_and_trie_find_what_a_plain_walk_finds() {
    let mut tails: Vec<(Box<Tail>, u64)> = [1, 5, 60].map(|chance| (Box::default(), chance)).into();
    let mut all = Seen::default();
    for seed in 0..PROGRAMS {
        // Other code lies where the last program's lay.
        for (tail, _) in &mut tails {
            tail.clear();
        }
        let ways = run(seed, tails);
        tails = ways.tails;
        let seen = ways.seen;
        all.events += seen.events;
        all.roots += seen.roots;
        all.lost += seen.lost;
        all.signals += seen.signals;
        all.deep += seen.deep;
        all.foreign += seen.foreign;
        all.frames += seen.frames;
        all.stepped += seen.stepped;
        all.tries += seen.tries;
        all.truths += seen.truths;
    }
    println!("{all:?}");
    assert_eq!(all.events, PROGRAMS * EVENTS);
    for (what, times) in [
        ("ends", all.roots),
        ("lost", all.lost),
        ("signals", all.signals),
        ("deep stacks", all.deep),
        ("other stacks", all.foreign),
        ("stacks that the machine knows", all.truths),
    ] {
        assert!(times > 1000, "{what} were seen: {all:?}");
    }
    assert!(all.tries > 10, "tries became full: {all:?}");
    assert!(
        all.stepped * 3 < all.frames,
        "most frames are the tail's: {all:?}"
    );
}
