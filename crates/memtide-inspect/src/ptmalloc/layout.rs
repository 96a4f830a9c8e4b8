//! How glibc lays out malloc's own data, as tables: one row per range of versions.
//!
//! Offsets are of 64-bit builds. Those of 2.31, 2.36, 2.41 and 2.43 were compared with debug symbols;
//! the others were derived from the sources and are marked untested. Which row fits is decided by what the
//! memory looks like, never by a version string.

/// `struct malloc_state`: an arena.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ArenaLayout {
    /// `fastbinsY[10]`; none since 2.43.
    pub(crate) fastbins: Option<u64>,
    /// `top`.
    pub(crate) top: u64,
    /// `bins[254]`: 127 pairs of pointers.
    pub(crate) bins: u64,
    /// `next`: the ring of all arenas.
    pub(crate) next: u64,
    /// `attached_threads`; none before 2.23.
    pub(crate) attached_threads: Option<u64>,
    /// `system_mem`, and `max_system_mem` behind it.
    pub(crate) system_mem: u64,
    /// Its size.
    pub(crate) size: u64,
    /// Bytes of a block's own mapping that its header does not count.
    pub(crate) mapped_rest: u64,
    /// Rows of [`PARAMETERS`] that may go with it, the likeliest first.
    pub(crate) parameters: &'static [usize],
}

/// `struct malloc_par`: the settings, and the count of mapped chunks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ParametersLayout {
    /// `n_mmaps`, and `n_mmaps_max` behind it (32 bits each).
    pub(crate) n_mmaps: u64,
    /// `mmapped_mem`, and `max_mmapped_mem` behind it.
    pub(crate) mmapped_mem: u64,
    /// `sbrk_base`.
    pub(crate) sbrk_base: u64,
    /// `tcache_bins`, `tcache_max_bytes` and `tcache_count` one behind the other; none before 2.26.
    pub(crate) tcache: Option<u64>,
    /// `thp_pagesize`: what `top` is trimmed by; none before 2.35.
    pub(crate) thp_pagesize: Option<u64>,
    /// Its size as far as it is looked at.
    pub(crate) size: u64,
}

/// Pairs of pointers in `bins`.
pub(crate) const BINS: u64 = 127;

/// Lists in `fastbinsY`.
pub(crate) const FASTBINS: u64 = 10;

/// `mmap_threshold` and `arena_test` in every [`ParametersLayout`].
pub(crate) const MMAP_THRESHOLD: u64 = 16;
/// See [`MMAP_THRESHOLD`].
pub(crate) const ARENA_TEST: u64 = 24;

/// All arenas, in the order in which they are tried.
pub(crate) static ARENAS: [ArenaLayout; 4] = [
    // 2.27 to 2.42: `have_fastchunks` came.
    ArenaLayout {
        fastbins: Some(16),
        top: 96,
        bins: 112,
        next: 2160,
        attached_threads: Some(2176),
        system_mem: 2184,
        size: 2200,
        mapped_rest: 0,
        parameters: &[0, 1, 2],
    },
    // 2.43: fastbins are gone, and the size of a mapped chunk ends where the usable bytes do.
    ArenaLayout {
        fastbins: None,
        top: 8,
        bins: 24,
        next: 2072,
        attached_threads: Some(2088),
        system_mem: 2096,
        size: 2112,
        mapped_rest: 16,
        parameters: &[2],
    },
    // 2.23 to 2.26.
    ArenaLayout {
        fastbins: Some(8),
        top: 88,
        bins: 104,
        next: 2152,
        attached_threads: Some(2168),
        system_mem: 2176,
        size: 2192,
        mapped_rest: 0,
        parameters: &[1, 3, 4],
    },
    // 2.17 to 2.22: no `attached_threads` yet.
    ArenaLayout {
        fastbins: Some(8),
        top: 88,
        bins: 104,
        next: 2152,
        attached_threads: None,
        system_mem: 2168,
        size: 2184,
        mapped_rest: 0,
        parameters: &[4],
    },
];

