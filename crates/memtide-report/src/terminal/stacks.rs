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
        if index > 0 {
            page.gap();
        }
        let mark = format!("{:2}. ", index + 1);
        page.sentence(&mark, Tone::Strong, &allocations::course(row));
        page.sentence("    ", Tone::Plain, &allocations::holding(row));
        trace(page, &row.frames, allocations::end(row.end), explain);
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
            trace(page, &row.frames, allocations::end(row.end), explain);
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
        tone: Tone,
        name: String,
        /// The place in full, without folders, and without the word `inlined`.
        places: [String; 3],
    },
    Note(String),
}

/// The frames, innermost first.
pub(crate) fn trace(
    page: &mut Page,
    frames: &[FrameRow],
    end: Option<&'static str>,
    explain: bool,
) {
    let mut lines = chosen(frames, explain);
    lines.extend(end.map(|end| Line::Note(format!("… {end}"))));
    let form = lay_out(&mut lines, page.width() - columns(INDENT));
    let name_room = longest(&lines, form).0;
    let ink = page.ink();
    for line in &lines {
        match line {
            Line::Note(note) => page.sentence(INDENT, Tone::Faint, note),
            Line::Frame { tone, name, places } => {
                let start = if *tone == Tone::Strong { ARROW } else { INDENT };
                let mut text = format!("{start}{}", ink.paint(*tone, name));
                let place = &places[form];
                if !place.is_empty() {
                    let gap = name_room.saturating_sub(columns(name)) + 2;
                    text.push_str(&" ".repeat(gap));
                    text.push_str(&ink.paint(Tone::Faint, place));
                }
                page.lines([text]);
            }
        }
    }
}

/// Columns of the longest name that has a place beside it, and of the longest place of that form.
fn longest(lines: &[Line], form: usize) -> (usize, usize) {
    let placed = lines.iter().filter_map(|line| match line {
        Line::Frame { name, places, .. } if !places[form].is_empty() => {
            Some((columns(name), columns(&places[form])))
        }
        _ => None,
    });
    placed.fold((0, 0), |most, line| {
        (most.0.max(line.0), most.1.max(line.1))
    })
}

/// The least room for names that is worth the word `inlined` beside them.
const NAMES: usize = 28;

/// Makes names and places fit into `room` together; returns which form of the places does. Names
/// in full with places in full are best; else places lose their folders, and only then names
/// become shorter.
fn lay_out(lines: &mut [Line], room: usize) -> usize {
    let (names, full) = longest(lines, 0);
    let left = |form: usize| room.saturating_sub(longest(lines, form).1.min(room / 2) + 2);
    let form = match () {
        () if names + 2 + full <= room && full <= room / 2 => 0,
        () if left(1) >= NAMES.min(names) => 1,
        () => 2,
    };
    let name_room = left(form);
    for line in lines {
        if let Line::Frame { name, places, .. } = line {
            let width = if places[form].is_empty() {
                room
            } else {
                name_room
            };
            *name = fitted(name, width);
            let fits = |text: &str| columns(text) <= room / 2;
            places[form] = names::cut(&places[form], fits).unwrap_or_default();
        }
    }
    form
}

/// A name in the fullest form that fits into so many columns.
fn fitted(name: &str, width: usize) -> String {
    names::fitted(name, |text| columns(text) <= width).unwrap_or_else(|| "…".to_owned())
}

/// The frames that are shown, with notes where some are left out.
fn chosen(all: &[FrameRow], explain: bool) -> Vec<Line> {
    let own = frames::own(all);
    let most = if explain { LONG_FRAMES } else { SHORT_FRAMES };
    let mut lines = Vec::new();
    let mut at = 0;
    while let Some(frame) = all.get(at) {
        let run = all.get(at..).unwrap_or_default().iter();
        let run = run.take_while(|frame| frames::is_runtime(frame)).count();
        let to_the_root = run > 1 && at > 0 && at + run == all.len();
        if lines.len() >= most {
            let rest = text::plural((all.len() - at) as u64, "more frame");
            lines.push(Line::Note(format!("… {rest}")));
            break;
        }
        if to_the_root && !explain {
            lines.push(Line::Note(format!("… {run} frames of the runtime")));
            break;
        }
        lines.push(line(frame, own == Some(at)));
        at += 1;
        if run > RUN && !explain {
            lines.push(Line::Note(format!("… {} frames of the runtime", run - 2)));
            at += run - 2;
        }
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
    let tone = match (own, frames::is_runtime(frame)) {
        (true, _) => Tone::Strong,
        (_, true) => Tone::Faint,
        _ => Tone::Plain,
    };
    Line::Frame {
        tone,
        name: harmless(&frames::label(frame)),
        places: [inlined(&full), inlined(&short), short],
    }
}
