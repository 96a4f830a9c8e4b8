//! Is it good enough? The project's targets, each held or missed.

use super::view::{Right, View};
use crate::answer::Window;
use crate::manifest::is_leak;
use crate::markdown::{Table, percent};
use crate::measure::calibration::{brier, ece};
use crate::measure::share::Share;
use crate::recorded::{LATE, WHOLE};
use crate::simulate::Simulated;
use memtide_analyzer::statistics::quantile::quantile;
use std::ops::RangeInclusive;

/// Runs of non-leaks below which a share under 1 % cannot be shown (rule of three).
const ENOUGH_RUNS: usize = 300;
/// What a 90 % interval is to cover.
const COVERING: RangeInclusive<f64> = 0.85..=0.99;
const COVERED: &str = "85 to 99 %";

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// What is counted or measured.
    pub(crate) what: String,
    /// What it is to be, in words.
    pub(crate) wanted: String,
    /// What it is, with its interval.
    pub(crate) found: String,
    /// Whether it is held.
    pub(crate) held: bool,
}

impl Target {
    fn new(what: &str, wanted: &str, found: String, held: bool) -> Self {
        Self {
            what: what.to_owned(),
            wanted: wanted.to_owned(),
            found,
            held,
        }
    }

    fn at_least(what: &str, wanted: &str, share: Share, least: f64) -> Self {
        Self::new(
            what,
            wanted,
            share.to_string(),
            share.of > 0 && share.value() >= least,
        )
    }

    fn at_most(what: &str, wanted: &str, share: Share, most: f64) -> Self {
        Self::new(
            what,
            wanted,
            share.to_string(),
            share.of > 0 && share.value() <= most,
        )
    }
}

/// As a table.
pub(crate) fn table(targets: &[Target]) -> String {
    let mut table = Table::new(&["target", "wanted", "found (95 % interval)", ""]);
    for target in targets {
        table.row([
            target.what.clone(),
            target.wanted.clone(),
            target.found.clone(),
            if target.held { "held" } else { "**missed**" }.to_owned(),
        ]);
    }
    table.text()
}

/// The targets that the recorded series are held to.
pub(crate) fn recorded(all: &View<'_>) -> Vec<Target> {
    let whole = all.over(WHOLE);
    let with = whole.with_looks();
    let windows = with_late_windows(all);
    let mut targets = vec![Target::at_least(
        "acceptable answers at 48 s, without looks",
        "at least 98 %",
        whole.without_looks().acceptable(),
        0.98,
    )];
    targets.extend(of_runs(&with));
    targets.push(Target::new(
        "false leaks at 48 s",
        "none",
        with.false_leaks().to_string(),
        with.false_leaks().hits == 0,
    ));
    targets.push(Target::new(
        "false leaks at 48 s and in windows 12–36, 16–48, 24–48 s",
        "at most 2 of 296",
        windows.false_leaks().to_string(),
        windows.false_leaks().hits <= 2,
    ));
    targets.push(covered_without_looks(all));
    targets.extend(calibration(&windows));
    targets.push(rising(all));
    targets
}

/// Answers over whole records and late windows, with looks where they can be had.
pub(crate) fn with_late_windows<'a>(all: &View<'a>) -> View<'a> {
    all.with_looks()
        .only(|answer| answer.window == WHOLE || LATE.contains(&answer.window))
}

/// The targets that live runs are held to.
pub(crate) fn live(all: &View<'_>) -> Vec<Target> {
    let mut targets = of_runs(all);
    targets.push(few_false_leaks(all));
    targets.extend(calibration(all));
    targets
}

/// The targets of runs with parameters drawn at random: labels still tell what is no leak, but how much a
/// program must show within its time does not follow from them.
pub(crate) fn long(all: &View<'_>) -> Vec<Target> {
    let mut targets = vec![few_false_leaks(all)];
    targets.extend(recall(all));
    targets.extend(slopes(all));
    targets.extend(calibration(all));
    targets
}

fn few_false_leaks(all: &View<'_>) -> Target {
    let share = all.false_leaks();
    let held = share.value() < 0.01;
    let enough = share.of >= ENOUGH_RUNS || !held;
    let found = if enough {
        share.to_string()
    } else {
        format!("{share}; {ENOUGH_RUNS} runs would be needed to tell (--long)")
    };
    Target::new("false leaks", "under 1 %", found, held)
}

/// What holds for any set of answers with looks.
fn of_runs(with: &View<'_>) -> Vec<Target> {
    let logged = with.logged();
    let mut targets = vec![
        Target::at_least(
            "acceptable answers, with looks",
            "at least 98 %",
            with.acceptable(),
            0.98,
        ),
        Target::at_least(
            "the label itself, of decided answers with looks (programs with a log)",
            "at least 95 %",
            logged.strict_of_decided(),
            0.95,
        ),
        Target::at_least(
            "the label itself, of all answers with looks (programs with a log)",
            "at least 88 %",
            logged.strict(),
            0.88,
        ),
    ];
    targets.extend(recall(with));
    targets.push(Target::at_most(
        "undetermined, of all programs",
        "at most 10 %",
        with.open(),
        0.10,
    ));
    targets.extend(slopes(with));
    targets
}

