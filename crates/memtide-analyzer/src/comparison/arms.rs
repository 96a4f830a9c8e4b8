//! The numbers of every arm by itself: what is measured of a run, and medians over its runs.

use super::{ArmInput, bootstrap, growth};
use crate::statistics::quantile::median;
use fastrand::Rng;
use memtide_model::comparison::{Arm, Medians, Trial};

/// A measure of a run; `None` where it was not taken.
pub(super) type Measure = fn(&Trial) -> Option<f64>;

pub(super) const SETTLED: Measure = |trial| resident(trial.settled_rss);
pub(super) const PEAK: Measure = |trial| resident(trial.peak_rss);
pub(super) const MEAN: Measure = |trial| resident(trial.mean_rss);
pub(super) const CPU: Measure = |trial| Some(trial.cpu_seconds);
pub(super) const WALL: Measure = |trial| Some(trial.wall_seconds);
pub(super) const RATE: Measure = |trial| trial.bytes_per_second;
pub(super) const METRIC: Measure = |trial| trial.metric;

/// A process without resident pages was not seen.
fn resident(bytes: u64) -> Option<f64> {
    (bytes > 0).then_some(bytes as f64)
}

/// Runs of an arm that count.
pub(super) fn good(arm: &Arm) -> impl Iterator<Item = &Trial> + Clone {
    let stands = arm.failed.is_none();
    (arm.runs.iter()).filter(move |trial| stands && trial.failed.is_none())
}

/// How many they are.
pub(super) fn runs(arm: &Arm) -> u64 {
    good(arm).count() as u64
}

/// A measure of the runs that count.
pub(super) fn values(arm: &Arm, measure: Measure) -> Vec<f64> {
    good(arm).filter_map(measure).collect()
}

/// Arms with their medians, without ratios.
pub(super) fn measured(inputs: Vec<ArmInput>, seed: u64) -> Vec<Arm> {
    let mut rng = Rng::with_seed(seed);
    (inputs.into_iter())
        .map(|input| {
            let mut arm = bare(input.name);
            arm.allocator = input.allocator;
            arm.environment = input.environment;
            arm.failed = input.failed;
            arm.runs = input.trials.into_iter().map(sound).collect();
            arm.median = medians(&arm, &mut rng);
            arm.grows = growth::most_grow(good(&arm));
            arm.watching_percent = watching_percent(std::slice::from_ref(&arm));
            arm
        })
        .collect()
}

/// An arm of which nothing is known but its name.
pub(super) fn bare(name: String) -> Arm {
    Arm {
        arm: name,
        allocator: String::new(),
        environment: Vec::new(),
        failed: None,
        runs: Vec::new(),
        median: Medians::default(),
        settled_rss_ratio: None,
        peak_rss_ratio: None,
        mean_rss_ratio: None,
        cpu_ratio: None,
        wall_ratio: None,
        growth_ratio: None,
        metric_ratio: None,
        given_back: None,
        grows: None,
        watching_percent: None,
        ledger: Vec::new(),
        verdict: None,
        stacks: None,
    }
}

/// Without what is no number: a load may print anything.
fn sound(mut trial: Trial) -> Trial {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let amount = |value: f64| {
        if value.is_finite() {
            value.max(0.0)
        } else {
            0.0
        }
    };
    trial.metric = finite(trial.metric);
    trial.bytes_per_second = finite(trial.bytes_per_second);
    trial.low = finite(trial.low);
    trial.high = finite(trial.high);
    trial.ready_at = finite(trial.ready_at);
    trial.work_ended_at = finite(trial.work_ended_at);
    trial.cpu_seconds = amount(trial.cpu_seconds);
    trial.wall_seconds = amount(trial.wall_seconds);
    trial.cost_cpu_seconds = amount(trial.cost_cpu_seconds);
    trial.rss.retain(|(second, _)| second.is_finite());
    trial
}

/// Medians of the runs that count, three of them with an interval.
fn medians(arm: &Arm, rng: &mut Rng) -> Medians {
    let of = |measure: Measure| {
        let values = values(arm, measure);
        (!values.is_empty()).then(|| median(&values))
    };
    let mut with_interval = |measure| bootstrap::of_median(&values(arm, measure), rng);
    let settled = with_interval(SETTLED);
    let peak = with_interval(PEAK);
    let cpu = with_interval(CPU);
    Medians {
        peak_rss: of(PEAK),
        end_rss: of(|trial| resident(trial.end_rss)),
        settled_rss: of(SETTLED),
        settled_low: settled.map(|interval| interval.low),
        settled_high: settled.map(|interval| interval.high),
        peak_low: peak.map(|interval| interval.low),
        peak_high: peak.map(|interval| interval.high),
        mean_rss: of(MEAN),
        bytes_per_second: of(RATE),
        heap_live: of(|trial| Some(trial.heap_live? as f64)),
        heap_retained: of(|trial| Some(trial.heap_retained? as f64)),
        cpu_seconds: of(CPU),
        cpu_low: cpu.map(|interval| interval.low),
        cpu_high: cpu.map(|interval| interval.high),
        wall_seconds: of(WALL),
        faults: of(|trial| Some(trial.minor_faults as f64 + trial.major_faults as f64)),
        metric: of(METRIC),
    }
}

/// Mean share of one core that watching these arms took, in percent; `None` where nothing was seen of them.
pub(super) fn watching_percent(arms: &[Arm]) -> Option<f64> {
    let (mut cost, mut seconds) = (0.0, 0.0);
    for trial in arms.iter().flat_map(|arm| &arm.runs) {
        if let Some((last, _)) = trial.rss.last() {
            cost += trial.cost_cpu_seconds;
            seconds += last;
        }
    }
    Some(100.0 * cost / seconds).filter(|percent| percent.is_finite())
}
