//! The machine's memory: `/proc/meminfo`, `/proc/pressure/memory` and `/proc/buddyinfo`.

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
    /// `Shmem`: tmpfs and shared memory.
    pub shmem: Option<Bytes>,
    /// `AnonPages`: mapped anonymous memory.
    pub anon: Option<Bytes>,
    /// `SReclaimable`: slab that can be reclaimed.
    pub slab_reclaimable: Option<Bytes>,
    /// `SUnreclaim`: slab that cannot be reclaimed.
    pub slab_unreclaimable: Option<Bytes>,
    /// `KernelStack`: stacks of threads in the kernel.
    pub kernel_stack: Option<Bytes>,
    /// `PageTables`.
    pub page_tables: Option<Bytes>,
    /// `CommitLimit`: what may be committed where the kernel refuses more (`overcommit_memory` 2).
    pub commit_limit: Option<Bytes>,
    /// `Committed_AS`.
    pub committed: Option<Bytes>,
    /// `SwapTotal`.
    pub swap_total: Option<Bytes>,
    /// `SwapFree`.
    pub swap_free: Option<Bytes>,
    /// `HugePages_Total`: reserved huge pages of the default size.
    pub huge_pages: Option<u64>,
    /// `HugePages_Free`: of them those that nobody uses.
    pub huge_pages_free: Option<u64>,
    /// `Hugepagesize`: that default size.
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
        let read = if key.starts_with(b"HugePages_") {
            info.set_count(key, value)
        } else {
            info.set_size(key, value)
        };
        read.ok_or(Error::malformed(
            "meminfo",
            number,
            "value is not what its key promises",
        ))?;
    }
    Ok(info)
}

impl MemInfo {
    /// Sets the field of `key`, if it is one that is wanted; `None` where the value is no size.
    fn set_size(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let field = match key {
            b"MemTotal" => &mut self.total,
            b"MemFree" => &mut self.free,
            b"MemAvailable" => &mut self.available,
            b"Buffers" => &mut self.buffers,
            b"Cached" => &mut self.cached,
            b"Shmem" => &mut self.shmem,
            b"AnonPages" => &mut self.anon,
            b"SReclaimable" => &mut self.slab_reclaimable,
            b"SUnreclaim" => &mut self.slab_unreclaimable,
            b"KernelStack" => &mut self.kernel_stack,
            b"PageTables" => &mut self.page_tables,
            b"CommitLimit" => &mut self.commit_limit,
            b"Committed_AS" => &mut self.committed,
            b"SwapTotal" => &mut self.swap_total,
            b"SwapFree" => &mut self.swap_free,
            b"Hugepagesize" => &mut self.huge_page_size,
            _ => return Some(()),
        };
        *field = Some(scan::kibibytes(value)?);
        Some(())
    }

    /// As [`Self::set_size`], of what is a number of pages.
    fn set_count(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let field = match key {
            b"HugePages_Total" => &mut self.huge_pages,
            b"HugePages_Free" => &mut self.huge_pages_free,
            _ => return Some(()),
        };
        *field = Some(scan::number(value)?);
        Some(())
    }
}

/// Parses `pressure/memory`: the total stall times of its two lines, in microseconds.
///
/// # Errors
/// Where one of the two lines or its total is missing, or the file is cut off.
pub fn parse_pressure(bytes: &[u8]) -> Result<Pressure, Error> {
    let (some_us, full_us) = pressure_lines(bytes, b"total=", "no total", scan::number)?;
    Ok(Pressure { some_us, full_us })
}

/// Parses `pressure/memory`: the shares of the last minute in which some task, and all of them, waited for
/// memory (`avg60`), 0 to 1.
///
/// # Errors
/// As [`parse_pressure`].
pub fn parse_pressure_shares(bytes: &[u8]) -> Result<(f64, f64), Error> {
    pressure_lines(bytes, b"avg60=", "no avg60", percent)
}

/// `1.23`, two decimals as the kernel prints them, of a hundred.
fn percent(word: &[u8]) -> Option<f64> {
    let (whole, rest) = scan::decimal(word)?;
    let (hundredths, b"") = scan::decimal(rest.strip_prefix(b".")?)? else {
        return None;
    };
    (whole <= 100 && hundredths < 100 && rest.len() == 3)
        .then_some((whole * 100 + hundredths) as f64 / 10_000.0)
}

