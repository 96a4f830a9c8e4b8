//! `stat` and `statm`: the part that a sweep reads agrees with the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memtide_proc::parse::{stat, statm};

fuzz_target!(|bytes: &[u8]| {
    let _ = statm::parse(bytes);
    let part = stat::parse_thread(bytes);
    if let Ok(whole) = stat::parse(bytes) {
        let part = part.expect("the part of a good stat is good");
        assert_eq!((part.comm, part.state), (whole.comm, whole.state));
        assert_eq!((part.min_flt, part.maj_flt), (whole.min_flt, whole.maj_flt));
        assert_eq!((part.utime, part.stime), (whole.utime, whole.stime));
        assert_eq!(part.starttime, whole.starttime);
    }
});
