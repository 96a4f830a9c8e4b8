//! The writer's part for call stacks: when it may be used, and which tick rows belong to.

use super::stacks::Stacks;
use super::{Writer, add_lens, set_meta};
use crate::schema::{self, meta};
use crate::{Error, ErrorKind, Result};
use memtide_model::{Bytes, HeapMode, Nanos, StacksTick};
use rusqlite::Connection;

/// The lens that sees call stacks.
const SHIM: &str = "shim";

impl Writer {
    /// Tells that the preload shim looks and how; once, before the first [`Writer::stacks`]. Adds
    /// "shim" to the lenses. `interval`: mean bytes between samples, 1 in full mode.
    ///
    /// Errors: `Full`, `Io`.
    pub fn stacks_start(&mut self, mode: HeapMode, interval: Bytes) -> Result<()> {
        write_heap_facts(&self.file, mode, interval).map_err(|error| self.error(error))?;
        let start = self.at;
        self.stacks.get_or_insert_with(|| Stacks::new(start));
        Ok(())
    }

    /// Stores what the collector saw, in a transaction of its own. It belongs to the last tick; where
    /// that has stacks already, or there is none, it gets a tick of its own, without a sample.
    ///
    /// Numbers of stacks and modules go on from call to call, so each [`StacksTick`] is given once
    /// and in order, also after an error. Every tick's totals are kept; of single stacks those that
    /// moved most, once a minute all that changed (2,048 at most, 1,024 after five minutes), and at
    /// [`Writer::finish`] the last counters of 65,536 stacks with 160,000 frames. The others are given back as one stack without frames.
    ///
    /// Errors: `NoStacks` before [`Writer::stacks_start`]; `Full`: then nothing of this call is in
    /// the file, and the counters come with the next one.
    pub fn stacks(&mut self, tick: &StacksTick) -> Result<()> {
        let Some(stacks) = &mut self.stacks else {
            let text = format!(
                "call stacks for {}, where no shim looks",
                self.path.display()
            );
            return Err(Error::new(ErrorKind::NoStacks, text));
        };
        stacks.note(tick);
        let own = stacks.tick() >= self.tick;
        let number = self.tick + i64::from(own);
        let at = if own {
            tick.totals.at.max(self.at)
        } else {
            self.at
        };
        let written = write_stacks(&self.file, stacks, (number, at), own, tick);
        self.settle(written)?;
        (self.tick, self.at) = (number, at);
        if own { self.keep_house(at) } else { Ok(()) }
    }
}

/// One transaction with a tick's stacks; `own`: the tick is theirs alone.
fn write_stacks(
    file: &Connection,
    stacks: &mut Stacks,
    (number, at): (i64, Nanos),
    own: bool,
    seen: &StacksTick,
) -> rusqlite::Result<()> {
    let transaction = file.unchecked_transaction()?;
    if own {
        file.prepare_cached("INSERT INTO tick VALUES (?,?,?)")?
            .execute([number, at.0.cast_signed(), schema::NO_SAMPLE])?;
    }
    stacks.write(file, (number, at), &seen.totals)?;
    transaction.commit()
}

fn write_heap_facts(file: &Connection, mode: HeapMode, interval: Bytes) -> rusqlite::Result<()> {
    let transaction = file.unchecked_transaction()?;
    set_meta(file, meta::HEAP_MODE, mode.name())?;
    set_meta(file, meta::HEAP_INTERVAL, interval.0.cast_signed())?;
    add_lens(file, SHIM)?;
    transaction.commit()
}
