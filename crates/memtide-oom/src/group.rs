//! The control group of a kill as it is today, if it is still there.

use memtide_model::Cgroup;
use memtide_proc::{Buffer, CgroupLocation, MemoryCgroup};

/// Its figures; `None` where it is gone, or out of sight. `path` is as the kernel's log names it.
pub fn now(path: &str) -> Option<Cgroup> {
    let mounts = std::fs::read("/proc/self/mountinfo").ok()?;
    // The hierarchy of version 1, where the memory controller is bound to one.
    ["1:memory:", "0::"].iter().find_map(|hierarchy| {
        let membership = format!("{hierarchy}{path}\n");
        let location = CgroupLocation::find(membership.as_bytes(), &mounts).ok()??;
        let files = MemoryCgroup::open(&location).ok()?;
        files.read(&mut Buffer::new()).ok()
    })
}
