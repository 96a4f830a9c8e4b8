//! What stands below the first screen: the ledger with bars, counts, threads, events, cost, warnings,
//! and how to read all this.

use super::chart::hex;
use super::table::{NUMBERS, WORDS, cell, table};
use super::{reasoning, short, summary, text};
use crate::allocations::LEAK_SCORE;
use crate::chart::palette;
use crate::{escape, family, heap, sentences};
use memtide_model::report::{LedgerRow, Report};
use memtide_model::{Account, text as words};
use std::fmt::Write as _;

/// Threads and events that are listed; all are in the embedded JSON.
const LISTED: usize = 40;

/// All sections in order.
pub(super) fn all(report: &Report) -> String {
    [
        ledger(report),
        more_evidence(report),
        reasoning::section(report),
        counts(report),
        processes(report),
        threads(report),
        events(report),
        cost(report),
        summary::warnings(report.warnings.iter().map(String::as_str)),
        meaning(report),
    ]
    .concat()
}

fn ledger(report: &Report) -> String {
    let mut html = String::from("<section>\n<h2>Ledger: where RSS went</h2>\n");
    if report.ledger.is_empty() {
        html.push_str(
            "<p>There is no ledger: RSS and the mappings were never read together.</p>\n",
        );
    } else {
        html.push_str(
            "<div class=\"scroll\">\n<table>\n<caption>The accounts add up to RSS; a bar is the account's \
             share of the largest growth, paler where it shrank.</caption>\n<thead><tr>\
             <th scope=\"col\">Account</th><th scope=\"col\" class=\"n optional\">Start</th>\
             <th scope=\"col\" class=\"n\">End</th><th scope=\"col\" class=\"n\">Growth</th>\
             <th scope=\"col\" class=\"optional\">Share</th><th scope=\"col\" class=\"n\">Rate</th>\
             <th scope=\"col\" class=\"optional\">Shape</th></tr></thead>\n<tbody>\n",
        );
        ledger_rows(&mut html, report);
        html.push_str("</tfoot>\n</table>\n</div>\n");
    }
    let _ = writeln!(
        html,
        "<p><b>Opaque:</b> {}.</p>",
        text(&sentences::opaque(report))
    );
    html.push_str(&beside(report));
    html.push_str("</section>\n");
    html
}

fn ledger_rows(html: &mut String, report: &Report) {
    let greatest = report
        .ledger
        .iter()
        .map(|row| row.growth_bytes.unsigned_abs())
        .max()
        .unwrap_or(0);
    let most = report
        .ledger
        .iter()
        .map(|row| row.growth_bytes)
        .max()
        .unwrap_or(0);
    for row in report
        .ledger
        .iter()
        .filter(|row| row.start_bytes != 0 || row.end_bytes != 0)
    {
        let class = if most > 0 && row.growth_bytes == most {
            " class=\"main\""
        } else {
            ""
        };
        let color = hex(palette::account(row.account));
        let name = format!(
            "<span class=\"swatch\" style=\"background:{color}\"></span>{}",
            short(row.account.name())
        );
        let width = match greatest {
            0 => 0.0,
            greatest => row.growth_bytes.unsigned_abs() as f64 / greatest as f64 * 100.0,
        };
        let less = if row.growth_bytes < 0 {
            " class=\"less\""
        } else {
            ""
        };
        let bar = match row.growth_bytes {
            0 => String::new(),
            _ => format!("<span{less} style=\"width:{width:.1}%;background:{color}\"></span>"),
        };
        let _ = writeln!(html, "<tr{class}>{}</tr>", ledger_cells(&name, row, &bar));
    }
    let sum = |value: fn(&LedgerRow) -> i64| sentences::total(report, value);
    let total = LedgerRow {
        account: Account::Unexplained,
        start_bytes: sum(|row| row.start_bytes),
        end_bytes: sum(|row| row.end_bytes),
        growth_bytes: sum(|row| row.growth_bytes),
        bytes_per_second: report.growth.rss_bytes_per_second,
        shape: report.growth.shape,
    };
    let cells = ledger_cells("Total = RSS", &total, "");
    let _ = writeln!(html, "</tbody>\n<tfoot>\n<tr>{cells}</tr>");
}

