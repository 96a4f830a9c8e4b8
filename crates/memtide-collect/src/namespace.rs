//! Pid namespaces: whose number a region's pid is, and which process here that is.
//!
//! A process in a namespace of its own (a container, `unshare --pid`) writes the number that it has there
//! into its region. Here it has another one, and that number may be somebody else's.

use memtide_model::Pid;
use memtide_proc::parse::status;
use memtide_proc::{Buffer, Listing, ProcRoot};
use std::fs;
use std::sync::LazyLock;

/// The inode of this process's own; `None` where /proc does not say it.
static OWN: LazyLock<Option<u64>> = LazyLock::new(|| of("self"));

/// What is known of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    /// It is this process's own: its pids are those that are seen here.
    Own,
    /// It is another one.
    Other(u64),
    /// The region does not say, or this process cannot compare.
    Unknown,
}

impl Namespace {
    /// From the number in a region's header.
    pub(crate) fn of(inode: u64) -> Self {
        match (inode, *OWN) {
            (0, _) | (_, None) => Self::Unknown,
            (inode, Some(own)) if inode == own => Self::Own,
            (inode, Some(_)) => Self::Other(inode),
        }
    }

    /// The number here of the process that is `pid` there; `None` where no such process can be seen.
    /// Looking through another namespace reads the status of every process once.
    pub(crate) fn process(self, pid: u32) -> Option<Pid> {
        match self {
            Self::Own | Self::Unknown => Some(Pid(pid)),
            Self::Other(inode) => find(Pid(pid), inode),
        }
    }
}

/// The namespace of a process, by its entry in /proc.
fn of(entry: &str) -> Option<u64> {
    let link = fs::read_link(format!("/proc/{entry}/ns/pid")).ok()?;
    let number = link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?;
    number.parse().ok()
}

fn find(inner: Pid, inode: u64) -> Option<Pid> {
    let root = ProcRoot::system().ok()?;
    let mut all = Vec::new();
    let listed = root.for_each_process(&mut Listing::new(), |pid| all.push(pid));
    listed.ok()?;
    let mut buffer = Buffer::new();
    all.into_iter().find(|pid| {
        innermost(&root, *pid, &mut buffer) == Some(inner) && of(&pid.to_string()) == Some(inode)
    })
}

/// The number that a process has for itself.
fn innermost(root: &ProcRoot, pid: Pid, buffer: &mut Buffer) -> Option<Pid> {
    let process = root.process(pid).ok()?;
    let status = process.read("status", buffer).ok()?;
    status::parse(status).ok()?.innermost_pid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_the_number_it_has_for_itself() {
        let own = of("self").unwrap();
        assert_eq!(Namespace::of(own), Namespace::Own);
        assert_eq!(Namespace::of(own + 1), Namespace::Other(own + 1));
        assert_eq!(Namespace::of(0), Namespace::Unknown);
        let pid = std::process::id();
        assert_eq!(Namespace::Own.process(pid), Some(Pid(pid)));
        let other = Namespace::Other(own + 1).process(pid);
        assert_eq!(other, None, "the number alone is not enough");
        // As if this were seen from outside.
        assert_eq!(find(Pid(pid), own), Some(Pid(pid)));
    }
}
