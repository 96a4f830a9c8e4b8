//! The same work under several allocators, or several recordings: what differs, by how much, and how sure that is.
//!
//! ```text
//! Observations + Phases + Used ─► measure ─► Trial, a run ─┐
//!                                                          ├─► Inputs ─► allocators ─► Comparison
//! order: which arm runs when, shuffled within rounds ──────┘
//! Findings of recordings ──────────────────────────────────────────────► recordings ─► Comparison
//! ```
//!
//! **The idea.** A run is one number per measure; runs vary, so arms are compared by ratios of medians with
//! bootstrap intervals ([`bootstrap`]), and a difference is *shown* by a permutation test ([`permutation`]) on the
//! settled RSS, and on growth where the baseline grows, corrected for all tests that decide ([`holm`]). Where none is shown the answer says what could
//! have been seen ([`power`]). A lower level and slower growth are told apart ([`growth`]): a leak is a leak under
//! any allocator.
//!
//! **What the caller must do.** Run the arms in [`order`]: interleaved, so that a machine that warms up or
//! fills its page cache does so for all of them. Runs that failed are handed over, marked; they count for nothing.
//!
//! **What it refuses to do.** It never judges by fewer than [`FEWEST_RUNS`] runs of an arm, never by the best or the
//! worst run, and gives no interval to a single recording's RSS: one run has no spread.
//!
//! [`FEWEST_RUNS`]: crate::thresholds::FEWEST_RUNS

mod arms;
pub mod bootstrap;
pub mod growth;
pub mod holm;
mod judge;
mod measure;
pub mod permutation;
pub mod power;
mod recordings;
mod settings;
mod stacks;
mod verdict;
mod warnings;
mod words;

pub use measure::measure;
pub use recordings::recordings;

use crate::thresholds::{COMPARISON_ALPHA, RESAMPLES};
use fastrand::Rng;
use memtide_model::Nanos;
use memtide_model::comparison::{Compared, Comparison, Overhead, SCHEMA, Statistics, Trial};

/// When the phases of a run began and ended, by the clock of its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// When the program was started.
    pub started: Nanos,
    /// When the service was ready; `None` where nothing was waited for.
    pub ready: Option<Nanos>,
    /// When the load ended; `None` where there is none: the work ends with the program then.
    pub work_ended: Option<Nanos>,
    /// When what counts ended: before the program was asked to stop, or when it ended by itself.
    pub ended: Nanos,
}

/// What a run used, by the kernel's books at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// User and system time of the program and its reaped children, in seconds.
    pub cpu_seconds: f64,
    /// Minor faults, likewise.
    pub minor_faults: u64,
    /// Major faults.
    pub major_faults: u64,
    /// From the start to the end of the work, in seconds: of the load where there is one, else of the program.
    pub wall_seconds: f64,
}

/// All runs of one arm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArmInput {
    /// Its name as it was given.
    pub name: String,
    /// The allocator that was found in the running process.
    pub allocator: String,
    /// What was set for it: `NAME=VALUE`.
    pub environment: Vec<String>,
    /// Why there is nothing to compare, where the whole arm failed.
    pub failed: Option<String>,
    /// Its runs in the order in which they were made, failed ones marked.
    pub trials: Vec<Trial>,
}

/// All that a comparison of allocators is made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The command that drove the load.
    pub load: Option<String>,
    /// Runs of each arm that were asked for.
    pub runs: u64,
    /// Where [`order`], bootstrap and permutations are drawn from.
    pub seed: u64,
    /// Error of the first kind for the whole comparison, above 0 and below 1; else
    /// [`COMPARISON_ALPHA`](crate::thresholds::COMPARISON_ALPHA).
    pub alpha: f64,
    /// The arms, the baseline first.
    pub arms: Vec<ArmInput>,
    /// Share of one core that memtide may use while it watches, in percent.
    pub budget_percent: f64,
    /// Whether the heap was read where that is possible.
    pub heap_read: bool,
}

/// Which arm runs when: `runs` rounds, each of which holds every arm once, in an order of its own.
/// The same seed gives the same order.
pub fn order(arms: usize, runs: usize, seed: u64) -> Vec<usize> {
    let mut rng = Rng::with_seed(seed);
    let mut round: Vec<usize> = (0..arms).collect();
    let mut order = Vec::with_capacity(arms.saturating_mul(runs));
    for _ in 0..runs {
        rng.shuffle(&mut round);
        order.extend_from_slice(&round);
    }
    order
}

/// Compares the arms with the first of them and says which to take. Never fails: what cannot be
/// told is null, and the verdict is `undetermined` then.
pub fn allocators(inputs: Inputs) -> Comparison {
    let is_probability = inputs.alpha > 0.0 && inputs.alpha < 1.0;
    let alpha = if is_probability {
        inputs.alpha
    } else {
        COMPARISON_ALPHA
    };
    let mut arms = arms::measured(inputs.arms, inputs.seed);
    let tested = judge::compare(&mut arms, alpha, inputs.seed);
    // As many as there would be with runs enough: what is needed is said to who has too few.
    let others = arms.iter().skip(1).filter(|arm| arm.failed.is_none());
    let tests = tested.tests.max(others.count() as u64).max(1);
    let statistics = Statistics {
        alpha,
        tested: tested.arms,
        tests: tested.tests,
        runs_needed: holm::runs_needed(alpha, tests),
        resamples: u64::from(RESAMPLES),
    };
    let overhead = Overhead {
        budget_percent: inputs.budget_percent,
        used_percent: arms::watching_percent(&arms).unwrap_or(0.0),
        heap_read: inputs.heap_read,
    };
    Comparison {
        schema: SCHEMA.to_owned(),
        of: Compared::Allocators,
        baseline: arms.first().map_or_else(String::new, |arm| arm.arm.clone()),
        verdict: verdict::of(&arms, &statistics, &inputs.command),
        warnings: warnings::of(&arms, inputs.runs, inputs.budget_percent),
        command: inputs.command,
        load: inputs.load,
        runs: inputs.runs,
        seed: inputs.seed,
        arms,
        statistics,
        overhead,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_round_holds_every_arm_once_and_orders_differ() {
        let order = super::order(4, 50, 7);
        let rounds: Vec<&[usize]> = order.chunks(4).collect();
        assert_eq!(rounds.len(), 50);
        let mut firsts = [0; 4];
        for round in &rounds {
            let mut sorted = round.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
            firsts[round[0]] += 1;
        }
        assert!(firsts.iter().all(|&first| first >= 4), "{firsts:?}");
        assert_eq!(order, super::order(4, 50, 7));
        assert_ne!(order, super::order(4, 50, 8));
        assert!(super::order(0, 3, 1).is_empty());
    }
}
