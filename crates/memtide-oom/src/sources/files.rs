//! `/var/log/{kern.log,syslog,messages}`, with the rotated ones, gzipped or not. Those that another program has
//! compressed are named with the command that expands them: passing over them would say that nobody was killed.

use super::text::{Reader, Zone};
use crate::error::Error;
use crate::record::Record;
use flate2::bufread::MultiGzDecoder;
use jiff::tz::TimeZone;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The files that syslog daemons write the kernel's messages to.
const NAMES: [&str; 3] = ["kern.log", "syslog", "messages"];
/// What other compressed files start with, and the program that expands them.
const COMPRESSED: [(&[u8], &str); 3] = [
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
];
/// Bytes that are read of one file, after it was expanded: a log that compresses a thousandfold is none.
const MOST: u64 = 1 << 30;

/// The files of a folder that were written since then, the oldest first.
pub(crate) fn list(folder: &Path, since_ns: Option<i64>) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::new(folder.display().to_string(), error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let Ok(entry) = entry else { continue };
        let Ok(metadata) = fs::metadata(entry.path()) else {
            continue;
        };
        let is_log = entry.file_name().to_str().is_some_and(is_log);
        let written = written_ns(&metadata);
        if is_log && metadata.is_file() && since_ns.is_none_or(|since| written >= since) {
            files.push((written, entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// `syslog`, `syslog.1`, `syslog.2.gz`, `messages-20261115`.
fn is_log(name: &str) -> bool {
    let rest = NAMES.iter().find_map(|log| name.strip_prefix(log));
    rest.is_some_and(|rest| {
        let is_rotated = rest.starts_with(['.', '-']) && rest.chars().any(|c| c.is_ascii_digit());
        rest.is_empty() || is_rotated
    })
}

/// Calls `each` with the messages of a file; why not all of them, if that is so.
pub(crate) fn read(path: &Path, mut each: impl FnMut(Record)) -> Result<Option<String>, Error> {
    let failed = |error| Error::new(path.display().to_string(), error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(std::io::Error::from(ErrorKind::IsADirectory)));
    }
    let zone = Zone {
        zone: TimeZone::system(),
        written_ns: written_ns(&metadata),
    };
    let mut input = BufReader::with_capacity(1 << 16, file);
    let start = input.fill_buf().map_err(failed)?;
    let is_gzip = start.starts_with(&[0x1f, 0x8b]);
    if let Some((_, program)) = COMPRESSED.iter().find(|(mark, _)| start.starts_with(mark)) {
        let remedy = format!(
            "it is compressed by {program}: `{program} -dc {0} > FILE`, then `memtide ps --oom --log FILE`",
            path.display()
        );
        return Err(failed(std::io::Error::new(ErrorKind::Unsupported, remedy)));
    }
    let all = |input: &mut dyn BufRead| {
        let mut reader = Reader::new(input, zone, MOST);
        reader.by_ref().for_each(&mut each);
        let name = path.display();
        match reader.error() {
            Some(error) => Some(format!(
                "{name} is damaged, only its beginning was read: {error}"
            )),
            None => (reader.was_cut())
                .then(|| format!("{name} is too long, only its beginning was read")),
        }
    };
    Ok(if is_gzip {
        all(&mut BufReader::new(MultiGzDecoder::new(input)))
    } else {
        all(&mut input)
    })
}

fn written_ns(metadata: &fs::Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotated_files_are_logs_and_others_are_not() {
        for name in [
            "syslog",
            "kern.log",
            "kern.log.1",
            "syslog.2.gz",
            "messages-20261115",
            "messages-20261115.gz",
            "messages.1.xz",
        ] {
            assert!(is_log(name), "{name}");
        }
        for name in ["auth.log", "syslog.bak", "kern.logger1", ""] {
            assert!(!is_log(name), "{name}");
        }
    }
}
