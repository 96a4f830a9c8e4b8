//! The histories of single mappings and threads, and what those of call stacks share with them.
//!
//! Two passes over the rows: the first finds those that moved most and how many rows they have,
//! the second gathers their points. Memory is bounded by the number of mappings, not of rows.

use super::Source;
use crate::bucket::Light;
use crate::schema;
use memtide_model::{
    Bytes, GroupTarget, HeldHistory, HeldKind, HeldPoint, Mapping, MappingHistory, MappingPoint,
    Nanos, StartTime, ThreadHistory, ThreadId, ThreadPoint, ThreadState, Tid,
};
use rusqlite::{Connection, OptionalExtension as _, Result, Row};
use std::collections::HashMap;
use std::sync::Arc;

/// What is read, and within which bounds.
pub(super) struct Reading<'a> {
    pub(super) file: &'a Connection,
    pub(super) source: Source,
    /// All ticks that are left, for the times of rows.
    pub(super) ticks: &'a [Light],
    /// Points of a history.
    pub(super) limit: usize,
    /// Histories.
    pub(super) histories: usize,
}

/// What the first pass learns of one mapping or thread.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    /// From where to where its value went.
    least: u64,
    most: u64,
    rows: usize,
    pub(super) gone: bool,
}

/// Tick and key: how a row of each of the tables begins.
type Key = (i64, i64);

