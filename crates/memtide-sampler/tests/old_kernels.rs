//! Kernels that are not at hand, as trees of files.
//!
//! The files are made by hand after the formats of the kernels that they stand for (proc(5), and
//! fs/proc of those versions); they were not recorded on such machines.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use memtide_model::{Bytes, MappingClass, Pid, Tick};
use memtide_sampler::doctor::{Check, State, examine};
use memtide_sampler::{ErrorKind, Options, Outcome, Sampler};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const PID: Pid = Pid(4242);

struct Tree(tempfile::TempDir);

impl Tree {
    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn remove(&self, name: &str) {
        let path = self.root().join(name);
        if path.is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
        .unwrap();
    }

    fn open(&self) -> Sampler {
        Sampler::open(PID, &self.options()).unwrap()
    }

    fn options(&self) -> Options {
        Options {
            proc_root: self.root().to_owned(),
            ..Options::default()
        }
    }

    fn doctor(&self) -> Vec<Check> {
        examine(self.root(), Some(PID)).unwrap()
    }
}

fn tick(sampler: &mut Sampler) -> Tick {
    match sampler.tick().unwrap() {
        Outcome::Tick(tick) => *tick,
        Outcome::Ended(events) => panic!("it ended: {events:?}"),
    }
}

const STAT: &str = "4242 (daemon) S 1 4242 4242 0 -1 4202496 1000 0 7 0 12 8 0 0 20 0 2 0 5000 \
    104857600 2560 18446744073709551615 4194304 4198400 140737488347136 0 0 0 0 0 0 0 0 0 17 1 0 0 \
    0 0 0 6291456 6295552 30000000 0 0 0 0 0\n";

/// One mapping of smaps as Linux 3.10 prints it: no `LazyFree`, no `ShmemPmdMapped`.
fn block(header: &str, size: u64, rss: u64, anonymous: u64) -> String {
    format!(
        "{header}\nSize:           {size:>8} kB\nRss:            {rss:>8} kB\n\
         Pss:            {rss:>8} kB\nShared_Clean:          0 kB\nShared_Dirty:          0 kB\n\
         Private_Clean:         0 kB\nPrivate_Dirty:  {rss:>8} kB\nReferenced:     {rss:>8} kB\n\
         Anonymous:      {anonymous:>8} kB\nAnonHugePages:         0 kB\nSwap:                  0 kB\n\
         KernelPageSize:        4 kB\nMMUPageSize:           4 kB\nLocked:                0 kB\n\
         VmFlags: rd wr mr mw me ac sd \n"
    )
}

fn smaps_3_10() -> String {
    [
        block("00400000-00401000 r-xp 00000000 08:01 1234                               /usr/sbin/daemon", 4, 4, 0),
        block("01c9c000-0209c000 rw-p 00000000 00:00 0                                  [heap]", 4096, 4000, 4000),
        block("7f0000000000-7f0000021000 rw-p 00000000 00:00 0 ", 132, 100, 100),
        block("7f0000021000-7f0004000000 ---p 00000000 00:00 0 ", 65404, 0, 0),
        block("7f0010000000-7f0010001000 ---p 00000000 00:00 0 ", 4, 0, 0),
        block("7f0010001000-7f0010801000 rw-p 00000000 00:00 0                          [stack:4243]", 8192, 64, 64),
        block("7f0020000000-7f0020600000 rw-p 00000000 00:00 0 ", 6144, 6000, 6000),
        block("7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]", 132, 72, 72),
    ]
    .concat()
}

