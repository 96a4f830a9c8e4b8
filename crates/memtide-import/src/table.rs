//! A CSV file of numbers, by the names of its columns.

use crate::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

/// No line of numbers is longer; a file without line ends must not fill the memory.
const MOST_BYTES: u64 = 1 << 30;

/// All rows of a file.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<f64>>,
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
            Self::parse(path, MultiGzDecoder::new(whole).take(MOST_BYTES), needed)
        } else {
            Self::parse(path, whole.take(MOST_BYTES), needed)
        }
    }

    fn parse(path: &Path, content: impl Read, needed: &[&str]) -> Result<Self> {
        let mut reader = csv::Reader::from_reader(content);
        let columns: Vec<String> = reader
            .headers()
            .map_err(|error| of_csv(path, error))?
            .iter()
            .map(str::to_owned)
            .collect();
        for column in needed {
            if !columns.iter().any(|name| name == column) {
                let why = format!(
                    "there is no column {column:?}; needed are {}",
                    needed.join(", ")
                );
                return Err(Error::malformed(path, 1, why));
            }
        }
        let mut rows = Vec::new();
        let mut record = csv::StringRecord::new();
        while reader
            .read_record(&mut record)
            .map_err(|error| of_csv(path, error))?
        {
            let line = record.position().map_or(0, csv::Position::line);
            rows.push(numbers(path, line, &record)?);
        }
        Ok(Self { columns, rows })
    }

    /// Its rows, in the order of the file.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { table: self, cells })
    }
}

fn numbers(path: &Path, line: u64, record: &csv::StringRecord) -> Result<Vec<f64>> {
    let number = |cell: &str| match cell.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Error::malformed(
            path,
            line,
            format!(
                "{:?} is not a number",
                memtide_model::text::printable(cell.as_bytes())
            ),
        )),
    };
    record.iter().map(number).collect()
}

fn of_csv(path: &Path, error: csv::Error) -> Error {
    let line = error.position().map_or(0, csv::Position::line);
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(cause) => Error::Read {
            path: path.to_owned(),
            cause,
        },
        _ => Error::malformed(path, line, text),
    }
}

impl Row<'_> {
    /// The number in a column; `None` where there is no such column, or the recorder wrote -1 for "not
    /// known".
    pub(crate) fn get(self, column: &str) -> Option<f64> {
        let index = self.table.columns.iter().position(|name| name == column)?;
        self.cells.get(index).copied().filter(|value| *value >= 0.0)
    }
}
