//! Threads that wait for the same thing and use no CPU time.
//!
//! A thread in futex waits for a lock, for work or for another thread's end; /proc does not tell which,
//! and one idle worker is as it should be. What speaks for a deadlock is a process in which *every* thread
//! waits in futex, several of them at one address, for [`SECONDS_FOR_STUCK`]: nobody is left in it who
//! could wake them, but for a timeout, a signal or another process. That is a problem; several threads at
//! one address in a process where others work or wait for the outside is a note, as idle pools look so.

use super::words::who;
use super::{Scene, about, commands};
use crate::thresholds::SECONDS_FOR_STUCK;
use memtide_model::{Finding, FindingKind, ProcessState, ThreadAtRest, Weight, text};
use std::collections::BTreeMap;

/// The number of the system call where this was built; elsewhere `wchan` alone tells.
const FUTEX: i64 = if cfg!(target_arch = "x86_64") {
    202
} else {
    98
};
/// `futex_waitv`, of all architectures.
const FUTEX_WAITV: i64 = 449;

/// What threads have in common that wait for the same thing.
type Place<'a> = (Option<(i64, u64)>, &'a str);

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    if scene.courses.looks() < 2 {
        return Vec::new();
    }
    let mut found: Vec<Finding> = scene
        .judged()
        .filter_map(|process| of_process(scene, process))
        .collect();
    found.sort_by_key(|finding| u64::MAX - finding.count);
    found
}

fn of_process(scene: &Scene<'_>, process: &ProcessState) -> Option<Finding> {
    let course = scene.courses.get(process.id)?;
    let still = |thread: &&ThreadAtRest| {
        let lasting = course.thread(thread.id);
        lasting.is_some_and(|lasting| lasting.looks >= 2)
    };
    let mut places: BTreeMap<Place<'_>, Vec<&ThreadAtRest>> = BTreeMap::new();
    let waiting: Vec<&ThreadAtRest> = process
        .each_thread
        .iter()
        .filter(|thread| in_futex(thread))
        .filter(still)
        .collect();
    for thread in &waiting {
        let place = (thread.syscall, thread.wchan.as_deref().unwrap_or_default());
        places.entry(place).or_default().push(thread);
    }
    let ((syscall, _), together) = places
        .into_iter()
        .max_by_key(|(_, threads)| threads.len())?;
    // Without an address all of them look alike.
    syscall.filter(|_| together.len() >= 2)?;
    let since = together
        .iter()
        .filter_map(|thread| course.thread(thread.id));
    let seconds = since
        .map(|lasting| scene.courses.seconds_since(lasting.since))
        .fold(f64::MAX, f64::min);
    let nobody_left = waiting.len() == process.each_thread.len();
    let stuck = nobody_left && seconds >= SECONDS_FOR_STUCK;
    Some(finding(
        scene,
        process,
        &together,
        waiting.len(),
        seconds,
        stuck,
    ))
}

/// Waits in futex(2), by the system call where it may be read, else by where it sleeps.
fn in_futex(thread: &ThreadAtRest) -> bool {
    match thread.syscall {
        Some((number, _)) => number == FUTEX || number == FUTEX_WAITV,
        None => thread
            .wchan
            .as_deref()
            .is_some_and(|place| place.contains("futex")),
    }
}

fn finding(
    scene: &Scene<'_>,
    process: &ProcessState,
    together: &[&ThreadAtRest],
    waiting: usize,
    seconds: f64,
    stuck: bool,
) -> Finding {
    let (count, all) = (together.len(), process.each_thread.len());
    let address = together
        .first()
        .and_then(|thread| thread.syscall)
        .map_or(0, |(_, address)| address);
    let summary = format!(
        "{} waits at one futex with {count} of its {all} threads, for at least {} and without CPU time",
        who(process),
        text::duration(seconds)
    );
    let mut details = vec![format!("address {address:#x}; {}", thread_names(together))];
    details.push(if stuck {
        format!(
            "all its {all} threads wait in futex, so none is left to wake them but a timeout, a signal or \
             another process: most likely a deadlock"
        )
    } else if waiting == all {
        "all its threads wait in futex; watch for longer to tell a pause from a deadlock: --watch 5s".to_owned()
    } else {
        "a lock that is not given back, or a pool without work, which is as it should be: others of its \
         threads run or wait for something else"
            .to_owned()
    });
    let (pid, debug) = (
        process.id.pid,
        "shows where in the program its threads wait",
    );
    let mut remedies = vec![memtide_model::Remedy {
        command: format!("gdb -p {pid} -batch -ex 'thread apply all bt'"),
        effect: debug.to_owned(),
    }];
    let weight = if stuck { Weight::Problem } else { Weight::Note };
    remedies.extend(commands::kill(scene, "TERM", &[process], "asks it to end").filter(|_| stuck));
    Finding {
        summary,
        details,
        count: count as u64,
        at_least_seconds: Some(seconds),
        remedies,
        ..about(FindingKind::Stuck, weight, &[process])
    }
}

fn thread_names(threads: &[&ThreadAtRest]) -> String {
    const SHOWN: usize = 4;
    let names: Vec<String> = threads
        .iter()
        .take(SHOWN)
        .map(|thread| format!("{} ({})", thread.name, thread.id.tid))
        .collect();
    let rest = threads.len().saturating_sub(SHOWN);
    let more = if rest > 0 {
        format!(" and {}", text::plural(rest as u64, "more thread"))
    } else {
        String::new()
    };
    format!("threads {}{more}", names.join(", "))
}
