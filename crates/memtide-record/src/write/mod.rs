//! Writing a recording: one transaction per tick.
//!
//! The file is made with mode 0600 before SQLite sees it; its `-wal` and `-shm` take over that
//! mode. While it is written it is in WAL mode with `synchronous=NORMAL`: a commit is a write
//! without a sync, so a killed recorder loses nothing that was committed, and a machine that loses
//! power loses at most what came after the last checkpoint, ten seconds ago.
//!
//! When a transaction fails (a full disk), nothing of it stands, and the writer forgets what it
//! believed to stand: the next tick that fits is written in full.

mod frames;
mod heap;
mod held;
mod mappings;
mod pace;
mod series;
mod shim;
mod stacks;
mod thin;
mod threads;
mod tree;
mod turn;

use crate::schema::{self, meta};
use crate::{Error, ErrorKind, Result};
use held::Held;
use mappings::Mappings;
use memtide_model::{Bytes, Event, MappingClass, Nanos, ProcessId, ReadCost, Target, Tick};
use rusqlite::{Connection, OpenFlags, params};
use series::Series;
use stacks::Stacks;
use std::fmt;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thin::Thinner;
use threads::Threads;
use tree::Tree;
use turn::Paced as _;

/// Between two checkpoints.
const CHECKPOINT: Nanos = Nanos::from_secs(10);
/// Steps of thinning after one tick at the most; one takes about a millisecond.
const STEPS_AT_ONCE: u64 = 60;
/// How long a lock that a reader holds for a moment is waited for.
const BUSY: Duration = Duration::from_millis(500);

/// The same moment on three clocks; they drift apart by suspends and by corrections of the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// `CLOCK_BOOTTIME`: the clock of every time in a recording.
    pub boottime: Nanos,
    /// `CLOCK_MONOTONIC`: does not count suspends.
    pub monotonic: Nanos,
    /// Wall clock, nanoseconds since 1970 (UTC).
    pub wall: i64,
}

/// Facts about a recording that are known when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// When.
    pub clock: Clock,
    /// The interval between ticks that was asked for.
    pub interval: Nanos,
    /// System page size.
    pub page_size: Bytes,
    /// Clock ticks per second (`sysconf(_SC_CLK_TCK)`).
    pub ticks_per_second: u64,
    /// Lenses that look: "sampler". A name holds no comma. "shim" is added by
    /// [`Writer::stacks_start`] and "inspect" by [`Writer::heap`], when it is known that they look.
    pub lenses: Vec<String>,
    /// The version of memtide that records.
    pub version: String,
}

/// A recording that is being written. Dropped without [`Writer::finish`] it leaves a file that
/// opens and is marked as not complete.
pub struct Writer {
    path: PathBuf,
    file: Connection,
    process: ProcessId,
    /// The number of the last tick that stands in the file, and when it was.
    tick: i64,
    at: Nanos,
    series: Series,
    mappings: Mappings,
    threads: Threads,
    held: Held,
    /// Where somebody looks at the tree below the target.
    tree: Option<Tree>,
    /// Where the preload shim looks.
    stacks: Option<Stacks>,
    thinner: Thinner,
    checkpointed: Nanos,
    thinned: Nanos,
}

