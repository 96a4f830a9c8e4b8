//! Searching a file for byte strings, in one pass and in little memory.
//!
//! Files of a target are foreign: anything that is no plain file is not read, and of a large one only the
//! first [`LIMIT`] bytes.

use memchr::memmem;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// How much of a file is searched.
const LIMIT: usize = 64 << 20;
/// How much of it is in memory at a time.
pub(super) const CHUNK: usize = 256 << 10;

/// Which of the needles stand in the file; none of what cannot be read.
pub(super) fn found<const N: usize>(path: &Path, needles: &[Vec<u8>; N]) -> [bool; N] {
    let mut found = [false; N];
    let overlap = needles.iter().map(Vec::len).max().unwrap_or(0);
    // What is in the file up to an error is in the file.
    let _ = scan(path, overlap, |window| {
        for (found, needle) in found.iter_mut().zip(needles) {
            *found = *found || memmem::find(window, needle).is_some();
        }
        found.iter().all(|&found| found)
    });
    found
}

/// Up to `context` bytes behind the first place where the needle stands.
pub(super) fn behind(path: &Path, needle: &[u8], context: usize) -> Option<Vec<u8>> {
    let mut after = None;
    scan(path, needle.len() + context, |window| {
        let Some(at) = memmem::find(window, needle) else {
            return false;
        };
        let rest = window.get(at + needle.len()..).unwrap_or_default();
        after = Some(rest.get(..context).unwrap_or(rest).to_vec());
        // At the end of a window more may follow: the next one still holds the needle.
        rest.len() >= context
    })?;
    after
}

/// Shows the file window by window, each with the last `overlap` bytes of the one before, until the reader
/// has enough. `None` for what is no plain file or cannot be read.
fn scan(path: &Path, overlap: usize, mut is_enough: impl FnMut(&[u8]) -> bool) -> Option<()> {
    let mut file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut window = Vec::with_capacity(CHUNK + overlap);
    let mut scanned = 0;
    while scanned < LIMIT {
        let part = file.by_ref().take(CHUNK as u64);
        let read = { part }.read_to_end(&mut window).ok()?;
        if read == 0 || is_enough(&window) {
            break;
        }
        scanned += read;
        window.drain(..window.len().saturating_sub(overlap));
    }
    Some(())
}
