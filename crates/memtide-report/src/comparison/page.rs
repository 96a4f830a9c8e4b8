//! The comparison as one page that opens from disk: the answer, the charts, why and what to do, every
//! table, and how it was judged in plain words.
//!
//! It stands in the same frame as the page of a report ([`crate::html`]): no script, no network, the data
//! embedded.

use super::courses::Courses;
use super::panels::{Names, Panels};
use super::sheets::{self, Head, Sheet};
use super::{ARMS, left_out, words};
use crate::Error;
use crate::chart::canvas::Rect;
use crate::chart::palette;
use crate::html::table::{self, NUMBERS, OPTIONAL_NUMBERS, OPTIONAL_WORDS, WORDS, cell};
use crate::html::{chart, page, short, stacks, summary, text};
use memtide_model::comparison::{Arm, Compared, Comparison};
use std::fmt::Write as _;

/// Width of the charts on a wide and on a narrow screen, and height of that over time.
const WIDE: (u32, u32) = (1052, 380);
const NARROW: (u32, u32) = (400, 300);

/// Room for the names at the right of the wide chart.
const LABELS: f64 = 190.0;

/// Stacks of a recording that are listed; all are in the embedded JSON.
const STACKS: usize = 30;

/// See [`super::html`].
pub(super) fn render(comparison: &Comparison) -> Result<String, Error> {
    let title = format!(
        "{}: {}",
        words::kind(comparison),
        words::subject(comparison)
    );
    let mut body = first_screen(comparison)?;
    body.push_str(&environments(comparison));
    body.push_str(&recordings(comparison));
    for sheet in sheets::of_arms(comparison) {
        let _ = write!(
            body,
            "<section>\n<h2>{}</h2>\n{}</section>\n",
            sheet.title,
            table(&sheet)
        );
    }
    body.push_str(&ledgers(comparison));
    body.push_str(&differences(comparison));
    body.push_str(&runs(comparison));
    body.push_str(&judged(comparison));
    let warnings = comparison.warnings.iter();
    body.push_str(&summary::warnings(warnings.map(String::as_str)));
    let footer = format!(
        "<footer>\n<p>Made by memtide. This page holds the comparison as JSON ({}), in the element \
         <code>memtide-comparison</code>.</p>\n</footer>\n",
        short(&comparison.schema)
    );
    let data = crate::json::compact(comparison);
    Ok(page(
        &title,
        "",
        &body,
        &footer,
        ("memtide-comparison", &data),
    ))
}

fn first_screen(comparison: &Comparison) -> Result<String, Error> {
    let verdict = &comparison.verdict;
    let load = comparison.load.as_ref().map_or_else(String::new, |load| {
        format!(", under the load <code>{}</code>", short(load))
    });
    let mut html = format!(
        "<p class=\"of\">{}{load}</p>\n<h1>{}</h1>\n",
        text(&words::subject(comparison)),
        text(&verdict.summary),
    );
    html.push_str(&figures(comparison));
    html.push_str(&charts(comparison)?);
    html.push_str(&summary::why_and_what(
        verdict.evidence.iter().map(String::as_str),
        verdict.advice.iter().map(String::as_str),
        comparison.warnings.len(),
    ));
    Ok(html)
}

/// The numbers that decide what is done, of the arm that the answer is about.
fn figures(comparison: &Comparison) -> String {
    let about = comparison.verdict.arm.as_deref();
    let arm = comparison
        .arms
        .iter()
        .find(|arm| about == Some(arm.arm.as_str()));
    let numbers = arm.map(|arm| words::numbers(comparison.of, arm));
    let numbers = numbers.unwrap_or_default();
    if numbers.is_empty() {
        return String::new();
    }
    let mut html = String::from("<dl class=\"figures\">\n");
    for (what, change) in numbers {
        let (change, interval) = change.split_once(" (").unwrap_or((&change, ""));
        let interval = interval.trim_end_matches(')');
        let detail = if interval.is_empty() {
            String::new()
        } else {
            // No line ends between a number and its sign of per cent.
            format!("90 % interval {interval}").replace(" %", "\u{a0}%")
        };
        let _ = writeln!(
            html,
            "<div><dt>{what}</dt><dd>{} <small>{}</small></dd></div>",
            text(change),
            text(&detail)
        );
    }
    html.push_str("</dl>\n");
    html
}

