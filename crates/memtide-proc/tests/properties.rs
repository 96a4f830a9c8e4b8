//! Any bytes are survived, and what is printed as the kernel prints it is read back as it was meant.
#![expect(
    clippy::unwrap_used,
    reason = "in helpers of tests a panic is the failure"
)]

use memtide_model::Bytes;
use memtide_proc::parse::fd::FdKind;
use memtide_proc::parse::smaps::{Sizes, SmapsParser};
use memtide_proc::parse::{
    cgroup, host, ipc, limits, maps, mountinfo, net, single, smaps, stat, statm, status,
};
use proptest::prelude::*;
use std::fmt::Write as _;

/// Gives the bytes to every parser; a value is not expected, a panic is.
fn give_to_all(bytes: &[u8]) {
    let _ = stat::parse(bytes);
    let _ = stat::parse_thread(bytes);
    let _ = statm::parse(bytes);
    let _ = status::parse(bytes).map(|status| status.memory());
    let _ = maps::parse(bytes, |map| _ = (map.size(), map.is_shared()));
    let _ = smaps::parse(bytes, |_| ());
    let _ = smaps::parse_rollup(bytes);
    let _ = host::parse_meminfo(bytes);
    let _ = host::parse_pressure(bytes);
    let _ = host::parse_pressure_shares(bytes);
    let _ = host::parse_buddyinfo(bytes, &mut Vec::new());
    let _ = net::parse_internet("net/tcp", bytes, |socket| _ = socket.peer());
    let _ = net::parse_unix(bytes, |_| ());
    let _ = net::parse_inodes("net/netlink", bytes, |_| ());
    let _ = ipc::parse_segments(bytes, |_| ());
    let _ = ipc::parse_queues(bytes, |_| ());
    let _ = ipc::parse_semaphores(bytes, |_| ());
    let _ = ipc::parse_posix_queue(bytes);
    let _ = limits::parse(bytes);
    let _ = mountinfo::parse(bytes, |mount| _ = mountinfo::unescape(mount.root).count());
    let _ = cgroup::parse_membership(bytes, |_| ());
    let _ = cgroup::parse_limit_v1(bytes);
    let _ = cgroup::parse_limit_v2("memory.max", bytes);
    let _ = cgroup::parse_events("memory.events", bytes);
    let _ = (cgroup::parse_stat_v1(bytes), cgroup::parse_stat_v2(bytes));
    let _ = single::parse_number("oom_score", bytes);
    let _ = (single::parse_comm(bytes), single::parse_wchan(bytes));
    let _ = single::parse_children(bytes, |_| ());
    let _ = single::parse_syscall(bytes);
    let _ = FdKind::of_link(bytes);
}

/// A mapping as it is meant.
#[derive(Clone, Debug)]
struct Meant {
    start: u64,
    pages: u64,
    protection: [u8; 4],
    offset: u64,
    inode: u64,
    name: Vec<u8>,
    /// In kB, one for each key below.
    sizes: [u64; 12],
    flags: String,
}

/// The keys in the order of Linux 6.x, and whether they are wanted.
const KEYS: [(&str, Option<usize>); 22] = [
    ("Size", None),
    ("KernelPageSize", None),
    ("MMUPageSize", None),
    ("Rss", Some(0)),
    ("Pss", Some(1)),
    ("Pss_Dirty", None),
    ("Shared_Clean", None),
    ("Shared_Dirty", None),
    ("Private_Clean", Some(2)),
    ("Private_Dirty", Some(3)),
    ("Referenced", Some(4)),
    ("Anonymous", Some(5)),
    ("KSM", None),
    ("LazyFree", Some(6)),
    ("AnonHugePages", Some(7)),
    ("ShmemPmdMapped", Some(8)),
    ("FilePmdMapped", None),
    ("Shared_Hugetlb", None),
    ("Private_Hugetlb", None),
    ("Swap", Some(9)),
    ("SwapPss", Some(10)),
    ("Locked", Some(11)),
];

fn meant() -> impl Strategy<Value = Meant> {
    let size = prop_oneof![
        6 => 0..100_000_u64,
        2 => 0..100_000_000_u64,
        // More than eight digits shift what follows.
        1 => 0..(1_u64 << 44),
    ];
    let name = prop_oneof![
        Just(Vec::new()),
        Just(b"[heap]".to_vec()),
        // Any bytes but the newline, which the kernel escapes, and NUL.
        proptest::collection::vec(1..=255_u8, 0..40).prop_map(|mut bytes| {
            bytes.retain(|&byte| byte != b'\n');
            bytes.insert(0, b'/');
            bytes
        }),
    ];
    let protection = (
        prop_oneof![Just(b'r'), Just(b'-')],
        prop_oneof![Just(b'w'), Just(b'-')],
        prop_oneof![Just(b'x'), Just(b'-')],
        prop_oneof![Just(b'p'), Just(b's')],
    );
    (
        0..(1_u64 << 52),
        0..(1_u64 << 30),
        protection,
        any::<u32>(),
        any::<u64>(),
        name,
        proptest::array::uniform12(size),
        "( [a-z]{2}){0,9} ",
    )
        .prop_map(
            |(page, pages, (r, w, x, p), offset, inode, name, sizes, flags)| Meant {
                start: page * 4096,
                pages,
                protection: [r, w, x, p],
                offset: u64::from(offset) * 4096,
                inode,
                name,
                sizes,
                flags,
            },
        )
}

