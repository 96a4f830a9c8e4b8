//! Files of kernels that are not at hand, from hand-made fixture trees (see `fixtures/README.md`).

mod common;

use common::fixture;
use memtide_model::{Bytes, Pid, StartTime, Tid};
use memtide_proc::parse::limits::Bound;
use memtide_proc::parse::smaps::{SmapsParser, Summary};
use memtide_proc::parse::{cgroup, host, limits, maps, smaps, stat, statm, status};
use memtide_proc::{
    Buffer, Listing, ProcRoot, SmapsOutcome, SmapsReader, ThreadEvent, ThreadFiles,
};

const KERNELS: [&str; 4] = ["3.10", "4.4", "5.10", "6.1"];

#[expect(
    clippy::unnecessary_wraps,
    reason = "what it is compared with may be absent"
)]
fn kib(value: u64) -> Option<Bytes> {
    Some(Bytes::from_kib(value))
}

#[test]
fn status_of_every_kernel_has_what_it_prints_and_no_more() {
    for kernel in KERNELS {
        let text = fixture(&format!("linux-{kernel}/1234/status"));
        let status = status::parse(&text).unwrap();
        assert_eq!(status.name, b"slowd");
        assert_eq!(status.state, Some(b'S'));
        assert_eq!((status.tgid, status.ppid), (Some(Pid(1234)), Some(Pid(1))));
        assert_eq!((status.tracer, status.uid), (None, Some(48)));
        assert_eq!(status.threads, Some(2));
        assert_eq!(status.voluntary_switches, Some(1503));
        assert_eq!(status.involuntary_switches, Some(26));
        let memory = status.memory().unwrap();
        assert_eq!(memory.rss, Bytes::from_kib(120_000_748));
        assert_eq!(memory.size, Bytes::from_kib(130_300_000));
        assert_eq!(memory.peak_size, kib(130_310_000));
        assert_eq!(memory.peak_rss, kib(120_001_000));
        assert_eq!((memory.data, memory.stack), (kib(130_200_000), kib(132)));
        assert_eq!((memory.text, memory.libraries), (kib(328), kib(2048)));
        assert_eq!(
            (memory.swap, memory.locked, memory.pinned),
            (kib(1024), kib(0), kib(0))
        );
        let newer = matches!(kernel, "5.10" | "6.1");
        assert_eq!(
            memory.rss_anon,
            kib(120_000_164).filter(|_| newer),
            "{kernel}"
        );
        assert_eq!(memory.rss_file, kib(328).filter(|_| newer), "{kernel}");
        assert_eq!(memory.rss_shmem, kib(256).filter(|_| newer), "{kernel}");
        assert_eq!(
            memory.hugetlb,
            kib(0).filter(|_| kernel != "3.10"),
            "{kernel}"
        );
        // In 4.4 the levels stand in two lines.
        let tables = if kernel == "4.4" { 64_940 } else { 64_800 };
        assert_eq!(memory.page_tables, kib(tables), "{kernel}");
        let innermost = Some(Pid(7)).filter(|_| kernel != "3.10");
        assert_eq!(status.innermost_pid, innermost, "{kernel}");
        assert_eq!(status.seccomp, Some(if newer { 2 } else { 0 }), "{kernel}");
    }
}

#[test]
fn status_of_a_kernel_thread_has_no_memory() {
    let text = b"Name:\tkthreadd\nState:\tS (sleeping)\nTgid:\t2\nPid:\t2\nPPid:\t0\nThreads:\t1\n";
    let status = status::parse(text).unwrap();
    assert_eq!(status.memory(), None);
    assert_eq!(status.ppid, Some(Pid(0)));
}

#[test]
fn a_status_value_that_is_no_size_is_refused_by_its_line() {
    for line in [
        "VmRSS:\t12 MB",
        "VmRSS:\t12",
        "VmRSS:\tx kB",
        "VmRSS:\t99999999999999999999 kB",
    ] {
        let text = format!("Name:\tx\n{line}\n");
        let error = status::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("record 2"), "{line}: {error}");
    }
}

