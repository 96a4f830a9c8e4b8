//! Which label got which answers.

use super::view::View;
use crate::answer::Answer;
use crate::markdown::Table;
use memtide_model::VerdictKind;

/// Rows are labels, columns answers; an open answer stands in one of two columns.
pub(crate) fn table(view: &View<'_>) -> String {
    let has = |is: &dyn Fn(&Answer) -> bool| view.answers.iter().any(|answer| is(answer));
    let kinds: Vec<VerdictKind> = (VerdictKind::ALL.into_iter())
        .filter(|&kind| kind != VerdictKind::Undetermined && has(&|answer| answer.kind == kind))
        .collect();
    let mut head: Vec<&str> = vec!["label ↓ answer →"];
    head.extend(kinds.iter().map(|kind| kind.name()));
    head.extend([
        "open, label first",
        "open, among others",
        "open, not named",
        "all",
    ]);
    let mut table = Table::new(&head);
    for label in VerdictKind::ALL {
        let row = view.only(|answer| answer.label == label);
        if row.answers.is_empty() {
            continue;
        }
        let count = |is: &dyn Fn(&Answer) -> bool| match row.only(is).answers.len() {
            0 => String::new(),
            count => count.to_string(),
        };
        let mut cells = vec![label.name().to_owned()];
        cells.extend(kinds.iter().map(|&kind| {
            let cell = count(&|answer| answer.kind == kind);
            if kind == label && !cell.is_empty() {
                format!("**{cell}**")
            } else {
                cell
            }
        }));
        let among = |answer: &Answer| answer.is_open() && answer.candidates.contains(&label);
        cells.push(count(&|answer| answer.is_open() && answer.first_is_label()));
        cells.push(count(&|answer| among(answer) && !answer.first_is_label()));
        cells.push(count(&|answer| answer.is_open() && !among(answer)));
        cells.push(row.answers.len().to_string());
        table.row(cells);
    }
    table.text()
}
