//! The malloc heap as seen from outside: the snapshots that were kept, each with the lists it still has.

use crate::Reader;
use crate::heap_cells::{self, ARENAS, CLASSES, SIZES, SNAPSHOTS};
use crate::schema::meta;
use memtide_model::{HeapObservations, HeapSnapshot};
use rusqlite::{Result, Row};
use std::collections::BTreeMap;

/// Snapshots whose lists are given at most: more than a writer keeps, and an end to what a made-up
/// file could promise.
const LISTED: usize = 16;
/// Classes with their names. A name that is lost reads as an error, not as a class without one.
const CLASSES_FROM: &str = "heap_text.name, runtime, count, bytes FROM heap_class
  LEFT JOIN heap_text ON text = heap_class.name";

impl Reader {
    /// All that is known of the heap; `None` where nobody looked or tried to.
    pub(super) fn heap(&self) -> Result<Option<HeapObservations>> {
        let unavailable: Option<String> = self.fact(meta::HEAP_UNAVAILABLE)?;
        let unavailable = unavailable.map(|why| heap_cells::cut(&why).to_owned());
        let mut snapshots = self.snapshots()?;
        if snapshots.is_empty() && unavailable.is_none() {
            return Ok(None);
        }
        self.lists(&mut snapshots)?;
        Ok(Some(HeapObservations {
            snapshots: snapshots.into_values().collect(),
            unavailable,
        }))
    }

    /// The snapshots without their lists, by their numbers.
    fn snapshots(&self) -> Result<BTreeMap<i64, HeapSnapshot>> {
        let sql = format!(
            "SELECT snapshot, {} FROM heap_snapshot ORDER BY snapshot LIMIT {SNAPSHOTS}",
            heap_cells::snapshot_columns()
        );
        let rows = self.source.collect(self.file().prepare(&sql), |row| {
            Ok((row.get::<_, i64>(0)?, heap_cells::to_snapshot(row, 1)?))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Gives each snapshot the lists that were kept of it.
    fn lists(&self, snapshots: &mut BTreeMap<i64, HeapSnapshot>) -> Result<()> {
        let arenas = format!("{} FROM heap_arena", heap_cells::ARENA);
        for (number, arena) in self.list(&arenas, ARENAS, heap_cells::to_arena)? {
            if let Some(snapshot) = snapshots.get_mut(&number) {
                snapshot.arenas.push(arena);
            }
        }
        let sizes = format!("{} FROM heap_size", heap_cells::SIZE);
        for (number, size) in self.list(&sizes, SIZES, heap_cells::to_size)? {
            if let Some(snapshot) = snapshots.get_mut(&number) {
                snapshot.sizes.push(size);
            }
        }
        let ended = format!(
            "SELECT snapshot, {} FROM ended_threads ORDER BY snapshot LIMIT {SNAPSHOTS}",
            heap_cells::ENDED
        );
        let ended = self.source.collect(self.file().prepare(&ended), |row| {
            Ok((row.get::<_, i64>(0)?, heap_cells::to_ended(row, 1)?))
        })?;
        for (number, ended) in ended {
            if let Some(snapshot) = snapshots.get_mut(&number) {
                snapshot.ended_threads = Some(ended);
            }
        }
        for (number, class) in self.list(CLASSES_FROM, CLASSES, heap_cells::to_class)? {
            if let Some(snapshot) = snapshots.get_mut(&number) {
                snapshot.classes.push(class);
            }
        }
        Ok(())
    }

    /// The entries of a list in their order, each with the number of its snapshot.
    fn list<T>(
        &self,
        columns_from: &str,
        most: usize,
        read: fn(&Row<'_>, usize) -> Result<T>,
    ) -> Result<Vec<(i64, T)>> {
        let sql = format!(
            "SELECT snapshot, {columns_from} ORDER BY snapshot, position LIMIT {}",
            LISTED * most
        );
        self.source.collect(self.file().prepare(&sql), |row| {
            Ok((row.get(0)?, read(row, 1)?))
        })
    }
}
