//! What happens to processes, as plain values that an engine gives and a tree takes.
//!
//! All engines speak these words, so a tree does not know who saw an event. Threads do not occur in them:
//! [`crate::Source`] has counted them out.

use memtide_model::text::{plural, printable};
use memtide_model::{Nanos, Pid};
use std::fmt;

/// One thing that happened to one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TreeEvent {
    /// When, on `CLOCK_BOOTTIME`. Of [`Change::Found`] that is when the process started, rounded down to a
    /// clock tick (10 ms as a rule), and not when it was found.
    pub at: Nanos,
    /// To which process: the number is that of the pid namespace that memtide runs in.
    pub pid: Pid,
    /// What.
    pub change: Change,
}

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// It was there before anybody listened, or was found by looking into /proc.
    Found {
        /// Its parent at that time, which need not be who forked it; 0 outside of the namespace.
        parent: Pid,
        /// Its name at that time.
        comm: Comm,
        /// Its threads at that time, at least 1.
        threads: u32,
    },
    /// It made a child process.
    Fork {
        /// The child.
        child: Pid,
    },
    /// It replaced its program.
    Exec {
        /// Its name from then on; `None` where the engine does not say and it could not be read.
        comm: Option<Comm>,
    },
    /// It took another name (`PR_SET_NAME`, `/proc/PID/comm`).
    Comm(Comm),
    /// It has another parent, because its own one ended.
    Reparent {
        /// Who reaps it from then on.
        new_parent: Pid,
    },
    /// Its last thread ended.
    Exit {
        /// Status as wait(2) gives it; `None` where the engine does not say (the perf side-band never does).
        status: Option<i32>,
        /// Who was its parent at that time, where the engine says.
        parent: Option<Pid>,
    },
}

impl Change {
    /// The order of what happened in one nanosecond: nothing of a process before it was made, nothing
    /// after its end.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Found { .. } => 0,
            Self::Fork { .. } => 1,
            Self::Exec { .. } => 2,
            Self::Comm(_) => 3,
            Self::Reparent { .. } => 4,
            Self::Exit { .. } => 5,
        }
    }
}

/// The name of a process as the kernel keeps it: at most 15 bytes, any but NUL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Comm {
    bytes: [u8; Self::LENGTH],
}

impl Comm {
    /// `TASK_COMM_LEN` less the NUL.
    const LENGTH: usize = 15;

    /// The name in `raw`, up to the first NUL, at most 15 bytes.
    pub fn new(raw: &[u8]) -> Self {
        let mut bytes = [0; Self::LENGTH];
        let name = raw.iter().take_while(|byte| **byte != 0);
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
        }
        Self { bytes }
    }

    /// Its bytes, which may hold anything: newlines, parentheses, escape sequences.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.bytes.iter().position(|byte| *byte == 0);
        self.bytes
            .get(..end.unwrap_or(Self::LENGTH))
            .unwrap_or_default()
    }

    /// As it may be shown ([`printable`]): the only form in which it leaves this crate as text.
    pub fn text(&self) -> String {
        printable(self.as_bytes())
    }
}

/// What was missed, since the source was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Records that the kernel had no room for, as it counted them. Each may have been a process.
    pub records: u64,
    /// Records that came so late that others had been given out already; they were used, but not in order.
    pub late: u64,
    /// Processes that took on privileges (setuid programs) and so escaped a side-band that was opened without: what they
    /// did after that, and all that come from them, was not seen. As root nobody escapes.
    pub escaped: u64,
    /// True where processes were looked for now and then (/proc), so that most of the short-lived ones are
    /// missed, and nobody can count them.
    pub polled: bool,
}

impl fmt::Display for Losses {
    /// "nothing lost", or all that was missed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = Vec::new();
        if self.records > 0 {
            said.push(format!("{} lost", plural(self.records, "record")));
        }
        if self.late > 0 {
            said.push(format!("{} out of order", plural(self.late, "record")));
        }
        if self.escaped > 0 {
            let who = plural(self.escaped, "process");
            said.push(format!("{who} escaped by taking on privileges"));
        }
        if self.polled {
            said.push("most short-lived processes missed".to_owned());
        }
        if said.is_empty() {
            said.push("nothing lost".to_owned());
        }
        f.write_str(&said.join(", "))
    }
}

impl Losses {
    /// True where every process of the scope was seen.
    pub const fn is_complete(self) -> bool {
        self.records == 0 && self.escaped == 0 && !self.polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_any_bytes_up_to_the_first_nul_and_printable_at_the_border() {
        let comm = Comm::new(b"a b) S 1\n\xff\x1b[\0junk");
        assert_eq!(comm.as_bytes(), b"a b) S 1\n\xff\x1b[");
        assert_eq!(comm.text(), "a b) S 1\\x0a\\xff\\x1b[");
        assert_eq!(
            Comm::new(b"0123456789abcdefgh").as_bytes(),
            b"0123456789abcde"
        );
        assert_eq!(Comm::new(b"").text(), "");
    }

    #[test]
    fn all_that_was_missed_is_told() {
        assert_eq!(Losses::default().to_string(), "nothing lost");
        let losses = Losses {
            records: 2,
            late: 1,
            escaped: 1,
            polled: false,
        };
        assert_eq!(
            losses.to_string(),
            "2 records lost, 1 record out of order, 1 process escaped by taking on privileges"
        );
    }

    #[test]
    fn an_event_fits_in_a_cache_line() {
        assert!(size_of::<TreeEvent>() <= 64, "{}", size_of::<TreeEvent>());
    }
}
