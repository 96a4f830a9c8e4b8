//! What one run measured, from its recording.
//!
//! ```text
//! started ──── ready ──────── work_ended ──────── ended
//!                └─ mean, growth ─┘ └─ settling ─┘
//!                            end_rss        settled_rss
//! ```
//!
//! Samples before an exec are of another program, samples without resident pages of one that is gone: both are left
//! out. A value at a moment is the median of the last three samples up to it. Growth is judged by the same trend
//! as a report's, on that part of the record alone, so a start-up or the fall after the load does not pass for it.

use super::{Phases, Used};
use crate::record::{Record, Track, last_exec};
use crate::snapshots::Snapshots;
use crate::statistics::Series;
use crate::statistics::quantile::median_of;
use crate::thresholds::ENDS;
use crate::trend::Trend;
use memtide_model::comparison::Trial;
use memtide_model::{Bytes, Nanos, Observations, Sample};

/// Points of the chart at most.
const MOST_POINTS: usize = 300;
/// Samples of which a value at a moment is the median.
const AT_ONCE: usize = 3;

/// All of a trial that its recording and the kernel's books tell. The caller adds what only it knows: order,
/// recording, the load's exit and metric, whether the run failed or was killed. Sizes of a record without
/// samples are zero.
pub fn measure(observations: &Observations, phases: &Phases, used: &Used) -> Trial {
    let samples = usable(observations, phases);
    let (work, settling) = parts(&samples, phases);
    let end_rss = end_rss(&samples, work, phases);
    let growth = growth(observations, work);
    let looks = Snapshots::of(observations).until(phases.ended);
    let look = looks.looks().last();
    let second = |at: Nanos| at.seconds_since(phases.started);
    Trial {
        peak_rss: samples.iter().map(peak).max().unwrap_or(0),
        end_rss,
        settled_rss: settled(settling).unwrap_or(end_rss),
        mean_rss: series(work, phases.started)
            .mean_over_time()
            .map_or(end_rss, whole),
        bytes_per_second: growth.slope.map(|slope| slope.per_second),
        low: growth.slope.map(|slope| slope.low),
        high: growth.slope.map(|slope| slope.high),
        shape: growth.form.shape,
        heap_live: look.map(|look| whole(look.live)),
        heap_retained: look.map(|look| whole(look.kept())),
        minor_faults: used.minor_faults,
        major_faults: used.major_faults,
        cpu_seconds: used.cpu_seconds,
        wall_seconds: used.wall_seconds,
        cost_cpu_seconds: observations.recording.cost_cpu.as_secs_f64(),
        ready_at: phases.ready.map(second),
        work_ended_at: Some(second(work_end(phases))),
        rss: chart(&samples, phases.started),
        ..Trial::default()
    }
}

/// When the work ended: with the load, else with the program.
fn work_end(phases: &Phases) -> Nanos {
    phases.work_ended.unwrap_or(phases.ended)
}

/// The samples of the program while it counted.
fn usable(observations: &Observations, phases: &Phases) -> Vec<Sample> {
    let exec = last_exec(observations);
    (observations.samples.iter())
        .filter(|sample| Some(sample.at) > exec && sample.at <= phases.ended)
        .filter(|sample| sample.memory.rss > Bytes::ZERO)
        .copied()
        .collect()
}

/// Those of the work, and those after it.
fn parts<'a>(samples: &'a [Sample], phases: &Phases) -> (&'a [Sample], &'a [Sample]) {
    let from = phases.ready.unwrap_or(phases.started);
    let to = work_end(phases);
    let end = samples.partition_point(|sample| sample.at <= to);
    let start = samples.partition_point(|sample| sample.at < from).min(end);
    (&samples[start..end], &samples[end..])
}

/// RSS at the end of a load; of a run without one the median of its last twelfth.
fn end_rss(samples: &[Sample], work: &[Sample], phases: &Phases) -> u64 {
    let end = if phases.work_ended.is_some() {
        at_once(work)
    } else {
        let last = (work.len() / ENDS).max(AT_ONCE).min(work.len());
        median(&work[work.len() - last..])
    };
    // A load that ended between two samples: the nearest that there is.
    end.or_else(|| median(samples.get(..1)?)).unwrap_or(0)
}

/// RSS at the end of these samples; `None` of none.
fn at_once(samples: &[Sample]) -> Option<u64> {
    median(&samples[samples.len().saturating_sub(AT_ONCE)..])
}

/// RSS after settling; `None` where fewer samples than a value takes came after the work: the only one
/// may be of a program that just ended by itself, with half of its memory gone.
fn settled(settling: &[Sample]) -> Option<u64> {
    at_once(settling).filter(|_| settling.len() >= AT_ONCE)
}

fn median(samples: &[Sample]) -> Option<u64> {
    let values = samples.iter().map(|sample| sample.memory.rss.as_f64());
    (!samples.is_empty()).then(|| whole(median_of(values.collect())))
}

/// The highest RSS up to a sample: the kernel's own mark, where it is told.
fn peak(sample: &Sample) -> u64 {
    let marked = sample.memory.peak_rss.unwrap_or(Bytes::ZERO);
    marked.max(sample.memory.rss).max(sample.merged.rss_max).0
}

/// Shape and rate while the work was done.
fn growth(observations: &Observations, work: &[Sample]) -> Trend {
    let record = Record::of(&Observations {
        events: observations.events.clone(),
        ..Observations::of_samples(
            observations.target.clone(),
            observations.recording.clone(),
            work.to_vec(),
        )
    });
    Trend::of(&record.series(Track::Rss), record.material())
}

/// RSS over time, in seconds since the start.
fn series(samples: &[Sample], started: Nanos) -> Series {
    Series::of((samples.iter()).map(|s| (s.at.seconds_since(started), s.memory.rss.as_f64())))
}

/// The same for the chart.
fn chart(samples: &[Sample], started: Nanos) -> Vec<(f64, u64)> {
    let thinned = series(samples, started).thinned(MOST_POINTS);
    (thinned.t.iter().zip(&thinned.y))
        .map(|(&second, &bytes)| (second, whole(bytes)))
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sizes are not negative, and the cast saturates"
)]
fn whole(bytes: f64) -> u64 {
    bytes.round() as u64
}