#[test]
fn smaps_of_every_kernel_is_read_in_full() {
    for kernel in KERNELS {
        let text = fixture(&format!("linux-{kernel}/1234/smaps"));
        let mut names = Vec::new();
        let mut heap = None;
        let mut rss = Bytes::ZERO;
        let summary = smaps::parse(&text, |entry| {
            names.push(String::from_utf8(entry.map.name.to_vec()).unwrap());
            rss += entry.sizes.rss.unwrap();
            if entry.map.name == b"[heap]" {
                heap = Some((entry.sizes, entry.map.size()));
            }
        });
        let bytes = text.len() as u64;
        assert_eq!(summary.unwrap(), Summary { mappings: 7, bytes });
        assert_eq!(rss, Bytes::from_kib(120_000_748), "{kernel}");
        let daemon = "/usr/sbin/slowd";
        let shm = "/SYSV00000000 (deleted)";
        assert_eq!(
            names,
            [daemon, daemon, "[heap]", "", shm, "[stack]", "[vsyscall]"]
        );
        let (sizes, size) = heap.unwrap();
        assert_eq!(size, Bytes(0x1f_0000_0000));
        assert_eq!(sizes.rss, kib(120_000_000));
        assert_eq!(sizes.pss, kib(119_999_000));
        assert_eq!(
            (sizes.private_clean, sizes.private_dirty),
            (kib(0), kib(119_999_000))
        );
        assert_eq!(
            (sizes.referenced, sizes.anonymous),
            (kib(32_000_000), kib(119_999_000))
        );
        assert_eq!(
            (sizes.anon_huge_pages, sizes.swap),
            (kib(30_720), kib(1024))
        );
        assert_eq!(sizes.locked, kib(0));
        assert_eq!(
            sizes.swap_pss,
            kib(512).filter(|_| kernel != "3.10"),
            "{kernel}"
        );
        let newer = matches!(kernel, "5.10" | "6.1");
        assert_eq!(sizes.lazy_free, kib(4).filter(|_| newer), "{kernel}");
        assert_eq!(sizes.shmem_pmd_mapped, kib(0).filter(|_| newer), "{kernel}");
    }
}

#[test]
fn the_layout_of_every_kernel_is_learnt() {
    for kernel in KERNELS {
        let text = fixture(&format!("linux-{kernel}/1234/smaps"));
        let mut parser = SmapsParser::new();
        parser.feed(&text, true, |_| ()).unwrap();
        // The first teaches the layout; the heap has values of nine digits, which shift what follows.
        assert_eq!(
            (parser.mappings(), parser.read_by_line()),
            (7, 2),
            "{kernel}"
        );
        parser.restart();
        parser.feed(&text, true, |_| ()).unwrap();
        assert_eq!(
            (parser.mappings(), parser.read_by_line()),
            (7, 1),
            "{kernel}"
        );
    }
}

#[test]
fn a_block_that_only_looks_like_the_layout_is_read_by_line() {
    let text = String::from_utf8(fixture("linux-3.10/1234/smaps")).unwrap();
    // No kernel prints that: a line of its own where the second block has the columns of its size.
    let size = "Size:                  8 kB\n";
    let forged = text.replacen(size, "Size:\nSwapPss: 7 kB\nXXXX kB\n", 1);
    assert_eq!((forged.len(), text.contains(size)), (text.len(), true));
    let mut found = Vec::new();
    smaps::parse(forged.as_bytes(), |entry| found.push(entry.sizes.swap_pss)).unwrap();
    assert_eq!(found, [None, kib(7), None, None, None, None, None]);
}

#[test]
fn smaps_handed_out_in_any_pieces_is_the_same() {
    let text = fixture("linux-6.1/1234/smaps");
    let mut whole = Vec::new();
    smaps::parse(&text, |entry| whole.push((entry.map.start, entry.sizes))).unwrap();
    for piece in [1, 7, 100, 700, 4096] {
        let mut parser = SmapsParser::new();
        let mut found = Vec::new();
        let mut held: Vec<u8> = Vec::new();
        for bytes in text.chunks(piece).chain([&[][..]]) {
            held.extend(bytes);
            let feed = |entry: &smaps::SmapsEntry<'_>| found.push((entry.map.start, entry.sizes));
            let done = parser.feed(&held, bytes.is_empty(), feed).unwrap();
            held.drain(..done);
        }
        assert_eq!(found, whole, "pieces of {piece} bytes");
    }
}

#[test]
fn the_rollup_is_the_sum() {
    for kernel in ["5.10", "6.1"] {
        let text = fixture(&format!("linux-{kernel}/1234/smaps_rollup"));
        let sizes = smaps::parse_rollup(&text).unwrap();
        assert_eq!(sizes.rss, kib(120_000_748));
        assert_eq!(sizes.pss, kib(119_999_620));
        assert_eq!((sizes.swap, sizes.swap_pss), (kib(1024), kib(512)));
        assert_eq!((sizes.lazy_free, sizes.locked), (kib(4), kib(0)));
    }
    assert!(smaps::parse_rollup(b"").is_err());
    assert!(smaps::parse_rollup(&fixture("linux-6.1/1234/smaps")).is_err());
}

