//! Call stacks: which moved, which are new, and what the others are together.
//!
//! A stack's movement is how far its live bytes are from its last row. Everything is known in memory;
//! a stack gets a row once one of its movements is written, at the end of the recording, or never: a
//! program may have half a million of them. Those without one are a sum, so that nothing is lost
//! but names.

use super::frames::{Frames, NodeId};
use super::pace::{Extent, Pace, Rank, greatest};
use crate::counters::{self, COUNTERS, TOTALS};
use crate::schema::{self, meta};
use memtide_model::{
    Lost, Nanos, StackCounters, StackEnd, StackId, StackKind, StackOwner, StackTotals, StacksTick,
};
use rusqlite::{Connection, Result, params, params_from_iter};

/// Movements from this on are written at once even in a long recording: 1 MiB, and this part of all
/// live bytes.
const LARGE: u64 = 1 << 20;
const LARGE_PART: u64 = 256;
/// Rows of a sweep in the first five minutes, and later. What moves much has rows anyway.
const SWEEP: usize = 2_048;
const SWEEP_LATER: usize = 1_024;
/// Stacks with rows, and how many of them sweeps may give rows to: the rest is kept for those
/// that begin to move late, and for the end.
const STACKS: u32 = 65_536;
const SWEPT: u32 = 40_000;
/// Frames with rows; one more stack's may come on top.
const NODES: u32 = 160_000;

#[derive(Debug)]
struct Known {
    kind: StackKind,
    owner: StackOwner,
    end: StackEnd,
    /// Its innermost frame; none of a stack that can have no row.
    leaf: Option<NodeId>,
    now: StackCounters,
    /// Its row in table `stack`; 0 while it has none.
    row: u32,
    /// What its last row in `stack_sample` says.
    live: u64,
    allocs: u64,
    /// Its counters are not those of its row.
    waits: bool,
}

/// Sums over stacks without a row, by kind and owner: how many, and their counters.
type Rest = [(u64, StackCounters); 4];

/// All stacks as of the last tick.
#[derive(Debug)]
pub(super) struct Stacks {
    known: Vec<Known>,
    frames: Frames,
    /// The stacks that wait, by their index in `known`.
    waiting: Vec<u32>,
    /// Those that were written in the transaction that is open.
    touched: Vec<u32>,
    /// The tick that the last rows belong to.
    tick: i64,
    committed_tick: i64,
    rows: u32,
    committed_rows: u32,
    pace: Pace,
    /// From where on a movement is large.
    large: u64,
    rest: Rest,
    /// What the file says of them, where that is known.
    rest_written: Option<Rest>,
    lost: Lost,
    lost_written: Option<Lost>,
    ended: bool,
}

impl Stacks {
    pub(super) fn new(start: Nanos) -> Self {
        Self {
            known: Vec::new(),
            frames: Frames::new(),
            waiting: Vec::new(),
            touched: Vec::new(),
            tick: 0,
            committed_tick: 0,
            rows: 0,
            committed_rows: 0,
            large: LARGE,
            pace: Pace::new(start, (SWEEP, SWEEP_LATER)),
            rest: Rest::default(),
            rest_written: Some(Rest::default()),
            lost: Lost::default(),
            lost_written: None,
            ended: false,
        }
    }

    /// The tick that the last rows belong to; 0 before the first.
    pub(super) fn tick(&self) -> i64 {
        self.tick
    }

    /// Takes in what was seen, once per tick: numbers of stacks and modules go on from tick to tick.
    pub(super) fn note(&mut self, seen: &StacksTick) {
        self.frames.add_modules(&seen.new_modules);
        for stack in &seen.new_stacks {
            self.waiting
                .push(u32::try_from(self.known.len()).unwrap_or(u32::MAX));
            self.known.push(Known {
                kind: stack.kind,
                owner: stack.owner,
                end: stack.end,
                leaf: self.frames.add(&stack.frames),
                now: StackCounters::default(),
                row: 0,
                live: 0,
                allocs: 0,
                waits: true,
            });
            if let Some((count, _)) = rest_of(&mut self.rest, stack.kind, stack.owner) {
                *count += 1;
            }
        }
        for (StackId(number), counters) in &seen.changed {
            if let Some(known) = self.known.get_mut(*number as usize) {
                if known.row == 0
                    && let Some((_, sum)) = rest_of(&mut self.rest, known.kind, known.owner)
                {
                    counters::add(sum, counters);
                    counters::subtract(sum, &known.now);
                }
                known.now = *counters;
                if !known.waits {
                    known.waits = true;
                    self.waiting.push(*number);
                }
            }
        }
        self.lost = seen.lost;
        self.ended |= seen.ended;
    }

