//! Memory that the kernel keeps whether or not a process maps it: message queues, segments, semaphores,
//! files of tmpfs, and deleted files that somebody still holds.
//!
//! Each kind is read from its own table and joined with its holders by identity. Objects of other IPC
//! namespaces and tmpfs mounts of other mount namespaces (containers) are not listed.

mod deleted;
mod queues;
mod system_v;
mod tmpfs;

use crate::survey::{Survey, file_id};
use crate::unseen::Limits;
use memtide_model::{FileId, KernelObject, Pid};
use memtide_proc::{Buffer, ProcRoot};
use std::collections::{BTreeMap, BTreeSet};

/// Reads all kinds, in their order and by name.
pub(crate) fn read(root: &ProcRoot, survey: &Survey<'_>, limits: &mut Limits) -> Vec<KernelObject> {
    let mut buffer = Buffer::new();
    let mounts = root
        .read("self/mountinfo", &mut buffer)
        .unwrap_or_default()
        .to_vec();
    let holders = Holders::of(survey);
    let mut objects = queues::read(root, survey, &holders, &mounts, limits);
    objects.extend(system_v::read(root, survey, limits));
    objects.extend(tmpfs::read(root, &holders, &mounts, limits));
    objects.extend(deleted::read(survey, &holders, limits));
    objects.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    objects
}

/// Who holds which file, open or mapped.
struct Holders(BTreeMap<FileId, BTreeSet<Pid>>);

impl Holders {
    fn of(survey: &Survey<'_>) -> Self {
        let mut holders: BTreeMap<FileId, BTreeSet<Pid>> = BTreeMap::new();
        for found in &survey.found {
            let open = found.holding.descriptor.is_some() || found.mapped.is_some();
            if let Some(file) = found.holding.file
                && open
            {
                holders
                    .entry(file)
                    .or_default()
                    .insert(found.holding.holder.pid);
            }
        }
        Self(holders)
    }

    fn of_file(&self, status: &memtide_proc::FileStatus) -> Vec<Pid> {
        self.of_id(file_id(status))
    }

    fn of_id(&self, id: FileId) -> Vec<Pid> {
        self.0.get(&id).into_iter().flatten().copied().collect()
    }
}

/// Whether paths outside of /proc are those of the machine that `root` tells of, and no stored tree's.
fn is_this_machine(root: &ProcRoot) -> bool {
    root.path() == std::path::Path::new("/proc")
}
