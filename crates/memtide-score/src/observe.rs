//! Samples, and looks into the heap, as the observations that a recording of them would give.
//!
//! Nothing is stored and read back: the recording has tests of its own. The looks are few and taken at
//! fixed shares of the window, 0, 1/3, 2/3 and 1, so that every window is judged on as many of them.

use memtide_model::{
    Bytes, HeapObservations, HeapSnapshot, Limits, Nanos, Observations, Pid, ProcessId, Recording,
    Sample, StartTime, Target,
};

/// Shares of a window at which the heap is looked into.
pub(crate) const LOOKS: [f64; 4] = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0];

/// The process that all observations are said to be of.
pub(crate) const PROCESS: ProcessId = ProcessId {
    pid: Pid(1),
    start: StartTime(0),
};

/// What is known of the process beside its samples.
#[derive(Clone, Debug)]
pub(crate) struct Known<'a> {
    /// A name for the reports.
    pub(crate) name: &'a str,
    /// "none", "cpython 3.11".
    pub(crate) runtime: &'a str,
    /// How old the process is at the first sample.
    pub(crate) age: Nanos,
}

/// Observations of samples and looks; `None` for looks where nobody looked.
pub(crate) fn observations(
    known: &Known<'_>,
    samples: Vec<Sample>,
    looks: Option<Vec<HeapSnapshot>>,
) -> Observations {
    let started = samples.first().map_or(Nanos(0), |sample| sample.at);
    let ended = samples.last().map_or(Nanos(0), |sample| sample.at);
    let steps = (samples.len() as u64).saturating_sub(1).max(1);
    Observations {
        target: target(known, &samples),
        recording: Recording {
            started,
            ended,
            complete: true,
            samples: samples.len() as u64,
            interval: Nanos((ended - started).0 / steps),
            lenses: vec!["sampler".to_owned()],
            page_size: Bytes(4096),
            ticks_per_second: 100,
            ..Recording::default()
        },
        samples,
        mappings: Vec::new(),
        threads: Vec::new(),
        events: Vec::new(),
        stacks: None,
        heap: looks.map(|snapshots| HeapObservations {
            snapshots,
            unavailable: None,
        }),
    }
}

fn target(known: &Known<'_>, samples: &[Sample]) -> Target {
    Target {
        id: samples.first().map_or(PROCESS, |sample| sample.process),
        parent: None,
        name: known.name.to_owned(),
        exe: String::new(),
        cmdline: Vec::new(),
        uid: 1000,
        age: known.age,
        allocator: "glibc 2.36".to_owned(),
        runtime: known.runtime.to_owned(),
        limits: Limits::default(),
        cgroup: None,
        unseen: Vec::new(),
    }
}

/// The samples nearest to the moments of [`LOOKS`].
pub(crate) fn looked_at(samples: &[Sample]) -> Vec<&Sample> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Vec::new();
    };
    let mut chosen: Vec<&Sample> = (LOOKS.iter())
        .filter_map(|share| {
            let moment = first.at + Nanos::from_secs_f64(share * last.at.seconds_since(first.at));
            samples
                .iter()
                .min_by_key(|sample| sample.at.0.abs_diff(moment.0))
        })
        .collect();
    chosen.dedup_by_key(|sample| sample.at);
    chosen
}
