//! The samples: which ticks are given, and their values as of them.

use super::Source;
use crate::bucket::{Light, fold};
use crate::cells::{self, CLASS_COLUMNS, Cells, GROUPS, Group, MAPS_TOTAL};
use crate::schema;
use memtide_model::{Maps, Merged, Nanos, PerClass, ProcessId, Sample};
use rusqlite::{Connection, Result, Row, Rows, Statement};

/// The ticks that are given, with what they stand for: all, where they are no more than the limit, but for
/// those that came faster than each `interval` (near a limit of memory they do). A denser end would weigh more in
/// every statistic than it lasted. The last tick stays as it is: it is the last that was seen.
pub(super) fn pick(ticks: &[Light], limit: usize, interval: Nanos) -> Vec<(Light, Merged)> {
    if ticks.len() <= limit {
        return evened(ticks, interval);
    }
    let (Some(first), Some(last)) = (ticks.first(), ticks.last()) else {
        return Vec::new();
    };
    let width = ((last.at - first.at).0 / limit as u64).saturating_add(1);
    let bucket = |tick: &Light| (tick.at - first.at).0 / width;
    // A damaged file may have times out of order: then there are more groups than spans.
    let groups = ticks.chunk_by(|a, b| bucket(a) == bucket(b)).take(limit);
    groups
        .filter_map(|group| {
            let (tick, merged) = fold(group)?;
            let kept = group.iter().find(|light| light.tick == tick)?;
            Some((*kept, merged))
        })
        .collect()
}

/// From three ticks in an interval on, their median stands for them.
fn evened(ticks: &[Light], interval: Nanos) -> Vec<(Light, Merged)> {
    let Some((last, before)) = ticks.split_last() else {
        return Vec::new();
    };
    let first = ticks.first().map_or(last.at, |tick| tick.at);
    let slot = |tick: &Light| (tick.at - first).0 / interval.0.max(1);
    let alone = |tick: &Light| (*tick, tick.merged);
    let mut picked = Vec::with_capacity(ticks.len());
    for group in before.chunk_by(|a, b| slot(a) == slot(b)) {
        let folded = fold(group).filter(|_| group.len() > 2);
        let kept = folded.and_then(|(tick, merged)| {
            let kept = group.iter().find(|light| light.tick == tick)?;
            Some((*kept, merged))
        });
        match kept {
            Some(kept) => picked.push(kept),
            None => picked.extend(group.iter().map(alone)),
        }
    }
    picked.push(alone(last));
    picked
}

/// Rows in order of ticks, one ahead of what is asked for.
struct Ahead<'s, T> {
    rows: Rows<'s>,
    source: Source,
    parse: fn(&Row<'_>) -> Result<(i64, T)>,
    next: Option<(i64, T)>,
    /// The tick of the last row that was taken, and whether no more can be read behind it.
    last: i64,
    broken: bool,
}

impl<'s, T> Ahead<'s, T> {
    fn new(
        statement: &'s mut Statement<'_>,
        source: Source,
        parse: fn(&Row<'_>) -> Result<(i64, T)>,
    ) -> Result<Self> {
        let rows = statement.query([])?;
        let mut ahead = Self {
            rows,
            source,
            parse,
            next: None,
            last: i64::MIN,
            broken: false,
        };
        ahead.fetch()?;
        Ok(ahead)
    }

    fn fetch(&mut self) -> Result<()> {
        let next = match self.rows.next() {
            Ok(Some(row)) => (self.parse)(row).map(Some),
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        self.next = match next {
            Err(_) if self.source == Source::Damaged => {
                self.broken = true;
                None
            }
            // The end of a page that is half there reads as zeros: rows of a tick that never was.
            Ok(Some((tick, _))) if self.source == Source::Damaged && tick < self.last.max(1) => {
                self.broken = true;
                None
            }
            next => next?,
        };
        Ok(())
    }

    /// The next row that is not younger than `tick`.
    fn take(&mut self, tick: i64) -> Result<Option<T>> {
        match self.next.take() {
            Some((from, value)) if from <= tick => {
                self.last = from;
                self.fetch()?;
                Ok(Some(value))
            }
            next => {
                self.next = next;
                Ok(None)
            }
        }
    }

    /// False where a row that would hold as of `tick` may be among those that cannot be read.
    fn reaches(&self, tick: i64) -> bool {
        !self.broken || self.last >= tick
    }
}

/// A series: the row that holds as of a tick.
struct AsOf<'s> {
    rows: Ahead<'s, Cells>,
    current: Cells,
}

impl AsOf<'_> {
    /// Ticks must be asked for in order. `None` behind where a damaged series breaks: an old value
    /// would pass for a current one.
    fn at(&mut self, tick: i64) -> Result<Option<Cells>> {
        while let Some(cells) = self.rows.take(tick)? {
            self.current = cells;
        }
        Ok(self.rows.reaches(tick).then_some(self.current))
    }
}

