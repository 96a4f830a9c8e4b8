//! What a file is that SQLite refuses: another kind of file, a recording without its end, a damaged
//! one. Only the header is looked at, and only of files that are no sound databases.

use crate::{Error, ErrorKind};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The first bytes of every SQLite database.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What is wrong with a file that SQLite refused. It is no sound database, so no lock is at stake.
pub(super) fn diagnose(path: &Path, size: u64, error: Error) -> Error {
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
    let pages = u32::from_be_bytes(*header.get(28..)?.first_chunk()?);
    Some(page_size(header)? * u64::from(pages))
}

/// Bytes of a page; 0 is none, but may stand in a damaged header.
fn page_size(header: &[u8]) -> Option<u64> {
    let page_size = u16::from_be_bytes(*header.get(16..)?.first_chunk()?);
    Some(if page_size == 1 {
        65_536
    } else {
        u64::from(page_size)
    })
}

/// Up to where a file of `size` bytes consists of whole pages. It is no sound database, so no lock is at
/// stake.
pub(super) fn whole_pages(path: &Path, size: u64) -> crate::Result<u64> {
    let mut header = [0; 18];
    File::open(path)
        .and_then(|mut file| read_up_to(&mut file, &mut header))
        .map_err(|error| Error::system("reading", path, error))?;
    let rest = page_size(&header).and_then(|page| size.checked_rem(page));
    Ok(size - rest.unwrap_or(0))
}

/// The error of a file whose end is missing.
pub(super) fn truncated(path: &Path, size: u64, promised: Option<u64>) -> Error {
    let whole = promised.map_or_else(String::new, |promised| format!(" of {promised}"));
    let text = format!(
        "{} is cut off: {size}{whole} bytes are there",
        path.display()
    );
    Error::new(ErrorKind::Truncated, text)
}

/// Fills the buffer as far as the file goes.
pub(super) fn read_up_to(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
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
