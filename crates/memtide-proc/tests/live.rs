//! Real processes: what /proc says while they live, end, replace their program, lose threads.

mod common;

use common::{Target, wait_until};
use memtide_model::{Bytes, Pid, Tid};
use memtide_proc::parse::{maps, single, stat, statm, status};
use memtide_proc::{
    Buffer, CgroupLocation, CgroupVersion, ErrorKind, Listing, MemoryCgroup, ProcRoot,
    SmapsOutcome, SmapsReader, ThreadEvent, ThreadFiles, clock,
};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

#[test]
fn a_kept_file_of_an_ended_process_is_gone_even_when_its_number_lives_again() {
    let mut target = Target::start(&["name"]);
    let process = target.directory();
    let kept = process.keep("stat").unwrap();
    let mut smaps = SmapsReader::open(&process).unwrap();
    let mut buffer = Buffer::new();
    let first = stat::parse(kept.read(&mut buffer).unwrap())
        .unwrap()
        .starttime;
    let pid = target.pid;
    target.end();
    let check = |buffer: &mut Buffer, smaps: &mut SmapsReader, when: &str| {
        assert_eq!(
            kept.read(buffer).unwrap_err().kind(),
            ErrorKind::Gone,
            "{when}"
        );
        let open = process.keep("status").unwrap_err();
        assert_eq!(open.kind(), ErrorKind::Gone, "{when}: {open}");
        assert!(process.descriptors().unwrap_err().is_gone(), "{when}");
        assert!(
            smaps.for_each(buffer, |_| ()).unwrap_err().is_gone(),
            "{when}"
        );
        assert!(!process.is_there(), "{when}");
    };
    check(&mut buffer, &mut smaps, "after its end");

    let arguments = ["takepid".to_owned(), pid.to_string()];
    let arguments = arguments.each_ref().map(std::ffi::OsStr::new);
    let Some(other) = Target::try_start(&arguments) else {
        eprintln!("skipped in part: pid {pid} could not be taken again on this machine");
        return;
    };
    assert_eq!(other.pid, pid);
    check(&mut buffer, &mut smaps, "while its number is another's");
    let again = other.directory();
    let second = stat::parse(again.read("stat", &mut buffer).unwrap()).unwrap();
    assert!(second.starttime >= first && again.is_there());
}

#[test]
fn a_zombie_has_a_state_and_no_memory() {
    let mut target = Target::start(&["name"]);
    let process = target.directory();
    let mut smaps = SmapsReader::open(&process).unwrap();
    let mut buffer = Buffer::new();
    target.tell("exit 7");
    wait_until("the target is a zombie", || {
        stat::parse(process.read("stat", &mut buffer).unwrap())
            .unwrap()
            .state
            == b'Z'
    });
    let zombie = stat::parse(process.read("stat", &mut buffer).unwrap()).unwrap();
    assert_eq!(zombie.exit_code, Some(7 << 8));
    let status = status::parse(process.read("status", &mut buffer).unwrap()).unwrap();
    assert_eq!((status.state, status.memory()), (Some(b'Z'), None));
    let statm = statm::parse(process.read("statm", &mut buffer).unwrap()).unwrap();
    assert_eq!(statm, statm::Statm::default());
    assert_eq!(
        smaps.for_each(&mut buffer, |_| ()).unwrap(),
        SmapsOutcome::Empty
    );
}

