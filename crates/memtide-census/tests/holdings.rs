//! What descriptors lead to, by fixtures that opened them; and who holds what.
mod common;

use common::{Fixture, census_of, is_root};
use memtide_census::{Scope, Wanted, What, holders_of, take};
use memtide_model::{Census, HeldTarget, Pid, text};
use memtide_proc::clock;
use std::collections::BTreeMap;
use std::process::Command;

fn held(pids: Vec<Pid>) -> Census {
    let wanted = Wanted {
        holdings: true,
        ..Wanted::default()
    };
    census_of(pids, &wanted)
}

/// How many descriptors lead to each target.
fn counts(census: &Census, pid: Pid) -> BTreeMap<HeldTarget, u64> {
    let mut counts = BTreeMap::new();
    for holding in census.holdings.iter().flatten() {
        if holding.holder.pid == pid {
            *counts.entry(holding.target.clone()).or_default() += 1;
        }
    }
    counts
}

fn leak(kind: &str, count: u32) -> Fixture {
    Fixture::start(
        "descriptors",
        &[&format!("kind={kind}"), &format!("count={count}"), "rate=0"],
    )
}

type Target = fn(String) -> HeldTarget;

#[test]
fn every_kind_is_told_and_counted() {
    let anonymous = |name: &str| HeldTarget::Anonymous { name: name.into() };
    for (kind, name) in [
        ("eventfd", "eventfd"),
        ("epoll", "eventpoll"),
        ("timerfd", "timerfd"),
        ("signalfd", "signalfd"),
        ("inotify", "inotify"),
    ] {
        let fixture = leak(kind, 40);
        let found = counts(&held(vec![fixture.pid()]), fixture.pid());
        // The program has a signalfd of its own.
        let own = u64::from(kind == "signalfd");
        assert_eq!(found.get(&anonymous(name)), Some(&(40 + own)), "{kind}");
    }
    let paths: [(&str, Target); 3] = [
        ("file", |path| HeldTarget::File { path }),
        ("deleted", |path| HeldTarget::Deleted { path }),
        ("memfd", |name| HeldTarget::Memfd { name }),
    ];
    for (kind, target) in paths {
        let fixture = leak(kind, 40);
        let found = counts(&held(vec![fixture.pid()]), fixture.pid());
        assert_eq!(
            found.get(&target(fixture.text("target"))),
            Some(&40),
            "{kind}"
        );
    }
    let fixture = leak("unix", 40);
    let found = counts(&held(vec![fixture.pid()]), fixture.pid());
    assert_eq!(found.get(&HeldTarget::Unix { path: None }), Some(&80));
}

#[test]
fn link_texts_hold_newlines() {
    let fixture = leak("newline", 40);
    let found = counts(&held(vec![fixture.pid()]), fixture.pid());
    for call in 0..40 {
        let path = format!("{}/two\nlines (deleted)\n{call}", fixture.text("target"));
        let path = text::printable(path.as_bytes());
        assert_eq!(found.get(&HeldTarget::File { path }), Some(&1));
    }
}

#[test]
fn a_connection_that_the_peer_closed_has_its_state_and_address() {
    let fixture = leak("tcp", 60);
    let census = held(vec![fixture.pid()]);
    let remote = Some(fixture.text("target"));
    let waits = |target: &HeldTarget| {
        matches!(target, HeldTarget::Socket { protocol, remote: its, state, .. }
            if protocol == "tcp" && *its == remote && state == "CLOSE_WAIT")
    };
    let found = counts(&census, fixture.pid());
    assert_eq!(
        found.iter().filter(|(target, _)| waits(target)).count(),
        60,
        "{found:?}"
    );
    // The peer's end is the listener.
    let peer = fixture.truth["peer"].as_u64().unwrap();
    let peer = Pid(u32::try_from(peer).unwrap());
    let census = held(vec![fixture.pid(), peer]);
    let port = fixture.text("target");
    let (_, port) = port.rsplit_once(':').unwrap();
    let what = What::parse(&format!("tcp:{port}")).unwrap();
    let holders: Vec<_> = holders_of(&census, &what)
        .iter()
        .map(|holding| holding.holder.pid)
        .collect();
    assert_eq!(holders, [peer]);
}

