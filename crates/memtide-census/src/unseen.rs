//! What could not be seen, as sentences with what would allow it.

use memtide_model::{Census, text};
use memtide_proc::parse::mountinfo;
use memtide_proc::{Buffer, ProcRoot};

/// Counts of what was refused or left.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    /// Processes of which not even `stat` may be read.
    pub(crate) hidden: u64,
    /// Processes whose proportional set size may not be read.
    pub(crate) pss_denied: u64,
    /// The filesystem of POSIX queues is mounted nowhere.
    pub(crate) queues_not_mounted: bool,
    /// The kernel has no System V objects, or hides them.
    pub(crate) system_v_missing: bool,
    /// Queues whose size may not be read.
    pub(crate) queues_denied: u64,
    /// Folders of tmpfs that may not be read.
    pub(crate) folders_denied: u64,
    /// Files of tmpfs that were left, and whether there are more than that.
    pub(crate) files_left: u64,
    /// Deleted files that are mapped, not open, and may not be measured.
    pub(crate) unmeasured: u64,
}

const AS_ROOT: &str = "as root it can: sudo memtide ps";

impl Limits {
    /// Everything in sentences, each with its remedy.
    pub(crate) fn sentences(&self, root: &ProcRoot, census: &Census) -> Vec<String> {
        let mut told = Vec::new();
        let mut tell = |count: u64, noun: &str, rest: &str| {
            if count > 0 {
                told.push(format!("{} {rest}", text::plural(count, noun)));
            }
        };
        tell(
            self.hidden,
            "process",
            &format!("may not be looked at by this user; {AS_ROOT}"),
        );
        tell(
            census.descriptors_denied,
            "process",
            &format!("did not let this user see their descriptors; {AS_ROOT}"),
        );
        tell(
            self.pss_denied,
            "process",
            &format!("did not let this user read their proportional set size (PSS); {AS_ROOT}"),
        );
        tell(
            self.queues_denied,
            "message queue",
            &format!("did not tell their size; {AS_ROOT}"),
        );
        tell(
            self.folders_denied,
            "folder",
            &format!("in tmpfs could not be read; {AS_ROOT}"),
        );
        tell(
            self.files_left,
            "entry",
            "of tmpfs stayed unseen, after the first 50,000: du -x names what takes room there",
        );
        tell(
            self.unmeasured,
            "deleted file",
            &format!("mapped and not open could not be measured; {AS_ROOT}"),
        );
        if self.queues_not_mounted {
            told.push(
                "POSIX message queues that nobody holds open were not seen: their filesystem is not mounted; \
                 mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue shows them"
                    .to_owned(),
            );
        }
        if self.system_v_missing {
            told.push(
                "System V queues, segments and semaphores were not seen: there is no /proc/sysvipc"
                    .to_owned(),
            );
        }
        told.extend(hidden_by_mount(root));
        told
    }
}

/// Processes that /proc does not even list.
fn hidden_by_mount(root: &ProcRoot) -> Option<String> {
    let mut buffer = Buffer::new();
    let mounts = root.read("self/mountinfo", &mut buffer).ok()?;
    let hidepid = mountinfo::hidepid(mounts)?;
    let lists_all = matches!(hidepid, b"0" | b"off" | b"1" | b"noaccess");
    (!lists_all && !rustix::process::geteuid().is_root()).then(|| {
        let option = text::printable(hidepid);
        format!("/proc is mounted with hidepid={option}: processes of other users are not listed; {AS_ROOT}")
    })
}
