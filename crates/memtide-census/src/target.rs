//! What a link of a descriptor or the name of a mapping says.
//!
//! The kernel prints a path for what has one, with ` (deleted)` behind it where the name is gone, and
//! `type:[inode]` or `anon_inode:name` for the rest. A file may truly be called `x (deleted)`: only its
//! number of names tells.

use memtide_model::{HeldTarget, text};

/// The suffix of a path whose name is gone.
pub(crate) const DELETED: &[u8] = b" (deleted)";

/// A link, as far as it speaks for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It says all.
    Told(HeldTarget),
    /// A socket, by its inode.
    Socket(u64),
    /// A pipe, by its inode.
    Pipe(u64),
}

/// Reads a link. `names` is how many names the file has, where that is known.
pub(crate) fn of_link(link: &[u8], names: Option<u64>) -> Link {
    if link.starts_with(b"/") {
        return Link::Told(of_path(link, names));
    }
    if let Some(inode) = inode_of(link, b"socket:[") {
        return Link::Socket(inode);
    }
    if let Some(inode) = inode_of(link, b"pipe:[") {
        return Link::Pipe(inode);
    }
    Link::Told(match link.strip_prefix(b"anon_inode:") {
        Some(name) => {
            let inner = name
                .strip_prefix(b"[")
                .and_then(|name| name.strip_suffix(b"]"));
            HeldTarget::Anonymous {
                name: text::printable(inner.unwrap_or(name)),
            }
        }
        None => HeldTarget::Other {
            link: text::printable(link),
        },
    })
}

/// Reads a path, which may belong to a memfd or to a deleted file.
pub(crate) fn of_path(path: &[u8], names: Option<u64>) -> HeldTarget {
    let stripped = path
        .strip_suffix(DELETED)
        .filter(|_| names.unwrap_or(0) == 0);
    let Some(name) = stripped else {
        return HeldTarget::File {
            path: text::printable(path),
        };
    };
    match name.strip_prefix(b"/memfd:") {
        Some(name) => HeldTarget::Memfd {
            name: text::printable(name),
        },
        None => HeldTarget::Deleted {
            path: text::printable(name),
        },
    }
}

fn inode_of(link: &[u8], prefix: &[u8]) -> Option<u64> {
    let digits = link.strip_prefix(prefix)?.strip_suffix(b"]")?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_tell_what_they_lead_to() {
        let told = |link: &[u8], names| match of_link(link, names) {
            Link::Told(target) => target,
            other => panic!("{other:?}"),
        };
        let file = |path: &str| HeldTarget::File { path: path.into() };
        let deleted = |path: &str| HeldTarget::Deleted { path: path.into() };
        assert_eq!(told(b"/a b\nc", Some(1)), file("/a b\\x0ac"));
        assert_eq!(told(b"/a (deleted)", Some(0)), deleted("/a"));
        assert_eq!(told(b"/a (deleted)", None), deleted("/a"));
        assert_eq!(told(b"/a (deleted)", Some(1)), file("/a (deleted)"));
        assert_eq!(
            told(b"/memfd:x (deleted)", Some(0)),
            HeldTarget::Memfd { name: "x".into() }
        );
        assert_eq!(told(b"/memfd:x", Some(1)), file("/memfd:x"));
        let anonymous = |name: &str| HeldTarget::Anonymous { name: name.into() };
        assert_eq!(told(b"anon_inode:[eventfd]", None), anonymous("eventfd"));
        assert_eq!(told(b"anon_inode:inotify", None), anonymous("inotify"));
        for odd in ["net:[4026531840]", "socket:[x]", "pipe:[1", ""] {
            assert_eq!(
                told(odd.as_bytes(), None),
                HeldTarget::Other { link: odd.into() }
            );
        }
        assert_eq!(of_link(b"socket:[12]", None), Link::Socket(12));
        assert_eq!(of_link(b"pipe:[12]", None), Link::Pipe(12));
    }
}
