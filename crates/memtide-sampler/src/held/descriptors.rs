//! Open descriptors: how many at every tick where the kernel counts them, by kind and by what they lead
//! to within the budget.

use super::paths::Paths;
use super::pipes::{Ends, Pipes, inode_in};
use super::sockets::Sockets;
use super::{Groups, Slot, Thing};
use memtide_model::text::printable;
use memtide_model::{Descriptors, HeldKind, Nanos};
use memtide_proc::parse::fd::FdKind;
use memtide_proc::{Buffer, Error, ErrorKind, FdDir, Listing, ProcRoot, ProcessDir};
use std::collections::HashMap;

/// Links whose group is remembered; then it is worked out anew.
const MOST_LINKS: usize = 32_768;
const DELETED: &[u8] = b" (deleted)";

/// The kept directory, the last count by kind, and what is known of links.
#[derive(Debug)]
pub(crate) struct Fds {
    directory: Option<FdDir>,
    last: Option<Descriptors>,
    links: HashMap<Box<[u8]>, Slot>,
    paths: Paths,
    sockets: Sockets,
    pipes: Pipes,
}

/// What one listing found, of the kinds whose links say only a number.
#[derive(Debug, Default)]
struct Numbered {
    sockets: Vec<u64>,
    /// Pipes and which of their ends are here.
    pipes: HashMap<u64, Ends>,
}

impl Fds {
    pub(crate) fn open(process: &ProcessDir) -> Result<Self, Error> {
        let directory = match process.descriptors() {
            Ok(directory) => Some(directory),
            Err(error) if error.kind() == ErrorKind::Denied => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            directory,
            last: None,
            links: HashMap::new(),
            paths: Paths::default(),
            sockets: Sockets::default(),
            pipes: Pipes::default(),
        })
    }

    /// The last count by kind.
    pub(crate) fn last(&self) -> Option<Descriptors> {
        self.last
    }

    /// Brings the total up to date: one fstat(2), since Linux 6.2. False where that is not there.
    pub(crate) fn count(&mut self) -> bool {
        let counted = self
            .directory
            .as_ref()
            .and_then(|directory| directory.count().ok()?);
        if let (Some(total), Some(last)) = (counted, &mut self.last) {
            last.total = total;
        }
        counted.is_some()
    }

    /// Counts by kind and by group: a readlink(2) each. True where they could be read.
    pub(crate) fn read(
        &mut self,
        groups: &mut Groups,
        now: Nanos,
        (root, process): (&ProcRoot, &ProcessDir),
        (listing, buffer): (&mut Listing, &mut Buffer),
    ) -> Result<bool, Error> {
        let Some(directory) = self.directory.take() else {
            return Ok(false);
        };
        groups.clear(HeldKind::is_descriptor);
        let listed = self.list(&directory, groups, listing, buffer);
        self.directory = Some(directory);
        let numbered = listed?;
        self.sockets.update(&numbered.sockets, now, process, buffer);
        for inode in numbered.sockets {
            let slot = groups.slot(self.sockets.thing(inode));
            groups.add(slot);
        }
        (self.pipes).update(&numbered.pipes, process.pid(), root, (listing, buffer));
        for (inode, ends) in numbered.pipes {
            let slot = groups.slot(self.pipes.thing(inode, ends));
            (0..ends.count).for_each(|_| groups.add(slot));
        }
        Ok(true)
    }

    /// Reads all links. What was closed meanwhile is in no group, and not in the total.
    fn list(
        &mut self,
        directory: &FdDir,
        groups: &mut Groups,
        listing: &mut Listing,
        buffer: &mut Buffer,
    ) -> Result<Numbered, Error> {
        let mut counts = Descriptors::default();
        let mut numbered = Numbered::default();
        let mut failed = None;
        directory.for_each(listing, |number| match directory.link(number, buffer) {
            Ok(Some(link)) => {
                counts.total += 1;
                let kind = FdKind::of_link(link);
                kind.count_in(&mut counts);
                if let Some(inode) = inode_in(link, b"socket:[") {
                    numbered.sockets.push(inode);
                } else if let Some(inode) = inode_in(link, b"pipe:[") {
                    let ends = numbered.pipes.entry(inode).or_default();
                    ends.add(directory.access(number));
                } else {
                    let slot = self.slot(groups, kind, link);
                    groups.add(slot);
                }
            }
            Ok(None) => {}
            Err(error) => failed = Some(error),
        })?;
        self.last = Some(counts);
        failed.map_or(Ok(numbered), Err)
    }

    /// The group of a link that says it all.
    fn slot(&mut self, groups: &mut Groups, kind: FdKind, link: &[u8]) -> Slot {
        if let Some(slot) = self.links.get(link).filter(|slot| groups.has(**slot)) {
            return *slot;
        }
        if self.links.len() >= MOST_LINKS {
            self.links.clear();
        }
        let slot = groups.slot(thing(kind, link, &mut self.paths));
        self.links.insert(link.into(), slot);
        slot
    }
}

/// What a link leads to.
fn thing(kind: FdKind, link: &[u8], paths: &mut Paths) -> Thing {
    let body = link.strip_suffix(DELETED).unwrap_or(link);
    let body = body.strip_prefix(b"/memfd:").unwrap_or(body);
    let anonymous = body.strip_prefix(b"anon_inode:").unwrap_or(body);
    let kind = match kind {
        FdKind::File => HeldKind::File,
        FdKind::Deleted => HeldKind::Deleted,
        FdKind::Memfd => HeldKind::Memfd,
        FdKind::Socket => return Thing::named(HeldKind::Socket, ""),
        FdKind::Pipe => return Thing::named(HeldKind::Pipe, ""),
        FdKind::Eventfd => return Thing::named(HeldKind::Eventfd, ""),
        FdKind::Epoll => return Thing::named(HeldKind::Epoll, ""),
        FdKind::AnonInode => {
            // `[timerfd]`, `inotify`, `net:[4026531840]`.
            let inner = (anonymous.strip_prefix(b"[")).and_then(|name| name.strip_suffix(b"]"));
            let name = printable(inner.unwrap_or(anonymous));
            return Thing::named(HeldKind::AnonInode, name);
        }
    };
    let name = printable(body);
    let pattern = paths.pattern(&name);
    Thing::like(kind, name, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_what_it_leads_to() {
        let mut paths = Paths::default();
        for (link, label) in [
            (&b"/var/log/x.log"[..], "file /var/log/x.log"),
            (b"/tmp/a\nb (deleted)", "deleted /tmp/a\\x0ab"),
            (b"/memfd:pool (deleted)", "memfd pool"),
            (b"/dev/shm/seg.1 (deleted)", "memfd /dev/shm/seg.1"),
            (b"anon_inode:[eventfd]", "eventfd"),
            (b"anon_inode:[timerfd]", "anon_inode timerfd"),
            (b"anon_inode:inotify", "anon_inode inotify"),
            (b"net:[4026531840]", "anon_inode net:[4026531840]"),
        ] {
            let mut groups = Groups::default();
            let slot = groups.slot(thing(FdKind::of_link(link), link, &mut paths));
            groups.add(slot);
            assert_eq!(groups.counted()[0].target.label(), label);
        }
    }
}