/// `name` and `bar` are markup of this module.
fn ledger_cells(name: &str, row: &LedgerRow, bar: &str) -> String {
    format!(
        "<th scope=\"row\">{name}</th><td class=\"n optional\">{}</td><td class=\"n\">{}</td>\
         <td class=\"n\">{}</td><td class=\"bar optional\">{bar}</td><td class=\"n\">{}</td>\
         <td class=\"optional\">{}</td>",
        words::bytes(row.start_bytes as f64),
        words::bytes(row.end_bytes as f64),
        words::signed_bytes(row.growth_bytes as f64),
        sentences::rate_cell(row.bytes_per_second, row.shape),
        row.shape.words()
    )
}

fn beside(report: &Report) -> String {
    let rows: Vec<_> = report
        .beside
        .iter()
        .filter(|row| row.start_bytes != 0 || row.end_bytes != 0)
        .map(|row| {
            vec![
                cell(row.account.name()),
                cell(words::bytes(row.start_bytes as f64)),
                cell(words::bytes(row.end_bytes as f64)),
                cell(row.account.meaning()),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads = [
        ("Account", WORDS),
        ("Start", NUMBERS),
        ("End", NUMBERS),
        ("What it is", WORDS),
    ];
    table(
        "Beside the sum: it overlaps RSS or lies outside it.",
        &heads,
        &rows,
    )
}

fn more_evidence(report: &Report) -> String {
    let rest = report.verdict.evidence.iter().skip(summary::FACTS);
    summary::list(rest.map(|evidence| evidence.fact.as_str())).map_or_else(String::new, |list| {
        format!("<section>\n<h2>More evidence</h2>\n{list}</section>\n")
    })
}

fn counts(report: &Report) -> String {
    if report.counts.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<_> = report.counts.iter().collect();
    // Those that moved come first, else in the order of the report.
    sorted.sort_by_key(|row| row.start == row.end);
    let rows: Vec<_> = sorted
        .iter()
        .map(|row| {
            let growth = i128::from(row.end) - i128::from(row.start);
            vec![
                cell(sentences::count_name(&row.count, row.group.as_deref())),
                cell(row.start.to_string()),
                cell(row.end.to_string()),
                cell(if growth == 0 {
                    "0".to_owned()
                } else {
                    format!("{growth:+}")
                }),
                cell(sentences::count_rate(row.per_second)),
            ]
        })
        .collect();
    let heads = [
        ("Count", WORDS),
        ("Start", NUMBERS),
        ("End", NUMBERS),
        ("Growth", NUMBERS),
        ("Rate", NUMBERS),
    ];
    let caption = "What is counted rather than weighed; those that moved come first.";
    format!(
        "<section>\n<h2>Counts</h2>\n{}</section>\n",
        table(caption, &heads, &rows)
    )
}

fn processes(report: &Report) -> String {
    let Some((tree, rows)) = family::of(report) else {
        return String::new();
    };
    let cells = |row| family::cells(row).into_iter().map(cell).collect();
    let body: Vec<_> = rows.iter().take(LISTED).map(cells).collect();
    let kinds = [WORDS, NUMBERS, WORDS, NUMBERS, NUMBERS, NUMBERS, WORDS];
    let heads: Vec<_> = family::HEADS.into_iter().zip(kinds).collect();
    let caption = "Those that were there at the end; those that grew most come first.";
    let table = if body.is_empty() {
        String::new()
    } else {
        table(caption, &heads, &body)
    };
    format!(
        "<section>\n<h2>Processes below it</h2>\n<p>{}.</p>\n{table}</section>\n",
        text(&family::sentence(tree))
    )
}

fn threads(report: &Report) -> String {
    let Some(threads) = report
        .threads
        .as_ref()
        .filter(|threads| !threads.is_empty())
    else {
        return String::new();
    };
    let mut sorted: Vec<_> = threads.iter().collect();
    sorted.sort_by(|a, b| b.min_flt_per_second.total_cmp(&a.min_flt_per_second));
    let rows: Vec<_> = sorted
        .iter()
        .take(LISTED)
        .map(|thread| {
            let gone = if thread.alive { "" } else { " (ended)" };
            let rate = thread.min_flt_per_second;
            let rate = if rate.is_finite() {
                format!("{rate:.1}")
            } else {
                "-".to_owned()
            };
            vec![
                cell(format!("{}{gone}", escape::clip(&thread.name, 60))),
                cell(thread.tid.to_string()),
                cell(thread.state.as_str()),
                cell(thread.min_flt.to_string()),
                cell(rate),
                cell(thread.wchan.as_deref().unwrap_or("-")),
            ]
        })
        .collect();
    let heads = [
        ("Thread", WORDS),
        ("Tid", NUMBERS),
        ("State", WORDS),
        ("Faults", NUMBERS),
        ("Faults per second", NUMBERS),
        ("Sleeps in", WORDS),
    ];
    let caption = format!(
        "By the pages that they touched first (minor faults); {} of {}.",
        rows.len(),
        threads.len()
    );
    format!(
        "<section>\n<h2>Threads</h2>\n{}</section>\n",
        table(&caption, &heads, &rows)
    )
}

fn events(report: &Report) -> String {
    let ended = sentences::ended(&report.ended);
    if report.events.is_empty() && ended.is_none() {
        return String::new();
    }
    let mut html = String::from("<section>\n<h2>What happened</h2>\n");
    if let Some(ended) = ended {
        let _ = writeln!(html, "<p>The process ended: {}.</p>", text(&ended));
    }
    let rows: Vec<_> = report
        .events
        .iter()
        .take(LISTED)
        .map(|event| {
            let text = escape::clip(&event.text, super::SENTENCE);
            vec![
                cell(words::duration(event.t_seconds)),
                cell(event.kind.name()),
                cell(event.pid.to_string()),
                cell(text),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let heads = [
            ("After", WORDS),
            ("Event", WORDS),
            ("Pid", NUMBERS),
            ("What", WORDS),
        ];
        let caption = format!("{} of {} events.", rows.len(), report.events.len());
        html.push_str(&table(&caption, &heads, &rows));
    }
    html.push_str("</section>\n");
    html
}

fn cost(report: &Report) -> String {
    let mut html = format!(
        "<section>\n<h2>What the recording cost</h2>\n<p>{}.</p>\n",
        text(&sentences::cost(report))
    );
    if let Some(skipped) = sentences::skipped_reads(report) {
        let _ = writeln!(html, "<p>{}.</p>", text(&skipped));
    }
    let rows: Vec<_> = report
        .recording
        .reads
        .iter()
        .map(|row| {
            vec![
                cell(row.read.as_str()),
                cell(row.reads.to_string()),
                cell(row.skipped.to_string()),
                cell(row.failed.to_string()),
                cell(sentences::cpu_time(row.cpu_seconds)),
                cell(sentences::cpu_time(row.longest_seconds)),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let heads = [
            ("Read", WORDS),
            ("Done", NUMBERS),
            ("Put off", NUMBERS),
            ("Failed", NUMBERS),
            ("CPU time", NUMBERS),
            ("Longest", NUMBERS),
        ];
        html.push_str(&table("Each kind of read of /proc.", &heads, &rows));
    }
    html.push_str("</section>\n");
    html
}

fn meaning(report: &Report) -> String {
    let mut html = String::from(
        "<section>\n<h2>How to read this</h2>\n\
         <p>Resident memory (RSS) is split into accounts that add up to it; the verdict is the account that \
         the growth went to. A rate is that of a robust line through all samples; its interval holds the \
         true rate nine times out of ten. The confidence is the analyzer's estimate that the verdict is right.</p>\n\
         <dl class=\"meaning\">\n",
    );
    let in_sum = report.ledger.iter().map(|row| row.account);
    for account in in_sum.chain(report.beside.iter().map(|row| row.account)) {
        let _ = writeln!(
            html,
            "<dt>{}</dt><dd>{}</dd>",
            account.name(),
            text(account.meaning())
        );
    }
    if report.stacks.is_some() {
        let _ = writeln!(html, "<dt>leak score</dt><dd>{}</dd>", text(LEAK_SCORE));
    }
    if report.heap.is_some() {
        for (name, meaning) in heap::WORDS {
            let _ = writeln!(html, "<dt>{name}</dt><dd>{}</dd>", text(meaning));
        }
    }
    html.push_str("</dl>\n");
    let target = &report.target;
    let command = escape::clip(&target.cmdline.join(" "), 400);
    let _ = write!(
        html,
        "<h3>The process</h3>\n<dl class=\"meaning\">\n<dt>Program</dt><dd><code>{}</code></dd>\n\
         <dt>Command</dt><dd><code>{}</code></dd>\n<dt>Owner</dt><dd>uid {}</dd>\n\
         <dt>Allocator</dt><dd>{}</dd>\n<dt>Runtime</dt><dd>{}</dd>\n</dl>\n</section>\n",
        short(&target.exe),
        text(&command),
        target.uid,
        short(&target.allocator),
        short(&target.runtime)
    );
    html
}
