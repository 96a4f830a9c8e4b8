//! The part of a recording that is analysed, as evenly weighted samples, and its tracks.
//!
//! After an exec the process is another program: only what follows the last exec counts. The first
//! two samples of a program that has just started are dropped (they still show the loader). More
//! than [`MOST_SAMPLES`] samples, or samples whose density changes (old parts of a recording are
//! thinned), are folded into equal buckets of time, each represented by its sample with the median
//! RSS, so that every row stays one that was really seen and adds up.
//!
//! Tracks are what the program does: memory and mappings of the preload shim are taken off. The samples
//! themselves stay as they were read.

use crate::shim::Shim;
use crate::snapshots::Snapshots;
use crate::statistics::Series;
use crate::statistics::quantile::{floor_index, median_of};
use crate::thresholds::{
    GATE_BYTES, GATE_SHARE, MATERIAL_BYTES, MATERIAL_SHARE, MOST_SAMPLES, SETTLING_SAMPLES,
    YOUNG_SECONDS,
};
use memtide_model::{Bytes, EventKind, MappingClass, Maps, Nanos, Observations, Sample, Unit};
use std::sync::Arc;

/// Samples to analyse.
#[derive(Clone, Debug)]
pub struct Record {
    /// In order of time, at most [`MOST_SAMPLES`].
    pub samples: Vec<Sample>,
    /// Where second 0 is: the start of the recording.
    pub origin: Nanos,
    /// True if an exec cut off an earlier part.
    pub after_exec: bool,
    /// What the preload shim knows of that time, and what it takes itself.
    pub shim: Arc<Shim>,
    /// What looks into the heap tell of that time.
    pub heap: Arc<Snapshots>,
    /// Time between two samples as it was asked for.
    pub interval: Nanos,
    /// Seconds of the first samples of a program, which were dropped: it was watched then, too.
    pub settled: f64,
}

/// A series that samples hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Track {
    /// `VmRSS`.
    Rss,
    /// `VmSize`.
    Size,
    /// `VmData`. The preload shim's private tables are in it: how much of its address space is private the samples do
    /// not tell. The limit on data counts them as well.
    Data,
    /// `RssAnon`; before Linux 4.5 the anonymous classes of smaps, without those RSS.
    Anon,
    /// `RssFile`; before Linux 4.5 the file classes of smaps.
    File,
    /// `RssShmem`; before Linux 4.5 the shared class of smaps.
    Shared,
    /// `VmPTE`.
    PageTables,
    /// Threads.
    Threads,
    /// Open descriptors.
    Descriptors,
    /// Of them sockets.
    Sockets,
    /// Message queues of the process, POSIX and System V.
    Queues,
    /// System V segments that the process made.
    Segments,
    /// Bytes of both.
    QueueBytes,
    /// Zombie children.
    Zombies,
    /// Children and the other processes of the session.
    Processes,
    /// Mappings.
    Mappings,
    /// Mappings of a class.
    ClassCount(MappingClass),
    /// Address space of a class.
    ClassSize(MappingClass),
    /// Resident bytes of a class.
    ClassRss(MappingClass),
    /// `AnonHugePages`.
    Huge,
    /// `LazyFree`.
    LazyFree,
    /// Live blocks by the preload shim, in bytes as asked for.
    Live,
    /// The same with what the allocator adds to each block.
    LiveWithOverhead,
    /// Live mappings that the program made itself, by the preload shim: address space.
    Mapped,
}

impl Track {
    /// The value at one sample, in bytes or as a count, less what is the shim's own; `None` where it was
    /// not read.
    fn value(self, sample: &Sample, shim: &Shim) -> Option<f64> {
        let own = || shim.own_at(sample.at);
        let totals = || shim.totals_at(sample.at);
        let (memory, classes) = (&sample.memory, class_maps(sample));
        let bytes = match self {
            Self::Rss => Some(memory.rss.saturating_sub(own().rss)),
            Self::Size => Some(memory.size.saturating_sub(own().size)),
            Self::Data => memory.data,
            Self::Anon => (memory
                .rss_anon
                .map(|all| all.saturating_sub(own().anonymous)))
            .or_else(|| {
                use MappingClass::{Anon, Arena, Heap, MainStack, Stack};
                sum(classes, &[Heap, Arena, Stack, MainStack, Anon])
            })
            .or_else(|| Some(memory.rss.saturating_sub(own().rss))),
            Self::File => (memory.rss_file.map(|all| all.saturating_sub(own().file)))
                .or_else(|| sum(classes, &[MappingClass::File, MappingClass::Device])),
            Self::Shared => (memory.rss_shmem.map(|all| all.saturating_sub(own().shared)))
                .or_else(|| sum(classes, &[MappingClass::Shared])),
            Self::PageTables => memory.page_tables,
            Self::QueueBytes => sample.counts.queues.map(|queues| queues.bytes),
            Self::ClassSize(class) => classes.map(|maps| maps.classes.get(class).size),
            Self::ClassRss(class) => classes.map(|maps| maps.rss(class)),
            Self::Huge => sample.maps.map(|maps| maps.anon_huge),
            Self::LazyFree => sample.maps.map(|maps| maps.lazy_free),
            Self::Live => totals().map(|totals| totals.live_bytes),
            Self::Mapped => totals().map(|totals| totals.mapping_bytes),
            Self::LiveWithOverhead => {
                return totals().map(|totals| shim.live_with_overhead(totals));
            }
            _ => return self.count(sample, shim).map(|count| count as f64),
        };
        bytes.map(Bytes::as_f64)
    }

