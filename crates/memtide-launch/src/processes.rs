//! The `stat` of every process of the machine, one after the other.
//!
//! There is no call that says who is in a process group, or who descends from whom: the kernel signals a
//! group without telling whom, and counts its zombies as members.

use memtide_proc::parse::stat::{self, Stat};
use memtide_proc::{Buffer, Listing, ProcRoot};

/// Calls `each` for every process that does not vanish before it is read (proc(5), `/proc/pid/stat`); false
/// where /proc cannot be read.
pub(crate) fn each(mut each: impl FnMut(&Stat<'_>)) -> bool {
    let Ok(root) = ProcRoot::system() else {
        return false;
    };
    let mut buffer = Buffer::new();
    let listed = root.for_each_process(&mut Listing::new(), |pid| {
        let process = root.process(pid);
        let bytes = process.and_then(|process| process.read("stat", &mut buffer));
        if let Ok(stat) = bytes.and_then(stat::parse) {
            each(&stat);
        }
    });
    listed.is_ok()
}

/// Whether it has not ended: zombies have.
pub(crate) const fn runs(stat: &Stat<'_>) -> bool {
    !matches!(stat.state, b'Z' | b'X')
}
