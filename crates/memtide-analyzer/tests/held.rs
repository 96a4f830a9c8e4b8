//! Descriptors by what they lead to: the target that grows is named, with its rate and fitting advice.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and sizes made here are small and positive"
)]

mod support;

use memtide_model::report::{CountRow, Verdict};
use memtide_model::{
    Children, Descriptors, GroupTarget, HeldHistory, HeldKind, HeldPoint, Observations, VerdictKind,
};
use support::heap_sample;
use support::shim::moment;

/// Kind, name, state, and how many there are at a second.
type Group<'a> = (HeldKind, &'a str, &'a str, &'a dyn Fn(f64) -> f64);

/// What a process of 20 MiB holds: targets with the number that there are at a second, over two minutes.
fn holding(groups: &[Group]) -> Observations {
    let total = |t: f64| groups.iter().map(|group| group.3(t).floor() as u64).sum();
    let samples = (0..=120).map(f64::from).map(|t| {
        let mut sample = heap_sample(t, 20e6);
        sample.counts.descriptors = Some(Descriptors {
            total: total(t),
            socket: total(t),
            ..Descriptors::default()
        });
        sample
    });
    let mut observations = support::observations(samples.collect(), "none");
    observations.held = groups
        .iter()
        .map(|(kind, name, state, count)| {
            let mut points: Vec<HeldPoint> = Vec::new();
            for t in (0..=120).map(f64::from) {
                let count = count(t).floor() as u64;
                if points.last().map_or(count > 0, |last| last.count != count) {
                    points.push(HeldPoint {
                        at: moment(t),
                        count,
                    });
                }
            }
            let (name, state) = ((*name).into(), (*state).into());
            HeldHistory {
                target: GroupTarget {
                    kind: *kind,
                    name,
                    state,
                },
                points,
            }
        })
        .collect();
    observations
}

fn verdict(observations: &Observations) -> Verdict {
    memtide_analyzer::analyze(observations).report.verdict
}

const WAITING: (HeldKind, &str, &str) = (HeldKind::Tcp, "10.0.0.5:5432", "CLOSE_WAIT");

#[test]
fn the_target_that_grows_is_in_the_sentence() {
    let (kind, name, state) = WAITING;
    let still = |_: f64| 40.0;
    let leak = |t: f64| 3.0 + 2.1 * t;
    let seen = holding(&[
        (HeldKind::Unix, "/run/x.sock", "", &still),
        (kind, name, state, &leak),
    ]);
    let found = verdict(&seen);
    assert_eq!(found.kind, VerdictKind::FdLeak, "{found:#?}");
    let words = "mostly sockets to 10.0.0.5:5432 in CLOSE_WAIT: +2.1 per second";
    assert!(found.summary.contains(words), "{}", found.summary);
    let fact = &found.evidence[1];
    assert!(
        fact.fact.contains("sockets to 10.0.0.5:5432 in CLOSE_WAIT"),
        "{fact:?}"
    );
    let rate = fact.value.expect("a rate");
    assert!((rate / 2.1 - 1.0).abs() < 0.05, "{rate}");
    assert!(
        found.advice[0].contains("never called close()"),
        "{:?}",
        found.advice
    );

    let counts = memtide_analyzer::analyze(&seen).report.counts;
    let label = Some("tcp 10.0.0.5:5432 CLOSE_WAIT".to_owned());
    let of = |row: &&CountRow| row.count == "fds" && row.group == label;
    let row = counts.iter().find(of).expect("its target has a row");
    assert!(
        (row.per_second.expect("a rate") / 2.1 - 1.0).abs() < 0.05,
        "{row:?}"
    );
    assert!(row.start < 30 && row.end > 230, "{row:?}");
}

#[test]
fn where_no_target_carries_the_growth_the_kind_is_named() {
    let slow = |t: f64| 1.0 + 0.5 * t;
    let groups =
        ["a", "b", "c", "d"].map(|name| (HeldKind::Unix, name, "", &slow as &dyn Fn(f64) -> f64));
    let found = verdict(&holding(&groups));
    assert_eq!(found.kind, VerdictKind::FdLeak, "{found:#?}");
    assert!(
        found.summary.contains("per second more, mostly sockets"),
        "{}",
        found.summary
    );
}

#[test]
fn a_target_that_only_changed_its_state_is_no_leak() {
    let (kind, name, state) = WAITING;
    let going = |t: f64| (300.0 - 2.0 * t).max(0.0);
    let coming = |t: f64| 300.0 - going(t);
    let found = verdict(&holding(&[
        (kind, name, "ESTABLISHED", &going),
        (kind, name, state, &coming),
    ]));
    assert_ne!(found.kind, VerdictKind::FdLeak, "{found:#?}");
}

#[test]
fn what_is_read_rarely_has_its_rate_all_the_same() {
    let (kind, name, state) = WAITING;
    let leak = |t: f64| 3.0 + 2.1 * (t / 25.0).floor() * 25.0;
    let filled = |t: f64| 1.0 + 5.0 * t.min(20.0);
    let seen = holding(&[
        (kind, name, state, &leak),
        (HeldKind::Unix, "", "", &filled),
    ]);
    let counts = memtide_analyzer::analyze(&seen).report.counts;
    let rate = |label: &str| {
        let row = counts
            .iter()
            .find(|row| row.group.as_deref() == Some(label));
        row.and_then(|row| row.per_second)
            .expect("a row with a rate")
    };
    let leaking = rate("tcp 10.0.0.5:5432 CLOSE_WAIT");
    assert!((leaking / 2.1 - 1.0).abs() < 0.05, "{leaking}");
    let filled = rate("unix");
    assert!(filled < 0.5, "it filled and stopped: {filled}");
}

#[test]
fn children_that_pile_up_are_named_where_nobody_looked_at_a_tree() {
    let (leak, still) = (|t: f64| 2.0 + 0.5 * t, |_: f64| 3.0);
    let mut seen = holding(&[
        (HeldKind::Child, "logger", "", &still),
        (HeldKind::Child, "worker*", "", &leak),
    ]);
    for (second, sample) in seen.samples.iter_mut().enumerate() {
        sample.counts.descriptors = None;
        sample.counts.children = Some(Children {
            total: 3 + leak(second as f64) as u64,
            ..Children::default()
        });
    }
    let found = verdict(&seen);
    assert_eq!(found.kind, VerdictKind::ProcessLeak, "{found:#?}");
    assert!(
        found.summary.contains("mostly worker* (+"),
        "{}",
        found.summary
    );
    let counts = memtide_analyzer::analyze(&seen).report.counts;
    let named =
        |row: &&CountRow| row.count == "processes" && row.group.as_deref() == Some("worker*");
    assert!(counts.iter().any(|row| named(&row)), "{counts:?}");
    assert!(
        counts.iter().all(|row| row.count != "kernel objects"),
        "{counts:?}"
    );
}
