//! Which differences from the baseline are shown.
//!
//! ```text
//! decides: settled RSS of every arm; where the baseline grows, its rate and what settling gives back as well
//! tells what a choice costs: peak, mean, CPU time, time, metric; each is a family of its own
//! shown ⟺ p after Holm's correction within the family ≤ alpha, and the interval does not hold "no change"
//! ```
//!
//! What decides is one family, so that the chance to take an arm for nothing is alpha for the whole comparison and
//! not for each question. The test is of means of logarithms and the interval of ratios of medians: where the two
//! disagree, nothing is shown.

use super::arms::{CPU, MEAN, METRIC, Measure, PEAK, RATE, SETTLED, WALL, good, values};
use super::{bootstrap, holm, permutation, power};
use crate::thresholds::FEWEST_RUNS;
use fastrand::Rng;
use memtide_model::comparison::{Arm, Difference, Ratio, Trial};

/// What the load left that settling gave back; negative where memory went on growing.
const GIVEN_BACK: Measure = |trial| {
    (trial.end_rss > 0 && trial.settled_rss > 0)
        .then_some(trial.end_rss as f64 - trial.settled_rss as f64)
};

/// How much was tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tested {
    /// Arms that have runs enough, and a baseline that has.
    pub(super) arms: u64,
    /// Tests of them that decide.
    pub(super) tests: u64,
}

/// Fills what all arms but the first are compared by.
pub(super) fn compare(arms: &mut [Arm], alpha: f64, seed: u64) -> Tested {
    let Some((baseline, others)) = arms.split_first_mut() else {
        return Tested { arms: 0, tests: 0 };
    };
    // Another stream than that of the medians: the two intervals of a measure are no copies.
    let mut rng = Rng::with_seed(seed).fork();
    let enough = |arm: &Arm| values(arm, SETTLED).len() as u64 >= FEWEST_RUNS;
    let tested = if enough(baseline) {
        others.iter().filter(|arm| enough(arm)).count()
    } else {
        0
    };
    let grows = baseline.grows == Some(true);
    let settles = grows && (others.iter().chain([&*baseline])).any(|arm| good(arm).any(is_settled));
    let tests = tested * (1 + usize::from(grows) + usize::from(settles));
    let mut judge = Judge {
        baseline,
        cost_level: alpha / tested.max(1) as f64,
        deciding_level: alpha / tests.max(1) as f64,
        rng: &mut rng,
    };
    for arm in others.iter_mut() {
        judge.fill(arm, grows, settles);
    }
    correct_all(others, alpha);
    Tested {
        arms: tested as u64,
        tests: tests as u64,
    }
}

/// Whether what a run held was seen again after its work.
fn is_settled(trial: &Trial) -> bool {
    trial.end_rss != trial.settled_rss
}

/// Compares arms with one baseline.
struct Judge<'a> {
    baseline: &'a Arm,
    /// Level of one test of a measure that only tells what a choice costs, corrected.
    cost_level: f64,
    /// Level of one test that decides.
    deciding_level: f64,
    rng: &'a mut Rng,
}

impl Judge<'_> {
    fn fill(&mut self, arm: &mut Arm, grows: bool, settles: bool) {
        arm.settled_rss_ratio = self.ratio(arm, SETTLED, self.deciding_level);
        arm.peak_rss_ratio = self.ratio(arm, PEAK, self.cost_level);
        arm.mean_rss_ratio = self.ratio(arm, MEAN, self.cost_level);
        arm.cpu_ratio = self.ratio(arm, CPU, self.cost_level);
        arm.wall_ratio = self.ratio(arm, WALL, self.cost_level);
        arm.metric_ratio = self.ratio(arm, METRIC, self.cost_level);
        if grows {
            arm.growth_ratio = self.ratio(arm, RATE, self.deciding_level);
        }
        if settles {
            arm.given_back = self.difference(arm, GIVEN_BACK);
        }
    }

    /// A ratio with everything but its correction; `level` is that of one test after it.
    fn ratio(&mut self, arm: &Arm, measure: Measure, level: f64) -> Option<Ratio> {
        let (over, under) = (values(arm, measure), values(self.baseline, measure));
        let interval = bootstrap::of_ratio(&over, &under, self.rng)?;
        let p = self.p(&over, &under);
        Some(Ratio {
            value: interval.value,
            low: interval.low,
            high: interval.high,
            p,
            p_corrected: None,
            differs: false,
            detectable: power::detectable(&over, &under, level).filter(|_| p.is_some()),
        })
    }

    fn difference(&mut self, arm: &Arm, measure: Measure) -> Option<Difference> {
        let (here, there) = (values(arm, measure), values(self.baseline, measure));
        let interval = bootstrap::of_difference(&here, &there, self.rng)?;
        Some(Difference {
            value: interval.value,
            low: interval.low,
            high: interval.high,
            p: self.p(&here, &there),
            p_corrected: None,
            differs: false,
        })
    }

    /// `None` with too few runs.
    fn p(&mut self, here: &[f64], there: &[f64]) -> Option<f64> {
        let enough = here.len().min(there.len()) as u64 >= FEWEST_RUNS;
        enough
            .then(|| permutation::p_value(here, there, self.rng))
            .flatten()
    }
}

/// One test, to be corrected together with others.
struct Test<'a> {
    p: f64,
    /// Whether the interval leaves out "no change".
    is_apart: bool,
    corrected: &'a mut Option<f64>,
    differs: &'a mut bool,
}

impl<'a> Test<'a> {
    fn of_ratio(ratio: &'a mut Ratio) -> Option<Self> {
        Some(Self {
            p: ratio.p?,
            is_apart: !(ratio.low..=ratio.high).contains(&1.0),
            corrected: &mut ratio.p_corrected,
            differs: &mut ratio.differs,
        })
    }

    fn of_difference(difference: &'a mut Difference) -> Option<Self> {
        Some(Self {
            p: difference.p?,
            is_apart: !(difference.low..=difference.high).contains(&0.0),
            corrected: &mut difference.p_corrected,
            differs: &mut difference.differs,
        })
    }
}

/// Corrects what decides as one family, and each other measure as one of its own.
fn correct_all(arms: &mut [Arm], alpha: f64) {
    let deciding = arms.iter_mut().flat_map(|arm| {
        let settled = arm.settled_rss_ratio.as_mut().and_then(Test::of_ratio);
        let rate = arm.growth_ratio.as_mut().and_then(Test::of_ratio);
        let given_back = arm.given_back.as_mut().and_then(Test::of_difference);
        [settled, rate, given_back].into_iter().flatten()
    });
    correct(deciding.collect(), alpha);
    let costs: [fn(&mut Arm) -> Option<&mut Ratio>; 5] = [
        |arm| arm.peak_rss_ratio.as_mut(),
        |arm| arm.mean_rss_ratio.as_mut(),
        |arm| arm.cpu_ratio.as_mut(),
        |arm| arm.wall_ratio.as_mut(),
        |arm| arm.metric_ratio.as_mut(),
    ];
    for of in costs {
        let family = arms.iter_mut().filter_map(of).filter_map(Test::of_ratio);
        correct(family.collect(), alpha);
    }
}

fn correct(tests: Vec<Test<'_>>, alpha: f64) {
    let raw: Vec<f64> = tests.iter().map(|test| test.p).collect();
    for (test, p) in tests.into_iter().zip(holm::corrected(&raw)) {
        *test.corrected = Some(p);
        *test.differs = p <= alpha && test.is_apart;
    }
}
