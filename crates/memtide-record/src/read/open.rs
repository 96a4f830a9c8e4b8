//! Opening a recording wherever it lies and however it was left.
//!
//! | the file | how it is opened |
//! | --- | --- |
//! | finished | as it is |
//! | being written | as one more connection; WAL readers neither block the writer nor wait for it |
//! | left by a kill, writable place | the `-wal` is folded in, one file remains |
//! | left by a kill, read-only place | a private copy of file and `-wal` in the temporary directory |
//! | read-only place, no `-wal` | as immutable: without locks and side files |
//!
//! The file is never opened by other means than SQLite's while it may be a sound database: closing
//! such a descriptor would drop the locks that a [`Writer`](crate::Writer) of the same process holds
//! (POSIX locks belong to the process; <https://www.sqlite.org/howtocorrupt.html>, 2.2).

use crate::{Error, ErrorKind, Result, schema};
use rusqlite::{Connection, OpenFlags};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a lock that somebody holds for a moment is waited for.
const BUSY: Duration = Duration::from_secs(2);
/// The first bytes of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// How often copying a file that changes meanwhile is tried.
const COPY_TRIES: u32 = 5;

/// An open database. Fields are dropped in this order: first the connection, then the copy.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: Connection,
    _copy: Option<PrivateCopy>,
}

/// Opens a sound recording.
pub(super) fn open(path: &Path) -> Result<Opened> {
    let size = size_of(path)?;
    let error = match direct(path) {
        Ok(file) => {
            whole(path, &file)?;
            return Ok(Opened { file, _copy: None });
        }
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::Denied | ErrorKind::Io | ErrorKind::Full => beside(path),
        ErrorKind::NotARecording | ErrorKind::Corrupt => Err(diagnose(path, size, error)),
        _ => Err(error),
    }
}

/// Opens what is left of a damaged one.
pub(super) fn salvage(path: &Path) -> Result<Opened> {
    let damage = match open(path) {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    if !matches!(damage.kind(), ErrorKind::Truncated | ErrorKind::Corrupt) {
        return Err(damage);
    }
    // Makes SQLite take a file that is shorter than its header says.
    match immutable(path, "PRAGMA writable_schema=ON") {
        Ok(file) if check(path, &file).is_ok() => Ok(Opened { file, _copy: None }),
        _ => Err(damage),
    }
}

/// The size of the regular file at `path`, which may not be anything else.
fn size_of(path: &Path) -> Result<u64> {
    let facts: Metadata =
        fs::metadata(path).map_err(|error| Error::system("opening", path, error))?;
    let not = |what: &str| {
        let text = format!("{} is {what}, not a recording", path.display());
        Err(Error::new(ErrorKind::NotARecording, text))
    };
    if facts.is_dir() {
        not("a directory")
    } else if !facts.is_file() {
        not("no regular file")
    } else if facts.len() == 0 {
        not("empty")
    } else {
        Ok(facts.len())
    }
}

/// As one connection among others, folding a left `-wal` in where that is possible.
fn direct(path: &Path) -> Result<Connection> {
    // SQLite falls back to reading where the file may not be written.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(path, flags)
        .map_err(|error| Error::sqlite("opening", path, error))?;
    check(path, &file)?;
    // Needs the file for itself: refused at once while a recorder or another reader is at it. Then
    // whoever closes last folds the WAL in.
    let _ = file.pragma_update(None, "journal_mode", "DELETE");
    settings(&file, BUSY).map_err(|error| Error::sqlite("opening", path, error))?;
    Ok(file)
}

/// SQLite notices a missing page, but not that the last one lost its end.
fn whole(path: &Path, file: &Connection) -> Result<()> {
    let mode = file.query_row("PRAGMA journal_mode", [], |row| row.get(0));
    let promised = mode.and_then(|mode: String| {
        // In WAL mode pages may be in the WAL alone.
        if mode == "wal" {
            return Ok(0);
        }
        let size: i64 = file.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages: i64 = file.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        Ok(size.saturating_mul(pages).cast_unsigned())
    });
    let promised = promised.map_err(|error| Error::sqlite("opening", path, error))?;
    let size = size_of(path)?;
    if size < promised {
        return Err(truncated(path, size, Some(promised)));
    }
    Ok(())
}

fn truncated(path: &Path, size: u64, promised: Option<u64>) -> Error {
    let whole = promised.map_or_else(String::new, |promised| format!(" of {promised}"));
    let text = format!(
        "{} is cut off: {size}{whole} bytes are there",
        path.display()
    );
    Error::new(ErrorKind::Truncated, text)
}

/// From a place where SQLite can make no side files.
fn beside(path: &Path) -> Result<Opened> {
    let wal = side_file(path, "-wal");
    if fs::metadata(&wal).is_ok_and(|facts| facts.len() > 0) {
        let copy = PrivateCopy::make(path, &wal)?;
        let file = direct(&copy.file)?;
        return Ok(Opened {
            file,
            _copy: Some(copy),
        });
    }
    let file = immutable(path, "")?;
    check(path, &file)?;
    Ok(Opened { file, _copy: None })
}

/// Without locks, side files or writes; `first` is run before anything is read.
fn immutable(path: &Path, first: &str) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_URI;
    let file = Connection::open_with_flags(uri(path), flags)
        .map_err(|error| Error::sqlite("opening", path, error))?;
    file.execute_batch(first)
        .and_then(|()| settings(&file, BUSY))
        .map_err(|error| Error::sqlite("opening", path, error))?;
    Ok(file)
}

