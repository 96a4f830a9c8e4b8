//! How many processes of a kind there should be: `REGEX<=N`, `>=`, `=`, `<`, `>`.
//!
//! The last comparison in the text is the one that counts, so the expression itself may hold `<`, `>` and
//! `=`. It is matched anywhere in the command line joined by blanks, as pgrep -f does, and in the name of
//! a process that has none. memtide's own process never counts.

use super::words::{command_line, names, oldest};
use super::{Scene, about, commands};
use memtide_model::{Census, Finding, FindingKind, Pid, ProcessId, ProcessState, Weight, text};
use regex::Regex;
use std::fmt;

/// How a count is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    AtMost,
    AtLeast,
    Exactly,
    Below,
    Above,
}

impl Relation {
    /// Longer signs first: `<=` holds `<`.
    const ALL: [(&str, Self); 5] = [
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("<", Self::Below),
        (">", Self::Above),
        ("=", Self::Exactly),
    ];

    const fn holds(self, count: u64, bound: u64) -> bool {
        match self {
            Self::AtMost => count <= bound,
            Self::AtLeast => count >= bound,
            Self::Exactly => count == bound,
            Self::Below => count < bound,
            Self::Above => count > bound,
        }
    }

    /// How many processes are allowed at most.
    const fn most(self, bound: u64) -> u64 {
        match self {
            Self::AtMost | Self::Exactly => bound,
            Self::Below => bound.saturating_sub(1),
            Self::AtLeast | Self::Above => u64::MAX,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::AtMost => "at most",
            Self::AtLeast => "at least",
            Self::Exactly => "exactly",
            Self::Below => "fewer than",
            Self::Above => "more than",
        }
    }
}

/// How many processes of a kind there should be.
#[derive(Clone, Debug)]
pub struct Expectation {
    pattern: Regex,
    /// The expression as it is shown: that of the user, or a placeholder.
    shown: String,
    relation: Relation,
    bound: u64,
}

/// What is wrong with an expectation. The message names it, the place and what is expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpectationError {
    /// There is no comparison in it.
    #[error("{0:?} has no comparison; write it as 'REGEX<=N', with <=, >=, =, < or >")]
    NoComparison(String),
    /// What stands after the comparison is no number.
    #[error(
        "{text:?} has {rest:?} at character {at} where a whole number is expected, as in 'worker<=35'"
    )]
    NoNumber {
        /// The expectation.
        text: String,
        /// What stands there.
        rest: String,
        /// Where, from 1.
        at: usize,
    },
    /// Nothing stands before the comparison.
    #[error(
        "{0:?} has no regular expression before the comparison at character 1; '.' matches every process"
    )]
    NoPattern(String),
    /// The regular expression is none.
    #[error("{text:?} is not a regular expression{}: {reason}", place(*.at))]
    NoRegex {
        /// The expression.
        text: String,
        /// Where, from 1; where that is known.
        at: Option<usize>,
        /// Why.
        reason: String,
    },
}

fn place(at: Option<usize>) -> String {
    at.map_or_else(String::new, |at| format!(" from character {at} on"))
}

impl Expectation {
    /// Reads `REGEX<=N` and the like; blanks around the comparison do not count.
    ///
    /// # Errors
    /// What is wrong, where, and what was expected.
    pub fn parse(text: &str) -> Result<Self, ExpectationError> {
        let (pattern, relation, number, at) =
            split(text).ok_or_else(|| ExpectationError::NoComparison(text.to_owned()))?;
        let bound = number
            .trim()
            .parse()
            .map_err(|_| ExpectationError::NoNumber {
                text: text.to_owned(),
                rest: number.trim().to_owned(),
                at,
            })?;
        let pattern = pattern.trim();
        if pattern.is_empty() {
            return Err(ExpectationError::NoPattern(text.to_owned()));
        }
        Ok(Self {
            pattern: Regex::new(pattern).map_err(|error| no_regex(pattern, &error))?,
            shown: pattern.to_owned(),
            relation,
            bound,
        })
    }

