//! What a process holds besides memory, by what it leads to: descriptors, and kernel objects that it made.
//!
//! A hundred sockets to the same database are one [`HeldGroup`] with a count. So are files whose paths
//! differ only in numbers or random parts; which ones do is the sampler's business, and the group's
//! name has a `*` there once it stands for more than one path.

use crate::units::Nanos;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Kinds of things that are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldKind {
    /// A file, directory or device by path.
    File,
    /// A file by path that is deleted.
    Deleted,
    /// A memfd, or a file in /dev/shm.
    Memfd,
    /// A socket of TCP, by its other end.
    Tcp,
    /// A socket of UDP.
    Udp,
    /// A socket of the Unix family, by its path.
    Unix,
    /// Any other socket, and one that is neither bound nor connected.
    Socket,
    /// A pipe, by who holds its other end.
    Pipe,
    /// `eventfd`.
    Eventfd,
    /// `eventpoll`.
    Epoll,
    /// Any other anonymous inode, by the kernel's name for it: timerfd, signalfd, inotify, ….
    AnonInode,
    /// POSIX message queues that the process's user owns. No descriptors.
    PosixQueue,
    /// System V message queues that the process last sent to. No descriptors.
    SystemVQueue,
    /// System V segments that the process or a descendant of it made. No descriptors.
    SystemVSegment,
    /// Children of the process, and others of a session that it leads, by name. No descriptors.
    Child,
    /// Files in tmpfs that the process's user owns: counted are the bytes that they take. No descriptors.
    Tmpfs,
}

impl HeldKind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::File,
        Self::Deleted,
        Self::Memfd,
        Self::Tcp,
        Self::Udp,
        Self::Unix,
        Self::Socket,
        Self::Pipe,
        Self::Eventfd,
        Self::Epoll,
        Self::AnonInode,
        Self::PosixQueue,
        Self::SystemVQueue,
        Self::SystemVSegment,
        Self::Child,
        Self::Tmpfs,
    ];

    /// Its name in recordings and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Deleted => "deleted",
            Self::Memfd => "memfd",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Unix => "unix",
            Self::Socket => "socket",
            Self::Pipe => "pipe",
            Self::Eventfd => "eventfd",
            Self::Epoll => "epoll",
            Self::AnonInode => "anon_inode",
            Self::PosixQueue => "posix_queue",
            Self::SystemVQueue => "system_v_queue",
            Self::SystemVSegment => "system_v_segment",
            Self::Child => "child",
            Self::Tmpfs => "tmpfs",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// True for what takes a descriptor.
    pub const fn is_descriptor(self) -> bool {
        !(self.is_object() || matches!(self, Self::Child | Self::Tmpfs))
    }

    /// True for kernel objects that are no files: they outlive every descriptor.
    pub const fn is_object(self) -> bool {
        matches!(
            self,
            Self::PosixQueue | Self::SystemVQueue | Self::SystemVSegment
        )
    }
}

/// What a group leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupTarget {
    /// What kind of thing.
    pub kind: HeldKind,
    /// Path, address with port, name; printable, empty where the kind says all.
    pub name: Arc<str>,
    /// The state of a TCP connection: `ESTABLISHED`, `CLOSE_WAIT`, …; empty otherwise.
    pub state: Arc<str>,
}

impl GroupTarget {
    /// "tcp 10.0.0.5:5432 `CLOSE_WAIT`", "file /var/log/x.log", "eventfd".
    pub fn label(&self) -> String {
        let parts = [self.kind.name(), &*self.name, &*self.state];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(" ")
    }
}

/// One group at one read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldGroup {
    /// Its number: the same group has the same one in all ticks of a process.
    pub number: u32,
    /// What it leads to. The name of a group changes once: when its second path comes.
    pub target: GroupTarget,
    /// How many, of [`HeldKind::Tmpfs`] how many bytes; never 0.
    pub count: u64,
}

/// A group over time.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldHistory {
    /// What it leads to.
    pub target: GroupTarget,
    /// How many there were, at the moments at which that changed; 0 when the last was closed.
    pub points: Vec<HeldPoint>,
}

/// A group at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldPoint {
    /// When.
    pub at: Nanos,
    /// How many.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_says_kind_target_and_state() {
        let label = |kind, name: &str, state: &str| {
            let (name, state) = (name.into(), state.into());
            GroupTarget { kind, name, state }.label()
        };
        assert_eq!(
            label(HeldKind::Tcp, "10.0.0.5:5432", "CLOSE_WAIT"),
            "tcp 10.0.0.5:5432 CLOSE_WAIT"
        );
        assert_eq!(label(HeldKind::File, "/var/log/x", ""), "file /var/log/x");
        assert_eq!(label(HeldKind::Eventfd, "", ""), "eventfd");
        for kind in HeldKind::ALL {
            assert_eq!(HeldKind::from_name(kind.name()), Some(kind));
        }
    }
}