    /// Writes what the bounds allow, for a tick that was taken `at`.
    pub(super) fn write(
        &mut self,
        file: &Connection,
        (tick, at): (i64, Nanos),
        totals: &StackTotals,
    ) -> Result<()> {
        write_totals(file, tick, at, totals)?;
        self.frames.store_modules(file)?;
        self.large = LARGE.max(totals.live_bytes.0 / LARGE_PART);
        let extent = self.pace.extent(at);
        let rows = self.write_movers(file, tick, extent)?;
        if !extent.sweep {
            self.pace.unused(extent.rows - rows);
        }
        self.write_rest(file)?;
        self.write_state(file)?;
        self.tick = tick;
        Ok(())
    }

    /// Writes every stack's last counters.
    pub(super) fn finish(&mut self, file: &Connection) -> Result<()> {
        if self.tick > 0 {
            self.write_movers(file, self.tick, Extent::all(SWEEP))?;
        }
        self.write_last(file)?;
        self.write_rest(file)?;
        self.write_state(file)
    }

    /// What was written is in the file for good.
    pub(super) fn committed(&mut self) {
        (self.committed_rows, self.committed_tick) = (self.rows, self.tick);
        self.frames.committed();
        self.touched.clear();
    }

    /// What was written since [`Stacks::committed`] is not in the file.
    pub(super) fn forget(&mut self) {
        (self.rows, self.tick) = (self.committed_rows, self.committed_tick);
        self.frames.forget();
        for number in self.touched.drain(..) {
            let Some(known) = self.known.get_mut(number as usize) else {
                continue;
            };
            if known.row > self.committed_rows {
                known.row = 0;
            }
            (known.live, known.allocs) = (0, 0);
            if !known.waits {
                known.waits = true;
                self.waiting.push(number);
            }
        }
        // Those that were written last before the failure are still in the list.
        self.waiting.sort_unstable();
        self.waiting.dedup();
        self.rest_written = None;
        self.rest = Rest::default();
        for known in self.known.iter().filter(|known| known.row == 0) {
            if let Some((count, sum)) = rest_of(&mut self.rest, known.kind, known.owner) {
                *count += 1;
                counters::add(sum, &known.now);
            }
        }
        self.lost_written = None;
        self.pace.sweep_next();
    }

    /// Returns how many rows it wrote.
    fn write_movers(&mut self, file: &Connection, tick: i64, extent: Extent) -> Result<usize> {
        let room = if extent.sweep { SWEPT } else { STACKS };
        let least = match extent {
            Extent { sweep: true, .. } => 0,
            Extent {
                large_only: true, ..
            } => self.large,
            _ => 1,
        };
        let movers = self.candidates(room, |known| {
            let live = known.now.live_bytes().abs_diff(known.live);
            let allocs = known.now.allocs.abs_diff(known.allocs);
            (live >= least && (live, allocs) != (0, 0)).then_some((live, allocs))
        });
        let movers = self.foremost(movers, extent.rows);
        let mut rows = 0;
        for number in movers {
            let row = self.store(file, number, room)?;
            if row == 0 {
                continue;
            }
            let Some(known) = self.known.get_mut(number as usize) else {
                continue;
            };
            let (allocs, frees) = (known.now.allocs, known.now.frees);
            let live = known.now.live_bytes();
            file.prepare_cached("INSERT OR REPLACE INTO stack_sample VALUES (?,?,?,?,?)")?
                .execute(params![
                    tick,
                    row,
                    allocs.cast_signed(),
                    frees.cast_signed(),
                    live.cast_signed()
                ])?;
            (known.live, known.allocs) = (live, allocs);
            rows += 1;
        }
        self.forget_who_waits_no_more();
        Ok(rows)
    }

    /// The counters of all that still wait: first of those that have a row, then of the largest
    /// others, up to what a recording holds.
    fn write_last(&mut self, file: &Connection) -> Result<()> {
        let room = usize::try_from(STACKS.saturating_sub(self.rows)).unwrap_or(usize::MAX);
        let old = self.candidates(0, |known| Some((known.now.live_bytes(), 0)));
        for number in self.foremost(old, usize::MAX) {
            self.store(file, number, 0)?;
        }
        let mut new = self.candidates(STACKS, |known| {
            let now = &known.now;
            Some((now.live_bytes().max(now.peak_bytes), now.bytes))
        });
        new.retain(|(_, number)| self.row(*number) == 0);
        for number in self.foremost(new, room) {
            self.store(file, number, STACKS)?;
        }
        self.forget_who_waits_no_more();
        Ok(())
    }

    /// Those that wait and may be written, by `rank`; new ones only while there is `room`.
    fn candidates(
        &self,
        room: u32,
        rank: impl Fn(&Known) -> Option<(u64, u64)>,
    ) -> Vec<(Rank, u32)> {
        let full = self.is_full(room);
        let waiting = self.waiting.iter().filter_map(|number| {
            let known = self.known.get(*number as usize)?;
            let may = known.row != 0 || (known.leaf.is_some() && !full);
            let (first, second) = rank(known).filter(|_| may)?;
            Some(((first, second, u64::from(*number)), *number))
        });
        waiting.collect()
    }