#[test]
fn smaps_of_a_replaced_program_is_empty_until_it_is_opened_again() {
    let mut child = std::process::Command::new("sh")
        .args(["-c", "read line; exec sleep 1000"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let process = ProcRoot::system()
        .unwrap()
        .process(Pid(child.id()))
        .unwrap();
    let mut buffer = Buffer::new();
    let mut comm = |name: &[u8]| {
        let text = process.read("comm", &mut buffer).unwrap();
        single::parse_comm(text).unwrap() == name
    };
    wait_until("the shell has started", || comm(b"sh"));
    let mut reader = SmapsReader::open(&process).unwrap();
    let mut buffer = Buffer::new();
    let before = reader.for_each(&mut buffer, |_| ()).unwrap();
    assert!(matches!(before, SmapsOutcome::Read(summary) if summary.mappings > 5));
    drop(child.stdin.take());
    wait_until("it is sleep", || comm(b"sleep"));
    assert_eq!(
        reader.for_each(&mut buffer, |_| ()).unwrap(),
        SmapsOutcome::Empty
    );
    reader.reopen(&process).unwrap();
    let mut programs = 0;
    let after = reader.for_each(&mut buffer, |entry| {
        programs +=
            u32::from(entry.map.name.ends_with(b"/sleep") || entry.map.name.ends_with(b"box"));
    });
    assert!(matches!(after.unwrap(), SmapsOutcome::Read(summary) if summary.mappings > 5));
    assert!(programs > 0, "the new program is mapped");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn names_of_any_bytes_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let base = directory.path().canonicalize().unwrap();
    let names: [&[u8]; 4] = [
        b"SYSVx",
        b"not utf-8 \xff\xfe",
        b"blanks  at end  ",
        b"new\nline",
    ];
    let mut arguments = vec![std::ffi::OsString::from("map")];
    for name in names {
        let path = base.join(std::ffi::OsStr::from_bytes(name));
        std::fs::write(&path, [0; 4096]).unwrap();
        arguments.push(path.into());
    }
    arguments.push({
        let path = base.join("gone");
        std::fs::write(&path, [0; 4096]).unwrap();
        path.into()
    });
    let references: Vec<&std::ffi::OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    let target = Target::try_start(&references).unwrap();
    std::fs::remove_file(base.join("gone")).unwrap();

    let mut found = Vec::new();
    let mut take = |map: &maps::MapEntry<'_>| {
        if let Some(name) = map.name.strip_prefix(base.as_os_str().as_bytes()) {
            found.push((name.to_vec(), map.size(), map.is_shared()));
        }
    };
    let process = target.directory();
    let mut buffer = Buffer::new();
    let mut reader = SmapsReader::open(&process).unwrap();
    reader
        .for_each(&mut buffer, |entry| take(&entry.map))
        .unwrap();
    maps::parse(process.read("maps", &mut buffer).unwrap(), |map| take(&map)).unwrap();
    let expected: [&[u8]; 5] = [
        b"/SYSVx",
        b"/not utf-8 \xff\xfe",
        b"/blanks  at end  ",
        b"/new\\012line",
        b"/gone (deleted)",
    ];
    for name in expected {
        let same = found
            .iter()
            .filter(|one| **one == (name.to_vec(), Bytes(4096), true));
        assert_eq!(
            same.count(),
            2,
            "{} in maps and smaps: {found:?}",
            name.escape_ascii()
        );
    }
    assert_eq!(found.len(), 10);
}

#[test]
fn a_thread_name_of_any_bytes_is_read() {
    let target = Target::start(&["name"]);
    let process = target.directory();
    let mut buffer = Buffer::new();
    let name = b"a) b\n(\xff";
    let text = process.read("stat", &mut buffer).unwrap();
    let whole = stat::parse(text).unwrap();
    assert_eq!((whole.comm, whole.pid), (&name[..], target.pid));
    assert_eq!(whole.ppid, Pid(std::process::id()));
    assert_eq!(stat::parse_thread(text).unwrap().comm, name);
    assert_eq!(
        single::parse_comm(process.read("comm", &mut buffer).unwrap()).unwrap(),
        name
    );
    let status = status::parse(process.read("status", &mut buffer).unwrap()).unwrap();
    assert_eq!(status.name, b"a) b\\n(\xff");
}

#[test]
fn threads_come_and_go() {
    let mut target = Target::start(&["threads", "20"]);
    let process = target.directory();
    let (mut listing, mut buffer) = (Listing::new(), Buffer::new());
    let mut threads = ThreadFiles::open(&process, &mut listing).unwrap();
    assert_eq!(threads.len(), 21);
    for _ in 0..3 {
        target.tell("end");
    }
    wait_until("three threads have ended", || {
        let mut left = 0;
        process
            .for_each_thread(&mut listing, |_| left += 1)
            .unwrap();
        left == 18
    });
    let (mut read, mut ended) = (Vec::new(), Vec::new());
    let sweep = threads.sweep(&mut buffer, |tid, event| match event {
        ThreadEvent::Read(stat) => {
            assert_eq!(stat.comm, b"target");
            // One that was just made may not have gone to sleep yet.
            assert!(
                matches!(stat.state, b'S' | b'R'),
                "{}",
                char::from(stat.state)
            );
            read.push(tid);
        }
        ThreadEvent::Ended => ended.push(tid),
    });
    let sweep = sweep.unwrap();
    assert_eq!(
        (sweep.read, sweep.ended, sweep.failed, sweep.unkept),
        (18, 3, 0, 0)
    );
    assert_eq!((read.len(), ended.len(), threads.len()), (18, 3, 18));
    assert!(read.is_sorted() && read.contains(&Tid(target.pid.0)));
    assert!(ended.iter().all(|tid| !read.contains(tid)));
    // An end is reported once, and a listing without news adds nothing.
    let refresh = threads.refresh(&mut listing).unwrap();
    assert_eq!((refresh.listed, refresh.added), (18, 0));
    let again = threads.sweep(&mut buffer, |_, _| ()).unwrap();
    assert_eq!((again.read, again.ended), (18, 0));
    target.end();
    let last = threads.sweep(&mut buffer, |_, event| {
        assert_eq!(event, ThreadEvent::Ended);
    });
    assert_eq!((last.unwrap().ended, threads.is_empty()), (18, true));
    assert!(threads.refresh(&mut listing).unwrap_err().is_gone());
}

#[test]
fn a_new_thread_is_found_by_the_next_listing() {
    let process = ProcRoot::system()
        .unwrap()
        .process(Pid(std::process::id()))
        .unwrap();
    let mut listing = Listing::new();
    let mut threads = ThreadFiles::open(&process, &mut listing).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_pid()).unwrap();
        let _ = stopped.recv();
    });
    let tid = Tid(u32::try_from(told.recv().unwrap()).unwrap());
    assert!(threads.refresh(&mut listing).unwrap().added >= 1);
    let mut seen = false;
    let mut buffer = Buffer::new();
    threads
        .sweep(&mut buffer, |one, _| seen |= one == tid)
        .unwrap();
    assert!(seen, "thread {} is in the table", tid.0);
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn descriptors_are_counted_by_kind() {
    let directory = tempfile::tempdir().unwrap();
    let target = Target::start(&["fds", directory.path().to_str().unwrap()]);
    let descriptors = target.directory().descriptors().unwrap();
    let (mut listing, mut buffer) = (Listing::new(), Buffer::new());
    let counts = descriptors.by_kind(&mut listing, &mut buffer).unwrap();
    // Its input and output are pipes of this test; the error output is what the test has.
    let own = descriptors.link(2, &mut buffer).unwrap().unwrap().to_vec();
    let mut inherited = memtide_model::Descriptors::default();
    memtide_proc::parse::fd::FdKind::of_link(&own).count_in(&mut inherited);
    assert_eq!(counts.file, 3 + inherited.file);
    assert_eq!(counts.deleted, 2 + inherited.deleted);
    assert_eq!(counts.socket, 4 + inherited.socket);
    assert_eq!(counts.pipe, 6 + 2 + inherited.pipe);
    assert_eq!((counts.eventfd, counts.epoll), (5, 1));
    assert_eq!((counts.anon_inode, counts.memfd), (2, 3));
    assert_eq!(counts.total, 29);
    let listed = descriptors.for_each(&mut listing, |_| ()).unwrap();
    assert_eq!(listed, 29);
    if let Some(count) = descriptors.count().unwrap() {
        assert_eq!(count, 29, "the directory's size is the count");
    }
    assert_eq!(descriptors.link(9999, &mut buffer).unwrap(), None);
}