/// The value behind `key` of the line of some and of that of full.
fn pressure_lines<T>(
    bytes: &[u8],
    key: &[u8],
    missing: &'static str,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Result<(T, T), Error> {
    let (mut some, mut full) = (None, None);
    for (number, line) in scan::some_lines("pressure/memory", bytes)? {
        let mut words = scan::words(line);
        let field = match words.next() {
            Some(b"some") => &mut some,
            Some(b"full") => &mut full,
            _ => continue,
        };
        let value = words.find_map(|word| parse(word.strip_prefix(key)?));
        *field = Some(value.ok_or(Error::malformed("pressure/memory", number, missing))?);
    }
    some.zip(full).ok_or(Error::malformed(
        "pressure/memory",
        0,
        "not a line of some and one of full",
    ))
}

/// Adds the free blocks of all zones of `buddyinfo` to `blocks`, which has one number for each order:
/// blocks of 2^order pages. The kernel has 11 orders, or as many as `MAX_ORDER` says.
///
/// # Errors
/// A line of another shape; a file that is empty or cut off.
pub fn parse_buddyinfo(bytes: &[u8], blocks: &mut Vec<u64>) -> Result<(), Error> {
    for (number, line) in scan::some_lines("buddyinfo", bytes)? {
        let bad = Error::malformed("buddyinfo", number, "not a zone and its free blocks");
        let mut words = scan::words(line);
        // "Node 0, zone Normal"
        if words.next() != Some(b"Node") || words.nth(1) != Some(b"zone") || words.next().is_none()
        {
            return Err(bad);
        }
        for (order, word) in words.enumerate() {
            let free = scan::number(word).ok_or(bad.clone())?;
            match blocks.get_mut(order) {
                Some(sum) => *sum = sum.saturating_add(free),
                None => blocks.push(free),
            }
        }
    }
    Ok(())
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
        assert_eq!(parse_pressure_shares(text).unwrap(), (0.0123, 0.0));
        assert!(parse_pressure(b"some avg10=0.00\n").is_err());
        let some = text.split_inclusive(|&byte| byte == b'\n').next().unwrap();
        assert!(parse_pressure(some).is_err(), "full was cut off");
        assert!(parse_pressure(b"").is_err());
    }

    #[test]
    fn a_share_is_a_number_of_two_decimals() {
        for (word, share) in [
            (&b"0.00"[..], Some(0.0)),
            (b"12.34", Some(0.1234)),
            (b"100.00", Some(1.0)),
            (b"101.00", None),
            (b"1.2", None),
            (b"1", None),
            (b"1.234", None),
            (b"nan", None),
        ] {
            assert_eq!(percent(word), share, "{}", word.escape_ascii());
        }
    }

    #[test]
    fn huge_pages_are_counted_in_pages() {
        let text =
            b"HugePages_Total:      16\nHugePages_Free:        4\nHugePages_Surp:        x\n\
            Hugepagesize:       2048 kB\nCommitLimit:    12345 kB\n";
        let info = parse_meminfo(text).unwrap();
        assert_eq!((info.huge_pages, info.huge_pages_free), (Some(16), Some(4)));
        assert_eq!(info.huge_page_size, Some(Bytes(2 << 20)));
        assert_eq!(info.commit_limit, Some(Bytes(12345 * 1024)));
        assert!(parse_meminfo(b"HugePages_Total: 16 kB\n").is_err());
    }

    #[test]
    fn free_blocks_are_summed_over_zones() {
        let text = b"Node 0, zone      DMA      0      0      1 \nNode 0, zone   Normal  10976   7910   7277   3470 \n";
        let mut blocks = Vec::new();
        parse_buddyinfo(text, &mut blocks).unwrap();
        assert_eq!(blocks, [10976, 7910, 7278, 3470]);
        for broken in [
            &b"Node 0, zone DMA 1 x\n"[..],
            b"zone\n",
            b"",
            b"Node 0, zone\n",
        ] {
            assert!(parse_buddyinfo(broken, &mut Vec::new()).is_err());
        }
    }
}
