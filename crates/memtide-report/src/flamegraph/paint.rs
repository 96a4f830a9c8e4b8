//! A flame graph as a picture, and the words that stand beside every flame graph.

use super::What;
use super::color::Fill;
use super::layout::{self, Bounds, Frame};
use super::tree::Tree;
use crate::chart::canvas::{Canvas, Lettering, Rect};
use crate::chart::font::Fonts;
use crate::chart::palette;
use crate::{Error, names, png, sentences};
use memtide_model::report::Report;
use memtide_model::text;
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

/// Height of a row of boxes in logical pixels.
pub(super) const ROW: f64 = 18.0;

/// Edge around the picture.
const MARGIN: f64 = 28.0;

/// Boxes and rows of a picture, which nobody can widen.
const PICTURE: Bounds = Bounds {
    boxes: 2_000,
    depth: 48,
};

/// What must be known to read the graph, as sentences.
pub(super) fn about(report: &Report, what: What, tree: &Tree, drawn: bool) -> Vec<String> {
    let mut about = vec![format!(
        "{}: {}.",
        sentences::target(report),
        sentences::window(report)
    )];
    if report.stacks.is_none() {
        about.push("No stacks were recorded: memtide run --heap records them.".to_owned());
        return about;
    }
    if drawn {
        about.push(how_to_read(what, tree));
    } else {
        about.push(match what {
            What::NeverFreed => "No block is known to have never been freed.".to_owned(),
            _ => "No stack holds memory.".to_owned(),
        });
    }
    if what == What::Growth && tree.vanished > 0 {
        about.push(format!(
            "Stacks that hold nothing any more have no width: they freed {}.",
            text::bytes(tree.vanished as f64)
        ));
    }
    about
}

fn how_to_read(what: What, tree: &Tree) -> String {
    let total = tree.nodes.first().map_or(0, |root| root.bytes);
    let about = if tree.estimated { "~" } else { "" };
    let (width, color) = match what {
        What::Growth => (
            "bytes live at the end",
            "; its colour says how they changed over the recording",
        ),
        What::Live => ("bytes live at the end", ""),
        What::Peak => ("bytes live when all live bytes were highest", ""),
        What::NeverFreed => ("bytes that were never freed", ""),
    };
    format!(
        "A box is a function, below it stand those that it called; its width is {width}, \
         {about}{} in all{color}.",
        text::bytes(total as f64)
    )
}

/// What the colours mean; of those that tell whose code it is, the ones that occur.
pub(super) fn legend(boxes: &[Frame], what: What) -> Vec<(Fill, &'static str)> {
    let entries: &[(Fill, &str)] = match what {
        _ if boxes.is_empty() => &[],
        What::Growth => &[
            (Fill::Level(4), "all of it is new"),
            (Fill::Level(2), "half of it is new"),
            (Fill::Level(0), "as it was at the start"),
            (Fill::Level(-2), "half of it was freed"),
            (Fill::Level(-4), "nearly all of it was freed"),
        ],
        _ => &[
            (Fill::Program(1), "the program"),
            (Fill::Library(1), "its libraries"),
            (Fill::Runtime, "allocator and runtimes"),
            (Fill::Unknown, "without symbol"),
        ],
    };
    let occurs = |fill: Fill| {
        what == What::Growth
            || boxes
                .iter()
                .any(|frame| std::mem::discriminant(&frame.fill) == std::mem::discriminant(&fill))
    };
    let shown = entries.iter().filter(|(fill, _)| occurs(*fill));
    shown.copied().collect()
}

/// The picture as PNG.
pub(super) fn render(report: &Report, what: What, scale: f32) -> Result<Vec<u8>, Error> {
    let fonts = Fonts::load()?;
    let tree = Tree::new(report, what);
    let boxes = layout::boxes(&tree, what, PICTURE);
    let width = f64::from(png::SIZE.0);
    let about: Vec<_> = about(report, what, &tree, !boxes.is_empty())
        .iter()
        .flat_map(|line| fonts.wrap(SMALL.weight, SMALL.size, line, width - 2.0 * MARGIN, 3))
        .collect();
    let legend = legend(&boxes, what);
    let rows = boxes.iter().map(|frame| frame.depth + 1).max().unwrap_or(0);
    let top =
        MARGIN + 38.0 + about.len() as f64 * 18.0 + if legend.is_empty() { 0.0 } else { 34.0 };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most a few thousand pixels: lines and rows are bounded"
    )]
    let size = (png::SIZE.0, (top + rows as f64 * ROW + MARGIN) as u32);
    png::painted(&fonts, size, scale, |canvas| {
        headline(canvas, what, &about, &legend)?;
        let place = (MARGIN, top, width - 2.0 * MARGIN);
        boxes
            .iter()
            .try_for_each(|frame| draw(canvas, frame, place))
    })
}

const SMALL: Lettering = Lettering::regular(13.5, palette::MUTED);

fn headline<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    what: What,
    about: &[String],
    legend: &[(Fill, &str)],
) -> Result<(), Error> {
    let title = Lettering::regular(23.0, palette::INK).semi_bold();
    canvas.text(what.title(), MARGIN, MARGIN, title)?;
    let mut y = MARGIN + 36.0;
    for line in about {
        canvas.text(line, MARGIN, y, SMALL)?;
        y += 18.0;
    }
    y += 10.0;
    let how = Lettering::regular(13.0, palette::INK).at(HPos::Left, VPos::Center);
    let mut x = MARGIN;
    for (fill, words) in legend {
        let square = Rect {
            left: x,
            top: y,
            right: x + 14.0,
            bottom: y + 14.0,
        };
        canvas.fill(square, fill.on_paper(), 1.0)?;
        canvas.text(words, x + 21.0, y + 7.0, how)?;
        x += 21.0 + f64::from(canvas.fonts().width(how.weight, how.size, words)) + 24.0;
    }
    Ok(())
}

fn draw<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    frame: &Frame,
    (left, top, width): (f64, f64, f64),
) -> Result<(), Error> {
    let x = left + frame.left * width;
    let y = top + frame.depth as f64 * ROW;
    let wide = frame.width * width;
    let gap = if wide > 3.0 { 0.8 } else { 0.0 };
    let rect = Rect {
        left: x,
        top: y,
        right: x + wide - gap,
        bottom: y + ROW - 1.0,
    };
    canvas.fill(rect, frame.fill.on_paper(), 1.0)?;
    let how = Lettering::regular(12.0, palette::INK).at(HPos::Left, VPos::Center);
    let fonts = canvas.fonts();
    let room = wide - 8.0;
    let fits =
        |text: &str| f64::from(fonts.width(how.weight, how.size, &fonts.drawable(text))) <= room;
    match (room > 6.0)
        .then(|| names::fitted(&frame.label, fits))
        .flatten()
    {
        Some(label) => canvas.text(&label, x + 4.0, y + (ROW - 1.0) / 2.0, how),
        None => Ok(()),
    }
}
