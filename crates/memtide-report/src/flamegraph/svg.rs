//! A flame graph as SVG: a file of its own, or a part of the page.
//!
//! Text is set in a monospaced font of known width, so that it is known what fits into a box
//! without a browser. A box's title holds its whole name and is shown by the browser when the
//! pointer rests on it. In a file a small script of our own widens a box that is clicked; the page
//! allows no scripts and has none.

use super::What;
use super::layout::{self, Bounds, Frame};
use super::paint::{self, ROW};
use super::tree::Tree;
use crate::terminal::style;
use crate::{escape, names};
use memtide_model::report::Report;
use std::fmt::Write as _;

const SCRIPT: &str = include_str!("../../assets/flamegraph.js");

/// Advance of a character of the monospaced fonts at 12 px: 0.6 em and a little.
const ADVANCE: f64 = 7.25;

/// Room left of and right of a box's text.
const PADDING: f64 = 4.0;

/// The longest name that the script is told, in characters.
const NAME: usize = 140;

/// Edge around a file's picture.
const MARGIN: f64 = 16.0;

/// Mean advance of running text at 12.5 px, generously.
const TEXT_ADVANCE: f64 = 6.9;

/// Boxes and rows of a file.
const FILE: Bounds = Bounds {
    boxes: 4_000,
    depth: 72,
};

/// The picture with title, explanation and legend.
pub(super) fn file(report: &Report, what: What, width: u32) -> String {
    let tree = Tree::new(report, what);
    let boxes = layout::boxes(&tree, what, FILE);
    let width = f64::from(width);
    let mut body = String::new();
    let mut y = MARGIN + 18.0;
    let columns = |advance: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few hundred characters"
        )]
        let columns = ((width - 2.0 * MARGIN) / advance) as usize;
        columns
    };
    for line in style::wrap(what.title(), columns(10.5)) {
        text(&mut body, MARGIN, y, "title", &line);
        y += 24.0;
    }
    for sentence in paint::about(report, what, &tree, !boxes.is_empty()) {
        for line in style::wrap(&escape::clip(&sentence, 600), columns(TEXT_ADVANCE)) {
            text(&mut body, MARGIN, y, "muted", &line);
            y += 18.0;
        }
    }
    y = legend(&mut body, &boxes, what, y + 8.0, width) + 6.0;
    let rows = draw(&mut body, &boxes, (MARGIN, y, width - 2.0 * MARGIN), true);
    let height = y + rows as f64 * ROW + MARGIN;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"flame\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">\n\
         <style>\n{}.flame .title,.flame .muted,.flame .key{{font:12.5px Inter,system-ui,sans-serif}}\
         .flame .title{{font-size:18px;font-weight:600}}.flame .box{{cursor:pointer}}\n</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{body}\
         <script>//<![CDATA[\n{SCRIPT}//]]></script>\n</svg>\n",
        what.title(),
        super::style_sheet(),
    )
}

fn text(body: &mut String, x: f64, y: f64, class: &str, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(
        body,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
        escape::html(line)
    );
}

/// The legend in as many lines as it needs; returns where the next thing may begin.
fn legend(body: &mut String, boxes: &[Frame], what: What, top: f64, width: f64) -> f64 {
    let entries = paint::legend(boxes, what);
    let (mut x, mut y) = (MARGIN, top);
    for (fill, words) in &entries {
        let needed = 18.0 + words.chars().count() as f64 * TEXT_ADVANCE;
        if x > MARGIN && x + needed > width - MARGIN {
            (x, y) = (MARGIN, y + 20.0);
        }
        let _ = writeln!(
            body,
            "<rect class=\"{}\" x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\"/>",
            fill.class(),
            y - 11.0
        );
        text(body, x + 18.0, y, "key", words);
        x += needed + 18.0;
    }
    if entries.is_empty() { y } else { y + 14.0 }
}

/// The boxes into `(left, top, width)`; returns the rows. With `script` each box also says its name
/// to the script, for when it is wider.
fn draw(body: &mut String, boxes: &[Frame], place: (f64, f64, f64), script: bool) -> usize {
    let (left, top, width) = place;
    for frame in boxes {
        let x = left + frame.left * width;
        let y = top + frame.depth as f64 * ROW;
        let wide = frame.width * width;
        let name = if script {
            let fits = |text: &str| text.chars().count() <= NAME;
            let name = names::fitted(&frame.label, fits).unwrap_or_default();
            format!(" data-name=\"{}\"", escape::html(&name))
        } else {
            String::new()
        };
        let _ = write!(
            body,
            "<g class=\"box\"{name}><title>{}</title><rect class=\"{}\" x=\"{x:.2}\" y=\"{y}\" \
             width=\"{wide:.2}\" height=\"{}\"/>",
            escape::html(&frame.title),
            frame.fill.class(),
            ROW - 1.0
        );
        let room = wide - 2.0 * PADDING;
        let fits = |text: &str| style::columns(text) as f64 * ADVANCE <= room;
        if let Some(label) = (room > ADVANCE)
            .then(|| names::fitted(&frame.label, fits))
            .flatten()
        {
            let _ = write!(
                body,
                "<text x=\"{:.2}\" y=\"{}\">{}</text>",
                x + PADDING,
                y + 13.0,
                escape::html(&label)
            );
        }
        body.push_str("</g>\n");
    }
    boxes.iter().map(|frame| frame.depth + 1).max().unwrap_or(0)
}

/// The boxes alone as inline SVG of `width` logical pixels, for a page that has [`super::style_sheet`]
/// in its head; `None` where there is nothing to draw.
pub(crate) fn inline(
    report: &Report,
    what: What,
    width: u32,
    class: &str,
    label: &str,
) -> Option<String> {
    let tree = Tree::new(report, what);
    // A box of less than a pixel and a half shows nothing on a page.
    let bounds = Bounds {
        boxes: usize::try_from(width).unwrap_or(400).min(600),
        depth: 40,
    };
    let boxes = layout::boxes(&tree, what, bounds);
    if boxes.is_empty() {
        return None;
    }
    let mut body = String::new();
    let rows = draw(&mut body, &boxes, (0.0, 0.0, f64::from(width)), false);
    Some(format!(
        "<svg class=\"flame {class}\" viewBox=\"0 0 {width} {}\" role=\"img\" aria-label=\"{}\">\n\
         {body}</svg>\n",
        rows as f64 * ROW,
        escape::html(label)
    ))
}

/// What the colours of an inline graph mean, as a list.
pub(crate) fn key(report: &Report, what: What) -> String {
    let tree = Tree::new(report, what);
    let boxes = layout::boxes(&tree, what, FILE);
    let mut list = String::from("<ul class=\"legend\">\n");
    for (fill, words) in paint::legend(&boxes, what) {
        let _ = writeln!(
            list,
            "<li><svg class=\"flame\" viewBox=\"0 0 20 14\" aria-hidden=\"true\"><rect class=\"{}\" \
             x=\"4\" y=\"1\" width=\"12\" height=\"12\"/></svg>{words}</li>",
            fill.class()
        );
    }
    list.push_str("</ul>\n");
    list
}
