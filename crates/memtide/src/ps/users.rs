//! Names of users, from wherever this system keeps them (nsswitch.conf(5)).

use anyhow::{Context as _, bail};
use memtide_model::ProcessesReport;
use nix::unistd::{Uid, User};
use std::collections::HashMap;

/// The number of a user that is given by name or number.
pub(super) fn number_of(user: &str) -> anyhow::Result<u32> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    match User::from_name(user).with_context(|| format!("looking up the user {user:?}"))? {
        Some(found) => Ok(found.uid.as_raw()),
        None => bail!(
            "--user {user:?} is no user here; `getent passwd` lists them, and a number works too"
        ),
    }
}

/// Writes the names of users into the rows of a report; whoever has none keeps the number.
pub(super) fn name_all(report: &mut ProcessesReport) {
    let mut known: HashMap<u32, Option<String>> = HashMap::new();
    let mut name_of = |uid: Option<u32>| {
        let uid = uid?;
        let name = || {
            User::from_uid(Uid::from_raw(uid))
                .ok()
                .flatten()
                .map(|user| user.name)
        };
        known.entry(uid).or_insert_with(name).clone()
    };
    for row in &mut report.processes {
        row.user = name_of(row.uid);
    }
    for row in report.holders.iter_mut().flatten() {
        row.user = name_of(row.uid);
    }
    if let Some(difference) = &mut report.difference {
        for row in difference.gone.iter_mut().chain(&mut difference.new) {
            row.user = name_of(row.uid);
        }
    }
}
