//! Kernel logs of real forms, from 3.10 to 6.18: `tests/logs/README.md` says where each is from.

use memtide_model::Bytes;
use memtide_oom::{Constraint, Found, Kill, Search, explain, find_in};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn log(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/logs")
        .join(name)
}

fn kills(name: &str) -> Vec<Kill> {
    find_in(&log(name), None).expect(name).kills
}

fn only(name: &str) -> Kill {
    let kills = kills(name);
    let count = kills.len();
    kills
        .into_iter()
        .next()
        .filter(|_| count == 1)
        .unwrap_or_else(|| panic!("{name}: one kill, not {count}"))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "compared with sizes that may be missing"
)]
fn kib(kib: u64) -> Option<Bytes> {
    Some(Bytes::from_kib(kib))
}

#[test]
fn a_recorded_kill_of_this_kernel_is_told_whole() {
    let kill = only("6.18-v1-this-machine.kmsg");
    assert_eq!(
        (kill.pid, kill.name.as_str(), kill.uid),
        (29_602, "leaky", Some(0))
    );
    assert_eq!(kill.constraint, Constraint::Memcg);
    assert_eq!(kill.group.as_deref(), Some("/memtide-oom-fixture"));
    assert_eq!(kill.task_group, kill.group);
    let usage = kill.usage.unwrap();
    assert_eq!(
        (Some(usage.memory), usage.limit()),
        (kib(65_536), kib(65_536))
    );
    assert_eq!((usage.swap_holds_memory, usage.kernel), (true, kib(244)));
    assert_eq!((kill.total_vm, kill.anon_rss), (kib(55_932), kib(52_736)));
    assert_eq!((kill.file_rss, kill.shmem_rss), (kib(1116), kib(0)));
    assert_eq!((kill.page_tables, kill.oom_score_adj), (kib(148), Some(0)));
    let request = kill.request.as_ref().unwrap();
    assert_eq!((request.by.as_str(), request.order), ("leaky", Some(0)));
    assert_eq!(request.gfp, "0xcc0(GFP_KERNEL)");
    // The kernel's list counts in pages of 4 KiB: 13,463 and 3,413 of them.
    let tasks: Vec<_> = kill.tasks.iter().map(|task| (task.pid, task.rss)).collect();
    assert_eq!(
        tasks,
        [
            (29_602, Bytes(13_463 * 4096)),
            (29_601, Bytes(3_413 * 4096))
        ]
    );
    assert_eq!(kill.tasks_in_all, 2);
    assert_eq!(kill.stamp_ns.unwrap().0, 47_759_902_412_000);
    assert!(kill.host.is_none(), "a dump of a group has no Mem-Info");
    assert_eq!(
        explain::headline(&kill),
        "leaky (pid 29602, uid 0) was killed: the limit of 64.0 MiB of control group \
         /memtide-oom-fixture was reached"
    );
    assert!(
        explain::advice(&kill).starts_with("leaky held 82 % of the limit"),
        "{}",
        explain::advice(&kill)
    );
}

#[test]
fn a_name_of_odd_bytes_stays_one_name() {
    let kill = only("6.18-v1-odd-name-this-machine.kmsg");
    assert_eq!(kill.name, "a)\\x0ab,task=c(");
    assert_eq!((kill.pid, kill.anon_rss), (29_654, kib(52_736)));
    assert_eq!(kill.group.as_deref(), Some("/memtide-oom-fixture"));
}

