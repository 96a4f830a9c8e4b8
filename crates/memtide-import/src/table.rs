//! A CSV file of numbers, by the names of its columns.
//!
//! -1 stands for what is not known. Nothing else is guessed: a cell that is no number, a line that is cut off
//! and a file that is too long are errors, and name the line and what to do.

use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

/// What a file may be, unpacked: a week of a sample a second. A small archive can hold any number of
/// bytes, and all numbers are kept in memory.
const MOST_BYTES: u64 = 128 << 20;
/// What recorders write for "not known".
const UNKNOWN: f64 = -1.0;

/// All rows of a file.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<String>,
    /// Row by row, each as long as there are columns.
    cells: Vec<f64>,
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    table: &'a Table,
    cells: &'a [f64],
}

impl Table {
    /// Reads a file, gzipped or not, that has at least the columns `needed`.
    pub(crate) fn read(path: &Path, needed: &[&str]) -> Result<Self> {
        let failed = |cause| Error::Read {
            path: path.to_owned(),
            cause,
        };
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let mut magic = [0; 2];
        let mut read = 0;
        while let Some(rest) = magic.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match file.read(rest).map_err(failed)? {
                0 => break,
                more => read += more,
            }
        }
        let start = Cursor::new(magic.into_iter().take(read).collect::<Vec<u8>>());
        let whole = start.chain(file);
        if magic == [0x1f, 0x8b] {
            Self::parse(path, Bounded::new(MultiGzDecoder::new(whole)), needed)
        } else {
            Self::parse(path, Bounded::new(whole), needed)
        }
    }

    fn parse(path: &Path, content: impl Read, needed: &[&str]) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(content);
        let head = reader.headers().map_err(|error| of_csv(path, 1, error))?;
        // Spreadsheets put a byte order mark in front.
        let name = |name: &str| name.trim_start_matches('\u{feff}').to_owned();
        let columns: Vec<String> = head.iter().map(name).collect();
        if columns.is_empty() {
            let why = "the file is empty; its first line names the columns";
            return Err(Error::malformed(path, 1, why));
        }
        let needed = places(path, &columns, needed)?;
        let mut cells = Vec::new();
        let mut record = csv::StringRecord::new();
        loop {
            let here = reader.position().line();
            let more = reader.read_record(&mut record);
            if !more.map_err(|error| of_csv(path, here, error))? {
                return Ok(Self { columns, cells });
            }
            let line = record.position().map_or(here, csv::Position::line);
            let row = numbers(path, line, &record)?;
            for (column, place) in &needed {
                if row.get(*place).is_none_or(|&cell| cell < 0.0) {
                    let why = format!("{column} is not known; leave such rows out");
                    return Err(Error::malformed(path, line, why));
                }
            }
            cells.extend(row);
        }
    }

    /// Its rows, in the order of the file.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let width = self.columns.len().max(1);
        (self.cells.chunks_exact(width)).map(|cells| Row { table: self, cells })
    }
}

/// Where the needed columns are.
fn places<'a>(
    path: &Path,
    columns: &[String],
    needed: &[&'a str],
) -> Result<Vec<(&'a str, usize)>> {
    let place = |&column: &&'a str| match columns.iter().position(|name| name == column) {
        Some(place) => Ok((column, place)),
        None => Err(Error::malformed(
            path,
            1,
            format!(
                "there is no column {column:?}; needed are {}",
                needed.join(", ")
            ),
        )),
    };
    needed.iter().map(place).collect()
}

fn numbers(path: &Path, line: u64, record: &csv::StringRecord) -> Result<Vec<f64>> {
    let number = |cell: &str| {
        let wrong = |why: &str| {
            let cell = memtide_model::text::printable(cell.as_bytes());
            Error::malformed(path, line, format!("{cell:?} {why}"))
        };
        match cell.parse::<f64>() {
            Ok(value) if !value.is_finite() => {
                Err(wrong("is no finite number; write -1 for what is not known"))
            }
            Ok(value) if value < 0.0 && (value - UNKNOWN).abs() > 0.0 => Err(wrong(
                "is less than nothing; write -1 for what is not known",
            )),
            Ok(value) => Ok(value),
            Err(_) => Err(wrong("is not a number; write -1 for what is not known")),
        }
    };
    record.iter().map(number).collect()
}

/// What the reader of CSV found wrong in a line, or what kept it from reading it.
fn of_csv(path: &Path, line: u64, error: csv::Error) -> Error {
    let line = error.position().map_or(line, csv::Position::line);
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(cause) if is_of_content(&cause) => {
            let why = format!(
                "it cannot be unpacked beyond this line ({cause}); copy or record it again"
            );
            Error::malformed(path, line, why)
        }
        csv::ErrorKind::Io(cause) if cause.kind() == io::ErrorKind::FileTooLarge => {
            let most = memtide_model::text::bytes(MOST_BYTES as f64);
            let why = format!("the file is longer than {most} when unpacked; cut it into parts");
            Error::malformed(path, line, why)
        }
        csv::ErrorKind::Io(cause) => Error::Read {
            path: path.to_owned(),
            cause,
        },
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            let why = format!(
                "{len} cells under {expected_len} columns; if the file was cut off, leave the last line out"
            );
            Error::malformed(path, line, why)
        }
        csv::ErrorKind::Utf8 { .. } => Error::malformed(
            path,
            line,
            "no text; a series is a CSV file, plain or gzipped",
        ),
        _ => Error::malformed(path, line, text),
    }
}

/// True of what an unpacker says of bytes that it does not understand, or that end too early.
fn is_of_content(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    )
}

/// A reader that fails where `take` would end: a series that is cut would pass for a whole one.
struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R> Bounded<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            left: MOST_BYTES,
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = (self.left.checked_sub(read as u64)).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(read)
    }
}

impl Row<'_> {
    /// The number in a column; `None` where there is no such column, or the recorder did not know.
    pub(crate) fn get(self, column: &str) -> Option<f64> {
        let index = self.table.columns.iter().position(|name| name == column)?;
        self.cells.get(index).copied().filter(|value| *value >= 0.0)
    }
}
