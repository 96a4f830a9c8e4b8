//! How files are called that nobody gave a name.

use memtide_model::Pid;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// `worker-4182-20261121-093000.memtide` in the working directory.
pub(crate) fn default_file(name: &str, pid: Pid) -> PathBuf {
    PathBuf::from(format!("{}-{pid}-{}.memtide", plain(name), stamp()))
}

/// `compare-server-20261121-093000` in the working directory, for the runs of a program.
pub(crate) fn default_folder(program: &OsStr) -> PathBuf {
    let name = Path::new(program).file_name().unwrap_or(program);
    PathBuf::from(format!(
        "compare-{}-{}",
        plain(&name.to_string_lossy()),
        stamp()
    ))
}

/// A name without what shells and file systems take amiss.
fn plain(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(32)
        .collect();
    let plain = plain.trim_matches(|c| c == '-' || c == '.');
    if plain.is_empty() { "process" } else { plain }.to_owned()
}

/// The wall clock as it goes into file names.
pub(crate) fn stamp() -> String {
    jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string()
}
