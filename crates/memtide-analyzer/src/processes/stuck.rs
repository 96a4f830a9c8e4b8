//! Threads that wait for the same thing and use no CPU time.
//!
//! A thread in futex waits for a lock, for work or for another thread's end; /proc does not tell which,
//! and one idle worker is as it should be. What speaks for a deadlock is a process in which *every* thread
//! waits in futex for ever, several of them at one address, for [`SECONDS_FOR_STUCK`]: nobody is left in it who
//! could wake them, but for a signal or another process. Who waits for a time (`sleep` by a condition variable, a
//! main thread that wakes once a minute) goes on by itself, and may wake the others. That is a problem; several threads at
//! one address in a process where others work or wait for the outside is a note, as idle pools look so. So are
//! several in the same other system call with the same first argument; they rank below.

use super::words::who;
use super::{Scene, about, commands};
use crate::thresholds::{SECONDS_FOR_STILL, SECONDS_FOR_STUCK};
use memtide_model::census::FUTEX_CALLS;
use memtide_model::{Finding, FindingKind, ProcessState, ThreadAtRest, Weight, text};
use std::collections::BTreeMap;

/// Threads in one system call that are worth a line where it is not futex: pools that accept have some.
const SAME_CALL: usize = 4;

/// What threads have in common that wait for the same thing: system call with first argument, and place.
type Place<'a> = (Option<(i64, u64)>, &'a str);

/// Threads of a process that wait for the same thing.
struct Gathering<'a> {
    together: Vec<&'a ThreadAtRest>,
    in_futex: bool,
    /// All threads that wait in futex, at whatever address.
    all_in_futex: usize,
    /// Those of them that go on by themselves after a time.
    timed: usize,
    /// For how long at least.
    seconds: f64,
}

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
    let gathering = gather(scene, process)?;
    let nobody_left = gathering.all_in_futex == process.each_thread.len() && gathering.timed == 0;
    let stuck = gathering.in_futex && nobody_left && gathering.seconds >= SECONDS_FOR_STUCK;
    // Every server has threads that rest for a second: not worth a line unless somebody asks for them.
    let asked = scene.look.judged.is_some();
    let telling = stuck || asked || gathering.seconds >= SECONDS_FOR_STILL;
    telling.then(|| finding(scene, process, &gathering, stuck))
}

/// The largest group that waits at one futex; where there is none, that in another call.
fn gather<'a>(scene: &Scene<'_>, process: &'a ProcessState) -> Option<Gathering<'a>> {
    let course = scene.courses.get(process.id)?;
    let lasting = |thread: &&ThreadAtRest| {
        let lasting = course.thread(thread.id);
        lasting.filter(|lasting| lasting.looks >= 2)
    };
    let mut places: BTreeMap<Place<'a>, Vec<&ThreadAtRest>> = BTreeMap::new();
    let (mut all_in_futex, mut timed) = (0, 0);
    for thread in process
        .each_thread
        .iter()
        .filter(|thread| lasting(thread).is_some())
    {
        all_in_futex += usize::from(in_futex(thread));
        timed += usize::from(thread.is_timed);
        // Without the call and its argument all of them look alike.
        if thread.syscall.is_some() {
            let place = (thread.syscall, thread.wchan.as_deref().unwrap_or_default());
            places.entry(place).or_default().push(thread);
        }
    }
    let locks = |threads: &[&ThreadAtRest]| threads.first().is_some_and(|thread| in_futex(thread));
    let (locked, together) = places
        .into_values()
        .map(|threads| (locks(&threads), threads))
        .filter(|(locked, threads)| threads.len() >= if *locked { 2 } else { SAME_CALL })
        .max_by_key(|(locked, threads)| (*locked, threads.len()))?;
    let since = together.iter().filter_map(lasting);
    let seconds = since
        .map(|lasting| scene.courses.seconds_since(lasting.since))
        .fold(f64::MAX, f64::min);
    Some(Gathering {
        together,
        in_futex: locked,
        all_in_futex,
        timed,
        seconds,
    })
}

/// Waits in futex(2), by the system call where it may be read, else by where it sleeps.
fn in_futex(thread: &ThreadAtRest) -> bool {
    match thread.syscall {
        Some((number, _)) => FUTEX_CALLS.contains(&number),
        None => thread
            .wchan
            .as_deref()
            .is_some_and(|place| place.contains("futex")),
    }
}

fn finding(
    scene: &Scene<'_>,
    process: &ProcessState,
    gathering: &Gathering<'_>,
    stuck: bool,
) -> Finding {
    let together = &gathering.together;
    let (count, all) = (together.len(), process.each_thread.len());
    let first = together.first();
    let (number, argument) = first.and_then(|thread| thread.syscall).unwrap_or_default();
    let (what, place) = if gathering.in_futex {
        ("at one futex", format!("address {argument:#x}"))
    } else {
        let place = first
            .and_then(|thread| thread.wchan.as_deref())
            .unwrap_or("the kernel");
        let place = format!("system call {number} with {argument:#x}, in {place}");
        ("in one system call", place)
    };
    let seconds = gathering.seconds;
    let summary = format!(
        "{} waits {what} with {count} of its {all} threads, for at least {} and without CPU time",
        who(process),
        text::duration(seconds)
    );
    let mut details = vec![format!("{place}; {}", thread_names(together))];
    details.push(meaning(gathering, all, stuck));
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
        at_least_seconds: Some(gathering.seconds),
        remedies,
        ..about(FindingKind::Stuck, weight, &[process])
    }
}

/// What it may be.
fn meaning(gathering: &Gathering<'_>, all: usize, stuck: bool) -> String {
    if stuck {
        format!(
            "all its {all} threads wait in futex, so none is left to wake them but a signal or \
             another process: most likely a deadlock"
        )
    } else if !gathering.in_futex {
        "something outside that does not come, or a pool without work, which is as it should be"
            .to_owned()
    } else if gathering.timed > 0 {
        "a lock that is not given back, or a pool without work, which is as it should be: others of its \
         threads wait for a time and go on by themselves"
            .to_owned()
    } else if gathering.all_in_futex == all {
        "all its threads wait in futex; watch for longer to tell a pause from a deadlock: \
         memtide ps --watch 5s --for 1m"
            .to_owned()
    } else {
        "a lock that is not given back, or a pool without work, which is as it should be: others of its \
         threads run or wait for something else"
            .to_owned()
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
