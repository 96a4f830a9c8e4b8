//! What is gone, what is left and what is new since a snapshot: to verify a clean-up.
//!
//! A process is the same if pid, start time and boot are. After another boot nothing is left, and pids
//! that occur in both are other processes. Threads of the kernel are left out: they come and go by load.

use super::Scene;
use super::rows::{memory, row};
use memtide_model::{
    Difference, Followed, KernelObject, ObjectKind, ProcessId, ProcessRow, Role, Snapshot,
};
use std::collections::HashSet;

pub(super) fn since(earlier: &Snapshot, scene: &Scene<'_>) -> Difference {
    let (then, now) = (&earlier.census, &scene.look.census);
    let other_boot = then.boot_id != now.boot_id;
    let alive: HashSet<ProcessId> = if other_boot {
        HashSet::new()
    } else {
        now.processes.iter().map(|process| process.id).collect()
    };
    let known: HashSet<ProcessId> = if other_boot {
        HashSet::new()
    } else {
        then.processes.iter().map(|process| process.id).collect()
    };
    let user = || then.processes.iter().filter(|process| !process.kernel);
    let gone = user().filter(|process| !alive.contains(&process.id));
    let own = scene.settings.own;
    let new = now
        .processes
        .iter()
        .filter(|process| !process.kernel && process.id.pid != own && !known.contains(&process.id));
    Difference {
        earlier_wall_ns: then.wall_ns,
        seconds: (now.wall_ns.saturating_sub(then.wall_ns)) as f64 / 1e9,
        other_boot,
        gone: gone
            .map(|process| row(process, Role::Other, memory(process), None))
            .collect(),
        left: user().filter(|process| alive.contains(&process.id)).count() as u64,
        new: new.map(|process| new_row(scene, process)).collect(),
        followed: earlier
            .findings
            .iter()
            .map(|finding| follow(finding, &alive))
            .collect(),
        objects_gone: objects(then.objects.as_ref(), now.objects.as_ref()),
        objects_new: objects(now.objects.as_ref(), then.objects.as_ref()),
    }
}

fn new_row(scene: &Scene<'_>, process: &memtide_model::ProcessState) -> ProcessRow {
    row(process, scene.kin.role(process), memory(process), None)
}

fn follow(finding: &memtide_model::Finding, alive: &HashSet<ProcessId>) -> Followed {
    let (left, gone): (Vec<_>, Vec<_>) = finding
        .processes
        .iter()
        .copied()
        .partition(|id| alive.contains(id));
    Followed {
        kind: finding.kind,
        summary: finding.summary.clone(),
        gone: gone.len() as u64,
        left,
    }
}

/// The objects that are in `some` and not in `others`, where both were looked for. Numbers of System V are
/// given out anew by a counter, so a number is an identity for as long as the machine runs.
fn objects(
    some: Option<&Vec<KernelObject>>,
    others: Option<&Vec<KernelObject>>,
) -> Option<Vec<KernelObject>> {
    let identity =
        |object: &KernelObject| -> (ObjectKind, String) { (object.kind, object.name.clone()) };
    let known: HashSet<_> = others?.iter().map(identity).collect();
    let rest = some?
        .iter()
        .filter(|object| !known.contains(&identity(object)));
    Some(rest.cloned().collect())
}
