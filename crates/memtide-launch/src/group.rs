//! Who is in a process group (proc(5), `stat` field 5).

use crate::processes;

/// Whether anybody in the group runs, its leader left out. Where /proc cannot be read: nobody.
pub(crate) fn has_others(leader: u32) -> bool {
    let mut found = false;
    processes::each(|stat| {
        found |= stat.pid.0 != leader && stat.pgrp == i64::from(leader) && processes::runs(stat);
    });
    found
}
