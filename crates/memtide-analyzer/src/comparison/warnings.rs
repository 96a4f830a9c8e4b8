//! What the reader should know about the numbers of a comparison: what failed, what is missing, what was unequal.

use super::arms::{good, runs};
use crate::statistics::quantile::median_of;
use crate::thresholds::{FEWEST_RUNS, UNEQUAL_LENGTH};
use memtide_model::comparison::{Arm, Trial};
use memtide_model::text;

/// Sentences about arms that were run `asked` times, and watched with so many percent of a core to spend.
pub(super) fn of(arms: &[Arm], asked: u64, budget: f64) -> Vec<String> {
    let mut warnings: Vec<String> = (arms.iter()).flat_map(|arm| of_arm(arm, asked)).collect();
    warnings.extend(unequal_lengths(arms));
    warnings.extend(without_rate(arms));
    warnings.extend(arms.iter().filter_map(|arm| over_budget(arm, budget)));
    warnings
}

fn of_arm(arm: &Arm, asked: u64) -> Vec<String> {
    if let Some(why) = &arm.failed {
        return vec![format!("{} is not compared: {why}.", arm.arm)];
    }
    let mut warnings = Vec::new();
    let failed: Vec<&Trial> = arm.runs.iter().filter(|run| run.failed.is_some()).collect();
    if let Some(first) = failed.first() {
        warnings.push(format!(
            "{} of {} of {} failed and count for nothing; run {}: {}.",
            failed.len(),
            text::plural(arm.runs.len() as u64, "run"),
            arm.arm,
            first.order,
            first.failed.as_deref().unwrap_or_default()
        ));
    }
    let made = arm.runs.len() as u64;
    if made < asked {
        warnings.push(format!(
            "{} has {made} of {asked} runs that were asked for.",
            arm.arm
        ));
    }
    if runs(arm) < FEWEST_RUNS {
        warnings.push(format!(
            "{} has {} that count: below {FEWEST_RUNS} nothing is tested.",
            arm.arm,
            text::plural(runs(arm), "run")
        ));
    }
    let killed = good(arm).filter(|run| run.killed).count() as u64;
    if killed > 0 {
        warnings.push(format!(
            "{} of {} did not end when asked and had to be killed.",
            text::plural(killed, "run"),
            arm.arm
        ));
    }
    warnings
}

/// Arms whose work took different times: their levels hold different amounts of work.
fn unequal_lengths(arms: &[Arm]) -> Option<String> {
    let mut lengths: Vec<(f64, &str)> = (arms.iter())
        .filter(|arm| runs(arm) > 0)
        .map(|arm| (median_of(good(arm).map(length).collect()), arm.arm.as_str()))
        .collect();
    lengths.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (&(short, quick), &(long, slow)) = (lengths.first()?, lengths.last()?);
    (long > short * (1.0 + UNEQUAL_LENGTH)).then(|| {
        format!(
            "The work took {} under {quick} and {} under {slow}: growth and time are judged by \
             measures of their own, but peak and settled RSS may hold unequal amounts of work.",
            text::duration(short),
            text::duration(long)
        )
    })
}

/// An arm that cost more to watch than was allowed.
fn over_budget(arm: &Arm, budget: f64) -> Option<String> {
    let used = arm.watching_percent.filter(|used| *used > budget)?;
    let name = &arm.arm;
    Some(format!(
        "Watching {name} took {used:.2} % of one core, above the budget of {budget} %."
    ))
}

fn length(trial: &Trial) -> f64 {
    match trial.work_ended_at {
        Some(end) => end - trial.ready_at.unwrap_or(0.0),
        None => trial.wall_seconds,
    }
}

/// Runs too short for a rate of growth.
fn without_rate(arms: &[Arm]) -> Option<String> {
    let all = arms.iter().flat_map(good);
    let without = all.clone().filter(|run| run.bytes_per_second.is_none());
    let (without, all) = (without.count(), all.count());
    (without > 0).then(|| {
        format!(
            "{without} of {all} runs were too short for a rate of growth: whether memory goes on \
             growing is not known of them."
        )
    })
}
