//! Programs that are followed from their first instruction on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_events::{Engine, Gate, Scope, Source};
use std::process::Command;
use support::{drain_until_end, skip};

#[test]
fn a_program_is_followed_before_it_forks() {
    for engine in [Engine::SideBand, Engine::Connector, Engine::Ptrace] {
        let (child, source) = Gate::follow(
            |pid| Source::open(engine, Scope::Tree(pid)),
            |gate| {
                let mut command = Command::new("sh");
                // The first thing that it does is to fork.
                command.args(["-c", "/bin/true & /bin/true; (exit 3); wait; exit 4"]);
                gate.install(&mut command);
                command.spawn()
            },
        )
        .unwrap();
        let mut child = child.unwrap();
        let source = match source.unwrap() {
            Ok(source) => source,
            Err(reason) => {
                child.wait().unwrap();
                skip(&format!("{engine}: {reason}"));
                continue;
            }
        };
        let tree = drain_until_end(source, &mut child);
        assert_eq!(tree.nodes().count(), 4, "{engine}: {tree:#?}");
        assert_eq!(tree.counts().execs, 3, "{engine}: sh and two of true");
        let root = tree.nodes().find(|node| node.parent.is_none()).unwrap();
        assert_eq!(root.id.pid.0, child.id());
        if engine != Engine::SideBand {
            assert_eq!(root.end.unwrap().status, Some(4 << 8), "{engine}");
        }
    }
}

#[test]
fn a_program_that_is_not_there_is_an_error_as_ever() {
    let (child, opened) = Gate::follow(
        |pid| pid,
        |gate| {
            let mut command = Command::new("/nonexistent/program");
            gate.install(&mut command);
            command.spawn()
        },
    )
    .unwrap();
    assert_eq!(child.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert!(opened.is_some(), "a child was made, and could not run it");
}

#[test]
fn a_gate_without_children_opens_nothing() {
    let (seven, opened) = Gate::follow(|pid| pid, |_| 7).unwrap();
    assert_eq!((seven, opened), (7, None));
}

#[test]
fn who_comes_too_late_does_not_run() {
    let mut command = Command::new("true");
    Gate::follow(|pid| pid, |gate| gate.install(&mut command)).unwrap();
    assert!(command.spawn().is_err(), "nobody would follow it");
}
