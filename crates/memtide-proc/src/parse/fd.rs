//! Targets of the links in `fd/`: what kind of thing a descriptor is.
//!
//! The kernel prints a path for what has one, and `type:[inode]` or `anon_inode:name` for the rest.

use memtide_model::Descriptors;

/// What a descriptor refers to, as far as its link tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FdKind {
    /// A file, directory, device or named pipe by path.
    File,
    /// A file by path that is deleted.
    Deleted,
    /// A socket of any family.
    Socket,
    /// An unnamed pipe.
    Pipe,
    /// `eventfd`.
    Eventfd,
    /// `eventpoll`.
    Epoll,
    /// Any other anonymous inode: timerfd, signalfd, inotify, pidfd, namespaces, `io_uring`, ….
    AnonInode,
    /// A memfd, or a file in /dev/shm, deleted or not.
    Memfd,
}

impl FdKind {
    /// The kind of the link target `link`.
    pub fn of_link(link: &[u8]) -> Self {
        if link.starts_with(b"/memfd:") || link.starts_with(b"/dev/shm/") {
            Self::Memfd
        } else if link.starts_with(b"/") {
            // A file may truly be called so; only its stat could tell, which is not worth a call.
            if link.ends_with(b" (deleted)") {
                Self::Deleted
            } else {
                Self::File
            }
        } else if link.starts_with(b"socket:[") {
            Self::Socket
        } else if link.starts_with(b"pipe:[") {
            Self::Pipe
        } else {
            match link.strip_prefix(b"anon_inode:") {
                Some(b"[eventfd]") => Self::Eventfd,
                Some(b"[eventpoll]") => Self::Epoll,
                _ => Self::AnonInode,
            }
        }
    }

    /// Adds one of this kind to `counts`; its total is not touched.
    pub const fn count_in(self, counts: &mut Descriptors) {
        let count = match self {
            Self::File => &mut counts.file,
            Self::Deleted => &mut counts.deleted,
            Self::Socket => &mut counts.socket,
            Self::Pipe => &mut counts.pipe,
            Self::Eventfd => &mut counts.eventfd,
            Self::Epoll => &mut counts.epoll,
            Self::AnonInode => &mut counts.anon_inode,
            Self::Memfd => &mut counts.memfd,
        };
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_tells_its_kind() {
        for (link, kind) in [
            (&b"/var/log/x"[..], FdKind::File),
            (b"/tmp/\xff (deleted)", FdKind::Deleted),
            (b"/dev/null", FdKind::File),
            (b"/dev/shm/pool", FdKind::Memfd),
            (b"/dev/shm/pool (deleted)", FdKind::Memfd),
            (b"/memfd:x (deleted)", FdKind::Memfd),
            (b"socket:[123]", FdKind::Socket),
            (b"pipe:[123]", FdKind::Pipe),
            (b"anon_inode:[eventfd]", FdKind::Eventfd),
            (b"anon_inode:[eventpoll]", FdKind::Epoll),
            (b"anon_inode:inotify", FdKind::AnonInode),
            (b"anon_inode:[io_uring]", FdKind::AnonInode),
            (b"net:[4026531840]", FdKind::AnonInode),
            (b"", FdKind::AnonInode),
        ] {
            assert_eq!(FdKind::of_link(link), kind, "{}", link.escape_ascii());
        }
    }
}
