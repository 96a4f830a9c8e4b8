//! Single threads: who touched memory, who is new, who ended.
//!
//! A thread's movement is the faults since its last row. CPU time, state and wait channel ride
//! along with such a row and with the sweep once a minute; they never cause one by themselves.

use super::pace::{Extent, Rank, greatest};
use super::turn::{Paced, Turn};
use memtide_model::{Nanos, ThreadId, ThreadState};
use rusqlite::{Connection, OptionalExtension, Result, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Movements from this on are written at once even in a long recording: 256 pages.
const LARGE: u64 = 256;
/// Kernel functions that threads sleep in are few; what comes beyond is not stored by name.
const WCHANS: usize = 4_096;

#[derive(Debug)]
struct Known {
    now: ThreadState,
    /// Its row in table `thread`, once it has one, and the name that stands there.
    id: Option<i64>,
    stored_name: Arc<str>,
    written: Option<ThreadState>,
    /// The sweep of `task/` at which it was last seen.
    read: u64,
    ended: bool,
    /// Ended, and the file says so.
    done: bool,
}

/// Threads without a row of their own: count, minor faults, major faults, CPU ticks.
type Rest = [u64; 4];

/// All threads as of the last read.
#[derive(Debug)]
pub(super) struct Threads {
    known: HashMap<ThreadId, Known>,
    wchans: HashMap<Arc<str>, i64>,
    reads: u64,
    turn: Turn,
    rest: Option<Rest>,
}

impl Threads {
    pub(super) fn new(start: Nanos) -> Self {
        Self {
            known: HashMap::new(),
            wchans: HashMap::new(),
            reads: 0,
            turn: Turn::new(start),
            rest: None,
        }
    }
}

impl Paced for Threads {
    type Seen = [ThreadState];

    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }

    fn note(&mut self, states: &[ThreadState]) {
        self.known
            .retain(|_, known| !(known.done || (known.ended && known.id.is_none())));
        self.reads += 1;
        for state in states {
            let known = self.known.entry(state.id).or_insert_with(|| Known {
                now: state.clone(),
                id: None,
                stored_name: Arc::clone(&state.name),
                written: None,
                read: 0,
                ended: false,
                done: false,
            });
            known.now.clone_from(state);
            known.read = self.reads;
            known.ended = false;
        }
        for known in self.known.values_mut() {
            known.ended = known.read != self.reads;
        }
    }

    fn write_movers(&mut self, file: &Connection, extent: Extent) -> Result<usize> {
        let mut movers: Vec<_> = self
            .known
            .values_mut()
            .filter(|known| {
                if known.ended {
                    known.id.is_some()
                } else {
                    changed(known)
                }
            })
            .map(|known| (movement(known), known))
            .filter(|((faults, ..), _)| {
                extent.sweep || *faults >= if extent.large_only { LARGE } else { 1 }
            })
            .collect();
        greatest(&mut movers, extent.rows);
        // In an order of their own and not the table's: the same process gives the same file.
        movers.sort_unstable_by_key(|(_, known)| known.now.id);
        let mut rows = 0;
        for (_, known) in movers {
            let id = if let Some(id) = known.id {
                id
            } else {
                let Some(id) = self.turn.identity(known.now.name.len()) else {
                    continue;
                };
                insert_identity(file, id, self.turn.tick, &known.now)?;
                known.id = Some(id);
                known.stored_name = Arc::clone(&known.now.name);
                id
            };
            if known.ended {
                file.prepare_cached(
                    "INSERT OR REPLACE INTO thread_sample(tick, thread) VALUES (?,?)",
                )?
                .execute([self.turn.tick, id])?;
                known.done = true;
            } else {
                rename(file, known, id)?;
                insert_sample(file, &mut self.wchans, self.turn.tick, id, &known.now)?;
                known.written = Some(known.now.clone());
            }
            rows += 1;
        }
        Ok(rows)
    }

    fn write_rest(&mut self, file: &Connection) -> Result<()> {
        let mut rest = Rest::default();
        for known in self
            .known
            .values()
            .filter(|known| known.id.is_none() && !known.ended)
        {
            let now = &known.now;
            for (sum, value) in rest
                .iter_mut()
                .zip([1, now.min_flt, now.maj_flt, now.cpu_ticks])
            {
                *sum = sum.saturating_add(value);
            }
        }
        if self.rest != Some(rest) {
            let [count, min_flt, maj_flt, cpu] = rest.map(u64::cast_signed);
            file.prepare_cached("INSERT OR REPLACE INTO thread_rest VALUES (?,?,?,?,?)")?
                .execute([self.turn.tick, count, min_flt, maj_flt, cpu])?;
            self.rest = Some(rest);
        }
        Ok(())
    }

    fn forget_rows(&mut self) {
        let Self { known, turn, .. } = self;
        for known in known.values_mut() {
            known.id = turn.kept(known.id);
            known.written = None;
            known.done = false;
        }
        self.wchans.clear();
        self.rest = None;
    }
}

