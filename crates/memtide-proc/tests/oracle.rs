//! The same files of a quiet child process, read by memtide and by the procfs crate.
#![expect(
    clippy::unwrap_used,
    reason = "in helpers of tests a panic is the failure"
)]

mod common;

use common::Target;
use memtide_model::Bytes;
use memtide_proc::parse::{ipc, limits, maps, net, smaps, stat, statm, status};
use memtide_proc::{Buffer, ProcRoot, ProcessDir};
use procfs::process::{LimitValue, MMapPath, Process};

/// A child that sleeps, with mappings of several kinds: nothing that is compared changes under way.
fn quiet() -> (Target, ProcessDir, Process) {
    let program = common::compile("benches/vmatarget.c");
    let arguments = ["200", "4"].map(std::ffi::OsStr::new);
    let target = Target::start_program(&program, &arguments).unwrap();
    let directory = target.directory();
    let oracle = Process::new(i32::try_from(target.pid.0).unwrap()).unwrap();
    // It says that it is ready before it calls pause, which touches a page or two.
    let mut buffer = Buffer::new();
    let mut faults = || {
        let stat = stat::parse(directory.read("stat", &mut buffer).unwrap()).unwrap();
        (stat.state, stat.min_flt)
    };
    common::wait_until("the target is asleep", || {
        let before = faults();
        std::thread::sleep(std::time::Duration::from_millis(20));
        before.0 == b'S' && faults() == before
    });
    (target, directory, oracle)
}

#[test]
fn stat_agrees() {
    let (_target, process, oracle) = quiet();
    let mut buffer = Buffer::new();
    let ours = stat::parse(process.read("stat", &mut buffer).unwrap()).unwrap();
    let theirs = oracle.stat().unwrap();
    assert_eq!(ours.comm, theirs.comm.as_bytes());
    assert_eq!(char::from(ours.state), theirs.state);
    assert_eq!(i64::from(ours.ppid.0), i64::from(theirs.ppid));
    assert_eq!(
        (ours.pgrp, ours.session),
        (theirs.pgrp.into(), theirs.session.into())
    );
    assert_eq!(ours.flags, u64::from(theirs.flags));
    assert_eq!((ours.min_flt, ours.maj_flt), (theirs.minflt, theirs.majflt));
    assert_eq!((ours.utime, ours.stime), (theirs.utime, theirs.stime));
    assert_eq!(ours.num_threads, u64::try_from(theirs.num_threads).unwrap());
    assert_eq!(
        (ours.starttime.0, ours.vsize.0),
        (theirs.starttime, theirs.vsize)
    );
    assert_eq!(ours.rss_pages, theirs.rss);
    assert_eq!(
        (ours.startcode, ours.startstack),
        (theirs.startcode, theirs.startstack)
    );
    assert_eq!(ours.exit_code, theirs.exit_code);
}

#[test]
fn statm_agrees() {
    let (_target, process, oracle) = quiet();
    let mut buffer = Buffer::new();
    let ours = statm::parse(process.read("statm", &mut buffer).unwrap()).unwrap();
    let theirs = oracle.statm().unwrap();
    assert_eq!(
        [ours.size.0, ours.resident.0, ours.shared.0],
        [theirs.size, theirs.resident, theirs.shared]
    );
    assert_eq!([ours.text.0, ours.data.0], [theirs.text, theirs.data]);
}

#[test]
fn status_agrees() {
    let (_target, process, oracle) = quiet();
    let mut buffer = Buffer::new();
    let ours = status::parse(process.read("status", &mut buffer).unwrap()).unwrap();
    let theirs = oracle.status().unwrap();
    assert_eq!(ours.name, theirs.name.as_bytes());
    assert_eq!(ours.uid, Some(theirs.ruid));
    assert_eq!(ours.threads, Some(theirs.threads));
    assert_eq!(ours.voluntary_switches, theirs.voluntary_ctxt_switches);
    assert_eq!(ours.involuntary_switches, theirs.nonvoluntary_ctxt_switches);
    let innermost = theirs.nspid.and_then(|pids| pids.last().copied());
    assert_eq!(
        ours.innermost_pid.map(|pid| i64::from(pid.0)),
        innermost.map(i64::from)
    );
    let memory = [
        (ours.vm_peak, theirs.vmpeak),
        (ours.vm_size, theirs.vmsize),
        (ours.vm_lck, theirs.vmlck),
        (ours.vm_pin, theirs.vmpin),
        (ours.vm_hwm, theirs.vmhwm),
        (ours.vm_rss, theirs.vmrss),
        (ours.rss_anon, theirs.rssanon),
        (ours.rss_file, theirs.rssfile),
        (ours.rss_shmem, theirs.rssshmem),
        (ours.vm_data, theirs.vmdata),
        (ours.vm_stk, theirs.vmstk),
        (ours.vm_exe, theirs.vmexe),
        (ours.vm_lib, theirs.vmlib),
        (ours.vm_pte, theirs.vmpte),
        (ours.vm_swap, theirs.vmswap),
        (ours.hugetlb_pages, theirs.hugetlbpages),
    ];
    for (index, (ours, theirs)) in memory.into_iter().enumerate() {
        assert_eq!(ours, theirs.map(Bytes::from_kib), "value {index}");
    }
}

