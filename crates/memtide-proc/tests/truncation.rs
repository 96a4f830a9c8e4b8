//! Every fixture file cut off at every byte: nothing panics, and no value is there that is not the
//! whole file's. What a parser says of a part is compared with what it says of the whole.

mod common;

use common::fixture;
use core::fmt::Debug;
use memtide_proc::Error;
use memtide_proc::parse::{
    cgroup, host, ipc, limits, maps, mountinfo, net, single, smaps, stat, statm, status,
};

/// Every value of `part` is the same in `whole`, or absent. Both are as `Debug` prints them; the
/// fixtures' names hold no commas.
fn assert_part(part: &str, whole: &str, what: &str) {
    let mut all = whole.split(", ");
    for value in part.split(", ") {
        let same = all.next();
        let absent = value.contains("None") || value.contains("name: []");
        assert!(
            absent || same == Some(value),
            "{what}: {value} is not {same:?}"
        );
    }
}

fn check<T: Debug>(file: &str, parse: impl Fn(&[u8]) -> Result<T, Error>) {
    let text = fixture(file);
    let whole = parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    let whole = format!("{whole:?}");
    for cut in 0..text.len() {
        let part = &text[..cut];
        match parse(part) {
            Ok(parsed) => {
                let ended = part
                    .last()
                    .is_none_or(|&byte| byte == b'\n' || byte == b' ');
                assert!(ended, "{file} cut at {cut} ends in the middle of a value");
                assert_part(
                    &format!("{parsed:?}"),
                    &whole,
                    &format!("{file} cut at {cut}"),
                );
            }
            Err(error) => assert!(error.to_string().starts_with("reading "), "{error}"),
        }
    }
}

/// Limits with a soft and hard value as one.
fn flat(limits: &limits::Limits) -> [Option<String>; 6] {
    [
        limits.address_space,
        limits.data,
        limits.stack,
        limits.locked,
        limits.open_files,
        limits.processes,
    ]
    .map(|limit| limit.map(|limit| format!("{:?}/{:?}", limit.soft, limit.hard)))
}

/// Files of one line: no part of them is a file.
fn check_line<T: Debug>(file: &str, parse: impl Fn(&[u8]) -> Result<T, Error>) {
    let text = fixture(file);
    assert!(parse(&text).is_ok(), "{file}");
    for cut in 0..text.len() {
        // The name of a thread may hold a newline.
        assert!(parse(&text[..cut]).is_err(), "{file} cut at {cut}");
    }
}

/// An entry of each list, as `Debug` prints it.
fn smaps_entries(bytes: &[u8]) -> (Vec<String>, bool) {
    let mut entries = Vec::new();
    let complete = smaps::parse(bytes, |entry| entries.push(format!("{entry:?}"))).is_ok();
    (entries, complete)
}

#[test]
fn single_lines() {
    for kernel in ["3.10", "6.1"] {
        let file = |name: &str| format!("linux-{kernel}/1234/{name}");
        check_line(&file("stat"), |b| stat::parse(b).map(|s| format!("{s:?}")));
        check_line(&file("task/1240/stat"), |b| {
            stat::parse(b).map(|s| format!("{s:?}"))
        });
        check_line(&file("task/1240/stat"), |b| {
            stat::parse_thread(b).map(|s| format!("{s:?}"))
        });
        check_line(&file("statm"), statm::parse);
        check_line(&file("oom_score"), |b| single::parse_number("oom_score", b));
        check_line(&file("comm"), |b| single::parse_comm(b).map(<[u8]>::to_vec));
    }
    check_line("cgroup-v1/memory.limit_in_bytes", cgroup::parse_limit_v1);
    check_line("cgroup-v2/slowd.service/memory.max", |b| {
        cgroup::parse_limit_v2("memory.max", b)
    });
    check_line("cgroup-v2/slowd.service/memory.high", |b| {
        cgroup::parse_limit_v2("memory.high", b)
    });
}