#[test]
fn children_and_links_and_small_files_are_read() {
    let target = Target::start(&["name"]);
    let own = ProcRoot::system()
        .unwrap()
        .process(Pid(std::process::id()))
        .unwrap();
    let mut buffer = Buffer::new();
    let tid = Tid(u32::try_from(rustix::thread::gettid().as_raw_pid()).unwrap());
    match own.read_of_thread(tid, "children", &mut buffer) {
        Ok(text) => {
            let mut children = Vec::new();
            single::parse_children(text, |pid| children.push(pid)).unwrap();
            assert!(children.contains(&target.pid), "{children:?}");
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::Missing, "{error}"),
    }
    let process = target.directory();
    let exe = process.link("exe", &mut buffer).unwrap().to_vec();
    let exe = std::ffi::OsString::from_vec(exe);
    assert_eq!(std::path::Path::new(&exe).file_name().unwrap(), "target");
    let score = single::parse_number("oom_score", process.read("oom_score", &mut buffer).unwrap());
    assert!(score.unwrap() <= 2000);
    assert_eq!(
        own.keep("no_such_file").unwrap_err().kind(),
        ErrorKind::Missing
    );
    let no_thread = process
        .read_of_thread(Tid(0), "stat", &mut buffer)
        .unwrap_err();
    assert!(no_thread.is_gone(), "{no_thread}");
}

