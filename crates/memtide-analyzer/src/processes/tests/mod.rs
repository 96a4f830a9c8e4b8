//! Every rule both ways, on censuses that are built by hand.

use super::*;
use memtide_model::{
    Bytes, FindingKind, KernelObject, Machine, ObjectKind, Role, StartTime, ThreadAtRest, ThreadId,
    Tid,
};

mod kept;
mod kin;
mod watched;

const BOOT: &str = "5e7a0b52-0000-4000-8000-000000000001";

fn settings() -> Settings {
    Settings {
        own: Pid(99_999),
        own_uid: 1000,
        older: None,
        expectations: Vec::new(),
    }
}

/// A process of user 1000 that was started at `pid` ticks after boot, so that higher pids are younger.
fn process(pid: u32, parent: u32, (session, group): (i64, i64), name: &str) -> ProcessState {
    ProcessState {
        ppid: Pid(parent),
        pgid: group,
        sid: session,
        uid: Some(1000),
        name: name.to_owned(),
        cmdline: vec![name.to_owned(), format!("--id={pid}")],
        age: Nanos::from_secs(1000),
        rss: Bytes(1 << 20),
        ..ProcessState::of(ProcessId {
            pid: Pid(pid),
            start: StartTime(u64::from(pid)),
        })
    }
}

fn zombie(pid: u32, parent: u32) -> ProcessState {
    ProcessState {
        state: 'Z',
        cmdline: Vec::new(),
        rss: Bytes(0),
        ..process(pid, parent, (500, 500), "child")
    }
}

/// init, a shell that leads session 500, and the others.
fn census(second: u64, others: Vec<ProcessState>) -> Census {
    let mut processes = vec![
        process(1, 0, (1, 1), "init"),
        process(500, 1, (500, 500), "bash"),
    ];
    processes.extend(others);
    processes.sort_by_key(|process| process.id.pid);
    Census {
        at: Nanos::from_secs(10_000 + second),
        wall_ns: i64::try_from(second).unwrap() * 1_000_000_000,
        boot_id: BOOT.to_owned(),
        processes,
        ..Census::default()
    }
}

fn watch_with(settings: Settings, looks: impl IntoIterator<Item = Census>) -> Watch {
    let mut watch = Watch::new(settings);
    for census in looks {
        watch.look(look(&watch.settings.expectations.clone(), census));
    }
    watch
}

fn look(expectations: &[Expectation], census: Census) -> Look {
    let matches = expectations
        .iter()
        .map(|expected| expected.matches(&census, Pid(99_999)));
    Look {
        matches: matches.collect(),
        judged: None,
        census,
    }
}

fn watch(looks: impl IntoIterator<Item = Census>) -> Watch {
    watch_with(settings(), looks)
}

fn of_kind(watch: &Watch, kind: FindingKind) -> Vec<Finding> {
    watch
        .findings()
        .into_iter()
        .filter(|finding| finding.kind == kind)
        .collect()
}

fn pids(finding: &Finding) -> Vec<u32> {
    finding.processes.iter().map(|id| id.pid.0).collect()
}

fn commands(finding: &Finding) -> Vec<&str> {
    finding
        .remedies
        .iter()
        .map(|remedy| remedy.command.as_str())
        .collect()
}
