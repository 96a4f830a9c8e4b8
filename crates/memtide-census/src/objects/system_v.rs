//! System V segments, queues and semaphores of this IPC namespace (`/proc/sysvipc`, sysvipc(7)).
//!
//! A segment is mapped as `/SYSVkey (deleted)`, with its number as the inode: that tells who holds it.
//! Who has a queue or a set of semaphores in mind, the kernel does not know.

use crate::survey::Survey;
use crate::unseen::Limits;
use memtide_model::{Bytes, HeldTarget, KernelObject, ObjectKind, Pid};
use memtide_proc::parse::ipc::{self, MessageQueue, Segment, SemaphoreSet, SystemV};
use memtide_proc::{Buffer, ProcRoot};
use std::collections::{BTreeMap, BTreeSet};

/// How mappings of segments are called (`ipc/shm.c`).
pub(super) const SEGMENT: &str = "/SYSV";

/// Reads all three kinds.
pub(super) fn read(root: &ProcRoot, survey: &Survey<'_>, limits: &mut Limits) -> Vec<KernelObject> {
    let mut buffer = Buffer::new();
    let mut objects = Vec::new();
    let holders = holders(root, survey);
    // The rows before a broken one were handed out already.
    let segments = root
        .read("sysvipc/shm", &mut buffer)
        .and_then(|bytes| ipc::parse_segments(bytes, |row| objects.push(segment(&row, &holders))));
    limits.system_v_missing = segments.is_err_and(|error| error.raw_os_error().is_some());
    if let Ok(bytes) = root.read("sysvipc/msg", &mut buffer) {
        let _ = ipc::parse_queues(bytes, |row| objects.push(queue(&row)));
    }
    if let Ok(bytes) = root.read("sysvipc/sem", &mut buffer) {
        let _ = ipc::parse_semaphores(bytes, |row| objects.push(semaphores(&row)));
    }
    objects
}

/// Processes of this IPC namespace by the number of the segment that they map.
fn holders(root: &ProcRoot, survey: &Survey<'_>) -> BTreeMap<u64, BTreeSet<Pid>> {
    let mut holders: BTreeMap<u64, BTreeSet<Pid>> = BTreeMap::new();
    let own = std::fs::read_link(root.path().join("self/ns/ipc")).ok();
    for found in &survey.found {
        let HeldTarget::Deleted { path } = &found.holding.target else {
            continue;
        };
        let holder = found.holding.holder.pid;
        if found.mapped.is_some()
            && path.starts_with(SEGMENT)
            && let Some(file) = found.holding.file
            // Another namespace numbers its segments from the start as well.
            && std::fs::read_link(survey.path_of(holder, "ns/ipc")).ok() == own
        {
            holders.entry(file.inode).or_default().insert(holder);
        }
    }
    holders
}

fn segment(row: &Segment, holders: &BTreeMap<u64, BTreeSet<Pid>>) -> KernelObject {
    let held = holders.get(&u64::from(row.object.id));
    KernelObject {
        name: format!("shmid {}", row.object.id),
        creator: somebody(row.creator),
        // Before Linux 2.6.34 only the size that was asked for is known.
        bytes: row.resident.unwrap_or(row.size) + row.swapped.unwrap_or(Bytes::ZERO),
        count: Some(row.attached),
        holders: held.into_iter().flatten().copied().collect(),
        doomed: row.is_doomed(),
        ..object(
            ObjectKind::SystemVSegment,
            &row.object,
            &[row.attached_at, row.detached_at],
        )
    }
}

fn queue(row: &MessageQueue) -> KernelObject {
    KernelObject {
        name: format!("msqid {}", row.object.id),
        creator: somebody(row.last_sender),
        bytes: row.bytes,
        count: Some(row.messages),
        ..object(
            ObjectKind::SystemVQueue,
            &row.object,
            &[row.sent_at, row.received_at],
        )
    }
}

fn semaphores(row: &SemaphoreSet) -> KernelObject {
    KernelObject {
        name: format!("semid {}", row.object.id),
        count: Some(row.semaphores),
        ..object(ObjectKind::SystemVSemaphores, &row.object, &[row.used_at])
    }
}

/// What the kinds have in common; `times` are the moments at which it was used.
fn object(kind: ObjectKind, row: &SystemV, times: &[u64]) -> KernelObject {
    let last = times.iter().copied().fold(row.changed, u64::max);
    KernelObject {
        kind,
        name: String::new(),
        key: Some(row.key),
        uid: row.uid,
        creator: None,
        bytes: Bytes::ZERO,
        count: None,
        holders: Vec::new(),
        doomed: false,
        changed: i64::try_from(last).ok().filter(|&last| last > 0),
    }
}

/// Pid 0 is nobody, or somebody of another namespace.
fn somebody(pid: Pid) -> Option<Pid> {
    (pid.0 != 0).then_some(pid)
}