/// The classes, likewise.
struct Classes<'s> {
    rows: Ahead<'s, (i64, Cells)>,
    current: PerClass<Cells>,
}

impl Classes<'_> {
    fn at(&mut self, tick: i64) -> Result<Option<&PerClass<Cells>>> {
        while let Some((code, cells)) = self.rows.take(tick)? {
            if let Some(class) = schema::class_of(code) {
                *self.current.get_mut(class) = cells;
            }
        }
        Ok(self.rows.reaches(tick).then_some(&self.current))
    }
}

/// A row of a series: the tick and all columns behind it.
fn series_row(row: &Row<'_>) -> Result<(i64, Cells)> {
    let width = row.as_ref().column_count() - 1;
    Ok((row.get(0)?, cells::read(row, 1, width)?))
}

fn class_row(row: &Row<'_>) -> Result<(i64, (i64, Cells))> {
    let cells = cells::read(row, 2, CLASS_COLUMNS.len())?;
    Ok((row.get(0)?, (row.get(1)?, cells)))
}

/// The samples of the picked ticks. Of a damaged file values that cannot be read are absent, and
/// the samples end where one breaks that cannot be.
pub(super) fn read(
    file: &Connection,
    source: Source,
    picks: &[(Light, Merged)],
    process: ProcessId,
) -> Result<Vec<Sample>> {
    let mut statements = Vec::new();
    for group in GROUPS.iter().chain([&MAPS_TOTAL]) {
        statements.push(file.prepare(&select(group))?);
    }
    let mut class_statement = file.prepare(&format!(
        "SELECT tick, class, {} FROM class_sample ORDER BY tick, class",
        CLASS_COLUMNS.join(",")
    ))?;
    let mut series = Vec::new();
    for statement in &mut statements {
        series.push(AsOf {
            rows: Ahead::new(statement, source, series_row)?,
            current: Cells::default(),
        });
    }
    let mut classes = Classes {
        rows: Ahead::new(&mut class_statement, source, class_row)?,
        current: PerClass::default(),
    };
    let mut samples = Vec::with_capacity(picks.len());
    for (light, merged) in picks {
        let Some((rows, totals)) = rows_at(&mut series, light.tick)? else {
            break;
        };
        let maps = totals.zip(classes.at(light.tick)?);
        let maps = maps.filter(|_| light.maps);
        let (memory, activity, counts, cgroup, host) = cells::to_parts(&rows);
        samples.push(Sample {
            at: light.at,
            process,
            memory,
            activity,
            maps: maps.map(|(totals, classes)| maps_of(&totals, classes)),
            counts,
            cgroup,
            host,
            merged: *merged,
        });
    }
    Ok(samples)
}

/// The rows as of a tick and the sums of smaps; `None` where a series breaks that must be there.
fn rows_at(series: &mut [AsOf<'_>], tick: i64) -> Result<Option<(cells::Rows, Option<Cells>)>> {
    let mut rows = cells::Rows::default();
    let mut totals = None;
    for (index, series) in series.iter_mut().enumerate() {
        let now = series.at(tick)?;
        match (rows.get_mut(index), GROUPS.get(index)) {
            (Some(_), Some(group)) if group.required && now.is_none() => return Ok(None),
            (Some(row), Some(_)) => *row = now.unwrap_or_default(),
            _ => totals = now,
        }
    }
    Ok(Some((rows, totals)))
}

fn select(group: &Group) -> String {
    format!(
        "SELECT tick, {} FROM {} ORDER BY tick",
        group.columns.join(","),
        group.table
    )
}

fn maps_of(totals: &Cells, classes: &PerClass<Cells>) -> Maps {
    let mut maps = cells::to_totals(totals);
    for (class, cells) in classes.iter() {
        *maps.classes.get_mut(class) = cells::to_class(cells);
    }
    maps
}
