//! The ledger, what stands beside it, and the counts: as tables.

use super::Page;
use super::style::Tone;
use super::table::{Table, UNKNOWN, numbers, words};
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
    let sum = |value: fn(&LedgerRow) -> i64| sentences::total(report, value) as f64;
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

/// The same of one look or two at a heap, which have neither rates nor shapes: of one look the bytes
/// and their share of RSS, of two the growth between them. Nothing where there is no ledger.
pub(super) fn looks(page: &mut Page, report: &Report, twice: bool) {
    if report.ledger.is_empty() {
        return;
    }
    page.gap();
    let mut table = Table::new(&[
        words("account", 0),
        numbers("first", 2),
        numbers(if twice { "last" } else { "resident" }, 1),
        numbers("growth", 0),
        numbers("share", 3),
    ]);
    let rss = sentences::rss_at_end(report);
    let cells = |name: &str, start: i64, end: i64, growth: i64| {
        let seen_twice = |cell: String| if twice { cell } else { UNKNOWN.to_owned() };
        [
            name.to_owned(),
            seen_twice(text::bytes(start as f64)),
            text::bytes(end as f64),
            seen_twice(text::signed_bytes(growth as f64)),
            sentences::share_cell(end, rss),
        ]
    };
    let filled = |row: &&LedgerRow| (twice && row.start_bytes != 0) || row.end_bytes != 0;
    for row in report.ledger.iter().filter(filled) {
        let tone = if twice && is_main(row, report) {
            Tone::Strong
        } else {
            Tone::Plain
        };
        let name = row.account.name();
        table.row(
            tone,
            cells(name, row.start_bytes, row.end_bytes, row.growth_bytes),
        );
    }
    table.rule();
    let sum = |value: fn(&LedgerRow) -> i64| sentences::total(report, value);
    let (start, growth) = (sum(|row| row.start_bytes), sum(|row| row.growth_bytes));
    table.row(Tone::Strong, cells("TOTAL = RSS", start, rss, growth));
    let table = table.without_unknown_columns();
    page.lines(table.lines(page.width(), page.ink()));
    if report
        .beside
        .iter()
        .any(|row| row.account == Account::Opaque)
    {
        page.sentence("opaque  ", Tone::Plain, &sentences::opaque(report));
    }
    others(page, report, twice);
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
    others(page, report, true);
}

/// What lies outside the sum, but for the opaque part.
fn others(page: &mut Page, report: &Report, twice: bool) {
    let rows = report.beside.iter().filter(|row| {
        row.account != Account::Opaque && (row.start_bytes != 0 || row.end_bytes != 0)
    });
    let others: Vec<_> = rows
        .map(|row| {
            let start = if twice {
                format!("{} to ", text::bytes(row.start_bytes as f64))
            } else {
                String::new()
            };
            let end = text::bytes(row.end_bytes as f64);
            format!("{} {start}{end}", row.account.name())
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
