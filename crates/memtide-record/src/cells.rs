//! Between the model's types and the rows of the file.
//!
//! Every series is a [`Group`]: a table keyed by tick with a few integer columns, `NULL` where a
//! value is not known. Both directions stand side by side here, so that a column can be neither
//! forgotten nor swapped on one of them alone; a property test drives them against each other.
//!
//! SQLite's integers are signed: values of 2^63 and more (only addresses can be) are stored as the
//! negative number of the same bits.

mod maps;

pub(crate) use maps::{of_class, of_totals, to_class, to_totals};

use memtide_model::{
    Activity, Bytes, Cgroup, Children, Counts, Descriptors, Host, Memory, Nanos, Pressure, Queues,
    Sample,
};
use rusqlite::Row;

/// The columns of a row, padded with `None` to the widest group.
pub(crate) type Cells = [Option<i64>; 13];
/// Of each of [`GROUPS`] its cells.
pub(crate) type Rows = [Cells; GROUPS.len()];

/// A series: a table keyed by tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// The table.
    pub(crate) table: &'static str,
    /// Its columns after the key, in the order of [`Cells`].
    pub(crate) columns: &'static [&'static str],
    /// Whether it moves at every tick by nature, so that only larger changes are written.
    pub(crate) restless: bool,
    /// Whether it has values that cannot be absent.
    pub(crate) required: bool,
}

/// The series that have a value at every tick.
pub(crate) const GROUPS: [Group; 9] = [
    required(
        "memory",
        &[
            "rss",
            "size",
            "peak_rss",
            "peak_size",
            "rss_anon",
            "rss_file",
            "rss_shmem",
            "data",
            "page_tables",
            "swap",
        ],
    ),
    group(
        "layout",
        &["stack", "text", "libraries", "locked", "pinned", "hugetlb"],
    ),
    required(
        "activity",
        &[
            "min_flt",
            "maj_flt",
            "utime",
            "stime",
            "voluntary_switches",
            "involuntary_switches",
        ],
    ),
    required("counts", &["threads", "mappings", "oom_score"]),
    group(
        "descriptors",
        &[
            "total",
            "file",
            "socket",
            "pipe",
            "eventfd",
            "epoll",
            "anon_inode",
            "memfd",
            "deleted",
        ],
    ),
    group(
        "children",
        &[
            "total",
            "zombies",
            "stopped",
            "blocked",
            "session_others",
            "rss",
        ],
    ),
    Group {
        table: "cgroup",
        columns: &[
            "current",
            "\"limit\"",
            "high",
            "anon",
            "file",
            "shmem",
            "kernel",
            "oom_kills",
            "limit_hits",
            "swap",
            "swap_limit",
        ],
        restless: true,
        required: false,
    },
    Group {
        table: "host",
        columns: &[
            "known",
            "available",
            "committed",
            "shmem",
            "slab_unreclaimable",
            "swap_free",
            "pressure_some_us",
            "pressure_full_us",
            "slab_reclaimable",
            "commit_limit",
            "page_cache",
            "anon",
            "kernel",
        ],
        restless: true,
        required: false,
    },
    group(
        "queues",
        &["posix", "system_v", "segments", "bytes", "read_boottime_ns"],
    ),
];

/// The sums over all mappings, at ticks at which smaps was read.
pub(crate) const MAPS_TOTAL: Group = group(
    "maps_total",
    &[
        "pss",
        "private_dirty",
        "lazy_free",
        "anon_huge",
        "swap",
        "rollup_only",
    ],
);

/// The columns of `class_sample` after its key.
pub(crate) const CLASS_COLUMNS: [&str; 7] = [
    "count",
    "size",
    "rss",
    "anonymous",
    "grown",
    "max_growth",
    "largest",
];

const fn required(table: &'static str, columns: &'static [&'static str]) -> Group {
    Group {
        required: true,
        ..group(table, columns)
    }
}

const fn group(table: &'static str, columns: &'static [&'static str]) -> Group {
    Group {
        table,
        columns,
        restless: false,
        required: false,
    }
}

/// A number as SQLite holds it.
#[expect(
    clippy::unnecessary_wraps,
    reason = "a cell may be empty, a number never is"
)]
pub(crate) const fn int(value: u64) -> Option<i64> {
    Some(value.cast_signed())
}

/// The values of a row with the unused rest.
fn padded<const N: usize>(values: [Option<i64>; N]) -> Cells {
    let mut cells = Cells::default();
    for (cell, value) in cells.iter_mut().zip(values) {
        *cell = value;
    }
    cells
}

fn size(value: Bytes) -> Option<i64> {
    int(value.0)
}

fn maybe(value: Option<Bytes>) -> Option<i64> {
    value.and_then(size)
}

fn number(cell: Option<i64>) -> u64 {
    cell.unwrap_or(0).cast_unsigned()
}

fn bytes(cell: Option<i64>) -> Bytes {
    Bytes(number(cell))
}

