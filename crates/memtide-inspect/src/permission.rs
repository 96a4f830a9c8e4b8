//! Why the kernel refuses, and the command that makes it agree.
//!
//! The kernel says only "not permitted". The reasons are looked up in the order in which they matter:
//! another user, a process that made itself unreadable, yama, a missing capability (ptrace(2), "Ptrace
//! access mode checking").

use crate::error::{Error, ErrorKind};
use memtide_model::Pid;
use memtide_proc::{Buffer, ProcRoot};
use std::os::unix::fs::MetadataExt as _;

/// `CAP_SYS_PTRACE`, as a bit of `CapEff`.
const SYS_PTRACE: u32 = 19;

/// What decides.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    own_user: Option<u32>,
    /// The target's real user.
    user: Option<u32>,
    /// Who owns its files in /proc: root, where the process is not "dumpable". (The directory itself
    /// keeps its owner.)
    owner: Option<u32>,
    /// `kernel.yama.ptrace_scope`.
    yama: Option<u8>,
    has_capability: bool,
}

/// The error for a process whose memory may not be read.
pub(crate) fn denied(root: &ProcRoot, pid: Pid) -> Error {
    let facts = facts(root, pid);
    let text = format!(
        "the kernel does not let memtide read the memory of process {pid}: {}",
        reason(&facts)
    );
    Error::new(ErrorKind::Denied, text)
}

fn facts(root: &ProcRoot, pid: Pid) -> Facts {
    let path = root.path().join(pid.to_string()).join("status");
    let number = |process: Pid, key: &str, base: u32| -> Option<u64> {
        let mut buffer = Buffer::new();
        let process = root.process(process).ok()?;
        let status = process.read("status", &mut buffer).ok()?;
        field(status, key, base)
    };
    let own = Pid(std::process::id());
    let user = |process| number(process, "Uid:", 10).and_then(|user| u32::try_from(user).ok());
    let mut buffer = Buffer::new();
    let scope = root.read("sys/kernel/yama/ptrace_scope", &mut buffer).ok();
    Facts {
        own_user: Some(rustix::process::geteuid().as_raw()),
        user: user(pid),
        owner: std::fs::metadata(path).ok().map(|status| status.uid()),
        yama: scope.and_then(|text| str::from_utf8(text).ok()?.trim().parse().ok()),
        has_capability: number(own, "CapEff:", 16).is_some_and(|bits| bits >> SYS_PTRACE & 1 == 1),
    }
}

/// The first number behind `key` at the start of a line.
fn field(status: &[u8], key: &str, base: u32) -> Option<u64> {
    let text = String::from_utf8_lossy(status);
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    u64::from_str_radix(line.split_whitespace().next()?, base).ok()
}

fn reason(facts: &Facts) -> String {
    let own = facts.own_user.unwrap_or(0);
    if facts.yama == Some(3) {
        return "kernel.yama.ptrace_scope is 3, which forbids it to everybody until the machine is \
                started again with another value"
            .to_owned();
    }
    if facts.has_capability {
        return "a security module (SELinux, AppArmor, a seccomp filter) or another user namespace \
                stands between; run memtide where the process was started from, on the host with \
                `sudo memtide`"
            .to_owned();
    }
    if own == 0 {
        return "memtide runs as root without CAP_SYS_PTRACE, as in a container; start the container \
                with `--cap-add SYS_PTRACE`, or run `sudo memtide` on the host"
            .to_owned();
    }
    if let Some(user) = facts.user.filter(|user| *user != own) {
        return format!(
            "it belongs to user {user}, and memtide runs as user {own}; run it as that user or as \
             root: `sudo memtide ...`"
        );
    }
    if facts.owner.is_some_and(|owner| owner != own) {
        return "it made itself unreadable (PR_SET_DUMPABLE 0, or a set-uid program); only root may \
                read it: `sudo memtide ...`"
            .to_owned();
    }
    match facts.yama {
        Some(2) => {
            "kernel.yama.ptrace_scope is 2, which leaves it to root: `sudo memtide ...`, or \
                    `sudo sysctl kernel.yama.ptrace_scope=0`"
                .to_owned()
        }
        Some(1) => "kernel.yama.ptrace_scope is 1, which allows it for child processes only; \
                    `sudo sysctl kernel.yama.ptrace_scope=0` allows it for all of your own, or run \
                    `sudo memtide ...`"
            .to_owned(),
        _ => "it has capabilities, groups or a security label that memtide has not; run as root: \
              `sudo memtide ...`"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with the yama setting, and the files of one process.
    fn root_with(yama: &str, user: u32) -> (tempfile::TempDir, ProcRoot) {
        let folder = tempfile::tempdir().unwrap();
        let yama_folder = folder.path().join("sys/kernel/yama");
        std::fs::create_dir_all(&yama_folder).unwrap();
        std::fs::write(yama_folder.join("ptrace_scope"), yama).unwrap();
        let process = folder.path().join("7");
        std::fs::create_dir(&process).unwrap();
        let status = format!("Name:\tx\nUid:\t{user}\t0\t0\t0\nCapEff:\t0000000000000000\n");
        std::fs::write(process.join("status"), status).unwrap();
        let root = ProcRoot::open(folder.path()).unwrap();
        (folder, root)
    }

    #[test]
    fn the_files_are_read_through_the_root() {
        let (_folder, root) = root_with("1\n", 1234);
        let facts = facts(&root, Pid(7));
        assert_eq!(facts.yama, Some(1));
        assert_eq!(facts.user, Some(1234));
        // This process is not in the tree, so nothing is known of its capabilities.
        assert!(!facts.has_capability);
        let (_folder, root) = root_with("3\n", 1234);
        let error = denied(&root, Pid(7));
        assert_eq!(error.kind(), ErrorKind::Denied);
        let text = error.to_string();
        assert!(
            text.contains("process 7: kernel.yama.ptrace_scope is 3"),
            "{text}"
        );
    }

    #[test]
    fn every_reason_has_its_remedy() {
        let same = Facts {
            own_user: Some(1000),
            user: Some(1000),
            owner: Some(1000),
            ..Facts::default()
        };
        for (facts, words) in [
            (
                Facts {
                    user: Some(0),
                    ..same
                },
                ["belongs to user 0", "sudo memtide"],
            ),
            (
                Facts {
                    owner: Some(0),
                    ..same
                },
                ["PR_SET_DUMPABLE", "sudo memtide"],
            ),
            (
                Facts {
                    yama: Some(1),
                    ..same
                },
                ["ptrace_scope is 1", "sysctl kernel.yama.ptrace_scope=0"],
            ),
            (
                Facts {
                    yama: Some(2),
                    ..same
                },
                ["ptrace_scope is 2", "sudo memtide"],
            ),
            (
                Facts {
                    own_user: Some(0),
                    ..same
                },
                ["CAP_SYS_PTRACE", "--cap-add SYS_PTRACE"],
            ),
            (
                Facts {
                    has_capability: true,
                    ..same
                },
                ["security module", "on the host"],
            ),
        ] {
            let reason = reason(&facts);
            for word in words {
                assert!(reason.contains(word), "{facts:?}: {reason}");
            }
        }
    }
}
