//! How values on the command line are written.

use std::time::Duration;

/// A duration as `humantime` reads it: `500ms`, `30s`, `10m`, `2h 30m`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{error}; write it as 500ms, 30s, 10m or \"2h 30m\""))
}
