//! How values on the command line are written.

pub(crate) use memtide_model::text::parse_bytes;
use memtide_report::flamegraph::What;
use std::time::Duration;

/// A duration as `humantime` reads it: `500ms`, `30s`, `10m`, `2h 30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 500ms, 30s, 10m or \"2h 30m\""))
}

/// What a flame graph shows, by its name.
pub(crate) fn parse_what(text: &str) -> Result<What, String> {
    What::from_name(text).ok_or_else(|| {
        let names = What::ALL.map(What::name).join(", ");
        format!("give one of {names}")
    })
}
