//! How files are called that nobody gave a name.

use memtide_model::Pid;
use std::path::PathBuf;

/// `worker-4182-20261121-093000.memtide` in the working directory.
pub(crate) fn default_file(name: &str, pid: Pid) -> PathBuf {
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
    let plain = if plain.is_empty() { "process" } else { plain };
    PathBuf::from(format!("{plain}-{pid}-{}.memtide", stamp()))
}

/// The wall clock as it goes into file names.
pub(crate) fn stamp() -> String {
    jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string()
}
