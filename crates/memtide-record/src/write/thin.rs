//! Thinning of what is older than an hour and older than a day.
//!
//! | rows | older than | one is kept per |
//! | --- | --- | --- |
//! | ticks and their series | 10 min (intervals under half a second only) | second |
//! | | 1 h | 10 s |
//! | | 1 day | 60 s |
//! | single mappings, threads, groups of what is held, and call stacks, each | 1 h, 6 h, 1 day | 1 min, 30 min, 6 h |
//!
//! Of the ticks of a bucket the median one stays (see [`crate::bucket`]). Of each series stay the
//! last row at or before that tick and the last row of the bucket: the first is what holds as of
//! the tick, the second what holds as of later ones. A single mapping or thread keeps the last row
//! of its bucket; one that came and went within a bucket of half an hour or more is dropped. So do a
//! group and a call stack, of which none is ever dropped.
//!
//! Work is done in steps small enough to hide behind a tick: a bucket of ticks, or a few hundred
//! rows. Emptied pages are used again, so the file stops growing without ever being vacuumed.

use crate::bucket::{Light, fold};
use crate::cells::{GROUPS, MAPS_TOTAL};
use memtide_model::Nanos;
use rusqlite::{Connection, Result, params};
use std::collections::HashSet;

const MINUTE: Nanos = Nanos::from_secs(60);
const HOUR: Nanos = Nanos::from_secs(3_600);
const DAY: Nanos = Nanos::from_secs(86_400);
/// Rows of mappings and threads that one step deletes at most.
const ROWS_PER_STEP: usize = 256;

/// One age limit: what lies behind it and has been dealt with.
#[derive(Clone, Copy, Debug)]
struct Stage {
    age: Nanos,
    bucket: Nanos,
    /// The first tick that this stage has not dealt with.
    next: i64,
    /// The tick after the last that it kept: what series have from there on belongs to no tick.
    after_kept: i64,
}

impl Stage {
    const fn new(age: Nanos, bucket: Nanos) -> Self {
        Self {
            age,
            bucket,
            next: 1,
            after_kept: 1,
        }
    }
}

/// The thinning of one recording.
#[derive(Debug)]
pub(super) struct Thinner {
    start: Nanos,
    stages: Vec<Stage>,
    mappings: Singles,
    threads: Singles,
    held: Singles,
    processes: Singles,
    stacks: Singles,
    delete_series: Vec<String>,
}

impl Thinner {
    pub(super) fn new(start: Nanos, interval: Nanos) -> Self {
        let stages = [
            Stage::new(Nanos(10 * MINUTE.0), Nanos::SECOND),
            Stage::new(HOUR, Nanos::from_secs(10)),
            Stage::new(DAY, MINUTE),
        ];
        let worth = |stage: &Stage| stage.bucket.0 >= interval.0.saturating_mul(2);
        let groups = GROUPS.iter().chain([&MAPS_TOTAL]);
        let series = groups
            .map(|group| group.table)
            .chain(["process_total", "stack_total"]);
        Self {
            start,
            stages: stages.into_iter().filter(worth).collect(),
            mappings: Singles::new("mapping", "size = 0"),
            threads: Singles::new("thread", "state IS NULL"),
            held: Singles::lasting("held"),
            processes: Singles::new("process", "state IS NULL"),
            stacks: Singles::lasting("stack"),
            delete_series: series.map(delete_series).collect(),
        }
    }

    /// Does one small step of what is due at `now`, in a transaction of its own.
    pub(super) fn step(&mut self, file: &Connection, now: Nanos) -> Result<()> {
        for stage in &mut self.stages {
            step_ticks(file, stage, self.start, now, &self.delete_series)?;
        }
        self.mappings.step(file, self.start, now)?;
        self.threads.step(file, self.start, now)?;
        self.held.step(file, self.start, now)?;
        self.processes.step(file, self.start, now)?;
        self.stacks.step(file, self.start, now)
    }
}

/// In a series: all rows of the ticks `?1..=?3` but the last up to `?2` and the last at all.
fn delete_series(table: &str) -> String {
    format!(
        "DELETE FROM {table} WHERE tick BETWEEN ?1 AND ?3 AND tick NOT IN (
           coalesce((SELECT max(tick) FROM {table} WHERE tick BETWEEN ?1 AND ?2), 0),
           coalesce((SELECT max(tick) FROM {table} WHERE tick BETWEEN ?1 AND ?3), 0))"
    )
}

/// The same for each class.
const DELETE_CLASSES: &str = "DELETE FROM class_sample WHERE tick BETWEEN ?1 AND ?3
   AND (tick, class) NOT IN (
     SELECT max(tick), class FROM class_sample WHERE tick BETWEEN ?1 AND ?2 GROUP BY class
     UNION ALL
     SELECT max(tick), class FROM class_sample WHERE tick BETWEEN ?1 AND ?3 GROUP BY class)";

