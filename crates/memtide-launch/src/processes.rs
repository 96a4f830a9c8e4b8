//! The `stat` of every process of the machine, one after the other.
//!
//! There is no call that says who is in a process group, or who descends from whom: the kernel signals a
//! group without telling whom, and counts its zombies as members.

use memtide_proc::parse::stat::Stat;
use memtide_proc::{Buffer, Listing, ProcRoot};

/// Calls `each` for every process that does not vanish before it is read (proc(5), `/proc/pid/stat`); false
/// where /proc cannot be read.
pub(crate) fn each(each: impl FnMut(&Stat<'_>)) -> bool {
    let Ok(root) = ProcRoot::system() else {
        return false;
    };
    let listed = root.for_each_stat(&mut Listing::new(), &mut Buffer::new(), each);
    listed.is_ok()
}

/// Whether it has not ended: zombies have.
pub(crate) const fn runs(stat: &Stat<'_>) -> bool {
    !matches!(stat.state, b'Z' | b'X')
}
