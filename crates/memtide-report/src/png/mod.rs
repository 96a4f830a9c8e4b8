//! The report as a picture that can be put into a ticket.
//!
//! The title is the verdict, the subtitle says of what and from how much data; below it the chart of
//! [`crate::chart`], at its right the legend with the numbers. plotters composes, tiny-skia paints
//! ([`backend`]); fonts are embedded.

pub(crate) mod backend;

use crate::chart::canvas::{Canvas, Lettering, Rect};
use crate::chart::font::Fonts;
use crate::chart::legend::{self, Entry, Mark, VEIL};
use crate::chart::paint::{self, BAND};
use crate::chart::palette;
use crate::chart::plan::Plan;
use crate::{Error, sentences};
use backend::SkiaBackend;
use memtide_model::Findings;
use plotters::prelude::{DrawingBackend, IntoDrawingArea as _};
use plotters::style::text_anchor::{HPos, VPos};

/// Width and height in logical pixels.
pub const SIZE: (u32, u32) = (1100, 620);

/// The scale that looks sharp on today's screens.
pub const DEFAULT_SCALE: f32 = 2.0;

const WIDTH: f64 = SIZE.0 as f64;
const HEIGHT: f64 = SIZE.1 as f64;
pub(crate) const MARGIN: f64 = 28.0;
const LEGEND: f64 = 264.0;

/// The report as a PNG of [`SIZE`] times `scale` pixels; `scale` from 0.25 to 8.
pub fn render(findings: &Findings, scale: f32) -> Result<Vec<u8>, Error> {
    let fonts = Fonts::load()?;
    painted(&fonts, SIZE, scale, |canvas| {
        picture(canvas, findings, scale)
    })
}

/// What `paint` puts on a sheet of `size` logical pixels, as a PNG.
pub(crate) fn painted(
    fonts: &Fonts,
    size: (u32, u32),
    scale: f32,
    paint: impl FnOnce(&Canvas<'_, SkiaBackend<'_>>) -> Result<(), Error>,
) -> Result<Vec<u8>, Error> {
    if !(0.25..=8.0).contains(&scale) {
        return Err(Error::Scale(scale));
    }
    let mut pixmap = backend::pixmap(size, scale)?;
    {
        let area = SkiaBackend::new(&mut pixmap, fonts, size, scale).into_drawing_area();
        let canvas = Canvas::new(&area, fonts);
        canvas.background(palette::PAPER)?;
        paint(&canvas)?;
        area.present()
            .map_err(|error| Error::Compose(error.to_string()))?;
    }
    pixmap
        .encode_png()
        .map_err(|error| Error::Encode(error.to_string()))
}

fn picture<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    findings: &Findings,
    scale: f32,
) -> Result<(), Error> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand pixels"
    )]
    let columns = ((WIDTH - LEGEND - 2.0 * MARGIN) * f64::from(scale)) as usize;
    let plan = Plan::new(findings, columns);
    let headline = Headline::new(
        canvas.fonts(),
        &findings.report.verdict.summary,
        &about(findings, &plan),
    );
    headline.draw(canvas)?;
    let top = headline.bottom();
    let chart = Rect {
        left: MARGIN,
        top,
        right: WIDTH - LEGEND - MARGIN,
        bottom: HEIGHT - MARGIN + 4.0,
    };
    paint::chart(canvas, &plan, chart)?;
    let left = WIDTH - LEGEND - MARGIN + 28.0;
    let mut y = top + 6.0;
    for entry in legend::entries(&plan, &findings.report) {
        y += key(canvas, &entry, left, y)?;
    }
    Ok(())
}

/// Title and subtitle of a picture, broken into lines and placed.
pub(crate) struct Headline {
    lines: Vec<(String, f64, Lettering)>,
    bottom: f64,
}

impl Headline {
    /// A title of three lines at most, and under it sentences of two.
    pub(crate) fn new(fonts: &Fonts, title: &str, about: &[String]) -> Self {
        let large = Lettering::regular(23.0, palette::INK).semi_bold();
        let small = Lettering::regular(13.5, palette::MUTED);
        let subtitles = about.iter().map(|line| (line.as_str(), small, 2, 1.0));
        let mut lines = Vec::new();
        let mut y = MARGIN;
        for (words, how, most, gap) in std::iter::once((title, large, 3, 8.0)).chain(subtitles) {
            let room = WIDTH - 2.0 * MARGIN;
            for line in fonts.wrap(how.weight, how.size, words, room, most) {
                lines.push((line, y, how));
                y += f64::from(how.size) * 1.32;
            }
            y += gap;
        }
        Self {
            lines,
            bottom: y + 26.0,
        }
    }

    /// Where what it is about may begin, in logical pixels from the top.
    pub(crate) const fn bottom(&self) -> f64 {
        self.bottom
    }