impl Writer {
    /// Creates the file (mode 0600) and its tables.
    ///
    /// Errors: `Exists` for a file that is there, `Denied` and `NotFound` for a directory that may
    /// not be written or is not there, `Full`.
    pub fn create(path: &Path, target: &Target, start: &Start) -> Result<Self> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| Error::system("creating", path, error))?;
        let file = set_up(path, target, start).map_err(|error| {
            // The file is ours and holds nothing: leave no empty one behind.
            let _ = std::fs::remove_file(path);
            Error::sqlite("creating", path, error)
        })?;
        let at = start.clock.boottime;
        Ok(Self {
            path: path.to_owned(),
            file,
            process: target.id,
            tick: 0,
            at,
            series: Series::new(),
            mappings: Mappings::new(at),
            threads: Threads::new(at),
            held: Held::new(at),
            tree: None,
            stacks: None,
            thinner: Thinner::new(at, start.interval),
            checkpointed: at,
            thinned: at,
        })
    }

    /// Stores one tick with its events in one transaction; thinning and checkpoints happen inside,
    /// in small steps. Ticks come in order of time.
    ///
    /// Errors: `Full` when there is no room; the tick is then not stored, all before it are, and
    /// the next one may be tried. `OtherProcess` for a tick of another process.
    pub fn tick(&mut self, tick: &Tick) -> Result<()> {
        let sample = &tick.sample;
        if sample.process != self.process {
            let text = format!(
                "a tick of pid {} (started at {}) in the recording of pid {} (started at {})",
                sample.process.pid, sample.process.start.0, self.process.pid, self.process.start.0
            );
            return Err(Error::new(ErrorKind::OtherProcess, text));
        }
        let written = self.write_tick(tick);
        self.settle(written)?;
        self.tick += 1;
        self.at = sample.at;
        self.keep_house(sample.at)
    }

    /// Stores one event between two ticks.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        insert_event(&self.file, event).map_err(|error| self.error(error))
    }

    /// Stores what the recorder cost so far; replaces what was stored before.
    pub fn costs(&mut self, reads: &[ReadCost], cost_cpu: Nanos) -> Result<()> {
        self.write_costs(reads, cost_cpu)
            .map_err(|error| self.error(error))
    }

    /// Stores a moment on three clocks; once a minute is enough.
    pub fn clock(&mut self, clock: Clock) -> Result<()> {
        insert_clock(&self.file, clock).map_err(|error| self.error(error))
    }

    /// Stores what the process is now, after it replaced its program at `at`.
    pub fn retarget(&mut self, target: &Target, at: Nanos) -> Result<()> {
        insert_target(&self.file, target, at).map_err(|error| self.error(error))
    }

    /// Ends the recording cleanly: marked complete, one file, no side files (those of a reader that
    /// is still at it go when it ends).
    pub fn finish(mut self) -> Result<()> {
        let written = self.write_end();
        self.settle(written)?;
        self.checkpoint("TRUNCATE");
        // Refused while a reader is at it; the last one to close then folds the WAL in.
        let _ = self.file.pragma_update(None, "journal_mode", "DELETE");
        let Self { file, path, .. } = self;
        file.close()
            .map_err(|(_, error)| Error::sqlite("closing", &path, error))
    }

    fn write_tick(&mut self, tick: &Tick) -> rusqlite::Result<()> {
        let transaction = self.file.unchecked_transaction()?;
        let (file, number, at) = (&self.file, self.tick + 1, tick.sample.at);
        let part = |there, part| if there { part } else { 0 };
        let parts = part(tick.sample.maps.is_some(), schema::PART_MAPS)
            | part(tick.mappings.is_some(), schema::PART_MAPPINGS)
            | part(tick.threads.is_some(), schema::PART_THREADS)
            | part(tick.held.is_some(), schema::PART_HELD);
        file.prepare_cached("INSERT INTO tick VALUES (?,?,?)")?
            .execute([number, at.0.cast_signed(), parts])?;
        let merged = tick.sample.merged;
        if merged != memtide_model::Merged::single(tick.sample.memory.rss) {
            file.prepare_cached("INSERT INTO merged VALUES (?,?,?,?)")?
                .execute(params![
                    number,
                    merged.samples,
                    merged.rss_min.0.cast_signed(),
                    merged.rss_max.0.cast_signed()
                ])?;
        }
        self.series.write(file, number, &tick.sample)?;
        if let Some(mappings) = &tick.mappings {
            self.mappings.write(file, number, at, mappings)?;
        }
        if let Some(threads) = &tick.threads {
            self.threads.write(file, number, at, threads)?;
        }
        if let Some(held) = &tick.held {
            self.held.write(file, number, at, held)?;
        }
        for event in &tick.events {
            insert_event(file, event)?;
        }
        transaction.commit()
    }

    fn write_costs(&self, reads: &[ReadCost], cost_cpu: Nanos) -> rusqlite::Result<()> {
        let transaction = self.file.unchecked_transaction()?;
        for read in reads {
            self.file
                .prepare_cached("INSERT OR REPLACE INTO read_cost VALUES (?,?,?,?,?,?)")?
                .execute(params![
                    read.kind.name(),
                    read.reads.cast_signed(),
                    read.skipped.cast_signed(),
                    read.failed.cast_signed(),
                    read.cpu.0.cast_signed(),
                    read.longest.0.cast_signed(),
                ])?;
        }
        set_meta(&self.file, meta::COST_CPU, cost_cpu.0.cast_signed())?;
        transaction.commit()
    }

    fn write_end(&mut self) -> rusqlite::Result<()> {
        let transaction = self.file.unchecked_transaction()?;
        if self.tick > 0 {
            self.mappings.finish(&self.file)?;
            self.threads.finish(&self.file)?;
            self.held.finish(&self.file)?;
        }
        if let Some(tree) = &mut self.tree {
            tree.finish(&self.file)?;
        }
        if let Some(stacks) = &mut self.stacks {
            stacks.finish(&self.file)?;
        }
        set_meta(&self.file, meta::COMPLETE, 1)?;
        transaction.commit()
    }

    /// Brings memory in line with what became of a transaction.
    fn settle(&mut self, written: rusqlite::Result<()>) -> Result<()> {
        match written {
            Ok(()) => {
                self.mappings.committed();
                self.threads.committed();
                self.held.committed();
                self.tree.iter_mut().for_each(Tree::committed);
                self.stacks.iter_mut().for_each(Stacks::committed);
                Ok(())
            }
            Err(error) => {
                self.series.forget();
                self.mappings.forget();
                self.threads.forget();
                self.held.forget();
                self.tree.iter_mut().for_each(Tree::forget);
                self.stacks.iter_mut().for_each(Stacks::forget);
                Err(self.error(error))
            }
        }
    }

    /// Thinning and checkpoints. A full disk is no error here: the tick stands, and the next tick
    /// will say so if it is still full.
    fn keep_house(&mut self, now: Nanos) -> Result<()> {
        let thinned = self.thin(now);
        if now - self.checkpointed >= CHECKPOINT {
            self.checkpoint("PASSIVE");
            self.checkpointed = now;
        }
        match thinned.map_err(|error| self.error(error)) {
            Err(error) if error.kind() != ErrorKind::Full => Err(error),
            _ => Ok(()),
        }
    }

    /// As many small steps as seconds have passed, so that rare ticks do not fall behind.
    fn thin(&mut self, now: Nanos) -> rusqlite::Result<()> {
        let passed = (now - self.thinned).0 / Nanos::SECOND.0;
        self.thinned = now;
        for _ in 0..passed.clamp(1, STEPS_AT_ONCE) {
            self.thinner.step(&self.file, now)?;
        }
        Ok(())
    }

    /// Moves what the WAL holds into the file, as far as readers and the disk allow: what cannot
    /// be moved stays safe in the WAL.
    fn checkpoint(&self, mode: &str) {
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let _ = self.file.query_row(&sql, [], |_| Ok(()));
    }

    fn error(&self, error: rusqlite::Error) -> Error {
        Error::sqlite("writing", &self.path, error)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("path", &self.path)
            .field("tick", &self.tick)
            .finish_non_exhaustive()
    }
}