#[test]
fn maps_and_smaps_agree() {
    for kernel in KERNELS {
        let maps = fixture(&format!("linux-{kernel}/1234/maps"));
        let smaps = fixture(&format!("linux-{kernel}/1234/smaps"));
        let mut of_maps = Vec::new();
        assert_eq!(maps::parse(&maps, |entry| of_maps.push(entry)).unwrap(), 7);
        let mut index = 0;
        smaps::parse(&smaps, |entry| {
            assert_eq!(entry.map, of_maps[index]);
            index += 1;
        })
        .unwrap();
        assert_eq!((of_maps[4].is_shared(), of_maps[4].inode), (true, 163_840));
        assert_eq!((of_maps[0].device.major, of_maps[0].offset), (0xfd, 0));
    }
}

#[test]
fn stat_and_statm_are_read() {
    let text = fixture("linux-3.10/1234/stat");
    let stat = stat::parse(&text).unwrap();
    assert_eq!(
        (stat.pid, stat.comm, stat.state),
        (Pid(1234), &b"slowd"[..], b'S')
    );
    assert_eq!((stat.ppid, stat.pgrp, stat.session), (Pid(1), 1234, 1234));
    assert_eq!((stat.min_flt, stat.maj_flt), (30_000_187, 17));
    assert_eq!((stat.utime, stat.stime, stat.num_threads), (9000, 1500, 2));
    assert_eq!(stat.starttime, StartTime(4711));
    assert_eq!(
        (stat.vsize, stat.rss_pages),
        (Bytes(133_427_200_000), 30_000_187)
    );
    assert_eq!(
        (stat.startcode, stat.startstack),
        (4_194_304, 140_734_757_912_048)
    );
    assert_eq!(stat.exit_code, Some(0));
    let statm = statm::parse(&fixture("linux-3.10/1234/statm")).unwrap();
    assert_eq!(
        statm.resident.to_bytes(Bytes(4096)),
        Bytes::from_kib(120_000_748)
    );
}

#[test]
fn a_name_with_parentheses_and_newlines_is_found() {
    let text = fixture("linux-4.4/1234/task/1240/stat");
    let whole = stat::parse(&text).unwrap();
    assert_eq!(whole.comm, b"a) b\n(\xff");
    assert_eq!(whole.num_threads, 2);
    let part = stat::parse_thread(&text).unwrap();
    assert_eq!(part.comm, whole.comm);
    assert_eq!(
        (part.state, part.min_flt, part.maj_flt),
        (b'S', 250_187, 17)
    );
    assert_eq!(
        (part.utime, part.stime, part.starttime),
        (1000, 100, StartTime(4800))
    );
}

#[test]
fn a_stat_without_an_exit_code_is_no_error() {
    let text = fixture("linux-3.10/1234/stat");
    let fields = text.split(|&byte| byte == b' ').count();
    let shorter: Vec<&[u8]> = text.split(|&byte| byte == b' ').take(fields - 1).collect();
    let shorter = [&shorter.join(&b' ')[..], b"\n"].concat();
    assert_eq!(stat::parse(&shorter).unwrap().exit_code, None);
}

#[test]
fn the_machine_is_read() {
    for kernel in KERNELS {
        let info = host::parse_meminfo(&fixture(&format!("linux-{kernel}/meminfo"))).unwrap();
        assert_eq!((info.total, info.free), (kib(263_000_000), kib(1_204_344)));
        assert_eq!(info.available, kib(20_480_000).filter(|_| kernel != "3.10"));
        assert_eq!((info.cached, info.shmem), (kib(18_000_000), kib(9000)));
        assert_eq!(
            (info.slab_unreclaimable, info.page_tables),
            (kib(300_000), kib(70_000))
        );
        assert_eq!(info.committed, kib(41_234_567));
        assert_eq!(
            (info.swap_total, info.swap_free),
            (kib(2_097_148), kib(1_900_000))
        );
    }
    let pressure = host::parse_pressure(&fixture("linux-5.10/pressure/memory")).unwrap();
    assert_eq!((pressure.some_us, pressure.full_us), (1_234_567, 234_567));
}