#[test]
fn sockets_without_an_address_are_told_by_their_protocol() {
    let fixture = leak("udp", 5);
    let found = counts(&held(vec![fixture.pid()]), fixture.pid());
    let bound = found.keys().filter(|target| {
        matches!(target, HeldTarget::Socket { protocol, local, remote: None, .. }
            if protocol == "udp" && local.starts_with("127.0.0.1:"))
    });
    assert_eq!(bound.count(), 5, "{found:?}");
    // A socket that was only made is in no table.
    let _own = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let own = Pid(std::process::id());
    let found = counts(&held(vec![own]), own);
    let alone = HeldTarget::Socket {
        protocol: "tcp".into(),
        local: String::new(),
        remote: None,
        state: "CLOSE".into(),
    };
    assert!(found.contains_key(&alone), "{found:?}");
}

#[test]
fn pipes_name_who_else_is_at_them() {
    let fixture = leak("peer", 10);
    let peer = Pid(u32::try_from(fixture.truth["peer"].as_u64().unwrap()).unwrap());
    let census = held(vec![fixture.pid(), peer]);
    let found = counts(&census, fixture.pid());
    let shared: Vec<_> = found
        .iter()
        .filter(|(target, _)| matches!(target, HeldTarget::Pipe { peers, .. } if *peers == [peer]))
        .map(|(_, count)| *count)
        .collect();
    // The lifeline is shared with the child as well: one end of it here.
    assert!(shared.contains(&11), "{found:?}");
}

#[test]
fn five_thousand_descriptors_are_read_quickly() {
    let fixture = leak("pipe", 2500);
    let pid = fixture.pid();
    let quickest = (0..5)
        .map(|_| {
            // Time of its own: other tests run beside this one.
            let started = clock::thread_cpu();
            let census = held(vec![pid]);
            let elapsed = clock::thread_cpu().seconds_since(started);
            let pipes = counts(&census, pid);
            let pipes = pipes
                .iter()
                .filter(|(target, _)| matches!(target, HeldTarget::Pipe { .. }));
            assert!(pipes.map(|(_, count)| count).sum::<u64>() >= 5000);
            elapsed
        })
        .fold(f64::INFINITY, f64::min);
    println!("5,000 descriptors: {:.1} ms", quickest * 1e3);
    assert!(quickest < 0.1, "{quickest}");
}

#[test]
fn a_file_is_held_under_any_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    std::fs::write(&first, "x").unwrap();
    std::fs::hard_link(&first, &second).unwrap();
    let file = std::fs::File::open(&first).unwrap();
    let mut child = Command::new("sleep")
        .arg("60")
        .stdin(file)
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let wanted = Wanted {
        holdings: true,
        mappings: true,
        ..Wanted::default()
    };
    let census = take(&common::root(), &wanted).unwrap();
    let who = |what: &What| {
        let holdings = holders_of(&census, what).into_iter();
        let of_child = holdings.filter(|holding| holding.holder.pid == Pid(child.id()));
        of_child
            .map(|holding| (holding.how.clone(), holding.descriptor))
            .collect::<Vec<_>>()
    };
    let by_second = What::parse(second.to_str().unwrap()).unwrap();
    assert_eq!(who(&by_second), [("open".into(), Some(0))]);
    let by_folder = What::parse(folder.path().to_str().unwrap()).unwrap();
    assert_eq!(
        who(&by_folder),
        [("open".into(), Some(0)), ("cwd".into(), None)]
    );
    let program = std::fs::canonicalize("/bin/sleep").unwrap();
    let by_program = who(&What::of_path(&program).unwrap());
    assert_eq!(
        by_program,
        [("program".into(), None), ("mapped".into(), None)]
    );
    child.kill().unwrap();
    child.wait().unwrap();
    // fuser is what people would have asked.
    let what = What::parse("/proc").unwrap();
    assert!(matches!(what, What::Directory { .. }));
}

#[test]
fn sockets_of_another_network_namespace_are_told() {
    if !is_root("a network namespace") {
        return;
    }
    drop(leak("eventfd", 0));
    let mut unshare = Command::new("unshare");
    let program = common::folder().join("bin/descriptors");
    // Its own namespace has no address but those that are made: the loopback is down, which listening does not need.
    unshare
        .arg("--net")
        .arg(program)
        .args(["kind=unix", "count=3", "rate=0"]);
    let fixture = Fixture::of(&mut unshare);
    let wanted = Wanted {
        scope: Scope::All,
        holdings: true,
        ..Wanted::default()
    };
    let census = take(&common::root(), &wanted).unwrap();
    let found = counts(&census, fixture.pid());
    assert_eq!(
        found.get(&HeldTarget::Unix { path: None }),
        Some(&6),
        "{found:?}"
    );
}
