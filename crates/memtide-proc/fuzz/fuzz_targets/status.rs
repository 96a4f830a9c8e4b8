//! `status`, `limits`, `meminfo`, `pressure/memory`: files of keys and values.
#![no_main]

use libfuzzer_sys::fuzz_target;
use memtide_proc::parse::{host, limits, status};

fuzz_target!(|bytes: &[u8]| {
    let cut_off = bytes.last() != Some(&b'\n');
    let read = [
        status::parse(bytes)
            .map(|status| drop(status.memory()))
            .is_ok(),
        limits::parse(bytes).is_ok(),
        host::parse_meminfo(bytes).is_ok(),
        host::parse_pressure(bytes).is_ok(),
    ];
    assert!(!cut_off || read == [false; 4], "what is cut off is refused");
});