/// RSS over time, and the bars.
fn charts(comparison: &Comparison) -> Result<String, Error> {
    let courses = Courses::new(comparison);
    let panels = Panels::new(comparison);
    let caption = [Some(courses.caption()), left_out(comparison)];
    let caption = caption.into_iter().flatten().collect::<Vec<_>>().join(". ");
    let mut html = String::from("<figure>\n");
    for (size, class, labels) in [(WIDE, "wide", LABELS), (NARROW, "narrow", 0.0)] {
        let place = Rect {
            left: 0.0,
            top: 8.0,
            right: f64::from(size.0),
            bottom: f64::from(size.1),
        };
        let drawn = chart::inline(size, class, &caption, |canvas| {
            courses.draw(canvas, place, labels)
        })?;
        html.push_str(&drawn);
    }
    html.push_str(&legend(comparison));
    let _ = write!(
        html,
        "<figcaption>{}.</figcaption>\n</figure>\n<figure class=\"graph\">\n",
        text(&caption)
    );
    for (width, class, names) in [
        (WIDE.0, "wide", Names::Beside),
        (NARROW.0, "narrow", Names::Above),
    ] {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most a few thousand pixels: arms are bounded"
        )]
        let size = (width, panels.height(names) as u32);
        let drawn = chart::inline(size, class, &panels.caption(), |canvas| {
            panels.draw(canvas, (0.0, f64::from(width)), 4.0, names)
        })?;
        html.push_str(&drawn);
    }
    let _ = write!(
        html,
        "<figcaption>{}.</figcaption>\n</figure>\n",
        text(&panels.caption())
    );
    Ok(html)
}

/// The colours of the arms, for screens that are too narrow for names in the chart.
fn legend(comparison: &Comparison) -> String {
    let mut html = String::from("<ul class=\"legend narrow\">\n");
    for index in 0..comparison.arms.len().min(ARMS) {
        let color = chart::hex(palette::arm(index));
        let _ = writeln!(
            html,
            "<li><svg viewBox=\"0 0 20 14\" aria-hidden=\"true\"><path d=\"M0 7H20\" stroke=\"{color}\" \
             stroke-width=\"3\"/></svg>{}</li>",
            short(&words::name(comparison, index))
        );
    }
    html.push_str("</ul>\n");
    html
}

/// What to set for each arm, to be copied.
fn environments(comparison: &Comparison) -> String {
    let mut arms = words::environments(comparison).peekable();
    if arms.peek().is_none() {
        return String::new();
    }
    let about = comparison.verdict.arm.as_deref();
    let mut html = String::from(
        "<section>\n<h2>What to set</h2>\n<p>The environment of each arm, a line for each setting; a click selects all.</p>\n",
    );
    for arm in arms {
        let open = if about == Some(arm.arm.as_str()) {
            " open"
        } else {
            ""
        };
        let lines = arm.environment.iter().map(|line| text(line));
        let _ = writeln!(
            html,
            "<details{open}><summary><code>{}</code></summary>\n<pre class=\"copy\"><code>{}</code></pre></details>",
            short(&arm.arm),
            lines.collect::<Vec<_>>().join("\n")
        );
    }
    html.push_str("</section>\n");
    html
}

/// The letters of recordings, and what was found in each alone.
fn recordings(comparison: &Comparison) -> String {
    if comparison.of != Compared::Recordings {
        return String::new();
    }
    let mut html = String::from("<section>\n<h2>Each alone</h2>\n<dl class=\"meaning\">\n");
    for (index, arm) in comparison.arms.iter().enumerate() {
        let verdict = arm.verdict.as_deref().unwrap_or("no verdict");
        let _ = writeln!(
            html,
            "<dt>{}</dt><dd><code>{}</code><br>{}</dd>",
            words::letter(index),
            short(&arm.arm),
            text(verdict)
        );
    }
    html.push_str("</dl>\n</section>\n");
    html
}

