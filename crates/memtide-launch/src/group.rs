//! Who is in a process group.
//!
//! There is no call that says so: the kernel signals a group without telling whom, and counts its zombies
//! as members. So `stat` of every process is read (proc(5), field 5).

use memtide_model::Pid;
use memtide_proc::parse::stat;
use memtide_proc::{Buffer, Listing, ProcRoot};

/// Whether anybody in the group runs, its leader left out. Where /proc cannot be read: nobody.
pub(crate) fn has_others(leader: u32) -> bool {
    let Ok(root) = ProcRoot::system() else {
        return false;
    };
    let mut buffer = Buffer::new();
    let mut found = false;
    let listed = root.for_each_process(&mut Listing::new(), |pid| {
        found |= pid.0 != leader && is_running_in(&root, pid, leader, &mut buffer);
    });
    listed.is_ok() && found
}

fn is_running_in(root: &ProcRoot, pid: Pid, group: u32, buffer: &mut Buffer) -> bool {
    let process = root.process(pid);
    let bytes = process.and_then(|process| process.read("stat", buffer));
    let stat = bytes.and_then(stat::parse);
    stat.is_ok_and(|stat| stat.pgrp == i64::from(group) && !matches!(stat.state, b'Z' | b'X'))
}