/// A machine like RHEL 7: Linux 3.10, cgroup v1, no pressure, no `RssAnon`.
fn rhel7() -> Tree {
    let tree = Tree(tempfile::tempdir().unwrap());
    tree.write(
        "self/status",
        "Name:\tmemtide\nUid:\t1000\t1000\t1000\t1000\nCapEff:\t0000000000000000\n",
    );
    tree.write("sys/kernel/osrelease", "3.10.0-1160.el7.x86_64\n");
    tree.write("sys/vm/max_map_count", "65530\n");
    tree.write("meminfo", "MemTotal:        8000000 kB\nMemFree:          900000 kB\nBuffers:               0 kB\nCached:          3000000 kB\nShmem:             10000 kB\nSUnreclaim:        50000 kB\nSwapTotal:             0 kB\nSwapFree:              0 kB\nCommitted_AS:    4000000 kB\nPageTables:         9000 kB\n");
    tree.write("4242/stat", STAT);
    tree.write("4242/statm", "25600 2560 300 1 0 2000 0\n");
    tree.write("4242/status", "Name:\tdaemon\nState:\tS (sleeping)\nTgid:\t4242\nPid:\t4242\nPPid:\t1\nTracerPid:\t0\nUid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nFDSize:\t64\nGroups:\t1000 \nVmPeak:\t  102400 kB\nVmSize:\t  102400 kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\nVmHWM:\t   10240 kB\nVmRSS:\t   10240 kB\nVmData:\t    8000 kB\nVmStk:\t     132 kB\nVmExe:\t       4 kB\nVmLib:\t    2000 kB\nVmPTE:\t      80 kB\nVmSwap:\t       0 kB\nThreads:\t2\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t3\n");
    tree.write("4242/smaps", smaps_3_10());
    tree.write("4242/cmdline", b"/usr/sbin/daemon\0--flag\0");
    tree.write("4242/comm", "daemon\n");
    tree.write("4242/limits", "Limit                     Soft Limit           Hard Limit           Units     \nMax stack size            8388608              unlimited            bytes     \nMax open files            1024                 4096                 files     \nMax address space         unlimited            unlimited            bytes     \n");
    tree.write("4242/oom_score", "7\n");
    tree.write("4242/task/4242/stat", STAT);
    tree.write(
        "4242/task/4243/stat",
        STAT.replace("4242 (daemon) S", "4243 (worker) S"),
    );
    tree.write("4242/task/4242/wchan", "poll_schedule_timeout");
    fs::create_dir_all(tree.root().join("4242/fd")).unwrap();
    for (number, link) in [
        "/dev/null",
        "socket:[77]",
        "pipe:[5]",
        "anon_inode:[eventpoll]",
        "/tmp/x (deleted)",
    ]
    .iter()
    .enumerate()
    {
        symlink(link, tree.root().join(format!("4242/fd/{number}"))).unwrap();
    }
    tree
}

/// A v1 memory cgroup with a limit of 64 MiB, mounted inside the tree.
fn add_cgroup_v1(tree: &Tree) -> PathBuf {
    let mount = tree.root().join("cgroup/memory");
    tree.write(
        "4242/cgroup",
        "5:memory:/system.slice/daemon.service\n4:cpu:/\n",
    );
    tree.write(
        "self/mountinfo",
        format!(
            "31 25 0:27 / {} rw - cgroup cgroup rw,memory\n",
            mount.display()
        ),
    );
    let group = "cgroup/memory/system.slice/daemon.service";
    tree.write(&format!("{group}/memory.usage_in_bytes"), "20000000\n");
    tree.write(&format!("{group}/memory.limit_in_bytes"), "67108864\n");
    tree.write(&format!("{group}/memory.failcnt"), "3\n");
    tree.write(
        &format!("{group}/memory.oom_control"),
        "oom_kill_disable 0\nunder_oom 0\n",
    );
    tree.write(
        &format!("{group}/memory.stat"),
        "cache 100\nrss 200\ntotal_cache 3000000\ntotal_rss 15000000\n",
    );
    mount
}

