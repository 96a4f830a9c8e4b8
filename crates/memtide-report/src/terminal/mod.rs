//! The report as text for a terminal, a log or a mail.
//!
//! The verdict comes first, what it rests on after it, and at the end what the recording itself cost.
//! Every line fits the given width: tables drop columns by rank, sentences are wrapped. Two things
//! are never broken, because they are there to be copied: the path of the recording and the commands
//! of [`crate::preview`].
//!
//! Refuses to say by colour what it does not say in words.

mod explain;
mod family;
mod heap;
mod inspect;
mod ledger;
mod notes;
mod reasoning;
pub(crate) mod sparkline;
pub(crate) mod stacks;
pub(crate) mod style;
pub(crate) mod table;

pub use inspect::render_inspect;
pub use notes::{Note, render_notes};

use crate::{escape, sentences};
use memtide_model::report::Report;
use memtide_model::{EventKind, Findings, Timeline, VerdictKind, text};
use style::{Ink, Tone};

/// How text is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Columns of the terminal; below 32 is taken as 32.
    pub width: usize,
    /// Whether ANSI escape sequences may be written.
    pub color: bool,
    /// Adds how the verdict was reached, what each account means, more stacks with all their frames, more of the heap, the threads,
    /// all events and the cost of each kind of read.
    pub explain: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            width: 80,
            color: false,
            explain: false,
        }
    }
}

/// The whole report. Ends with a newline; no line has spaces at its end.
pub fn render(findings: &Findings, options: &Options) -> String {
    let report = &findings.report;
    let mut page = Page::new(options);
    verdict(&mut page, report);
    course(&mut page, report, &findings.timeline);
    ledger::table(&mut page, report);
    ledger::beside(&mut page, report);
    ledger::counts(&mut page, report);
    evidence(&mut page, report);
    family::section(&mut page, report);
    stacks::section(&mut page, report, options.explain);
    heap::sections(&mut page, report, heap::Length::of(options.explain));
    forecast(&mut page, report);
    advice(&mut page, report);
    happened(&mut page, report, options.explain);
    warnings(&mut page, report);
    if options.explain {
        explain::sections(&mut page, report);
    }
    cost(&mut page, report);
    page.text()
}

/// Text that grows line by line and keeps to its width.
pub(crate) struct Page {
    lines: Vec<String>,
    width: usize,
    ink: Ink,
}

impl Page {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            lines: Vec::new(),
            width: options.width.max(32),
            ink: Ink {
                color: options.color,
            },
        }
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    pub(crate) const fn ink(&self) -> Ink {
        self.ink
    }

    /// An empty line, but never two, and none at the top.
    pub(crate) fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(String::new());
        }
    }

    /// A section's heading after an empty line.
    pub(crate) fn heading(&mut self, title: &str) {
        self.gap();
        let painted = self.ink.paint(Tone::Strong, title);
        self.lines.push(painted);
    }

    /// A sentence, wrapped; the lines after the first are indented under the mark.
    pub(crate) fn sentence(&mut self, mark: &str, tone: Tone, sentence: &str) {
        self.wrapped(mark, tone, &escape::clip(sentence, SENTENCE_LIMIT));
    }

    /// The same of a sentence that is never cut: it lists numbers, and all of them are needed.
    pub(crate) fn long_sentence(&mut self, mark: &str, tone: Tone, sentence: &str) {
        self.wrapped(mark, tone, &escape::plain(sentence));
    }

    fn wrapped(&mut self, mark: &str, tone: Tone, safe: &str) {
        let indent = style::columns(mark);
        for (index, line) in style::wrap(safe, self.width - indent)
            .into_iter()
            .enumerate()
        {
            let start = if index == 0 {
                mark.to_owned()
            } else {
                " ".repeat(indent)
            };
            let painted = self.ink.paint(tone, &line);
            self.lines.push(format!("{start}{painted}"));
        }
    }

    /// A line that is left as it is, however long: something to copy.
    pub(crate) fn verbatim(&mut self, mark: &str, line: &str) {
        self.lines.push(format!("{mark}{}", escape::plain(line)));
    }

    /// Lines that already fit.
    pub(crate) fn lines(&mut self, lines: impl IntoIterator<Item = String>) {
        self.lines.extend(lines);
    }

    pub(crate) fn text(mut self) -> String {
        while self.lines.last().is_some_and(String::is_empty) {
            self.lines.pop();
        }
        self.lines.push(String::new());
        self.lines.join("\n")
    }
}

/// A sentence with a hostile name in it still ends.
const SENTENCE_LIMIT: usize = 600;