#[test]
fn start_time_and_page_size_fit_the_clocks() {
    let target = Target::start(&["name"]);
    let process = target.directory();
    let mut buffer = Buffer::new();
    let mut other = Buffer::new();
    let stat = stat::parse(process.read("stat", &mut other).unwrap()).unwrap();
    let started = stat.starttime.0 as f64 / clock::ticks_per_second() as f64;
    let age = clock::boottime().as_secs_f64() - started;
    assert!(
        (0.0..20.0).contains(&age),
        "it was started a moment ago: {age} s"
    );
    let statm = statm::parse(process.read("statm", &mut buffer).unwrap()).unwrap();
    let status = status::parse(process.read("status", &mut buffer).unwrap()).unwrap();
    assert_eq!(
        statm.size.to_bytes(clock::page_size()),
        status.vm_size.unwrap()
    );
    assert_eq!(stat.vsize, status.vm_size.unwrap());
}

#[test]
fn the_machine_is_read_through_kept_files() {
    let root = ProcRoot::system().unwrap();
    let mut buffer = Buffer::new();
    let kept = root.keep("meminfo").unwrap();
    let info = memtide_proc::parse::host::parse_meminfo(kept.read(&mut buffer).unwrap()).unwrap();
    assert!(info.total.unwrap() > info.free.unwrap());
    let maximum = root.read("sys/vm/max_map_count", &mut buffer).unwrap();
    assert!(single::parse_number("max_map_count", maximum).unwrap() >= 1000);
    if let Ok(text) = root.read("pressure/memory", &mut buffer) {
        let pressure = memtide_proc::parse::host::parse_pressure(text).unwrap();
        assert!(pressure.some_us >= pressure.full_us);
    }
}

#[test]
fn the_own_memory_cgroup_is_found_and_read() {
    let root = ProcRoot::system().unwrap();
    let mut buffer = Buffer::new();
    let own = root.process(Pid(std::process::id())).unwrap();
    let membership = own.read("cgroup", &mut buffer).unwrap().to_vec();
    let mounts = own.read("mountinfo", &mut buffer).unwrap().to_vec();
    let Some(location) = CgroupLocation::find(&membership, &mounts).unwrap() else {
        eprintln!("skipped: no memory cgroup is mounted here");
        return;
    };
    // A process that was not put into a group of its own may be in the root group of version 2.
    let Ok(group) = MemoryCgroup::open(&location) else {
        eprintln!(
            "skipped: {} has no memory files",
            location.directory().display()
        );
        return;
    };
    let read = group.read(&mut buffer).unwrap();
    assert!(read.current.0 > 0);
    let pids = std::fs::read_to_string(location.directory().join("cgroup.procs")).unwrap();
    let own = std::process::id().to_string();
    assert!(
        pids.lines().any(|pid| pid == own),
        "this process is in the group that was found"
    );
    if location.version == CgroupVersion::V1 {
        let file = location.directory().join("memory.limit_in_bytes");
        let limit: u64 = std::fs::read_to_string(file)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert_eq!(
            read.limit,
            Some(Bytes(limit)).filter(|bytes| bytes.0 < 1 << 60)
        );
    }
}

#[test]
fn the_level_with_the_least_room_is_the_one_that_counts() {
    let place = tempfile::tempdir().unwrap();
    let app = place.path().join("pod/app");
    std::fs::create_dir_all(&app).unwrap();
    let mount = format!(
        "31 23 0:28 / {} rw - cgroup2 cgroup2 rw\n",
        place.path().display()
    );
    let location = CgroupLocation::find(b"0::/pod/app\n", mount.as_bytes())
        .unwrap()
        .unwrap();
    let set = |level: &str, used: &str, limit: &str| {
        let directory = place.path().join(level);
        std::fs::write(directory.join("memory.current"), used).unwrap();
        std::fs::write(directory.join("memory.max"), limit).unwrap();
    };
    let room = || {
        let (files, mut buffer) = (MemoryCgroup::open(&location).ok()?, Buffer::new());
        let own = files.read(&mut buffer).ok()?;
        files.least_room(&own, &mut buffer)
    };
    assert_eq!(room(), None);
    set("pod/app", "100\n", "500\n");
    set("pod", "200\n", "1000\n");
    assert_eq!(room(), Some((Bytes(100), Bytes(500))));
    // A neighbour fills the pod.
    set("pod", "990\n", "1000\n");
    assert_eq!(room(), Some((Bytes(990), Bytes(1000))));
    set("pod", "990\n", "max\n");
    assert_eq!(room(), Some((Bytes(100), Bytes(500))));
}

