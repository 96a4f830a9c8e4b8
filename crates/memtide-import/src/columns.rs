//! The columns of the corpus's series, as the fields of a sample.

use crate::table::Row;
use memtide_model::{
    Activity, Bytes, Children, Counts, Descriptors, Host, MappingClass, Maps, Memory, Merged,
    Nanos, ProcessId, Sample,
};

/// The columns without which there is no sample.
pub(crate) const NEEDED: [&str; 2] = ["t", "VmRSS"];

/// Prefixes of the columns of each class of mappings.
const CLASSES: [(MappingClass, &str); 7] = [
    (MappingClass::Heap, "heap"),
    (MappingClass::Arena, "arena"),
    (MappingClass::Stack, "stack"),
    (MappingClass::Anon, "anon"),
    (MappingClass::File, "file"),
    (MappingClass::Shared, "shm"),
    (MappingClass::Device, "dev"),
];

/// A row as the sample of a process; sizes in the file are KiB.
pub(crate) fn sample(row: Row<'_>, at: Nanos, process: ProcessId) -> Sample {
    let rss = kib(row, "VmRSS").unwrap_or_default();
    Sample {
        at,
        process,
        memory: memory(row, rss),
        activity: Activity {
            min_flt: count(row, "min_flt").unwrap_or_default(),
            maj_flt: count(row, "maj_flt").unwrap_or_default(),
            // The file has the sum of both times.
            utime: count(row, "cpu_ticks").unwrap_or_default(),
            ..Activity::default()
        },
        maps: maps(row),
        counts: counts(row),
        cgroup: None,
        host: kib(row, "mi_MemAvailable").map(|available| Host {
            available: Some(available),
            shmem: kib(row, "mi_Shmem"),
            ..Host::default()
        }),
        merged: Merged::single(rss),
    }
}

fn memory(row: Row<'_>, rss: Bytes) -> Memory {
    Memory {
        rss,
        size: kib(row, "VmSize").unwrap_or_default(),
        rss_anon: kib(row, "RssAnon"),
        rss_file: kib(row, "RssFile"),
        rss_shmem: kib(row, "RssShmem"),
        data: kib(row, "VmData"),
        stack: kib(row, "VmStk"),
        page_tables: kib(row, "VmPTE"),
        swap: kib(row, "VmSwap"),
        ..Memory::default()
    }
}

fn counts(row: Row<'_>) -> Counts {
    let number = |column| count(row, column).unwrap_or_default();
    let children = number("children");
    Counts {
        threads: number("Threads"),
        mappings: count(row, "nvma"),
        descriptors: count(row, "fd_all").map(|total| Descriptors {
            total,
            file: number("fd_file"),
            socket: number("fd_sock"),
            pipe: number("fd_pipe"),
            memfd: number("fd_memfd"),
            ..Descriptors::default()
        }),
        children: count(row, "zombies").map(|zombies| Children {
            total: children,
            zombies,
            session_others: number("session_procs").saturating_sub(children),
            rss: kib(row, "session_rss").unwrap_or_default(),
            ..Children::default()
        }),
        oom_score: None,
        queues: None,
    }
}

/// Sums by class; `None` for a file without them.
fn maps(row: Row<'_>) -> Option<Maps> {
    let size = |column: &str| kib(row, column).unwrap_or_default();
    row.get("heap_rss")?;
    let mut maps = Maps {
        pss: size("Pss"),
        private_dirty: size("Private_Dirty"),
        lazy_free: size("LazyFree"),
        anon_huge: size("AnonHugePages"),
        ..Maps::default()
    };
    for (class, prefix) in CLASSES {
        let totals = maps.classes.get_mut(class);
        totals.count = count(row, &format!("{prefix}_n")).unwrap_or_default();
        totals.size = size(&format!("{prefix}_size"));
        totals.rss = size(&format!("{prefix}_rss"));
    }
    let arenas = maps.classes.get_mut(MappingClass::Arena);
    arenas.grown = count(row, "arena_grown").unwrap_or_default();
    arenas.max_growth = size("arena_dmax");
    arenas.largest = size("arena_top");
    maps.classes.get_mut(MappingClass::Anon).largest = size("anon_max");
    maps.classes.get_mut(MappingClass::File).anonymous = size("file_anon");
    Some(maps)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative numbers have been left out, and the cast saturates"
)]
fn count(row: Row<'_>, column: &str) -> Option<u64> {
    row.get(column).map(|value| value as u64)
}

fn kib(row: Row<'_>, column: &str) -> Option<Bytes> {
    count(row, column).map(Bytes::from_kib)
}