    /// True of what is not read at every tick and carries the time of its read.
    const fn is_of_queues(self) -> bool {
        matches!(self, Self::Queues | Self::QueueBytes | Self::Segments)
    }

    /// What it counts.
    pub const fn unit(self) -> Unit {
        match self {
            Self::Threads
            | Self::Descriptors
            | Self::Sockets
            | Self::Queues
            | Self::Segments
            | Self::Zombies
            | Self::Processes
            | Self::Mappings
            | Self::ClassCount(_) => Unit::Count,
            _ => Unit::Bytes,
        }
    }

    /// The value of a track that counts.
    fn count(self, sample: &Sample, shim: &Shim) -> Option<u64> {
        let counts = &sample.counts;
        match self {
            Self::Threads => Some(counts.threads),
            Self::Descriptors => counts.descriptors.map(|fds| fds.total),
            Self::Sockets => counts.descriptors.map(|fds| fds.socket),
            Self::Queues => (counts.queues).map(|all| all.posix.saturating_add(all.system_v)),
            Self::Segments => counts.queues.map(|all| all.segments),
            Self::Zombies => counts.children.map(|kids| kids.zombies),
            Self::Processes => {
                (counts.children).map(|kids| kids.total.saturating_add(kids.session_others))
            }
            Self::Mappings => {
                (counts.mappings).map(|all| all.saturating_sub(shim.own_at(sample.at).mappings))
            }
            Self::ClassCount(class) => class_maps(sample).map(|maps| maps.classes.get(class).count),
            _ => None,
        }
    }
}

/// Resident bytes of several classes.
fn sum(maps: Option<&Maps>, classes: &[MappingClass]) -> Option<Bytes> {
    maps.map(|maps| classes.iter().map(|&class| maps.rss(class)).sum())
}

/// The sums by class, where this sample has them.
pub fn class_maps(sample: &Sample) -> Option<&Maps> {
    sample.maps.as_ref().filter(|maps| !maps.rollup_only)
}

impl Record {
    /// What of the observations, whose samples are in order of time, is to be analysed.
    pub fn of(observations: &Observations) -> Self {
        let target = &observations.target;
        let from = last_exec(observations).map_or(0, |exec| {
            observations.samples.partition_point(|s| s.at <= exec)
        });
        let mut samples = observations.samples.get(from..).unwrap_or_default();
        let all = samples;
        let young = target.age.as_secs_f64() < YOUNG_SECONDS;
        if (young || from > 0) && samples.len() > 6 * SETTLING_SAMPLES {
            samples = &samples[SETTLING_SAMPLES..];
        }
        let settled = match (all.first(), samples.first()) {
            (Some(all), Some(kept)) => kept.at.seconds_since(all.at),
            _ => 0.0,
        };
        Self {
            samples: evenly(samples),
            settled,
            origin: observations.recording.started,
            after_exec: from > 0,
            shim: Arc::new(Shim::of(observations)),
            heap: Arc::new(Snapshots::of(observations)),
            interval: observations.recording.interval,
        }
    }

    /// Seconds from the first to the last sample.
    pub fn seconds(&self) -> f64 {
        match (self.samples.first(), self.samples.last()) {
            (Some(first), Some(last)) => last.at.seconds_since(first.at),
            _ => 0.0,
        }
    }

    /// Seconds that are missing to `wanted` seconds of watching; zero or less where none are. What was
    /// dropped because it might show the loader was watched, and the last sample stands for the time to
    /// the next one: a command that is asked for 20 s and looks once a second would always lack one.
    pub fn lacks(&self, wanted: f64) -> f64 {
        let gaps = self.samples.len().saturating_sub(1).max(1);
        let missing = wanted - self.seconds() - self.settled;
        if missing <= self.seconds() / gaps as f64 {
            missing.min(0.0)
        } else {
            missing
        }
    }

    /// Seconds of a moment since the recording started.
    pub fn second_of(&self, at: Nanos) -> f64 {
        at.seconds_since(self.origin)
    }

