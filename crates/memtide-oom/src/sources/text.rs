//! Messages in text: what dmesg prints, what syslog daemons write, and /dev/kmsg saved as it is.
//!
//! ```text
//! [47760.814323] words                      dmesg, with `<4>` before it and `[  T123]` after it
//! [Sat Nov 21 15:48:47 2026] words          dmesg -T
//! Nov 21 15:48:47 host kernel: [47760.8] words
//! 2026-11-21T15:48:47.1+00:00 host kernel: words
//! 4,1632,47759901895,-;words                /dev/kmsg
//! ```
//! A line of syslog counts only if it is tagged `kernel:`; who may write to the log may forge that, which no
//! reader can tell. A line without any stamp is taken as words: the rest of a message that held a line's end.

pub use super::stamps::Zone;
use super::{kmsg, stamps};
use crate::parse::bytes::{decimal, find};
use crate::record::Record;
use memtide_model::Nanos;
use std::borrow::Cow;
use std::io::BufRead;

/// Longer lines are cut: no message of the kernel is so long.
const LONGEST: usize = 16 << 10;

/// The messages in a text, line by line.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    zone: Zone,
    line: Vec<u8>,
    left: u64,
    failed: Option<std::io::Error>,
}

impl<R: BufRead> Reader<R> {
    /// Of a text whose stamps are understood as `zone` says; reads at most `most` bytes.
    pub fn new(input: R, zone: Zone, most: u64) -> Self {
        Self {
            input,
            zone,
            line: Vec::new(),
            left: most,
            failed: None,
        }
    }

    /// Whether reading ended because of the bound on it.
    pub const fn was_cut(&self) -> bool {
        self.left == 0
    }

    /// Why reading ended before the end, if it did so by an error.
    pub const fn error(&self) -> Option<&std::io::Error> {
        self.failed.as_ref()
    }

    /// Reads the next line without its end; false at the end, or where reading fails.
    fn next_line(&mut self) -> bool {
        self.line.clear();
        let mut any = false;
        while self.left > 0 {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.failed = Some(error);
                    return any;
                }
            };
            if chunk.is_empty() {
                return any;
            }
            any = true;
            let end = memchr::memchr(b'\n', chunk);
            let length = end.map_or(chunk.len(), |end| end + 1);
            let room = LONGEST.saturating_sub(self.line.len());
            let taken = end.unwrap_or(length).min(room);
            self.line
                .extend_from_slice(chunk.get(..taken).unwrap_or_default());
            self.input.consume(length);
            self.left = self.left.saturating_sub(length as u64);
            if end.is_some() {
                return true;
            }
        }
        any
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        while self.next_line() {
            if let Some(record) = line(&self.line, &self.zone) {
                return Some(record);
            }
        }
        None
    }
}

/// The message of a line; `None` for lines of others.
fn line(line: &[u8], zone: &Zone) -> Option<Record> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if is_kmsg(line) {
        return kmsg::parse(line);
    }
    // Stamps are ASCII and stand at the start; what follows may be any bytes.
    let start = line.get(..line.len().min(64)).unwrap_or_default();
    let start: Cow<'_, str> = match std::str::from_utf8(start) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) => {
            let valid = start.get(..error.valid_up_to()).unwrap_or_default();
            Cow::Owned(String::from_utf8_lossy(valid).into_owned())
        }
    };
    let stamped = stamps::without_year(&start, zone).or_else(|| stamps::rfc3339(&start));
    let Some((wall_ns, after)) = stamped else {
        return Some(bare(line, zone));
    };
    let rest = line.get(start.len() - after.len()..).unwrap_or_default();
    let words = match of_kernel(rest) {
        Some(words) => words,
        // `dmesg --time-format iso` has a comma in its stamps, and names no host.
        None if start.as_bytes().get(19) == Some(&b',') => rest,
        None => return None,
    };
    let mut record = bare(words, zone);
    record.wall_ns = Some(wall_ns);
    Some(record)
}

/// Four numbers and flags, as only /dev/kmsg has them.
fn is_kmsg(line: &[u8]) -> bool {
    let field =
        |text: &[u8]| decimal(text).and_then(|(_, rest)| rest.strip_prefix(b",").map(<[u8]>::len));
    let after = |length: usize| line.get(line.len() - length..).unwrap_or_default();
    field(line)
        .and_then(|length| field(after(length)))
        .and_then(|length| field(after(length)))
        .is_some()
}

/// The words after ` host kernel: `; busybox writes the facility between the two.
fn of_kernel(rest: &[u8]) -> Option<&[u8]> {
    let (host, after) = find(rest.trim_ascii_start(), b" ")?;
    let after = find(after, b" ")
        .filter(|(word, _)| word.starts_with(b"kern."))
        .map_or(after, |(_, after)| after);
    let words = after.strip_prefix(b"kernel:")?;
    (!host.ends_with(b":")).then(|| words.strip_prefix(b" ").unwrap_or(words))
}

