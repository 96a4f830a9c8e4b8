//! The processes that descended from the target: sums, and the histories of those that moved most.

use super::singles::{Reading, Seen};
use crate::schema::meta;
use memtide_model::{
    Bytes, MemberHistory, MemberPoint, NameHistory, Nanos, Pid, ProcessId, StartTime, TreeEnd,
    TreeMember, TreeObservations, TreeTotals,
};
use rusqlite::{OptionalExtension as _, Result, Row};
use std::collections::BTreeMap;

/// Names that are given.
const NAMES: usize = 32;

impl Reading<'_> {
    /// The tree; `None` where nobody looked at it.
    pub(super) fn tree(&self) -> Result<Option<TreeObservations>> {
        let engine = self
            .file
            .prepare_cached("SELECT value FROM meta WHERE key = ?")
            .and_then(|mut found| {
                found
                    .query_row([meta::TREE_ENGINE], |row| row.get(0))
                    .optional()
            });
        let Some(engine) = self.source.value(engine)? else {
            return Ok(None);
        };
        let (totals, short_lived, lost) = self.totals()?;
        Ok(Some(TreeObservations {
            engine,
            short_lived,
            lost,
            totals,
            members: self.members()?,
            names: self.names()?,
        }))
    }

    /// The sums, at most so many as there may be samples, and what was missed in all.
    fn totals(&self) -> Result<(Vec<TreeTotals>, Option<u64>, u64)> {
        let sql = "SELECT tick, processes, zombies, orphans, rss, pss, short_lived, lost
                   FROM process_total ORDER BY tick";
        let rows = self.source.collect(self.file.prepare(sql), |row| {
            let number = |column| row.get(column).map(i64::cast_unsigned);
            let maybe = |column| -> Result<Option<u64>> {
                Ok(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned))
            };
            let totals = TreeTotals {
                at: self.time(row.get(0)?),
                processes: number(1)?,
                zombies: number(2)?,
                orphans: number(3)?,
                rss: Bytes(number(4)?),
                pss: maybe(5)?.map(Bytes),
            };
            Ok((totals, maybe(6)?, number(7)?))
        })?;
        let (short_lived, lost) = rows
            .last()
            .map_or((None, 0), |(_, short, lost)| (*short, *lost));
        let mut totals: Vec<TreeTotals> = Vec::new();
        let thin = rows.len() > self.limit;
        for (row, ..) in rows {
            let same = |last: &TreeTotals| thin && self.span(last.at) == self.span(row.at);
            if totals.last().is_some_and(same) {
                totals.pop();
            }
            totals.push(row);
        }
        Ok((totals, short_lived, lost))
    }

    fn members(&self) -> Result<Vec<MemberHistory>> {
        let chosen = self.choose(
            "SELECT tick, process, rss, state IS NULL FROM process_sample ORDER BY tick, process",
        )?;
        let mut points = self.points(
            &chosen,
            "process_sample",
            "process",
            "rss, pss",
            |at, row| {
                let Some(rss) = row.get::<_, Option<i64>>(2)? else {
                    return Ok(None);
                };
                let pss: Option<i64> = row.get(3)?;
                Ok(Some(MemberPoint {
                    at,
                    rss: Bytes(rss.cast_unsigned()),
                    pss: pss.map(|pss| Bytes(pss.cast_unsigned())),
                }))
            },
        )?;
        let mut histories = Vec::new();
        for (key, seen) in &chosen {
            let points = points.remove(key).unwrap_or_default();
            if let Some(history) = self.source.value(self.member(*key, *seen, points))? {
                histories.push(history);
            }
        }
        Ok(histories)
    }

    /// How many there were of each name: all that have a row, from their first one to their end.
    fn names(&self) -> Result<Vec<NameHistory>> {
        let sql = "SELECT p.name, p.since,
                     (SELECT min(tick) FROM process_sample s WHERE s.process = p.process AND s.state IS NULL)
                   FROM process p";
        let rows = self.source.collect(self.file.prepare(sql), |row| {
            let (since, end): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
            Ok((row.get::<_, String>(0)?, since, end))
        })?;
        let mut changes: BTreeMap<String, BTreeMap<Nanos, i64>> = BTreeMap::new();
        for (name, since, end) in rows {
            let of_name = changes.entry(name).or_default();
            *of_name.entry(self.time(since)).or_default() += 1;
            if let Some(end) = end {
                *of_name.entry(self.time(end)).or_default() -= 1;
            }
        }
        let mut names: Vec<NameHistory> = changes.into_iter().map(name_history).collect();
        names.sort_by_key(|history| {
            let most = history.points.iter().map(|(_, count)| *count).max();
            std::cmp::Reverse(most)
        });
        names.truncate(NAMES);
        Ok(names)
    }

    /// Who it is, with its last state in which it was there.
    fn member(
        &self,
        key: i64,
        seen: Seen,
        points: Vec<MemberPoint>,
    ) -> Result<Option<MemberHistory>> {
        let sql = "SELECT p.pid, p.start_ticks, p.parent, p.name, p.cmdline, p.status, p.since,
                     s.rss, s.pss, s.state, s.orphaned,
                     (SELECT max(tick) FROM process_sample WHERE process = p.process),
                     p.pgid, p.sid, s.threads, s.cpu_ticks
                   FROM process p JOIN process_sample s USING (process)
                   WHERE p.process = ? AND s.state IS NOT NULL ORDER BY s.tick DESC LIMIT 1";
        let read = |row: &Row<'_>| {
            let last = member_of(row)?;
            let ended = seen.gone.then_some(TreeEnd {
                id: last.id,
                at: self.time(row.get(11)?),
                status: row.get(5)?,
            });
            Ok(MemberHistory {
                since: self.time(row.get(6)?),
                last,
                ended,
                points,
            })
        };
        self.file
            .prepare_cached(sql)?
            .query_row([key], read)
            .optional()
    }
}

/// Changes of a count, added up.
fn name_history((name, changes): (String, BTreeMap<Nanos, i64>)) -> NameHistory {
    let mut count = 0_i64;
    let points = changes.into_iter().map(|(at, change)| {
        count += change;
        (at, count.max(0).cast_unsigned())
    });
    NameHistory {
        name: name.into(),
        points: points.collect(),
    }
}

fn member_of(row: &Row<'_>) -> Result<TreeMember> {
    let pss: Option<i64> = row.get(8)?;
    let cmdline: Vec<String> = serde_json::from_str(&row.get::<_, String>(4)?).unwrap_or_default();
    Ok(TreeMember {
        id: ProcessId {
            pid: Pid(row.get(0)?),
            start: StartTime(row.get::<_, i64>(1)?.cast_unsigned()),
        },
        parent: row.get::<_, Option<u32>>(2)?.map(Pid),
        name: row.get::<_, String>(3)?.into(),
        cmdline: cmdline.into(),
        rss: Bytes(row.get::<_, i64>(7)?.cast_unsigned()),
        pss: pss.map(|pss| Bytes(pss.cast_unsigned())),
        state: row.get(9)?,
        orphaned: row.get(10)?,
        pgid: row.get(12)?,
        sid: row.get(13)?,
        threads: row.get::<_, i64>(14)?.cast_unsigned(),
        cpu_ticks: row.get::<_, i64>(15)?.cast_unsigned(),
    })
}
