//! Control groups: membership, mounts, memory files of both versions; the finding of the place.
//! A NUL parts the process's `cgroup` from the `mountinfo`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memtide_proc::CgroupLocation;
use memtide_proc::parse::{cgroup, mountinfo};
use std::path::Component;

fuzz_target!(|bytes: &[u8]| {
    let _ = cgroup::parse_membership(bytes, |one| {
        let _ = (one.is_unified(), one.has_controller(b"memory"));
    });
    let _ = mountinfo::parse(bytes, |mount| {
        assert!(mountinfo::unescape(mount.root).count() <= mount.root.len());
    });
    let _ = (
        cgroup::parse_limit_v1(bytes),
        cgroup::parse_limit_v2("memory.max", bytes),
    );
    let _ = cgroup::parse_events("memory.events", bytes);
    let _ = (cgroup::parse_stat_v1(bytes), cgroup::parse_stat_v2(bytes));
    let mut parts = bytes.splitn(2, |&byte| byte == 0);
    if let (Some(membership), Some(mounts)) = (parts.next(), parts.next())
        && let Ok(Some(location)) = CgroupLocation::find(membership, mounts)
    {
        let mut below = location.below.components();
        let inside = below.all(|part| matches!(part, Component::Normal(_)));
        assert!(inside, "{location:?} does not leave its mount");
    }
});
