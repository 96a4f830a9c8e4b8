//! RSS over time of every run in one chart: what is drawn, and how.
//!
//! Every run is a thin line in the colour of its arm; the run that stands for the arm
//! ([`words::typical`]) is a thick one that ends in the arm's name. A dot marks where the work ended.
//! Where that is at about the same time in all runs, what follows is shaded as settling. The memory axis
//! starts at zero: arms are compared by their height.
//!
//! Failed runs are not drawn.

use super::{ARMS, words};
use crate::chart::axes::{self, Axes};
use crate::chart::canvas::{Canvas, Lettering, Pen, Rect};
use crate::chart::font::Fonts;
use crate::chart::palette;
use crate::{Error, names};
use memtide_model::comparison::{Compared, Comparison, Trial};
use plotters::prelude::DrawingBackend;
use plotters::style::text_anchor::{HPos, VPos};

/// The work of all runs ends together if it does so within this share of the time axis.
const TOGETHER: f64 = 0.15;

/// Room under a label in logical pixels.
const LINE: f64 = 17.0;

/// One run.
#[derive(Clone, Debug, PartialEq)]
struct Course {
    arm: usize,
    /// Seconds and bytes, in order of time.
    points: Vec<(f64, f64)>,
    /// True if it stands for its arm.
    typical: bool,
    /// Where the work ended, if the run went on after that.
    work_ended: Option<(f64, f64)>,
}

/// All runs, in seconds and bytes.
#[derive(Clone, Debug)]
pub(super) struct Courses {
    x: (f64, f64),
    y: (f64, f64),
    lines: Vec<Course>,
    /// From when on all runs settle.
    settling: Option<f64>,
    names: Vec<String>,
    /// What a line is, where there is one for each.
    each: &'static str,
}

impl Courses {
    /// The runs of the first [`ARMS`] arms.
    pub(super) fn new(comparison: &Comparison) -> Self {
        let mut lines = Vec::new();
        for (index, arm) in comparison.arms.iter().enumerate().take(ARMS) {
            let typical = words::typical(arm);
            for run in words::good(arm) {
                let typical = typical.is_some_and(|typical| std::ptr::eq(typical, run));
                lines.extend(course(index, run, typical));
            }
        }
        // What stands for its arm lies on top of all others.
        lines.sort_by_key(|line| line.typical);
        let points = || lines.iter().flat_map(|line| &line.points);
        let end = points().map(|point| point.0).fold(0.0, f64::max);
        let most = points().map(|point| point.1).fold(0.0, f64::max);
        let end = if end > 0.0 { end } else { 1.0 };
        Self {
            x: (0.0, end),
            y: (0.0, if most > 0.0 { most * 1.08 } else { 1_048_576.0 }),
            settling: settling(&lines, end),
            lines,
            each: match comparison.of {
                Compared::Allocators => "arm",
                Compared::Recordings => "recording",
            },
            names: (0..comparison.arms.len().min(ARMS))
                .map(|index| words::name(comparison, index))
                .collect(),
        }
    }

    /// How to read the chart, in words.
    pub(super) fn caption(&self) -> String {
        let dots = if self.lines.iter().any(|line| line.work_ended.is_some()) {
            "; a dot marks where the work ended"
        } else {
            ""
        };
        let thin = if self.lines.iter().any(|line| !line.typical) {
            "each thin line is a run, the thick one the run with the median RSS after settling"
                .to_owned()
        } else {
            format!("a line for each {}", self.each)
        };
        format!("RSS over time: {thin}{dots}")
    }

