//! Reading a recording back.
//!
//! Everything is read in one read transaction, so that a recorder that goes on writing does not
//! tear the picture, and in order of ticks, with one cursor per series: as-of values cost one pass.

mod diagnosis;
mod heap;
mod open;
mod private_copy;
mod samples;
mod singles;
mod stacks;
mod tree;

use crate::bucket::Light;
use crate::schema::meta;
use crate::{Error, ErrorKind, Result};
use memtide_model::{
    Bytes, Event, EventKind, Nanos, Observations, Pid, ReadCost, ReadKind, Recording, Target,
};
use open::Opened;
pub(crate) use open::to_write as open_to_write;
use rusqlite::{Connection, OptionalExtension as _, Row, Rows, Statement};
pub use stacks::Code;
use std::path::{Path, PathBuf};

/// Histories of mappings, of threads, and of what is held, that [`Reader::observations`] gives at most.
const HISTORIES: usize = 64;

/// An open recording.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    opened: Opened,
    source: Source,
}

/// How rows are read: of a damaged file each table is read up to where it breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Sound,
    Damaged,
}

impl Source {
    /// The next row, or none behind the last one that can be read.
    fn next<'r>(self, rows: &'r mut Rows<'_>) -> rusqlite::Result<Option<&'r Row<'r>>> {
        match rows.next() {
            Err(_) if self == Self::Damaged => Ok(None),
            next => next,
        }
    }

    /// A value, or its default where it cannot be read.
    fn value<T: Default>(self, value: rusqlite::Result<T>) -> rusqlite::Result<T> {
        match value {
            Err(_) if self == Self::Damaged => Ok(T::default()),
            value => value,
        }
    }

    /// The rows of a query, each turned into a value by `read`.
    fn collect<T>(
        self,
        statement: rusqlite::Result<Statement<'_>>,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut values = Vec::new();
        let mut statement = match statement {
            Err(_) if self == Self::Damaged => return Ok(values),
            statement => statement?,
        };
        let mut rows = statement.query([])?;
        while let Some(row) = self.next(&mut rows)? {
            match read(row) {
                Err(_) if self == Self::Damaged => {}
                value => values.push(value?),
            }
        }
        Ok(values)
    }
}