#[test]
fn files_of_keys() {
    for kernel in ["3.10", "4.4", "5.10", "6.1"] {
        let file = |name: &str| format!("linux-{kernel}/{name}");
        check(&file("1234/status"), |b| {
            status::parse(b).map(|s| format!("{s:?}"))
        });
        check(&file("1234/limits"), |b| {
            limits::parse(b).map(|limits| flat(&limits))
        });
        check(&file("meminfo"), host::parse_meminfo);
    }
    check("linux-5.10/pressure/memory", host::parse_pressure);
    check("linux-5.10/pressure/memory", host::parse_pressure_shares);
    check("linux-5.10/1234/smaps_rollup", smaps::parse_rollup);
    check("cgroup-v1/memory.stat", cgroup::parse_stat_v1);
    check("cgroup-v1/memory.oom_control", |b| {
        cgroup::parse_events("memory.oom_control", b)
    });
    check("cgroup-v2/slowd.service/memory.stat", |b| {
        cgroup::parse_stat_v2(b).map(|stat| cgroup::MemoryStat {
            // Which of its two keys this is depends on a line that may be cut off.
            kernel: None,
            ..stat
        })
    });
    check("cgroup-v2/slowd.service/memory.events", |b| {
        cgroup::parse_events("memory.events", b)
    });
}

#[test]
fn lists() {
    let lines = |b: &[u8]| {
        let mut found = Vec::new();
        maps::parse(b, |entry| found.push(format!("{entry:?}"))).map(|_| found)
    };
    check_list("linux-6.1/1234/maps", lines);
    check_list("linux-3.10/1234/cgroup", |b| {
        let mut found = Vec::new();
        cgroup::parse_membership(b, |one| found.push(format!("{one:?}"))).map(|()| found)
    });
    check_list("linux-6.1/1234/task/1234/children", |b| {
        let mut found = Vec::new();
        single::parse_children(b, |pid| found.push(pid.to_string())).map(|()| found)
    });
    check_list("linux-6.1/mountinfo", |b| {
        let mut found = Vec::new();
        mountinfo::parse(b, |mount| found.push(format!("{mount:?}"))).map(|()| found)
    });
}

#[test]
fn tables_of_sockets_and_objects() {
    check_list("linux-6.1/net/tcp", |b| {
        let mut found = Vec::new();
        net::parse_internet("net/tcp", b, |row| found.push(format!("{row:?}"))).map(|()| found)
    });
    check_list("linux-6.1/net/unix", |b| {
        let mut found = Vec::new();
        net::parse_unix(b, |row| found.push(format!("{row:?}"))).map(|()| found)
    });
    check_list("linux-6.1/sysvipc/shm", |b| {
        let mut found = Vec::new();
        ipc::parse_segments(b, |row| found.push(format!("{row:?}"))).map(|()| found)
    });
    check_list("linux-6.1/sysvipc/msg", |b| {
        let mut found = Vec::new();
        ipc::parse_queues(b, |row| found.push(format!("{row:?}"))).map(|()| found)
    });
    check_list("linux-6.1/sysvipc/sem", |b| {
        let mut found = Vec::new();
        ipc::parse_semaphores(b, |row| found.push(format!("{row:?}"))).map(|()| found)
    });
}

fn check_list(file: &str, parse: impl Fn(&[u8]) -> Result<Vec<String>, Error>) {
    let text = fixture(file);
    let whole = parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert!(whole.len() > 1, "{file} is a list");
    for cut in 0..text.len() {
        if let Ok(part) = parse(&text[..cut]) {
            assert_eq!(part, whole[..part.len()], "{file} cut at {cut}");
            assert!(
                part.len() < whole.len(),
                "{file} cut at {cut} has all of it"
            );
        }
    }
}

#[test]
fn smaps_of_every_kernel() {
    for kernel in ["3.10", "4.4", "5.10", "6.1"] {
        let text = fixture(&format!("linux-{kernel}/1234/smaps"));
        let (whole, complete) = smaps_entries(&text);
        assert!(complete && whole.len() == 7);
        for cut in 0..text.len() {
            let (part, complete) = smaps_entries(&text[..cut]);
            let ended = cut == 0 || text[cut - 1] == b'\n';
            assert_eq!(complete, ended, "linux-{kernel} cut at {cut}");
            for (part, whole) in part.iter().zip(&whole) {
                assert_part(part, whole, &format!("linux-{kernel} cut at {cut}"));
            }
        }
    }
}
