//! What processes hold: descriptors, mappings, program, working directory, root.
//!
//! Links are read first, for all processes; sockets and pipes are told afterwards, when it is known
//! which of them are held and by whom. A link's text may hold anything, newlines too, so the text is
//! never split. A process that may not be looked into is counted.

use crate::sockets;
use crate::target::{self, Link};
use crate::{Wanted, has_memory};
use memtide_model::{FileId, HeldTarget, Holding, Pid, ProcessId, ProcessState};
use memtide_proc::parse::maps::{self, MapEntry};
use memtide_proc::{
    Buffer, Error, ErrorKind, FdDir, FileStatus, Listing, ProcRoot, ProcessDir, fd_dir,
};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// Other processes at a pipe that are named: of the writing end of a pool's pipe there are thousands.
const MOST_PEERS: usize = 64;

/// Processes of a namespace through which its tables may be read, in case the first ones end.
const DOORS: usize = 4;

/// All that was found.
pub(crate) struct Survey<'r> {
    root: &'r ProcRoot,
    mappings: bool,
    /// Whether mappings are told to the caller, or read for their holders only.
    tell_mappings: bool,
    buffer: Buffer,
    link: Buffer,
    listing: Listing,
    /// Everything, in order of pids and descriptors.
    pub(crate) found: Vec<Found>,
    /// Processes that may not be looked into.
    pub(crate) denied: u64,
    namespaces: Namespaces,
}

/// One thing that is held.
pub(crate) struct Found {
    pub(crate) holding: Holding,
    /// Where it is mapped: first address and the one behind the last.
    pub(crate) mapped: Option<(u64, u64)>,
    /// What statx(2) tells, of what has a path.
    pub(crate) status: Option<FileStatus>,
    pending: Pending,
}

/// What is still to be found out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pending {
    Nothing,
    Socket { inode: u64, namespace: usize },
    Pipe(u64),
}

/// Network namespaces, by what `ns/net` says.
#[derive(Default)]
struct Namespaces {
    numbers: HashMap<Vec<u8>, usize>,
    doors: Vec<Vec<Pid>>,
}

/// How a visit ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    Done,
    Gone,
}

impl Visit {
    pub(crate) fn is_gone(self) -> bool {
        self == Self::Gone
    }
}

impl<'r> Survey<'r> {
    pub(crate) fn new(root: &'r ProcRoot, wanted: &Wanted) -> Self {
        Self {
            root,
            mappings: wanted.mappings || wanted.objects,
            tell_mappings: wanted.mappings,
            buffer: Buffer::new(),
            link: Buffer::new(),
            listing: Listing::new(),
            found: Vec::new(),
            denied: 0,
            namespaces: Namespaces::default(),
        }
    }

    /// Reads what one process holds. Nothing of it is kept where it has ended.
    pub(crate) fn visit(&mut self, state: &ProcessState, directory: &ProcessDir) -> Visit {
        if !has_memory(state) {
            return Visit::Done;
        }
        let before = self.found.len();
        let read = self.descriptors(state.id, directory).and_then(|()| {
            if self.mappings {
                self.places(state.id, directory);
                self.maps(state.id, directory)?;
            }
            Ok(())
        });
        match read {
            Ok(()) => Visit::Done,
            Err(error) if error.is_gone() => {
                self.found.truncate(before);
                // A process that has only just become a zombie is there, and holds nothing any more.
                if directory.is_there() {
                    Visit::Done
                } else {
                    Visit::Gone
                }
            }
            Err(error) => {
                self.denied += u64::from(error.kind() == ErrorKind::Denied);
                Visit::Done
            }
        }
    }

    fn descriptors(&mut self, holder: ProcessId, directory: &ProcessDir) -> Result<(), Error> {
        let descriptors = directory.descriptors()?;
        let mut numbers = Vec::new();
        descriptors.for_each(&mut self.listing, |number| numbers.push(number))?;
        numbers.sort_unstable();
        // Asked for once, by the first socket of the process.
        let mut namespace = None;
        for number in numbers {
            self.descriptor(holder, directory, &descriptors, number, &mut namespace)?;
        }
        Ok(())
    }

