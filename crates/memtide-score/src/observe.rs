//! When the heap is looked into: at fixed shares of a window, 0, 1/3, 2/3 and 1, so that every window is judged
//! on as many looks. The observations are memtide-import's.

use memtide_model::{Nanos, Pid, ProcessId, Sample, StartTime};

/// Shares of a window at which the heap is looked into.
const LOOKS: [f64; 4] = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0];

/// The process that simulated samples are said to be of.
pub(crate) const PROCESS: ProcessId = ProcessId {
    pid: Pid(1),
    start: StartTime(0),
};

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