    /// Draws it; with `labels` logical pixels at the right for the names, or none.
    pub(super) fn draw<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        outer: Rect,
        labels: f64,
    ) -> Result<(), Error> {
        let outer = Rect {
            // The word above the shaded part.
            top: outer.top + 18.0,
            right: outer.right - labels,
            ..outer
        };
        let axes = Axes::new(canvas, self.x, self.y, outer);
        if self.lines.is_empty() {
            return axes::nothing(canvas, axes.inner);
        }
        self.shade(canvas, &axes)?;
        axes.draw(canvas)?;
        for line in &self.lines {
            line.draw(canvas, &axes)?;
        }
        if labels > 0.0 {
            self.name(canvas, &axes, labels)?;
        }
        Ok(())
    }

    fn shade<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, axes: &Axes) -> Result<(), Error> {
        let Some(from) = self.settling else {
            return Ok(());
        };
        let left = axes.at((from, 0.0)).0;
        canvas.fill(Rect { left, ..axes.inner }, palette::BASE, 0.4)?;
        let how = Lettering::regular(axes::LABEL, palette::MUTED).at(HPos::Right, VPos::Bottom);
        let (x, y) = (axes.inner.right, axes.inner.top - 7.0);
        canvas.text("work done, settling", x, y, how)
    }

    /// The name of each arm at the height where its line ends, moved so that no two overlap.
    fn name<B: DrawingBackend>(
        &self,
        canvas: &Canvas<'_, B>,
        axes: &Axes,
        room: f64,
    ) -> Result<(), Error> {
        let ends: Vec<_> = self
            .lines
            .iter()
            .filter(|line| line.typical)
            .filter_map(|line| Some((line.arm, axes.at(*line.points.last()?))))
            .collect();
        let wanted: Vec<_> = ends.iter().map(|(_, (_, y))| *y).collect();
        let placed = apart(&wanted, axes.inner.top, axes.inner.bottom);
        let how = Lettering::regular(12.5, palette::INK).at(HPos::Left, VPos::Center);
        let x = axes.inner.right;
        for ((arm, (from, height)), y) in ends.into_iter().zip(placed) {
            // Dotted, for it is no run that goes on.
            let pen = Pen {
                dashes: Some((1.5, 3.5)),
                ..Pen::new(palette::arm(arm), 1.0)
            };
            canvas.trace(&[(from, height), (x + 4.0, height), (x + 14.0, y)], pen)?;
            canvas.line(&[(x + 14.0, y), (x + 24.0, y)], palette::arm(arm), 3.0)?;
            let name = self.names.get(arm).map_or("", String::as_str);
            let name = fitted(canvas.fonts(), how, name, room - 30.0);
            canvas.text(&name, x + 30.0, y, how)?;
        }
        Ok(())
    }
}

/// A name cut in its middle to so many logical pixels.
pub(super) fn fitted(fonts: &Fonts, how: Lettering, name: &str, room: f64) -> String {
    let fits =
        |text: &str| f64::from(fonts.width(how.weight, how.size, &fonts.drawable(text))) <= room;
    names::cut(name, fits).unwrap_or_default()
}

impl Course {
    fn draw<B: DrawingBackend>(&self, canvas: &Canvas<'_, B>, axes: &Axes) -> Result<(), Error> {
        let points: Vec<_> = self.points.iter().map(|point| axes.at(*point)).collect();
        let color = palette::arm(self.arm);
        let dashes = palette::arm_repeats(self.arm).then_some((6.0, 4.0));
        let dot = self.work_ended.map(|point| axes.at(point));
        if !self.typical {
            let pen = Pen {
                alpha: 0.45,
                dashes,
                ..Pen::new(color, 0.9)
            };
            canvas.trace(&points, pen)?;
            return dot.map_or(Ok(()), |at| canvas.dot(at, 1.6, color));
        }
        canvas.line(&points, palette::PAPER, 3.4)?;
        let pen = Pen {
            dashes,
            ..Pen::new(color, 2.2)
        };
        canvas.trace(&points, pen)?;
        dot.map_or(Ok(()), |at| {
            canvas.dot(at, 5.2, palette::PAPER)?;
            canvas.dot(at, 4.0, color)
        })
    }
}

/// A run as it is drawn; `None` without a sample.
fn course(arm: usize, run: &Trial, typical: bool) -> Option<Course> {
    let finite = run.rss.iter().filter(|point| point.0.is_finite());
    let mut points: Vec<_> = finite
        .map(|(seconds, bytes)| (seconds.max(0.0), *bytes as f64))
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let last = points.last()?.0;
    // A run that ends with its work has no settling to show.
    let after = run
        .work_ended_at
        .filter(|at| *at >= 0.0 && *at < last * 0.98);
    Some(Course {
        arm,
        typical,
        work_ended: after.and_then(|at| Some((at, value_at(&points, at)?))),
        points,
    })
}