/// Opens the new file, makes its tables, then lets it write ahead.
fn set_up(path: &Path, target: &Target, start: &Start) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags)?;
    file.busy_timeout(BUSY)?;
    file.set_prepared_statement_cache_capacity(64);
    // Small pages: a tick touches the last page of a dozen tables, and each goes through the WAL.
    // A quarter of a MiB of cache, no maps: the recorder has to stay small.
    file.execute_batch("PRAGMA page_size=1024; PRAGMA cache_size=-256; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;")?;
    let transaction = file.unchecked_transaction()?;
    file.execute_batch(schema::SQL)?;
    file.pragma_update(None, "application_id", schema::APPLICATION_ID)?;
    file.pragma_update(None, "user_version", schema::VERSION)?;
    for class in MappingClass::ALL {
        file.execute(
            "INSERT INTO class VALUES (?,?)",
            params![schema::class_code(class), class.name()],
        )?;
    }
    insert_facts(&file, start)?;
    insert_clock(&file, start.clock)?;
    insert_target(&file, target, start.clock.boottime)?;
    transaction.commit()?;
    file.pragma_update(None, "journal_mode", "WAL")?;
    file.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(file)
}

fn insert_facts(file: &Connection, start: &Start) -> rusqlite::Result<()> {
    set_meta(file, meta::VERSION, &start.version)?;
    set_meta(file, meta::SCHEMA, schema::VERSION)?;
    set_meta(file, meta::STARTED, start.clock.boottime.0.cast_signed())?;
    set_meta(file, meta::STARTED_WALL, start.clock.wall)?;
    set_meta(file, meta::INTERVAL, start.interval.0.cast_signed())?;
    set_meta(file, meta::PAGE_SIZE, start.page_size.0.cast_signed())?;
    set_meta(
        file,
        meta::TICKS_PER_SECOND,
        start.ticks_per_second.cast_signed(),
    )?;
    set_meta(file, meta::LENSES, start.lenses.join(","))?;
    set_meta(file, meta::COMPLETE, 0)
}

