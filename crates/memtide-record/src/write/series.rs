//! The series with one value at a time, and the classes: a row only where something changed.
//!
//! The machine and the cgroup move at every tick without telling anything by it. Theirs is a row
//! at most every ten seconds, unless a value moved by more than one per cent (and 256 KiB), came,
//! went, or is one that matters by the unit (limits, kills).

use crate::cells::{self, CLASS_COLUMNS, Cells, GROUPS, Group, MAPS_TOTAL, Rows};
use crate::schema;
use memtide_model::{Maps, Nanos, PerClass, Sample};
use rusqlite::{Connection, Result, params_from_iter};

/// How long a restless series may hold back small changes.
const RESTLESS: Nanos = Nanos::from_secs(10);
/// Smaller changes of a restless value never cause a row at once.
const RESTLESS_LEAST: u64 = 256 * 1024;
/// All classes are written again after this time, so that a look-up of a class that hardly
/// changes need not walk back through the whole recording.
const CLASSES_AGAIN: Nanos = Nanos::from_secs(60);
/// Columns that are written at any change although their table is restless.
const BY_THE_UNIT: [&str; 4] = ["\"limit\"", "high", "oom_kills", "limit_hits"];

/// What stands in the file as of the last tick.
#[derive(Debug)]
pub(super) struct Series {
    inserts: [String; GROUPS.len()],
    insert_totals: String,
    insert_class: String,
    written: [Option<(Nanos, Cells)>; GROUPS.len()],
    totals: Option<Cells>,
    classes: Option<(Nanos, PerClass<Cells>)>,
}

impl Series {
    pub(super) fn new() -> Self {
        Self {
            inserts: GROUPS.map(|group| insert(group.table, &["tick"], group.columns)),
            insert_totals: insert(MAPS_TOTAL.table, &["tick"], MAPS_TOTAL.columns),
            insert_class: insert("class_sample", &["tick", "class"], &CLASS_COLUMNS),
            written: [None; GROUPS.len()],
            totals: None,
            classes: None,
        }
    }

    /// Forgets what stands in the file, after a transaction that failed: all is written again.
    pub(super) fn forget(&mut self) {
        self.written = [None; GROUPS.len()];
        self.totals = None;
        self.classes = None;
    }

    pub(super) fn write(&mut self, file: &Connection, tick: i64, sample: &Sample) -> Result<()> {
        let rows: Rows = cells::of_sample(sample);
        let groups = GROUPS.iter().zip(&self.inserts).zip(&mut self.written);
        for (((group, insert), written), now) in groups.zip(&rows) {
            if due(group, *written, now, sample.at) {
                store(file, insert, &[tick], now, group.columns.len())?;
                *written = Some((sample.at, *now));
            }
        }
        match &sample.maps {
            Some(maps) => self.write_maps(file, tick, sample.at, maps),
            None => Ok(()),
        }
    }

    fn write_maps(&mut self, file: &Connection, tick: i64, at: Nanos, maps: &Maps) -> Result<()> {
        let totals = cells::of_totals(maps);
        if self.totals != Some(totals) {
            store(
                file,
                &self.insert_totals,
                &[tick],
                &totals,
                MAPS_TOTAL.columns.len(),
            )?;
            self.totals = Some(totals);
        }
        let again = self
            .classes
            .is_none_or(|(last, _)| at - last >= CLASSES_AGAIN);
        let (mut last, mut classes) = self.classes.unwrap_or_default();
        if again {
            last = at;
        }
        for (class, totals) in maps.classes.iter() {
            let now = cells::of_class(totals);
            if again || *classes.get(class) != now {
                let key = [tick, schema::class_code(class)];
                store(file, &self.insert_class, &key, &now, CLASS_COLUMNS.len())?;
                *classes.get_mut(class) = now;
            }
        }
        self.classes = Some((last, classes));
        Ok(())
    }
}

/// `INSERT` of one row into `table`.
fn insert(table: &str, keys: &[&str], columns: &[&str]) -> String {
    let names = [keys, columns].concat();
    let marks = vec!["?"; names.len()].join(",");
    format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(","))
}

fn store(file: &Connection, sql: &str, keys: &[i64], now: &Cells, width: usize) -> Result<()> {
    let keys = keys.iter().map(|key| Some(*key));
    let values = keys.chain(now.iter().copied().take(width));
    file.prepare_cached(sql)?
        .execute(params_from_iter(values))?;
    Ok(())
}

/// Whether `now` is worth a row.
fn due(group: &Group, written: Option<(Nanos, Cells)>, now: &Cells, at: Nanos) -> bool {
    let Some((then, before)) = written else {
        return true;
    };
    if before == *now {
        return false;
    }
    if !group.restless || at - then >= RESTLESS {
        return true;
    }
    let columns = group.columns.iter().zip(before.iter().zip(now));
    columns
        .into_iter()
        .any(|(column, (before, now))| match (before, now) {
            (Some(before), Some(now)) if BY_THE_UNIT.contains(column) => before != now,
            (Some(before), Some(now)) => {
                let least = (before.unsigned_abs() / 100).max(RESTLESS_LEAST);
                before.abs_diff(*now) > least
            }
            (before, now) => before != now,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup() -> &'static Group {
        GROUPS
            .iter()
            .find(|group| group.table == "cgroup")
            .expect("it is one of them")
    }

    fn row(current: i64, kills: i64) -> Cells {
        let mut cells = Cells::default();
        cells[0] = Some(current);
        cells[7] = Some(kills);
        cells
    }

    #[test]
    fn a_restless_series_waits_for_ten_seconds_or_one_per_cent() {
        let start = Nanos::from_secs(100);
        let written = Some((start, row(1_000_000_000, 0)));
        let due = |now: Cells, seconds| {
            super::due(cgroup(), written, &now, start + Nanos::from_secs(seconds))
        };
        assert!(!due(row(1_009_000_000, 0), 9), "0.9 % within ten seconds");
        assert!(due(row(1_009_000_000, 0), 10), "0.9 % after ten seconds");
        assert!(due(row(1_011_000_000, 0), 1), "1.1 %");
        assert!(due(row(1_000_000_000, 1), 1), "one kill");
        assert!(!due(row(1_000_000_000, 0), 3_600), "no change ever");
        let small = Some((start, row(1_000_000, 0)));
        assert!(
            !super::due(cgroup(), small, &row(1_200_000, 0), start),
            "20 %, but 200 kB"
        );
        assert!(
            super::due(cgroup(), None, &row(1, 0), start),
            "the first row"
        );
    }
}
