//! The first screen: the verdict, how sure, how fast, how long, the chart, why, and what to do.

use super::{chart, short, text};
use crate::{Error, sentences};
use memtide_model::report::Report;
use memtide_model::{Findings, VerdictKind, text as words};
use std::fmt::Write as _;

/// Facts that are shown here; the rest stands with the ledger.
pub(super) const FACTS: usize = 3;

/// Everything above the ledger.
pub(super) fn first_screen(findings: &Findings) -> Result<String, Error> {
    let report = &findings.report;
    let tone = match report.verdict.kind {
        VerdictKind::NoGrowth | VerdictKind::Plateau | VerdictKind::Sawtooth => "calm",
        VerdictKind::Undetermined => "open",
        _ => "alarm",
    };
    let mut html = format!(
        "<p class=\"of\">{}, {}</p>\n<h1>{}</h1>\n<p class=\"verdict {tone}\">{}</p>\n",
        text(&sentences::target(report)),
        text(&sentences::window(report)),
        text(&crate::escape::clip(&report.verdict.summary, 300)),
        text(&sentences::verdict(report)),
    );
    html.push_str(&figures(report));
    let caption = caption(findings);
    let _ = write!(
        html,
        "<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n",
        chart::figure(findings, &caption)?,
        text(&caption)
    );
    let evidence = report.verdict.evidence.iter().take(FACTS);
    html.push_str(&why_and_what(
        evidence.map(|evidence| evidence.fact.as_str()),
        report.verdict.advice.iter().map(String::as_str),
        report.warnings.len(),
    ));
    Ok(html)
}

/// The four numbers that decide what is done.
fn figures(report: &Report) -> String {
    let growth = &report.growth;
    let rate = sentences::single_rate(growth);
    let interval = match (rate, growth.low, growth.high) {
        (Some(_), Some(low), Some(high)) if low.is_finite() && high.is_finite() => {
            let rates = unbroken(&words::rates(low, high));
            format!(
                "90\u{a0}% interval {}",
                rates.replace("\u{a0}to\u{a0}", " to ")
            )
        }
        _ => String::new(),
    };
    let (until, limit) = time_to_limit(report);
    let decided = report.verdict.kind != VerdictKind::Undetermined;
    let open = report
        .verdict
        .candidates
        .iter()
        .any(|kind| *kind != report.verdict.kind);
    let (sure, confidence) = match (decided, open) {
        (true, _) => (
            sentences::percent(report.verdict.confidence),
            sentences::confidence_words(report.verdict.confidence),
        ),
        (false, true) => (
            sentences::percent(report.verdict.confidence),
            "of the first candidate",
        ),
        (false, false) => ("none".to_owned(), "nothing is decided yet"),
    };
    let grown = words::signed_bytes(growth.rss_bytes as f64);
    let shape = format!(
        "{} in {}",
        growth.shape.words(),
        words::duration(report.recording.seconds)
    );
    let rows = [
        ("Confidence", sure, confidence.to_owned()),
        (
            "Rate of RSS",
            match (rate, growth.rss_bytes_per_second) {
                (Some(rate), _) => unbroken(&words::rate(rate)),
                (None, Some(_)) => "no single rate".to_owned(),
                (None, None) => "too early".to_owned(),
            },
            interval,
        ),
        ("Growth of RSS", grown, shape),
        ("Time to limit", until, limit),
    ];
    let mut html = String::from("<dl class=\"figures\">\n");
    for (name, value, detail) in rows {
        let _ = writeln!(
            html,
            "<div><dt>{name}</dt><dd>{} <small>{}</small></dd></div>",
            text(&value),
            text(&detail)
        );
    }
    html.push_str("</dl>\n");
    html
}

/// A number that keeps its unit on its line.
fn unbroken(number: &str) -> String {
    number.replace(' ', "\u{a0}")
}

fn time_to_limit(report: &Report) -> (String, String) {
    let Some(forecast) = &report.forecast else {
        return match report.growth.rss_bytes_per_second {
            Some(_) => (
                "none in sight".to_owned(),
                "no forecast for this course".to_owned(),
            ),
            None => ("too early".to_owned(), String::new()),
        };
    };
    let limit = format!(
        "{} of {}",
        sentences::limit_words(forecast),
        words::bytes(forecast.limit_bytes as f64)
    );
    if !forecast.seconds_low.is_finite() {
        return ("not known".to_owned(), limit);
    }
    let low = unbroken(&words::duration(forecast.seconds_low));
    match forecast.seconds_high {
        Some(high) => (
            format!("{low} to {}", unbroken(&words::duration(high))),
            limit,
        ),
        None => (format!("{low} or more"), limit),
    }
}

/// The chart in words.
fn caption(findings: &Findings) -> String {
    let report = &findings.report;
    let points = &findings.timeline.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return "No sample was taken.".to_owned();
    };
    let mut caption = format!(
        "RSS over time, split into accounts: from {} to {} in {} ({}).",
        words::bytes(first.rss.as_f64()),
        words::bytes(last.rss.as_f64()),
        words::duration(last.seconds - first.seconds),
        report.growth.shape.words()
    );
    let most = report.ledger.iter().max_by_key(|row| row.growth_bytes);
    if let Some(row) = most.filter(|row| row.growth_bytes > 0) {
        let grown = words::signed_bytes(row.growth_bytes as f64);
        let _ = write!(
            caption,
            " Most of the growth went to {}: {grown}.",
            row.account.name()
        );
    }
    for note in chart::notes(findings) {
        let _ = write!(caption, " {note}.");
    }
    caption
}

/// The foremost facts and the advice beside each other, and how many warnings there are.
pub(crate) fn why_and_what<'a>(
    evidence: impl Iterator<Item = &'a str>,
    advice: impl Iterator<Item = &'a str>,
    warnings: usize,
) -> String {
    let facts =
        list(evidence).unwrap_or_else(|| "<p>The report gives no evidence.</p>\n".to_owned());
    let advice = list(advice).unwrap_or_else(|| "<p>The report gives no advice.</p>\n".to_owned());
    let warnings = match warnings {
        0 => String::new(),
        count => {
            let count = words::plural(count as u64, "warning");
            format!(
                "<p><a href=\"#warnings\">{} about these numbers</a></p>\n",
                short(&count)
            )
        }
    };
    format!(
        "<div class=\"pair\">\n<section>\n<h2>Why</h2>\n{facts}</section>\n\
         <section>\n<h2>What to do next</h2>\n{advice}</section>\n</div>\n{warnings}"
    )
}

/// The warnings, to which [`why_and_what`] leads; nothing where there is none.
pub(crate) fn warnings<'a>(items: impl Iterator<Item = &'a str>) -> String {
    list(items).map_or_else(String::new, |list| {
        format!("<section id=\"warnings\">\n<h2>Warnings</h2>\n<div class=\"warn\">\n{list}</div>\n</section>\n")
    })
}

/// A numbered list; `None` when there is nothing in it.
pub(crate) fn list<'a>(items: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut html = String::new();
    for item in items {
        let _ = writeln!(html, "<li>{}</li>", text(item));
    }
    (!html.is_empty()).then(|| format!("<ol>\n{html}</ol>\n"))
}
