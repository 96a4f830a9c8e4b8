//! The machine's memory: `/proc/meminfo` and `/proc/pressure/memory`.

use super::scan;
use crate::error::Error;
use memtide_model::{Bytes, Pressure};

/// What memtide reads of `meminfo` (proc(5)); `None`: the kernel does not print it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemInfo {
    /// `MemTotal`.
    pub total: Option<Bytes>,
    /// `MemFree`.
    pub free: Option<Bytes>,
    /// `MemAvailable` (since Linux 3.14).
    pub available: Option<Bytes>,
    /// `Buffers`: page cache of block devices.
    pub buffers: Option<Bytes>,
    /// `Cached`: page cache, tmpfs included.
    pub cached: Option<Bytes>,
    /// `AnonPages`: anonymous memory that is mapped.
    pub anon: Option<Bytes>,
    /// `Shmem`: tmpfs and shared memory.
    pub shmem: Option<Bytes>,
    /// `SReclaimable`: slab that can be reclaimed: dentries, inodes.
    pub slab_reclaimable: Option<Bytes>,
    /// `SUnreclaim`: slab that cannot be reclaimed.
    pub slab_unreclaimable: Option<Bytes>,
    /// `KernelStack`.
    pub kernel_stack: Option<Bytes>,
    /// `PageTables`.
    pub page_tables: Option<Bytes>,
    /// `Committed_AS`: address space that was promised.
    pub committed: Option<Bytes>,
    /// `CommitLimit`: what may be promised at most where overcommit is off (`vm.overcommit_memory` = 2).
    pub commit_limit: Option<Bytes>,
    /// `SwapTotal`.
    pub swap_total: Option<Bytes>,
    /// `SwapFree`.
    pub swap_free: Option<Bytes>,
    /// `HugePages_Total`: pages of the pool.
    pub huge_pages: Option<u64>,
    /// `HugePages_Free`: of them in use by nobody.
    pub huge_pages_free: Option<u64>,
    /// `Hugepagesize`: what each of them takes.
    pub huge_page_size: Option<Bytes>,
}

/// Parses `meminfo`.
///
/// # Errors
/// A known field that is no size; a file that is empty or cut off.
pub fn parse_meminfo(bytes: &[u8]) -> Result<MemInfo, Error> {
    let mut info = MemInfo::default();
    for (number, line) in scan::some_lines("meminfo", bytes)? {
        let Some((key, value)) = scan::key_value(line) else {
            continue;
        };
        let count = match key {
            b"HugePages_Total" => Some(&mut info.huge_pages),
            b"HugePages_Free" => Some(&mut info.huge_pages_free),
            _ => None,
        };
        if let Some(count) = count {
            let pages = scan::number(value);
            *count =
                Some(pages.ok_or(Error::malformed("meminfo", number, "value is no number"))?);
            continue;
        }
        let field = match key {
            b"MemTotal" => &mut info.total,
            b"MemFree" => &mut info.free,
            b"MemAvailable" => &mut info.available,
            b"Buffers" => &mut info.buffers,
            b"Cached" => &mut info.cached,
            b"AnonPages" => &mut info.anon,
            b"Shmem" => &mut info.shmem,
            b"SReclaimable" => &mut info.slab_reclaimable,
            b"KernelStack" => &mut info.kernel_stack,
            b"CommitLimit" => &mut info.commit_limit,
            b"Hugepagesize" => &mut info.huge_page_size,
            b"SUnreclaim" => &mut info.slab_unreclaimable,
            b"PageTables" => &mut info.page_tables,
            b"Committed_AS" => &mut info.committed,
            b"SwapTotal" => &mut info.swap_total,
            b"SwapFree" => &mut info.swap_free,
            _ => continue,
        };
        let size = scan::kibibytes(value);
        *field = Some(size.ok_or(Error::malformed(
            "meminfo",
            number,
            "value is no size in kB",
        ))?);
    }
    Ok(info)
}

/// Parses `pressure/memory`: the total stall times of its two lines, in microseconds.
///
/// # Errors
/// Where one of the two lines or its total is missing, or the file is cut off.
pub fn parse_pressure(bytes: &[u8]) -> Result<Pressure, Error> {
    let (mut some, mut full) = (None, None);
    for (number, line) in scan::some_lines("pressure/memory", bytes)? {
        let mut words = scan::words(line);
        let total = match words.next() {
            Some(b"some") => &mut some,
            Some(b"full") => &mut full,
            _ => continue,
        };
        let value = words.find_map(|word| scan::number(word.strip_prefix(b"total=")?));
        *total = Some(value.ok_or(Error::malformed("pressure/memory", number, "no total"))?);
    }
    match (some, full) {
        (Some(some_us), Some(full_us)) => Ok(Pressure { some_us, full_us }),
        _ => Err(Error::malformed(
            "pressure/memory",
            0,
            "not a line of some and one of full",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_the_total_of_its_lines() {
        let text = b"some avg10=0.00 avg60=1.23 avg300=0.00 total=12345\n\
                     full avg10=0.00 avg60=0.00 avg300=0.00 total=678\n";
        let pressure = parse_pressure(text).unwrap();
        assert_eq!((pressure.some_us, pressure.full_us), (12345, 678));
        assert!(parse_pressure(b"some avg10=0.00\n").is_err());
        let some = text.split_inclusive(|&byte| byte == b'\n').next().unwrap();
        assert!(parse_pressure(some).is_err(), "full was cut off");
        assert!(parse_pressure(b"").is_err());
    }
}