/// Folds the oldest bucket that is due, if one is.
fn step_ticks(
    file: &Connection,
    stage: &mut Stage,
    start: Nanos,
    now: Nanos,
    delete_series: &[String],
) -> Result<()> {
    let ticks = bucket_of_ticks(file, stage, start, now)?;
    let Some(last) = ticks.last() else {
        return Ok(());
    };
    if ticks.len() > 1
        && let Some((kept, merged)) = fold(&ticks)
    {
        let transaction = file.unchecked_transaction()?;
        // What the bucket before left behind its tick belongs to no tick any more but this one.
        let range = [stage.after_kept, kept, last.tick];
        for table in ["tick", "merged"] {
            let sql = format!("DELETE FROM {table} WHERE tick BETWEEN ?1 AND ?3 AND tick <> ?2");
            file.prepare_cached(&sql)?.execute(range)?;
        }
        for sql in delete_series {
            file.prepare_cached(sql)?.execute(range)?;
        }
        file.prepare_cached(DELETE_CLASSES)?.execute(range)?;
        file.prepare_cached("INSERT OR REPLACE INTO merged VALUES (?,?,?,?)")?
            .execute(params![
                kept,
                merged.samples,
                merged.rss_min.0.cast_signed(),
                merged.rss_max.0.cast_signed()
            ])?;
        transaction.commit()?;
        stage.after_kept = kept + 1;
    } else {
        stage.after_kept = last.tick + 1;
    }
    stage.next = last.tick + 1;
    Ok(())
}

/// The ticks of the stage's next bucket; empty while it is too young.
fn bucket_of_ticks(
    file: &Connection,
    stage: &Stage,
    start: Nanos,
    now: Nanos,
) -> Result<Vec<Light>> {
    let mut ticks = Vec::new();
    let mut end = Nanos::default();
    let mut statement = Light::prepare(file)?;
    let mut rows = statement.query([stage.next])?;
    while let Some(row) = rows.next()? {
        let light = Light::of_row(row)?;
        if ticks.is_empty() {
            end = bucket_end(light.at, start, stage.bucket);
            if end + stage.age > now {
                break;
            }
        } else if light.at >= end {
            break;
        }
        ticks.push(light);
    }
    Ok(ticks)
}

/// The end of the bucket that holds `at`; buckets count from the recording's start.
fn bucket_end(at: Nanos, start: Nanos, bucket: Nanos) -> Nanos {
    let number = (at - start).0 / bucket.0 + 1;
    start + Nanos(number.saturating_mul(bucket.0))
}

/// What is to be deleted of the mappings, threads or stacks.
#[derive(Clone, Copy, Debug)]
enum Removal {
    Row { tick: i64, key: i64 },
    Identity { key: i64 },
}

/// The thinning of rows of single mappings, threads or stacks.
#[derive(Debug)]
struct Singles {
    stages: [Stage; 3],
    pending: Vec<Removal>,
    select: String,
    delete_row: String,
    delete_identity: String,
}

impl Singles {
    /// `gone`: how a row says that its mapping or thread is there no more.
    fn new(name: &str, gone: &str) -> Self {
        Self {
            select: format!(
                "SELECT s.tick, s.{name}, s.{gone}, i.since FROM {name}_sample s
                 JOIN {name} i ON i.{name} = s.{name}
                 WHERE s.tick BETWEEN ?1 AND ?2 ORDER BY s.tick DESC"
            ),
            ..Self::lasting(name)
        }
    }

    /// Of things that never go.
    fn lasting(name: &str) -> Self {
        Self {
            stages: [
                Stage::new(HOUR, MINUTE),
                Stage::new(Nanos(6 * HOUR.0), Nanos(30 * MINUTE.0)),
                Stage::new(DAY, Nanos(6 * HOUR.0)),
            ],
            pending: Vec::new(),
            select: format!(
                "SELECT tick, {name}, 0, 0 FROM {name}_sample
                 WHERE tick BETWEEN ?1 AND ?2 ORDER BY tick DESC"
            ),
            delete_row: format!("DELETE FROM {name}_sample WHERE tick = ? AND {name} = ?"),
            delete_identity: format!("DELETE FROM {name} WHERE {name} = ?"),
        }
    }

    fn step(&mut self, file: &Connection, start: Nanos, now: Nanos) -> Result<()> {
        if !self.pending.is_empty() {
            return self.delete_some(file);
        }
        for stage in &mut self.stages {
            let ticks = bucket_of_ticks(file, stage, start, now)?;
            if let Some(last) = ticks.last() {
                let first = stage.next;
                let drop_short_lived = stage.bucket > MINUTE;
                self.pending = removals(file, &self.select, first, last.tick, drop_short_lived)?;
                stage.next = last.tick + 1;
                break;
            }
        }
        Ok(())
    }

    fn delete_some(&mut self, file: &Connection) -> Result<()> {
        let transaction = file.unchecked_transaction()?;
        let left = self.pending.len().saturating_sub(ROWS_PER_STEP);
        for removal in self.pending.iter().skip(left) {
            match removal {
                Removal::Row { tick, key } => {
                    file.prepare_cached(&self.delete_row)?
                        .execute([tick, key])?;
                }
                Removal::Identity { key } => {
                    file.prepare_cached(&self.delete_identity)?.execute([key])?;
                }
            }
        }
        transaction.commit()?;
        self.pending.truncate(left);
        Ok(())
    }
}

/// Of each mapping, thread or stack all rows of the ticks `first..=last` but the last one.
fn removals(
    file: &Connection,
    select: &str,
    first: i64,
    last: i64,
    drop_short_lived: bool,
) -> Result<Vec<Removal>> {
    let mut removals = Vec::new();
    let mut seen = HashSet::new();
    let mut statement = file.prepare_cached(select)?;
    let mut rows = statement.query([first, last])?;
    while let Some(row) = rows.next()? {
        let (tick, key): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (gone, since): (bool, i64) = (row.get(2)?, row.get(3)?);
        if !seen.insert(key) {
            removals.push(Removal::Row { tick, key });
        } else if gone && since >= first && drop_short_lived {
            removals.push(Removal::Row { tick, key });
            removals.push(Removal::Identity { key });
        }
    }
    Ok(removals)
}
