//! Processes that are older than was asked for (`--older`).
//!
//! Services are meant to be old. So unless a name or user narrows the question down, leaders of sessions
//! that the first process started are left out; threads of the kernel always are.

use super::kin::{Kinship, is_zombie, leads};
use super::words::{names, oldest};
use super::{Scene, about, commands};
use memtide_model::{Finding, FindingKind, Pid, ProcessState, Weight, text};

pub(super) fn find(scene: &Scene<'_>) -> Option<Finding> {
    let older = scene.settings.older?;
    let narrowed = scene.look.judged.is_some();
    let old: Vec<&ProcessState> = scene
        .judged()
        .filter(|process| process.age >= older && !is_zombie(process) && process.id.pid != Pid(1))
        .filter(|process| narrowed || !is_service(scene, process))
        .collect();
    if old.is_empty() {
        return None;
    }
    let limit = text::duration(older.as_secs_f64());
    let are = if old.len() == 1 { "is" } else { "are" };
    let count = text::plural(old.len() as u64, "process");
    let remedy = commands::kill(scene, "TERM", &old, "asks them to end");
    Some(Finding {
        summary: format!("{count} {are} older than {limit}: {}", names(&old)),
        details: vec![format!("the oldest was started {} ago", oldest(&old))],
        at_least_seconds: None,
        remedies: remedy.into_iter().collect(),
        ..about(FindingKind::LongRunners, Weight::Problem, &old)
    })
}

/// A leader of its own session, started by the first process.
fn is_service(scene: &Scene<'_>, process: &ProcessState) -> bool {
    let orphan = matches!(scene.kin.kinship(process), Kinship::Orphan(_));
    process.ppid <= Pid(1) && leads(process, process.sid) && !orphan
}
