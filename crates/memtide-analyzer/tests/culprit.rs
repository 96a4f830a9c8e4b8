//! Whose growth it is among threads: named where one thread and one arena agree, and only there.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes and counts made here are small and positive"
)]

mod support;

use memtide_model::{
    ArenaTotals, Bytes, Observations, StartTime, ThreadHistory, ThreadId, ThreadPoint, ThreadState,
    Tid,
};
use support::look::{AT, leaking, looked, looks, verdict};
use support::shim::{KIB, moment};

/// What each arena of [`leaking`] grows by in a second, in bytes.
const LEAK: f64 = 200.0 * KIB;

/// A thread that touches so many bytes of new pages each second, from second `from` on.
fn thread(tid: u32, name: &str, rate: f64, from: f64) -> ThreadHistory {
    let at = |t: f64| ThreadPoint {
        at: moment(t),
        min_flt: (100.0 + (t - from) * rate / 4096.0) as u64,
        cpu_ticks: 0,
    };
    let points: Vec<ThreadPoint> = (0..=30)
        .map(|k| 2.0 * f64::from(k))
        .filter(|t| *t >= from)
        .map(at)
        .collect();
    ThreadHistory {
        last: ThreadState {
            id: ThreadId {
                tid: Tid(tid),
                start: StartTime(u64::from(tid)),
            },
            name: name.into(),
            state: b'S',
            min_flt: points[points.len() - 1].min_flt,
            maj_flt: 0,
            cpu_ticks: 0,
            wchan: None,
        },
        points,
        alive: true,
    }
}

/// The leak of [`leaking`] in a second arena that so many threads allocate in, beside these threads.
fn among(threads: Vec<ThreadHistory>, allocating: u64) -> Observations {
    let mut observations = looked(60, &AT, leaking);
    observations.threads = threads;
    for look in looks(&mut observations) {
        let arena = look.arenas[0];
        look.arenas = vec![
            ArenaTotals {
                live_bytes: Bytes(1 << 20),
                resident: Bytes(1 << 20),
                ..arena
            },
            ArenaTotals {
                address: 0x2000,
                is_main: false,
                threads: allocating,
                ..arena
            },
        ];
    }
    observations
}

/// The sentence on new pages, if there is one.
fn said(threads: Vec<ThreadHistory>, allocating: u64) -> Option<String> {
    let found = verdict(&among(threads, allocating));
    (found.evidence.into_iter().map(|evidence| evidence.fact))
        .find(|fact| fact.contains("new pages"))
}

fn main_thread() -> ThreadHistory {
    thread(4182, "main", 10.0 * KIB, 0.0)
}

#[test]
fn the_one_thread_whose_pages_are_the_growth_of_the_one_arena_is_named() {
    let threads = || vec![main_thread(), thread(4190, "worker-2", LEAK, 0.0)];
    let fact = said(threads(), 1).expect("told");
    assert!(fact.starts_with("Thread worker-2 (4190) touched 95 % of the new pages, and its arena grew by as much (11.7 MiB)"), "{fact}");
    // One that started later had touched nothing before.
    let late = vec![main_thread(), thread(4191, "late", 1.2 * LEAK, 10.0)];
    assert!(
        said(late, 1)
            .expect("told")
            .contains("its arena grew by as much")
    );
    // The program's first thread allocates in the main arena, and this is another.
    let first = vec![
        thread(4182, "main", LEAK, 0.0),
        thread(4190, "idle", 0.0, 0.0),
    ];
    let fact = said(first, 1).expect("told");
    assert!(
        fact.ends_with("whether it keeps them is not known."),
        "{fact}"
    );
    // Before glibc 2.23 nobody knows how many threads allocate in an arena.
    let fact = said(threads(), 0).expect("told");
    assert!(
        fact.contains("one arena of malloc grew by as much"),
        "{fact}"
    );
}

/// By faults alone it would be the churner; `causes.rs` of memtide watches such a program live.
#[test]
fn a_churner_beside_the_leaker_takes_nothing_from_its_name() {
    for times in [0.3, 2.0, 10.0, 100.0] {
        let threads = vec![
            main_thread(),
            thread(4190, "leaker", LEAK, 0.0),
            thread(4192, "churner", times * LEAK, 0.0),
        ];
        let fact = said(threads, 1).expect("told");
        let share = 100.0 / (1.0 + times + 0.05);
        let start = format!(
            "Thread leaker (4190) touched {share:.0} % of the new pages, and its arena grew by as much"
        );
        assert!(fact.starts_with(&start), "{times}: {fact}");
    }
}

#[test]
fn sizes_that_agree_by_chance_name_nobody() {
    // Two threads share the arena, a third touches and gives back as much as both lose.
    let sharing = || {
        vec![
            main_thread(),
            thread(4190, "one", 0.5 * LEAK, 0.0),
            thread(4191, "two", 0.5 * LEAK, 0.0),
            thread(4192, "churner", LEAK, 0.0),
        ]
    };
    assert_eq!(said(sharing(), 2), None);
    // Two touch as much as the arena grew by: either may be the one.
    let twins = vec![
        main_thread(),
        thread(4190, "one", LEAK, 0.0),
        thread(4191, "two", 1.1 * LEAK, 0.0),
    ];
    assert_eq!(said(twins, 1), None);
    // One that touches ten times the growth keeps little of it.
    let churning = vec![main_thread(), thread(4192, "churner", 10.0 * LEAK, 0.0)];
    assert_eq!(said(churning, 1), None);
}

#[test]
fn without_arenas_no_more_is_said_than_is_known() {
    let mut observations = among(vec![main_thread(), thread(4190, "worker-2", LEAK, 0.0)], 1);
    for look in looks(&mut observations) {
        look.arenas.clear();
    }
    let found = verdict(&observations);
    let fact = (found.evidence.iter()).find(|evidence| evidence.fact.contains("new pages"));
    let fact = &fact.expect("told").fact;
    assert_eq!(
        fact,
        "Thread worker-2 (4190) touched 95 % of the new pages first; whether it keeps them is not known."
    );
}
