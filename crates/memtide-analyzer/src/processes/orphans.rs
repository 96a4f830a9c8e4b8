//! Orphans: processes that run on after the one that started them has ended.
//!
//! They are told by [`super::kin`]; here they are put together by the job they belonged to. Those that may be daemons are a note.

use super::kin::Kinship;
use super::words::{names, oldest, who, who_was};
use super::{Scene, about, commands};
use memtide_model::{Finding, FindingKind, Pid, ProcessState, Relative, Weight, text};
use std::collections::BTreeMap;

/// What orphans of one finding share: who has them now, and who had them; where that was not seen, their
/// session and group.
type Job = (Pid, i64, i64, Option<u32>);

pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let mut jobs: BTreeMap<Job, (Option<&Relative>, Vec<&ProcessState>)> = BTreeMap::new();
    let mut daemons = Vec::new();
    for process in scene.judged() {
        let course = scene.courses.get(process.id);
        if !course.is_some_and(|course| scene.courses.lasts(course.seen)) {
            continue;
        }
        match scene.kin.kinship(process) {
            Kinship::Child => {}
            Kinship::MayBeDaemon(_) => daemons.push(process),
            Kinship::Orphan(former) => {
                let starter = former.map(|former| former.pid);
                // Where it was seen who started them, that is what they have in common.
                let (session, group) = match starter {
                    Some(_) => (0, 0),
                    None => (process.sid, process.pgid),
                };
                let job = (process.ppid, session, group, starter);
                jobs.entry(job)
                    .or_insert((former, Vec::new()))
                    .1
                    .push(process);
            }
        }
    }
    let orphans = jobs
        .into_values()
        .map(|(former, orphans)| finding(scene, former, &orphans));
    orphans.chain(note(&daemons)).collect()
}

fn finding(scene: &Scene<'_>, former: Option<&Relative>, orphans: &[&ProcessState]) -> Finding {
    let count = orphans.len() as u64;
    let mut summary = format!("{}: {}", text::plural(count, "orphan"), names(orphans));
    match former {
        Some(former) => {
            let ran = if count == 1 { "runs on" } else { "run on" };
            summary = format!("{summary} {ran} after {} ended", who_was(former));
        }
        None if count == 1 => summary.push_str(" runs on after its parent ended"),
        None => summary.push_str(" run on after their parent ended"),
    }
    let mut details = Vec::new();
    if let Some(reaper) = orphans
        .first()
        .and_then(|orphan| scene.kin.get(orphan.ppid))
    {
        let age = oldest(orphans);
        details.push(format!(
            "now children of {}; the oldest was started {age} ago",
            who(reaper)
        ));
    }
    if let Some(session) = session(scene, orphans) {
        details.push(session);
    }
    let remedy = commands::kill(scene, "TERM", orphans, "asks them to end");
    Finding {
        summary,
        details,
        parent: former.cloned(),
        at_least_seconds: None,
        remedies: remedy.into_iter().collect(),
        ..about(FindingKind::Orphans, Weight::Problem, orphans)
    }
}

/// Whose session they still are in.
fn session(scene: &Scene<'_>, orphans: &[&ProcessState]) -> Option<String> {
    let sid = orphans.first()?.sid;
    if orphans.iter().any(|orphan| orphan.sid != sid) {
        return None;
    }
    let leader = scene.kin.get(Pid(u32::try_from(sid).ok()?))?;
    (leader.sid == sid).then(|| format!("started in the session of {}", who(leader)))
}

fn note(daemons: &[&ProcessState]) -> Option<Finding> {
    let (what, starter, was) = match daemons.len() {
        0 => return None,
        1 => ("a daemon or an orphan", "it", "it was"),
        _ => ("daemons or orphans", "them", "they were"),
    };
    let count = text::plural(daemons.len() as u64, "process");
    Some(Finding {
        summary: format!("{count} may be {what}: {}", names(daemons)),
        details: vec![format!(
            "what started {starter} has ended, as daemons want it; whether {was} meant to run on the kernel \
             does not tell"
        )],
        ..about(FindingKind::Orphans, Weight::Note, daemons)
    })
}
