//! A series as samples.

use crate::columns::{NEEDED, sample};
use crate::table::Table;
use crate::{Error, Result};
use memtide_model::{Nanos, Pid, ProcessId, Sample, StartTime};
use std::path::Path;

/// The recorder may have caught the process before its `exec`: its first rows are left out.
const BEFORE_EXEC: usize = 2;
/// Second 0 of a series on the boot clock: any moment will do, and none of a real machine is known.
const ORIGIN: Nanos = Nanos::from_secs(1_000);

/// One recorded process.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Who it is said to be; the file does not tell.
    pub process: ProcessId,
    /// What second 0 of the file is in its samples.
    pub origin: Nanos,
    /// In order of time; equal times once.
    pub samples: Vec<Sample>,
}

/// Reads a series.
///
/// Errors: `Read`; `Malformed` for a file without the columns `t` and `VmRSS` or with a row that does not
/// know them, with something else than numbers in it, that is cut off or longer than 128 MiB, or with
/// fewer rows than the three that are needed for one sample.
pub fn read_series(path: &Path) -> Result<Series> {
    let table = Table::read(path, &NEEDED)?;
    let process = ProcessId {
        pid: Pid(1),
        start: StartTime(0),
    };
    let mut samples: Vec<Sample> = table
        .rows()
        .skip(BEFORE_EXEC)
        .filter_map(|row| {
            let at = ORIGIN + Nanos::from_secs_f64(row.get("t")?);
            Some(sample(row, at, process))
        })
        .collect();
    if samples.is_empty() {
        let why = "no samples: the first two rows are of the time before exec, and there are no others; record it for longer";
        return Err(Error::malformed(path, 1, why));
    }
    samples.sort_by_key(|sample| sample.at);
    samples.dedup_by_key(|sample| sample.at);
    Ok(Series {
        process,
        origin: ORIGIN,
        samples,
    })
}
