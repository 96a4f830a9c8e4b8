//! The numbers of every arm: medians over its runs, and ratios to the baseline.
//!
//! Two ratios are tested for the verdict and corrected for the number of arms: RSS after settling, and the rate
//! of growth where the baseline grows. The others tell what a choice costs; their p stands as it is.

use super::{ArmInput, bootstrap, growth, holm, permutation, power};
use crate::statistics::quantile::median;
use crate::thresholds::FEWEST_RUNS;
use fastrand::Rng;
use memtide_model::comparison::{Arm, Medians, Ratio, Trial};

/// A measure of a run; `None` where it was not taken.
type Measure = fn(&Trial) -> Option<f64>;

const SETTLED: Measure = |trial| resident(trial.settled_rss);
const PEAK: Measure = |trial| resident(trial.peak_rss);
const MEAN: Measure = |trial| resident(trial.mean_rss);
const CPU: Measure = |trial| Some(trial.cpu_seconds);
const WALL: Measure = |trial| Some(trial.wall_seconds);
const RATE: Measure = |trial| trial.bytes_per_second;
const METRIC: Measure = |trial| trial.metric;

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

fn values(arm: &Arm, measure: Measure) -> Vec<f64> {
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
        grows: None,
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

/// Fills the ratios of all arms but the first; gives back how many were tested against it.
pub(super) fn compare(arms: &mut [Arm], alpha: f64, seed: u64) -> u64 {
    let Some((baseline, others)) = arms.split_first_mut() else {
        return 0;
    };
    // Another stream than that of the medians: the two intervals of a measure are no copies.
    let mut rng = Rng::with_seed(seed).fork();
    let enough = |arm: &Arm| values(arm, SETTLED).len() as u64 >= FEWEST_RUNS;
    let tested = if enough(baseline) {
        others.iter().filter(|arm| enough(arm)).count()
    } else {
        0
    };
    let mut judge = Judge {
        baseline,
        alpha,
        tested: tested.max(1),
        rng: &mut rng,
    };
    for arm in others.iter_mut() {
        judge.fill(arm);
    }
    judge.correct(others, |arm| arm.settled_rss_ratio.as_mut());
    judge.correct(others, |arm| arm.growth_ratio.as_mut());
    tested as u64
}

/// Compares arms with one baseline.
struct Judge<'a> {
    baseline: &'a Arm,
    alpha: f64,
    tested: usize,
    rng: &'a mut Rng,
}

impl Judge<'_> {
    fn fill(&mut self, arm: &mut Arm) {
        let corrected = self.alpha / self.tested as f64;
        arm.settled_rss_ratio = self.ratio(arm, SETTLED, corrected);
        arm.peak_rss_ratio = self.ratio(arm, PEAK, self.alpha);
        arm.mean_rss_ratio = self.ratio(arm, MEAN, self.alpha);
        arm.cpu_ratio = self.ratio(arm, CPU, self.alpha);
        arm.wall_ratio = self.ratio(arm, WALL, self.alpha);
        arm.metric_ratio = self.ratio(arm, METRIC, self.alpha);
        if self.baseline.grows == Some(true) {
            arm.growth_ratio = self.ratio(arm, RATE, corrected);
        }
    }

    /// A ratio with everything but its correction; `level` is that of one test after it.
    fn ratio(&mut self, arm: &Arm, measure: Measure, level: f64) -> Option<Ratio> {
        let (over, under) = (values(arm, measure), values(self.baseline, measure));
        let interval = bootstrap::of_ratio(&over, &under, self.rng)?;
        let enough = over.len().min(under.len()) as u64 >= FEWEST_RUNS;
        let p = permutation::p_value(&over, &under, self.rng).filter(|_| enough);
        Some(Ratio {
            value: interval.value,
            low: interval.low,
            high: interval.high,
            p,
            p_corrected: None,
            differs: p.is_some_and(|p| p <= self.alpha),
            detectable: power::detectable(&over, &under, level).filter(|_| enough),
        })
    }

    /// Corrects the p of one ratio for the arms that have it, and decides by that.
    fn correct(&self, arms: &mut [Arm], of: fn(&mut Arm) -> Option<&mut Ratio>) {
        let mut tests: Vec<(f64, &mut Ratio)> = (arms.iter_mut())
            .filter_map(of)
            .filter_map(|ratio| Some((ratio.p?, ratio)))
            .collect();
        let raw: Vec<f64> = tests.iter().map(|(p, _)| *p).collect();
        for ((_, ratio), p) in tests.iter_mut().zip(holm::corrected(&raw)) {
            ratio.p_corrected = Some(p);
            ratio.differs = p <= self.alpha;
        }
    }
}

/// Mean share of one core that watching took, in percent.
pub(super) fn watching_percent(arms: &[Arm]) -> f64 {
    let (mut cost, mut seconds) = (0.0, 0.0);
    for trial in arms.iter().flat_map(|arm| &arm.runs) {
        if let Some((last, _)) = trial.rss.last() {
            cost += trial.cost_cpu_seconds;
            seconds += last;
        }
    }
    let percent = 100.0 * cost / seconds;
    if percent.is_finite() { percent } else { 0.0 }
}
