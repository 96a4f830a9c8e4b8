//! Files without a name that somebody holds open or mapped, memfds among them: they take room until the last
//! holder lets go.
//!
//! What is open is measured through its descriptor. What is only mapped is measured through `map_files`,
//! which needs root; else it is counted as not measured. Shared anonymous memory (`/dev/zero`) and System
//! V segments look like deleted files in `maps` and are none.

use super::{Holders, system_v};
use crate::survey::{Found, Survey};
use crate::unseen::Limits;
use memtide_model::{FileId, HeldTarget, KernelObject, ObjectKind};
use memtide_proc::FileStatus;
use std::collections::BTreeMap;

/// Names in `maps` that the kernel gives to memory that was never a file (`mm/shmem.c`, `fs/aio.c`, `mm/hugetlb.c`).
const NO_FILES: [&str; 4] = [system_v::SEGMENT, "/dev/zero", "/[aio]", "/anon_hugepage"];

/// Reads them.
pub(super) fn read(
    survey: &Survey<'_>,
    holders: &Holders,
    limits: &mut Limits,
) -> Vec<KernelObject> {
    let mut files: BTreeMap<FileId, (String, FileStatus)> = BTreeMap::new();
    for found in survey
        .found
        .iter()
        .filter(|found| found.holding.descriptor.is_some())
    {
        if let (Some(id), Some(name), Some(status)) =
            (found.holding.file, name(found), found.status)
            && status.links == 0
            && status.is_regular()
        {
            files.entry(id).or_insert((name, status));
        }
    }
    let mut unmeasured = std::collections::BTreeSet::new();
    for found in survey.found.iter().filter(|found| found.mapped.is_some()) {
        let (Some(id), Some(name)) = (found.holding.file, name(found)) else {
            continue;
        };
        if files.contains_key(&id) {
            continue;
        }
        match mapped_status(survey, found) {
            Some(status) if status.links == 0 => {
                files.insert(id, (name, status));
            }
            // It has a name: only this one of its names is gone, or it is called so.
            Some(_) => {}
            None => {
                unmeasured.insert(id);
            }
        }
    }
    limits.unmeasured = unmeasured
        .difference(&files.keys().copied().collect())
        .count() as u64;
    let objects = files.into_iter().map(|(id, (name, status))| KernelObject {
        kind: ObjectKind::DeletedFile,
        name,
        key: None,
        uid: status.uid,
        creator: None,
        bytes: status.allocated,
        count: None,
        holders: holders.of_id(id),
        doomed: true,
        changed: Some(status.changed),
    });
    objects.collect()
}

/// What it was called; `None` of what is no deleted file.
fn name(found: &Found) -> Option<String> {
    match &found.holding.target {
        HeldTarget::Deleted { path } if !NO_FILES.iter().any(|none| path.starts_with(none)) => {
            Some(path.clone())
        }
        HeldTarget::Memfd { name } => Some(format!("memfd:{name}")),
        _ => None,
    }
}

fn mapped_status(survey: &Survey<'_>, found: &Found) -> Option<FileStatus> {
    let (start, end) = found.mapped?;
    let file = format!("map_files/{start:x}-{end:x}");
    FileStatus::at_path(&survey.path_of(found.holding.holder.pid, &file)).ok()
}