#[test]
fn maps_and_smaps_agree() {
    let (_target, process, oracle) = quiet();
    let mut buffer = Buffer::new();
    let theirs = oracle.smaps().unwrap().0;
    assert!(theirs.len() > 200);
    let mut index = 0;
    smaps::parse(process.read("smaps", &mut buffer).unwrap(), |ours| {
        let theirs = &theirs[index];
        assert_eq!((ours.map.start, ours.map.end), theirs.address);
        assert_eq!(
            (ours.map.offset, ours.map.inode),
            (theirs.offset, theirs.inode)
        );
        let device = (ours.map.device.major, ours.map.device.minor);
        assert_eq!(
            (i64::from(device.0), i64::from(device.1)),
            (theirs.dev.0.into(), theirs.dev.1.into())
        );
        assert_eq!(
            String::from_utf8_lossy(&ours.map.protection),
            theirs.perms.as_str()
        );
        if let MMapPath::Path(path) = &theirs.pathname {
            assert_eq!(ours.map.name, path.as_os_str().as_encoded_bytes());
        }
        let sizes = [
            (ours.sizes.rss, "Rss"),
            (ours.sizes.pss, "Pss"),
            (ours.sizes.private_clean, "Private_Clean"),
            (ours.sizes.private_dirty, "Private_Dirty"),
            (ours.sizes.referenced, "Referenced"),
            (ours.sizes.anonymous, "Anonymous"),
            (ours.sizes.lazy_free, "LazyFree"),
            (ours.sizes.anon_huge_pages, "AnonHugePages"),
            (ours.sizes.shmem_pmd_mapped, "ShmemPmdMapped"),
            (ours.sizes.swap, "Swap"),
            (ours.sizes.swap_pss, "SwapPss"),
            (ours.sizes.locked, "Locked"),
        ];
        for (size, key) in sizes {
            // Other processes map the same files, and come and go between the two reads.
            let shared = ["Pss", "Private_Clean", "Private_Dirty"].contains(&key);
            if shared && ours.map.inode != 0 {
                continue;
            }
            let theirs = theirs.extension.map.get(key).copied().map(Bytes);
            assert_eq!(size, theirs, "{key} of mapping {index}");
        }
        index += 1;
    })
    .unwrap();
    assert_eq!(index, theirs.len());
    let count = maps::parse(process.read("maps", &mut buffer).unwrap(), |_| ()).unwrap();
    assert_eq!(count, index as u64);
}

#[test]
fn limits_agree() {
    let (_target, process, oracle) = quiet();
    let mut buffer = Buffer::new();
    let ours = limits::parse(process.read("limits", &mut buffer).unwrap()).unwrap();
    let theirs = oracle.limits().unwrap();
    let value = |value: LimitValue| match value {
        LimitValue::Unlimited => limits::Bound::Unlimited,
        LimitValue::Value(value) => limits::Bound::AtMost(value),
    };
    for (ours, theirs) in [
        (ours.address_space, theirs.max_address_space),
        (ours.data, theirs.max_data_size),
        (ours.stack, theirs.max_stack_size),
        (ours.locked, theirs.max_locked_memory),
        (ours.open_files, theirs.max_open_files),
        (ours.processes, theirs.max_processes),
    ] {
        let ours = ours.unwrap();
        assert_eq!(ours.soft, value(theirs.soft_limit));
        assert_eq!(ours.hard, value(theirs.hard_limit));
    }
}

