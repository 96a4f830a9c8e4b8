//! The file that keeps a census: `memtide.census/1`, one JSON object, written and read here.
//!
//! Keys that are unknown are passed over, so that a later memtide may add some; another schema is refused.

use memtide_model::Snapshot;
use memtide_model::processes::SNAPSHOT_SCHEMA;
use serde::Deserialize;

/// Why a file is not a snapshot that can be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It is none, or only a part of one.
    #[error("not a snapshot that `memtide ps --snapshot` wrote, or not all of it")]
    NotASnapshot(#[source] serde_json::Error),
    /// It has another schema.
    #[error(
        "a file of {0:?}, and {SNAPSHOT_SCHEMA:?} is read here: read it with the memtide that wrote it"
    )]
    Schema(String),
}

/// A snapshot as its file holds it.
///
/// # Panics
///
/// Never: a snapshot always serialises.
pub fn snapshot_text(snapshot: &Snapshot) -> String {
    let mut text = crate::json::compact(snapshot);
    text.push('\n');
    text
}

/// Reads what [`snapshot_text`] wrote.
///
/// # Errors
/// Where it is no snapshot, or one of another schema.
pub fn read_snapshot(text: &str) -> Result<Snapshot, SnapshotError> {
    #[derive(Deserialize)]
    struct Named {
        schema: String,
    }
    let named: Named = serde_json::from_str(text).map_err(SnapshotError::NotASnapshot)?;
    if named.schema != SNAPSHOT_SCHEMA {
        return Err(SnapshotError::Schema(named.schema));
    }
    serde_json::from_str(text).map_err(SnapshotError::NotASnapshot)
}