fn table(sheet: &Sheet) -> String {
    let class = |head: &Head| match (head.number, head.rank < 3) {
        (true, true) => NUMBERS,
        (true, false) => OPTIONAL_NUMBERS,
        (false, true) => WORDS,
        (false, false) => OPTIONAL_WORDS,
    };
    let heads = sheet
        .heads
        .iter()
        .map(|head| (head.title.as_str(), class(head)));
    let rows = sheet.rows.iter().map(|(_, cells)| {
        let width = sheet.heads.len();
        let cells = cells
            .iter()
            .map(String::as_str)
            .chain(std::iter::repeat(""));
        cells.take(width).map(cell).collect()
    });
    let (heads, rows) = table::without_unknown(&heads.collect::<Vec<_>>(), rows.collect());
    table::table(&sheet.caption, &heads, &rows)
}

fn ledgers(comparison: &Comparison) -> String {
    let all: Vec<usize> = (0..comparison.arms.len().min(ARMS)).collect();
    sheets::ledgers(comparison, &all).map_or_else(String::new, |sheet| {
        format!(
            "<section>\n<h2>{}</h2>\n{}</section>\n",
            sheet.title,
            table(&sheet)
        )
    })
}

/// Call stacks of each recording that differ from those of the baseline.
fn differences(comparison: &Comparison) -> String {
    let mut html = String::new();
    for (index, arm) in comparison.arms.iter().enumerate() {
        let Some(list) = &arm.stacks else {
            continue;
        };
        let against = words::letter(words::baseline(comparison));
        let _ = write!(
            html,
            "<section>\n<h2>Call stacks of {} that differ from {against}</h2>\n<p>{} of {}, by how much their \
             rates differ.</p>\n<ol>\n",
            words::letter(index),
            list.len().min(STACKS),
            list.len()
        );
        for (number, stack) in list.iter().take(STACKS).enumerate() {
            let live = std::iter::once(words::stack_live(stack));
            let _ = writeln!(
                html,
                "<li>{}{}</li>",
                text(&words::stack_rates(stack)),
                stacks::unfolding(&stack.frames, "", number == 0, live)
            );
        }
        html.push_str("</ol>\n</section>\n");
    }
    html
}

/// Every run, folded away.
fn runs(comparison: &Comparison) -> String {
    if comparison.of != Compared::Allocators {
        return String::new();
    }
    let sheet = sheets::of_runs(comparison);
    format!(
        "<section>\n<h2>{}</h2>\n<details><summary>{}</summary>\n{}</details>\n</section>\n",
        sheet.title,
        memtide_model::text::plural(sheet.rows.len() as u64, "run"),
        table(&sheet)
    )
}

/// How it was judged, for those who have to believe it.
fn judged(comparison: &Comparison) -> String {
    let mut html = format!(
        "<section>\n<h2>How this was judged</h2>\n<p><b>Test:</b> {}.</p>\n",
        text(&words::statistics(comparison))
    );
    let (plain, cost) = match comparison.of {
        Compared::Allocators => (
            "Each arm did the same work several times, and the arms took turns in an order that was \
             drawn by lot, so that a change of the machine meets all of them. What is compared is the median \
             of the runs. An interval holds the true ratio nine times out of ten: it shows how much the \
             medians move when runs are drawn again and again from those that were made. A difference counts \
             as shown only if shuffling the names of the runs would rarely give one as great, and the more \
             arms are tried the rarer that must be, because one of many will always look good by chance. \
             Where no difference is shown there may still be one, but hardly one greater than the column \
             \u{201c}shows from\u{201d} says.",
            Some(words::overhead(comparison)),
        ),
        Compared::Recordings => (
            "Each recording was analysed alone, and the rates of growth were held against each other with \
             their intervals, which hold the true rate nine times out of ten. Two recordings of different \
             work differ for that reason, too: this comparison cannot know whether the work was the same.",
            None,
        ),
    };
    let _ = writeln!(html, "<p>{plain}</p>");
    if let Some(cost) = cost {
        let _ = writeln!(html, "<p><b>Cost:</b> {}.</p>", text(&cost));
    }
    let found = comparison
        .arms
        .iter()
        .filter(|arm| !arm.allocator.is_empty());
    let found: Vec<String> = found.map(found_line).collect();
    if !found.is_empty() {
        let _ = writeln!(
            html,
            "<p><b>Found in the running program:</b> {}.</p>",
            found.join("; ")
        );
    }
    html.push_str("</section>\n");
    html
}

fn found_line(arm: &Arm) -> String {
    format!(
        "<code>{}</code> is {}",
        short(&arm.arm),
        short(&arm.allocator)
    )
}
