//! How a module was answered.

use super::Job;
use crate::locate::{Content, FileUsed, Refused};
use crate::module::ModuleId;
use crate::package;
use memtide_model::text;
use std::path::{Path, PathBuf};

/// Which files answered for a module, and what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleReport {
    /// The module.
    pub id: ModuleId,
    /// Its path.
    pub path: PathBuf,
    /// The files that answered, in the order in which they are asked. Empty where none was found.
    pub answered: Vec<FileUsed>,
    /// Files that were there and were not taken, with the reason.
    pub refused: Vec<Refused>,
    /// Its distinct addresses.
    pub addresses: usize,
    /// Those of them that have no function.
    pub without_function: usize,
    /// Those of them that have no line.
    pub without_line: usize,
    /// A sentence on what to install, where lines are missing for want of a file.
    pub warning: Option<String>,
}

/// The sentence for a file whose debug information was not found; `None` where it was, or where
/// there is no file at all (`[vdso]`).
pub(super) fn warning(
    job: &Job<'_>,
    has_image: bool,
    answered: &[FileUsed],
    refused: &[Refused],
) -> Option<String> {
    let (path, _) = job.module.plain_path();
    let has_lines = answered
        .iter()
        .any(|file| file.content == Content::DebugInfo);
    if has_lines || is_kernels(path) {
        return None;
    }
    let name = text::printable(path.as_os_str().as_encoded_bytes());
    let what = if answered.is_empty() {
        "nothing is known of"
    } else {
        "no debug information for"
    };
    let why = match refused.first() {
        Some(first) if has_image => format!(" ({first})"),
        Some(first) => format!(", which was deleted or replaced ({first})"),
        None if has_image => String::new(),
        None if path.is_absolute() => {
            ", which is not here: deleted or replaced since, of another mount \
             namespace, or of another machine"
                .to_owned()
        }
        None => ", a relative name, which says nothing of where the file is".to_owned(),
    };
    let root = Path::new("/");
    let remedy = if has_image {
        package::hint(root, path)
    } else {
        package::hint_without_file(root, path)
    };
    Some(format!("{what} {name}{why}: {remedy}"))
}

/// Whether it is code that the kernel maps and no file holds: `[vdso]`, under the loader's name or the kernel's.
fn is_kernels(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    name.is_empty()
        || name.starts_with(b"[")
        || name.starts_with(b"linux-vdso.so")
        || name.starts_with(b"linux-gate.so")
}