#[test]
fn cgroups_of_fixtures_are_found_and_read() {
    let fixtures = common::fixtures();
    let mounted = |path: &str, kind: &str, options: &str| {
        let path = fixtures.join(path);
        format!(
            "31 23 0:28 / {} rw - {kind} {kind} {options}\n",
            path.display()
        )
    };
    let mut buffer = Buffer::new();
    let v2 = mounted("cgroup-v2", "cgroup2", "rw");
    let location = CgroupLocation::find(b"0::/slowd.service\n", v2.as_bytes())
        .unwrap()
        .unwrap();
    assert_eq!(location.version, CgroupVersion::V2);
    let group = MemoryCgroup::open(&location)
        .unwrap()
        .read(&mut buffer)
        .unwrap();
    assert_eq!((group.current, group.limit), (Bytes(1 << 30), None));
    assert_eq!(group.high, Some(Bytes(1_610_612_736)));
    assert_eq!(
        (group.anon, group.kernel),
        (Some(Bytes(1_000_000_000)), Some(Bytes(20_000_000)))
    );
    assert_eq!((group.oom_kills, group.limit_hits), (Some(1), Some(41)));
    assert_eq!(
        (group.swap, group.swap_limit),
        (Some(Bytes(3 << 20)), Some(Bytes(64 << 20)))
    );
    assert_eq!(
        location.tightest_limit(&mut buffer),
        Some(Bytes(2 << 30)),
        "its parent's"
    );

    let v1 = mounted("cgroup-v1", "cgroup", "rw,memory");
    let membership = b"4:memory:/\n0::/elsewhere\n";
    let location = CgroupLocation::find(membership, v1.as_bytes())
        .unwrap()
        .unwrap();
    assert_eq!(location.version, CgroupVersion::V1);
    let group = MemoryCgroup::open(&location)
        .unwrap()
        .read(&mut buffer)
        .unwrap();
    assert_eq!(
        (group.limit, group.limit_hits),
        (Some(Bytes(2 << 30)), Some(12))
    );
    assert_eq!((group.shmem, group.oom_kills), (Some(Bytes(4096)), Some(3)));
    assert_eq!(
        (group.swap, group.swap_limit),
        (Some(Bytes(5 << 20)), Some(Bytes(1 << 30)))
    );

    // Outside of the reader's namespace, or of what is mounted: it is not guessed.
    let outside = CgroupLocation::find(b"0::/../other\n", v2.as_bytes()).unwrap();
    assert_eq!(outside, None);
    let elsewhere = b"31 23 0:28 /docker/ab /x rw - cgroup2 cgroup2 rw\n";
    assert_eq!(
        CgroupLocation::find(b"0::/docker/cd\n", elsewhere).unwrap(),
        None
    );
    let below = CgroupLocation::find(b"0::/docker/ab/c\n", elsewhere)
        .unwrap()
        .unwrap();
    assert_eq!(below.directory(), std::path::Path::new("/x/c"));
}

#[test]
fn sockets_are_found_by_the_inode_in_their_link() {
    use memtide_proc::parse::net;
    use std::os::fd::AsRawFd as _;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let client = std::net::TcpStream::connect(here).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    drop(accepted);
    let inode = |fd: i32| {
        let link = std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
        let link = link.to_string_lossy().into_owned();
        let digits = link
            .strip_prefix("socket:[")
            .and_then(|l| l.strip_suffix(']'));
        digits.unwrap().parse::<u64>().unwrap()
    };
    let process = ProcRoot::system()
        .unwrap()
        .process(Pid(std::process::id()))
        .unwrap();
    let (mut buffer, wanted) = (Buffer::new(), inode(client.as_raw_fd()));
    let state = || {
        let mut found = None;
        let bytes = process.read("net/tcp", &mut buffer).unwrap();
        net::parse_internet("net/tcp", bytes, |socket| {
            if socket.inode == wanted {
                found = Some(socket);
            }
        })
        .unwrap();
        found.map(|socket| (socket.local, socket.remote, socket.state.name()))
    };
    let mut state = state;
    let expected = Some((client.local_addr().unwrap(), here, "CLOSE_WAIT"));
    common::wait_until("the other end hung up", || state() == expected);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b.sock");
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let wanted = inode(unix.as_raw_fd());
    let mut buffer = Buffer::new();
    let bytes = process.read("net/unix", &mut buffer).unwrap();
    let mut found = Vec::new();
    net::parse_unix(bytes, |socket| {
        if socket.inode == wanted {
            found.push((socket.listens, socket.path.to_vec()));
        }
    })
    .unwrap();
    assert_eq!(
        found,
        [(true, path.as_os_str().as_encoded_bytes().to_vec())]
    );
}
