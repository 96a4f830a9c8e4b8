//! What is held, group by group: a row where a count changed.
//!
//! A group's movement is the change of its count since its last row. Rows are paced as those of threads
//! are; a group that went is told before all else, by a row of count 0, and comes back as itself.

use super::pace::{Extent, Rank, greatest};
use super::turn::{Paced, Turn};
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
    turn: Turn,
    /// Groups without a row, and how many they hold.
    rest: Option<(u64, u64)>,
}

impl Held {
    pub(super) fn new(start: Nanos) -> Self {
        Self {
            known: HashMap::new(),
            turn: Turn::new(start),
            rest: None,
        }
    }
}

impl Paced for Held {
    type Seen = [HeldGroup];

    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
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
            if known.id.is_none()
                && let Some(id) = self.turn.identity(name.len())
            {
                let (kind, state) = (known.target.kind.name(), &*known.target.state);
                file.prepare_cached("INSERT INTO held VALUES (?,?,?,?,?)")?
                    .execute(params![id, self.turn.tick, kind, &**name, state])?;
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
                .execute([self.turn.tick, id, known.count.cast_signed()])?;
            known.written = Some(known.count);
            rows += 1;
        }
        Ok(rows)
    }

    fn write_rest(&mut self, file: &Connection) -> Result<()> {
        let without = self.known.values().filter(|known| known.id.is_none());
        let rest = without.fold((0_u64, 0_u64), |(groups, count), known| {
            (groups + 1, count.saturating_add(known.count))
        });
        if self.rest != Some(rest) {
            let (groups, count) = rest;
            file.prepare_cached("INSERT OR REPLACE INTO held_rest VALUES (?,?,?)")?
                .execute([self.turn.tick, groups.cast_signed(), count.cast_signed()])?;
            self.rest = Some(rest);
        }
        Ok(())
    }

    fn forget_rows(&mut self) {
        let Self { known, turn, .. } = self;
        for known in known.values_mut() {
            known.id = turn.kept(known.id);
            known.written = None;
            known.is_renamed = true;
        }
        self.rest = None;
    }
}

/// How far its count is from its last row. That it is gone is told before all else.
fn movement(number: u32, known: &Known) -> Rank {
    let moved = known.count.abs_diff(known.written.unwrap_or(0));
    let gone = if known.count == 0 { u64::MAX } else { moved };
    (gone, known.count, u64::from(u32::MAX - number))
}
