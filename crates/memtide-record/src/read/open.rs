//! Opening a recording wherever it lies and however it was left.
//!
//! | the file | how it is opened |
//! | --- | --- |
//! | finished | as it is |
//! | being written | as one more connection; WAL readers neither block the writer nor wait for it |
//! | left by a kill, writable place | the `-wal` is folded in, one file remains |
//! | left by a kill, read-only place | a private copy of file and `-wal` in the temporary directory |
//! | read-only place, no `-wal` | as immutable: without locks and side files |
//! | damaged, to be salvaged | as immutable; cut off within a page: a private copy of its whole pages |
//!
//! The file is never opened by other means than SQLite's while it may be a sound database: closing
//! such a descriptor would drop the locks that a [`Writer`](crate::Writer) of the same process holds
//! (POSIX locks belong to the process; <https://www.sqlite.org/howtocorrupt.html>, 2.2).

use super::diagnosis::{diagnose, truncated, whole_pages};
use super::private_copy::{PrivateCopy, side_file};
use crate::{Error, ErrorKind, Result, schema};
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

/// How long a lock that somebody holds for a moment is waited for: a recorder on a disk that is busy may sync for
/// seconds.
const BUSY: Duration = Duration::from_secs(6);

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

/// Opens a sound recording whose names are to be written: the file itself or nothing.
pub(crate) fn to_write(path: &Path) -> Result<Connection> {
    let size = size_of(path)?;
    match direct(path) {
        Ok(file) => whole(path, &file).map(|()| file),
        Err(error) if matches!(error.kind(), ErrorKind::NotARecording | ErrorKind::Corrupt) => {
            Err(diagnose(path, size, error))
        }
        Err(error) => Err(error),
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
    let size = size_of(path)?;
    let whole = whole_pages(path, size)?;
    let copy = (whole < size).then(|| PrivateCopy::of_beginning(path, whole));
    let copy = copy.transpose()?;
    let left = copy.as_ref().map_or(path, |copy| &copy.file);
    // Makes SQLite take a file that is shorter than its header says.
    match immutable(left, "PRAGMA writable_schema=ON") {
        Ok(file) if check(path, &file).is_ok() => Ok(Opened { file, _copy: copy }),
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

/// `path` as SQLite's URI of an immutable file, every special byte escaped.
fn uri(path: &Path) -> String {
    // An absolute path needs an (empty) authority: what follows two slashes would be taken for one.
    let mut uri = String::from(if path.is_absolute() {
        "file://"
    } else {
        "file:"
    });
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