/// All settings.
pub(crate) static PARAMETERS: [ParametersLayout; 5] = [
    // 2.35 to 2.42: huge pages came.
    ParametersLayout {
        n_mmaps: 60,
        mmapped_mem: 80,
        sbrk_base: 96,
        tcache: Some(104),
        thp_pagesize: Some(40),
        size: 128,
    },
    // 2.26 to 2.34: the thread cache came.
    ParametersLayout {
        n_mmaps: 40,
        mmapped_mem: 56,
        sbrk_base: 72,
        tcache: Some(80),
        thp_pagesize: None,
        size: 104,
    },
    // 2.43.
    ParametersLayout {
        n_mmaps: 68,
        mmapped_mem: 88,
        sbrk_base: 104,
        tcache: Some(112),
        thp_pagesize: Some(40),
        size: 136,
    },
    // 2.25: `max_total_mem` went.
    ParametersLayout {
        n_mmaps: 40,
        mmapped_mem: 56,
        sbrk_base: 72,
        tcache: None,
        thp_pagesize: None,
        size: 80,
    },
    // 2.17 to 2.24.
    ParametersLayout {
        n_mmaps: 40,
        mmapped_mem: 56,
        sbrk_base: 80,
        tcache: None,
        thp_pagesize: None,
        size: 88,
    },
];

/// `struct tcache_perthread_struct`: what a thread keeps. It is a chunk itself, known by its size.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TcacheLayout {
    /// Bytes of the chunk that holds it.
    pub(crate) chunk: u64,
    /// `entries`: heads of the lists.
    pub(crate) entries: u64,
    /// How many.
    pub(crate) bins: u64,
}

/// Lists of a [`TcacheLayout`] that hold one size of chunk each: 32, 48, 64, ….
pub(crate) const EXACT_TCACHE_BINS: u64 = 64;

/// All of them, by size of chunk.
pub(crate) static TCACHES: [TcacheLayout; 3] = [
    // 2.26 to 2.29: counts of one byte.
    TcacheLayout {
        chunk: 0x250,
        entries: 64,
        bins: 64,
    },
    // 2.30 to 2.41: counts of two bytes.
    TcacheLayout {
        chunk: 0x290,
        entries: 128,
        bins: 64,
    },
    // 2.42 and later: slots that are left, and large sizes.
    TcacheLayout {
        chunk: 0x300,
        entries: 152,
        bins: 76,
    },
];

/// How a cached chunk is told from one in use; it decides the version more finely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marking {
    /// Nothing is cached at the moment, or there is no cache.
    Unknown,
    /// Not at all (2.26 to 2.28): the lists must be walked.
    None,
    /// The address of the thread's own structure (2.29 to 2.33).
    Owner,
    /// One random word for all threads (2.34 and later).
    Random,
}

/// The name of what was found, and whether exactly that was tested.
pub(crate) fn name(
    arena: &'static ArenaLayout,
    parameters: Option<&'static ParametersLayout>,
    tcache: Option<u64>,
    marking: Marking,
) -> (&'static str, bool) {
    let is = |index: usize| parameters == PARAMETERS.get(index);
    let row = ARENAS.iter().position(|row| row == arena);
    match (row, tcache, marking) {
        (Some(1), _, _) => ("glibc 2.43", true),
        (Some(0), Some(0x300), _) => ("glibc 2.42", false),
        (Some(0), Some(0x250), Marking::Owner) => ("glibc 2.29", false),
        (Some(0), Some(0x250), _) => ("glibc 2.27 to 2.28", false),
        (Some(0), _, Marking::Random) if is(1) => ("glibc 2.34", false),
        (Some(0), _, Marking::Owner) => ("glibc 2.30 to 2.33", true),
        (Some(0), _, _) if is(0) => ("glibc 2.35 to 2.41", true),
        (Some(0), Some(0x290), _) if is(1) => ("glibc 2.30 to 2.34", true),
        (Some(0), _, _) if is(1) => ("glibc 2.27 to 2.34", true),
        (Some(0), _, _) => ("glibc 2.27 to 2.42", false),
        (Some(2), Some(_), _) => ("glibc 2.26", false),
        (Some(2), _, _) => ("glibc 2.23 to 2.26", false),
        _ => ("glibc 2.17 to 2.22", false),
    }
}

/// The name of an arena that was never used: nothing else has been seen.
pub(crate) fn unused_name(arena: &'static ArenaLayout) -> (&'static str, bool) {
    let tested = [("glibc 2.27 to 2.42", true), ("glibc 2.43", true)];
    let row = ARENAS.iter().position(|row| row == arena);
    let tested = row.and_then(|row| tested.get(row)).copied();
    tested.unwrap_or(("glibc 2.17 to 2.26", false))
}
