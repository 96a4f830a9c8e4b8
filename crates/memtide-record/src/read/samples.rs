//! The samples: which ticks are given, and their values as of them.

use super::Source;
use crate::bucket::{Light, fold};
use crate::cells::{self, CLASS_COLUMNS, Cells, GROUPS, Group, MAPS_TOTAL};
use crate::schema;
use memtide_model::{Maps, Merged, PerClass, ProcessId, Sample};
use rusqlite::{Connection, Result, Rows, Statement};

/// The ticks that are given, with what they stand for.
pub(super) fn pick(ticks: &[Light], limit: usize) -> Vec<(Light, Merged)> {
    if ticks.len() <= limit {
        return ticks.iter().map(|tick| (*tick, tick.merged)).collect();
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

/// A series read in order of ticks: gives the row that holds as of a tick.
struct AsOf<'s> {
    rows: Rows<'s>,
    source: Source,
    width: usize,
    current: Cells,
    next: Option<(i64, Cells)>,
}

impl<'s> AsOf<'s> {
    fn new(statement: &'s mut Statement<'_>, source: Source, width: usize) -> Result<Self> {
        let rows = statement.query([])?;
        let mut series = Self {
            rows,
            source,
            width,
            current: Cells::default(),
            next: None,
        };
        series.fetch()?;
        Ok(series)
    }

    fn fetch(&mut self) -> Result<()> {
        self.next = match self.source.next(&mut self.rows)? {
            Some(row) => {
                let cells = self.source.value(cells::read(row, 1, self.width))?;
                Some((row.get(0)?, cells))
            }
            None => None,
        };
        Ok(())
    }

    /// Ticks must be asked for in order.
    fn at(&mut self, tick: i64) -> Result<Cells> {
        while let Some((_, cells)) = self.next.filter(|(from, _)| *from <= tick) {
            self.current = cells;
            self.fetch()?;
        }
        Ok(self.current)
    }
}

/// The classes, read likewise.
struct Classes<'s> {
    rows: Rows<'s>,
    source: Source,
    current: PerClass<Cells>,
    next: Option<(i64, i64, Cells)>,
}

impl<'s> Classes<'s> {
    fn new(statement: &'s mut Statement<'_>, source: Source) -> Result<Self> {
        let rows = statement.query([])?;
        let mut classes = Self {
            rows,
            source,
            current: PerClass::default(),
            next: None,
        };
        classes.fetch()?;
        Ok(classes)
    }

    fn fetch(&mut self) -> Result<()> {
        self.next = match self.source.next(&mut self.rows)? {
            Some(row) => {
                let cells = self
                    .source
                    .value(cells::read(row, 2, CLASS_COLUMNS.len()))?;
                Some((row.get(0)?, row.get(1)?, cells))
            }
            None => None,
        };
        Ok(())
    }

    fn at(&mut self, tick: i64) -> Result<&PerClass<Cells>> {
        while let Some((_, code, cells)) = self.next.filter(|(from, _, _)| *from <= tick) {
            if let Some(class) = schema::class_of(code) {
                *self.current.get_mut(class) = cells;
            }
            self.fetch()?;
        }
        Ok(&self.current)
    }
}

/// The samples of the picked ticks.
pub(super) fn read(
    file: &Connection,
    source: Source,
    picks: &[(Light, Merged)],
    process: ProcessId,
) -> Result<Vec<Sample>> {
    let mut statements = Vec::new();
    for group in GROUPS.iter().chain([&MAPS_TOTAL]) {
        statements.push((file.prepare(&select(group))?, group.columns.len()));
    }
    let mut class_statement = file.prepare(&format!(
        "SELECT tick, class, {} FROM class_sample ORDER BY tick, class",
        CLASS_COLUMNS.join(",")
    ))?;
    let mut series = Vec::new();
    for (statement, width) in &mut statements {
        series.push(AsOf::new(statement, source, *width)?);
    }
    let mut classes = Classes::new(&mut class_statement, source)?;
    let mut samples = Vec::with_capacity(picks.len());
    for (light, merged) in picks {
        let mut rows = cells::Rows::default();
        let mut totals = Cells::default();
        for (cells, series) in rows.iter_mut().chain([&mut totals]).zip(&mut series) {
            *cells = series.at(light.tick)?;
        }
        let classes = classes.at(light.tick)?;
        let (memory, activity, counts, cgroup, host) = cells::to_parts(&rows);
        samples.push(Sample {
            at: light.at,
            process,
            memory,
            activity,
            maps: light.maps.then(|| maps(&totals, classes)),
            counts,
            cgroup,
            host,
            merged: *merged,
        });
    }
    Ok(samples)
}

fn select(group: &Group) -> String {
    format!(
        "SELECT tick, {} FROM {} ORDER BY tick",
        group.columns.join(","),
        group.table
    )
}

fn maps(totals: &Cells, classes: &PerClass<Cells>) -> Maps {
    let mut maps = cells::to_totals(totals);
    for (class, cells) in classes.iter() {
        *maps.classes.get_mut(class) = cells::to_class(cells);
    }
    maps
}
