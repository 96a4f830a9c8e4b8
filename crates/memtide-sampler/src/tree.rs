//! All processes that descend from the target, and what memory they hold.
//!
//! The idea: one `stat` of every process of the machine tells who descends from whom, who is a zombie, and
//! what each holds; whoever was seen below the target once stays a member, whatever becomes of the parent.
//! The links between processes never change. PSS is dear (`smaps_rollup` holds the process's lock), so each
//! process's is read every half minute, and a look reads for some milliseconds at most.
//!
//! Polling cannot see who comes and goes between two looks (94 to 97 % of short-lived ones, measured), nor who
//! descends from the target through somebody who ended between them. Who is told of forks by the kernel hands in
//! [`Lineage`]s: then an orphan is a member from its first look on, with the parent that forked it. What is told
//! comes a little later than /proc shows it, so a new process whose fork was not told yet has no parent until
//! the next look, and not the one that adopted it.

use crate::error::Error;
use crate::target;
use memtide_model::{Bytes, Nanos, Pid, ProcessId, TreeEnd, TreeMember, TreeTick, text};
use memtide_proc::parse::smaps;
use memtide_proc::parse::stat::Stat;
use memtide_proc::{Buffer, Listing, ProcRoot, clock};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Between two reads of one process's PSS.
const PSS_EVERY: Nanos = Nanos::from_secs(30);
/// Reads of PSS at one look may take so long together.
const PSS_TIME: Nanos = Nanos(5_000_000);
/// A fork that was not told for so long will not be.
const TOLD_WITHIN: Nanos = Nanos::SECOND;
/// Members that are kept in mind; of more, those with the highest pids are not told.
const MOST: usize = 20_000;

/// That a process belongs to the tree, from somebody who was told of forks by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// The process.
    pub id: ProcessId,
    /// Who started it; `None` where nobody saw that: then it is who its parent is now.
    pub parent: Option<Pid>,
}

/// Looks at a tree.
#[derive(Debug)]
pub struct TreeSampler {
    root: ProcRoot,
    /// The target: its tree is what descends from it.
    target: ProcessId,
    /// Who adopts orphans of this tree and starts nothing else, where there is somebody: whoever is its
    /// child belongs to the tree.
    adopter: Option<Pid>,
    members: BTreeMap<ProcessId, Kept>,
    /// Members that there ever were.
    seen: u64,
    buffer: Buffer,
    listing: Listing,
}

#[derive(Debug)]
struct Kept {
    member: TreeMember,
    /// Until when to wait for word of who started it; `None` once that is known.
    awaits: Option<Nanos>,
    /// When its PSS was last tried.
    pss_read: Option<Nanos>,
}

/// What one `stat` says.
struct Seen {
    id: ProcessId,
    ppid: Pid,
    pgid: i64,
    sid: i64,
    threads: u64,
    cpu_ticks: u64,
    name: String,
    state: u8,
    rss: Bytes,
}

impl TreeSampler {
    /// Of the tree below `target`, by the /proc at `root`.
    ///
    /// # Errors
    /// Where there is no /proc.
    pub fn open(root: &Path, target: ProcessId, adopter: Option<Pid>) -> Result<Self, Error> {
        let root = ProcRoot::open(root).map_err(|error| Error::of_proc(target.pid, error))?;
        Ok(Self {
            root,
            target,
            adopter,
            members: BTreeMap::new(),
            seen: 0,
            buffer: Buffer::new(),
            listing: Listing::new(),
        })
    }

