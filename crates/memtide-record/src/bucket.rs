//! Folding the ticks of a span of time into one of them.
//!
//! The tick that stays is the one with the median RSS among those at which smaps was read (the
//! ledger can use no others), or among all where it was read at none. It keeps its own time and
//! values, so what stays is always something that was seen; minimum, maximum and number are those
//! of the whole span. The writer thins with it and the reader, so they cannot differ.

use crate::schema;
use memtide_model::{Bytes, Merged, Nanos};
use rusqlite::{CachedStatement, Connection, Result, Row};

/// What folding needs to know of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Light {
    /// Its number.
    pub(crate) tick: i64,
    /// Its time.
    pub(crate) at: Nanos,
    /// Whether smaps was read.
    pub(crate) maps: bool,
    /// RSS as of this tick.
    pub(crate) rss: Bytes,
    /// Whether it has a sample. One that has none stands for no sample and stays only among its like.
    pub(crate) sampled: bool,
    /// What was folded into it before.
    pub(crate) merged: Merged,
}

impl Light {
    /// All ticks from `?1` on, in order.
    pub(crate) fn prepare(file: &Connection) -> Result<CachedStatement<'_>> {
        file.prepare_cached(
            "SELECT t.tick, t.boottime_ns, t.parts, g.samples, g.rss_min, g.rss_max,
               (SELECT rss FROM memory m WHERE m.tick <= t.tick ORDER BY m.tick DESC LIMIT 1)
             FROM tick t LEFT JOIN merged g ON g.tick = t.tick
             WHERE t.tick >= ?1 ORDER BY t.tick",
        )
    }

    /// One row of that query.
    pub(crate) fn of_row(row: &Row<'_>) -> Result<Self> {
        let unsigned = |column| {
            row.get(column)
                .map(|cell: Option<i64>| cell.map(i64::cast_unsigned))
        };
        let rss = Bytes(unsigned(6)?.unwrap_or(0));
        let parts: i64 = row.get(2)?;
        let sampled = parts & schema::NO_SAMPLE == 0;
        let merged = Merged {
            samples: row.get::<_, Option<u32>>(3)?.unwrap_or(u32::from(sampled)),
            rss_min: unsigned(4)?.map_or(rss, Bytes),
            rss_max: unsigned(5)?.map_or(rss, Bytes),
        };
        Ok(Self {
            tick: row.get(0)?,
            at: Nanos(row.get::<_, i64>(1)?.cast_unsigned()),
            maps: parts & schema::PART_MAPS != 0,
            rss,
            sampled,
            merged,
        })
    }
}

/// The tick that stays of these and what it stands for; `None` of none.
///
/// Of an even number the lower of the two middle ones stays; of equal RSS the earlier.
pub(crate) fn fold(ticks: &[Light]) -> Option<(i64, Merged)> {
    let any_maps = ticks.iter().any(|tick| tick.maps);
    let any_sampled = ticks.iter().any(|tick| tick.sampled);
    let counts = |tick: &&Light| tick.sampled || !any_sampled;
    let mut order: Vec<&Light> = ticks
        .iter()
        .filter(counts)
        .filter(|tick| tick.maps || !any_maps)
        .collect();
    order.sort_by_key(|tick| (tick.rss, tick.tick));
    let median = order.get(order.len().checked_sub(1)? / 2)?;
    let merged = ticks.iter().filter(counts).map(|tick| tick.merged);
    let merged = merged.reduce(|a, b| Merged {
        samples: a.samples.saturating_add(b.samples),
        rss_min: a.rss_min.min(b.rss_min),
        rss_max: a.rss_max.max(b.rss_max),
    })?;
    Some((median.tick, merged))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn light(tick: i64, rss: u64, maps: bool) -> Light {
        let rss = Bytes(rss);
        Light {
            tick,
            at: Nanos(0),
            maps,
            rss,
            sampled: true,
            merged: Merged::single(rss),
        }
    }

    #[test]
    fn the_median_of_those_with_smaps_stays() {
        let ticks = [
            light(1, 9, false),
            light(2, 5, true),
            light(3, 7, true),
            light(4, 6, true),
        ];
        let (tick, merged) = fold(&ticks).expect("there are four");
        assert_eq!(tick, 4);
        assert_eq!(
            merged,
            Merged {
                samples: 4,
                rss_min: Bytes(5),
                rss_max: Bytes(9)
            }
        );
    }

    #[test]
    fn a_tick_without_a_sample_stays_only_among_its_like() {
        let bare = |tick| Light {
            sampled: false,
            merged: Merged {
                samples: 0,
                ..Merged::single(Bytes(5))
            },
            ..light(tick, 5, false)
        };
        let (tick, merged) = fold(&[bare(1), light(2, 9, false), bare(3)]).expect("three");
        assert_eq!((tick, merged), (2, Merged::single(Bytes(9))));
        let (tick, merged) = fold(&[bare(1), bare(2), bare(3)]).expect("three");
        assert_eq!((tick, merged.samples), (2, 0));
    }

    #[test]
    fn without_smaps_the_median_of_all_stays() {
        let ticks = [light(1, 9, false), light(2, 5, false)];
        assert_eq!(fold(&ticks).map(|(tick, _)| tick), Some(2));
        assert_eq!(fold(&[]), None);
    }
}
