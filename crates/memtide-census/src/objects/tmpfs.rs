//! Files of every tmpfs that is mounted here, /dev/shm and /run among them, with what they take.
//!
//! A file of tmpfs is memory (or swap) until it is deleted. The walk is bounded by [`MOST_ENTRIES`] over all
//! mounts; what is left is counted by what the filesystem says it holds. Other filesystems mounted below
//! are not entered, links are not followed.

use super::{Holders, is_this_machine};
use crate::unseen::Limits;
use memtide_model::{KernelObject, ObjectKind, text};
use memtide_proc::parse::maps::Device;
use memtide_proc::parse::mountinfo;
use memtide_proc::{FileStatus, ProcRoot};
use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Entries that are looked at, folders included.
const MOST_ENTRIES: u64 = 50_000;

/// Reads them.
pub(super) fn read(
    root: &ProcRoot,
    holders: &Holders,
    mounts: &[u8],
    limits: &mut Limits,
) -> Vec<KernelObject> {
    let mut walk = Walk {
        holders,
        limits,
        objects: Vec::new(),
        seen: 0,
    };
    if is_this_machine(root) {
        for (device, places) in mountinfo::points(mounts, &[b"tmpfs", b"devtmpfs"]) {
            // A mount may be hidden below another one at the same place.
            let visible = places.into_iter().find(|place| {
                FileStatus::at_path(place).is_ok_and(|status| status.device == device)
            });
            if let Some(place) = visible {
                walk.filesystem(device, &place);
            }
        }
    }
    walk.objects
}

struct Walk<'a> {
    holders: &'a Holders,
    limits: &'a mut Limits,
    objects: Vec<KernelObject>,
    seen: u64,
}

impl Walk<'_> {
    fn filesystem(&mut self, device: Device, place: &Path) {
        let before = self.seen;
        // A file with two names is one.
        let mut several_names = HashSet::new();
        let mut folders = vec![place.to_owned()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = std::fs::read_dir(&folder) else {
                self.limits.folders_denied += 1;
                continue;
            };
            for entry in entries.flatten() {
                if self.seen >= MOST_ENTRIES {
                    self.limits.files_left += left(place, self.seen - before);
                    return;
                }
                self.seen += 1;
                let path = entry.path();
                match FileStatus::of_entry(&path) {
                    Ok(status) if status.device != device => {}
                    Ok(status) if status.is_directory() => folders.push(path),
                    Ok(status) if status.is_regular() => {
                        if status.links < 2 || several_names.insert(status.inode) {
                            self.file(&path, &status);
                        }
                    }
                    // No memory to speak of, or it has gone.
                    Ok(_) | Err(_) => {}
                }
            }
        }
    }

    fn file(&mut self, path: &Path, status: &FileStatus) {
        self.objects.push(KernelObject {
            kind: ObjectKind::TmpfsFile,
            name: text::printable(path.as_os_str().as_bytes()),
            key: None,
            uid: status.uid,
            creator: None,
            bytes: status.allocated,
            count: None,
            holders: self.holders.of_file(status),
            doomed: false,
            changed: Some(status.changed),
        });
    }
}

/// Entries of the filesystem at `place` beyond the `seen` ones; at least one, where it does not tell how many
/// there are.
fn left(place: &Path, seen: u64) -> u64 {
    let counted = rustix::fs::statfs(place);
    let used = counted.map_or(0, |fs| fs.f_files.saturating_sub(fs.f_ffree));
    // The mount point is an entry itself.
    used.saturating_sub(seen + 1).max(1)
}