    /// How many processes of the tree were ever there at a look, the target among them.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Looks at everybody. `told` is given all processes of the machine, and says which of them belong to the
    /// tree by what the kernel told of forks; `None` where nobody is told. Ends are of those who were there at an
    /// earlier look.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn look(
        &mut self,
        told: impl FnOnce(&[ProcessId]) -> Option<Vec<Lineage>>,
    ) -> Result<TreeTick, Error> {
        let at = clock::boottime();
        let all = self.read_all()?;
        let ids: Vec<ProcessId> = all.iter().map(|seen| seen.id).collect();
        let told = told(&ids).map(Told::new);
        let tree = self.of_tree(all, told.as_ref());
        let ended = self.take_over(tree, told.as_ref(), at);
        self.read_pss(at);
        let members = self.members.values().map(|kept| kept.member.clone());
        Ok(TreeTick {
            at,
            members: members.collect(),
            ended,
            short_lived: None,
            lost: 0,
        })
    }

    fn read_all(&mut self) -> Result<Vec<Seen>, Error> {
        let Self {
            root,
            buffer,
            listing,
            target,
            ..
        } = self;
        let (mut all, page) = (Vec::new(), clock::page_size());
        let listed = root.for_each_stat(listing, buffer, |stat| all.push(Seen::of(stat, page)));
        listed.map_err(|error| Error::of_proc(target.pid, error))?;
        Ok(all)
    }

    /// Those of the tree: the target, members of before, who was told to be one, and all whose line of parents leads to
    /// one of these.
    fn of_tree(&self, all: Vec<Seen>, told: Option<&Told>) -> Vec<Seen> {
        let mut children: BTreeMap<Pid, Vec<Seen>> = BTreeMap::new();
        let (mut tree, mut next) = (Vec::new(), Vec::new());
        for seen in all {
            let is_known = seen.id == self.target
                || self.members.contains_key(&seen.id)
                || told.is_some_and(|told| told.parents.contains_key(&seen.id));
            if is_known || Some(seen.ppid) == self.adopter {
                next.push(seen);
            } else {
                children.entry(seen.ppid).or_default().push(seen);
            }
        }
        while let Some(seen) = next.pop() {
            next.extend(children.remove(&seen.id.pid).unwrap_or_default());
            tree.push(seen);
        }
        tree.sort_by_key(|seen| seen.id);
        tree.truncate(MOST);
        tree
    }

    /// Brings the members up to date; returns who has ended.
    fn take_over(&mut self, tree: Vec<Seen>, told: Option<&Told>, at: Nanos) -> Vec<TreeEnd> {
        let mut before = std::mem::take(&mut self.members);
        for seen in tree {
            let mut kept = if let Some(kept) = before.remove(&seen.id) {
                self.seen_again(kept, &seen)
            } else {
                self.seen += 1;
                self.first_seen(&seen, at)
            };
            self.link(&mut kept, &seen, told, at);
            self.members.insert(seen.id, kept);
        }
        let gone = before.into_keys();
        gone.map(|id| TreeEnd {
            id,
            at,
            status: None,
        })
        .collect()
    }

    fn first_seen(&self, seen: &Seen, at: Nanos) -> Kept {
        let member = TreeMember {
            id: seen.id,
            parent: None,
            name: seen.name.as_str().into(),
            cmdline: self.cmdline(seen.id.pid),
            pgid: seen.pgid,
            sid: seen.sid,
            threads: seen.threads,
            cpu_ticks: seen.cpu_ticks,
            state: seen.state,
            rss: seen.rss,
            pss: None,
            orphaned: false,
        };
        Kept {
            member,
            awaits: Some(at + TOLD_WITHIN),
            pss_read: None,
        }
    }

    /// Who started it, once that is known, and whether that one has ended.
    fn link(&self, kept: &mut Kept, seen: &Seen, told: Option<&Told>, at: Nanos) {
        if let Some(until) = kept.awaits {
            let known = match told.map(|told| told.parents.get(&seen.id)) {
                Some(Some(parent)) => Some(parent.unwrap_or(seen.ppid)),
                Some(None) if at < until => None,
                Some(None) | None => Some(seen.ppid),
            };
            if let Some(parent) = known {
                kept.awaits = None;
                kept.member.parent = Some(parent).filter(|parent| parent.0 != 0);
            }
        }
        // The target may lose its parent, too: that says nothing about the tree.
        let has_another = kept.awaits.is_none() && kept.member.parent != Some(seen.ppid);
        let is_orphan = has_another || Some(seen.ppid) == self.adopter;
        kept.member.orphaned |= seen.id != self.target && is_orphan;
    }

    fn seen_again(&self, mut kept: Kept, seen: &Seen) -> Kept {
        let member = &mut kept.member;
        (member.state, member.rss) = (seen.state, seen.rss);
        (member.pgid, member.sid) = (seen.pgid, seen.sid);
        (member.threads, member.cpu_ticks) = (seen.threads, seen.cpu_ticks);
        if *member.name != *seen.name {
            // Another program, or another name for itself.
            member.name = seen.name.as_str().into();
            member.cmdline = self.cmdline(seen.id.pid);
        }
        kept
    }

    fn cmdline(&self, pid: Pid) -> Arc<[String]> {
        let folder = self.root.path().join(pid.to_string());
        target::cmdline(&folder).into()
    }

    /// Reads the PSS of those who were not read for longest, for a while.
    fn read_pss(&mut self, at: Nanos) {
        let is_due = |kept: &&mut Kept| {
            !kept.member.is_zombie() && kept.pss_read.is_none_or(|read| at - read >= PSS_EVERY)
        };
        let mut due: Vec<&mut Kept> = self.members.values_mut().filter(is_due).collect();
        due.sort_by_key(|kept| kept.pss_read);
        let began = clock::monotonic();
        for kept in due {
            if clock::monotonic() - began >= PSS_TIME {
                break;
            }
            kept.pss_read = Some(at);
            let process = self.root.process(kept.member.id.pid);
            let bytes = process.and_then(|process| process.read("smaps_rollup", &mut self.buffer));
            let sizes = bytes.and_then(smaps::parse_rollup);
            let pss = sizes.ok().and_then(|sizes| sizes.pss);
            kept.member.pss = pss.or(kept.member.pss);
        }
    }
}

/// Those of whom it was told that they belong to the tree, with who started them.
struct Told {
    parents: BTreeMap<ProcessId, Option<Pid>>,
}

impl Told {
    fn new(lineage: Vec<Lineage>) -> Self {
        let parents = lineage.into_iter().map(|line| (line.id, line.parent));
        Self {
            parents: parents.collect(),
        }
    }
}

impl Seen {
    fn of(stat: &Stat<'_>, page: Bytes) -> Self {
        Self {
            id: ProcessId {
                pid: stat.pid,
                start: stat.starttime,
            },
            ppid: stat.ppid,
            pgid: stat.pgrp,
            sid: stat.session,
            threads: stat.num_threads,
            cpu_ticks: stat.utime.saturating_add(stat.stime),
            name: text::printable(stat.comm),
            state: stat.state,
            rss: Bytes(stat.rss_pages.saturating_mul(page.0)),
        }
    }
}
