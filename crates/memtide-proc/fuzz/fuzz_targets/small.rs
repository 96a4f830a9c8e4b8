//! Files that hold one thing, targets of descriptors' links, tables of sockets and of kernel objects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memtide_model::Descriptors;
use memtide_proc::parse::fd::FdKind;
use memtide_proc::parse::{host, ipc, net, single};

fuzz_target!(|bytes: &[u8]| {
    let mut numbers = 0;
    let children = single::parse_children(bytes, |_| numbers += 1);
    assert!(children.is_err() || numbers == bytes.iter().filter(|&&byte| byte == b' ').count());
    let _ = single::parse_number("oom_score", bytes);
    let _ = (single::parse_comm(bytes), single::parse_wchan(bytes));
    let _ = single::parse_syscall(bytes);
    let _ = host::parse_buddyinfo(bytes, &mut Vec::new());
    if let Ok((some, full)) = host::parse_pressure_shares(bytes) {
        assert!((0.0..=1.0).contains(&some) && (0.0..=1.0).contains(&full));
    }
    let _ = net::parse_internet("net/tcp", bytes, |socket| _ = socket.peer());
    let _ = net::parse_unix(bytes, |socket| assert!(!socket.path.contains(&b'\n')));
    let _ = net::parse_inodes("net/netlink", bytes, |_| ());
    let _ = ipc::parse_segments(bytes, |_| ());
    let _ = ipc::parse_queues(bytes, |_| ());
    let _ = ipc::parse_semaphores(bytes, |_| ());
    let _ = ipc::parse_posix_queue(bytes);
    let mut counts = Descriptors::default();
    FdKind::of_link(bytes).count_in(&mut counts);
    let total: u64 = counts.groups().iter().map(|(_, count)| count).sum();
    assert_eq!(total, 1, "a link is of one kind");
});