    /// The processes of a census that it is about, `own` left out.
    pub fn matches(&self, census: &Census, own: Pid) -> Vec<ProcessId> {
        let others = census
            .processes
            .iter()
            .filter(|process| process.id.pid != own);
        others
            .filter(|process| !process.kernel && self.pattern.is_match(&command_line(process)))
            .map(|process| process.id)
            .collect()
    }

    /// Shows another text in place of the expression, which may hold a secret.
    #[must_use]
    pub fn shown_as(mut self, text: String) -> Self {
        self.shown = text;
        self
    }

    /// The expression as it was written.
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} of {}",
            self.relation.words(),
            self.bound,
            self.shown
        )
    }
}

/// Before the last comparison, which it is, what follows, and at which character that begins.
fn split(text: &str) -> Option<(&str, Relation, &str, usize)> {
    let last = text.rfind(['<', '>', '='])?;
    let (sign, relation) = Relation::ALL.into_iter().find(|(sign, _)| {
        text.get(..=last)
            .is_some_and(|before| before.ends_with(sign))
    })?;
    let start = (last + 1).checked_sub(sign.len())?;
    let (pattern, number) = (text.get(..start)?, text.get(last + 1..)?);
    let blanks = number.len() - number.trim_start().len();
    let at = text.get(..=last + blanks)?.chars().count() + 1;
    Some((pattern, relation, number, at))
}

/// The reason is the last line of a regex error; those above draw the place with a caret.
fn no_regex(pattern: &str, error: &regex::Error) -> ExpectationError {
    let drawn = error.to_string();
    let reason = drawn.lines().last().unwrap_or_default();
    let caret = drawn
        .lines()
        .find(|line| line.trim_start().starts_with('^'));
    // The drawing is indented by four.
    let at = caret
        .and_then(|line| line.find('^'))
        .and_then(|column| (column + 1).checked_sub(4));
    ExpectationError::NoRegex {
        text: pattern.to_owned(),
        at,
        reason: reason.trim_start_matches("error: ").to_owned(),
    }
}

/// The expectations that do not hold.
pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let expectations = scene.settings.expectations.iter().zip(&scene.look.matches);
    expectations
        .filter_map(|(expected, ids)| check(scene, expected, ids))
        .collect()
}

fn check(scene: &Scene<'_>, expected: &Expectation, ids: &[ProcessId]) -> Option<Finding> {
    let found: Vec<&ProcessState> = scene
        .judged()
        .filter(|process| ids.contains(&process.id))
        .collect();
    let count = found.len() as u64;
    if expected.relation.holds(count, expected.bound) {
        return None;
    }
    let summary = format!(
        "{} {} {}, and {} {} should",
        text::plural(count, "process"),
        if count == 1 { "matches" } else { "match" },
        expected.shown,
        expected.relation.words(),
        expected.bound
    );
    let mut details = Vec::new();
    if count > 0 {
        details.push(format!(
            "{}; the oldest was started {} ago",
            names(&found),
            oldest(&found)
        ));
    }
    let surplus = surplus(&found, expected.relation.most(expected.bound));
    let effect = match surplus.len() {
        1 => "asks the oldest to end".to_owned(),
        several => format!("asks the {several} oldest to end"),
    };
    let remedy = commands::kill(scene, "TERM", &surplus, &effect);
    Some(Finding {
        summary,
        details,
        remedies: remedy.into_iter().collect(),
        ..about(FindingKind::Expectation, Weight::Problem, &found)
    })
}

/// Those beyond `most`, the oldest: what has leaked is what should have ended first.
fn surplus<'a>(found: &[&'a ProcessState], most: u64) -> Vec<&'a ProcessState> {
    let mut by_age = found.to_vec();
    by_age.sort_by_key(|process| (process.id.start, process.id.pid));
    let allowed = usize::try_from(most).unwrap_or(usize::MAX);
    by_age.truncate(by_age.len().saturating_sub(allowed));
    by_age
}
