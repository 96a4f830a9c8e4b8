//! The file that `--suppressions` names.

use anyhow::Context as _;
use memtide_analyzer::Suppressions;
use std::path::Path;

/// Reads it; without one nothing is suppressed.
pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Suppressions> {
    let Some(path) = path else {
        return Ok(Suppressions::default());
    };
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    Suppressions::parse(&text).with_context(|| path.display().to_string())
}
