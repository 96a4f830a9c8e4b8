//! What `memtide inspect` prints: the process in one line, its ledger, its heap.
//!
//! There may be one look or two. Of one look nothing is said of growth, and there is no verdict.

use super::style::Tone;
use super::{Options, Page, heap, ledger};
use crate::sentences;
use memtide_model::report::Report;
use memtide_model::text;

/// The parts of a report that looks at a heap know: ledger, heap, arenas, sizes, classes, advice,
/// warnings. Ends with a newline; no line has spaces at its end.
///
/// Growth is shown where there are two looks (`recording.samples` or `heap.snapshots` of 2 or more),
/// and then the verdict too, unless its summary is empty. Parts that are null or empty are left out.
pub fn render_inspect(report: &Report, options: &Options) -> String {
    let mut page = Page::new(options);
    let twice = looks(report) > 1;
    page.sentence("", Tone::Strong, &headline(report));
    if twice && !report.verdict.summary.is_empty() {
        page.gap();
        super::verdict(&mut page, report);
    }
    ledger::looks(&mut page, report, twice);
    heap::sections(&mut page, report, heap::Length::Long);
    if twice {
        super::evidence(&mut page, report);
    }
    super::advice(&mut page, report);
    super::warnings(&mut page, report);
    page.text()
}

/// How often memory was looked at.
fn looks(report: &Report) -> u64 {
    let heap = report.heap.as_ref().map_or(0, |heap| heap.snapshots);
    heap.max(report.recording.samples)
}

/// "redis-server, pid 4182: 213 MiB resident, glibc 2.36; heap 190 MiB: …".
fn headline(report: &Report) -> String {
    let heap = report.heap.as_ref();
    let from_ledger = u64::try_from(sentences::rss_at_end(report)).unwrap_or(0);
    let rss = heap.map_or(0, |heap| heap.rss_bytes);
    let rss = if rss == 0 { from_ledger } else { rss };
    let resident = match rss {
        0 => String::new(),
        rss => format!("{} resident, ", text::bytes(rss as f64)),
    };
    format!(
        "{}: {resident}{}; {}",
        sentences::target(report),
        crate::escape::clip(&report.target.allocator, 60),
        heap.map_or_else(|| "its heap was not read".to_owned(), crate::heap::in_short)
    )
}