fn maybe_bytes(cell: Option<i64>) -> Option<Bytes> {
    cell.map(|value| Bytes(value.cast_unsigned()))
}

/// The `width` columns of `row` from `first` on.
pub(crate) fn read(row: &Row<'_>, first: usize, width: usize) -> rusqlite::Result<Cells> {
    let mut cells = Cells::default();
    for (cell, column) in cells.iter_mut().zip(first..first + width) {
        *cell = row.get(column)?;
    }
    Ok(cells)
}

/// A sample as rows of [`GROUPS`].
pub(crate) fn of_sample(sample: &Sample) -> Rows {
    [
        of_memory(&sample.memory),
        of_layout(&sample.memory),
        of_activity(&sample.activity),
        of_counts(&sample.counts),
        sample
            .counts
            .descriptors
            .as_ref()
            .map_or_else(Cells::default, of_descriptors),
        sample
            .counts
            .children
            .as_ref()
            .map_or_else(Cells::default, of_children),
        sample
            .cgroup
            .as_ref()
            .map_or_else(Cells::default, of_cgroup),
        sample.host.as_ref().map_or_else(Cells::default, of_host),
        sample
            .counts
            .queues
            .as_ref()
            .map_or_else(Cells::default, of_queues),
    ]
}

/// The parts of a sample from rows of [`GROUPS`].
pub(crate) fn to_parts(rows: &Rows) -> (Memory, Activity, Counts, Option<Cgroup>, Option<Host>) {
    let [
        memory,
        layout,
        activity,
        counts,
        descriptors,
        children,
        cgroup,
        host,
        queues,
    ] = rows;
    let mut counts = to_counts(counts);
    counts.descriptors = to_descriptors(descriptors);
    counts.children = to_children(children);
    counts.queues = to_queues(queues);
    (
        to_memory(memory, layout),
        to_activity(activity),
        counts,
        to_cgroup(cgroup),
        to_host(host),
    )
}

fn of_memory(memory: &Memory) -> Cells {
    padded([
        size(memory.rss),
        size(memory.size),
        maybe(memory.peak_rss),
        maybe(memory.peak_size),
        maybe(memory.rss_anon),
        maybe(memory.rss_file),
        maybe(memory.rss_shmem),
        maybe(memory.data),
        maybe(memory.page_tables),
        maybe(memory.swap),
    ])
}

/// What hardly ever changes, kept out of the row that does.
fn of_layout(memory: &Memory) -> Cells {
    padded([
        maybe(memory.stack),
        maybe(memory.text),
        maybe(memory.libraries),
        maybe(memory.locked),
        maybe(memory.pinned),
        maybe(memory.hugetlb),
    ])
}

fn to_memory(memory: &Cells, layout: &Cells) -> Memory {
    let [
        rss,
        size,
        peak_rss,
        peak_size,
        rss_anon,
        rss_file,
        rss_shmem,
        data,
        page_tables,
        swap,
        ..,
    ] = *memory;
    let [stack, text, libraries, locked, pinned, hugetlb, ..] = *layout;
    Memory {
        rss: bytes(rss),
        size: bytes(size),
        peak_size: maybe_bytes(peak_size),
        peak_rss: maybe_bytes(peak_rss),
        rss_anon: maybe_bytes(rss_anon),
        rss_file: maybe_bytes(rss_file),
        rss_shmem: maybe_bytes(rss_shmem),
        data: maybe_bytes(data),
        stack: maybe_bytes(stack),
        text: maybe_bytes(text),
        libraries: maybe_bytes(libraries),
        page_tables: maybe_bytes(page_tables),
        swap: maybe_bytes(swap),
        locked: maybe_bytes(locked),
        pinned: maybe_bytes(pinned),
        hugetlb: maybe_bytes(hugetlb),
    }
}

fn of_activity(activity: &Activity) -> Cells {
    padded([
        int(activity.min_flt),
        int(activity.maj_flt),
        int(activity.utime),
        int(activity.stime),
        activity.voluntary_switches.and_then(int),
        activity.involuntary_switches.and_then(int),
    ])
}

fn to_activity(cells: &Cells) -> Activity {
    let [min_flt, maj_flt, utime, stime, voluntary, involuntary, ..] = *cells;
    Activity {
        min_flt: number(min_flt),
        maj_flt: number(maj_flt),
        utime: number(utime),
        stime: number(stime),
        voluntary_switches: voluntary.map(i64::cast_unsigned),
        involuntary_switches: involuntary.map(i64::cast_unsigned),
    }
}

fn of_counts(counts: &Counts) -> Cells {
    padded([
        int(counts.threads),
        counts.mappings.and_then(int),
        counts.oom_score.and_then(int),
    ])
}

fn to_counts(cells: &Cells) -> Counts {
    let [threads, mappings, oom_score, ..] = *cells;
    Counts {
        threads: number(threads),
        mappings: mappings.map(i64::cast_unsigned),
        oom_score: oom_score.map(i64::cast_unsigned),
        ..Counts::default()
    }
}

