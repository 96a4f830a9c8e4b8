//! Files that hold one thing, and targets of descriptors' links.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memtide_model::Descriptors;
use memtide_proc::parse::fd::FdKind;
use memtide_proc::parse::single;

fuzz_target!(|bytes: &[u8]| {
    let mut numbers = 0;
    let children = single::parse_children(bytes, |_| numbers += 1);
    assert!(children.is_err() || numbers == bytes.iter().filter(|&&byte| byte == b' ').count());
    let _ = single::parse_number("oom_score", bytes);
    let _ = (single::parse_comm(bytes), single::parse_wchan(bytes));
    let mut counts = Descriptors::default();
    FdKind::of_link(bytes).count_in(&mut counts);
    let total: u64 = counts.groups().iter().map(|(_, count)| count).sum();
    assert_eq!(total, 1, "a link is of one kind");
});
