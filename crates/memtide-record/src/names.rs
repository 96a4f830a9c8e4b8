//! Names of places in code, stored after the run.
//!
//! Looking names up takes seconds and hundreds of megabytes, so it is not done while a target runs, and
//! may be done again later with better debug files, on another machine. This is the one exception
//! from the rule that a recording does not change any more: its names are replaced, nothing else.

use crate::counters::{PLACES, to_place};
use crate::schema::{self, meta};
use crate::{Error, ErrorKind, Result, read};
use memtide_model::{CodePlace, Symbol};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// The first schema with a place for names.
const FIRST: u32 = 2;

/// Replaces all names and warnings of a recording, in one transaction. An empty list for a place says
/// that it was looked up and has no name. Places that no stored stack has are passed over.
///
/// Errors: those of [`Reader::open`](crate::Reader::open); `BeingWritten` for a recording that has not
/// ended and that somebody holds open (one that a kill cut off may be named); `NoStacks` where no
/// shim looked; `OlderSchema`; `Denied` for a file or place that may not be written; `Full`: then the
/// names are those from before.
pub fn store_symbols(
    path: &Path,
    symbols: &[(CodePlace, Vec<Symbol>)],
    warnings: &[String],
) -> Result<()> {
    let mut file = read::open_to_write(path)?;
    refuse(path, &file)?;
    replace(&mut file, symbols, warnings).map_err(|error| Error::sqlite("writing", path, error))?;
    file.close()
        .map_err(|(_, error)| Error::sqlite("closing", path, error))
}

/// What may not be named.
fn refuse(path: &Path, file: &Connection) -> Result<()> {
    let reading = |error| Error::sqlite("reading", path, error);
    let found: u32 = file
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(reading)?;
    if found < FIRST {
        let text = format!("{} has schema {found}, names need {FIRST}", path.display());
        let needed = FIRST;
        return Err(Error::new(ErrorKind::OlderSchema { found, needed }, text));
    }
    let fact = |key: &str| {
        file.query_row("SELECT value FROM meta WHERE key = ?", [key], |row| {
            row.get::<_, rusqlite::types::Value>(0)
        })
        .optional()
        .map_err(reading)
    };
    if fact(meta::HEAP_MODE)?.is_none() {
        let text = format!("{} has no call stacks", path.display());
        return Err(Error::new(ErrorKind::NoStacks, text));
    }
    let mode: String = file
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .map_err(reading)?;
    let complete = fact(meta::COMPLETE)? == Some(rusqlite::types::Value::Integer(1));
    // A recorder keeps others from leaving its WAL; what a kill left has left it by now.
    if !complete && mode == "wal" {
        let text = format!("{} is being written, or somebody reads it", path.display());
        return Err(Error::new(ErrorKind::BeingWritten, text));
    }
    Ok(())
}

fn replace(
    file: &mut Connection,
    symbols: &[(CodePlace, Vec<Symbol>)],
    warnings: &[String],
) -> rusqlite::Result<()> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "DELETE FROM symbol; DELETE FROM symbol_text; DELETE FROM symbol_warning;",
    )?;
    let places: HashMap<CodePlace, i64> = transaction
        .prepare(PLACES)?
        .query_map([], |row| to_place(row).map(|(row, place)| (place, row)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut texts = Texts::default();
    let sql = "INSERT OR REPLACE INTO symbol VALUES (?,?,?,?,?,?)";
    for (place, names) in symbols {
        let Some(place) = places.get(place) else {
            continue;
        };
        // Names from before, should the list have the place twice.
        transaction
            .prepare_cached("DELETE FROM symbol WHERE place = ?")?
            .execute([place])?;
        if names.is_empty() {
            transaction.prepare_cached(sql)?.execute(params![
                place,
                -1,
                None::<i64>,
                None::<i64>,
                None::<u32>,
                0
            ])?;
        }
        for (name, depth) in names.iter().zip(0_i64..) {
            let function = texts.store(&transaction, name.function.as_ref())?;
            let source = texts.store(&transaction, name.file.as_ref())?;
            transaction.prepare_cached(sql)?.execute(params![
                place,
                depth,
                function,
                source,
                name.line,
                name.inlined
            ])?;
        }
    }
    for warning in warnings {
        transaction
            .prepare_cached("INSERT INTO symbol_warning VALUES (NULL,?)")?
            .execute([warning])?;
    }
    transaction.commit()
}

/// The texts that have a row already: a file's name stands in it once, not once per place.
#[derive(Default)]
struct Texts(HashMap<Arc<str>, i64>);

impl Texts {
    /// The row of a text.
    fn store(
        &mut self,
        file: &Connection,
        text: Option<&Arc<str>>,
    ) -> rusqlite::Result<Option<i64>> {
        let Some(text) = text else { return Ok(None) };
        if let Some(row) = self.0.get(text) {
            return Ok(Some(*row));
        }
        file.prepare_cached("INSERT INTO symbol_text VALUES (NULL,?)")?
            .execute([&**text])?;
        let row = file.last_insert_rowid();
        self.0.insert(Arc::clone(text), row);
        Ok(Some(row))
    }
}

/// Schemas 2 to 4 have the same tables for names; a newer one has to be looked at here, too.
const _: () = assert!(schema::VERSION == 4);
