//! Does it still grow, and does another allocator change that?
//!
//! A run grows if the shape of its RSS has no end, the lower end of its rate's interval is above zero, and settling
//! did not give back what it grew by: what an allocator holds for a while is no leak. An arm grows if most of its runs
//! do. Where the baseline grows, every other arm's rate is compared with it, and what settling gives back: a rate that
//! is *shown* to be lower, by a permutation test that is corrected for all that decides, slows the growth, more that is
//! shown to be given back ends it, and nothing less does.

use crate::thresholds::{GIVEN_BACK_SHARE, SAME_RATE, STOPPED_RATE};
use memtide_model::Shape;
use memtide_model::comparison::{Arm, Trial};

/// What an arm does to the growth of the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    /// It does not grow any more.
    Stops,
    /// It grows while it works, and gives that back when the load is over.
    GivesBack,
    /// It grows more slowly.
    Slower,
    /// It grows at the same rate, or no other rate is shown, or a higher one.
    GoesOn,
    /// Its interval is below the baseline's rate, and so many runs cannot show it; or most of its runs do not grow:
    /// their rates scatter so much that the baseline's is among them, or it is not shown that more is given back.
    Unsure,
    /// There is no rate to compare.
    Unknown,
}

/// True if a run grows without an end; `None` where its rate is not known.
pub fn grows(trial: &Trial) -> Option<bool> {
    let low = trial.low?;
    let unbounded = trial.shape.is_some_and(Shape::is_unbounded);
    Some(unbounded && low > 0.0 && !gives_back(trial))
}

/// True if settling gave back most of what the run grew by while it worked.
pub fn gives_back(trial: &Trial) -> bool {
    let (Some(rate), Some(end)) = (trial.bytes_per_second, trial.work_ended_at) else {
        return false;
    };
    let grown = rate * (end - trial.ready_at.unwrap_or(0.0));
    let given_back = trial.end_rss.saturating_sub(trial.settled_rss);
    grown > 0.0 && given_back as f64 >= GIVEN_BACK_SHARE * grown
}

/// True if most of the runs that can be judged grow; `None` where there are none.
pub fn most_grow<'a>(trials: impl Iterator<Item = &'a Trial>) -> Option<bool> {
    most(trials.filter_map(grows))
}

/// What an arm does to the growth of a baseline that grows.
pub fn course(arm: &Arm) -> Course {
    let Some(ratio) = arm.growth_ratio else {
        return Course::Unknown;
    };
    let lower = ratio.high < 1.0 && ratio.value < 1.0 - SAME_RATE;
    let more_back = (arm.given_back).is_some_and(|back| back.differs && back.value > 0.0);
    if more_back && arm.grows == Some(false) && most_give_back(arm) {
        Course::GivesBack
    } else if !lower && arm.grows != Some(false) {
        Course::GoesOn
    } else if !lower || !ratio.differs {
        Course::Unsure
    } else if arm.grows == Some(false) && ratio.high < STOPPED_RATE {
        Course::Stops
    } else {
        Course::Slower
    }
}

/// True if most runs give back most of what they grew by.
pub(super) fn most_give_back(arm: &Arm) -> bool {
    let good = arm.runs.iter().filter(|trial| trial.failed.is_none());
    most(good.map(gives_back)) == Some(true)
}

fn most(answers: impl Iterator<Item = bool>) -> Option<bool> {
    let (mut all, mut yes) = (0, 0);
    for answer in answers {
        all += 1;
        yes += usize::from(answer);
    }
    (all > 0).then_some(2 * yes > all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(shape: Shape, low: f64, settled_rss: u64) -> Trial {
        Trial {
            shape: Some(shape),
            bytes_per_second: Some(1000.0),
            low: Some(low),
            ready_at: Some(5.0),
            work_ended_at: Some(25.0),
            end_rss: 100_000,
            settled_rss,
            ..Trial::default()
        }
    }

    #[test]
    fn what_is_given_back_does_not_grow() {
        // It grew by 20,000 in 20 s.
        assert_eq!(grows(&run(Shape::Linear, 900.0, 100_000)), Some(true));
        assert_eq!(grows(&run(Shape::Linear, 900.0, 90_001)), Some(true));
        assert_eq!(grows(&run(Shape::Linear, 900.0, 90_000)), Some(false));
        assert_eq!(grows(&run(Shape::Plateau, 900.0, 100_000)), Some(false));
        assert_eq!(grows(&run(Shape::Linear, -1.0, 100_000)), Some(false));
        assert_eq!(grows(&Trial::default()), None);
    }

    #[test]
    fn most_runs_decide() {
        let (yes, no) = (
            run(Shape::Stairs, 1.0, 100_000),
            run(Shape::Flat, 1.0, 100_000),
        );
        assert_eq!(most_grow([&yes, &yes, &no].into_iter()), Some(true));
        assert_eq!(most_grow([&yes, &no].into_iter()), Some(false));
        assert_eq!(most_grow([].into_iter()), None);
    }
}