#[test]
fn limits_are_read() {
    let limits = limits::parse(&fixture("linux-3.10/1234/limits")).unwrap();
    let soft = |limit: Option<limits::Limit>| limit.unwrap().soft;
    assert_eq!(soft(limits.address_space), Bound::AtMost(68_719_476_736));
    assert_eq!(soft(limits.data), Bound::Unlimited);
    assert_eq!(soft(limits.stack), Bound::AtMost(8 << 20));
    assert_eq!(limits.stack.unwrap().hard, Bound::Unlimited);
    assert_eq!(soft(limits.locked), Bound::AtMost(65_536));
    assert_eq!(limits.open_files.unwrap().hard, Bound::AtMost(4096));
    assert_eq!(soft(limits.processes).value(), Some(15_083));
}

#[test]
fn cgroup_files_of_both_versions_are_read() {
    let limit = cgroup::parse_limit_v1(&fixture("cgroup-v1/memory.limit_in_bytes"));
    assert_eq!(limit.unwrap(), Some(Bytes(2 << 30)));
    for unlimited in [
        &b"9223372036854771712\n"[..],
        b"9223372036854775807\n",
        b"9223372036854710272\n",
    ] {
        assert_eq!(cgroup::parse_limit_v1(unlimited).unwrap(), None);
    }
    let control = fixture("cgroup-v1/memory.oom_control");
    let events = cgroup::parse_events("memory.oom_control", &control).unwrap();
    assert_eq!((events.oom_kills, events.under_oom), (Some(3), Some(false)));
    let stat = cgroup::parse_stat_v1(&fixture("cgroup-v1/memory.stat")).unwrap();
    let part = (stat.anon, stat.file, stat.shmem, stat.kernel);
    assert_eq!(
        part,
        (
            Some(Bytes(1_069_547_520)),
            Some(Bytes(40_960)),
            Some(Bytes(4096)),
            None
        )
    );

    let max = cgroup::parse_limit_v2("memory.max", &fixture("cgroup-v2/slowd.service/memory.max"));
    assert_eq!(max.unwrap(), None);
    assert!(
        cgroup::parse_limit_v2("memory.max", b"max").is_err(),
        "cut off"
    );
    let events = fixture("cgroup-v2/slowd.service/memory.events");
    let events = cgroup::parse_events("memory.events", &events).unwrap();
    let counts = (events.oom_kills, events.limit_hits, events.high_hits);
    assert_eq!(counts, (Some(1), Some(41), Some(9)));
    // Before 5.18 there was slab, and no kernel.
    let stat = cgroup::parse_stat_v2(b"anon 1\nfile 2\nslab 3\n").unwrap();
    assert_eq!(stat.kernel, Some(Bytes(3)));
    let stat = cgroup::parse_stat_v2(b"kernel 4\nslab 3\n").unwrap();
    assert_eq!(stat.kernel, Some(Bytes(4)));
}

#[test]
fn a_fixture_tree_is_read_like_the_system() {
    let root = ProcRoot::open(&common::fixtures().join("linux-3.10")).unwrap();
    assert!(!root.counts_descriptors());
    let mut listing = Listing::new();
    let mut pids = Vec::new();
    root.for_each_process(&mut listing, |pid| pids.push(pid))
        .unwrap();
    assert_eq!(pids, [Pid(1234)]);
    assert!(root.process(Pid(1)).unwrap_err().is_gone());

    let process = root.process(Pid(1234)).unwrap();
    let mut buffer = Buffer::new();
    let missing = process.keep("smaps_rollup").unwrap_err();
    assert_eq!(
        missing.kind(),
        memtide_proc::ErrorKind::Missing,
        "{missing}"
    );
    let mut reader = SmapsReader::open(&process).unwrap();
    let mut mappings = 0;
    let outcome = reader.for_each(&mut buffer, |_| mappings += 1).unwrap();
    assert!(matches!(outcome, SmapsOutcome::Read(summary) if summary.mappings == 7));
    assert_eq!(mappings, 7);

    let mut threads = ThreadFiles::open(&process, &mut listing).unwrap();
    let mut faults = Vec::new();
    let sweep = threads.sweep(&mut buffer, |tid, event| match event {
        ThreadEvent::Read(stat) => faults.push((tid, stat.min_flt)),
        ThreadEvent::Ended => panic!("none has ended"),
    });
    assert_eq!(sweep.unwrap().read, 2);
    assert_eq!(faults, [(Tid(1234), 8_000_000), (Tid(1240), 250_187)]);
    let wchan = process
        .read_of_thread(Tid(1234), "wchan", &mut buffer)
        .unwrap();
    assert_eq!(
        memtide_proc::parse::single::parse_wchan(wchan),
        Some(&b"ep_poll"[..])
    );
}