/// Words with the kernel's own stamp before them, or without.
fn bare(line: &[u8], zone: &Zone) -> Record {
    let mut record = Record::default();
    let mut text = line;
    if let Some((_, rest)) = text
        .strip_prefix(b"<")
        .and_then(decimal)
        .and_then(|(level, rest)| Some((level, rest.strip_prefix(b">")?)))
    {
        text = rest;
    }
    if let Some((inside, rest)) = text.strip_prefix(b"[").and_then(|rest| find(rest, b"]"))
        && (rest.is_empty() || rest.starts_with(b" ") || rest.starts_with(b"["))
    {
        if let Some(stamp) = seconds(inside.trim_ascii_start()) {
            record.stamp = Some(stamp);
            text = rest;
        } else if let Some(at) = std::str::from_utf8(inside)
            .ok()
            .and_then(|inside| stamps::with_weekday(inside, zone))
        {
            record.wall_ns = Some(at);
            text = rest;
        }
        if record.stamp.is_some()
            && let Some((caller, rest)) = caller(text)
        {
            record.caller = Some(caller);
            text = rest;
        }
        if record.stamp.is_some() || record.wall_ns.is_some() {
            text = text.strip_prefix(b" ").unwrap_or(text);
        }
    }
    if record.stamp.is_none() && record.wall_ns.is_none() {
        // dmesg indents what follows a line's end within a message.
        text = text.trim_ascii_start();
    }
    record.text = text.to_vec();
    record
}

/// `47760.814323`.
fn seconds(text: &[u8]) -> Option<Nanos> {
    let (whole, rest) = decimal(text)?;
    let (micros, rest) = decimal(rest.strip_prefix(b".")?)?;
    let is_micros = rest.is_empty() && text.len() >= 7 && text.get(text.len() - 7) == Some(&b'.');
    is_micros.then_some(())?;
    Some(Nanos(
        whole
            .checked_mul(1_000_000_000)?
            .checked_add(micros * 1000)?,
    ))
}

/// `[  T123]` or `[    C1]`: the task or the processor that speaks.
fn caller(text: &[u8]) -> Option<(String, &[u8])> {
    let (inside, rest) = find(text.strip_prefix(b"[")?, b"]")?;
    let inside = inside.trim_ascii_start();
    let digits = inside
        .strip_prefix(b"T")
        .or_else(|| inside.strip_prefix(b"C"))?;
    let all = decimal(digits).is_some_and(|(_, rest)| rest.is_empty());
    all.then(|| (String::from_utf8_lossy(inside).into_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn read(text: &str) -> Vec<Record> {
        let zone = Zone {
            zone: TimeZone::UTC,
            written_ns: 1_795_276_800_000_000_000,
        };
        Reader::new(text.as_bytes(), zone, u64::MAX).collect()
    }

    #[test]
    fn each_form_gives_the_words_and_its_time() {
        for (text, stamp, wall, caller) in [
            ("[47760.814323] words: x", true, false, None),
            ("<4>[    0.000001] words: x", true, false, None),
            ("[47760.814323][  T123] words: x", true, false, Some("T123")),
            ("[Sat Nov 21 15:48:47 2026] words: x", false, true, None),
            (
                "Nov 21 15:48:47 host kernel: [47760.814323] words: x",
                true,
                true,
                None,
            ),
            ("Nov 21 15:48:47 host kernel: words: x", false, true, None),
            (
                "Nov 21 15:48:47 host kern.info kernel: words: x",
                false,
                true,
                None,
            ),
            (
                "2026-11-21T15:48:47.123456+00:00 host kernel: words: x",
                false,
                true,
                None,
            ),
            (
                "2026-11-21T15:48:47,123456+00:00 words: x",
                false,
                true,
                None,
            ),
            ("4,1632,47759901895,-;words: x", true, false, None),
        ] {
            let [record] = read(text).try_into().unwrap();
            assert_eq!(record.text, b"words: x", "{text}");
            assert_eq!(
                (record.stamp.is_some(), record.wall_ns.is_some()),
                (stamp, wall),
                "{text}"
            );
            assert_eq!(record.caller.as_deref(), caller, "{text}");
        }
    }

    #[test]
    fn lines_of_programs_are_left_out() {
        let text = "Nov 21 15:48:47 host app[12]: Killed process 1 (x) total-vm:1kB\n\
                    2026-11-21T15:48:47+00:00 host app: Killed process 1 (x) total-vm:1kB\n";
        assert_eq!(read(text), []);
    }

    #[test]
    fn endless_lines_and_texts_are_cut() {
        let text = "x".repeat(100_000);
        let [record] = read(&text).try_into().unwrap();
        assert_eq!(record.text.len(), LONGEST);
        let zone = Zone {
            zone: TimeZone::UTC,
            written_ns: 0,
        };
        let endless = std::io::BufReader::new(std::io::repeat(b'\n'));
        let mut reader = Reader::new(endless, zone, 1000);
        assert_eq!(reader.by_ref().count(), 1000);
        assert!(reader.was_cut());
    }
}