    /// One descriptor; one that was closed since the list was read is passed over.
    fn descriptor(
        &mut self,
        holder: ProcessId,
        directory: &ProcessDir,
        descriptors: &FdDir,
        number: u32,
        namespace: &mut Option<usize>,
    ) -> Result<(), Error> {
        let Some(link) = descriptors.link(number, &mut self.link)? else {
            return Ok(());
        };
        let is_path = link.starts_with(b"/");
        let status = if is_path {
            descriptors.status(number).ok().flatten()
        } else {
            None
        };
        // Names of queues have no second slash.
        let may_be_queue = is_path && !link.iter().skip(1).any(|&byte| byte == b'/');
        let (target, pending) = if may_be_queue && descriptors.is_message_queue(number) {
            let name = link.strip_suffix(target::DELETED).unwrap_or(link);
            let name = memtide_model::text::printable(name);
            (HeldTarget::Queue { name }, Pending::Nothing)
        } else {
            match target::of_link(link, status.map(|status| status.links)) {
                Link::Told(target) => (target, Pending::Nothing),
                Link::Pipe(inode) => (pipe(inode, Vec::new()), Pending::Pipe(inode)),
                Link::Socket(inode) => {
                    let namespace = *namespace
                        .get_or_insert_with(|| self.namespaces.number(directory, &mut self.buffer));
                    let link = memtide_model::text::printable(link);
                    (
                        HeldTarget::Other { link },
                        Pending::Socket { inode, namespace },
                    )
                }
            }
        };
        self.found.push(Found {
            holding: Holding {
                holder,
                descriptor: Some(number),
                how: "open".to_owned(),
                target,
                file: status.map(|status| file_id(&status)),
            },
            mapped: None,
            status,
            pending,
        });
        Ok(())
    }

    /// Program, working directory and root. A kernel without one of them, or a refusal, leaves it out.
    fn places(&mut self, holder: ProcessId, directory: &ProcessDir) {
        for (file, how) in [("exe", "program"), ("cwd", "cwd"), ("root", "root")] {
            let path = self.path_of(holder.pid, file);
            let status = FileStatus::at_path(&path).ok();
            if let Ok(link) = directory.link(file, &mut self.link) {
                let target = target::of_path(link, status.map(|status| status.links));
                self.push_place(holder, how, target, status);
            }
        }
    }

    fn push_place(
        &mut self,
        holder: ProcessId,
        how: &str,
        target: HeldTarget,
        status: Option<FileStatus>,
    ) {
        self.found.push(Found {
            holding: Holding {
                holder,
                descriptor: None,
                how: how.to_owned(),
                target,
                file: status.map(|status| file_id(&status)),
            },
            mapped: None,
            status,
            pending: Pending::Nothing,
        });
    }

    /// Mapped files, each once.
    fn maps(&mut self, holder: ProcessId, directory: &ProcessDir) -> Result<(), Error> {
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        let bytes = directory.read("maps", &mut self.buffer)?;
        // What comes before a broken line was handed out already.
        let _ = maps::parse(bytes, |map| {
            let id = map_id(&map);
            if map.name.starts_with(b"/") && seen.insert(id) {
                let target = target::of_path(map.name, None);
                entries.push((id, target, (map.start, map.end)));
            }
        });
        for (id, target, mapped) in entries {
            let file = if self.tell_mappings {
                self.same_as_open(holder.pid, id, &target)
            } else {
                id
            };
            self.found.push(Found {
                holding: Holding {
                    holder,
                    descriptor: None,
                    how: "mapped".to_owned(),
                    target,
                    file: Some(file),
                },
                mapped: Some(mapped),
                status: None,
                pending: Pending::Nothing,
            });
        }
        Ok(())
    }

    /// Some filesystems (btrfs, overlay) print another device in `maps` than stat(2) tells. Where the file of that
    /// name, as the process sees it, has the same inode, it is that file, and what stat tells is taken.
    fn same_as_open(&self, pid: Pid, id: FileId, target: &HeldTarget) -> FileId {
        let HeldTarget::File { path } = target else {
            return id;
        };
        let seen = self.path_of(pid, "root").join(path.trim_start_matches('/'));
        match FileStatus::at_path(&seen) {
            Ok(status) if status.inode == id.inode => file_id(&status),
            _ => id,
        }
    }