/// Of all programs, and of those whose heap can be read and that say themselves what they leak.
fn recall(with: &View<'_>) -> [Target; 2] {
    let row = |of: &str, share| {
        let what = format!("leaks found that grew at least 3 % of RSS, {of}");
        Target::at_least(&what, "at least 95 %", share, 0.95)
    };
    [
        row("with looks (programs with a log)", with.logged().recall()),
        row("of all programs", with.recall()),
    ]
}

/// Without looks the log has no part in the interval, and is a judge from without.
fn covered_without_looks(all: &View<'_>) -> Target {
    let view = all
        .without_looks()
        .only(|answer| answer.window == WHOLE || LATE.contains(&answer.window));
    let covered = view.covered();
    Target::new(
        "90 % interval covers the true rate, without looks, at 48 s and in late windows",
        COVERED,
        covered.to_string(),
        COVERING.contains(&covered.value()),
    )
}

fn slopes(with: &View<'_>) -> Vec<Target> {
    let errors: Vec<f64> = with
        .slope_errors()
        .iter()
        .map(|(_, error)| *error)
        .collect();
    let (median, most) = (quantile(&errors, 0.5), quantile(&errors, 0.9));
    let covered = with.covered();
    let typical = quantile(&with.widths(), 0.5);
    let found = |value: f64| format!("{} of {} leaks", percent(value), errors.len());
    vec![
        Target::new(
            "error of rates, median",
            "at most 3 %",
            found(median),
            median <= 0.03,
        ),
        Target::new(
            "error of rates, 90th percentile",
            "at most 15 %",
            found(most),
            most <= 0.15,
        ),
        Target::new(
            "90 % interval of the rate covers the true one",
            COVERED,
            covered.to_string(),
            COVERING.contains(&covered.value()),
        ),
        Target::new(
            "its width over the true rate, median",
            "at most 25 %",
            percent(typical),
            typical <= 0.25,
        ),
    ]
}

fn calibration(view: &View<'_>) -> Vec<Target> {
    let rows = |right: Right, by: &str| {
        let outcomes = view.outcomes(right);
        let (ece, brier) = (ece(&outcomes), brier(&outcomes));
        let found = |value: f64| format!("{value:.3} of {} answers", outcomes.len());
        let what = |what: &str| format!("{what}{by}");
        [
            Target::new(
                &what("calibration error (ECE)"),
                "under .05",
                found(ece),
                ece < 0.05,
            ),
            Target::new(
                &what("Brier score"),
                "under .08",
                found(brier),
                brier < 0.08,
            ),
        ]
    };
    let mut targets = rows(Right::Acceptable, "").to_vec();
    targets.extend(rows(Right::Strict, ", right is the label alone"));
    targets
}

/// Confidence rises with the length of the record. Too early an answer has none, and would make that easy.
fn rising(all: &View<'_>) -> Target {
    let with = all.with_looks().named();
    let means =
        [20.0, 26.0, 32.0, 40.0, 48.0].map(|to| with.over(Window { from: 0.0, to }).confidence());
    let held = means
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a <= b));
    let shown = means.map(|mean| format!("{mean:.3}")).join(", ");
    let what = "mean confidence at 20, 26, 32, 40, 48 s, of answers that name a cause";
    Target::new(what, "rises", shown, held)
}

/// The targets that simulated series are held to.
pub(crate) fn simulated(all: &[Simulated]) -> Vec<Target> {
    let leaks = |is: &dyn Fn(&Simulated) -> bool| {
        let chosen: Vec<&Simulated> = all.iter().filter(|one| is(one)).collect();
        Share::count(chosen, |one| is_leak(one.looked))
    };
    let short = leaks(&|one| one.tau.is_some_and(|tau| tau <= 0.3));
    let long = leaks(&|one| one.tau.is_some_and(|tau| tau > 0.3));
    let longest = leaks(&|one| one.tau.is_some_and(|tau| tau >= 1.0));
    let with = Share::count(all.iter().filter(|one| one.leaks), |one| {
        is_leak(one.looked)
    });
    let without = Share::count(all.iter().filter(|one| one.twin), |one| {
        !is_leak(one.looked)
    });
    vec![
        Target::new(
            "false leaks on simulated AR(1), tau/T up to .3",
            "under 1 %",
            short.to_string(),
            short.of > 0 && short.value() < 0.01,
        ),
        Target::at_most("the same, tau/T above .3", "at most 2 %", long, 0.02),
        Target::at_most("the same, tau/T of 1 alone", "at most 2 %", longest, 0.02),
        Target::at_least(
            "3 days with a wave, noise and a leak of 3 % an hour: found",
            "19 of 20",
            with,
            0.95,
        ),
        Target::at_least(
            "the same without the leak: not called one",
            "19 of 20",
            without,
            0.95,
        ),
    ]
}
