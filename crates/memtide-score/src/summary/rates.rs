//! How often answers were right, by part of the record and by its length, and how near rates were.

use super::view::{Right, View};
use crate::answer::Window;
use crate::markdown::{Table, percent};
use crate::measure::calibration::{brier, ece};
use crate::measure::share::Share;
use crate::recorded::LENGTHS;
use memtide_analyzer::statistics::quantile::quantile;
use memtide_model::text;

/// One row for each view.
pub(crate) fn shares(views: &[(String, View<'_>)]) -> String {
    let mut table = Table::new(&[
        "record",
        "acceptable",
        "label itself, of decided",
        "label itself, of all",
        "false leaks",
        "leaks found (grown ≥ 3 %)",
        "undetermined",
        "ECE",
        "Brier",
    ]);
    for (name, view) in views {
        let [ece, brier] = errors(view);
        table.row([
            name.clone(),
            view.acceptable().to_string(),
            view.strict_of_decided().to_string(),
            view.strict().to_string(),
            view.false_leaks().to_string(),
            view.recall().to_string(),
            view.open().to_string(),
            ece,
            brier,
        ]);
    }
    table.text()
}

/// One row for each length of record from its start.
pub(crate) fn by_length(view: &View<'_>) -> String {
    let mut table = Table::new(&[
        "length",
        "acceptable",
        "the label itself",
        "too early to tell",
        "otherwise open",
        "wrong",
        "false leaks",
        "leaks found (grown ≥ 3 %)",
        "mean confidence",
        "ECE",
        "Brier",
    ]);
    for to in LENGTHS {
        let view = view.over(Window { from: 0.0, to });
        let early = view.too_early();
        let open = Share {
            hits: view.open().hits - early.hits,
            of: early.of,
        };
        let wrong = Share::count(&view.answers, |answer| {
            !answer.acceptable && !answer.is_too_early()
        });
        let [ece, brier] = errors(&view);
        table.row([
            text::duration(to),
            view.acceptable().to_string(),
            view.strict().to_string(),
            early.to_string(),
            open.to_string(),
            wrong.to_string(),
            view.false_leaks().to_string(),
            view.recall().to_string(),
            format!("{:.2}", view.confidence()),
            ece,
            brier,
        ]);
    }
    table.text()
}

/// ECE and Brier's score; nothing where no cause was named.
fn errors(view: &View<'_>) -> [String; 2] {
    let outcomes = view.outcomes(Right::Acceptable);
    if outcomes.is_empty() {
        return Default::default();
    }
    [ece(&outcomes), brier(&outcomes)].map(|value| format!("{value:.3}"))
}

/// Errors of rates and the intervals around them, one row for each view.
pub(crate) fn slopes(views: &[(String, View<'_>)]) -> String {
    let mut table = Table::new(&[
        "record",
        "leaks",
        "error: median",
        "error: 90th percentile",
        "90 % interval covers",
        "width / slope: median",
        "width / slope: 90th percentile",
    ]);
    for (name, view) in views {
        if view.slope_errors().is_empty() {
            continue;
        }
        let errors: Vec<f64> = view
            .slope_errors()
            .iter()
            .map(|(_, error)| *error)
            .collect();
        let widths = view.widths();
        table.row([
            name.clone(),
            errors.len().to_string(),
            percent(quantile(&errors, 0.5)),
            percent(quantile(&errors, 0.9)),
            view.covered().to_string(),
            percent(quantile(&widths, 0.5)),
            percent(quantile(&widths, 0.9)),
        ]);
    }
    table.text()
}
