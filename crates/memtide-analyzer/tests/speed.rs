//! The live line calls the analysis at every tick: 300 samples must take well under a tick.

mod support;

use memtide_analyzer::analyze;
use memtide_model::{Nanos, Sample};
use std::time::Instant;
use support::{cases, window};

/// Measured in release builds only: unoptimised statistics say nothing.
#[test]
#[cfg_attr(debug_assertions, ignore = "needs --release")]
fn three_hundred_samples_take_under_30_ms() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "leak-sawtooth-a")
        .expect("in the corpus");
    let mut observations = window(&case, 0.0, f64::INFINITY);
    // The record again and again, one after the other, until it has 300 samples.
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
    let mut times: Vec<f64> = (0..11)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(analyze(&observations));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("median of 11: {:.1} ms", times[5]);
    assert!(times[5] < 30.0, "{times:?}");
}
