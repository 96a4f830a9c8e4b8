//! What malloc really held, as the programs of the corpus logged it (`mallinfo2(3)`).

use crate::Result;
use crate::table::Table;
use memtide_model::{Bytes, HeapSnapshot, HeapTotals, Nanos, Sample};
use std::path::Path;

/// A program of the corpus starts its log so much before its recorder does.
const AHEAD: f64 = 0.2;

/// What malloc held at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// When, as the samples of the series count.
    pub at: Nanos,
    /// Bytes of blocks in use (`uordblks + hblkhd`).
    pub live: Bytes,
    /// Bytes that malloc has from the system (`arena + hblkhd`).
    pub held: Bytes,
}

/// Reads the log beside a series whose second 0 is `origin`.
///
/// Errors: as of [`crate::read_series`], for the columns `t`, `live` and `held`.
pub fn read_truth(path: &Path, origin: Nanos) -> Result<Vec<Held>> {
    let table = Table::read(path, &["t", "live", "held"])?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "negative numbers have been left out, and the cast saturates"
    )]
    let bytes = |value: f64| Bytes(value as u64);
    let mut all: Vec<Held> = table
        .rows()
        .filter_map(|row| {
            Some(Held {
                at: origin + Nanos::from_secs_f64((row.get("t")? - AHEAD).max(0.0)),
                live: bytes(row.get("live")?),
                held: bytes(row.get("held")?),
            })
        })
        .collect();
    all.sort_by_key(|held| held.at);
    Ok(all)
}

impl Held {
    /// As a look into the heap would have found it at the time of `sample`: what is held is resident as far as
    /// the process has anonymous memory, and live blocks come first. What mallinfo does not tell is zero.
    pub fn as_snapshot(&self, sample: &Sample) -> HeapSnapshot {
        let anon = sample.memory.rss_anon.unwrap_or(sample.memory.rss);
        let resident = self.held.min(anon);
        let live = self.live.min(resident);
        HeapSnapshot {
            at: self.at,
            rss: sample.memory.rss,
            layout: "mallinfo2 log".to_owned(),
            totals: HeapTotals {
                live_bytes: self.live,
                live_resident: live,
                free_bytes: self.held.saturating_sub(self.live),
                free_resident: resident.saturating_sub(live),
                heap_resident: resident,
                ..HeapTotals::default()
            },
            ..HeapSnapshot::default()
        }
    }
}
