//! What a score leaves behind: pages for people, and tables with every single answer.
//!
//! The first part of a page is written by hand and kept; all below the marker is made anew. Tables
//! are CSV files with a line for each answer, so that a change of the engine shows as the lines that it
//! changes. Real numbers have four digits: more would be noise.

use crate::ahead::Ahead;
use crate::answer::Answer;
use crate::simulate::Simulated;
use crate::{Error, Result};
use memtide_model::VerdictKind;
use serde::Serialize;
use std::fs;
use std::path::Path;

/// What stands between the words and the figures of a page.
const MARKER: &str = "<!-- below this line: made by tests/score, do not edit -->";

/// Writes a page; what stands above the marker in an old one stays.
///
/// Errors: `File`.
pub(crate) fn page(out: &Path, name: &str, text: &str) -> Result<()> {
    fs::create_dir_all(out).map_err(Error::file("making", out))?;
    let path = out.join(name);
    let old = fs::read_to_string(&path).unwrap_or_default();
    let words = old.split(MARKER).next().unwrap_or_default().trim_end();
    let page = format!("{words}\n\n{MARKER}\n\n{}\n", text.trim_end());
    fs::write(&path, page.trim_start()).map_err(Error::file("writing", &path))
}

/// Writes a table with a head.
///
/// Errors: `Csv`.
pub(crate) fn lines(path: &Path, lines: &[impl Serialize]) -> Result<()> {
    let failed = Error::csv("writing", path);
    let mut writer = csv::Writer::from_path(path).map_err(&failed)?;
    for line in lines {
        writer.serialize(line).map_err(&failed)?;
    }
    writer.flush().map_err(Error::file("writing", path))
}

/// An answer as a line. What is true of the case stands in the corpus's manifest.
#[derive(Serialize)]
struct AnswerLine<'a> {
    case: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<String>,
    /// Seconds.
    from: String,
    to: String,
    looks: u8,
    answer: VerdictKind,
    /// With spaces between them, likeliest first.
    candidates: String,
    confidence: String,
    shape: memtide_model::Shape,
    acceptable: u8,
    first_acceptable: u8,
    /// Bytes per second; its interval and the log's slope of leaks of blocks alone, the only ones that
    /// are judged by them.
    rate: String,
    low: String,
    high: String,
    live_slope: String,
    grown_share: String,
    /// Empty where no cause was named.
    standing: &'static str,
    agreeing: Option<usize>,
}

/// Writes every answer.
///
/// Errors: `Csv`.
pub(crate) fn answers(path: &Path, answers: &[Answer]) -> Result<()> {
    let drawn = answers.iter().any(|answer| !answer.arguments.is_empty());
    let all: Vec<AnswerLine<'_>> = (answers.iter())
        .map(|answer| answer_line(answer, drawn))
        .collect();
    lines(path, &all)
}

fn answer_line(answer: &Answer, drawn: bool) -> AnswerLine<'_> {
    let names: Vec<&str> = answer.candidates.iter().map(|kind| kind.name()).collect();
    let of_blocks = answer.label == VerdictKind::HeapLeak;
    let interval = answer.interval.filter(|_| of_blocks);
    let basis = answer.basis.filter(|_| !answer.is_too_early());
    AnswerLine {
        case: &answer.case,
        arguments: drawn.then(|| answer.arguments.join(" ")),
        from: short(Some(answer.window.from)),
        to: short(Some(answer.window.to)),
        looks: answer.looked.into(),
        answer: answer.kind,
        candidates: names.join(" "),
        confidence: format!("{:.3}", answer.confidence),
        shape: answer.shape,
        acceptable: answer.acceptable.into(),
        first_acceptable: answer.first_acceptable.into(),
        rate: short(answer.rate),
        low: short(interval.map(|(low, _)| low)),
        high: short(interval.map(|(_, high)| high)),
        live_slope: short(answer.truth.live_slope.filter(|_| of_blocks)),
        grown_share: format!("{:.3}", answer.truth.grown_share),
        standing: basis.map_or("", |basis| basis.standing),
        agreeing: basis.map(|basis| basis.agreeing),
    }
}

/// With four digits; nothing for nothing.
fn short(value: Option<f64>) -> String {
    let value = value.and_then(|value| format!("{value:.3e}").parse::<f64>().ok());
    value.map_or_else(String::new, |value| value.to_string())
}

/// A forecast as a line. Bytes, and seconds after the cut.
#[derive(Serialize)]
struct ForecastLine<'a> {
    case: &'a str,
    looks: u8,
    ahead: String,
    rss: String,
    grown: String,
    band_low: String,
    band_high: String,
    met: String,
    earliest: String,
    latest: String,
}

/// Writes every forecast.
///
/// Errors: `Csv`.
pub(crate) fn forecasts(path: &Path, all: &[Ahead]) -> Result<()> {
    let all: Vec<ForecastLine<'_>> = all.iter().map(forecast_line).collect();
    lines(path, &all)
}

fn forecast_line(one: &Ahead) -> ForecastLine<'_> {
    ForecastLine {
        case: &one.case,
        looks: one.looks.into(),
        ahead: short(Some(one.seconds)),
        rss: short(Some(one.rss)),
        grown: short(Some(one.grown)),
        band_low: short(one.band.map(|(low, _)| low)),
        band_high: short(one.band.map(|(_, high)| high)),
        met: short(one.met),
        earliest: short(one.told.map(|(earliest, _)| earliest)),
        latest: short(one.told.and_then(|(_, latest)| latest)),
    }
}

/// Answers on simulated series as a line: so many got just these.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct SimulatedLine {
    count: usize,
    series: &'static str,
    tau: String,
    with_looks: VerdictKind,
    confidence: String,
    without_looks: VerdictKind,
    first_candidate: VerdictKind,
}

/// Writes every answer on simulated series; equal ones are one line with their number.
///
/// Errors: `Csv`.
pub(crate) fn simulated(path: &Path, all: &[Simulated]) -> Result<()> {
    let mut lines: Vec<SimulatedLine> = (all.iter())
        .map(|one| SimulatedLine {
            count: 1,
            series: one.kind,
            tau: short(one.tau),
            with_looks: one.looked,
            confidence: format!("{:.2}", one.confidence),
            without_looks: one.unlooked,
            first_candidate: one.first,
        })
        .collect();
    lines.sort();
    // The first of equal lines stands for all of them.
    lines.dedup_by(|next, first| {
        let equal = SimulatedLine {
            count: first.count,
            ..next.clone()
        } == *first;
        first.count += usize::from(equal);
        equal
    });
    self::lines(path, &lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_above_the_marker_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("README.md");
        page(folder.path(), "README.md", "figures one").unwrap();
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            format!("{MARKER}\n\nfigures one\n")
        );
        fs::write(&file, format!("# Words\n\n{MARKER}\n\nold")).unwrap();
        page(folder.path(), "README.md", "figures two\n\n").unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("# Words\n\n{MARKER}\n\nfigures two\n"));
    }

    #[test]
    fn real_numbers_have_four_digits() {
        let values = [2_075_892.4, 0.871_379_8, -12.0, 0.0];
        assert_eq!(
            values.map(|value| short(Some(value))),
            ["2076000", "0.8714", "-12", "0"]
        );
        assert_eq!(short(None), "");
    }
}
