//! The statistics against figures of scipy and numpy (`data/reference.py` made them).

mod support;

use memtide_analyzer::statistics::{Series, blocks, kendall, theil_sen};
use serde::Deserialize;
use support::Random;

#[derive(Deserialize)]
struct Reference {
    theil: Vec<Sloped>,
    kendall: Vec<Ranked>,
    normal: Vec<Ranked>,
    blocks: Vec<Sloped>,
}

#[derive(Deserialize)]
struct Sloped {
    t: Vec<f64>,
    y: Vec<f64>,
    slope: f64,
    #[serde(default)]
    low: f64,
    #[serde(default)]
    high: f64,
}

#[derive(Deserialize)]
struct Ranked {
    y: Vec<f64>,
    p: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("data/reference.json")).expect("reference.json")
}

fn close(ours: f64, theirs: f64, what: &str) {
    assert!(
        (ours - theirs).abs() <= 1e-9 * (1.0 + theirs.abs()),
        "{what}: {ours} against scipy's {theirs}"
    );
}

#[test]
fn theil_sen_is_that_of_scipy() {
    for case in reference().theil {
        let series = Series {
            t: case.t,
            y: case.y,
        };
        close(theil_sen::slope(&series), case.slope, "slope");
    }
}

#[test]
fn kendall_is_that_of_scipy_exact_and_normal() {
    let reference = reference();
    for case in reference.kendall.iter().chain(&reference.normal) {
        close(kendall::p_rising(&case.y), case.p, &format!("{:?}", case.y));
    }
}

#[test]
fn the_interval_is_that_of_the_formula() {
    for case in reference().blocks {
        let series = Series {
            t: case.t,
            y: case.y,
        };
        let slope = blocks::slope_with_interval(&series).expect("long enough");
        close(slope.per_second, case.slope, "slope");
        close(slope.low, case.low, "low");
        close(slope.high, case.high, "high");
    }
}

/// Linear growth with autocorrelated noise: the 90 % interval must hold the truth in 85 to 99 %.
#[test]
fn intervals_cover_the_true_slope() {
    let mut random = Random(0x5eed);
    for tau in [0.0, 0.02, 0.05, 0.1, 0.2] {
        let runs = 1_000;
        let covered = (0..runs)
            .filter(|_| {
                let noise = random.autoregressive(190, tau);
                let series = Series::of((0..190).map(|k| {
                    let t = k as f64 * 0.25;
                    (t, 3e7 + 5e5 * t + 1e6 * noise[k])
                }));
                let slope = blocks::slope_with_interval(&series).expect("long enough");
                (slope.low..=slope.high).contains(&5e5)
            })
            .count();
        let share = covered as f64 / f64::from(runs);
        println!("tau/T {tau}: covered {share:.3}");
        assert!((0.85..=0.99).contains(&share), "tau/T {tau}: {share}");
    }
}
