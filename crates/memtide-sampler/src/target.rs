//! What a process is, before its first tick: names, age, software, limits, and what is out of sight.

use crate::error::{Error, ErrorKind};
use crate::host::{Access, Machine};
use crate::software::Clues;
use memtide_model::text::printable;
use memtide_model::{Bytes, Limits, Nanos, Pid, ProcessId, Target, Visibility};
use memtide_proc::parse::limits::{self, Limit};
use memtide_proc::parse::stat::Stat;
use memtide_proc::parse::{host, single};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Refuses a zombie, whose memory is gone, and a kernel thread, which never had any: it has no address
/// space, no command line, and descends from kthreadd, pid 2.
pub(crate) fn refuse_what_has_no_memory(root: &Path, stat: &Stat) -> Result<(), Error> {
    let pid = stat.pid;
    let name = printable(stat.comm);
    if matches!(stat.state, b'Z' | b'X') && stat.num_threads <= 1 {
        let message = format!("pid {pid} ({name}) is a zombie: it has ended");
        return Err(Error::new(ErrorKind::Zombie, message));
    }
    let is_kernel_thread = stat.vsize == Bytes::ZERO
        && (pid == Pid(2) || stat.ppid == Pid(2))
        && fs::read(root.join(pid.to_string()).join("cmdline")).is_ok_and(|line| line.is_empty());
    if is_kernel_thread {
        let message = format!("pid {pid} ({name}) is a kernel thread");
        return Err(Error::new(ErrorKind::KernelThread, message));
    }
    Ok(())
}

/// What is known from outside of the tick's own files.
pub(crate) struct Surroundings<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) access: Access,
    pub(crate) clues: &'a Clues,
    /// Path of its memory cgroup and the tightest limit on the way up, where they were found.
    pub(crate) cgroup: Option<(String, Option<Bytes>)>,
    pub(crate) boottime: Nanos,
    pub(crate) ticks_per_second: u64,
}

/// Describes the process whose `stat` was just read.
pub(crate) fn describe(stat: &Stat, uid: u32, around: &Surroundings) -> Target {
    let dir = around.machine.root.join(stat.pid.to_string());
    let exe = fs::read_link(dir.join("exe")).unwrap_or_default();
    let exe = printable(exe.as_os_str().as_bytes());
    let plain_exe = exe.strip_suffix(" (deleted)").unwrap_or(&exe);
    let exe_name = plain_exe.rsplit('/').next().unwrap_or_default();
    let software = around
        .clues
        .judge(&dir.join("exe"), exe_name, &dir.join("root"));
    let started = stat.starttime.0 as f64 / around.ticks_per_second.max(1) as f64;
    Target {
        id: ProcessId {
            pid: stat.pid,
            start: stat.starttime,
        },
        parent: (stat.ppid != Pid(0)).then_some(stat.ppid),
        name: printable(stat.comm),
        cmdline: cmdline(&dir),
        uid,
        age: around.boottime - Nanos::from_secs_f64(started),
        allocator: software.allocator,
        runtime: software.runtime,
        limits: bounds(around, &dir),
        cgroup: around.cgroup.as_ref().map(|(path, _)| path.clone()),
        unseen: unseen(around.access, stat.pid),
        exe,
    }
}

pub(crate) fn cmdline(dir: &Path) -> Vec<String> {
    let raw = fs::read(dir.join("cmdline")).unwrap_or_default();
    // A process that has written a title over its arguments (setproctitle) leaves zeros behind it.
    let end = raw.iter().rposition(|&byte| byte != 0);
    let Some(raw) = end.and_then(|end| raw.get(..=end)) else {
        return Vec::new();
    };
    raw.split(|&byte| byte == 0).map(printable).collect()
}

fn bounds(around: &Surroundings, dir: &Path) -> Limits {
    let own = fs::read(dir.join("limits")).ok();
    let own = own
        .and_then(|bytes| limits::parse(&bytes).ok())
        .unwrap_or_default();
    let soft = |limit: Option<Limit>| limit.and_then(|limit| limit.soft.value());
    let meminfo = fs::read(around.machine.root.join("meminfo")).ok();
    let max_map_count = fs::read(around.machine.root.join("sys/vm/max_map_count")).ok();
    Limits {
        address_space: soft(own.address_space).map(Bytes),
        data: soft(own.data).map(Bytes),
        stack: soft(own.stack).map(Bytes),
        descriptors: soft(own.open_files),
        processes: soft(own.processes),
        cgroup: around.cgroup.as_ref().and_then(|(_, limit)| *limit),
        mappings: max_map_count
            .and_then(|bytes| single::parse_number("max_map_count", &bytes).ok()),
        host: meminfo.and_then(|bytes| host::parse_meminfo(&bytes).ok()?.total),
    }
}

/// What this version, or this user, cannot see; and what would show it.
fn unseen(access: Access, pid: Pid) -> Vec<Visibility> {
    let mut list = Vec::new();
    if !access.is_full() {
        list.push(Visibility {
            what: "its mappings, descriptors and where its threads sleep".to_owned(),
            why: access.why(pid),
            remedy: access.remedy(),
        });
    }
    list.push(Visibility {
        what: Visibility::ALLOCATING_CODE.to_owned(),
        why: "nothing runs inside the process".to_owned(),
        remedy: "memtide run --heap sampled -- CMD, at little cost, or --heap full".to_owned(),
    });
    list
}
