//! POSIX message queues: files of the mqueue filesystem (`mq_overview(7)`), and those that processes hold open.
//!
//! Where that filesystem is mounted nowhere only the open ones are known. Mounting it is left to the
//! machine's owner.

use super::{Holders, is_this_machine};
use crate::survey::Survey;
use crate::unseen::Limits;
use memtide_model::{Bytes, FileId, HeldTarget, KernelObject, ObjectKind, Pid, text};
use memtide_proc::parse::{ipc, mountinfo};
use memtide_proc::{FileStatus, ProcRoot};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Reads them.
pub(super) fn read(
    root: &ProcRoot,
    survey: &Survey<'_>,
    holders: &Holders,
    mounts: &[u8],
    limits: &mut Limits,
) -> Vec<KernelObject> {
    let mut queues = BTreeMap::new();
    if is_this_machine(root) {
        match mountinfo::last_point(mounts, b"mqueue") {
            Some(folder) => listed(&folder, holders, limits, &mut queues),
            None => limits.queues_not_mounted = true,
        }
    }
    held(survey, limits, &mut queues);
    queues.into_values().collect()
}

fn listed(
    folder: &Path,
    holders: &Holders,
    limits: &mut Limits,
    queues: &mut BTreeMap<FileId, KernelObject>,
) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let path = entry.path();
        let Ok(status) = FileStatus::of_entry(&path) else {
            continue;
        };
        let name = [b"/", entry.file_name().as_bytes()].concat();
        let pids = holders.of_file(&status);
        let queue = object(text::printable(&name), &status, &path, pids, limits);
        queues.insert(crate::survey::file_id(&status), queue);
    }
}

/// Queues that are open and were not listed: unlinked ones, those of other namespaces, and all where none
/// is mounted.
fn held(survey: &Survey<'_>, limits: &mut Limits, queues: &mut BTreeMap<FileId, KernelObject>) {
    let mut open: BTreeMap<FileId, (String, FileStatus, PathBuf, BTreeSet<Pid>)> = BTreeMap::new();
    for found in &survey.found {
        let (HeldTarget::Queue { name }, Some(status), Some(number)) = (
            &found.holding.target,
            found.status,
            found.holding.descriptor,
        ) else {
            continue;
        };
        let id = crate::survey::file_id(&status);
        if !queues.contains_key(&id) {
            let holder = found.holding.holder.pid;
            let path = survey.path_of(holder, &format!("fd/{number}"));
            let queue = open.entry(id);
            let queue = queue.or_insert_with(|| (name.clone(), status, path, BTreeSet::new()));
            queue.3.insert(holder);
        }
    }
    for (id, (name, status, path, pids)) in open {
        let pids = pids.into_iter().collect();
        queues.insert(id, object(name, &status, &path, pids, limits));
    }
}

fn object(
    name: String,
    status: &FileStatus,
    path: &Path,
    holders: Vec<Pid>,
    limits: &mut Limits,
) -> KernelObject {
    // Reading the file takes no message out: it tells the size, who is notified, and nothing else.
    let size = std::fs::read(path)
        .ok()
        .and_then(|bytes| ipc::parse_posix_queue(&bytes).ok());
    limits.queues_denied += u64::from(size.is_none());
    KernelObject {
        kind: ObjectKind::PosixQueue,
        name,
        key: None,
        uid: status.uid,
        creator: None,
        bytes: size.unwrap_or(Bytes::ZERO),
        count: None,
        holders,
        doomed: status.links == 0,
        changed: Some(status.changed),
    }
}