fn verdict(page: &mut Page, report: &Report) {
    page.sentence("", Tone::Strong, &report.verdict.summary);
    let tone = match report.verdict.kind {
        VerdictKind::NoGrowth | VerdictKind::Plateau | VerdictKind::Sawtooth => Tone::Calm,
        VerdictKind::Undetermined => Tone::Plain,
        _ => Tone::Alarm,
    };
    page.sentence("", tone, &sentences::verdict(report));
}

/// RSS over time: a line of blocks and its four numbers.
fn course(page: &mut Page, report: &Report, timeline: &Timeline) {
    page.gap();
    let window = format!(
        "{}: {} from {}",
        sentences::target(report),
        sentences::window(report),
        sentences::started(report)
    );
    page.sentence("", Tone::Faint, &window);
    let points = &timeline.points;
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        page.sentence("RSS  ", Tone::Plain, "no sample was taken");
        return;
    };
    let line = sparkline::render(points, page.width() - 5);
    page.lines([format!("RSS  {}", line.trim_end())]);
    let size = |bytes: memtide_model::Bytes| text::bytes(bytes.as_f64());
    let lowest = points
        .iter()
        .map(|point| point.rss_range.0.min(point.rss))
        .min();
    let highest = points
        .iter()
        .map(|point| point.rss_range.1.max(point.rss))
        .max();
    let mut numbers = format!(
        "{} at the start, {} after {}; least {}, most {}",
        size(first.rss),
        size(last.rss),
        text::duration(last.seconds - first.seconds),
        size(lowest.unwrap_or(first.rss)),
        size(highest.unwrap_or(first.rss)),
    );
    if points.len() == 1 {
        numbers = format!("{} in the only sample", size(first.rss));
    }
    page.sentence("     ", Tone::Plain, &numbers);
    let shape = report.growth.shape.words();
    if let Some(rate) = sentences::rate(report) {
        page.sentence("     ", Tone::Plain, &format!("{shape}: {rate}"));
    } else if report.growth.rss_bytes_per_second.is_some() {
        page.sentence("     ", Tone::Plain, shape);
    }
}

fn evidence(page: &mut Page, report: &Report) {
    if report.verdict.evidence.is_empty() {
        return;
    }
    page.heading("Evidence");
    for evidence in &report.verdict.evidence {
        page.sentence("- ", Tone::Plain, &evidence.fact);
    }
}

fn forecast(page: &mut Page, report: &Report) {
    if let Some(forecast) = &report.forecast {
        page.heading("Forecast");
        page.sentence("- ", Tone::Plain, &sentences::forecast(forecast));
    }
}

fn advice(page: &mut Page, report: &Report) {
    if report.verdict.advice.is_empty() {
        return;
    }
    page.heading("What to do next");
    for (number, advice) in report.verdict.advice.iter().enumerate() {
        page.sentence(&format!("{}. ", number + 1), Tone::Plain, advice);
    }
}

/// How it ended and what happened on the way; of the many kinds of events only those that change
/// how the numbers are to be read, unless all are asked for.
fn happened(page: &mut Page, report: &Report, all: bool) {
    const SHOWN: usize = 6;
    let telling = |kind: EventKind| {
        all || !matches!(
            kind,
            EventKind::Fork | EventKind::Snapshot | EventKind::Recorder
        )
    };
    let events: Vec<_> = report
        .events
        .iter()
        .filter(|event| telling(event.kind))
        .collect();
    let ended = sentences::ended(&report.ended);
    if events.is_empty() && ended.is_none() {
        return;
    }
    page.heading("What happened");
    let shown = if all { events.len() } else { SHOWN };
    for event in events.iter().take(shown) {
        let line = format!("{}: {}", text::duration(event.t_seconds), event.text);
        page.sentence("- ", Tone::Plain, &line);
    }
    if events.len() > shown {
        let more = text::plural((events.len() - shown) as u64, "more event");
        page.sentence("- ", Tone::Faint, &more);
    }
    if let Some(ended) = ended {
        page.sentence("- ", Tone::Plain, &format!("the process ended: {ended}"));
    }
}

fn warnings(page: &mut Page, report: &Report) {
    if report.warnings.is_empty() {
        return;
    }
    page.heading("Warnings");
    for warning in &report.warnings {
        page.sentence("! ", Tone::Alarm, warning);
    }
}

fn cost(page: &mut Page, report: &Report) {
    page.gap();
    page.sentence("cost  ", Tone::Faint, &sentences::cost(report));
    if let Some(skipped) = sentences::skipped_reads(report) {
        page.sentence("      ", Tone::Faint, &skipped);
    }
    if !report.recording.file.is_empty() {
        page.verbatim("file  ", &report.recording.file);
    }
}
