//! Through what a process is seen from outside.

use memtide_model::{
    Limits, Nanos, Pid, ProcessId, ReadCost, StartTime, Target, Visibility, text::printable,
};
use memtide_proc::{Buffer, ProcRoot, parse::stat};
use memtide_sampler::Sampler;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What looks.
pub(crate) enum Lens {
    /// The sampler, at /proc, and what it does not know to be unseen.
    Sampler(Box<Sampler>, Vec<Visibility>),
    /// Nobody: the process had ended before it could be looked at, or belongs to somebody else. What
    /// runs inside it may have seen it all.
    Nobody(Box<Target>),
}

impl Lens {
    /// What it is.
    pub(crate) fn target(&self) -> Target {
        match self {
            Self::Sampler(sampler, more) => {
                let mut target = sampler.target().clone();
                target.unseen.extend(more.iter().cloned());
                target
            }
            Self::Nobody(target) => (**target).clone(),
        }
    }

    /// What bounds its memory.
    pub(crate) fn limits(&self) -> &Limits {
        match self {
            Self::Sampler(sampler, _) => &sampler.target().limits,
            Self::Nobody(target) => &target.limits,
        }
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> Pid {
        match self {
            Self::Sampler(sampler, _) => sampler.target().id.pid,
            Self::Nobody(target) => target.id.pid,
        }
    }

    /// The sampler, where there is one.
    pub(crate) fn sampler(&mut self) -> Option<&mut Sampler> {
        match self {
            Self::Sampler(sampler, _) => Some(sampler),
            Self::Nobody(_) => None,
        }
    }

    /// A descriptor that tells of its end, where there is one.
    pub(crate) fn end(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Sampler(sampler, _) => sampler.end_of_target(),
            Self::Nobody(_) => None,
        }
    }

    /// Adds to what cannot be seen of it.
    pub(crate) fn add_unseen(&mut self, unseen: Visibility) {
        match self {
            Self::Sampler(_, more) => more.push(unseen),
            Self::Nobody(target) => target.unseen.push(unseen),
        }
    }

    /// What was found together with what it does not see, which is added here.
    pub(crate) fn with_unseen<T>(&mut self, (found, unseen): (T, Vec<Visibility>)) -> T {
        for unseen in unseen {
            self.add_unseen(unseen);
        }
        found
    }

    /// What looking has cost.
    pub(crate) fn costs(&self) -> Vec<ReadCost> {
        match self {
            Self::Sampler(sampler, _) => sampler.costs(),
            Self::Nobody(_) => Vec::new(),
        }
    }
}

/// What is known of a child that nobody looks at: what it was started as, and what even a zombie tells.
pub(crate) fn started_as(
    pid: Pid,
    program: &Path,
    cmdline: Vec<String>,
    why: Visibility,
) -> Target {
    let name = program.file_name().unwrap_or(program.as_os_str());
    Target {
        id: ProcessId {
            pid,
            start: start_time(pid).unwrap_or_default(),
        },
        parent: Some(Pid(std::process::id())),
        name: printable(name.as_bytes()),
        exe: printable(program.as_os_str().as_bytes()),
        cmdline,
        uid: rustix::process::getuid().as_raw(),
        age: Nanos(0),
        allocator: "unknown".to_owned(),
        runtime: "none".to_owned(),
        limits: Limits::default(),
        cgroup: None,
        unseen: vec![why],
    }
}

/// When the process of that number started; `None` where there is none.
pub(crate) fn start_time(pid: Pid) -> Option<StartTime> {
    let process = ProcRoot::system().ok()?.process(pid).ok()?;
    let mut buffer = Buffer::new();
    let bytes = process.read("stat", &mut buffer).ok()?;
    stat::parse(bytes).ok().map(|stat| stat.starttime)
}
