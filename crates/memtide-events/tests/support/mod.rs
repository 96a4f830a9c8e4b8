//! The storm of forks and its books, and trees that are held against them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of each test file, not a crate")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use memtide_events::{Engine, Node, Scope, Source, Tree};
use memtide_model::{Nanos, Pid};
use memtide_proc::PidFd;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Says why a test is not made here.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// One of `fixtures/processes`, built if it is not.
pub fn fixture(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/processes");
    let program = folder.join("bin").join(name);
    let built = Command::new(folder.join("build"))
        .args(["-q", name])
        .status();
    // Another user may not write there, and finds what was built before.
    let is_built = built.is_ok_and(|status| status.success()) || program.exists();
    assert!(is_built, "fixtures/processes/build {name} failed");
    program.canonicalize().unwrap()
}

/// A program of ours that begins when its input ends.
pub fn start(program: &Path, arguments: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped());
    command.spawn().unwrap()
}

/// Follows what `child` does from its beginning to its end; nothing is folded.
pub fn follow(engine: Engine, child: &mut Child) -> Tree {
    let pid = Pid(child.id());
    let source = Source::open(engine, Scope::Tree(pid)).unwrap();
    drop(child.stdin.take());
    drain_until_end(source, child)
}

/// Drains until `child` has ended.
pub fn drain_until_end(mut source: Source, child: &mut Child) -> Tree {
    let end = PidFd::open(Pid(child.id())).unwrap();
    let mut tree = Tree::new(usize::MAX);
    let mut events = Vec::new();
    while !end.has_ended().unwrap() {
        source.wait(Duration::from_millis(20));
        source.drain(&mut events);
        events.drain(..).for_each(|event| tree.apply(&event));
    }
    let losses = source.finish(&mut events);
    events.drain(..).for_each(|event| tree.apply(&event));
    tree.note_losses(losses);
    child.wait().unwrap();
    tree
}

/// One fork as the storm has booked it.
#[derive(Clone, Debug)]
pub struct Booked {
    pub parent: Pid,
    pub child: Pid,
    pub before: Nanos,
    pub after: Nanos,
    pub name: Vec<u8>,
}

/// What the storm wrote.
pub fn books(path: &Path) -> Vec<Booked> {
    let bytes = std::fs::read(path).unwrap();
    let number = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let pid = |at: usize| Pid(u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap()));
    let count = usize::try_from(number(0)).unwrap();
    let record = |index: usize| {
        let at = 64 + 48 * index;
        let name: &[u8] = &bytes[at + 24..at + 40];
        let name = name.split(|byte| *byte == 0).next().unwrap();
        let replaced = number(at + 40) == 1;
        Booked {
            parent: pid(at),
            child: pid(at + 4),
            before: Nanos(number(at + 8)),
            after: Nanos(number(at + 16)),
            name: if replaced { b"true" } else { name }.to_vec(),
        }
    };
    // A place without a parent is a fork that failed.
    (0..count)
        .map(record)
        .filter(|booked| booked.parent.0 != 0)
        .collect()
}

/// How a tree differs from the books.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wrong {
    pub missing: usize,
    pub parents: usize,
    pub names: usize,
    /// Without a name: the engine did not say it.
    pub unnamed: usize,
    pub not_ended: usize,
}

/// Holds every booked fork against the tree: it happened between the two times that its parent wrote down.
pub fn differences(tree: &Tree, books: &[Booked]) -> Wrong {
    let mut nodes: HashMap<Pid, Vec<&Node>> = HashMap::new();
    for node in tree.nodes() {
        nodes.entry(node.id.pid).or_default().push(node);
    }
    let mut wrong = Wrong::default();
    for booked in books {
        let of_pid = nodes.get(&booked.child).map_or(&[][..], Vec::as_slice);
        let span = booked.before..=booked.after;
        let Some(node) = of_pid.iter().find(|node| span.contains(&node.id.forked)) else {
            wrong.missing += 1;
            continue;
        };
        let parent = node.parent.map(|parent| parent.pid);
        wrong.parents += usize::from(parent != Some(booked.parent));
        match node.comm {
            Some(name) => wrong.names += usize::from(name.as_bytes() != booked.name),
            None => wrong.unnamed += 1,
        }
        wrong.not_ended += usize::from(node.is_alive());
    }
    wrong
}

/// How many numbers were used more than once.
pub fn reused(books: &[Booked]) -> usize {
    let mut pids: Vec<Pid> = books.iter().map(|booked| booked.child).collect();
    pids.sort_unstable();
    pids.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

/// Lets `child` begin, and drains until it has ended.
pub fn drain_until_end_with_input(source: Source, child: &mut Child) -> Tree {
    drop(child.stdin.take());
    drain_until_end(source, child)
}