fn set_meta(file: &Connection, key: &str, value: impl rusqlite::ToSql) -> rusqlite::Result<()> {
    file.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?,?)")?
        .execute(params![key, value])?;
    Ok(())
}

/// Adds to the lenses that looked.
fn add_lens(file: &Connection, lens: &str) -> rusqlite::Result<()> {
    let lenses: String = file
        .prepare_cached("SELECT value FROM meta WHERE key = ?")?
        .query_row([meta::LENSES], |row| row.get(0))?;
    if lenses.split(',').any(|known| known == lens) {
        return Ok(());
    }
    let lenses = if lenses.is_empty() {
        lens.to_owned()
    } else {
        format!("{lenses},{lens}")
    };
    set_meta(file, meta::LENSES, lenses)
}

fn insert_clock(file: &Connection, clock: Clock) -> rusqlite::Result<()> {
    file.prepare_cached("INSERT OR REPLACE INTO clock VALUES (?,?,?)")?
        .execute([
            clock.boottime.0.cast_signed(),
            clock.monotonic.0.cast_signed(),
            clock.wall,
        ])?;
    Ok(())
}

fn insert_event(file: &Connection, event: &Event) -> rusqlite::Result<()> {
    file.prepare_cached("INSERT INTO event VALUES (NULL,?,?,?,?,?)")?
        .execute(params![
            event.at.0.cast_signed(),
            event.kind.name(),
            event.pid.0,
            event.text,
            event.value
        ])?;
    Ok(())
}

fn insert_target(file: &Connection, target: &Target, at: Nanos) -> rusqlite::Result<()> {
    let json = serde_json::to_string(target)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    file.prepare_cached("INSERT INTO target VALUES (NULL,?,?,?,?,?,?,?,?,?,?)")?
        .execute(params![
            at.0.cast_signed(),
            target.id.pid.0,
            target.id.start.0.cast_signed(),
            target.name,
            target.exe,
            target.cmdline.join(" "),
            target.uid,
            target.allocator,
            target.runtime,
            json
        ])?;
    Ok(())
}
