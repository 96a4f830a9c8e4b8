//! The writer's part for the malloc heap as seen from outside: one row per snapshot, and its lists.
//!
//! What the heap held matters at the beginning and at the end, how much it held also in between. So a
//! list (arenas, sizes, classes) is kept of its first snapshot, of the first since the last exec and of
//! the newest one, each list for itself: where only some snapshots have classes, the first and the newest
//! of those are kept. Sums and quality are kept of all, until there are [`SNAPSHOTS`] of them: then every
//! second goes, but for the first, the last and those with lists.
//!
//! Everything is one transaction, and what stands is asked of the file: there is nothing to forget
//! when it fails.

use super::pace::greatest;
use super::{Writer, add_lens, set_meta};
use crate::Result;
use crate::heap_cells::{self, ARENAS, CLASSES, SIZES, SNAPSHOT_LENGTH, SNAPSHOTS};
use crate::schema::meta;
use memtide_model::{ArenaTotals, HeapClass, HeapSnapshot, SizeClass};
use rusqlite::{Connection, params, params_from_iter};

/// The lens that looks into a heap.
const INSPECT: &str = "inspect";
/// The tables with a snapshot's lists.
const LISTS: [&str; 3] = ["heap_arena", "heap_size", "heap_class"];

impl Writer {
    /// Stores a snapshot of the heap in a transaction of its own; the first adds "inspect" to the
    /// lenses. Snapshots come in order of time, between any two ticks.
    ///
    /// Stored are at most 64 arenas (the main one, and those with most bytes; where there are more, the
    /// last is the sum of the others, with address 0), 128 classes of sizes and 256 of objects (those with
    /// most bytes: their sum is less than the totals), 16 doubts, and 4,096 bytes of a name. Lists are
    /// kept of the first snapshot, of the first after the last [`Writer::retarget`] and of the newest; of
    /// more than 512 snapshots every second is dropped, but for the first, the last and those with
    /// lists.
    ///
    /// Errors: `Full`, `Io`: then the file is as it was before.
    pub fn heap(&mut self, snapshot: &HeapSnapshot) -> Result<()> {
        write_snapshot(&self.file, snapshot).map_err(|error| self.error(error))
    }

    /// Stores why there are no snapshots, or no more: a sentence with the remedy. It replaces the one
    /// before; the next snapshot takes it away.
    ///
    /// Errors: `Full`, `Io`: then the file is as it was before.
    pub fn heap_unavailable(&mut self, why: &str) -> Result<()> {
        set_meta(&self.file, meta::HEAP_UNAVAILABLE, heap_cells::cut(why))
            .map_err(|error| self.error(error))
    }
}

fn write_snapshot(file: &Connection, snapshot: &HeapSnapshot) -> rusqlite::Result<()> {
    let transaction = file.unchecked_transaction()?;
    // The last one is never dropped, so no number is given twice.
    let number: i64 = file
        .prepare_cached("SELECT coalesce(max(snapshot), 0) + 1 FROM heap_snapshot")?
        .query_row([], |row| row.get(0))?;
    let sql = format!(
        "INSERT INTO heap_snapshot(snapshot, {}) VALUES (?{})",
        heap_cells::snapshot_columns(),
        ",?".repeat(SNAPSHOT_LENGTH)
    );
    let values = heap_cells::of_snapshot(snapshot)?;
    file.prepare_cached(&sql)?
        .execute(params_from_iter([number.into()].into_iter().chain(values)))?;
    write_arenas(file, number, &snapshot.arenas)?;
    write_sizes(file, number, &snapshot.sizes)?;
    write_classes(file, number, &snapshot.classes)?;
    if let Some(ended) = &snapshot.ended_threads {
        file.prepare_cached("INSERT INTO ended_threads VALUES (?,?,?,?,?)")?
            .execute(params_from_iter(
                [number].into_iter().chain(heap_cells::of_ended(ended)),
            ))?;
    }
    drop_lists(file)?;
    thin(file)?;
    add_lens(file, INSPECT)?;
    file.prepare_cached("DELETE FROM meta WHERE key = ?")?
        .execute([meta::HEAP_UNAVAILABLE])?;
    transaction.commit()
}

fn write_arenas(file: &Connection, snapshot: i64, arenas: &[ArenaTotals]) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO heap_arena(snapshot, position, {}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        heap_cells::ARENA
    );
    for (arena, position) in largest_arenas(arenas).iter().zip(0..) {
        let values = [snapshot, position].into_iter();
        file.prepare_cached(&sql)?
            .execute(params_from_iter(values.chain(heap_cells::of_arena(arena))))?;
    }
    Ok(())
}

/// The arenas that get a row; where there is no room for all, the last is the sum of the others.
fn largest_arenas(arenas: &[ArenaTotals]) -> Vec<ArenaTotals> {
    if arenas.len() <= ARENAS {
        return arenas.to_vec();
    }
    let weight = |arena: &ArenaTotals| match arena {
        ArenaTotals { is_main: true, .. } => u64::MAX,
        arena => arena.system_bytes.0,
    };
    let is_kept = foremost(arenas, ARENAS - 1, weight);
    let mut kept = Vec::with_capacity(ARENAS);
    let mut rest = ArenaTotals::default();
    for (arena, is_kept) in arenas.iter().zip(is_kept) {
        if is_kept {
            kept.push(*arena);
        } else {
            heap_cells::add_arena(&mut rest, arena);
        }
    }
    kept.push(rest);
    kept
}

