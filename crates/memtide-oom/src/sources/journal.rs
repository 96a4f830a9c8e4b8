//! journald, through `journalctl`: it knows all versions of its format and who may read what.
//!
//! `-k` would mean this boot alone; the match on the transport it stands for means all boots.

use crate::error::Error;
use crate::record::Record;
use memtide_model::Nanos;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

/// Bytes of its output that are read.
const MOST: u64 = 1 << 30;

/// Calls `each` with the kernel's messages since then.
pub(crate) fn read(since_ns: Option<i64>, mut each: impl FnMut(Record)) -> Result<(), Error> {
    let mut command = Command::new("journalctl");
    command
        .args([
            "--output=json",
            "--no-pager",
            "--quiet",
            "_TRANSPORT=kernel",
        ])
        .arg("--output-fields=MESSAGE,SYSLOG_FACILITY,_SOURCE_MONOTONIC_TIMESTAMP")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(since) = since_ns {
        command.arg(format!("--since=@{}", since.max(0) / 1_000_000_000));
    }
    let mut child = command
        .spawn()
        .map_err(|error| Error::new("the journal", error))?;
    if let Some(output) = child.stdout.take() {
        let lines = BufReader::new(output.take(MOST)).split(b'\n');
        // A line that cannot be read ends it, as the end of the journal does.
        for line in lines.map_while(Result::ok) {
            if let Some(record) = entry(&line) {
                each(record);
            }
        }
    }
    // It has ended, or writes to nobody and ends by that.
    let _ = child.wait();
    Ok(())
}

/// An entry of the journal as JSON.
fn entry(line: &[u8]) -> Option<Record> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    let number = |key: &str| entry.get(key)?.as_str()?.parse::<u64>().ok();
    if number("SYSLOG_FACILITY").is_some_and(|facility| facility != 0) {
        return None;
    }
    let wall =
        number("__REALTIME_TIMESTAMP").and_then(|us| i64::try_from(us.checked_mul(1000)?).ok());
    let stamp = number("_SOURCE_MONOTONIC_TIMESTAMP").and_then(|us| us.checked_mul(1000));
    Some(Record {
        stamp: stamp.map(Nanos),
        wall_ns: wall,
        text: words(entry.get("MESSAGE")?)?,
        ..Record::default()
    })
}

/// A message is a string, or a list of bytes where it is no text.
fn words(message: &Value) -> Option<Vec<u8>> {
    match message {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Array(bytes) => bytes
            .iter()
            .map(|byte| u8::try_from(byte.as_u64()?).ok())
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_message_with_both_times() {
        let record = entry(br#"{"__REALTIME_TIMESTAMP":"1795276127123456","_SOURCE_MONOTONIC_TIMESTAMP":"47759902412","SYSLOG_FACILITY":"0","MESSAGE":"a: b"}"#).unwrap();
        assert_eq!(record.wall_ns, Some(1_795_276_127_123_456_000));
        assert_eq!(record.stamp, Some(Nanos(47_759_902_412_000)));
        assert_eq!(record.text, b"a: b");
        let bytes = entry(br#"{"MESSAGE":[97,10,255]}"#).unwrap();
        assert_eq!(bytes.text, [97, 10, 255]);
        for other in [
            &b""[..],
            b"{",
            b"{}",
            b"[]",
            br#"{"MESSAGE":null}"#,
            br#"{"MESSAGE":[300]}"#,
            br#"{"MESSAGE":"x","SYSLOG_FACILITY":"3"}"#,
        ] {
            assert_eq!(entry(other), None);
        }
    }
}