impl Reading<'_> {
    /// The mappings whose RSS moved most, those that moved most first.
    pub(super) fn mappings(&self) -> Result<Vec<MappingHistory>> {
        let chosen = self.choose(
            "SELECT tick, mapping, rss, size = 0 FROM mapping_sample ORDER BY tick, mapping",
        )?;
        let mut points = self.points(
            &chosen,
            "mapping_sample",
            "mapping",
            "size, rss",
            |at, row| {
                let (size, rss): (i64, i64) = (row.get(2)?, row.get(3)?);
                let (size, rss) = (Bytes(size.cast_unsigned()), Bytes(rss.cast_unsigned()));
                Ok(Some(MappingPoint { at, size, rss }))
            },
        )?;
        let mut histories = Vec::new();
        for (key, seen) in &chosen {
            if let Some(mapping) = self.source.value(self.mapping(*key))? {
                histories.push(MappingHistory {
                    mapping: Arc::new(mapping),
                    points: points.remove(key).unwrap_or_default(),
                    gone: seen.gone,
                });
            }
        }
        Ok(histories)
    }

    /// The threads that faulted most, those that did most first.
    pub(super) fn threads(&self) -> Result<Vec<ThreadHistory>> {
        let chosen = self.choose(
            "SELECT tick, thread, min_flt, state IS NULL FROM thread_sample ORDER BY tick, thread",
        )?;
        let columns = "min_flt, cpu_ticks";
        let mut points = self.points(&chosen, "thread_sample", "thread", columns, |at, row| {
            let Some(min_flt) = row.get::<_, Option<i64>>(2)? else {
                return Ok(None);
            };
            let cpu_ticks = row.get::<_, i64>(3)?.cast_unsigned();
            Ok(Some(ThreadPoint {
                at,
                min_flt: min_flt.cast_unsigned(),
                cpu_ticks,
            }))
        })?;
        let mut last = self.last_states(&chosen)?;
        let mut histories = Vec::new();
        for (key, seen) in &chosen {
            if let Some(last) = last.remove(key) {
                let points = points.remove(key).unwrap_or_default();
                histories.push(ThreadHistory {
                    last,
                    points,
                    alive: !seen.gone,
                });
            }
        }
        Ok(histories)
    }

    /// The groups whose count moved most, those that moved most first.
    pub(super) fn held(&self) -> Result<Vec<HeldHistory>> {
        let chosen = self
            .choose("SELECT tick, held, count, count = 0 FROM held_sample ORDER BY tick, held")?;
        let mut points = self.points(&chosen, "held_sample", "held", "count", |at, row| {
            let count = row.get::<_, i64>(2)?.cast_unsigned();
            Ok(Some(HeldPoint { at, count }))
        })?;
        let mut histories = Vec::new();
        for (key, _) in &chosen {
            if let Some(target) = self.source.value(self.held_target(*key))? {
                let points = points.remove(key).unwrap_or_default();
                histories.push(HeldHistory { target, points });
            }
        }
        Ok(histories)
    }

    /// What a group leads to; `None` of a kind of a later version.
    fn held_target(&self, key: i64) -> Result<Option<GroupTarget>> {
        let sql = "SELECT kind, name, state FROM held WHERE held = ?";
        let target = self.file.prepare_cached(sql)?.query_row([key], |row| {
            let Some(kind) = HeldKind::from_name(&row.get::<_, String>(0)?) else {
                return Ok(None);
            };
            Ok(Some(GroupTarget {
                kind,
                name: row.get::<_, String>(1)?.into(),
                state: row.get::<_, String>(2)?.into(),
            }))
        });
        Ok(target.optional()?.flatten())
    }

    /// The keys whose value moved most. One that was not there at the first read came from zero.
    pub(super) fn choose(&self, sql: &str) -> Result<Vec<(i64, Seen)>> {
        let mut seen: HashMap<i64, Seen> = HashMap::new();
        let mut first_tick = None;
        let mut statement = self.file.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = self.source.next(&mut rows)? {
            let read = || Ok((key_of(row)?, row.get(2)?, row.get(3)?));
            let read: Result<(Key, Option<i64>, bool)> = read();
            let Some(((tick, key), value, gone)) = self.source.value(read.map(Some))? else {
                continue;
            };
            let first_tick = *first_tick.get_or_insert(tick);
            let seen = seen.entry(key).or_insert_with(|| Seen {
                least: if tick == first_tick { u64::MAX } else { 0 },
                most: 0,
                rows: 0,
                gone,
            });
            if let Some(value) = value.map(i64::cast_unsigned) {
                seen.least = seen.least.min(value);
                seen.most = seen.most.max(value);
            }
            seen.rows += 1;
            seen.gone = gone;
        }
        let mut chosen: Vec<(i64, Seen)> = seen.into_iter().collect();
        chosen.sort_by_key(|(key, seen)| {
            (
                std::cmp::Reverse(seen.most.saturating_sub(seen.least)),
                *key,
            )
        });
        chosen.truncate(self.histories);
        Ok(chosen)
    }

    /// The points of the chosen ones. Of one with more than `limit` the last of each equal span.
    pub(super) fn points<P>(
        &self,
        chosen: &[(i64, Seen)],
        table: &str,
        key: &str,
        columns: &str,
        read: impl Fn(Nanos, &Row<'_>) -> Result<Option<P>>,
    ) -> Result<HashMap<i64, Vec<P>>> {
        struct Gathered<P> {
            points: Vec<P>,
            span: Option<u64>,
            thin: bool,
        }
        let gathered = chosen.iter().map(|(key, seen)| {
            let thin = seen.rows > self.limit;
            (
                *key,
                Gathered {
                    points: Vec::new(),
                    span: None,
                    thin,
                },
            )
        });
        let mut gathered: HashMap<i64, Gathered<P>> = gathered.collect();
        let sql = format!("SELECT tick, {key}, {columns} FROM {table} ORDER BY tick, {key}");
        let mut statement = self.file.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = self.source.next(&mut rows)? {
            let Some((tick, key)) = self.source.value(key_of(row).map(Some))? else {
                continue;
            };
            let Some(of_key) = gathered.get_mut(&key) else {
                continue;
            };
            let at = self.time(tick);
            let Some(point) = self.source.value(read(at, row).map(Some))?.flatten() else {
                continue;
            };
            let span = Some(self.span(at));
            if of_key.thin && of_key.span == span {
                of_key.points.pop();
            }
            of_key.span = span;
            of_key.points.push(point);
        }
        Ok(gathered
            .into_iter()
            .map(|(key, gathered)| (key, gathered.points))
            .collect())
    }

    /// Which of `limit` equal spans of the recording a moment falls into.
    pub(super) fn span(&self, at: Nanos) -> u64 {
        let (Some(first), Some(last)) = (self.ticks.first(), self.ticks.last()) else {
            return 0;
        };
        let width = ((last.at - first.at).0 / self.limit as u64).saturating_add(1);
        (at - first.at).0 / width
    }

    /// The time of a tick. Of one that was thinned away it lies between its neighbours', as its
    /// number does: ticks come at a steady pace.
    pub(super) fn time(&self, tick: i64) -> Nanos {
        let after = self.ticks.partition_point(|light| light.tick < tick);
        let next = self.ticks.get(after);
        let before = after.checked_sub(1).and_then(|index| self.ticks.get(index));
        match (before, next) {
            (_, Some(next)) if next.tick == tick => next.at,
            (Some(before), Some(next)) => {
                let part = i128::from(tick) - i128::from(before.tick);
                let whole = (i128::from(next.tick) - i128::from(before.tick)).max(1);
                let span = i128::from((next.at - before.at).0);
                let offset = span.saturating_mul(part) / whole;
                before.at + Nanos(u64::try_from(offset).unwrap_or(0))
            }
            (Some(near), None) | (None, Some(near)) => near.at,
            (None, None) => Nanos::default(),
        }
    }

    fn mapping(&self, key: i64) -> Result<Option<Mapping>> {
        let sql = "SELECT address, class, protection, name FROM mapping WHERE mapping = ?";
        let mapping = self.file.prepare_cached(sql)?.query_row([key], |row| {
            let protection: String = row.get(2)?;
            let Some(class) = schema::class_of(row.get(1)?) else {
                return Ok(None);
            };
            let Ok(protection) = <[u8; 4]>::try_from(protection.as_bytes()) else {
                return Ok(None);
            };
            Ok(Some(Mapping {
                address: row.get::<_, i64>(0)?.cast_unsigned(),
                class,
                protection,
                name: row.get::<_, String>(3)?.into(),
            }))
        });
        Ok(mapping.optional()?.flatten())
    }

    /// The last state of each chosen thread in which it was alive.
    fn last_states(&self, chosen: &[(i64, Seen)]) -> Result<HashMap<i64, ThreadState>> {
        let wchans = self
            .source
            .collect(self.file.prepare("SELECT wchan, name FROM wchan"), |row| {
                Ok((row.get(0)?, Arc::from(row.get::<_, String>(1)?)))
            })?;
        let wchans: HashMap<i64, Arc<str>> = wchans.into_iter().collect();
        // Names and numbers first: a state is only told of threads whose identity can be read.
        let mut states = HashMap::new();
        for (key, _) in chosen {
            if let Some(state) = self.source.value(self.thread(*key))? {
                states.insert(*key, state);
            }
        }
        let sql = "SELECT thread, min_flt, maj_flt, cpu_ticks, state, wchan FROM thread_sample
                   WHERE state IS NOT NULL ORDER BY tick, thread";
        let mut statement = self.file.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = self.source.next(&mut rows)? {
            let read = read_state(row, &wchans, &mut states);
            self.source.value(read)?;
        }
        Ok(states)
    }

    /// Who a thread is; its values are still to be read.
    fn thread(&self, key: i64) -> Result<Option<ThreadState>> {
        let sql = "SELECT tid, start_ticks, name FROM thread WHERE thread = ?";
        let mut statement = self.file.prepare_cached(sql)?;
        let state = statement.query_row([key], |row| {
            Ok(ThreadState {
                id: ThreadId {
                    tid: Tid(row.get(0)?),
                    start: StartTime(row.get::<_, i64>(1)?.cast_unsigned()),
                },
                name: row.get::<_, String>(2)?.into(),
                state: b'?',
                min_flt: 0,
                maj_flt: 0,
                cpu_ticks: 0,
                wchan: None,
            })
        });
        state.optional()
    }
}

/// Tick and key of a row; what a damaged file lost of it reads as NULL.
fn key_of(row: &Row<'_>) -> Result<Key> {
    Ok((row.get(0)?, row.get(1)?))
}

/// Takes over the values of a row, if they are those of one of `states`.
fn read_state(
    row: &Row<'_>,
    wchans: &HashMap<i64, Arc<str>>,
    states: &mut HashMap<i64, ThreadState>,
) -> Result<()> {
    if let Some(state) = states.get_mut(&row.get::<_, i64>(0)?) {
        let number = |column| row.get(column).map(i64::cast_unsigned);
        let wchan: Option<i64> = row.get(5)?;
        (state.min_flt, state.maj_flt, state.cpu_ticks) = (number(1)?, number(2)?, number(3)?);
        state.state = row.get(4)?;
        state.wchan = wchan.and_then(|wchan| wchans.get(&wchan).cloned());
    }
    Ok(())
}