#[test]
fn tables_of_sockets_agree() {
    // Its own sockets: others of the machine come and go between the two reads.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_far, _) = listener.accept().unwrap();
    let six = std::net::TcpListener::bind("[::1]:0");
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.sock");
    let _unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let own = procfs::process::Process::myself().unwrap();
    let root = ProcRoot::system().unwrap();
    let process = root
        .process(memtide_model::Pid(std::process::id()))
        .unwrap();
    let mut buffer = Buffer::new();
    let mut table = |file: &'static str| {
        let mut rows = Vec::new();
        let bytes = process.read(file, &mut buffer).unwrap();
        net::parse_internet(file, bytes, |row| rows.push(row)).unwrap();
        rows
    };
    let (tcp, tcp6, udp) = (table("net/tcp"), table("net/tcp6"), table("net/udp"));
    let mut compared = 0;
    let mut seen = Vec::new();
    for theirs in own.tcp().unwrap().into_iter().chain(own.tcp6().unwrap()) {
        let ours = tcp
            .iter()
            .chain(&tcp6)
            .find(|row| row.inode == theirs.inode);
        let mine = [Some(theirs.local_address), Some(theirs.remote_address)]
            .contains(&listener.local_addr().ok());
        if !mine
            && !six
                .as_ref()
                .is_ok_and(|six| six.local_addr().ok() == Some(theirs.local_address))
        {
            continue;
        }
        let ours = ours.unwrap();
        assert_eq!(
            (ours.local, ours.remote),
            (theirs.local_address, theirs.remote_address)
        );
        assert_eq!(
            (ours.state.0, ours.uid),
            (theirs.state.clone() as u8, theirs.uid)
        );
        seen.push((ours.local, ours.peer(), ours.state.name()));
        compared += 1;
    }
    assert_eq!(compared, 3 + usize::from(six.is_ok()));
    let expected = (
        near.local_addr().unwrap(),
        near.peer_addr().ok(),
        "ESTABLISHED",
    );
    assert!(seen.contains(&expected), "{seen:?}");
    assert!(
        udp.iter()
            .any(|row| Some(row.local) == datagrams.local_addr().ok() && row.peer().is_none())
    );
    let mut found = Vec::new();
    net::parse_unix(process.read("net/unix", &mut buffer).unwrap(), |row| {
        if row.path == path.as_os_str().as_encoded_bytes() {
            found.push((row.inode, row.listens));
        }
    })
    .unwrap();
    let theirs = own.unix().unwrap();
    let theirs = theirs
        .iter()
        .find(|row| row.path.as_ref() == Some(&path))
        .unwrap();
    assert_eq!(found, [(theirs.inode, true)]);
}

#[test]
fn segments_agree() {
    let made = std::process::Command::new("ipcmk")
        .args(["-M", "65536"])
        .output();
    let Ok(made) = made else {
        println!("skipped: util-linux's ipcmk is not installed");
        return;
    };
    let text = String::from_utf8(made.stdout).unwrap();
    let id = text.split_whitespace().last().unwrap().to_owned();
    let root = ProcRoot::system().unwrap();
    let mut buffer = Buffer::new();
    let mut rows = Vec::new();
    let bytes = root.read("sysvipc/shm", &mut buffer).unwrap();
    let text = bytes.to_vec();
    ipc::parse_segments(&text, |row| rows.push(row)).unwrap();
    let removed = std::process::Command::new("ipcrm")
        .args(["-m", &id])
        .status();
    assert!(removed.unwrap().success());
    let own = rows
        .iter()
        .find(|row| row.object.id.to_string() == id)
        .unwrap();
    assert_eq!(
        (own.size, own.attached, own.resident),
        (Bytes(65536), 0, Some(Bytes(0)))
    );
    let theirs: procfs::SharedMemorySegments = procfs::FromRead::from_read(&text[..]).unwrap();
    assert_eq!(rows.len(), theirs.0.len());
    for (ours, theirs) in rows.iter().zip(&theirs.0) {
        assert_eq!(u64::from(ours.object.id), theirs.shmid);
        assert_eq!(
            (ours.size.0, ours.attached),
            (theirs.size, u64::from(theirs.nattch))
        );
        assert_eq!(
            (ours.creator.0, ours.last.0),
            (theirs.cpid.cast_unsigned(), theirs.lpid.cast_unsigned())
        );
        assert_eq!(ours.resident.map(|rss| rss.0), Some(theirs.rss));
        assert_eq!(
            (ours.object.uid, ours.object.changed),
            (u32::from(theirs.uid), theirs.ctime)
        );
    }
}
