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
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

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
        for (device, places) in mount_points(mounts) {
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

/// Where each tmpfs is mounted, whole mounts before those of a folder of it. Devtmpfs is one, too.
fn mount_points(mounts: &[u8]) -> BTreeMap<Device, Vec<PathBuf>> {
    let mut points: BTreeMap<Device, Vec<PathBuf>> = BTreeMap::new();
    // What is cut off tells nothing: the mounts before it were handed out already.
    let _ = mountinfo::parse(mounts, |mount| {
        if matches!(mount.kind, b"tmpfs" | b"devtmpfs") {
            let path = mountinfo::unescape(mount.mount_point).collect();
            let path = PathBuf::from(OsString::from_vec(path));
            let places = points.entry(mount.device).or_default();
            let at = if mount.root == b"/" { 0 } else { places.len() };
            places.insert(at, path);
        }
    });
    points
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_mounts_come_first_and_each_filesystem_once() {
        let mounts = b"30 20 0:25 /a /mnt/part rw - tmpfs x rw\n\
            31 20 0:25 / /dev/my\\040shm rw - tmpfs x rw\n\
            32 20 0:26 / /run rw - tmpfs x rw\n\
            33 20 0:27 / /sys rw - sysfs x rw\n";
        let points = mount_points(mounts);
        let device = |minor| Device { major: 0, minor };
        assert_eq!(points.len(), 2);
        assert_eq!(
            points[&device(25)],
            [PathBuf::from("/dev/my shm"), "/mnt/part".into()]
        );
        assert_eq!(points[&device(26)], [PathBuf::from("/run")]);
    }
}
