//! "Who allocated it": the stacks that grew most with their frames, what was never freed, and what
//! was not seen.
//!
//! A frame is a line: function, then file and line. The first frame of the program's own has an
//! arrow; the allocator's and the runtimes' are dim, and long runs of them are shortened. Long
//! names lose their arguments first, then the insides of templates, then their middle.

use super::Page;
use super::style::{Tone, columns};
use crate::{allocations, escape, frames, names};
use memtide_model::report::{FrameRow, Report, StackRow};
use memtide_model::text;

/// Stacks that are shown in short and with `--explain`.
const SHORT: usize = 5;
const LONG: usize = 20;

/// Frames of a stack that are shown, likewise.
const SHORT_FRAMES: usize = 12;
const LONG_FRAMES: usize = 64;

/// Runs of the runtime's frames that are longer are shown as first, number and last.
const RUN: usize = 3;

/// Room before a frame: the number of its stack, and an arrow.
const INDENT: &str = "     ";
const ARROW: &str = "   → ";

/// The section; nothing where the preload shim did not look.
pub(super) fn section(page: &mut Page, report: &Report, explain: bool) {
    let Some(rows) = &report.stacks else {
        return;
    };
    let most = if explain { LONG } else { SHORT };
    let (foremost, order) = allocations::foremost(rows);
    if foremost.is_empty() {
        page.heading("Who allocated it");
        page.sentence("", Tone::Plain, "no stack holds memory");
    } else {
        page.heading(&format!("Who allocated it, {order}"));
    }
    let shown: Vec<_> = foremost.iter().take(most).copied().collect();
    for (index, row) in shown.iter().enumerate() {
        let mark = format!("{:2}. ", index + 1);
        page.sentence(&mark, Tone::Strong, &allocations::course(row));
        page.sentence("    ", Tone::Plain, &allocations::holding(row));
        trace(page, row, explain);
    }
    more(page, foremost.len(), shown.len());
    never_freed(page, report, &shown, explain);
    seen(page, report);
}

fn more(page: &mut Page, all: usize, shown: usize) {
    if all > shown {
        let more = text::plural((all - shown) as u64, "more stack");
        page.sentence("    ", Tone::Faint, &more);
    }
}

/// What was live when the program ended. A stack that stands above is only named.
fn never_freed(page: &mut Page, report: &Report, above: &[&StackRow], explain: bool) {
    let Some(left) = report.allocations.as_ref().and_then(allocations::left) else {
        return;
    };
    page.heading("Never freed at exit");
    page.sentence("", Tone::Plain, &left);
    let rows = report.stacks.as_deref().unwrap_or_default();
    let rows = allocations::never_freed(rows);
    let most = if explain { LONG } else { SHORT };
    for row in rows.iter().take(most) {
        let size = format!("{} in {}", allocations::live(row), allocations::blocks(row));
        let known = above.iter().position(|other| std::ptr::eq(*other, *row));
        let Some(number) = known else {
            page.sentence("  - ", Tone::Plain, &size);
            trace(page, row, explain);
            continue;
        };
        let own = frames::own(&row.frames).and_then(|own| row.frames.get(own));
        let own = own.map_or_else(String::new, |frame| {
            format!(
                ": {}",
                escape::clip(&names::brief(&frames::label(frame)), 80)
            )
        });
        let line = format!("{size}, stack {} above{own}", number + 1);
        page.sentence("  - ", Tone::Plain, &line);
    }
    more(page, rows.len(), rows.len().min(most));
}

/// How it was looked at, and what was not seen.
fn seen(page: &mut Page, report: &Report) {
    let Some(sums) = &report.allocations else {
        return;
    };
    page.gap();
    page.sentence("heap  ", Tone::Plain, &allocations::sums(sums));
    page.sentence("mode  ", Tone::Faint, &allocations::mode(report, sums));
    if let Some(lost) = allocations::lost(&sums.lost) {
        page.sentence("lost  ", Tone::Alarm, &lost);
    }
}

/// A line of a trace before it is laid out.
enum Line {
    Frame {
        own: bool,
        runtime: bool,
        name: String,
        /// The place in full, without folders, and without the word `inlined`.
        places: [String; 3],
    },
    Note(String),
}