impl Reader {
    /// Opens a recording: finished, still being written (the recorder does not notice), or cut off
    /// by a kill (its `-wal` is folded in, or read through a private copy from a read-only place).
    ///
    /// Errors: `NotFound`, `Denied`, `NotARecording`, `Truncated`, `Corrupt`, `NewerSchema`, `Io`.
    pub fn open(path: &Path) -> Result<Self> {
        let opened = open::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            opened,
            source: Source::Sound,
        })
    }

    /// Opens a damaged or truncated recording for as much as can still be read of it: each table
    /// up to the page that is missing. What cannot be read is absent; the target must be there.
    ///
    /// Errors: those of [`Reader::open`], where nothing can be read.
    pub fn salvage(path: &Path) -> Result<Self> {
        let opened = open::salvage(path)?;
        Ok(Self {
            path: path.to_owned(),
            opened,
            source: Source::Damaged,
        })
    }

    /// The process as it was found, or as it was after its last exec.
    pub fn target(&self) -> Result<Target> {
        let json = self
            .file()
            .query_row(
                "SELECT json FROM target ORDER BY target DESC LIMIT 1",
                [],
                |row| row.get::<_, String>(0),
            )
            .map_err(|error| self.error(error))?;
        serde_json::from_str(&json).map_err(|error| {
            let text = format!(
                "the target's description in {}: {error}",
                self.path.display()
            );
            Error::new(ErrorKind::Corrupt, text)
        })
    }

    /// All that was seen, in at most `limit` samples (at least one is given): where there are more,
    /// the time is cut into `limit` equal spans, and of each the tick with the median RSS stays,
    /// preferably of those with smaps read. A history of a mapping, thread or stack has at most `limit`
    /// points, the last of each span. Totals of stacks, where there are more than `limit`, are those
    /// as of the samples; the last of all is always there.
    ///
    /// Stacks that have no row of their own (see [`Writer::stacks`](crate::Writer::stacks)) are
    /// together in one that ends in `Overflow` and has no frames; their number is in `lost.overflow`.
    /// A recording of stacks alone has no samples. Snapshots of the heap come all, whatever the limit.
    pub fn observations(&self, limit: usize) -> Result<Observations> {
        let target = self.target()?;
        let limit = limit.max(1);
        let read = || {
            // One state of the file, however long reading takes; nothing is written.
            let _snapshot = self.file().unchecked_transaction()?;
            let ticks = self.ticks()?;
            let (sampled, bare): (Vec<Light>, Vec<Light>) =
                ticks.iter().partition(|tick| tick.sampled);
            let events = self.events()?;
            let recording = self.recording(&ticks, &events)?;
            let picks = samples::pick(&sampled, limit, recording.interval);
            let reading = singles::Reading {
                file: self.file(),
                source: self.source,
                ticks: &ticks,
                limit,
                histories: HISTORIES,
            };
            Ok(Observations {
                recording,
                samples: samples::read(self.file(), self.source, &picks, target.id)?,
                mappings: reading.mappings()?,
                threads: reading.threads()?,
                tree: reading.tree()?,
                held: reading.held()?,
                stacks: match self.shim()? {
                    Some(shim) => {
                        // Without samples the ticks of stacks are thinned as those would be.
                        let bare = if picks.is_empty() { &bare[..] } else { &[] };
                        let bare = samples::pick(bare, limit, Nanos(0));
                        let picked = picks.iter().chain(&bare).map(|(tick, _)| tick.tick);
                        Some(shim.read(&reading, &picked.collect::<Vec<_>>())?)
                    }
                    None => None,
                },
                heap: self.heap()?,
                events,
                target,
            })
        };
        read().map_err(|error| self.error(error))
    }

    fn file(&self) -> &Connection {
        &self.opened.file
    }

    fn error(&self, error: rusqlite::Error) -> Error {
        Error::sqlite("reading", &self.path, error)
    }

    /// All ticks: some fifty bytes each, and thinning bounds their number.
    fn ticks(&self) -> rusqlite::Result<Vec<Light>> {
        let mut ticks = Vec::new();
        let mut statement = Light::prepare(self.file())?;
        let mut rows = statement.query([i64::MIN])?;
        while let Some(row) = self.source.next(&mut rows)? {
            let before = ticks.last().map_or(0, |light: &Light| light.tick);
            match Light::of_row(row) {
                Err(_) if self.source == Source::Damaged => {}
                // Half a page: what is missing reads as zeros.
                Ok(light) if self.source == Source::Damaged && light.tick <= before => {}
                light => ticks.push(light?),
            }
        }
        Ok(ticks)
    }

    fn recording(&self, ticks: &[Light], events: &[Event]) -> rusqlite::Result<Recording> {
        let number = |key: &str| self.number(key).map(i64::cast_unsigned);
        let started = Nanos(number(meta::STARTED)?);
        let lenses: Option<String> = self.fact(meta::LENSES)?;
        let lenses = lenses.unwrap_or_default();
        let gaps = events.iter().filter(|event| event.kind == EventKind::Gap);
        let gaps = gaps.filter_map(|event| u64::try_from(event.value?).ok());
        Ok(Recording {
            file: self.path.display().to_string(),
            started_wall: self.number(meta::STARTED_WALL)?,
            started,
            ended: ticks.last().map_or(started, |tick| tick.at),
            complete: self.number(meta::COMPLETE)? == 1,
            samples: self.samples(ticks),
            gaps: gaps.fold(0, u64::saturating_add),
            interval: Nanos(number(meta::INTERVAL)?),
            lenses: lenses
                .split(',')
                .filter(|lens| !lens.is_empty())
                .map(String::from)
                .collect(),
            cost_cpu: Nanos(number(meta::COST_CPU)?),
            reads: self.reads()?,
            page_size: Bytes(number(meta::PAGE_SIZE)?),
            ticks_per_second: number(meta::TICKS_PER_SECOND)?,
        })
    }

    /// How many samples were taken. Of a damaged file that is at least the last tick's number: ticks
    /// are numbered from one without a gap, and thinning gives no number again.
    fn samples(&self, ticks: &[Light]) -> u64 {
        let counts = ticks.iter().map(|tick| u64::from(tick.merged.samples));
        let folded = counts.fold(0, u64::saturating_add);
        match (self.source, ticks.last()) {
            (Source::Damaged, Some(last)) if last.sampled => {
                folded.max(last.tick.max(0).cast_unsigned())
            }
            _ => folded,
        }
    }

    fn fact<T: rusqlite::types::FromSql>(&self, key: &str) -> rusqlite::Result<Option<T>> {
        let value = self
            .file()
            .prepare_cached("SELECT value FROM meta WHERE key = ?")
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional());
        self.source.value(value)
    }

    /// A number of `meta`; zero where there is none.
    fn number(&self, key: &str) -> rusqlite::Result<i64> {
        Ok(self.fact(key)?.unwrap_or(0))
    }

    fn reads(&self) -> rusqlite::Result<Vec<ReadCost>> {
        let sql = "SELECT kind, reads, skipped, failed, cpu_ns, longest_ns FROM read_cost";
        let mut reads: Vec<ReadCost> = self
            .source
            .collect(self.file().prepare(sql), |row| {
                let number = |column| row.get(column).map(i64::cast_unsigned);
                // A kind of a later version is none that we could name.
                let Some(kind) = ReadKind::from_name(&row.get::<_, String>(0)?) else {
                    return Ok(None);
                };
                Ok(Some(ReadCost {
                    kind,
                    reads: number(1)?,
                    skipped: number(2)?,
                    failed: number(3)?,
                    cpu: Nanos(number(4)?),
                    longest: Nanos(number(5)?),
                }))
            })?
            .into_iter()
            .flatten()
            .collect();
        reads.sort_by_key(|read| read.kind);
        Ok(reads)
    }

    fn events(&self) -> rusqlite::Result<Vec<Event>> {
        let sql = "SELECT boottime_ns, kind, pid, text, value FROM event ORDER BY event";
        let events = self.source.collect(self.file().prepare(sql), |row| {
            let Some(kind) = EventKind::from_name(&row.get::<_, String>(1)?) else {
                return Ok(None);
            };
            Ok(Some(Event {
                at: Nanos(row.get::<_, i64>(0)?.cast_unsigned()),
                kind,
                pid: Pid(row.get(2)?),
                text: row.get(3)?,
                value: row.get(4)?,
            }))
        })?;
        Ok(events.into_iter().flatten().collect())
    }
}
