//! Confidence against what was right: the reliability table, ECE and Brier's score.

use super::view::{Right, View};
use crate::markdown::Table;
use crate::measure::calibration::{bins, brier, ece};

/// The ten bins, with both figures below them.
pub(crate) fn table(view: &View<'_>, right: Right) -> String {
    let outcomes = view.outcomes(right);
    let mut table = Table::new(&["confidence", "answers", "mean confidence", right.words()]);
    for bin in bins(&outcomes) {
        table.row([
            format!("{:.1}–{:.1}", bin.from, bin.from + 0.1),
            bin.right.of.to_string(),
            format!("{:.3}", bin.confidence),
            bin.right.to_string(),
        ]);
    }
    format!(
        "{}ECE {:.3}, Brier {:.3}, {} answers.\n\n",
        table.text(),
        ece(&outcomes),
        brier(&outcomes),
        outcomes.len()
    )
}