fn of_descriptors(descriptors: &Descriptors) -> Cells {
    padded([
        int(descriptors.total),
        int(descriptors.file),
        int(descriptors.socket),
        int(descriptors.pipe),
        int(descriptors.eventfd),
        int(descriptors.epoll),
        int(descriptors.anon_inode),
        int(descriptors.memfd),
        int(descriptors.deleted),
    ])
}

fn to_descriptors(cells: &Cells) -> Option<Descriptors> {
    let [
        total,
        file,
        socket,
        pipe,
        eventfd,
        epoll,
        anon_inode,
        memfd,
        deleted,
        ..,
    ] = *cells;
    Some(Descriptors {
        total: total?.cast_unsigned(),
        file: number(file),
        socket: number(socket),
        pipe: number(pipe),
        eventfd: number(eventfd),
        epoll: number(epoll),
        anon_inode: number(anon_inode),
        memfd: number(memfd),
        deleted: number(deleted),
    })
}

fn of_children(children: &Children) -> Cells {
    padded([
        int(children.total),
        int(children.zombies),
        int(children.stopped),
        int(children.blocked),
        int(children.session_others),
        size(children.rss),
    ])
}

fn to_children(cells: &Cells) -> Option<Children> {
    let [total, zombies, stopped, blocked, session_others, rss, ..] = *cells;
    Some(Children {
        total: total?.cast_unsigned(),
        zombies: number(zombies),
        stopped: number(stopped),
        blocked: number(blocked),
        session_others: number(session_others),
        rss: bytes(rss),
    })
}

fn of_cgroup(cgroup: &Cgroup) -> Cells {
    padded([
        size(cgroup.current),
        maybe(cgroup.limit),
        maybe(cgroup.high),
        maybe(cgroup.anon),
        maybe(cgroup.file),
        maybe(cgroup.shmem),
        maybe(cgroup.kernel),
        cgroup.oom_kills.and_then(int),
        cgroup.limit_hits.and_then(int),
        maybe(cgroup.swap),
        maybe(cgroup.swap_limit),
    ])
}

fn to_cgroup(cells: &Cells) -> Option<Cgroup> {
    let [
        current,
        limit,
        high,
        anon,
        file,
        shmem,
        kernel,
        oom_kills,
        limit_hits,
        swap,
        swap_limit,
        ..,
    ] = *cells;
    Some(Cgroup {
        current: maybe_bytes(current)?,
        limit: maybe_bytes(limit),
        high: maybe_bytes(high),
        anon: maybe_bytes(anon),
        file: maybe_bytes(file),
        shmem: maybe_bytes(shmem),
        kernel: maybe_bytes(kernel),
        oom_kills: oom_kills.map(i64::cast_unsigned),
        limit_hits: limit_hits.map(i64::cast_unsigned),
        swap: maybe_bytes(swap),
        swap_limit: maybe_bytes(swap_limit),
    })
}

fn of_host(host: &Host) -> Cells {
    padded([
        Some(1),
        maybe(host.available),
        maybe(host.committed),
        maybe(host.shmem),
        maybe(host.slab_unreclaimable),
        maybe(host.swap_free),
        host.pressure.and_then(|pressure| int(pressure.some_us)),
        host.pressure.and_then(|pressure| int(pressure.full_us)),
        maybe(host.slab_reclaimable),
        maybe(host.commit_limit),
        maybe(host.page_cache),
        maybe(host.anon),
        maybe(host.kernel),
    ])
}

fn to_host(cells: &Cells) -> Option<Host> {
    let [
        known,
        available,
        committed,
        shmem,
        slab,
        swap_free,
        some_us,
        full_us,
        slab_reclaimable,
        commit_limit,
        page_cache,
        anon,
        kernel,
    ] = *cells;
    known?;
    Some(Host {
        available: maybe_bytes(available),
        committed: maybe_bytes(committed),
        shmem: maybe_bytes(shmem),
        slab_unreclaimable: maybe_bytes(slab),
        slab_reclaimable: maybe_bytes(slab_reclaimable),
        swap_free: maybe_bytes(swap_free),
        commit_limit: maybe_bytes(commit_limit),
        page_cache: maybe_bytes(page_cache),
        anon: maybe_bytes(anon),
        kernel: maybe_bytes(kernel),
        pressure: some_us.map(|some_us| Pressure {
            some_us: some_us.cast_unsigned(),
            full_us: number(full_us),
        }),
    })
}

fn of_queues(queues: &Queues) -> Cells {
    padded([
        int(queues.posix),
        int(queues.system_v),
        int(queues.segments),
        size(queues.bytes),
        int(queues.read.0),
    ])
}

fn to_queues(cells: &Cells) -> Option<Queues> {
    let [posix, system_v, segments, held, read, ..] = *cells;
    Some(Queues {
        posix: posix?.cast_unsigned(),
        system_v: number(system_v),
        segments: number(segments),
        bytes: bytes(held),
        read: Nanos(number(read)),
    })
}