/// The frames, innermost first.
fn trace(page: &mut Page, row: &StackRow, explain: bool) {
    let lines = chosen(row, explain);
    let room = page.width() - columns(INDENT);
    let (name_room, form) = split(&lines, room);
    for line in &lines {
        let (own, runtime, name, places) = match line {
            Line::Note(note) => {
                page.sentence(INDENT, Tone::Faint, note);
                continue;
            }
            Line::Frame {
                own,
                runtime,
                name,
                places,
            } => (*own, *runtime, name, places),
        };
        let place = &places[form];
        let place = names::cut(place, |text| columns(text) <= room / 2).unwrap_or_default();
        let width = if place.is_empty() { room } else { name_room };
        let name = fitted(name, width);
        let tone = match (own, runtime) {
            (true, _) => Tone::Strong,
            (_, true) => Tone::Faint,
            _ => Tone::Plain,
        };
        let mut text = format!(
            "{}{}",
            if own { ARROW } else { INDENT },
            page.ink().paint(tone, &name)
        );
        if !place.is_empty() {
            let gap = name_room.saturating_sub(columns(&name)) + 2;
            text.push_str(&" ".repeat(gap));
            text.push_str(&page.ink().paint(Tone::Faint, &place));
        }
        page.lines([text]);
    }
}

/// The least room for names that is worth the word `inlined` beside them.
const NAMES: usize = 28;

/// How wide the names' column is, and which form of the places leaves that room.
fn split(lines: &[Line], room: usize) -> (usize, usize) {
    let frames = || {
        lines.iter().filter_map(|line| match line {
            Line::Frame { name, places, .. } => Some((name, places)),
            Line::Note(_) => None,
        })
    };
    let placed = frames().filter(|(_, places)| !places[0].is_empty());
    let names = placed.map(|(label, _)| columns(label)).max().unwrap_or(0);
    let place = |form: usize| frames().map(|(_, places)| columns(&places[form])).max();
    let left = |form: usize| room.saturating_sub(place(form).unwrap_or(0).min(room / 2) + 2);
    if names + 2 + place(0).unwrap_or(0) <= room && place(0) <= Some(room / 2) {
        return (names, 0);
    }
    let form = if left(1) >= NAMES.min(names) { 1 } else { 2 };
    (names.min(left(form)), form)
}

/// A name in the fullest form that fits into so many columns.
fn fitted(name: &str, width: usize) -> String {
    names::fitted(name, |text| columns(text) <= width).unwrap_or_else(|| "…".to_owned())
}

/// The frames that are shown, with notes where some are left out.
fn chosen(row: &StackRow, explain: bool) -> Vec<Line> {
    let own = frames::own(&row.frames);
    let most = if explain { LONG_FRAMES } else { SHORT_FRAMES };
    let mut lines = Vec::new();
    let mut at = 0;
    let mut shown = 0;
    while let Some(frame) = row.frames.get(at) {
        if shown >= most {
            let rest = text::plural((row.frames.len() - at) as u64, "more frame");
            lines.push(Line::Note(format!("… {rest}")));
            break;
        }
        lines.push(line(frame, own == Some(at)));
        at += 1;
        shown += 1;
        let run = row.frames.get(at..).unwrap_or_default();
        let run = run
            .iter()
            .take_while(|frame| frames::is_runtime(frame))
            .count();
        if !explain && frames::is_runtime(frame) && run >= RUN {
            lines.push(Line::Note(format!("… {} more of the runtime", run - 1)));
            at += run - 1;
        }
    }
    if let Some(end) = allocations::end(row.end) {
        lines.push(Line::Note(format!("… {end}")));
    }
    lines
}

fn line(frame: &FrameRow, own: bool) -> Line {
    // Made harmless before it is measured.
    let harmless = |text: &str| escape::plain(text).into_owned();
    let full = harmless(&frames::place(frame, false));
    let short = harmless(&frames::place(frame, true));
    let inlined = |place: &str| match (frame.inlined, place) {
        (false, place) => place.to_owned(),
        (true, "") => "inlined".to_owned(),
        (true, place) => format!("{place}, inlined"),
    };
    Line::Frame {
        own,
        runtime: frames::is_runtime(frame),
        name: harmless(&frames::label(frame)),
        places: [inlined(&full), inlined(&short), short],
    }
}
