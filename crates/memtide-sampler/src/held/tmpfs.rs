//! Files in tmpfs that belong to the process's user, with the bytes that they take: memory that nobody needs to map.
//!
//! The kernel does not keep who wrote a file, so it is the owner who counts, and all files of that user in each
//! tmpfs that the process has mounted, but for memtide's own. A look asks each filesystem how much it holds, a system call each; its files
//! are walked where that has moved since, of all of them [`MOST_ENTRIES`] at most.

use super::paths::Paths;
use super::{Groups, Slot, Thing};
use crate::own::Own;
use memtide_model::{HeldKind, Pid, text};
use memtide_proc::parse::maps::Device;
use memtide_proc::parse::mountinfo;
use memtide_proc::{FileStatus, ProcRoot};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Entries that one walk looks at, folders included.
const MOST_ENTRIES: u32 = 20_000;

/// The filesystems.
#[derive(Debug)]
pub(crate) struct Tmpfs {
    mounts: Vec<Mount>,
    paths: Paths,
    /// Whose files were counted.
    uid: Option<u32>,
}

/// One of them.
#[derive(Debug)]
struct Mount {
    device: Device,
    /// The process's root as seen from here, and where it is mounted below that.
    root: PathBuf,
    point: PathBuf,
    /// Blocks in use at the last walk.
    used: Option<u64>,
    /// What was found then.
    files: BTreeMap<Slot, u64>,
}

impl Tmpfs {
    /// Those of the process `pid`; none where its mounts may not be read.
    pub(crate) fn open(root: &ProcRoot, pid: Pid) -> Self {
        let process = root.path().join(pid.to_string());
        let mounts = fs::read(process.join("mountinfo")).unwrap_or_default();
        let below = process.join("root");
        let points = mountinfo::points(&mounts, &[b"tmpfs"]).into_iter();
        let mounts = points.filter_map(|(device, places)| {
            // A mount may be hidden below another one at the same place.
            let is_visible = |place: &PathBuf| {
                let there = FileStatus::at_path(&seen_from_here(&below, place));
                there.is_ok_and(|status| status.device == device)
            };
            Some(Mount {
                device,
                point: places.into_iter().find(is_visible)?,
                root: below.clone(),
                used: None,
                files: BTreeMap::new(),
            })
        });
        Self {
            mounts: mounts.collect(),
            paths: Paths::default(),
            uid: None,
        }
    }

    /// Whether there is any.
    pub(crate) fn is_there(&self) -> bool {
        !self.mounts.is_empty()
    }

    /// Counts the bytes of the files of `uid` by group, but for memtide's `own`.
    pub(crate) fn read(&mut self, groups: &mut Groups, uid: u32, own: &Own) {
        groups.clear(|kind| kind == HeldKind::Tmpfs);
        let is_same = self.uid.replace(uid) == Some(uid);
        let mut left = MOST_ENTRIES;
        for mount in &mut self.mounts {
            let place = seen_from_here(&mount.root, &mount.point);
            let used = rustix::fs::statfs(&place).ok();
            let used = used.map(|fs| fs.f_blocks.saturating_sub(fs.f_bfree));
            let is_known = mount.files.keys().all(|slot| groups.has(*slot));
            if used != mount.used || used.is_none() || !is_known || !is_same {
                mount.files.clear();
                mount.used = used;
                let mut walk = Walk {
                    groups,
                    paths: &mut self.paths,
                    uid,
                    own,
                    left: &mut left,
                };
                mount.walk(&mut walk);
            }
            for (slot, bytes) in &mount.files {
                groups.add_many(*slot, *bytes);
            }
        }
    }
}

/// What a walk needs.
struct Walk<'a> {
    groups: &'a mut Groups,
    paths: &'a mut Paths,
    uid: u32,
    own: &'a Own,
    /// Entries that may still be looked at.
    left: &'a mut u32,
}

impl Mount {
    fn walk(&mut self, walk: &mut Walk<'_>) {
        // A file with two names is one.
        let mut several_names = HashSet::new();
        let mut folders = vec![self.point.clone()];
        while let Some(folder) = folders.pop() {
            // What may not be read is not this user's, or will not be this time.
            let Ok(entries) = fs::read_dir(seen_from_here(&self.root, &folder)) else {
                continue;
            };
            for entry in entries.flatten() {
                let Some(fewer) = walk.left.checked_sub(1) else {
                    return;
                };
                *walk.left = fewer;
                let Ok(status) = FileStatus::of_entry(&entry.path()) else {
                    continue;
                };
                let path = folder.join(entry.file_name());
                if status.device != self.device || walk.own.has_file(path.as_os_str().as_bytes()) {
                    continue;
                }
                if status.is_directory() {
                    folders.push(path);
                } else if status.is_regular()
                    && status.uid == walk.uid
                    && status.allocated.0 > 0
                    && (status.links < 2 || several_names.insert(status.inode))
                {
                    let slot = walk.groups.slot(thing(walk.paths, &path));
                    *self.files.entry(slot).or_default() += status.allocated.0;
                }
            }
        }
    }
}

fn thing(paths: &mut Paths, path: &Path) -> Thing {
    let name = text::printable(path.as_os_str().as_bytes());
    let pattern = paths.pattern(&name);
    Thing::like(HeldKind::Tmpfs, name, pattern)
}

/// A path of the process, through its root.
pub(super) fn seen_from_here(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_user_are_counted_by_what_they_are_called() {
        if !Path::new("/dev/shm").is_dir() {
            println!("skipped: no /dev/shm here");
            return;
        }
        let own = std::process::id();
        let (uid, folder) = (
            rustix::process::geteuid().as_raw(),
            format!("/dev/shm/memtide-test-{own}-x"),
        );
        fs::create_dir(&folder).unwrap();
        let mut tmpfs = Tmpfs::open(&ProcRoot::system().unwrap(), Pid(own));
        let mut own_files = Own::default();
        own_files.set_files(&[format!("{folder}/ours").into()]);
        let mut groups = Groups::default();
        let mut bytes = |uid: u32| {
            tmpfs.read(&mut groups, uid, &own_files);
            let counted = groups.counted().into_iter();
            let ours =
                counted.filter(|group| group.target.name.starts_with("/dev/shm/memtide-test-"));
            ours.map(|group| group.count).collect::<Vec<_>>()
        };
        let before = bytes(uid);
        let content = vec![1; 300_000];
        fs::write(format!("{folder}/ours"), &content).unwrap();
        for number in 1..4 {
            fs::write(format!("{folder}/part{number}"), &content).unwrap();
        }
        let page = memtide_proc::clock::page_size().0;
        let (one, others) = (300_000_u64.next_multiple_of(page), bytes(uid + 1));
        let all = bytes(uid);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!((before, others), (Vec::new(), Vec::new()));
        assert_eq!(all, [3 * one]);
    }
}
