//! The machine's memory in one look: `meminfo`, `pressure/memory`, `buddyinfo`. What the kernel does not tell is
//! `None`.

use memtide_model::{Bytes, Machine};
use memtide_proc::parse::host::{self, MemInfo};
use memtide_proc::{Buffer, ProcRoot};

/// Reads it.
pub(crate) fn read(root: &ProcRoot) -> Machine {
    let mut buffer = Buffer::new();
    let info = root.read("meminfo", &mut buffer);
    let info = info.and_then(host::parse_meminfo).unwrap_or_default();
    let mut machine = of_meminfo(&info);
    if let Ok(bytes) = root.read("pressure/memory", &mut buffer)
        && let Ok((some, full)) = host::parse_pressure_shares(bytes)
    {
        (machine.pressure_some, machine.pressure_full) = (Some(some), Some(full));
    }
    if let Ok(bytes) = root.read("buddyinfo", &mut buffer) {
        let mut blocks = Vec::new();
        if host::parse_buddyinfo(bytes, &mut blocks).is_ok() {
            machine.free_blocks = blocks;
        }
    }
    machine
}

fn of_meminfo(info: &MemInfo) -> Machine {
    let both = |one: Option<Bytes>, other: Option<Bytes>| Some(one? + other?);
    let huge = |pages: Option<u64>| Some(Bytes(pages?.saturating_mul(info.huge_page_size?.0)));
    Machine {
        total: info.total,
        free: info.free,
        available: info.available,
        // Cached counts tmpfs, which is no cache: it cannot be dropped.
        page_cache: both(info.cached, info.buffers)
            .zip(info.shmem)
            .map(|(cache, shmem)| cache.saturating_sub(shmem)),
        anon: info.anon,
        shmem: info.shmem,
        slab_reclaimable: info.slab_reclaimable,
        slab_unreclaimable: info.slab_unreclaimable,
        kernel: both(info.kernel_stack, info.page_tables),
        huge_pages: huge(info.huge_pages),
        huge_pages_free: huge(info.huge_pages_free),
        swap_total: info.swap_total,
        swap_free: info.swap_free,
        committed: info.committed,
        commit_limit: info.commit_limit,
        pressure_some: None,
        pressure_full: None,
        free_blocks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_cache_is_without_tmpfs() {
        let info = MemInfo {
            cached: Some(Bytes(100)),
            buffers: Some(Bytes(10)),
            shmem: Some(Bytes(30)),
            huge_pages: Some(3),
            huge_page_size: Some(Bytes(2 << 20)),
            kernel_stack: Some(Bytes(5)),
            ..MemInfo::default()
        };
        let machine = of_meminfo(&info);
        assert_eq!(machine.page_cache, Some(Bytes(80)));
        assert_eq!(machine.huge_pages, Some(Bytes(6 << 20)));
        // A sum of which one part is missing is not known.
        assert_eq!((machine.kernel, machine.huge_pages_free), (None, None));
    }

    #[test]
    fn this_machine_adds_up() {
        let machine = read(&ProcRoot::system().unwrap());
        let value = |bytes: Option<Bytes>| bytes.map_or(0, |bytes| bytes.0);
        assert!(value(machine.total) > value(machine.available));
        assert!(value(machine.available) > 0 && value(machine.commit_limit) > 0);
        let free: u64 = machine
            .free_blocks
            .iter()
            .enumerate()
            .map(|(order, count)| (count << order) * rustix::param::page_size() as u64)
            .sum();
        // Free pages that each processor keeps for itself are in MemFree and in no block.
        let reported = value(machine.free);
        assert!(
            free.abs_diff(reported) < reported / 4 + (256 << 20),
            "{free} {reported}"
        );
    }
}