    /// Draws it.
    pub(crate) fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>) -> Result<(), Error> {
        for (line, y, how) in &self.lines {
            canvas.text(line, MARGIN, *y, *how)?;
        }
        Ok(())
    }
}

/// The lines under the title: the verdict and its ground, the rate and where it leads, and what must
/// be known to read the chart.
fn about(findings: &Findings, plan: &Plan) -> Vec<String> {
    let report = &findings.report;
    let ground = format!(
        "{}: {}",
        sentences::target(report),
        sentences::window(report)
    );
    let rate =
        sentences::rate(report).map(|rate| format!("RSS: {}, {rate}", report.growth.shape.words()));
    let course: Vec<_> = rate
        .into_iter()
        .chain(report.forecast.as_ref().map(sentences::forecast))
        .collect();
    let lines = [
        vec![sentences::verdict(report), ground],
        course,
        plan.notes(),
    ];
    lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| line.join(" · "))
        .collect()
}

/// One entry of the legend: its mark, name and numbers; returns the height that it took. Where name and
/// numbers do not fit one line, the numbers stand below.
fn key<B: DrawingBackend>(
    canvas: &Canvas<'_, B>,
    entry: &Entry,
    left: f64,
    y: f64,
) -> Result<f64, Error> {
    let middle = y + 8.0;
    let square = Rect {
        left: left + 3.0,
        top: y + 1.0,
        right: left + 17.0,
        bottom: y + 15.0,
    };
    match entry.mark {
        Mark::Line => canvas.line(&[(left, middle), (left + 20.0, middle)], entry.color, 2.0)?,
        Mark::Dashes => {
            canvas.line(&[(left, middle), (left + 8.0, middle)], entry.color, 2.0)?;
            canvas.line(
                &[(left + 12.0, middle), (left + 20.0, middle)],
                entry.color,
                2.0,
            )?;
        }
        Mark::Veil => canvas.fill(
            Rect {
                left,
                right: left + 20.0,
                ..square
            },
            entry.color,
            VEIL,
        )?,
        Mark::Square => canvas.fill(square, entry.color, BAND)?,
        Mark::Hatch => {
            for stripe in [1.0, 6.0, 11.0] {
                let x = square.left + stripe;
                canvas.line(&[(x, square.top), (x, square.bottom)], entry.color, 1.0)?;
            }
        }
    }
    let how = Lettering::regular(13.0, palette::INK).at(HPos::Left, VPos::Center);
    let width = |text: &str| f64::from(canvas.fonts().width(how.weight, how.size, text));
    let needed = width(&entry.label) + width(&entry.value) + 14.0;
    let below = if needed > WIDTH - MARGIN - left - 28.0 {
        19.0
    } else {
        0.0
    };
    canvas.text(&entry.label, left + 28.0, middle, how)?;
    let how = Lettering {
        color: palette::MUTED,
        ..how.at(HPos::Right, VPos::Center)
    };
    canvas.text(&entry.value, WIDTH - MARGIN, middle + below, how)?;
    Ok(27.0 + below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::report::{Ended, Growth, How, Oom, Recording, Report, Target, Verdict};
    use memtide_model::{Bytes, Reasoning, Shape, Timeline, TimelinePoint, VerdictKind};
    use tiny_skia::Pixmap;

    const SCALE: f32 = 2.0;
    const MIB: f64 = 1024.0 * 1024.0;

    /// RSS alone: a slow rise with noise of 10 MiB, as in a garbage-collected process.
    fn noisy(count: u32) -> Findings {
        let points = (0..count)
            .map(|index| {
                let noise = f64::from(index.wrapping_mul(2_654_435_761) >> 16) / 65_536.0;
                let value = 500.0 * MIB
                    + f64::from(index) / f64::from(count) * 200.0 * MIB
                    + 10.0 * MIB * noise;
                let rss = bytes(value);
                TimelinePoint {
                    seconds: f64::from(index),
                    rss,
                    rss_range: (rss, rss),
                    accounts: Vec::new(),
                }
            })
            .collect();
        Findings {
            report: silent(),
            timeline: Timeline {
                points,
                ..Timeline::default()
            },
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few hundred MiB"
    )]
    fn bytes(value: f64) -> Bytes {
        Bytes(value as u64)
    }

    fn silent() -> Report {
        Report {
            schema: String::new(),
            target: Target {
                pid: 1,
                name: String::new(),
                exe: String::new(),
                cmdline: Vec::new(),
                uid: 0,
                allocator: String::new(),
                runtime: String::new(),
            },
            recording: Recording {
                file: String::new(),
                started: String::new(),
                seconds: 0.0,
                samples: 0,
                gaps: 0,
                lenses: Vec::new(),
                cost_cpu_seconds: 0.0,
                reads: Vec::new(),
            },
            ended: Ended {
                how: How::Running,
                code: None,
                signal: None,
                oom: Oom::No,
            },
            verdict: Verdict {
                kind: VerdictKind::NoGrowth,
                confidence: 0.0,
                summary: String::new(),
                candidates: Vec::new(),
                evidence: Vec::new(),
                advice: Vec::new(),
            },
            growth: Growth {
                shape: Shape::Linear,
                rss_bytes: 0,
                rss_bytes_per_second: None,
                low: None,
                high: None,
            },
            ledger: Vec::new(),
            beside: Vec::new(),
            counts: Vec::new(),
            forecast: None,
            threads: None,
            stacks: None,
            allocations: None,
            classes: None,
            processes: None,
            tree: None,
            heap: None,
            leaks: None,
            events: Vec::new(),
            warnings: Vec::new(),
            reasoning: Reasoning::default(),
        }
    }

    /// The chart alone on paper, with its plan and where its axes are.
    fn painted(findings: &Findings) -> (Pixmap, Plan, Rect) {
        let fonts = Fonts::load().unwrap();
        let mut pixmap = backend::pixmap(SIZE, SCALE).unwrap();
        let plan = Plan::new(findings, 1600);
        let outer = Rect {
            left: 20.0,
            top: 20.0,
            right: 1080.0,
            bottom: 600.0,
        };
        let inner = {
            let area = SkiaBackend::new(&mut pixmap, &fonts, SIZE, SCALE).into_drawing_area();
            let canvas = Canvas::new(&area, &fonts);
            canvas.background(palette::PAPER).unwrap();
            paint::chart(&canvas, &plan, outer).unwrap()
        };
        (pixmap, plan, inner)
    }

    /// Painted pixels of each column lie within the data that fall into it or into its neighbours,
    /// give or take the pen.
    fn stays_within_the_data(count: u32) {
        let findings = noisy(count);
        let (pixmap, plan, inner) = painted(&findings);
        let scale = f64::from(SCALE);
        let (left, right) = (inner.left * scale, inner.right * scale);
        let (top, bottom) = (inner.top * scale, inner.bottom * scale);
        let per_pixel = (plan.y.1 - plan.y.0) / (bottom - top);
        // Half of the pen of 1.8 logical pixels, and a pixel of anti-aliasing.
        let pen = (0.9 * scale + 1.0) * per_pixel;
        let mut checked = 0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "pixels"
        )]
        for x in (left as u32 + 4)..(right as u32 - 4) {
            let dark = |y: &u32| pixmap.pixel(x, *y).is_some_and(|pixel| pixel.red() < 130);
            let rows: Vec<u32> = (top as u32..bottom as u32 - 3).filter(dark).collect();
            let at =
                |pixel: f64| (pixel - left) / (right - left) * (plan.x.1 - plan.x.0) + plan.x.0;
            // A line crosses a column on its way between two samples: those beside it count too.
            let (from, to) = (at(f64::from(x) - 3.0) - 1.0, at(f64::from(x) + 4.0) + 1.0);
            let values = findings
                .timeline
                .points
                .iter()
                .filter(|p| (from..=to).contains(&p.seconds))
                .map(|p| p.rss.as_f64());
            let (low, high) =
                values.fold((f64::INFINITY, 0.0_f64), |(a, b), v| (a.min(v), b.max(v)));
            for y in rows {
                let value = plan.y.1 - (f64::from(y) + 0.5 - top) * per_pixel;
                assert!(
                    (low - pen..=high + pen).contains(&value),
                    "{count} samples, column {x}: {:.1} MiB painted, data {:.1} to {:.1} MiB",
                    value / MIB,
                    low / MIB,
                    high / MIB
                );
                checked += 1;
            }
        }
        assert!(checked > 4_000, "the line was painted: {checked} pixels");
    }

    #[test]
    fn no_spikes_in_a_line_through_every_sample() {
        stays_within_the_data(2_880);
    }

    #[test]
    fn no_spikes_in_a_line_through_medians() {
        stays_within_the_data(50_000);
    }

    #[test]
    fn a_peak_of_one_sample_in_fifty_thousand_is_painted() {
        let mut findings = noisy(50_000);
        findings.timeline.points[25_000].rss_range.1 = Bytes(900 << 20);
        let (pixmap, plan, inner) = painted(&findings);
        let scale = f64::from(SCALE);
        let y = inner.bottom
            - (850.0 * MIB - plan.y.0) / (plan.y.1 - plan.y.0) * (inner.bottom - inner.top);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "pixels"
        )]
        let (left, right, y) = (
            (inner.left * scale) as u32,
            (inner.right * scale) as u32,
            (y * scale) as u32,
        );
        let marked = (left..right)
            .filter(|x| pixmap.pixel(*x, y).is_some_and(|pixel| pixel.red() < 215))
            .count();
        assert!((1..12).contains(&marked), "{marked} pixels at 850 MiB");
    }
}
