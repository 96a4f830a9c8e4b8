//! Progress and messages on standard error: a line that is rewritten on a terminal, a line per ten
//! seconds elsewhere.
//!
//! Nothing here can fail: a closed terminal must not end a recording.

use memtide_model::Nanos;
use rustix::termios::{isatty, tcgetwinsize};
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::BorrowedFd;

const WITHOUT_TERMINAL: usize = 100;
/// Narrower than this a line says nothing.
const NARROWEST: usize = 40;
/// Elsewhere than on a terminal.
const LINE_EVERY: Nanos = Nanos::from_secs(10);

/// How wide lines on `fd` may be, in columns.
pub(crate) fn width(fd: BorrowedFd<'_>) -> usize {
    if !isatty(fd) {
        return WITHOUT_TERMINAL;
    }
    let columns = tcgetwinsize(fd).map_or(0, |size| usize::from(size.ws_col));
    if columns == 0 {
        80
    } else {
        columns.max(NARROWEST)
    }
}

/// Prints text as it is.
pub(crate) fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Says something that must be heard, also where little is to be said.
pub(crate) fn warn(text: &str) {
    tell(&format!("memtide: {text}\n"));
}

/// What becomes of a line of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    /// The terminal is a program's own, whose lines must not be written over.
    None,
    /// It stands until the next one, on a terminal.
    Rewritten,
    /// It stays, elsewhere.
    Appended,
}

/// Progress of one recording.
#[derive(Debug)]
pub(crate) struct Progress {
    quiet: bool,
    lines: Lines,
    /// True while a rewritten line stands on the terminal.
    standing: bool,
    last_line: Option<Nanos>,
}

impl Progress {
    /// Says nothing at all if `quiet`, and shows no line of progress unless `lines`.
    pub(crate) fn new(quiet: bool, lines: bool) -> Self {
        Self {
            quiet,
            lines: match lines {
                true if std::io::stderr().is_terminal() => Lines::Rewritten,
                true => Lines::Appended,
                false => Lines::None,
            },
            standing: false,
            last_line: None,
        }
    }

    /// Whether nothing is to be said.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether a new line would be shown at `now`, so that nobody computes one for nothing.
    pub(crate) fn wants_line(&self, now: Nanos) -> bool {
        let due = match self.lines {
            Lines::None => false,
            Lines::Rewritten => true,
            Lines::Appended => self.last_line.is_none_or(|at| now - at >= LINE_EVERY),
        };
        due && !self.quiet
    }

    /// Shows the state of the recording.
    pub(crate) fn line(&mut self, now: Nanos, text: &str) {
        let mut err = std::io::stderr().lock();
        let is_rewritten = self.lines == Lines::Rewritten;
        let _ = if is_rewritten {
            write!(err, "\r\x1b[2K{text}")
        } else {
            writeln!(err, "{text}")
        };
        let _ = err.flush();
        self.standing = is_rewritten;
        self.last_line = Some(now);
    }

    /// Says something that stays.
    pub(crate) fn say(&mut self, text: &str) {
        if !self.quiet {
            self.clear();
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Takes the rewritten line away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.standing) {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[2K");
        }
    }
}
