//! The copy of the embedded shim on disk.
//!
//! A folder `shim-HASH` per build, written under a temporary name, synchronised and renamed, its content
//! compared before each use. Folders of other builds that nobody used for a month are removed: programs
//! that run may still start others with the path in their environment.

use crate::shim::FILE_NAME;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use rustix::process::geteuid;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Unused copies of other builds are kept so long.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Where a copy may go, the best place first: `$XDG_CACHE_HOME`, then for root the system's places and
/// for others `~/.cache`.
pub(crate) fn folders() -> Vec<PathBuf> {
    let absolute = |name| {
        let path = std::env::var_os(name).map(PathBuf::from);
        path.filter(|path| path.is_absolute())
    };
    let mut folders: Vec<PathBuf> = absolute("XDG_CACHE_HOME").into_iter().collect();
    if geteuid().is_root() {
        // Readable by the users that services of root change to.
        folders.extend(["/run", "/var/cache"].map(PathBuf::from));
    } else {
        folders.extend(absolute("HOME").map(|home| home.join(".cache")));
    }
    folders
        .into_iter()
        .map(|folder| folder.join("memtide"))
        .collect()
}

/// The copy in `folder`, made if it is not there; `None` where that cannot be done, or where others than
/// ourselves could change it.
pub(crate) fn file(folder: &Path, content: &[u8], hash: u64) -> Option<PathBuf> {
    let own = folder.join(format!("shim-{hash:016x}"));
    DirBuilder::new()
        .mode(0o755)
        .recursive(true)
        .create(&own)
        .ok()?;
    // Canonical, so that no link on the way can be turned after this.
    let own = fs::canonicalize(own).ok()?;
    let parents = own.parent().and_then(Path::parent);
    let is_ours = [Some(own.as_path()), own.parent(), parents]
        .into_iter()
        .flatten()
        .all(only_we_write);
    if !is_ours {
        return None;
    }
    let file = own.join(FILE_NAME);
    if !holds(&file, content) {
        write(&file, content).ok()?;
        prune(folder, &own);
    }
    touch(&own);
    holds(&file, content).then_some(file)
}

/// Ours or root's, and no others may rename things in it.
fn only_we_write(folder: &Path) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    const STICKY: u32 = 0o1000;
    fs::metadata(folder).is_ok_and(|meta| {
        let owned = meta.uid() == geteuid().as_raw() || meta.uid() == 0;
        owned && (meta.mode() & OTHERS_WRITE == 0 || meta.mode() & STICKY != 0)
    })
}

fn holds(file: &Path, content: &[u8]) -> bool {
    let plain = fs::symlink_metadata(file).is_ok_and(|meta| {
        let owned = meta.uid() == geteuid().as_raw();
        owned && meta.is_file() && meta.len() == content.len() as u64
    });
    plain && fs::read(file).is_ok_and(|found| found == content)
}

fn write(file: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let made = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&temporary)
        .and_then(|mut copy| copy.write_all(content).and_then(|()| copy.sync_all()))
        .and_then(|()| fs::rename(&temporary, file));
    if made.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    made
}

/// Notes that it was used today. Where it cannot be noted it may be pruned, and is written anew.
fn touch(folder: &Path) {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    let _ = utimensat(CWD, folder, &times, AtFlags::empty());
}

/// Removes the copies of other builds that are old. A failure costs some room and nothing else.
fn prune(folder: &Path, own: &Path) {
    let old = SystemTime::now().checked_sub(KEPT);
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        let is_copy = entry.file_name().to_string_lossy().starts_with("shim-");
        let used = entry.metadata().and_then(|meta| meta.modified());
        let is_old = used.is_ok_and(|used| old.is_some_and(|old| used < old));
        if is_copy && is_old && !own.ends_with(entry.file_name()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