/// As `fs/proc/task_mmu.c` prints it, without the keys in `left_out`.
fn print(meant: &Meant, left_out: u32) -> Vec<u8> {
    let end = meant.start + meant.pages * 4096;
    let protection = String::from_utf8_lossy(&meant.protection);
    let (start, offset, inode) = (meant.start, meant.offset, meant.inode);
    let mut header = format!("{start:08x}-{end:08x} {protection} {offset:08x} fe:0a {inode} ");
    if !meant.name.is_empty() {
        header = format!("{header:73}");
    }
    let mut text = header.into_bytes();
    text.extend(&meant.name);
    text.push(b'\n');
    let mut body = String::new();
    for (index, (key, wanted)) in KEYS.iter().enumerate() {
        if left_out & 1 << index == 0 {
            let value = wanted.map_or(4, |place| meant.sizes[place]);
            writeln!(body, "{:16}{value:8} kB", format!("{key}:")).unwrap();
        }
    }
    writeln!(body, "THPeligible:           1\nVmFlags:{}", meant.flags).unwrap();
    text.extend(body.into_bytes());
    text
}

fn sizes(meant: &Meant, left_out: u32) -> Sizes {
    let size = |place: usize| {
        let index = KEYS
            .iter()
            .position(|(_, wanted)| *wanted == Some(place))
            .unwrap();
        (left_out & 1 << index == 0).then_some(Bytes(meant.sizes[place] * 1024))
    };
    Sizes {
        rss: size(0),
        pss: size(1),
        private_clean: size(2),
        private_dirty: size(3),
        referenced: size(4),
        anonymous: size(5),
        lazy_free: size(6),
        anon_huge_pages: size(7),
        shmem_pmd_mapped: size(8),
        swap: size(9),
        swap_pss: size(10),
        locked: size(11),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        give_to_all(&bytes);
    }

    #[test]
    fn damaged_files_are_survived(
        file in 0..9_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let names = [
            "1234/smaps", "1234/status", "1234/stat", "meminfo", "net/tcp", "net/unix", "sysvipc/shm", "sysvipc/msg",
            "buddyinfo",
        ];
        let tree = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/linux-6.1/");
        let mut bytes = std::fs::read(format!("{tree}{}", names[file])).unwrap();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        give_to_all(&bytes);
    }

    #[test]
    fn smaps_is_read_as_it_was_meant(
        mappings in proptest::collection::vec(meant(), 1..12),
        left_out in any::<u32>(),
        other in any::<u32>(),
        pieces in proptest::collection::vec(1..3000_usize, 1..8),
    ) {
        // Every fifth block lacks other keys than the rest: no kernel does that, and it may not matter.
        let left_out = |index: usize| if index % 5 == 4 { other } else { left_out };
        let text: Vec<u8> = mappings
            .iter()
            .enumerate()
            .flat_map(|(index, one)| print(one, left_out(index)))
            .collect();
        let mut parser = SmapsParser::new();
        // The second pass has a layout from the first.
        for pass in 0..2 {
            parser.restart();
            let mut index = 0;
            let mut held: Vec<u8> = Vec::new();
            let mut rest = &text[..];
            let mut pieces = pieces.iter().cycle();
            loop {
                let (piece, after) = rest.split_at(rest.len().min(*pieces.next().unwrap()));
                rest = after;
                held.extend(piece);
                let done = parser.feed(&held, piece.is_empty(), |entry| {
                    let one = &mappings[index];
                    assert_eq!((entry.map.start, entry.map.size()), (one.start, Bytes(one.pages * 4096)));
                    assert_eq!(entry.map.protection, one.protection);
                    assert_eq!((entry.map.offset, entry.map.inode), (one.offset, one.inode));
                    assert_eq!(entry.map.name, one.name);
                    assert_eq!(entry.sizes, sizes(one, left_out(index)), "mapping {index}, pass {pass}");
                    index += 1;
                });
                held.drain(..done.unwrap());
                if piece.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(index, mappings.len());
            prop_assert_eq!(parser.mappings(), mappings.len() as u64);
        }
    }

    #[test]
    fn a_stat_with_any_name_is_read_as_it_was_meant(
        name in proptest::collection::vec(1..=255_u8, 0..64),
        fields in proptest::array::uniform6(any::<u64>()),
        state in prop_oneof![Just('R'), Just('S'), Just('Z')],
    ) {
        let [min_flt, maj_flt, utime, stime, starttime, vsize] = fields;
        let mut text = b"77 (".to_vec();
        text.extend(&name);
        text.extend(format!(
            ") {state} 1 -2 3 0 -1 4194304 {min_flt} 1 {maj_flt} 2 {utime} {stime} 3 4 20 0 9 0 \
             {starttime} {vsize} 5 18446744073709551615 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 \
             23 24 25 26 27 28 29 30 31 3840\n"
        ).into_bytes());
        let stat = stat::parse(&text).unwrap();
        prop_assert_eq!(stat.comm, &name[..]);
        prop_assert_eq!((stat.state, stat.pgrp, stat.flags), (state as u8, -2, 4_194_304));
        prop_assert_eq!([stat.min_flt, stat.maj_flt, stat.utime, stat.stime], [min_flt, maj_flt, utime, stime]);
        prop_assert_eq!((stat.starttime.0, stat.vsize.0, stat.num_threads), (starttime, vsize, 9));
        prop_assert_eq!((stat.startcode, stat.startstack, stat.exit_code), (6, 8, Some(3840)));
        let part = stat::parse_thread(&text).unwrap();
        prop_assert_eq!(part.comm, stat.comm);
        prop_assert_eq!([part.min_flt, part.maj_flt, part.utime, part.stime], [min_flt, maj_flt, utime, stime]);
        prop_assert_eq!((part.starttime, part.state), (stat.starttime, stat.state));
    }
}
