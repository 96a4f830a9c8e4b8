//! Zombies, by the parent that should reap them.
//!
//! A zombie counts from the second look in a row on: init and every sound parent have zombies for a
//! moment. When a process ended is not in /proc; it was after its start and before the first look in
//! which it was a zombie, and both are said.

use super::kin::is_zombie;
use super::words::{oldest, relative, who};
use super::{Scene, about, commands};
use memtide_model::{Finding, FindingKind, Pid, ProcessState, Remedy, Weight, text};
use std::collections::BTreeMap;

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let mut by_parent: BTreeMap<Pid, Vec<&ProcessState>> = BTreeMap::new();
    for process in &scene.look.census.processes {
        let course = scene.courses.get(process.id);
        let lasts = course.is_some_and(|course| scene.courses.lasts(course.state));
        if is_zombie(process) && lasts && is_judged(scene, process) {
            by_parent.entry(process.ppid).or_default().push(process);
        }
    }
    by_parent
        .into_iter()
        .map(|(parent, zombies)| finding(scene, parent, &zombies))
        .collect()
}

/// A zombie has no command line any more, so its parent speaks for it.
fn is_judged(scene: &Scene<'_>, process: &ProcessState) -> bool {
    let Some(among) = &scene.look.judged else {
        return true;
    };
    let parent = scene.kin.get(process.ppid);
    among.contains(&process.id) || parent.is_some_and(|parent| among.contains(&parent.id))
}

fn finding(scene: &Scene<'_>, pid: Pid, zombies: &[&ProcessState]) -> Finding {
    let parent = scene.kin.get(pid);
    let since = zombies
        .iter()
        .filter_map(|zombie| scene.courses.get(zombie.id))
        .map(|course| scene.courses.seconds_since(course.state.since))
        .fold(0.0, f64::max);
    let count = text::plural(zombies.len() as u64, "zombie");
    let children = if zombies.len() == 1 {
        "its child"
    } else {
        "its children"
    };
    let summary = match parent {
        Some(parent) => format!("{count}: {} does not reap {children}", who(parent)),
        None if pid == Pid(0) => format!("{count} of a parent outside of this pid namespace"),
        None => format!("{count} of pid {pid}, which could not be read"),
    };
    let known = if scene.courses.looks() > 1 || since > 0.0 {
        format!("zombies for at least {}", text::duration(since))
    } else {
        "seen once, so it may be reaped in a moment".to_owned()
    };
    Finding {
        summary,
        details: vec![format!(
            "{known}, and at most as long as they are old: the oldest was started {} ago",
            oldest(zombies)
        )]
        .into_iter()
        .chain(advice(parent))
        .collect(),
        parent: parent.map(relative),
        at_least_seconds: Some(since),
        remedies: remedies(scene, parent),
        ..about(FindingKind::Zombies, Weight::Problem, zombies)
    }
}

fn advice(parent: Option<&ProcessState>) -> Option<String> {
    let parent = parent?;
    Some(if parent.id.pid == Pid(1) {
        "the first process here is no init: start the container with one (docker run --init, tini)"
            .to_owned()
    } else if matches!(parent.state, 'T' | 't') {
        "their parent is stopped, and cannot reap until it goes on".to_owned()
    } else {
        "a zombie holds a pid and no memory, and cannot be killed: its parent has to call waitpid(), \
         or set SIGCHLD to SIG_IGN, or end"
            .to_owned()
    })
}

fn remedies(scene: &Scene<'_>, parent: Option<&ProcessState>) -> Vec<Remedy> {
    let Some(parent) = parent else {
        return Vec::new();
    };
    let parents = [parent];
    let one = |signal, effect| commands::kill(scene, signal, &parents, effect);
    if matches!(parent.state, 'T' | 't') {
        return one("CONT", "lets the parent go on").into_iter().collect();
    }
    let ask = one(
        "CHLD",
        "asks the parent to reap; in vain if it has no handler",
    );
    let end = one("TERM", "ends the parent; the first process reaps then");
    let end = end.filter(|_| parent.id.pid != Pid(1));
    ask.into_iter().chain(end).collect()
}
