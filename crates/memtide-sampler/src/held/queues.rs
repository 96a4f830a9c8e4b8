//! Kernel objects that the process made and that outlive its descriptors: message queues and segments.
//!
//! Whose they are: a System V segment is its maker's (`cpid`), a System V queue its last sender's
//! (`lspid`; of one that nobody sent to, the owner's); of a POSIX queue the kernel tells the owner alone,
//! so all queues of the process's user are counted. A maker that is a descendant counts as the process.
//! Read every two seconds, and only where the process shares the recorder's IPC namespace: the tables of
//! another one cannot be seen from here.

use super::paths::Paths;
use super::tmpfs::seen_from_here;
use super::{Groups, Thing};
use crate::family::ancestors;
use memtide_model::text::{self, printable};
use memtide_model::{Bytes, HeldKind, Nanos, Pid};
use memtide_proc::parse::{ipc, mountinfo};
use memtide_proc::{Buffer, KeptFile, ProcRoot};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Between two reads.
const AGAIN: Nanos = Nanos::from_secs(2);
/// What did not change keeps the time of its read so long: a recording need not grow by what says nothing.
const SAME: Nanos = Nanos::from_secs(10);
/// Makers that are remembered.
const MOST_MAKERS: usize = 4_096;
/// POSIX queues that one read counts.
const MOST_QUEUES: usize = 10_000;
/// POSIX queues that one read opens to learn how much waits in them. Opening is what costs: thousands of
/// queues would put the next count off for a minute. The others keep the size that was read last.
const MOST_OPENED: usize = 16;

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
    sizes: Sizes,
    read: Option<Nanos>,
    last: Option<memtide_model::Queues>,
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
            sizes: Sizes::default(),
            read: None,
            last: None,
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
        groups.clear(HeldKind::is_object);
        let mut found = memtide_model::Queues {
            read: now,
            ..memtide_model::Queues::default()
        };
        self.segments(&mut found, groups, (root, owner), buffer)?;
        self.messages(&mut found, groups, (root, owner), buffer)?;
        self.posix(&mut found, groups, owner);
        if let Some(last) = self.last {
            let read = last.read;
            if found == (memtide_model::Queues { read: now, ..last }) && now - read < SAME {
                found.read = read;
            }
        }
        self.last = Some(found);
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
            let name = format!("shmid {} of {size}", segment.object.id);
            let pattern = format!("of {size}");
            let slot = groups.slot(Thing::like(HeldKind::SystemVSegment, name, pattern));
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
        self.sizes.begin();
        for entry in entries.flatten().take(MOST_QUEUES) {
            // One may be unlinked while the others are read.
            let Some(facts) = entry.metadata().ok().filter(|it| it.uid() == owner.uid) else {
                continue;
            };
            found.posix += 1;
            found.bytes += self.sizes.of(facts.ino(), &entry.path());
            let name = format!("/{}", printable(entry.file_name().as_encoded_bytes()));
            let pattern = self.paths.pattern(&name);
            let slot = groups.slot(Thing::like(HeldKind::PosixQueue, name, pattern));
            groups.add(slot);
        }
    }
}

/// How many bytes wait in each POSIX queue, by inode, as far as they were opened.
#[derive(Debug, Default)]
struct Sizes {
    known: HashMap<u64, Size>,
    /// The look that goes on.
    look: u64,
    /// How many it has opened.
    opened: usize,
    /// How many looks one size is kept for, so that all get their turn.
    turns: u64,
}

/// What is known of one queue.
#[derive(Clone, Copy, Debug)]
struct Size {
    bytes: Bytes,
    /// The look at which it was opened last.
    opened: u64,
    /// The look that met it last.
    met: u64,
}

impl Sizes {
    /// A new look. What the last one did not meet is gone.
    fn begin(&mut self) {
        let last = self.look;
        self.known.retain(|_, size| size.met == last);
        self.turns = 1 + (self.known.len() / MOST_OPENED) as u64;
        self.look += 1;
        self.opened = 0;
    }

    /// The bytes of one; zero of one that no look had a turn for yet.
    fn of(&mut self, inode: u64, path: &Path) -> Bytes {
        let look = self.look;
        let known = self.known.get_mut(&inode);
        let is_due = (known.as_ref()).is_none_or(|size| look - size.opened >= self.turns);
        if is_due && self.opened < MOST_OPENED {
            self.opened += 1;
            let content = fs::read(path).unwrap_or_default();
            let size = Size {
                bytes: ipc::parse_posix_queue(&content).unwrap_or(Bytes::ZERO),
                opened: look,
                met: look,
            };
            self.known.insert(inode, size);
            return size.bytes;
        }
        known.map_or(Bytes::ZERO, |size| {
            size.met = look;
            size.bytes
        })
    }
}

/// Where a process has the POSIX queues, reached through its root; `None` where they are not mounted.
fn mounted(process: &Path) -> Option<PathBuf> {
    let mounts = fs::read(process.join("mountinfo")).ok()?;
    let point = mountinfo::last_point(&mounts, b"mqueue")?;
    Some(seen_from_here(&process.join("root"), &point))
}

/// True of the process itself and of those that descend from it. One that has ended before anybody asked
/// is nobody's.
fn is_kin(makers: &mut HashMap<Pid, bool>, maker: Pid, target: Pid, root: &ProcRoot) -> bool {
    if maker == target {
        return true;
    }
    *(makers.entry(maker)).or_insert_with(|| ancestors(root.path(), maker.0).contains(&target.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of `count` files like those of mqueue(7), by one look.
    fn look(sizes: &mut Sizes, folder: &Path, count: u64) -> Bytes {
        sizes.begin();
        let names = (0..count).map(|number| folder.join(number.to_string()));
        let names: Vec<PathBuf> = names.collect();
        (names.iter())
            .map(|name| sizes.of(fs::metadata(name).unwrap().ino(), name))
            .sum()
    }

    #[test]
    fn of_many_queues_each_gets_its_turn_and_those_that_went_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let fill = |number: u64, bytes: u64| {
            let line = format!("QSIZE:{bytes:<10} NOTIFY:0     SIGNO:0     NOTIFY_PID:0     \n");
            fs::write(folder.path().join(number.to_string()), line).unwrap();
        };
        (0..50).for_each(|number| fill(number, 100));
        let mut sizes = Sizes::default();
        let seen: Vec<u64> = (0..4)
            .map(|_| look(&mut sizes, folder.path(), 50).0)
            .collect();
        assert_eq!(seen, [1_600, 3_200, 4_800, 5_000]);
        (0..50).for_each(|number| fill(number, 50));
        let turns: Vec<u64> = (0..5)
            .map(|_| look(&mut sizes, folder.path(), 50).0)
            .collect();
        assert!(turns.is_sorted_by(|a, b| a >= b), "{turns:?}");
        assert_eq!(turns[4], 2_500, "{turns:?}");
        assert_eq!(look(&mut sizes, folder.path(), 10).0, 500);
        look(&mut sizes, folder.path(), 10);
        assert_eq!(sizes.known.len(), 10);
    }
}
