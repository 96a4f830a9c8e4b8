//! `memtide.oom/1`: kills as JSON, with their sentences. Keys are stable; additions are allowed, renames are not.
//!
//! A kill has the fields of [`Kill`], sizes in bytes, and beside them what is known today: its group's limit.

use crate::explain;
use crate::gather::{Found, Source};
use crate::group;
use crate::kill::{Constraint, Kill};
use jiff::Timestamp;
use memtide_model::Bytes;
use serde::Serialize;

/// The value of [`Report::schema`].
pub const SCHEMA: &str = "memtide.oom/1";

/// All of it.
#[derive(Debug, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Newest first.
    pub kills: Vec<Explained>,
    /// Where was looked.
    pub sources: Vec<Source>,
    /// Messages that the kernel's ring lost while it was read.
    pub lost: u64,
}

/// A kill and its sentences.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// RFC 3339; null where no source has a time.
    pub time: Option<String>,
    /// Who, and by which limit.
    pub headline: String,
    /// What it rests on.
    pub facts: Vec<String>,
    /// One line.
    pub advice: String,
    /// The group today; null where it is gone, or none was meant.
    pub group_now: Option<GroupNow>,
    /// What the log holds.
    #[serde(flatten)]
    pub kill: Kill,
}

/// A control group today.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GroupNow {
    /// In use.
    pub usage: Bytes,
    /// Its limit; null: none.
    pub limit: Option<Bytes>,
}

impl Report {
    /// Of what was found, names replaced if asked for.
    pub fn of(mut found: Found, redact: bool) -> Self {
        // The group of today is found by its name.
        let now: Vec<_> = found.kills.iter().map(group_now).collect();
        if redact {
            found.redact();
        }
        let kills = found.kills.into_iter().zip(now);
        Self {
            schema: SCHEMA,
            kills: kills.map(|(kill, now)| Explained::of(kill, now)).collect(),
            sources: found.sources,
            lost: found.lost,
        }
    }

    /// As indented JSON.
    ///
    /// # Panics
    ///
    /// Never: its keys are strings.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self)
            .expect("a report has string keys only, and its types' serialisation never fails");
        text.push('\n');
        text
    }
}

impl Explained {
    fn of(kill: Kill, group_now: Option<GroupNow>) -> Self {
        let time = kill
            .wall_ns
            .and_then(|at| Timestamp::from_nanosecond(i128::from(at)).ok());
        Self {
            time: time.map(|time| time.to_string()),
            headline: explain::headline(&kill),
            facts: explain::facts(&kill),
            advice: explain::advice(&kill),
            group_now,
            kill,
        }
    }
}

fn group_now(kill: &Kill) -> Option<GroupNow> {
    let path = kill.group.as_deref()?;
    let figures = (kill.constraint == Constraint::Memcg)
        .then(|| group::now(path))
        .flatten()?;
    Some(GroupNow {
        usage: figures.current,
        limit: figures.limit,
    })
}