fn write_sizes(file: &Connection, snapshot: i64, sizes: &[SizeClass]) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO heap_size(snapshot, position, {}) VALUES (?,?,?,?,?,?,?)",
        heap_cells::SIZE
    );
    let weight = |size: &SizeClass| size.live_bytes.0.saturating_add(size.free_bytes.0);
    let kept = sizes.iter().zip(foremost(sizes, SIZES, weight));
    let kept = kept.filter_map(|(size, is_kept)| is_kept.then_some(size));
    for (size, position) in kept.zip(0..) {
        let values = [snapshot, position].into_iter();
        file.prepare_cached(&sql)?
            .execute(params_from_iter(values.chain(heap_cells::of_size(size))))?;
    }
    Ok(())
}

fn write_classes(file: &Connection, snapshot: i64, classes: &[HeapClass]) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO heap_class(snapshot, position, {}) VALUES (?,?,?,?,?,?)",
        heap_cells::CLASS
    );
    let kept = classes
        .iter()
        .zip(foremost(classes, CLASSES, |class| class.bytes.0));
    let kept = kept.filter_map(|(class, is_kept)| is_kept.then_some(class));
    for (class, position) in kept.zip(0..) {
        let name = store_name(file, &class.name)?;
        let key = [snapshot.into(), rusqlite::types::Value::Integer(position)];
        let values = key.into_iter().chain(heap_cells::of_class(class, name));
        file.prepare_cached(&sql)?
            .execute(params_from_iter(values))?;
    }
    Ok(())
}

/// Of each of `items` whether it is among the `most` with the greatest weight; of equals the first are.
fn foremost<T>(items: &[T], most: usize, weight: impl Fn(&T) -> u64) -> Vec<bool> {
    let ranked = items.iter().zip(0_u64..).enumerate();
    let mut candidates: Vec<_> = ranked
        .map(|(index, (item, order))| ((weight(item), u64::MAX - order, 0), index))
        .collect();
    greatest(&mut candidates, most);
    let mut is_kept = vec![false; items.len()];
    for (_, index) in candidates {
        if let Some(is_kept) = is_kept.get_mut(index) {
            *is_kept = true;
        }
    }
    is_kept
}

/// The row of a class's name.
fn store_name(file: &Connection, name: &str) -> rusqlite::Result<i64> {
    let name = heap_cells::cut(name);
    file.prepare_cached("INSERT OR IGNORE INTO heap_text(name) VALUES (?)")?
        .execute([name])?;
    file.prepare_cached("SELECT text FROM heap_text WHERE name = ?")?
        .query_row([name], |row| row.get(0))
}

/// Drops the lists of snapshots that are neither the first, nor the first of this program, nor the
/// newest with such a list; then the names that no class has any more.
fn drop_lists(file: &Connection) -> rusqlite::Result<()> {
    let since: i64 = file
        .prepare_cached("SELECT boottime_ns FROM target ORDER BY target DESC LIMIT 1")?
        .query_row([], |row| row.get(0))?;
    for list in LISTS {
        let sql = format!(
            "DELETE FROM {list} WHERE snapshot NOT IN (
               SELECT min(snapshot) FROM {list}
               UNION ALL SELECT max(snapshot) FROM {list}
               UNION ALL SELECT coalesce(min(snapshot), 0) FROM {list}
                 JOIN heap_snapshot USING (snapshot) WHERE boottime_ns >= ?)"
        );
        file.prepare_cached(&sql)?.execute([since])?;
    }
    file.prepare_cached("DELETE FROM heap_text WHERE text NOT IN (SELECT name FROM heap_class)")?
        .execute([])?;
    Ok(())
}

/// Drops every second snapshot, once there are too many.
fn thin(file: &Connection) -> rusqlite::Result<()> {
    let count: i64 = file
        .prepare_cached("SELECT count(*) FROM heap_snapshot")?
        .query_row([], |row| row.get(0))?;
    if usize::try_from(count).is_ok_and(|count| count <= SNAPSHOTS) {
        return Ok(());
    }
    let listed = LISTS.map(|list| format!("UNION ALL SELECT snapshot FROM {list}"));
    let sql = format!(
        "DELETE FROM heap_snapshot WHERE snapshot IN (
           SELECT snapshot FROM (
             SELECT snapshot, row_number() OVER (ORDER BY snapshot) AS position
             FROM heap_snapshot) WHERE position % 2 = 0)
         AND snapshot NOT IN (SELECT max(snapshot) FROM heap_snapshot {})",
        listed.join(" ")
    );
    file.execute(&sql, params![])?;
    let sql =
        "DELETE FROM ended_threads WHERE snapshot NOT IN (SELECT snapshot FROM heap_snapshot)";
    file.execute(sql, params![])?;
    Ok(())
}