/// The settings of every reading connection: little memory, and no trust in what a foreign file's
/// schema would have SQLite do.
fn settings(file: &Connection, busy: Duration) -> rusqlite::Result<()> {
    file.busy_timeout(busy)?;
    file.execute_batch(
        "PRAGMA cache_size=-1024; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;
         PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;",
    )
}

/// Whether it is one of ours, and of a schema that we know; migrates the view that the connection
/// has of it.
fn check(path: &Path, file: &Connection) -> Result<()> {
    settings(file, BUSY).map_err(|error| Error::sqlite("opening", path, error))?;
    let fact =
        |name: &str| file.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let facts = fact("application_id").and_then(|id| Ok((id, fact("user_version")?)));
    let (application, version) = facts.map_err(|error| Error::sqlite("opening", path, error))?;
    // The pragmas need no more than the header; this reads the schema.
    file.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(|error| Error::sqlite("opening", path, error))?;
    if application != i64::from(schema::APPLICATION_ID) {
        let text = format!(
            "{} is an SQLite database of another program",
            path.display()
        );
        return Err(Error::new(ErrorKind::NotARecording, text));
    }
    file.busy_timeout(Duration::ZERO)
        .map_err(|error| Error::sqlite("opening", path, error))?;
    migrate(path, file, version)
}

fn migrate(path: &Path, file: &Connection, version: i64) -> Result<()> {
    let known = schema::VERSION;
    match u32::try_from(version) {
        Ok(found) if found > known => {
            let text = format!(
                "{} has schema {found}, this memtide reads up to {known}",
                path.display()
            );
            Err(Error::new(ErrorKind::NewerSchema { found, known }, text))
        }
        Ok(found @ 1..) => {
            let first = usize::try_from(found).unwrap_or(usize::MAX) - 1;
            for script in schema::MIGRATIONS.iter().skip(first) {
                file.execute_batch(script)
                    .map_err(|error| Error::sqlite("migrating", path, error))?;
            }
            Ok(())
        }
        _ => {
            let text = format!("{} has the impossible schema {version}", path.display());
            Err(Error::new(ErrorKind::Corrupt, text))
        }
    }
}

