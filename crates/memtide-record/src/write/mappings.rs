//! Single mappings: who moved, who is new, who is gone.
//!
//! A mapping is known by address, class, protection and name; a change of one of them is another
//! mapping. Its movement is how far its RSS is from its last row, so that slow growth adds up.

use super::pace::{Extent, Rank, greatest};
use super::turn::{Paced, Turn};
use crate::schema;
use memtide_model::{Mapping, MappingClass, MappingState, Nanos};
use rusqlite::{Connection, Result, params};
use std::collections::HashMap;
use std::sync::Arc;

/// Movements from this on are written at once even in a long recording: 1 MiB.
const LARGE: u64 = 1 << 20;

/// Size and RSS.
type Sizes = (u64, u64);

#[derive(Debug)]
struct Known {
    mapping: Arc<Mapping>,
    /// Its row in table `mapping`, once it has one.
    id: Option<i64>,
    now: Sizes,
    written: Option<Sizes>,
    /// The read at which it was last seen.
    read: u64,
    gone: bool,
    /// Gone, and the file says so.
    done: bool,
}

/// All mappings as of the last read.
#[derive(Debug)]
pub(super) struct Mappings {
    /// By address, and whether it is `[stack]`: that one goes by its end.
    known: HashMap<(u64, bool), Known>,
    /// Those whose place another mapping took before the file said that they are gone.
    replaced: Vec<Known>,
    reads: u64,
    turn: Turn,
    rest: Option<(u64, Sizes)>,
}

impl Mappings {
    pub(super) fn new(start: Nanos) -> Self {
        Self {
            known: HashMap::new(),
            replaced: Vec::new(),
            reads: 0,
            turn: Turn::new(start),
            rest: None,
        }
    }

    fn note_one(&mut self, state: &MappingState) {
        let key = (
            state.mapping.address,
            state.mapping.class == MappingClass::MainStack,
        );
        let now = (state.size.0, state.rss.0);
        let reads = self.reads;
        if let Some(known) = self.known.get_mut(&key)
            && (Arc::ptr_eq(&known.mapping, &state.mapping) || known.mapping == state.mapping)
        {
            known.now = now;
            known.read = reads;
            known.gone = false;
            return;
        }
        let new = Known {
            mapping: Arc::clone(&state.mapping),
            id: None,
            now,
            written: None,
            read: reads,
            gone: false,
            done: false,
        };
        if let Some(before) = self.known.insert(key, new)
            && before.id.is_some()
        {
            self.replaced.push(before);
        }
    }
}

impl Paced for Mappings {
    type Seen = [MappingState];

    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }

    fn note(&mut self, states: &[MappingState]) {
        let over = |known: &Known| known.done || (known.gone && known.id.is_none());
        self.known.retain(|_, known| !over(known));
        self.replaced.retain(|known| !over(known));
        self.reads += 1;
        for state in states {
            self.note_one(state);
        }
        let unseen = self
            .known
            .values_mut()
            .filter(|known| known.read != self.reads);
        for known in unseen.chain(&mut self.replaced) {
            known.gone = true;
            known.now = (0, 0);
        }
    }

    fn write_movers(&mut self, file: &Connection, extent: Extent) -> Result<usize> {
        let all = self.known.values_mut().chain(&mut self.replaced);
        let mut movers: Vec<_> = all
            .filter(|known| known.written != Some(known.now))
            .filter(|known| known.id.is_some() || !known.gone)
            .map(|known| (movement(known), known))
            .filter(|((rss, ..), _)| {
                extent.sweep || *rss >= if extent.large_only { LARGE } else { 1 }
            })
            .collect();
        greatest(&mut movers, extent.rows);
        // In an order of their own and not the table's: the same process gives the same file.
        movers.sort_unstable_by_key(|(_, known)| known.mapping.address);
        let mut rows = 0;
        for (_, known) in movers {
            let id = if let Some(id) = known.id {
                id
            } else {
                let Some(id) = self.turn.identity(known.mapping.name.len()) else {
                    continue;
                };
                insert_identity(file, id, self.turn.tick, &known.mapping)?;
                known.id = Some(id);
                id
            };
            let (size, rss) = known.now;
            file.prepare_cached("INSERT OR REPLACE INTO mapping_sample VALUES (?,?,?,?)")?
                .execute(params![
                    self.turn.tick,
                    id,
                    size.cast_signed(),
                    rss.cast_signed()
                ])?;
            known.written = Some(known.now);
            known.done = known.gone;
            rows += 1;
        }
        Ok(rows)
    }

    fn write_rest(&mut self, file: &Connection) -> Result<()> {
        let mut rest = (0_u64, (0_u64, 0_u64));
        for known in self
            .known
            .values()
            .filter(|known| known.id.is_none() && !known.gone)
        {
            let (count, (size, rss)) = rest;
            let (more_size, more_rss) = known.now;
            rest = (
                count + 1,
                (size.saturating_add(more_size), rss.saturating_add(more_rss)),
            );
        }
        if self.rest != Some(rest) {
            let (count, (size, rss)) = rest;
            let values = [count, size, rss].map(u64::cast_signed);
            let [count, size, rss] = values;
            file.prepare_cached("INSERT OR REPLACE INTO mapping_rest VALUES (?,?,?,?)")?
                .execute(params![self.turn.tick, count, size, rss])?;
            self.rest = Some(rest);
        }
        Ok(())
    }

    fn forget_rows(&mut self) {
        let Self {
            known,
            replaced,
            turn,
            ..
        } = self;
        for known in known.values_mut().chain(replaced) {
            known.id = turn.kept(known.id);
            known.written = None;
            known.done = false;
        }
        self.rest = None;
    }
}

/// The change of RSS and of size since its last row; a new one comes from nothing.
fn movement(known: &Known) -> Rank {
    let (size, rss) = known.now;
    let (size_before, rss_before) = known.written.unwrap_or_default();
    (
        rss.abs_diff(rss_before),
        size.abs_diff(size_before),
        known.mapping.address,
    )
}

fn insert_identity(file: &Connection, id: i64, tick: i64, mapping: &Mapping) -> Result<()> {
    file.prepare_cached("INSERT INTO mapping VALUES (?,?,?,?,?,?)")?
        .execute(params![
            id,
            tick,
            mapping.address.cast_signed(),
            schema::class_code(mapping.class),
            String::from_utf8_lossy(&mapping.protection),
            &*mapping.name,
        ])?;
    Ok(())
}
