//! Who holds the other end of a pipe.
//!
//! Both ends have the same inode. One that this process can read and write is its own, however many descriptors it has
//! for either end; of the others the other end is looked for among the descriptors of all processes that may be read, once for each pipe.

use super::Thing;
use memtide_model::text::printable;
use memtide_model::{HeldKind, Pid};
use memtide_proc::{Buffer, Listing, ProcRoot};
use std::collections::{HashMap, HashSet};

/// Links that one search reads at most.
const MOST_LINKS: usize = 20_000;

/// The descriptors that one process has for one pipe.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ends {
    pub(super) count: u64,
    reads: bool,
    writes: bool,
}

impl Ends {
    /// One more, which reads or writes; `None` where that is not known any more.
    pub(super) fn add(&mut self, access: Option<(bool, bool)>) {
        let (reads, writes) = access.unwrap_or_default();
        self.count += 1;
        self.reads |= reads;
        self.writes |= writes;
    }

    const fn are_both(self) -> bool {
        self.reads && self.writes
    }
}

/// The pipes of one process.
#[derive(Debug, Default)]
pub(super) struct Pipes {
    /// Other ends by inode; `None` where the search found nobody.
    peers: HashMap<u64, Option<(Pid, String)>>,
}

impl Pipes {
    /// Looks for the other ends of the pipes in `inodes` that are new.
    pub(super) fn update(
        &mut self,
        inodes: &HashMap<u64, Ends>,
        own: Pid,
        root: &ProcRoot,
        (listing, buffer): (&mut Listing, &mut Buffer),
    ) {
        self.peers.retain(|inode, _| inodes.contains_key(inode));
        let alone = inodes.iter().filter(|(_, ends)| !ends.are_both());
        let wanted: HashSet<u64> = alone
            .map(|(inode, _)| *inode)
            .filter(|inode| !self.peers.contains_key(inode))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let mut pids = Vec::new();
        let _ = root.for_each_process(listing, |pid| pids.push(pid));
        let mut left = MOST_LINKS;
        for pid in pids.into_iter().filter(|pid| *pid != own) {
            if left == 0 {
                break;
            }
            self.search(pid, &wanted, &mut left, root, (listing, buffer));
        }
        for inode in wanted {
            self.peers.entry(inode).or_insert(None);
        }
    }

    /// Looks at the descriptors of one process.
    fn search(
        &mut self,
        pid: Pid,
        wanted: &HashSet<u64>,
        left: &mut usize,
        root: &ProcRoot,
        (listing, buffer): (&mut Listing, &mut Buffer),
    ) {
        // It has ended, or is somebody else's.
        let Ok(process) = root.process(pid) else {
            return;
        };
        let Ok(directory) = process.descriptors() else {
            return;
        };
        let mut found = Vec::new();
        let _ = directory.for_each(listing, |number| {
            *left = left.saturating_sub(1);
            if *left > 0
                && let Ok(Some(link)) = directory.link(number, buffer)
                && let Some(inode) = inode_in(link, b"pipe:[")
                && wanted.contains(&inode)
            {
                found.push(inode);
            }
        });
        if found.is_empty() {
            return;
        }
        let name = process.read("comm", buffer).unwrap_or_default();
        let name = printable(name.strip_suffix(b"\n").unwrap_or(name));
        for inode in found {
            let peer = Some((pid, name.clone()));
            self.peers.entry(inode).or_insert(peer);
        }
    }

    /// What a pipe leads to, of which this process has these ends.
    pub(super) fn thing(&self, inode: u64, ends: Ends) -> Thing {
        if ends.are_both() {
            return Thing::named(HeldKind::Pipe, "with both ends here");
        }
        match self.peers.get(&inode) {
            Some(Some((pid, name))) => Thing {
                name: format!("with pid {pid} ({name})"),
                ..Thing::named(HeldKind::Pipe, format!("with processes called {name}"))
            },
            _ => Thing::named(HeldKind::Pipe, "with no other end in sight"),
        }
    }
}

/// The inode in a link like `pipe:[123]`.
pub(super) fn inode_in(link: &[u8], prefix: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(prefix)?.strip_suffix(b"]")?;
    str::from_utf8(digits).ok()?.parse().ok()
}
