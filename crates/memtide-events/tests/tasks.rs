//! Threads are no processes, whatever they do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_events::{Engine, Scope, Source, Tree};
use memtide_model::Pid;
use std::process::Command;
use support::{fixture, follow, is_root, skip, start};

/// The engines that lose nothing and can be had here.
fn engines() -> Vec<Engine> {
    let all = memtide_events::available(Scope::Tree(Pid(std::process::id())));
    let had = all
        .into_iter()
        .filter_map(|(engine, verdict)| match verdict {
            Ok(()) => Some(engine),
            Err(reason) => {
                skip(&format!("{engine}: {reason}"));
                None
            }
        });
    had.filter(|engine| *engine != Engine::Poll).collect()
}

fn the_only(tree: &Tree) -> &memtide_events::Node {
    assert_eq!(tree.nodes().count(), 1, "threads are no nodes: {tree:#?}");
    tree.nodes().next().unwrap()
}

#[test]
fn a_process_lives_as_long_as_its_last_thread() {
    for engine in engines() {
        let mut child = start(&fixture("tasks"), &["first"]);
        let begun = memtide_proc::clock::boottime();
        let tree = follow(engine, &mut child);
        let end = the_only(&tree).end;
        let end = end.unwrap_or_else(|| panic!("{engine}: it has ended: {:?}", tree.counts()));
        assert!(end.seen);
        let lived = end.at.seconds_since(begun);
        assert!(
            lived >= 0.2,
            "{engine}: its last thread ends after 200 ms, not after {lived} s"
        );
        // The side-band has no statuses.
        let status = (engine != Engine::SideBand).then_some(3 << 8);
        assert_eq!(end.status, status, "{engine}");
    }
}

#[test]
fn a_thread_that_replaces_the_program_is_the_process() {
    for engine in engines() {
        let mut child = start(&fixture("tasks"), &["exec"]);
        let tree = follow(engine, &mut child);
        let node = the_only(&tree);
        assert_eq!(node.execs, 1, "{engine}");
        assert!(node.end.is_some_and(|end| end.seen), "{engine}");
        if engine != Engine::Connector {
            // The connector reads the name from /proc, where the process may be gone.
            assert_eq!(node.comm.unwrap().text(), "true", "{engine}");
        }
        assert_eq!(tree.counts().exits, 1, "{engine}");
    }
}

#[test]
fn signals_and_stops_pass_through_ptrace() {
    if !engines().contains(&Engine::Ptrace) {
        return skip("ptrace");
    }
    // A real-time signal, a stop and a continuation, as without a tracer.
    let script = "read _; trap 'echo rt' RTMIN+3; kill -RTMIN+3 $$; \
                  sh -c 'kill -STOP $$; echo goes on; exit 5' & child=$!; sleep 0.5; \
                  echo stands; kill -CONT $child; wait $child; echo $?; kill -KILL $$";
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .stdin(std::process::Stdio::piped());
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let output = child.stdout.take().unwrap();
    let tree = follow(Engine::Ptrace, &mut child);
    assert_eq!(
        std::io::read_to_string(output).unwrap(),
        "rt\nstands\ngoes on\n5\n"
    );
    let root = tree.nodes().find(|node| node.parent.is_none()).unwrap();
    assert_eq!(root.end.unwrap().status, Some(9), "killed by SIGKILL");
    assert!(
        tree.nodes()
            .any(|node| node.end.is_some_and(|end| end.status == Some(5 << 8)))
    );
}

#[test]
fn who_is_debugged_is_not_traced() {
    if !engines().contains(&Engine::Ptrace) || !is_root() {
        return skip("ptrace of a process of our own");
    }
    let mut child = start(&fixture("tasks"), &["exec"]);
    let scope = Scope::Tree(Pid(child.id()));
    let first = Source::open(Engine::Ptrace, scope).unwrap();
    let refusal = Source::open(Engine::Ptrace, scope).unwrap_err().to_string();
    assert!(
        refusal.contains("is being debugged by process"),
        "{refusal}"
    );
    support::drain_until_end_with_input(first, &mut child);
}
