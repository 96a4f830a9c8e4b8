//! The machine as it bears on what may be read: kernel, mounts, capabilities, yama, hidepid; and
//! which access to one process follows from them.

use crate::error::{Error, ErrorKind};
use memtide_model::Pid;
use memtide_proc::parse::{mountinfo, status};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// `CAP_SYS_PTRACE`, include/uapi/linux/capability.h.
const CAP_SYS_PTRACE: u64 = 1 << 19;

/// The machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    /// Where /proc is.
    pub(crate) root: PathBuf,
    /// Kernel release; empty where it is not told.
    pub(crate) kernel: String,
    /// The recorder's own rights.
    pub(crate) access: Rights,
    /// The value of the `hidepid` mount option.
    pub(crate) hidepid: Option<String>,
    /// "v1", "v2": hierarchies with a memory controller.
    pub(crate) cgroup_versions: Vec<&'static str>,
    /// Whether this looks like the inside of a container.
    pub(crate) container: bool,
}

/// What the recorder itself may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights {
    uid: u32,
    capabilities: u64,
}

impl Rights {
    /// Whether no process is out of reach.
    pub(crate) fn may_trace_anyone(self) -> bool {
        self.capabilities & CAP_SYS_PTRACE != 0
    }
}

/// What may be read of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everything.
    Full,
    /// It belongs to this user.
    OtherUser(u32),
    /// It is this user's, but has made itself unreadable (`prctl(PR_SET_DUMPABLE)`, a setuid or
    /// unreadable program).
    NotDumpable,
}

impl Access {
    pub(crate) fn is_full(self) -> bool {
        self == Self::Full
    }

    /// Why something is denied.
    pub(crate) fn why(self, pid: Pid) -> String {
        match self {
            Self::Full => "the kernel refused".to_owned(),
            Self::OtherUser(uid) => format!("pid {pid} belongs to uid {uid}, and you are not root"),
            Self::NotDumpable => {
                format!("pid {pid} has made itself unreadable (it is not \"dumpable\")")
            }
        }
    }

    /// What would allow it.
    pub(crate) fn remedy(self) -> String {
        match self {
            Self::Full => String::new(),
            Self::OtherUser(_) | Self::NotDumpable => {
                "sudo memtide …, or once: sudo setcap cap_sys_ptrace+ep $(command -v memtide)"
                    .to_owned()
            }
        }
    }
}

impl Machine {
    /// Looks at the machine whose /proc is at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, Error> {
        let own = fs::read(root.join("self/status")).map_err(|_| {
            let message = format!("no /proc is mounted at {}", root.display());
            Error::new(ErrorKind::NoProc, message)
        })?;
        let mounts = fs::read(root.join("self/mountinfo")).unwrap_or_default();
        Ok(Self {
            root: root.to_owned(),
            kernel: text(&root.join("sys/kernel/osrelease")).unwrap_or_default(),
            access: Rights {
                uid: real_uid(&own).unwrap_or(u32::MAX),
                capabilities: number_after(&own, b"CapEff:", 16).unwrap_or(0),
            },
            hidepid: hidepid_of(&mounts),
            cgroup_versions: cgroup_versions(&mounts),
            container: in_container(root),
        })
    }

    /// A number from a settings file below /proc.
    pub(crate) fn setting(&self, name: &str) -> Option<i64> {
        text(&self.root.join(name))?.parse().ok()
    }

    /// What may be read of `pid`; an error where it is not there or no target at all.
    pub(crate) fn access_to(&self, pid: Pid) -> Result<Access, Error> {
        let dir = self.root.join(pid.to_string());
        let status = fs::read(dir.join("status")).map_err(|error| self.absent(pid, error))?;
        let uid = real_uid(&status).unwrap_or(0);
        if fs::File::open(dir.join("smaps")).is_ok() || self.access.may_trace_anyone() {
            return Ok(Access::Full);
        }
        // The kernel gives the directory of a process that is not dumpable to root.
        let owner = fs::metadata(&dir).map_or(uid, |metadata| metadata.uid());
        if uid == self.access.uid && owner != uid {
            return Ok(Access::NotDumpable);
        }
        if uid == self.access.uid {
            Ok(Access::NotDumpable)
        } else {
            Ok(Access::OtherUser(uid))
        }
    }

    fn absent(&self, pid: Pid, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Error::new(ErrorKind::Hidden, format!("/proc hides pid {pid} from you"));
        }
        if is_own_proc(&self.root) && exists(pid) {
            return Error::new(
                ErrorKind::Hidden,
                format!("pid {pid} exists, but /proc hides it from you (hidepid)"),
            );
        }
        if error.kind() != io::ErrorKind::NotFound && error.raw_os_error() != Some(3) {
            return Error::reading("status", pid, error);
        }
        Error::new(
            ErrorKind::NoSuchProcess,
            format!("no process has pid {pid}"),
        )
    }
}

/// Whether the pids below `root` are those of this machine, and not of a stored tree.
pub(crate) fn is_own_proc(root: &Path) -> bool {
    root == Path::new("/proc")
}

/// Whether the kernel knows the pid, even where /proc does not show it. Signal 0 is no signal.
fn exists(pid: Pid) -> bool {
    let number = i32::try_from(pid.0)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    number.is_some_and(|number| {
        !matches!(rustix::process::test_kill_process(number), Err(Errno::SRCH))
    })
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// The first number after `key` in a status-like file.
fn number_after(content: &[u8], key: &[u8], radix: u32) -> Option<u64> {
    let line = content
        .split(|&byte| byte == b'\n')
        .find(|line| line.starts_with(key))?;
    let rest = str::from_utf8(line.get(key.len()..)?).ok()?;
    u64::from_str_radix(rest.split_whitespace().next()?, radix).ok()
}

/// The first of the four user ids in `status`.
fn real_uid(status: &[u8]) -> Option<u32> {
    status::parse(status).ok()?.uid
}

fn hidepid_of(mounts: &[u8]) -> Option<String> {
    Some(str::from_utf8(mountinfo::hidepid(mounts)?).ok()?.to_owned())
}

fn cgroup_versions(mounts: &[u8]) -> Vec<&'static str> {
    let (mut v1, mut v2) = (false, false);
    let _ = mountinfo::parse(mounts, |mount| match mount.kind {
        b"cgroup" => v1 |= mount.has_super_option(b"memory"),
        // A v2 mount may lack the controller, when v1 holds it.
        b"cgroup2" => v2 |= offers_memory(mount.mount_point),
        _ => {}
    });
    let named = [(v1, "v1"), (v2, "v2")];
    named
        .into_iter()
        .filter_map(|(found, name)| found.then_some(name))
        .collect()
}

fn offers_memory(mount_point: &[u8]) -> bool {
    let point = PathBuf::from(OsString::from_vec(
        mountinfo::unescape(mount_point).collect(),
    ));
    text(&point.join("cgroup.controllers"))
        .is_some_and(|controllers| controllers.split(' ').any(|name| name == "memory"))
}

fn in_container(root: &Path) -> bool {
    let marked = is_own_proc(root)
        && ["/.dockerenv", "/run/.containerenv"]
            .iter()
            .any(|path| Path::new(path).exists());
    let group = fs::read_to_string(root.join("1/cgroup")).unwrap_or_default();
    marked
        || ["docker", "kubepods", "containerd", "lxc"]
            .iter()
            .any(|word| group.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v1_needs_the_memory_controller() {
        let cpu = b"30 25 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
        assert!(cgroup_versions(cpu).is_empty());
        let memory = b"31 25 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
        assert_eq!(cgroup_versions(memory), ["v1"]);
    }
}
