//! Targets that are known to be missed: the list that is kept beside the score, with a reason for each.
//!
//! A target that is missed and not on the list fails the run. One that is on the list and missed is said
//! out loud and fails nothing. One that is on the list and held fails a run that can be repeated: it
//! is to be taken off, so that it cannot be lost again unseen. Nothing else moves a target; what is
//! wanted stands in the code.

use super::targets::Target;
use crate::{Error, Result};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::Path;

/// The list's name in the folder of the score.
pub(crate) const FILE: &str = "missed.toml";

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    /// The command that judges the target, such as "tests/score --live".
    by: String,
    /// The target, by its words in the table.
    target: String,
    /// Why it is missed, and what would have to be done.
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    missed: Vec<Known>,
}

/// The list in a folder; empty where there is none.
///
/// Errors: `File`; `Manifest` for what is no such list.
pub(crate) fn read(folder: &Path) -> Result<Vec<Known>> {
    let path = folder.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::file("reading", &path)(error)),
    };
    let list: List = toml::from_str(&text).map_err(|error| Error::Manifest {
        why: error.to_string(),
        path,
    })?;
    Ok(list.missed)
}

/// Targets of a run, set against the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged<'a> {
    /// Missed, and nobody knew.
    new: Vec<&'a Target>,
    /// Missed, as is known.
    known: Vec<(&'a Target, &'a Known)>,
    /// Held, though they are on the list.
    held: Vec<&'a Target>,
}

/// Sets the targets that a command judges against the list.
pub(crate) fn judge<'a>(command: &str, targets: &'a [Target], list: &'a [Known]) -> Judged<'a> {
    let mut judged = Judged {
        new: Vec::new(),
        known: Vec::new(),
        held: Vec::new(),
    };
    for target in targets {
        let listed = (list.iter()).find(|one| one.by == command && one.target == target.what);
        match (target.held, listed) {
            (true, None) => {}
            (true, Some(_)) => judged.held.push(target),
            (false, None) => judged.new.push(target),
            (false, Some(known)) => judged.known.push((target, known)),
        }
    }
    judged
}

impl Judged<'_> {
    /// True if no target was lost and, of a run that gives the same every time, none was found again.
    pub(crate) fn is_as_known(&self, repeatable: bool) -> bool {
        self.new.is_empty() && (self.held.is_empty() || !repeatable)
    }

    /// What is missed, and why: for the page. Empty where nothing is.
    pub(crate) fn reasons(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for (target, known) in &self.known {
            let _ = writeln!(text, "* Missed: {}. {}", target.what, known.reason);
        }
        for target in &self.new {
            let _ = writeln!(text, "* Missed: {}. Nobody has said why yet.", target.what);
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// The same for a person at a terminal, a line each.
    pub(crate) fn aloud(&self) -> String {
        let mut text = String::new();
        let mut line = |word: &str, target: &Target, more: &str| {
            let Target {
                what,
                wanted,
                found,
                ..
            } = target;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{word}: {what}: {found}, wanted {wanted}{more}");
        };
        for (target, known) in &self.known {
            line(
                "MISSED, as is known",
                target,
                &format!(". {}", known.reason),
            );
        }
        for target in &self.held {
            line("HELD AGAIN", target, &format!("; take it off {FILE}"));
        }
        for target in &self.new {
            line("MISSED", target, "");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(what: &str, held: bool) -> Target {
        Target {
            what: what.to_owned(),
            wanted: "all".to_owned(),
            found: "some".to_owned(),
            held,
        }
    }

    fn list() -> Vec<Known> {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), [], "no list, no excuse");
        let text = "[[missed]]\nby = 'tests/score'\ntarget = 'recall'\nreason = 'Too slow.'\n";
        std::fs::write(folder.path().join(FILE), text).unwrap();
        let list = read(folder.path()).unwrap();
        std::fs::write(folder.path().join(FILE), "[[missed]]\nexcept = 1\n").unwrap();
        let wrong = read(folder.path()).unwrap_err().to_string();
        assert!(wrong.contains(FILE) && wrong.contains("except"), "{wrong}");
        list
    }

    #[test]
    fn only_what_is_listed_for_this_command_may_be_missed() {
        let list = list();
        let missed = [target("recall", false), target("open", true)];
        let judged = judge("tests/score", &missed, &list);
        assert!(judged.is_as_known(true));
        assert!(
            judged
                .aloud()
                .starts_with("MISSED, as is known: recall: some")
        );
        assert!(judged.reasons().contains("Too slow."));
        assert!(!judge("tests/score --live", &missed, &list).is_as_known(false));
        let more = [target("recall", false), target("open", false)];
        let judged = judge("tests/score", &more, &list);
        assert!(!judged.is_as_known(true), "{judged:?}");
        assert!(judged.aloud().ends_with("MISSED: open: some, wanted all\n"));
    }

    #[test]
    fn what_is_held_again_is_taken_off_the_list() {
        let (list, held) = (list(), [target("recall", true)]);
        let judged = judge("tests/score", &held, &list);
        assert!(!judged.is_as_known(true) && judged.is_as_known(false));
        assert!(judged.aloud().contains("take it off missed.toml"));
        assert_eq!(judged.reasons(), "");
    }
}