#[test]
fn the_same_kill_is_read_from_what_dmesg_printed() {
    // dmesg breaks a line where the name does, and indents the rest.
    let raw = fs::read_to_string(log("6.18-v1-odd-name-this-machine.kmsg")).unwrap();
    let mut printed = String::new();
    for line in raw.lines() {
        let (head, words) = line.split_once(';').unwrap();
        let micros: u64 = head.split(',').nth(2).unwrap().parse().unwrap();
        let stamp = format!("[{}.{:06}] ", micros / 1_000_000, micros % 1_000_000);
        let rest = format!("\n{}", " ".repeat(stamp.len()));
        printed += &[&stamp, words.replace("\\x0a", &rest).as_str(), "\n"].concat();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dmesg.txt");
    fs::write(&file, printed).unwrap();
    let [kill] = find_in(&file, None).unwrap().kills.try_into().unwrap();
    let direct = only("6.18-v1-odd-name-this-machine.kmsg");
    assert_eq!(
        (&kill.name, kill.pid, kill.total_vm),
        (&direct.name, direct.pid, direct.total_vm)
    );
    assert_eq!((kill.stamp_ns, kill.usage), (direct.stamp_ns, direct.usage));
    assert_eq!((&kill.group, kill.tasks_in_all), (&direct.group, 2));
}

#[test]
fn the_words_of_3_10_name_the_group_above() {
    let kill = only("3.10-el7-memcg.syslog");
    assert_eq!(
        (kill.pid, kill.name.as_str(), kill.uid),
        (33_421, "memcg_process", Some(1004))
    );
    assert_eq!(
        (kill.group.as_deref(), kill.task_group.as_deref()),
        (Some("/jobs"), Some("/jobs/17"))
    );
    let usage = kill.usage.unwrap();
    assert_eq!(
        (Some(usage.memory), usage.memory_limit),
        (kib(20_480), kib(20_480))
    );
    assert_eq!((usage.swap, usage.swap_limit), (kib(24_576), None));
    assert_eq!((kill.swap, kill.score), (kib(4096), Some(968)));
    assert_eq!(kill.page_tables, None, "3.10 does not print them");
    assert!(explain::headline(&kill).contains("it ran in /jobs/17, below it"));
}

#[test]
fn a_machine_out_of_memory_shows_where_it_went() {
    let kill = only("4.9-host.dmesg");
    assert_eq!(
        (kill.pid, kill.name.as_str(), kill.constraint),
        (2844, "java", Constraint::None)
    );
    assert_eq!(kill.request.as_ref().unwrap().by, "java");
    let host = kill.host.as_ref().unwrap();
    assert_eq!(
        (host.ram, host.anon),
        (kib(2_097_021 * 4), kib((1_801_234 + 102_400) * 4))
    );
    assert_eq!(
        (host.free, host.reserve),
        (kib(15_908 + 44_312 + 41_504), kib(132 + 25_312 + 42_164))
    );
    assert_eq!((host.swap_total, host.swap_free), (kib(1_048_572), kib(0)));
    assert_eq!(host.slab_unreclaimable, kib(11_890 * 4));
    assert_eq!(host.free_blocks.first(), Some(&(1 + 330 + 10_376)));
    assert_eq!((kill.tasks_in_all, kill.swap), (4, kib(201_003 * 4)));
    assert_eq!(kill.tasks.last().unwrap().name, "npm start");
    assert_eq!(
        explain::fragmented(&kill),
        None,
        "order 0 is never too large"
    );
}

#[test]
fn the_form_of_4_18_with_an_offset_in_its_time() {
    let kill = only("4.18-el8-memcg.syslog");
    assert_eq!(
        (kill.pid, kill.uid, kill.oom_score_adj),
        (15_784, Some(100_065), Some(992))
    );
    // 2021-05-15T21:09:29.10124Z.
    assert_eq!(kill.wall_ns, Some(1_621_112_969_101_240_000));
    assert_eq!(kill.usage.unwrap().limit(), kib(524_288));
    let facts = explain::facts(&kill).join("\n");
    assert!(
        facts.contains("oom_score_adj of 992 has it killed sooner"),
        "{facts}"
    );
}

#[test]
fn fragmentation_is_told_apart_from_want() {
    let kill = only("5.10-order3.syslog");
    assert_eq!(kill.request.as_ref().unwrap().order, Some(3));
    assert_eq!(
        kill.task_group.as_deref(),
        Some("/system.slice/named.service")
    );
    let host = kill.host.as_ref().unwrap();
    assert_eq!((host.free, host.shmem), (kib(524_288), kib(4000)));
    assert_eq!(host.free_blocks.get(..3), Some(&[91_072, 20_000, 0][..]));
    let told = explain::fragmented(&kill).expect("half a GiB was free, and no block of 32 KiB");
    assert_eq!(
        told,
        "killed with 512 MiB free because order 3 was asked for (32.0 KiB in one piece), of which the \
         machine had none: its free memory is fragmented"
    );
    assert!(explain::advice(&kill).contains("vm.min_free_kbytes"));
}

#[test]
fn a_group_that_goes_as_a_whole_is_told_as_one() {
    let kills = kills("5.15-v2-group.kmsg");
    let pids: Vec<u32> = kills.iter().map(|kill| kill.pid).collect();
    assert_eq!(
        pids,
        [4104, 4102, 4101],
        "newest first, the first victim once"
    );
    for kill in &kills {
        assert!(kill.whole_group, "{}", kill.name);
        assert_eq!(kill.group.as_deref(), Some("/batch.slice/job,task=7"));
        let usage = kill.usage.unwrap();
        assert!(!usage.swap_holds_memory);
        assert_eq!((usage.limit(), usage.swap), (kib(262_144), kib(1024)));
    }
    assert_eq!(kills[1].name, "worker (2), a");
    // 25,600 pages of 64 Ki: the rest of the group's memory is tmpfs.
    let facts = explain::facts(&kills[0]).join("\n");
    assert!(facts.contains("its processes held only 100 MiB"), "{facts}");
    assert!(explain::advice(&kills[0]).contains("tmpfs"));
}

#[test]
fn dumps_of_two_processors_do_not_mix_and_forged_ones_do_not_count() {
    let kills = kills("6.8-v2-two-at-once.kmsg");
    let told: Vec<_> = kills
        .iter()
        .map(|kill| {
            let limit = kill.usage.and_then(|usage| usage.limit());
            (
                kill.name.as_str(),
                kill.group.as_deref(),
                limit,
                kill.tasks_in_all,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("beta", Some("/b"), kib(20_480), 1),
            ("alpha", Some("/a"), kib(10_240), 1),
        ]
    );
}

/// A folder of logs as a machine has them: the same kill in three files, one of them gzipped.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a log can be written");
    let syslog = fs::read(log("5.10-order3.syslog")).expect("a log can be written");
    fs::write(folder.path().join("kern.log"), &syslog).expect("a log can be written");
    fs::write(folder.path().join("syslog"), &syslog).expect("a log can be written");
    let gzip =
        File::create(folder.path().join("messages-20210516.gz")).expect("a log can be written");
    let mut gzip = flate2::write::GzEncoder::new(gzip, flate2::Compression::default());
    gzip.write_all(&fs::read(log("4.18-el8-memcg.syslog")).expect("a log can be written"))
        .expect("a log can be written");
    gzip.finish().expect("a log can be written");
    fs::write(
        folder.path().join("syslog.2.gz"),
        b"\x1f\x8bnot really gzipped",
    )
    .expect("a log can be written");
    fs::write(folder.path().join("auth.log"), &syslog).expect("a log can be written");
    folder
}

fn of_folder(found: Found, folder: &Path) -> Vec<Kill> {
    let name = folder.display().to_string();
    let is_ours = |kill: &Kill| kill.sources.iter().any(|source| source.starts_with(&name));
    found.kills.into_iter().filter(is_ours).collect()
}

#[test]
fn rotated_and_gzipped_logs_are_read_and_a_kill_in_two_of_them_is_one() {
    let folder = folder();
    let search = Search {
        since_ns: None,
        log_folder: folder.path().to_owned(),
    };
    let kills = of_folder(memtide_oom::find(&search), folder.path());
    let names: Vec<&str> = kills.iter().map(|kill| kill.name.as_str()).collect();
    assert_eq!(names, ["named", "python3"]);
    assert_eq!(kills[0].sources.len(), 2, "{:?}", kills[0].sources);
    assert!(kills[1].sources[0].ends_with("messages-20210516.gz"));
    let recent = Search {
        // 2022: after the one and before the other, whose year is that of the file.
        since_ns: Some(1_640_995_200_000_000_000),
        ..search
    };
    let kills = of_folder(memtide_oom::find(&recent), folder.path());
    assert_eq!(kills.len(), 1);
}

/// Why the files of a folder were not read, or not whole, by their names.
fn unread(folder: &Path) -> Vec<(String, String)> {
    let search = Search {
        since_ns: None,
        log_folder: folder.to_owned(),
    };
    let sources = memtide_oom::find(&search).sources.into_iter();
    let failed = sources.filter_map(|source| {
        let name = Path::new(&source.name)
            .strip_prefix(folder)
            .ok()?
            .to_owned();
        Some((name.display().to_string(), source.failed?))
    });
    failed.collect()
}

#[test]
fn what_is_damaged_or_compressed_by_others_is_named_and_no_all_clear() {
    let folder = folder();
    let whole = fs::read(folder.path().join("messages-20210516.gz")).expect("it was written");
    fs::write(
        folder.path().join("messages-20210516.gz"),
        &whole[..whole.len() / 2],
    )
    .expect("there is room");
    fs::write(folder.path().join("kern.log.2.xz"), b"\xfd7zXZ\0\0\x04").expect("there is room");
    fs::write(folder.path().join("kern.log.3"), b"\x28\xb5\x2f\xfd\x04").expect("there is room");
    let mut failed = unread(folder.path());
    failed.sort();
    let names: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "kern.log.2.xz",
            "kern.log.3",
            "messages-20210516.gz",
            "syslog.2.gz"
        ]
    );
    for (at, words) in [
        "`xz -dc ",
        "`zstd -dc ",
        "only its beginning was read",
        "only its beginning was read",
    ]
    .iter()
    .enumerate()
    {
        assert!(failed[at].1.contains(words), "{:?}", failed[at]);
    }
}

#[test]
fn a_file_that_is_not_there_is_an_error_with_its_name() {
    let error = find_in(Path::new("/nowhere/kern.log"), None).unwrap_err();
    assert_eq!(error.kind(), memtide_oom::ErrorKind::Missing);
    assert!(
        error.to_string().starts_with("reading /nowhere/kern.log: "),
        "{error}"
    );
}
