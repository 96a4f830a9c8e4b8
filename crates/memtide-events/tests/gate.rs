//! Programs that are followed from their first instruction on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_events::{Engine, Follower, Gate, Scope, Source};
use memtide_launch::{Launch, inspect_program, resolve};
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
fn a_launched_program_ends_as_ever_while_it_is_traced() {
    let folder = tempfile::tempdir().unwrap();
    // Commands without interpreter: the kernel refuses them, and a shell is started in their place.
    let script = folder.path().join("script");
    std::fs::write(&script, "/bin/true\n/bin/true\nexit 7\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).unwrap();
    let program = resolve(script.as_os_str())
        .and_then(|path| inspect_program(&path))
        .unwrap();
    let launch = Launch::new(&script, [""; 0]);
    for engine in [Engine::SideBand, Engine::Ptrace] {
        let (launched, source) = Gate::follow(
            |pid| Source::open(engine, Scope::Tree(pid)),
            |gate| launch.spawn_with(&program, |command| gate.install(command)),
        )
        .unwrap();
        let source = match source.unwrap() {
            Ok(source) => source,
            Err(reason) => {
                launched.unwrap().wait().unwrap();
                skip(&format!("{engine}: {reason}"));
                continue;
            }
        };
        let follower = Follower::start(source).unwrap();
        let ending = launched.unwrap().wait().unwrap();
        assert_eq!(ending.exit_code(), 7, "{engine}");
        let (tree, recent) = follower.finish();
        assert_eq!(tree.nodes().count(), 3, "{engine}: {tree:#?}");
        assert_eq!(tree.alive().count(), 0, "{engine}");
        assert!(
            recent.skipped == 0 && recent.events.len() >= 8,
            "{recent:?}"
        );
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
