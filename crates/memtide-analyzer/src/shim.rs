//! What the preload shim adds to the samples: live bytes at each moment, and what of the memory is its own.
//!
//! The shim lives in the process that it measures: its tables, its region file and its code are part of
//! RSS and of the address space. Every track that is judged is therefore taken less its own memory; only
//! the ledger shows it, as the account `shim`.
//!
//! Live bytes are read at the same tick as the mappings, shortly after them: a sample takes the totals
//! that lie at most half an interval after it, else the nearest earlier ones. Before the first totals
//! nothing is known, and nothing is guessed. Nor where many blocks could not be recorded (no room, no slot):
//! live bytes that were not counted would pass for memory that the allocator keeps.

use crate::record::class_maps;
use crate::thresholds::LOST_BLOCKS_SHARE;
use memtide_model::{
    Bytes, ClassTotals, HeapMode, MappingClass, Nanos, Observations, Sample, StackObservations,
    StackTotals,
};

/// What a block costs glibc beside what was asked for: its header of 8 bytes and, on the average, 8 to
/// fill it up to 16 (malloc/malloc.c, `MALLOC_ALIGNMENT`).
const GLIBC_BLOCK: f64 = 16.0;
/// The least block of glibc (`MINSIZE`).
const GLIBC_LEAST: f64 = 32.0;
/// Other allocators have no headers but size classes, four to each doubling (jemalloc, mimalloc; tcmalloc
/// is finer): half a class, an eighth, is lost on the average.
const SIZE_CLASSES: f64 = 0.125;

/// What the shim tells of the time of a recording; empty where it did not look.
#[derive(Clone, Debug, Default)]
pub struct Shim {
    /// Sums over the stacks of the target, in order of time.
    totals: Vec<StackTotals>,
    /// Its own memory at the samples that read the mappings, in order of time; empty if it has none.
    own: Vec<(Nanos, OwnMemory)>,
    /// How long after a sample totals may be read that belong to it.
    slack: Nanos,
    /// True where blocks have the headers of glibc.
    glibc: bool,
}

/// Memory of the shim in the process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnMemory {
    /// Address space.
    pub size: Bytes,
    /// Resident.
    pub rss: Bytes,
    /// Of that anonymous.
    pub anonymous: Bytes,
    /// Of that shared memory: a region on a tmpfs.
    pub shared: Bytes,
    /// Of that pages of files: a region on a disk, and the shim's code.
    pub file: Bytes,
    /// Mappings.
    pub mappings: u64,
}

impl Shim {
    /// What the observations hold of it.
    pub fn of(observations: &Observations) -> Self {
        let mut totals = (observations.stacks.as_ref())
            .filter(|stacks| counts_all_blocks(stacks))
            .map_or_else(Vec::new, |stacks| stacks.totals.clone());
        totals.sort_by_key(|totals| totals.at);
        let mut own: Vec<(Nanos, OwnMemory)> = (observations.samples.iter())
            .filter_map(|sample| Some((sample.at, OwnMemory::of(sample)?)))
            .collect();
        if own
            .iter()
            .all(|(_, own)| own.mappings == 0 && own.rss.0 == 0)
        {
            own.clear();
        }
        Self {
            totals,
            own,
            slack: Nanos(observations.recording.interval.0 / 2),
            glibc: observations.target.allocator.starts_with("glibc"),
        }
    }

    /// The sums that belong to a sample of that moment; `None` before the first ones.
    pub fn totals_at(&self, at: Nanos) -> Option<&StackTotals> {
        let until = at + self.slack;
        let behind = self.totals.partition_point(|totals| totals.at <= until);
        self.totals.get(behind.checked_sub(1)?)
    }

    /// Its own memory at a moment. Between two reads of the mappings it is taken to move evenly: held at
    /// the earlier one it would grow by leaps, and what is left of RSS would swing against them.
    pub fn own_at(&self, at: Nanos) -> OwnMemory {
        let behind = self.own.partition_point(|(read, _)| *read <= at);
        let before = self.own.get(behind.wrapping_sub(1));
        match (before, self.own.get(behind)) {
            (Some((from, start)), Some((to, end))) => {
                let share = at.seconds_since(*from) / to.seconds_since(*from).max(1e-9);
                start.towards(end, share)
            }
            (Some((_, own)), None) | (None, Some((_, own))) => *own,
            (None, None) => OwnMemory::default(),
        }
    }

    /// True where malloc is glibc's: it gives large blocks back, and has few ways to keep memory.
    pub fn is_glibc(&self) -> bool {
        self.glibc
    }

    /// True if it has memory in the process at any time.
    pub fn has_memory(&self) -> bool {
        !self.own.is_empty()
    }

    /// Resident bytes that live blocks need at least, with what the allocator adds to each of them. A
    /// leak of 8-byte blocks takes 32 bytes for each: by the bytes asked for three quarters of it
    /// would pass for holes.
    pub fn live_with_overhead(&self, totals: &StackTotals) -> f64 {
        let (bytes, blocks) = (totals.live_bytes.as_f64(), totals.live_blocks as f64);
        if self.glibc {
            (bytes + GLIBC_BLOCK * blocks).max(GLIBC_LEAST * blocks)
        } else {
            bytes * (1.0 + SIZE_CLASSES)
        }
    }
}