    /// The `rows` foremost, in the order of their rows: old ones first, then new ones.
    fn foremost(&self, mut candidates: Vec<(Rank, u32)>, rows: usize) -> Vec<u32> {
        greatest(&mut candidates, rows);
        let mut numbers: Vec<u32> = candidates.into_iter().map(|(_, number)| number).collect();
        // As unsigned numbers one less than none is the greatest: new ones come last.
        numbers.sort_unstable_by_key(|number| (self.row(*number).wrapping_sub(1), *number));
        numbers
    }

    fn row(&self, number: u32) -> u32 {
        self.known.get(number as usize).map_or(0, |known| known.row)
    }

    fn is_full(&self, room: u32) -> bool {
        self.rows >= room || self.frames.stored() >= NODES
    }

    fn forget_who_waits_no_more(&mut self) {
        let known = &self.known;
        self.waiting
            .retain(|number| known.get(*number as usize).is_some_and(|known| known.waits));
    }

    /// Writes a stack's row with its counters as they are now. Returns its number; 0 of a new one
    /// for which there is no room.
    fn store(&mut self, file: &Connection, number: u32, room: u32) -> Result<u32> {
        let full = self.is_full(room);
        let Some(known) = self.known.get_mut(number as usize) else {
            return Ok(0);
        };
        let counters = counters::of_counters(&known.now);
        if known.row != 0 {
            file.prepare_cached(
                "UPDATE stack SET allocs = ?, bytes = ?, frees = ?, freed = ?, peak_bytes = ?,
                   samples = ?, freed_samples = ? WHERE stack = ?",
            )?
            .execute(params_from_iter(
                counters.into_iter().chain([i64::from(known.row)]),
            ))?;
        } else if let Some(leaf) = known.leaf.filter(|_| !full) {
            let node = self.frames.store(file, leaf)?;
            let row = self.rows + 1;
            let sql = format!(
                "INSERT INTO stack(stack, kind, owner, ending, node, {COUNTERS})
                 VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
            );
            let identity = [
                i64::from(row),
                schema::kind_code(known.kind),
                schema::owner_code(known.owner),
                schema::end_code(known.end),
                i64::from(node),
            ];
            file.prepare_cached(&sql)?
                .execute(params_from_iter(identity.into_iter().chain(counters)))?;
            (self.rows, known.row) = (row, row);
            if let Some((count, sum)) = rest_of(&mut self.rest, known.kind, known.owner) {
                *count -= 1;
                counters::subtract(sum, &known.now);
            }
        } else {
            return Ok(0);
        }
        known.waits = false;
        self.touched.push(number);
        Ok(known.row)
    }

    /// The sums of those without a row of their own, where they changed.
    fn write_rest(&mut self, file: &Connection) -> Result<()> {
        let sql = format!(
            "INSERT OR REPLACE INTO stack_rest(kind, owner, stacks, {COUNTERS})
             VALUES (?,?,?,?,?,?,?,?,?,?)"
        );
        for ((index, (count, sum)), number) in self.rest.iter().enumerate().zip(0_i64..) {
            let written = self.rest_written.as_ref().and_then(|rest| rest.get(index));
            if written != Some(&(*count, *sum)) {
                let identity = [number / 2, number % 2, count.cast_signed()];
                let values = identity.into_iter().chain(counters::of_counters(sum));
                file.prepare_cached(&sql)?
                    .execute(params_from_iter(values))?;
            }
        }
        self.rest_written = Some(self.rest);
        Ok(())
    }

    /// What was lost, and whether the target ended.
    fn write_state(&mut self, file: &Connection) -> Result<()> {
        if self.lost_written != Some(self.lost) {
            let mut lost = self.lost;
            for (what, count) in counters::lost_rows(&mut lost) {
                file.prepare_cached("INSERT OR REPLACE INTO stack_lost VALUES (?,?)")?
                    .execute(params![what, count.cast_signed()])?;
            }
            self.lost_written = Some(self.lost);
        }
        if self.ended {
            super::set_meta(file, meta::HEAP_ENDED, 1)?;
        }
        Ok(())
    }
}

/// The sums that a stack of that kind and owner is in while it has no row.
fn rest_of(
    rest: &mut Rest,
    kind: StackKind,
    owner: StackOwner,
) -> Option<&mut (u64, StackCounters)> {
    let index = schema::kind_code(kind) * 2 + schema::owner_code(owner);
    rest.get_mut(usize::try_from(index).ok()?)
}

fn write_totals(file: &Connection, tick: i64, at: Nanos, totals: &StackTotals) -> Result<()> {
    let delay = totals.at.0.cast_signed().saturating_sub(at.0.cast_signed());
    let [live, blocks, mapping, peak, allocs, allocated] = counters::of_totals(totals);
    let sql = format!("INSERT INTO stack_total(tick, delay_ns, {TOTALS}) VALUES (?,?,?,?,?,?,?,?)");
    file.prepare_cached(&sql)?
        .execute([tick, delay, live, blocks, mapping, peak, allocs, allocated])?;
    Ok(())
}
