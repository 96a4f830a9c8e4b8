//! The live line calls the analysis at every tick: 300 samples must take well under a tick.

mod support;

use memtide_analyzer::analyze;
use memtide_model::{Nanos, Observations, Sample};
use std::time::Instant;
use support::shim::{MIB, Site, leak, recorded};
use support::{cases, window};

/// The record of one case again and again, one after the other, until it has 300 samples.
fn three_hundred_samples() -> Observations {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "leak-sawtooth-a")
        .expect("in the corpus");
    let mut observations = window(&case, 0.0, f64::INFINITY);
    let once = observations.samples.clone();
    let span = once[once.len() - 1].at - once[0].at + Nanos::from_secs_f64(0.25);
    while observations.samples.len() < 300 {
        let shift = observations.samples.len() / once.len();
        observations
            .samples
            .extend(once.iter().map(|sample| Sample {
                at: sample.at + Nanos(span.0 * shift as u64),
                ..*sample
            }));
    }
    observations.samples.truncate(300);
    assert_eq!(observations.samples.len(), 300);
    observations
}

/// Milliseconds of the analysis, the median of eleven.
fn milliseconds(observations: &Observations) -> f64 {
    let mut times: Vec<f64> = (0..11)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(analyze(observations));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[5]
}

/// Measured in release builds only: unoptimised statistics say nothing.
#[test]
#[cfg_attr(debug_assertions, ignore = "needs --release")]
fn three_hundred_samples_take_under_30_ms() {
    let time = milliseconds(&three_hundred_samples());
    println!("median of 11: {time:.1} ms");
    assert!(time < 30.0, "{time}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "needs --release")]
fn ten_thousand_stacks_take_under_100_ms() {
    // 75 s at 4 Hz, as many stacks as a compiler has, 300 of them with a point in every sample.
    let sites: Vec<Site> = (0..10_000_u32)
        .map(|k| Site::heap("f", 64, leak(f64::from(k % 50))))
        .collect();
    let mut observations = recorded(75, &sites, |_, live| live + MIB);
    let stacks = &mut observations.stacks.as_mut().expect("stacks").stacks;
    for history in stacks.iter_mut().skip(300) {
        history.points.clear();
    }
    let time = milliseconds(&observations);
    println!("median of 11: {time:.1} ms");
    assert!(time < 100.0, "{time}");
}
