//! Kernel objects that the process made and that outlive its descriptors: message queues and segments.
//!
//! Whose they are: a System V segment is its maker's (`cpid`), a System V queue its last sender's
//! (`lspid`; of one that nobody sent to, the owner's); of a POSIX queue the kernel tells the owner alone,
//! so all queues of the process's user are counted. A maker that is a descendant counts as the process.
//! Read every ten seconds, and only where the process shares the recorder's IPC namespace: the tables of
//! another one cannot be seen from here.

use super::paths::Paths;
use super::{Groups, Thing};
use crate::family::ancestors;
use memtide_model::text::{self, printable};
use memtide_model::{Bytes, HeldKind, Nanos, Pid};
use memtide_proc::parse::{ipc, mountinfo};
use memtide_proc::{Buffer, KeptFile, ProcRoot};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Between two reads.
const AGAIN: Nanos = Nanos::from_secs(10);
/// Makers that are remembered.
const MOST_MAKERS: usize = 4_096;
/// POSIX queues that one read looks at.
const MOST_QUEUES: usize = 10_000;

/// Who is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) pid: Pid,
    pub(crate) uid: u32,
}

/// The files that tell.
#[derive(Debug)]
pub(crate) struct Queues {
    segments: Option<KeptFile>,
    messages: Option<KeptFile>,
    /// Where the process has the POSIX queues mounted, as seen from here.
    posix: Option<PathBuf>,
    /// Whether a maker is the process or descends from it.
    makers: HashMap<Pid, bool>,
    paths: Paths,
    read: Option<Nanos>,
}

impl Queues {
    /// Of the process `pid`; without a file where there is none, or its namespace is another one.
    pub(crate) fn open(root: &ProcRoot, pid: Pid) -> Self {
        let process = root.path().join(pid.to_string());
        let namespace = |process: &Path| fs::read_link(process.join("ns/ipc")).ok();
        let own = namespace(&root.path().join("self"));
        let is_ours = own.is_some() && own == namespace(&process);
        let keep = |file| is_ours.then(|| root.keep(file).ok()).flatten();
        Self {
            segments: keep("sysvipc/shm"),
            messages: keep("sysvipc/msg"),
            posix: mounted(&process),
            makers: HashMap::new(),
            paths: Paths::default(),
            read: None,
        }
    }

    /// True where there is something to read and it is time.
    pub(crate) fn is_due(&self, now: Nanos) -> bool {
        let any = self.segments.is_some() || self.messages.is_some() || self.posix.is_some();
        any && self.read.is_none_or(|read| now - read >= AGAIN)
    }

    /// Counts them, and adds each to its group.
    ///
    /// # Errors
    /// Where a table is not what it should be.
    pub(crate) fn read(
        &mut self,
        groups: &mut Groups,
        now: Nanos,
        (root, owner): (&ProcRoot, Owner),
        buffer: &mut Buffer,
    ) -> Result<memtide_model::Queues, memtide_proc::Error> {
        self.read = Some(now);
        if self.makers.len() >= MOST_MAKERS {
            self.makers.clear();
        }
        groups.clear(|kind| !kind.is_descriptor());
        let mut found = memtide_model::Queues::default();
        self.segments(&mut found, groups, (root, owner), buffer)?;
        self.messages(&mut found, groups, (root, owner), buffer)?;
        self.posix(&mut found, groups, owner);
        Ok(found)
    }

    fn segments(
        &mut self,
        found: &mut memtide_model::Queues,
        groups: &mut Groups,
        (root, owner): (&ProcRoot, Owner),
        buffer: &mut Buffer,
    ) -> Result<(), memtide_proc::Error> {
        let Some(file) = &self.segments else {
            return Ok(());
        };
        let makers = &mut self.makers;
        ipc::parse_segments(file.read(buffer)?, |segment| {
            if !is_kin(makers, segment.creator, owner.pid, root) {
                return;
            }
            found.segments += 1;
            let swapped = segment.swapped.unwrap_or_default();
            found.bytes += segment.resident.unwrap_or(segment.size) + swapped;
            let size = text::bytes(segment.size.as_f64());
            let slot = groups.slot(Thing {
                kind: HeldKind::SystemVSegment,
                name: format!("shmid {} of {size}", segment.object.id),
                pattern: format!("of {size}"),
                state: "",
            });
            groups.add(slot);
        })
    }

    fn messages(
        &mut self,
        found: &mut memtide_model::Queues,
        groups: &mut Groups,
        (root, owner): (&ProcRoot, Owner),
        buffer: &mut Buffer,
    ) -> Result<(), memtide_proc::Error> {
        let Some(file) = &self.messages else {
            return Ok(());
        };
        let makers = &mut self.makers;
        ipc::parse_queues(file.read(buffer)?, |queue| {
            let is_its = match queue.last_sender {
                Pid(0) => queue.object.creator_uid == owner.uid,
                sender => is_kin(makers, sender, owner.pid, root),
            };
            if !is_its {
                return;
            }
            found.system_v += 1;
            found.bytes += queue.bytes;
            let slot = groups.slot(Thing {
                name: format!("msqid {}", queue.object.id),
                ..Thing::named(HeldKind::SystemVQueue, "")
            });
            groups.add(slot);
        })
    }

    fn posix(&mut self, found: &mut memtide_model::Queues, groups: &mut Groups, owner: Owner) {
        let Some(entries) = self.posix.as_ref().and_then(|path| fs::read_dir(path).ok()) else {
            return;
        };
        for entry in entries.flatten().take(MOST_QUEUES) {
            // One may be unlinked while the others are read.
            if !entry.metadata().is_ok_and(|facts| facts.uid() == owner.uid) {
                continue;
            }
            found.posix += 1;
            let content = fs::read(entry.path()).unwrap_or_default();
            found.bytes += ipc::parse_posix_queue(&content).unwrap_or(Bytes::ZERO);
            let name = format!("/{}", printable(entry.file_name().as_encoded_bytes()));
            let slot = groups.slot(Thing {
                kind: HeldKind::PosixQueue,
                pattern: self.paths.pattern(&name),
                name,
                state: "",
            });
            groups.add(slot);
        }
    }
}

/// Where a process has the POSIX queues, reached through its root; `None` where they are not mounted.
fn mounted(process: &Path) -> Option<PathBuf> {
    let mounts = fs::read(process.join("mountinfo")).ok()?;
    let mut found = None;
    // What is cut off tells nothing: the mounts before it were handed out already.
    let _ = mountinfo::parse(&mounts, |mount| {
        if mount.kind == b"mqueue" {
            let point: Vec<u8> = mountinfo::unescape(mount.mount_point).collect();
            let below = point.strip_prefix(b"/").unwrap_or(&point).to_vec();
            found = Some(process.join("root").join(OsString::from_vec(below)));
        }
    });
    found
}

/// True of the process itself and of those that descend from it. One that has ended before anybody asked
/// is nobody's.
fn is_kin(makers: &mut HashMap<Pid, bool>, maker: Pid, target: Pid, root: &ProcRoot) -> bool {
    if maker == target {
        return true;
    }
    *(makers.entry(maker)).or_insert_with(|| ancestors(root.path(), maker.0).contains(&target.0))
}
