//! The arms: allocators with their settings, and what their runs have brought so far.

use memtide_analyzer::comparison::ArmInput;
use memtide_launch::Program;
use memtide_launch::allocator::{Bound, Found, Variant};
use memtide_model::comparison::Trial;
use memtide_model::text::printable;
use memtide_sampler::clock;
use std::os::unix::ffi::OsStrExt as _;

/// An arm whose first runs all fail is given up after so many: the others need not wait for it.
const FAILURES: usize = 2;

/// One way to run the work.
pub(super) struct Arm {
    variant: Variant,
    pub(super) found: Found,
    trials: Vec<Trial>,
    bound: Option<Bound>,
    /// Why there are no more runs of it.
    pub(super) failed: Option<String>,
}

/// The arms of a list, all of which can be started.
///
/// # Errors
/// An unknown allocator or setting, and a library that is not there.
pub(super) fn prepare(list: &str, program: &Program) -> anyhow::Result<Vec<Arm>> {
    let variants = Variant::parse_list(list)?;
    let arms = variants.into_iter().map(|variant| {
        Ok(Arm {
            found: variant.find(program)?,
            variant,
            trials: Vec::new(),
            bound: None,
            failed: None,
        })
    });
    arms.collect()
}

/// A seed that nobody gave: another one every time, short enough to be typed.
pub(super) fn seed() -> u64 {
    clock::realtime().unsigned_abs() % 1_000_000
}

impl Arm {
    pub(super) fn name(&self) -> &str {
        self.variant.name()
    }

    /// What was found in its files beside the allocator that it was bound to: sentences.
    pub(super) fn beside(&self) -> &[String] {
        self.bound.as_ref().map_or(&[], |bound| &bound.beside)
    }

    /// Adds a run, with the allocator that was found in it.
    pub(super) fn add(&mut self, trial: Trial, bound: Option<Bound>) {
        self.bound = self.bound.take().or(bound);
        self.trials.push(trial);
        let none_good = self.trials.iter().all(|trial| trial.failed.is_some());
        if none_good && self.trials.len() >= FAILURES {
            let last = self.trials.last().and_then(|trial| trial.failed.clone());
            self.failed = last;
        }
    }

    pub(super) fn into_input(self) -> ArmInput {
        let environment = self.found.environment.iter().map(|(name, value)| {
            format!(
                "{}={}",
                printable(name.as_bytes()),
                printable(value.as_bytes())
            )
        });
        let only_failed = || {
            let good = self.trials.iter().any(|trial| trial.failed.is_none());
            (self.trials.first().filter(|_| !good)).and_then(|trial| trial.failed.clone())
        };
        ArmInput {
            name: self.variant.name().to_owned(),
            allocator: self.bound.map(|bound| bound.name).unwrap_or_default(),
            environment: environment.collect(),
            failed: self.failed.clone().or_else(only_failed),
            trials: self.trials,
        }
    }
}
