//! Samples, and looks into the heap, as the observations that a recording of them would give.
//!
//! Nothing is stored and read back, so nothing is thinned: what is judged is what was given. Sums of mappings
//! are all there is; single mappings, threads and stacks are left to who has them.

use memtide_model::{
    Activity, Bytes, Counts, HeapObservations, HeapSnapshot, Limits, MappingClass, Maps, Memory,
    Merged, Nanos, Observations, Pid, ProcessId, Recording, Sample, StartTime, Target,
};

/// Whom observations without a sample are said to be of.
const NOBODY: ProcessId = ProcessId {
    pid: Pid(1),
    start: StartTime(0),
};

/// What is known of the process beside its samples.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// A name for the reports.
    pub name: &'a str,
    /// "none", "cpython 3.11".
    pub runtime: &'a str,
    /// How old the process is at the first sample.
    pub age: Nanos,
    /// Its limits, which samples do not carry.
    pub limits: Limits,
}

/// Observations of samples and looks; `None` for looks where nobody looked. Times of samples and looks are of
/// one clock.
#[must_use]
pub fn observations(
    known: &Known<'_>,
    samples: Vec<Sample>,
    looks: Option<Vec<HeapSnapshot>>,
) -> Observations {
    let started = samples.first().map_or(Nanos(0), |sample| sample.at);
    let ended = samples.last().map_or(Nanos(0), |sample| sample.at);
    let steps = (samples.len() as u64).saturating_sub(1).max(1);
    let recording = Recording {
        started,
        ended,
        complete: true,
        samples: samples.len() as u64,
        interval: Nanos((ended - started).0 / steps),
        lenses: vec!["sampler".to_owned()],
        page_size: Bytes(4096),
        ticks_per_second: 100,
        ..Recording::default()
    };
    Observations {
        heap: looks.map(|snapshots| HeapObservations {
            snapshots,
            unavailable: None,
        }),
        ..Observations::of_samples(target(known, &samples), recording, samples)
    }
}

/// A sample of a process all of whose memory is one `[heap]`: what simulated curves are judged as.
#[must_use]
pub fn heap_sample(at: Nanos, process: ProcessId, rss: Bytes) -> Sample {
    let mut maps = Maps::default();
    let heap = maps.classes.get_mut(MappingClass::Heap);
    (heap.count, heap.size, heap.rss, heap.anonymous) = (1, rss, rss, rss);
    Sample {
        at,
        process,
        memory: Memory {
            rss,
            size: rss,
            rss_anon: Some(rss),
            rss_file: Some(Bytes::ZERO),
            rss_shmem: Some(Bytes::ZERO),
            ..Memory::default()
        },
        activity: Activity::default(),
        maps: Some(maps),
        counts: Counts {
            threads: 1,
            ..Counts::default()
        },
        cgroup: None,
        host: None,
        merged: Merged::single(rss),
    }
}

fn target(known: &Known<'_>, samples: &[Sample]) -> Target {
    Target {
        id: samples.first().map_or(NOBODY, |sample| sample.process),
        parent: None,
        name: known.name.to_owned(),
        exe: String::new(),
        cmdline: Vec::new(),
        uid: 1000,
        age: known.age,
        allocator: "glibc 2.36".to_owned(),
        runtime: known.runtime.to_owned(),
        limits: known.limits,
        cgroup: None,
        unseen: Vec::new(),
    }
}
