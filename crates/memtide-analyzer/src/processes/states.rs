//! Processes that stay in D (uninterruptible) or T (stopped) for the whole of the watch.
//!
//! Waiting for a disk is D too, for milliseconds. So D counts where two looks in a row show it and no CPU
//! time was used between them. Threads of the kernel sleep in D by design and are left out.

use super::words::{names, who};
use super::{Scene, about, commands};
use memtide_model::{Finding, FindingKind, Pid, ProcessState, Remedy, Weight, text};
use std::collections::BTreeMap;

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let mut groups: BTreeMap<(char, Pid, &str), Vec<&ProcessState>> = BTreeMap::new();
    for process in scene
        .judged()
        .filter(|process| matches!(process.state, 'D' | 'T' | 't'))
    {
        let idle = scene.courses.get(process.id).map(|course| course.idle);
        if idle.is_some_and(|idle| scene.courses.lasts(idle)) {
            // Where it waits tells one cause of D from another; of stopped ones it tells nothing.
            let place = process.wchan.as_deref().filter(|_| process.state == 'D');
            let key = (process.state, process.ppid, place.unwrap_or_default());
            groups.entry(key).or_default().push(process);
        }
    }
    groups
        .into_iter()
        .map(|((state, parent, place), processes)| match state {
            'D' => blocked(scene, parent, place, &processes),
            _ => stopped(scene, parent, state, &processes),
        })
        .collect()
}

fn blocked(scene: &Scene<'_>, parent: Pid, place: &str, processes: &[&ProcessState]) -> Finding {
    let waits = if processes.len() == 1 {
        "waits"
    } else {
        "wait"
    };
    let at = if place.is_empty() {
        String::new()
    } else {
        format!(" in {place}")
    };
    let mut details = vec![lasting(scene, processes), parents(scene, parent)];
    details.push(meaning(place).to_owned());
    let effect = "is heeded at once where the wait may be ended, else when it is over";
    finding(
        scene,
        FindingKind::Blocked,
        processes,
        format!(
            "{} that cannot be interrupted {waits}{at}: {}",
            count(processes),
            names(processes)
        ),
        details,
        commands::kill(scene, "KILL", processes, effect),
    )
}

/// What is commonly behind a place.
fn meaning(place: &str) -> &'static str {
    const PLACES: [(&str, &str); 6] = [
        (
            "vfork",
            "its vforked child has not yet called exec or ended: look at the child",
        ),
        (
            "kernel_clone",
            "its vforked child has not yet called exec or ended: look at the child",
        ),
        (
            "nfs",
            "a network file system does not answer: look at its server and mount options",
        ),
        (
            "rpc_",
            "a network file system does not answer: look at its server and mount options",
        ),
        (
            "fuse",
            "a file system in user space does not answer: look at the process that serves it",
        ),
        (
            "do_exit",
            "it is ending and waits for the kernel to give its resources back",
        ),
    ];
    let known = PLACES.iter().find(|(part, _)| place.contains(part));
    known.map_or(
        "a device or file system that does not answer is the usual cause: `dmesg` may say which",
        |(_, meaning)| meaning,
    )
}

fn stopped(scene: &Scene<'_>, parent: Pid, state: char, processes: &[&ProcessState]) -> Finding {
    let are = if processes.len() == 1 { "is" } else { "are" };
    let by = if state == 't' {
        "held by a debugger or tracer"
    } else {
        "stopped"
    };
    let mut details = vec![lasting(scene, processes), parents(scene, parent)];
    let remedy = if state == 't' {
        details.push(
            "they go on when the tracer lets go: `grep TracerPid /proc/PID/status` names it"
                .to_owned(),
        );
        None
    } else {
        details.push(
            "by SIGSTOP, by Ctrl-Z, or because they read or write a terminal in the background"
                .to_owned(),
        );
        commands::kill(scene, "CONT", processes, "lets them go on")
    };
    let summary = format!("{} {are} {by}: {}", count(processes), names(processes));
    finding(
        scene,
        FindingKind::Stopped,
        processes,
        summary,
        details,
        remedy,
    )
}

fn finding(
    scene: &Scene<'_>,
    kind: FindingKind,
    processes: &[&ProcessState],
    summary: String,
    details: Vec<String>,
    remedy: Option<Remedy>,
) -> Finding {
    Finding {
        summary,
        details,
        at_least_seconds: Some(shortest(scene, processes)),
        remedies: remedy.into_iter().collect(),
        ..about(kind, Weight::Problem, processes)
    }
}

fn count(processes: &[&ProcessState]) -> String {
    text::plural(processes.len() as u64, "process")
}

/// For how long all of them have been as they are, in seconds.
fn shortest(scene: &Scene<'_>, processes: &[&ProcessState]) -> f64 {
    let idle = processes
        .iter()
        .filter_map(|process| scene.courses.get(process.id));
    let since = idle.map(|course| scene.courses.seconds_since(course.idle.since));
    let least = since.fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 0.0 }
}

fn lasting(scene: &Scene<'_>, processes: &[&ProcessState]) -> String {
    if scene.courses.looks() < 2 && shortest(scene, processes) <= 0.0 {
        return "seen once, so it may be over in a moment".to_owned();
    }
    let seconds = text::duration(shortest(scene, processes));
    format!("for at least {seconds}, and without using CPU time")
}

fn parents(scene: &Scene<'_>, parent: Pid) -> String {
    match scene.kin.get(parent) {
        Some(parent) => format!("started by {}", who(parent)),
        None => format!("their parent is pid {parent}"),
    }
}