#[test]
fn linux_3_10_gives_all_that_it_has_and_nothing_that_it_has_not() {
    let tree = rhel7();
    add_cgroup_v1(&tree);
    let mut sampler = tree.open();
    let target = sampler.target();
    assert_eq!(target.cmdline, ["/usr/sbin/daemon", "--flag"]);
    assert_eq!(target.limits.descriptors, Some(1024));
    assert_eq!(target.limits.address_space, None);
    assert_eq!(target.limits.cgroup, Some(Bytes(64 << 20)));
    assert_eq!(
        target.cgroup.as_deref(),
        Some("/system.slice/daemon.service")
    );

    let tick = tick(&mut sampler);
    let memory = tick.sample.memory;
    assert_eq!(
        memory.rss,
        Bytes(2560 * memtide_sampler::clock::page_size().0)
    );
    assert_eq!(memory.page_tables, Some(Bytes::from_kib(80)));
    assert_eq!(
        (memory.rss_anon, memory.rss_file, memory.rss_shmem),
        (None, None, None)
    );
    let maps = tick.sample.maps.unwrap();
    for (class, count, rss) in [
        (MappingClass::Heap, 1, 4000),
        (MappingClass::Arena, 1, 100),
        (MappingClass::Stack, 1, 64),
        (MappingClass::MainStack, 1, 72),
        (MappingClass::Anon, 1, 6000),
        (MappingClass::File, 1, 4),
        (MappingClass::Guard, 2, 0),
    ] {
        let totals = maps.classes.get(class);
        assert_eq!(
            (totals.count, totals.rss),
            (count, Bytes::from_kib(rss)),
            "{class:?}"
        );
    }
    assert_eq!(tick.threads.unwrap().len(), 2);
    let descriptors = tick.sample.counts.descriptors.unwrap();
    assert_eq!(descriptors.total, 5);
    assert_eq!(
        (descriptors.socket, descriptors.pipe, descriptors.epoll),
        (1, 1, 1)
    );
    assert_eq!((descriptors.file, descriptors.deleted), (1, 1));
    let host = tick.sample.host.unwrap();
    assert_eq!((host.available, host.pressure), (None, None));
    let cgroup = tick.sample.cgroup.unwrap();
    assert_eq!(
        (cgroup.current, cgroup.limit),
        (Bytes(20_000_000), Some(Bytes(64 << 20)))
    );
    assert_eq!((cgroup.oom_kills, cgroup.limit_hits), (None, Some(3)));
}

#[test]
fn doctor_says_what_an_old_kernel_lacks() {
    let tree = rhel7();
    let checks = tree.doctor();
    let find = |word: &str| {
        checks
            .iter()
            .find(|check| check.what.contains(word))
            .unwrap()
    };
    assert_eq!(find("memory counters").state, State::Works);
    assert_eq!(find("smaps").state, State::Works);
    assert!(
        find("smaps").why.contains("no smaps_rollup"),
        "{:?}",
        find("smaps")
    );
    assert_eq!(find("pressure").state, State::Degraded);
    assert_eq!(find("children").state, State::Degraded);
    assert_eq!(find("RSS by").state, State::Degraded);
    assert!(find("RSS by").why.contains("3.10"), "{:?}", find("RSS by"));
    assert_eq!(find("control groups").state, State::Denied);
}

#[test]
fn cgroup_v2_has_no_limit_until_one_is_set_above() {
    let tree = rhel7();
    let mount = tree.root().join("unified");
    tree.write("4242/cgroup", "0::/app.slice/daemon.service\n");
    tree.write(
        "self/mountinfo",
        format!("31 25 0:27 / {} rw - cgroup2 cgroup2 rw\n", mount.display()),
    );
    tree.write("unified/cgroup.controllers", "cpu memory pids\n");
    let group = "unified/app.slice/daemon.service";
    tree.write(&format!("{group}/memory.current"), "30000000\n");
    tree.write(&format!("{group}/memory.max"), "max\n");
    tree.write(&format!("{group}/memory.high"), "50000000\n");
    tree.write(
        &format!("{group}/memory.events"),
        "low 0\nhigh 12\nmax 4\noom 1\noom_kill 2\n",
    );
    tree.write(
        &format!("{group}/memory.stat"),
        "anon 20000000\nfile 5000000\nkernel 100000\nshmem 4096\n",
    );
    let cgroup = tick(&mut tree.open()).sample.cgroup.unwrap();
    assert_eq!((cgroup.current, cgroup.limit), (Bytes(30_000_000), None));
    assert_eq!(
        (cgroup.high, cgroup.anon),
        (Some(Bytes(50_000_000)), Some(Bytes(20_000_000)))
    );
    assert_eq!((cgroup.oom_kills, cgroup.limit_hits), (Some(2), Some(4)));
    tree.write("unified/app.slice/memory.max", "104857600\n");
    let cgroup = tick(&mut tree.open()).sample.cgroup.unwrap();
    assert_eq!(
        cgroup.limit,
        Some(Bytes(100 << 20)),
        "the limit of the group above"
    );
    assert_eq!(
        examine(tree.root(), None)
            .unwrap()
            .iter()
            .filter(|c| c.what.contains("(v2)"))
            .count(),
        1
    );
}

