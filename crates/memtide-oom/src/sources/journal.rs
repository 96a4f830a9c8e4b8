//! journald, through `journalctl`: it knows all versions of its format and who may read what.
//!
//! `-k` would mean this boot alone; the match on the transport it stands for means all boots. `--quiet` would
//! hide that the user may not read the system's journal, which then looks like one without messages.

use crate::error::Error;
use crate::record::Record;
use memtide_model::Nanos;
use serde_json::Value;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

/// Bytes of its output that are read.
const MOST: u64 = 1 << 30;

/// Bytes that are read of what it complains about.
const MOST_WORDS: u64 = 4 << 10;

/// Calls `each` with the kernel's messages since then; why not all of them, if that is so.
pub(crate) fn read(
    since_ns: Option<i64>,
    mut each: impl FnMut(Record),
) -> Result<Option<String>, Error> {
    let mut command = Command::new("journalctl");
    command
        .args(["--output=json", "--no-pager", "_TRANSPORT=kernel"])
        .arg("--output-fields=MESSAGE,SYSLOG_FACILITY,_SOURCE_MONOTONIC_TIMESTAMP")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(since) = since_ns {
        command.arg(format!("--since=@{}", since.max(0) / 1_000_000_000));
    }
    let mut child = command
        .spawn()
        .map_err(|error| Error::new("the journal", error))?;
    let complaints = child.stderr.take();
    // Beside the other pipe: it must not wait for a reader of this one.
    let complaints = std::thread::spawn(move || {
        let mut words = String::new();
        let _ = complaints.map(|pipe| pipe.take(MOST_WORDS).read_to_string(&mut words));
        words
    });
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
    let status = child
        .wait()
        .map_err(|error| Error::new("the journal", error))?;
    complained(status.success(), &complaints.join().unwrap_or_default())
}

/// What its exit status and its words mean: an error where nothing was read, a reason where not all was.
fn complained(succeeded: bool, words: &str) -> Result<Option<String>, Error> {
    let failed =
        |kind, words: &str| Error::new("the journal", io::Error::new(kind, words.to_owned()));
    let said = |part: &str| words.contains(part);
    let first = words.lines().next().unwrap_or_default().trim();
    if said("No journal files were found") {
        return Err(failed(io::ErrorKind::NotFound, first));
    }
    if said("insufficient permissions") || said("currently not seeing messages") {
        let denied = "messages of the kernel are not shown to this user";
        return Err(failed(io::ErrorKind::PermissionDenied, denied));
    }
    match (succeeded, first) {
        (true, "") => Ok(None),
        (true, words) => Ok(Some(format!(
            "the journal may not have been read whole: {words}"
        ))),
        (false, "") => Err(failed(
            io::ErrorKind::Other,
            "journalctl failed without a word",
        )),
        (false, words) => Err(failed(io::ErrorKind::Other, words)),
    }
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
    use crate::ErrorKind;

    #[test]
    fn a_journal_that_may_not_be_read_is_not_one_without_messages() {
        let kind = |succeeded, words| complained(succeeded, words).map_err(|error| error.kind());
        assert_eq!(kind(true, ""), Ok(None));
        // journalctl 247 and 252, as nobody, with a journal of the system, with none of one's own, and with none.
        let hint = "Hint: You are currently not seeing messages from other users and the system.\n      Users in \
                    groups 'adm', 'systemd-journal' can see all messages.\n      Pass -q to turn off this notice.\n";
        assert_eq!(kind(true, hint), Err(ErrorKind::Denied));
        let no_files = "No journal files were opened due to insufficient permissions.\n";
        assert_eq!(kind(false, no_files), Err(ErrorKind::Denied));
        assert_eq!(
            kind(true, "No journal files were found.\n"),
            Err(ErrorKind::Missing)
        );
        let damaged =
            "Journal file /var/log/journal/1/system.journal is truncated, ignoring file.\n";
        assert!(
            kind(true, damaged)
                .unwrap()
                .unwrap()
                .contains("is truncated")
        );
        assert_eq!(kind(false, "Failed to open files: x\n"), Err(ErrorKind::Io));
        assert_eq!(kind(false, ""), Err(ErrorKind::Io));
    }

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