/// False where so many blocks could not be recorded that nothing follows from the sums.
pub fn counts_all_blocks(stacks: &StackObservations) -> bool {
    let lost = stacks.lost;
    let lost = (lost.reentered.saturating_add(lost.threadless)).saturating_add(lost.no_room) as f64;
    let recorded = match stacks.mode {
        HeapMode::Full => stacks.totals.iter().map(|totals| totals.allocs).max(),
        // What is lost of them are samples, too.
        HeapMode::Sampled => (stacks.stacks.iter())
            .map(|history| history.last.samples)
            .reduce(u64::saturating_add),
    };
    lost <= LOST_BLOCKS_SHARE * (lost + recorded.unwrap_or(0) as f64)
}

impl OwnMemory {
    /// What lies between two of them.
    fn towards(&self, end: &Self, share: f64) -> Self {
        let between = |from: Bytes, to: Bytes| {
            let value = from.as_f64() + share * (to.as_f64() - from.as_f64());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it lies between two sizes, and the cast saturates"
            )]
            Bytes(value.round() as u64)
        };
        Self {
            size: between(self.size, end.size),
            rss: between(self.rss, end.rss),
            anonymous: between(self.anonymous, end.anonymous),
            shared: between(self.shared, end.shared),
            file: between(self.file, end.file),
            mappings: self.mappings,
        }
    }

    /// At a sample that has its mappings by class.
    fn of(sample: &Sample) -> Option<Self> {
        let maps = class_maps(sample)?;
        let ClassTotals {
            count,
            size,
            rss,
            anonymous,
            ..
        } = *maps.classes.get(MappingClass::Shim);
        let pages = rss.saturating_sub(anonymous);
        // Which file system holds the region, the mappings do not tell: shared memory that the kernel
        // counts and no other class has is the region's.
        let shared = (sample.memory.rss_shmem)
            .map_or(Bytes::ZERO, |all| {
                all.saturating_sub(maps.rss(MappingClass::Shared))
            })
            .min(pages);
        Some(Self {
            size,
            rss,
            anonymous: anonymous.min(rss),
            shared,
            file: pages.saturating_sub(shared),
            mappings: count,
        })
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "small whole numbers are exact")]
mod tests {
    use super::*;

    fn totals(at: u64, live_bytes: u64, live_blocks: u64) -> StackTotals {
        StackTotals {
            at: Nanos::from_secs(at),
            live_bytes: Bytes(live_bytes),
            live_blocks,
            ..StackTotals::default()
        }
    }

    #[test]
    fn totals_of_the_same_tick_and_else_the_nearest_earlier_ones_serve() {
        let shim = Shim {
            totals: vec![totals(10, 1, 1), totals(20, 2, 1)],
            slack: Nanos(Nanos::SECOND.0 / 2),
            ..Shim::default()
        };
        let live = |milliseconds: u64| {
            let at = Nanos(milliseconds * 1_000_000);
            shim.totals_at(at).map(|totals| totals.live_bytes.0)
        };
        assert_eq!(live(9_400), None);
        assert_eq!(live(9_990), Some(1), "read just after the mappings");
        assert_eq!(live(19_400), Some(1));
        assert_eq!(live(90_000), Some(2));
        assert_eq!(shim.own_at(Nanos(5)), OwnMemory::default());
    }

    #[test]
    fn sums_with_many_blocks_missing_are_not_used() {
        let stacks = |mode, lost| StackObservations {
            mode,
            interval: Bytes(1),
            totals: vec![StackTotals {
                allocs: 950,
                ..totals(10, 1, 1)
            }],
            modules: Vec::new(),
            stacks: Vec::new(),
            symbols: Vec::new(),
            symbol_warnings: Vec::new(),
            lost: memtide_model::Lost {
                no_room: lost,
                ..memtide_model::Lost::default()
            },
            ended: false,
        };
        assert!(counts_all_blocks(&stacks(HeapMode::Full, 50)));
        assert!(!counts_all_blocks(&stacks(HeapMode::Full, 51)));
        assert!(counts_all_blocks(&stacks(HeapMode::Sampled, 0)));
        // No sample was kept at all.
        assert!(!counts_all_blocks(&stacks(HeapMode::Sampled, 1)));
    }

    #[test]
    fn own_memory_moves_evenly_between_two_reads() {
        let own = |rss: u64| OwnMemory {
            rss: Bytes(rss),
            mappings: rss,
            ..OwnMemory::default()
        };
        let shim = Shim {
            own: vec![(Nanos(100), own(10)), (Nanos(200), own(30))],
            ..Shim::default()
        };
        for (at, rss, mappings) in [
            (50, 10, 10),
            (100, 10, 10),
            (150, 20, 10),
            (200, 30, 30),
            (900, 30, 30),
        ] {
            let now = shim.own_at(Nanos(at));
            assert_eq!((now.rss.0, now.mappings), (rss, mappings), "at {at}");
        }
    }

    #[test]
    fn small_blocks_weigh_what_the_allocator_takes_for_them() {
        let glibc = Shim {
            glibc: true,
            ..Shim::default()
        };
        // malloc(8) takes 32 bytes, malloc(100) 112, malloc(4096) 4,112.
        assert_eq!(glibc.live_with_overhead(&totals(0, 8_000, 1_000)), 32_000.0);
        assert_eq!(
            glibc.live_with_overhead(&totals(0, 100_000, 1_000)),
            116_000.0
        );
        assert_eq!(glibc.live_with_overhead(&totals(0, 4_096, 1)), 4_112.0);
        let other = Shim::default();
        assert_eq!(other.live_with_overhead(&totals(0, 8_000, 1_000)), 9_000.0);
    }
}
