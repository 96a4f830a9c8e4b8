//! Takes looks: reads a census, notes what matches before names are hidden, hides them.

use super::users;
use crate::cli::ps::Ps;
use crate::secrets;
use anyhow::Context as _;
use memtide_analyzer::processes::{Expectation, Look, Settings, Watch, command_line};
use memtide_census::{Scope, Wanted, take};
use memtide_model::{Census, Pid, ProcessId, Redactor, Snapshot};
use memtide_proc::ProcRoot;
use memtide_report::processes::read_snapshot;
use regex::bytes::Regex;
use std::collections::HashSet;
use std::fs;

/// What is read, judged and hidden.
pub(super) struct Looking<'a> {
    root: &'a ProcRoot,
    options: &'a Ps,
    user: Option<u32>,
    own: Pid,
    redactor: Option<Redactor>,
}

impl<'a> Looking<'a> {
    pub(super) fn new(root: &'a ProcRoot, options: &'a Ps) -> anyhow::Result<Self> {
        Ok(Self {
            root,
            options,
            user: options.user.as_deref().map(users::number_of).transpose()?,
            own: Pid(std::process::id()),
            redactor: options.redact.then(secrets::redactor),
        })
    }

    /// A watch that knows what was asked for, and the snapshot to hold it against.
    pub(super) fn watch(&mut self) -> anyhow::Result<Watch> {
        let mut watch = Watch::new(Settings {
            own: self.own,
            own_uid: rustix::process::getuid().as_raw(),
            older: self.options.older,
            expectations: self.options.expectations.clone(),
        });
        if let Some(path) = &self.options.diff {
            let text =
                fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            let mut snapshot = read_snapshot(&text).with_context(|| path.display().to_string())?;
            self.hide(&mut snapshot);
            let own = Wanted {
                scope: Scope::Pids(vec![self.own]),
                ..Wanted::default()
            };
            watch.remember(snapshot, &self.take(&own)?.boot_id);
        }
        Ok(watch)
    }

    /// One look; `whole` reads what is too dear for a loop as well, where it was asked for.
    pub(super) fn look(&mut self, whole: bool) -> anyhow::Result<Look> {
        let options = self.options;
        let keeps = options.snapshot.is_some() && whole;
        let compares = options.diff.is_some() && whole;
        let mut census = self.take(&Wanted {
            threads: true,
            pss: whole && (options.sections.tree || keeps),
            holdings: keeps,
            objects: options.sections.objects || keeps || compares,
            machine: true,
            ..Wanted::default()
        })?;
        let expectations = options.expectations.iter();
        let matches =
            expectations.map(|expected: &Expectation| expected.matches(&census, self.own));
        let matches = matches.collect();
        let judged = self.judged(&census);
        if let Some(redactor) = &mut self.redactor {
            redactor.census(&mut census);
        }
        Ok(Look {
            census,
            matches,
            judged,
        })
    }

    /// A census as it is.
    pub(super) fn take(&self, wanted: &Wanted) -> anyhow::Result<Census> {
        Ok(take(self.root, wanted)?)
    }

    /// Hides what a census holds, where that was asked for.
    pub(super) fn redact(&mut self, census: &mut Census) {
        if let Some(redactor) = &mut self.redactor {
            redactor.census(census);
        }
    }

    /// Words of the command line as they may be shown.
    pub(super) fn shown(&mut self, words: &str) -> String {
        let mut shown = words.to_owned();
        if let Some(redactor) = &mut self.redactor {
            redactor.text(&mut shown);
        }
        shown
    }

    /// Which processes findings may be about.
    pub(super) fn judged(&self, census: &Census) -> Option<HashSet<ProcessId>> {
        let (user, name) = (self.user, self.options.name.as_ref());
        if user.is_none() && name.is_none() {
            return None;
        }
        let of_user = |uid: Option<u32>| user.is_none() || uid == user;
        let named = |line: &str| name.is_none_or(|name: &Regex| name.is_match(line.as_bytes()));
        let judged = census
            .processes
            .iter()
            .filter(|process| of_user(process.uid));
        let judged = judged.filter(|process| named(&command_line(process)));
        Some(judged.map(|process| process.id).collect())
    }

    fn hide(&mut self, snapshot: &mut Snapshot) {
        let Some(redactor) = &mut self.redactor else {
            return;
        };
        redactor.census(&mut snapshot.census);
        for finding in &mut snapshot.findings {
            redactor.text(&mut finding.summary);
            for detail in &mut finding.details {
                redactor.text(detail);
            }
            // What is followed is the processes; who their parent was is in the census.
            finding.parent = None;
            finding.remedies.clear();
        }
    }
}