    /// A file of a process by its path, where a link is to be followed.
    pub(crate) fn path_of(&self, pid: Pid, file: &str) -> PathBuf {
        self.root.path().join(pid.to_string()).join(file)
    }

    /// Tells the sockets and the other ends of pipes.
    pub(crate) fn resolve(&mut self) {
        self.resolve_sockets();
        let mut at_pipe: BTreeMap<u64, BTreeSet<Pid>> = BTreeMap::new();
        for found in &self.found {
            if let Pending::Pipe(inode) = found.pending {
                at_pipe
                    .entry(inode)
                    .or_default()
                    .insert(found.holding.holder.pid);
            }
        }
        for found in &mut self.found {
            if let Pending::Pipe(inode) = found.pending {
                let own = found.holding.holder.pid;
                let all = at_pipe.get(&inode).into_iter().flatten();
                let peers = all.copied().filter(|&pid| pid != own).take(MOST_PEERS);
                found.holding.target = pipe(inode, peers.collect());
            }
        }
    }

    fn resolve_sockets(&mut self) {
        for namespace in 0..self.namespaces.doors.len() {
            let mut wanted = HashSet::new();
            for found in &self.found {
                if let Pending::Socket {
                    inode,
                    namespace: its,
                } = found.pending
                    && its == namespace
                {
                    wanted.insert(inode);
                }
            }
            let mut told = self.tables(namespace, &wanted);
            for found in &mut self.found {
                let Pending::Socket {
                    inode,
                    namespace: its,
                } = found.pending
                else {
                    continue;
                };
                if its == namespace
                    && let Some(target) = told
                        .get(&inode)
                        .cloned()
                        .or_else(|| by_name(self.root, &found.holding))
                {
                    told.entry(inode).or_insert_with(|| target.clone());
                    found.holding.target = target;
                }
            }
        }
    }

    /// The tables of a namespace, through the first of its processes that is still there.
    fn tables(&mut self, namespace: usize, wanted: &HashSet<u64>) -> HashMap<u64, HeldTarget> {
        let doors = self.namespaces.doors.get(namespace);
        for &pid in doors.into_iter().flatten() {
            if let Ok(directory) = self.root.process(pid)
                && let Ok(told) = sockets::look_up(&directory, wanted, &mut self.buffer)
            {
                return told;
            }
        }
        HashMap::new()
    }

    /// What was asked for: mappings only if they were.
    pub(crate) fn into_holdings(self) -> Vec<Holding> {
        let tell_mappings = self.tell_mappings;
        let holdings = self.found.into_iter().map(|found| found.holding);
        holdings
            .filter(|holding| tell_mappings || holding.descriptor.is_some())
            .collect()
    }
}

impl Namespaces {
    /// The number of the namespace that a process is in. Where the kernel does not tell, it is taken for
    /// that of the others of whom it does not tell either.
    fn number(&mut self, process: &ProcessDir, buffer: &mut Buffer) -> usize {
        let key = process.link("ns/net", buffer).unwrap_or_default().to_vec();
        let next = self.doors.len();
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.doors.push(Vec::new());
        }
        if let Some(doors) = self.doors.get_mut(number)
            && doors.len() < DOORS
        {
            doors.push(process.pid());
        }
        number
    }
}

/// A socket that is in no table, by the name of its protocol.
fn by_name(root: &ProcRoot, holding: &Holding) -> Option<HeldTarget> {
    let name = fd_dir::socket_protocol(root, holding.holder.pid, holding.descriptor?)?;
    Some(sockets::by_protocol(&name))
}

const fn pipe(inode: u64, peers: Vec<Pid>) -> HeldTarget {
    HeldTarget::Pipe { inode, peers }
}

/// The identity of a file that was looked at.
pub(crate) const fn file_id(status: &FileStatus) -> FileId {
    FileId {
        major: status.device.major,
        minor: status.device.minor,
        inode: status.inode,
    }
}

const fn map_id(map: &MapEntry<'_>) -> FileId {
    FileId {
        major: map.device.major,
        minor: map.device.minor,
        inode: map.inode,
    }
}