/// RSS at a moment, on the line between two samples.
fn value_at(points: &[(f64, f64)], at: f64) -> Option<f64> {
    let next = points.partition_point(|point| point.0 < at);
    let later = points.get(next)?;
    let Some(earlier) = next.checked_sub(1).and_then(|before| points.get(before)) else {
        return Some(later.1);
    };
    let span = later.0 - earlier.0;
    let part = if span > 0.0 {
        (at - earlier.0) / span
    } else {
        1.0
    };
    Some(earlier.1 + (later.1 - earlier.1) * part)
}

/// From when on all settle: the latest end of the work of any run, if the ends are close together.
fn settling(lines: &[Course], end: f64) -> Option<f64> {
    let mut ends = Vec::new();
    for line in lines {
        ends.push(line.work_ended?.0);
    }
    let first = ends.iter().copied().reduce(f64::min)?;
    let last = ends.iter().copied().reduce(f64::max)?;
    (last - first <= TOGETHER * end).then_some(last)
}

/// Heights as near to the wanted ones as a [`LINE`] between any two allows, within top and bottom.
fn apart(wanted: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    let height = |index: &usize| wanted.get(*index).copied().unwrap_or(top);
    order.sort_by(|a, b| height(a).total_cmp(&height(b)));
    let line = LINE.min((bottom - top) / wanted.len().max(1) as f64);
    let mut placed = vec![top; wanted.len()];
    let mut least = top;
    for index in &order {
        placed[*index] = height(index).max(least);
        least = placed[*index] + line;
    }
    // Those that were pushed out at the bottom push back.
    let mut most = bottom;
    for index in order.iter().rev() {
        placed[*index] = placed[*index].min(most);
        most = placed[*index] - line;
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_overlap_and_stay_inside() {
        for wanted in [
            vec![100.0],
            vec![100.0, 101.0, 102.0, 103.0],
            vec![290.0, 299.0, 300.0, 0.0, 1.0],
            vec![150.0; 16],
        ] {
            let placed = apart(&wanted, 0.0, 300.0);
            let mut sorted = placed.clone();
            sorted.sort_by(f64::total_cmp);
            for pair in sorted.windows(2) {
                assert!(pair[1] - pair[0] >= LINE - 1e-6, "{placed:?}");
            }
            assert!(
                placed.iter().all(|y| (0.0..=300.0).contains(y)),
                "{placed:?}"
            );
        }
        assert_eq!(
            apart(&[100.0, 200.0], 0.0, 300.0),
            [100.0, 200.0],
            "where there is room, in place"
        );
        assert!(apart(&[], 0.0, 300.0).is_empty());
    }

    #[test]
    fn the_end_of_the_work_lies_on_the_line() {
        let points = [(0.0, 10.0), (2.0, 30.0), (4.0, 30.0)];
        assert_eq!(value_at(&points, 1.0), Some(20.0));
        assert_eq!(value_at(&points, 0.0), Some(10.0));
        assert_eq!(value_at(&points, 5.0), None);
    }

    #[test]
    fn a_run_that_ends_with_its_work_does_not_settle() {
        let run = Trial {
            rss: vec![(0.0, 1), (10.0, 2)],
            work_ended_at: Some(10.0),
            ..Trial::default()
        };
        assert_eq!(course(0, &run, true).unwrap().work_ended, None);
        let run = Trial {
            work_ended_at: Some(5.0),
            ..run
        };
        let course = course(0, &run, true).unwrap();
        assert_eq!(course.work_ended, Some((5.0, 1.5)));
        let ending = |at: f64, typical: bool| Course {
            work_ended: Some((at, 1.0)),
            typical,
            ..course.clone()
        };
        let together = [ending(5.0, true), ending(5.5, false)];
        assert_eq!(
            settling(&together, 10.0),
            Some(5.5),
            "a thin line counts, too"
        );
        assert_eq!(
            settling(&[ending(5.0, true), ending(8.0, false)], 10.0),
            None
        );
        let without = Course {
            work_ended: None,
            ..course.clone()
        };
        assert_eq!(settling(&[ending(5.0, true), without], 10.0), None);
    }
}
