//! The corpus's manifest: what each case is, and what may be said of it.

use crate::{Error, Result};
use memtide_model::{Bytes, VerdictKind};
use serde::Deserialize;
use std::path::Path;

/// One labelled case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Its name; nothing hangs on it but what is printed.
    pub(crate) name: String,
    /// Its source file: cases of one program are one program, with other arguments.
    pub(crate) program: String,
    /// How it is run, from the corpus's folder.
    pub(crate) run: Vec<String>,
    /// The limit of its address space, where it sets one.
    pub(crate) address_space_limit: Option<Bytes>,
    /// What really happens.
    pub(crate) label: VerdictKind,
    /// What may be said of it from outside.
    pub(crate) outside: Vec<VerdictKind>,
    /// Its recording, below the corpus's folder.
    pub(crate) series: String,
}

#[derive(Deserialize)]
struct Manifest {
    program: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    source: String,
    run: String,
    address_space_limit: Option<u64>,
    label: VerdictKind,
    outside: Vec<VerdictKind>,
    series: String,
}

/// The cases of `manifest.toml` in the corpus's folder whose name contains `only`.
///
/// Errors: `File`; `Manifest` where it is not as it should be, or no case is left.
pub(crate) fn cases(corpus: &Path, only: &str) -> Result<Vec<Case>> {
    let path = corpus.join("manifest.toml");
    let text = std::fs::read_to_string(&path).map_err(Error::file("reading", &path))?;
    let wrong = |why: String| Error::Manifest {
        path: path.clone(),
        why,
    };
    let manifest: Manifest = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let cases: Vec<Case> = (manifest.program.into_iter())
        .filter(|entry| entry.name.contains(only))
        .map(Case::from)
        .collect();
    if cases.is_empty() {
        return Err(wrong(format!("no case has {only:?} in its name")));
    }
    Ok(cases)
}

impl From<Entry> for Case {
    fn from(entry: Entry) -> Self {
        Self {
            program: entry.source,
            run: entry.run.split_whitespace().map(str::to_owned).collect(),
            name: entry.name,
            address_space_limit: entry.address_space_limit.map(Bytes),
            label: entry.label,
            outside: entry.outside,
            series: entry.series,
        }
    }
}

impl Case {
    /// True if it loses memory, in blocks or in mappings.
    pub(crate) fn is_leak(&self) -> bool {
        is_leak(self.label)
    }

    /// The runtime that its processes have mapped.
    pub(crate) fn runtime(&self) -> &'static str {
        if self
            .run
            .first()
            .is_some_and(|program| program.contains("python"))
        {
            "cpython 3.11"
        } else {
            "none"
        }
    }
}

/// The answers that say "leak" of memory.
pub(crate) fn is_leak(kind: VerdictKind) -> bool {
    matches!(kind, VerdictKind::HeapLeak | VerdictKind::MmapLeak)
}
