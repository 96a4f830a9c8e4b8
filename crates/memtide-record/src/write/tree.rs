//! The processes that descend from the target: sums at each look, and single processes that moved.
//!
//! A process's movement is the change of its RSS since its last row. Rows are paced as those of threads
//! are. Its end is told before all else, by a row of NULLs; who came and went between two sweeps may
//! have no row at all, and is in the sums.

use super::pace::{Extent, Rank, greatest};
use super::turn::{Paced, Turn};
use super::{Writer, set_meta};
use crate::Result as RecordResult;
use crate::schema::meta;
use memtide_model::{Nanos, Pid, ProcessId, TreeEnd, TreeMember, TreeTick, TreeTotals};
use rusqlite::{Connection, Result, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Movements of RSS from this on are written at once even in a long recording, in bytes.
const LARGE: u64 = 1 << 20;

impl Writer {
    /// Tells that the tree below the target is looked at, and who tells of forks ("side-band", "connector",
    /// "ptrace", "poll"); once, before the first [`Writer::tree`].
    ///
    /// Errors: `Full`, `Io`.
    pub fn tree_start(&mut self, engine: &str) -> RecordResult<()> {
        set_meta(&self.file, meta::TREE_ENGINE, engine).map_err(|error| self.error(error))?;
        let (target, start) = (self.process, self.at);
        self.tree.get_or_insert_with(|| Tree::new(target, start));
        Ok(())
    }

    /// Stores a look at the tree, in a transaction of its own. It belongs to the last tick; before the first
    /// one, and before [`Writer::tree_start`], nothing is stored.
    ///
    /// Errors: `Full`: then nothing of this call is in the file, and it comes with the next one.
    pub fn tree(&mut self, seen: &TreeTick) -> RecordResult<()> {
        let Some(tree) = self.tree.as_mut().filter(|_| self.tick > 0) else {
            return Ok(());
        };
        let number = self.tick;
        let written = self.file.unchecked_transaction().and_then(|transaction| {
            tree.write(&transaction, number, seen.at, seen)?;
            tree.write_totals(&transaction, seen)?;
            transaction.commit()
        });
        self.settle(written)
    }
}

#[derive(Debug)]
struct Known {
    now: TreeMember,
    /// Its row in table `process`, once it has one, and the name and parent that stand there.
    id: Option<i64>,
    stored: (Arc<str>, Option<Pid>),
    written: Option<TreeMember>,
    ended: Option<TreeEnd>,
    /// Ended, and the file says so.
    done: bool,
}

/// All processes of the tree as of the last look.
#[derive(Debug)]
pub(super) struct Tree {
    target: ProcessId,
    known: HashMap<ProcessId, Known>,
    turn: Turn,
    totals: Option<TreeTotals>,
}

impl Tree {
    pub(super) fn new(target: ProcessId, start: Nanos) -> Self {
        Self {
            target,
            known: HashMap::new(),
            turn: Turn::new(start),
            totals: None,
        }
    }

    fn write_totals(&mut self, file: &Connection, seen: &TreeTick) -> Result<()> {
        let totals = TreeTotals::of(seen);
        let as_written = TreeTotals {
            at: Nanos::default(),
            ..totals
        };
        if self.totals == Some(as_written) {
            return Ok(());
        }
        let number = u64::cast_signed;
        file.prepare_cached("INSERT OR REPLACE INTO process_total VALUES (?,?,?,?,?,?,?,?)")?
            .execute(params![
                self.turn.tick,
                number(totals.processes),
                number(totals.zombies),
                number(totals.orphans),
                number(totals.rss.0),
                totals.pss.map(|pss| number(pss.0)),
                seen.short_lived.map(number),
                number(seen.lost),
            ])?;
        self.totals = Some(as_written);
        Ok(())
    }
}

impl Paced for Tree {
    type Seen = TreeTick;

    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }

    fn note(&mut self, seen: &TreeTick) {
        self.known
            .retain(|_, known| !(known.done || (known.ended.is_some() && known.id.is_none())));
        for member in &seen.members {
            if member.id == self.target {
                continue;
            }
            let known = self.known.entry(member.id).or_insert_with(|| Known {
                now: member.clone(),
                id: None,
                stored: identity(member),
                written: None,
                ended: None,
                done: false,
            });
            known.now.clone_from(member);
        }
        for end in &seen.ended {
            if let Some(known) = self.known.get_mut(&end.id) {
                known.ended = Some(*end);
            }
        }
    }

    fn write_movers(&mut self, file: &Connection, extent: Extent) -> Result<usize> {
        let least = if extent.large_only { LARGE } else { 1 };
        let mut movers: Vec<_> = (self.known.values_mut())
            .filter(|known| match known.ended {
                Some(_) => known.id.is_some() && !known.done,
                None => has_changed(known),
            })
            .map(|known| (movement(known), known))
            .filter(|((moved, ..), _)| extent.sweep || *moved >= least)
            .collect();
        greatest(&mut movers, extent.rows);
        // In an order of their own and not the table's: the same tree gives the same file.
        movers.sort_unstable_by_key(|(_, known)| known.now.id);
        let mut rows = 0;
        for (_, known) in movers {
            let now = &known.now;
            let bytes = now.name.len() + now.cmdline.iter().map(String::len).sum::<usize>();
            if known.id.is_none()
                && let Some(id) = self.turn.identity(bytes)
            {
                insert_identity(file, id, self.turn.tick, now)?;
                known.id = Some(id);
                known.stored = identity(now);
            }
            let Some(id) = known.id else { continue };
            if let Some(end) = known.ended {
                write_end(file, self.turn.tick, id, &end)?;
                known.done = true;
            } else {
                correct(file, known, id)?;
                insert_sample(file, self.turn.tick, id, &known.now)?;
                known.written = Some(known.now.clone());
            }
            rows += 1;
        }
        Ok(rows)
    }

    fn write_rest(&mut self, _: &Connection) -> Result<()> {
        // The sums are those of all, and are written at every look.
        Ok(())
    }

    fn forget_rows(&mut self) {
        let Self { known, turn, .. } = self;
        for known in known.values_mut() {
            known.id = turn.kept(known.id);
            known.written = None;
            known.done = false;
        }
        self.totals = None;
    }
}

