//! What is held, group by group: a row where a count changed.
//!
//! A group's movement is the change of its count since its last row. Rows are paced as those of threads
//! are; a group that went is told before all else, by a row of count 0, and comes back as itself.

use super::pace::{Allowance, Extent, Pace, Rank, SWEEP, greatest};
use memtide_model::{GroupTarget, HeldGroup, Nanos};
use rusqlite::{Connection, Result, params};
use std::collections::HashMap;

/// Movements from this on are written at once even in a long recording.
const LARGE: u64 = 16;

#[derive(Debug)]
struct Known {
    target: GroupTarget,
    count: u64,
    /// Its row in table `held`, once it has one, and whether the name there is the old one.
    id: Option<i64>,
    is_renamed: bool,
    /// The count in its last row.
    written: Option<u64>,
}

/// All groups as of the last read, by their numbers.
#[derive(Debug)]
pub(super) struct Held {
    known: HashMap<u32, Known>,
    next_id: i64,
    committed_id: i64,
    pace: Pace,
    allowance: Allowance,
    /// Groups without a row, and how many they hold.
    rest: Option<(u64, u64)>,
    tick: i64,
}

impl Held {
    pub(super) fn new(start: Nanos) -> Self {
        Self {
            known: HashMap::new(),
            next_id: 1,
            committed_id: 0,
            pace: Pace::new(start, (SWEEP, SWEEP)),
            allowance: Allowance::new(start),
            rest: None,
            tick: 0,
        }
    }

    /// Takes a read in and writes what the bounds allow.
    pub(super) fn write(
        &mut self,
        file: &Connection,
        tick: i64,
        at: Nanos,
        groups: &[HeldGroup],
    ) -> Result<()> {
        self.tick = tick;
        self.note(groups);
        self.allowance.refill(at);
        let extent = self.pace.extent(at);
        let rows = self.write_movers(file, extent)?;
        if extent.sweep {
            self.write_rest(file)?;
        } else {
            self.pace.unused(extent.rows - rows);
        }
        Ok(())
    }

    /// Writes what the last read had and the file does not.
    pub(super) fn finish(&mut self, file: &Connection) -> Result<()> {
        self.write_movers(file, Extent::all(SWEEP))?;
        self.write_rest(file)
    }

    /// What was written is in the file for good.
    pub(super) fn committed(&mut self) {
        self.committed_id = self.next_id - 1;
    }

    /// What was written since [`Held::committed`] is not in the file.
    pub(super) fn forget(&mut self) {
        let committed = self.committed_id;
        for known in self.known.values_mut() {
            known.id = known.id.filter(|id| *id <= committed);
            known.written = None;
            known.is_renamed = true;
        }
        self.rest = None;
        self.pace.sweep_next();
    }

    fn note(&mut self, groups: &[HeldGroup]) {
        // What is gone and has no row, or whose last row says so, is nobody's business any more.
        self.known
            .retain(|_, known| known.count > 0 || known.id.is_some());
        for known in self.known.values_mut() {
            known.count = 0;
        }
        for group in groups {
            let known = self.known.entry(group.number).or_insert_with(|| Known {
                target: group.target.clone(),
                count: 0,
                id: None,
                is_renamed: false,
                written: None,
            });
            known.count = group.count;
            if known.target != group.target {
                known.target = group.target.clone();
                known.is_renamed = known.id.is_some();
            }
        }
    }

    /// Returns how many rows it wrote.
    fn write_movers(&mut self, file: &Connection, extent: Extent) -> Result<usize> {
        let least = if extent.large_only { LARGE } else { 1 };
        let mut movers: Vec<_> = (self.known.iter_mut())
            .filter(|(_, known)| known.written != Some(known.count))
            .filter(|(_, known)| known.count > 0 || known.id.is_some())
            .map(|(number, known)| (movement(*number, known), (*number, known)))
            .filter(|((moved, ..), _)| extent.sweep || *moved >= least)
            .collect();
        greatest(&mut movers, extent.rows);
        // In an order of their own and not the table's: the same process gives the same file.
        movers.sort_unstable_by_key(|(_, (number, _))| *number);
        let mut rows = 0;
        for (_, (_, known)) in movers {
            let name = &known.target.name;
            if known.id.is_none() && self.allowance.take(name) {
                let id = self.next_id;
                let (kind, state) = (known.target.kind.name(), &*known.target.state);
                file.prepare_cached("INSERT INTO held VALUES (?,?,?,?,?)")?
                    .execute(params![id, self.tick, kind, &**name, state])?;
                self.next_id += 1;
                known.id = Some(id);
                known.is_renamed = false;
            }
            let Some(id) = known.id else {
                continue;
            };
            if std::mem::take(&mut known.is_renamed) {
                file.prepare_cached("UPDATE held SET name = ? WHERE held = ?")?
                    .execute(params![&**name, id])?;
            }
            file.prepare_cached("INSERT OR REPLACE INTO held_sample VALUES (?,?,?)")?
                .execute([self.tick, id, known.count.cast_signed()])?;
            known.written = Some(known.count);
            rows += 1;
        }
        Ok(rows)
    }

    /// The sum of those without a row of their own, where it changed.
    fn write_rest(&mut self, file: &Connection) -> Result<()> {
        let without = self.known.values().filter(|known| known.id.is_none());
        let rest = without.fold((0_u64, 0_u64), |(groups, count), known| {
            (groups + 1, count.saturating_add(known.count))
        });
        if self.rest != Some(rest) {
            let (groups, count) = rest;
            file.prepare_cached("INSERT OR REPLACE INTO held_rest VALUES (?,?,?)")?
                .execute([self.tick, groups.cast_signed(), count.cast_signed()])?;
            self.rest = Some(rest);
        }
        Ok(())
    }
}

/// How far its count is from its last row. That it is gone is told before all else.
fn movement(number: u32, known: &Known) -> Rank {
    let moved = known.count.abs_diff(known.written.unwrap_or(0));
    let gone = if known.count == 0 { u64::MAX } else { moved };
    (gone, known.count, u64::from(u32::MAX - number))
}
