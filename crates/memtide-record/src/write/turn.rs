//! What the rows of single mappings, threads, groups of things held and processes have in common: a turn at a
//! tick, numbers for what gets its first row, and what stands once the transaction does.

use super::pace::{Allowance, Extent, Pace, SWEEP};
use memtide_model::Nanos;
use rusqlite::{Connection, Result};

/// The clockwork and the numbers of one kind of rows.
#[derive(Debug)]
pub(super) struct Turn {
    /// The tick that rows are written for.
    pub(super) tick: i64,
    pace: Pace,
    allowance: Allowance,
    next_id: i64,
    committed_id: i64,
}

impl Turn {
    pub(super) fn new(start: Nanos) -> Self {
        Self {
            tick: 0,
            pace: Pace::new(start, (SWEEP, SWEEP)),
            allowance: Allowance::new(start),
            next_id: 1,
            committed_id: 0,
        }
    }

    /// A number for something whose identity takes so many bytes, or none where there have been too many.
    pub(super) fn identity(&mut self, bytes: usize) -> Option<i64> {
        let id = self.next_id;
        self.allowance.take(bytes).then(|| {
            self.next_id += 1;
            id
        })
    }

    /// A number is kept where the row behind it is in the file for good.
    pub(super) fn kept(&self, id: Option<i64>) -> Option<i64> {
        id.filter(|id| *id <= self.committed_id)
    }
}

/// Rows that are paced: see [`super::pace`].
pub(super) trait Paced {
    /// What a read brings.
    type Seen: ?Sized;

    /// Its clockwork.
    fn turn(&mut self) -> &mut Turn;

    /// Takes a read in.
    fn note(&mut self, seen: &Self::Seen);

    /// Writes what changed, as far as `extent` goes; returns how many rows that were.
    fn write_movers(&mut self, file: &Connection, extent: Extent) -> Result<usize>;

    /// Writes the sum of those that have no row of their own.
    fn write_rest(&mut self, file: &Connection) -> Result<()>;

    /// Forgets what was written and is not in the file: see [`Turn::kept`].
    fn forget_rows(&mut self);

    /// Takes a read in and writes what the bounds allow.
    fn write(&mut self, file: &Connection, tick: i64, at: Nanos, seen: &Self::Seen) -> Result<()> {
        self.turn().tick = tick;
        self.note(seen);
        self.turn().allowance.refill(at);
        let extent = self.turn().pace.extent(at);
        let rows = self.write_movers(file, extent)?;
        if extent.sweep {
            self.write_rest(file)?;
        } else {
            self.turn().pace.unused(extent.rows - rows);
        }
        Ok(())
    }

    /// Writes what the last read had and the file does not.
    fn finish(&mut self, file: &Connection) -> Result<()> {
        self.write_movers(file, Extent::all(SWEEP))?;
        self.write_rest(file)
    }

    /// What was written is in the file for good.
    fn committed(&mut self) {
        let turn = self.turn();
        turn.committed_id = turn.next_id - 1;
    }

    /// What was written since [`Paced::committed`] is not in the file.
    fn forget(&mut self) {
        self.forget_rows();
        self.turn().pace.sweep_next();
    }
}
