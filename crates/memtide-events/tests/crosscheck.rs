//! Two engines at once find what one of them has lost, and nothing where none has.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_events::{Difference, Engine, ErrorKind, Scope, available, crosscheck, pair};
use memtide_model::Pid;
use std::process::Command;
use support::skip;

/// The crate's own storm, in a process of its own.
fn storm(forks: u32) -> Command {
    // Tests lie in `deps`, beside `examples`.
    let own = std::env::current_exe().unwrap();
    let program = own.ancestors().nth(2).unwrap().join("examples/engines");
    assert!(program.exists(), "cargo test builds the examples");
    let mut command = Command::new(program);
    command.args(["storm", &forks.to_string()]);
    command
}

fn check(first: Engine, second: Engine) -> Difference {
    let difference = crosscheck(&mut storm(4000), first, second).unwrap();
    println!("{difference:?}");
    difference
}

#[test]
fn engines_that_lose_nothing_agree() {
    let had: Vec<Engine> = available(Scope::Tree(Pid(std::process::id())))
        .into_iter()
        .filter(|(engine, verdict)| verdict.is_ok() && *engine != Engine::Poll)
        .map(|(engine, _)| engine)
        .collect();
    let Some((first, second)) = pair() else {
        return skip("there is one engine at most");
    };
    assert_eq!(had.get(..2), Some(&[first, second][..]), "the best two");
    for (index, first) in had.iter().enumerate() {
        for second in &had[index + 1..] {
            let difference = check(*first, *second);
            assert!(difference.is_none(), "{difference:#?}");
            // 4,000 children, 250 grandchildren, two workers and the storm.
            assert_eq!(difference.first.processes, 4253);
            assert_eq!(difference.second.processes, 4253);
        }
    }
}

#[test]
fn what_polling_loses_is_found() {
    let Some((best, _)) = pair() else {
        return skip("there is no other engine");
    };
    let difference = check(best, Engine::Poll);
    assert!(!difference.is_none());
    assert!(difference.first.alone > 3000, "most lived too shortly");
    assert_eq!(difference.second.alone, 0, "none is invented");
    assert!(difference.second.losses.polled);
    assert_eq!(difference.first.examples.len(), 8);
}

#[test]
fn a_storm_that_cannot_be_started_is_an_error() {
    let mut command = Command::new("/nonexistent/storm");
    let error = crosscheck(&mut command, Engine::Poll, Engine::Poll).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System);
    assert!(error.to_string().contains("storm"), "{error}");
}