fn changed(known: &Known) -> bool {
    known.written.as_ref() != Some(&known.now)
}

/// The faults and the CPU ticks since its last row. That one ended is told before all else.
fn movement(known: &Known) -> Rank {
    let tid = u64::from(known.now.id.tid.0);
    if known.ended {
        return (u64::MAX, 0, tid);
    }
    let (faults, cpu) = known.written.as_ref().map_or((0, 0), |written| {
        (
            written.min_flt.saturating_add(written.maj_flt),
            written.cpu_ticks,
        )
    });
    let now = &known.now;
    (
        now.min_flt.saturating_add(now.maj_flt).abs_diff(faults),
        now.cpu_ticks.abs_diff(cpu),
        tid,
    )
}

fn insert_identity(file: &Connection, id: i64, tick: i64, state: &ThreadState) -> Result<()> {
    let start = state.id.start.0.cast_signed();
    file.prepare_cached("INSERT INTO thread VALUES (?,?,?,?,?)")?
        .execute(params![id, tick, state.id.tid.0, start, &*state.name])?;
    Ok(())
}

/// A thread may rename itself (prctl(2), `PR_SET_NAME`); the last name is kept.
fn rename(file: &Connection, known: &mut Known, id: i64) -> Result<()> {
    if known.stored_name != known.now.name {
        file.prepare_cached("UPDATE thread SET name = ? WHERE thread = ?")?
            .execute(params![&*known.now.name, id])?;
        known.stored_name = Arc::clone(&known.now.name);
    }
    Ok(())
}

fn insert_sample(
    file: &Connection,
    wchans: &mut HashMap<Arc<str>, i64>,
    tick: i64,
    id: i64,
    state: &ThreadState,
) -> Result<()> {
    let wchan = match &state.wchan {
        Some(name) => wchan_id(file, wchans, name)?,
        None => None,
    };
    file.prepare_cached("INSERT OR REPLACE INTO thread_sample VALUES (?,?,?,?,?,?,?)")?
        .execute(params![
            tick,
            id,
            state.min_flt.cast_signed(),
            state.maj_flt.cast_signed(),
            state.cpu_ticks.cast_signed(),
            state.state,
            wchan,
        ])?;
    Ok(())
}

/// The number of a wait channel, given to it at its first use.
fn wchan_id(
    file: &Connection,
    wchans: &mut HashMap<Arc<str>, i64>,
    name: &Arc<str>,
) -> Result<Option<i64>> {
    if let Some(id) = wchans.get(name) {
        return Ok(Some(*id));
    }
    if wchans.len() >= WCHANS {
        return Ok(None);
    }
    file.prepare_cached("INSERT OR IGNORE INTO wchan(name) VALUES (?)")?
        .execute([&**name])?;
    let id: Option<i64> = file
        .prepare_cached("SELECT wchan FROM wchan WHERE name = ?")?
        .query_row([&**name], |row| row.get(0))
        .optional()?;
    if let Some(id) = id {
        wchans.insert(Arc::clone(name), id);
    }
    Ok(id)
}