#[test]
fn a_tree_that_loses_the_process_says_that_it_ended() {
    let tree = rhel7();
    let mut sampler = tree.open();
    tick(&mut sampler);
    tree.write(
        "4242/stat",
        STAT.replace("(daemon) S", "(daemon) Z")
            .replace(" 20 0 2 0 5000 104857600", " 20 0 1 0 5000 0"),
    );
    let Outcome::Ended(events) = sampler.tick().unwrap() else {
        panic!("a zombie has ended")
    };
    assert_eq!(events[0].kind, memtide_model::EventKind::Exit);
    assert!(
        events
            .iter()
            .any(|event| event.kind == memtide_model::EventKind::Zombie)
    );
}

#[test]
fn what_is_not_there_is_an_error_of_its_own_kind() {
    let tree = rhel7();
    let kind = |pid| Sampler::open(Pid(pid), &tree.options()).unwrap_err().kind();
    assert_eq!(kind(1), ErrorKind::NoSuchProcess);
    tree.write(
        "9/stat",
        STAT.replace("4242 (daemon) S 1", "9 (kworker/0:1) I 2")
            .replace("104857600", "0"),
    );
    tree.write("9/status", "Name:\tkworker/0:1\nUid:\t0\t0\t0\t0\n");
    tree.write("9/cmdline", "");
    tree.write("9/smaps", "");
    assert_eq!(kind(9), ErrorKind::KernelThread);
    tree.remove("self");
    assert_eq!(kind(4242), ErrorKind::NoProc);
}

#[test]
fn doctor_names_the_setting_that_forbids() {
    let tree = rhel7();
    tree.write("sys/kernel/yama/ptrace_scope", "1\n");
    tree.write("sys/kernel/perf_event_paranoid", "4\n");
    tree.write(
        "self/mountinfo",
        "22 1 0:20 / /proc rw,nosuid - proc proc rw,gid=5,hidepid=2\n",
    );
    let checks = tree.doctor();
    let remedy = |word: &str| {
        let check = checks.iter().find(|check| check.what.contains(word));
        check.unwrap().remedy.clone()
    };
    assert!(remedy("live and free").contains("sysctl kernel.yama.ptrace_scope=0"));
    assert!(remedy("every fork").contains("sysctl kernel.perf_event_paranoid=2"));
    assert!(remedy("all pids").contains("remount,hidepid=0"));
    assert!(remedy("other users").contains("setcap cap_sys_ptrace"));
    // The same machine, seen from inside a container.
    tree.write("1/cgroup", "0::/kubepods/pod1/abc\n");
    let checks = tree.doctor();
    let other = checks
        .iter()
        .find(|check| check.what.contains("other users"))
        .unwrap();
    for words in [
        "docker run --cap-add SYS_PTRACE",
        "kubectl debug",
        "shareProcessNamespace",
    ] {
        assert!(other.remedy.contains(words), "{words}: {}", other.remedy);
    }
}

#[test]
fn a_process_out_of_reach_is_told_from_one_that_hides() {
    let tree = rhel7();
    // What the kernel would refuse to open, as a link to nothing.
    tree.remove("4242/smaps");
    symlink("/nonexistent", tree.root().join("4242/smaps")).unwrap();
    let hidden = tree.doctor();
    let smaps = hidden
        .iter()
        .find(|check| check.what.contains("(smaps)"))
        .unwrap();
    assert_eq!(smaps.state, State::Denied, "{smaps:?}");
    // Its own user's: watched with what is left, and the report says what is missing.
    let mut sampler = tree.open();
    assert!(
        sampler
            .target()
            .unseen
            .iter()
            .any(|unseen| unseen.why.contains("dumpable"))
    );
    let sample = tick(&mut sampler).sample;
    assert_eq!(
        (sample.maps, sample.memory.page_tables),
        (None, Some(Bytes::from_kib(80)))
    );
    // Somebody else's: refused, with the user that it belongs to.
    let status = fs::read_to_string(tree.root().join("4242/status")).unwrap();
    tree.write(
        "4242/status",
        status.replace("Uid:\t1000\t1000", "Uid:\t33\t33"),
    );
    let error = Sampler::open(PID, &tree.options()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("belongs to uid 33"), "{error}");
}