/// Whether its row would be another; that it used CPU is no reason for one.
fn has_changed(known: &Known) -> bool {
    let now = &known.now;
    known.written.as_ref().is_none_or(|written| {
        (now.rss, now.pss, now.state, now.orphaned, now.threads)
            != (
                written.rss,
                written.pss,
                written.state,
                written.orphaned,
                written.threads,
            )
            || now.name != written.name
            || now.parent != written.parent
    })
}

/// How far its RSS is from its last row. That it ended is told before all else, then new ones.
fn movement(known: &Known) -> Rank {
    let pid = u64::from(known.now.id.pid.0);
    let rss = known.now.rss.0;
    match (&known.ended, &known.written) {
        (Some(_), _) => (u64::MAX, 0, pid),
        (None, None) => (rss.max(LARGE), rss, pid),
        // A change of state alone counts for little, and for something.
        (None, Some(written)) => (rss.abs_diff(written.rss.0).max(1), rss, pid),
    }
}

fn insert_identity(file: &Connection, id: i64, tick: i64, member: &TreeMember) -> Result<()> {
    file.prepare_cached("INSERT INTO process VALUES (?,?,?,?,?,?,?,?,?,NULL)")?
        .execute(params![
            id,
            tick,
            member.id.pid.0,
            member.id.start.0.cast_signed(),
            member.parent.map(|parent| parent.0),
            member.pgid,
            member.sid,
            &*member.name,
            command_line(member),
        ])?;
    Ok(())
}

/// What of its identity may come later: the name of another program, of which the last is kept, and who started it.
fn identity(member: &TreeMember) -> (Arc<str>, Option<Pid>) {
    (Arc::clone(&member.name), member.parent)
}

fn correct(file: &Connection, known: &mut Known, id: i64) -> Result<()> {
    let now = &known.now;
    if known.stored != identity(now) {
        let parent = now.parent.map(|parent| parent.0);
        file.prepare_cached(
            "UPDATE process SET name = ?, cmdline = ?, parent = ? WHERE process = ?",
        )?
        .execute(params![&*now.name, command_line(now), parent, id])?;
        known.stored = identity(now);
    }
    Ok(())
}

fn insert_sample(file: &Connection, tick: i64, id: i64, member: &TreeMember) -> Result<()> {
    file.prepare_cached("INSERT OR REPLACE INTO process_sample VALUES (?,?,?,?,?,?,?,?)")?
        .execute(params![
            tick,
            id,
            member.rss.0.cast_signed(),
            member.pss.map(|pss| pss.0.cast_signed()),
            member.state,
            member.orphaned,
            member.threads.cast_signed(),
            member.cpu_ticks.cast_signed(),
        ])?;
    Ok(())
}

fn write_end(file: &Connection, tick: i64, id: i64, end: &TreeEnd) -> Result<()> {
    file.prepare_cached("INSERT OR REPLACE INTO process_sample(tick, process) VALUES (?,?)")?
        .execute([tick, id])?;
    file.prepare_cached("UPDATE process SET status = ? WHERE process = ?")?
        .execute(params![end.status, id])?;
    Ok(())
}

/// As a JSON list: arguments may hold anything.
fn command_line(member: &TreeMember) -> String {
    serde_json::to_string(&*member.cmdline).unwrap_or_default()
}