/// What is wrong with a file that SQLite refused. It is no sound database, so no lock is at stake.
fn diagnose(path: &Path, size: u64, error: Error) -> Error {
    let mut header = [0; 100];
    let length = match File::open(path).and_then(|mut file| read_up_to(&mut file, &mut header)) {
        Ok(length) => length,
        Err(error) => return Error::system("reading", path, error),
    };
    let header = header.get(..length).unwrap_or_default();
    if !header.starts_with(MAGIC) {
        let looks = if MAGIC.starts_with(header) {
            "the first bytes of an SQLite database"
        } else if header
            .iter()
            .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
        {
            "a text file"
        } else {
            "no SQLite database"
        };
        let text = format!("{} is {looks}, not a recording", path.display());
        return Error::new(ErrorKind::NotARecording, text);
    }
    match promised_size(header) {
        Some(promised) if promised <= size => error_of_content(path, error),
        promised => truncated(path, size, promised),
    }
}

/// It begins like a database and has its length: then either it is another program's, which the
/// error says already, or it is damaged.
fn error_of_content(path: &Path, error: Error) -> Error {
    if std::error::Error::source(&error).is_none() {
        return error;
    }
    let text = format!("{} is damaged", path.display());
    Error::new(ErrorKind::Corrupt, text).caused_by(error)
}

/// Page size times number of pages (<https://www.sqlite.org/fileformat.html>, 1.3).
fn promised_size(header: &[u8]) -> Option<u64> {
    let page_size = u16::from_be_bytes(*header.get(16..)?.first_chunk()?);
    let pages = u32::from_be_bytes(*header.get(28..)?.first_chunk()?);
    let page_size = if page_size == 1 {
        65_536
    } else {
        u64::from(page_size)
    };
    Some(page_size * u64::from(pages))
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(length) => read += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// `path` with `suffix` behind its name.
fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// `path` as SQLite's URI of an immutable file, every special byte escaped.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                uri.push(char::from(*byte));
            }
            _ => {
                uri.push('%');
                for digit in [byte >> 4, byte & 15] {
                    uri.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
                }
            }
        }
    }
    uri.push_str("?immutable=1");
    uri
}

/// File and `-wal` in a directory that only we can read; gone when this is dropped.
#[derive(Debug)]
struct PrivateCopy {
    directory: PathBuf,
    file: PathBuf,
}

impl PrivateCopy {
    fn make(path: &Path, wal: &Path) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let clock = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let name = format!("memtide-{}-{number}-{clock:x}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|error| Error::system("making a private copy in", &directory, error))?;
        let copy = Self {
            file: directory.join("copy.memtide"),
            directory,
        };
        for _ in 0..COPY_TRIES {
            let before = fingerprint(path, wal)?;
            for (from, to) in [(path, &copy.file), (wal, &side_file(&copy.file, "-wal"))] {
                copy_content(from, to)
                    .map_err(|error| Error::system("making a private copy of", from, error))?;
            }
            if fingerprint(path, wal)? == before {
                return Ok(copy);
            }
        }
        let text = format!("{} changes faster than it can be copied", path.display());
        Err(Error::new(ErrorKind::Io, text))
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The bytes alone: a copy of the read-only mode could not be opened.
fn copy_content(from: &Path, to: &Path) -> std::io::Result<()> {
    std::io::copy(&mut File::open(from)?, &mut File::create(to)?)?;
    Ok(())
}

/// What changes when a checkpoint moves content from the WAL to the file: the file's time, or the
/// WAL's salt in its header. Frames that are only added to the WAL do no harm.
fn fingerprint(path: &Path, wal: &Path) -> Result<(std::time::SystemTime, u64, [u8; 32])> {
    let doing = |error| Error::system("reading", path, error);
    let facts = fs::metadata(path).map_err(doing)?;
    let mut header = [0; 32];
    let mut file = File::open(wal).map_err(|error| Error::system("reading", wal, error))?;
    read_up_to(&mut file, &mut header).map_err(|error| Error::system("reading", wal, error))?;
    Ok((facts.modified().map_err(doing)?, facts.len(), header))
}
