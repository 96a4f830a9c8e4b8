//! The ledger, what stands beside it, and the counts: as tables.

use super::Page;
use super::style::Tone;
use super::table::{Table, numbers, words};
use crate::{escape, sentences};
use memtide_model::report::{LedgerRow, Report};
use memtide_model::{Account, text};

/// The accounts that add up to RSS, and RSS. Accounts that are empty at both ends are left out: they
/// add nothing to the sum.
pub(super) fn table(page: &mut Page, report: &Report) {
    page.gap();
    if report.ledger.is_empty() {
        let reason = "no ledger: no sample in which RSS and the mappings were read together";
        page.sentence("", Tone::Plain, reason);
        return;
    }
    let mut table = Table::new(&[
        words("account", 0),
        numbers("start", 4),
        numbers("end", 2),
        numbers("growth", 0),
        numbers("rate", 3),
        words("shape", 5),
    ]);
    for row in report
        .ledger
        .iter()
        .filter(|row| row.start_bytes != 0 || row.end_bytes != 0)
    {
        let tone = if is_main(row, report) {
            Tone::Strong
        } else {
            Tone::Plain
        };
        table.row(
            tone,
            [
                row.account.name().to_owned(),
                text::bytes(row.start_bytes as f64),
                text::bytes(row.end_bytes as f64),
                text::signed_bytes(row.growth_bytes as f64),
                sentences::rate_cell(row.bytes_per_second, row.shape),
                row.shape.words().to_owned(),
            ],
        );
    }
    table.rule();
    let sum = |value: fn(&LedgerRow) -> i64| report.ledger.iter().map(value).sum::<i64>() as f64;
    table.row(
        Tone::Strong,
        [
            "TOTAL = RSS".to_owned(),
            text::bytes(sum(|row| row.start_bytes)),
            text::bytes(sum(|row| row.end_bytes)),
            text::signed_bytes(sum(|row| row.growth_bytes)),
            sentences::rate_cell(report.growth.rss_bytes_per_second, report.growth.shape),
            report.growth.shape.words().to_owned(),
        ],
    );
    page.lines(table.lines(page.width(), page.ink()));
}

/// True for the account that grew most, if any grew.
fn is_main(row: &LedgerRow, report: &Report) -> bool {
    let most = report
        .ledger
        .iter()
        .map(|row| row.growth_bytes)
        .max()
        .unwrap_or(0);
    most > 0 && row.growth_bytes == most
}

/// The opaque part of RSS in a sentence, and what lies outside the sum.
pub(super) fn beside(page: &mut Page, report: &Report) {
    page.sentence("opaque  ", Tone::Plain, &sentences::opaque(report));
    let rows = report.beside.iter().filter(|row| {
        row.account != Account::Opaque && (row.start_bytes != 0 || row.end_bytes != 0)
    });
    let others: Vec<_> = rows
        .map(|row| {
            format!(
                "{} {} to {}",
                row.account.name(),
                text::bytes(row.start_bytes as f64),
                text::bytes(row.end_bytes as f64)
            )
        })
        .collect();
    if !others.is_empty() {
        page.sentence("beside  ", Tone::Plain, &others.join("; "));
    }
}

/// The counts that moved; where none did, that.
pub(super) fn counts(page: &mut Page, report: &Report) {
    if report.counts.is_empty() {
        return;
    }
    let mut table = Table::new(&[
        words("count", 0),
        numbers("start", 3),
        numbers("end", 0),
        numbers("growth", 1),
        numbers("rate", 2),
    ]);
    for row in report.counts.iter().filter(|row| row.start != row.end) {
        let growth = i128::from(row.end) - i128::from(row.start);
        let name = sentences::count_name(&row.count, row.group.as_deref());
        table.row(
            Tone::Plain,
            [
                escape::name(&name),
                row.start.to_string(),
                row.end.to_string(),
                format!("{growth:+}"),
                sentences::count_rate(row.per_second),
            ],
        );
    }
    page.gap();
    if table.is_empty() {
        let whole = report.counts.iter().filter(|row| row.group.is_none());
        let list: Vec<_> = whole
            .map(|row| format!("{} {}", row.count, row.end))
            .collect();
        page.sentence(
            "",
            Tone::Plain,
            &format!("no count moved: {}", list.join(", ")),
        );
    } else {
        page.lines(table.lines(page.width(), page.ink()));
    }
}