    /// The first `share` of its time.
    #[must_use]
    pub fn first_part(&self, share: f64) -> Self {
        let until = self.samples.first().map_or(Nanos(0), |first| {
            first.at + Nanos::from_secs_f64(self.seconds() * share)
        });
        let samples = self.samples.iter().take_while(|s| s.at <= until);
        Self {
            samples: samples.copied().collect(),
            shim: Arc::clone(&self.shim),
            heap: Arc::new(self.heap.until(until)),
            ..*self
        }
    }

    /// A track as a series over the samples that have it, each value at the time of its read.
    pub fn series(&self, track: Track) -> Series {
        if !track.is_of_queues() {
            return self.series_by(|sample| track.value(sample, &self.shim));
        }
        let mut last = None;
        Series::of(self.samples.iter().filter_map(|sample| {
            let read = sample.counts.queues?.read.min(sample.at);
            // The same look again, or a damaged time.
            if last.is_some_and(|last| read <= last) {
                return None;
            }
            last = Some(read);
            Some((self.second_of(read), track.value(sample, &self.shim)?))
        }))
    }

    /// Any function of the samples as a series.
    pub fn series_by(&self, value: impl Fn(&Sample) -> Option<f64>) -> Series {
        Series::of((self.samples.iter()).filter_map(|s| Some((self.second_of(s.at), value(s)?))))
    }

    /// Resident bytes of the shim itself at the first sample.
    pub fn own_at_start(&self) -> f64 {
        let first = self.samples.first().map_or(Nanos(0), |sample| sample.at);
        self.shim.own_at(first).rss.as_f64()
    }

    /// Resident bytes of the shim itself at the last sample.
    pub fn own_at_end(&self) -> f64 {
        let last = self.samples.last().map_or(Nanos(0), |sample| sample.at);
        self.shim.own_at(last).rss.as_f64()
    }

    /// Address space of the shim itself at the last sample, which limits count.
    pub fn own_size_at_end(&self) -> f64 {
        let last = self.samples.last().map_or(Nanos(0), |sample| sample.at);
        self.shim.own_at(last).size.as_f64()
    }

    /// The median RSS in bytes.
    pub fn median_rss(&self) -> f64 {
        median_of(self.series(Track::Rss).y)
    }

    /// Least movement that means anything: max(400 KiB, 1.5 % of the median RSS).
    pub fn material(&self) -> f64 {
        MATERIAL_BYTES.max(MATERIAL_SHARE * self.median_rss())
    }

    /// Least growth that may be called growth without bound: max(700 KiB, 3 % of the median RSS).
    pub fn gate_material(&self) -> f64 {
        gate_material(self.median_rss())
    }
}

/// When the process last replaced its program.
pub fn last_exec(observations: &Observations) -> Option<Nanos> {
    let pid = observations.target.id.pid;
    (observations.events.iter())
        .filter(|event| event.kind == EventKind::Exec && event.pid == pid)
        .map(|event| event.at)
        .max()
}

/// max(700 KiB, 3 % of RSS), in bytes.
pub fn gate_material(rss: f64) -> f64 {
    GATE_BYTES.max(GATE_SHARE * rss)
}

/// At most [`MOST_SAMPLES`] samples of equal weight.
fn evenly(samples: &[Sample]) -> Vec<Sample> {
    let n = samples.len();
    let gap = |part: &[Sample]| {
        median_of(
            (part.windows(2))
                .map(|w| w[1].at.seconds_since(w[0].at))
                .collect(),
        )
    };
    let (early, late) = (gap(&samples[..n / 2]), gap(&samples[n / 2..]));
    let wide = early.max(late);
    // Twice as dense in one half as in the other: the denser half would outvote the other.
    let uneven = n >= 24 && wide > 2.0 * early.min(late);
    if n <= MOST_SAMPLES && !uneven {
        return samples.to_vec();
    }
    let span = samples[n - 1].at.seconds_since(samples[0].at);
    let buckets = if uneven && wide > 0.0 {
        floor_index(span / wide).clamp(12, MOST_SAMPLES)
    } else {
        MOST_SAMPLES
    };
    let width = span / buckets as f64;
    let bucket =
        |s: &Sample| floor_index(s.at.seconds_since(samples[0].at) / width).min(buckets - 1);
    samples
        .chunk_by(|a, b| bucket(a) == bucket(b))
        .map(representative)
        .collect()
}

/// The sample with the median RSS among those with mappings, or among all where none has.
fn representative(bucket: &[Sample]) -> Sample {
    let mut candidates: Vec<&Sample> = bucket.iter().filter(|s| s.maps.is_some()).collect();
    if candidates.is_empty() {
        candidates = bucket.iter().collect();
    }
    candidates.sort_by_key(|s| s.memory.rss);
    // chunk_by yields no empty chunks.
    *candidates[(candidates.len() - 1) / 2]
}
