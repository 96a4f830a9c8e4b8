//! Who holds a file, a port, or anything below a directory: lsof(8) and fuser(1) the other way round.
//!
//! A file is compared by device and inode, so that hard links, relative paths and other mounts of it are the
//! same file. What lies below a directory is compared by path, as the kernel prints it for the holder:
//! a process in another mount namespace may see it under another name.

use crate::Error;
use crate::survey::file_id;
use memtide_model::{Census, FileId, HeldTarget, Holding, text};
use memtide_proc::FileStatus;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// What somebody may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A file, device, FIFO or socket in the filesystem.
    File {
        /// Its absolute path without links, printable.
        path: String,
        /// Which it is.
        file: FileId,
    },
    /// A directory, or anything in or below it.
    Directory {
        /// Its absolute path without links, printable.
        path: String,
        /// Which it is.
        file: FileId,
    },
    /// The near end of a socket.
    Port {
        /// "tcp" or "udp", both families.
        protocol: String,
        /// Its number.
        port: u16,
    },
}

impl What {
    /// Reads `tcp:PORT`, `udp:PORT`, or a path; a file of such a name is written `./tcp:80`.
    ///
    /// # Errors
    /// A port that is no number from 1 to 65535, a path that leads nowhere.
    pub fn parse(asked: &str) -> Result<Self, Error> {
        for protocol in ["tcp", "udp"] {
            if let Some(port) = asked
                .strip_prefix(protocol)
                .and_then(|rest| rest.strip_prefix(':'))
            {
                let port = port.parse().ok().filter(|&port| port > 0);
                return port
                    .map(|port| Self::Port {
                        protocol: protocol.to_owned(),
                        port,
                    })
                    .ok_or_else(|| Error::Port {
                        protocol: protocol.to_owned(),
                        text: asked.to_owned(),
                    });
            }
        }
        Self::of_path(Path::new(asked))
    }

    /// The file or directory at `path`.
    ///
    /// # Errors
    /// Where it leads nowhere, or may not be looked at.
    pub fn of_path(path: &Path) -> Result<Self, Error> {
        let missing = |source| Error::NoSuchFile {
            text: text::printable(path.as_os_str().as_bytes()),
            source,
        };
        let whole = path.canonicalize().map_err(missing)?;
        let status = FileStatus::at_path(&whole)?;
        let path = text::printable(whole.as_os_str().as_bytes());
        let file = file_id(&status);
        Ok(if status.is_directory() {
            Self::Directory { path, file }
        } else {
            Self::File { path, file }
        })
    }

    fn is_held_by(&self, holding: &Holding) -> bool {
        match self {
            Self::File { path, file } => {
                holding.file == Some(*file)
                    || matches!(&holding.target, HeldTarget::Unix { path: Some(bound) } if bound == path)
            }
            Self::Directory { path, file } => {
                holding.file == Some(*file)
                    || path_of(&holding.target).is_some_and(|held| is_below(held, path))
            }
            Self::Port { protocol, port } => match &holding.target {
                HeldTarget::Socket {
                    protocol: its,
                    local,
                    ..
                } => its.trim_end_matches('6') == protocol && port_of(local) == Some(*port),
                _ => false,
            },
        }
    }
}

/// Those of the census's holdings that hold `what`, in order of pids and descriptors. The census must have been
/// taken with `holdings`, and with `mappings` where mapped files, programs and directories count.
pub fn holders_of<'c>(census: &'c Census, what: &What) -> Vec<&'c Holding> {
    let holdings = census.holdings.iter().flatten();
    holdings
        .filter(|holding| what.is_held_by(holding))
        .collect()
}

fn path_of(target: &HeldTarget) -> Option<&str> {
    match target {
        HeldTarget::File { path }
        | HeldTarget::Deleted { path }
        | HeldTarget::Unix { path: Some(path) } => Some(path),
        _ => None,
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}

fn port_of(address: &str) -> Option<u16> {
    address.rsplit_once(':')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::{Pid, ProcessId, StartTime};

    fn holding(target: HeldTarget) -> Holding {
        Holding {
            holder: ProcessId {
                pid: Pid(1),
                start: StartTime(2),
            },
            descriptor: Some(3),
            how: "open".into(),
            target,
            file: None,
        }
    }

    fn socket(protocol: &str, local: &str) -> HeldTarget {
        HeldTarget::Socket {
            protocol: protocol.into(),
            local: local.into(),
            remote: Some("10.0.0.1:80".into()),
            state: String::new(),
        }
    }

    #[test]
    fn a_port_is_the_near_end_of_both_families() {
        let what = What::parse("tcp:80").unwrap();
        assert!(what.is_held_by(&holding(socket("tcp", "0.0.0.0:80"))));
        assert!(what.is_held_by(&holding(socket("tcp6", "[::]:80"))));
        assert!(!what.is_held_by(&holding(socket("udp", "0.0.0.0:80"))));
        assert!(!what.is_held_by(&holding(socket("tcp", "10.0.0.1:8080"))));
        assert!(!what.is_held_by(&holding(socket("tcp", ""))));
    }

    #[test]
    fn a_directory_is_held_by_what_lies_below() {
        let file = FileId {
            major: 0,
            minor: 0,
            inode: 0,
        };
        let path = "/var/log".to_owned();
        let what = What::Directory { path, file };
        let at = |path: &str| holding(HeldTarget::File { path: path.into() });
        assert!(what.is_held_by(&at("/var/log/x/y")));
        assert!(!what.is_held_by(&at("/var/logs")));
        let gone = HeldTarget::Deleted {
            path: "/var/log/x".into(),
        };
        assert!(what.is_held_by(&holding(gone)));
        let path = "/".to_owned();
        assert!(What::Directory { path, file }.is_held_by(&at("/var")));
    }

    #[test]
    fn what_is_no_port_and_no_path_is_told() {
        for (asked, message) in [
            (
                "tcp:0",
                "\"tcp:0\" is no port of tcp: tcp: and a number from 1 to 65535 is one, as in tcp:8080",
            ),
            (
                "udp:x",
                "\"udp:x\" is no port of udp: udp: and a number from 1 to 65535 is one, as in udp:8080",
            ),
            (
                "/no/where\n",
                "\"/no/where\\x0a\" is no file or directory that can be seen: give a path, or tcp:PORT or udp:PORT",
            ),
        ] {
            assert_eq!(What::parse(asked).unwrap_err().to_string(), message);
        }
    }
}
