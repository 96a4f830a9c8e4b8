//! The commands that would end what was found. They are printed and run by nobody here.
//!
//! A command names pids as of the last look, in which each of them was still the same process. Whoever
//! runs it later asks again first: a pid that became free may be given out anew.

use super::Scene;
use memtide_model::{ProcessState, Remedy};
use std::collections::HashSet;

/// Pids from which a whole process group is named by its number instead.
const MANY: usize = 20;

/// `kill -SIGNAL PID…` with `sudo` where the processes are somebody else's; nothing for nobody.
pub(super) fn kill(
    scene: &Scene<'_>,
    signal: &str,
    processes: &[&ProcessState],
    effect: &str,
) -> Option<Remedy> {
    if processes.is_empty() {
        return None;
    }
    let whom = match whole_group(scene, processes) {
        Some(group) => format!("-- -{group}"),
        None => pids(processes),
    };
    Some(Remedy {
        command: format!("{}kill -{signal} {whom}", sudo(scene, processes)),
        effect: effect.to_owned(),
    })
}

fn pids(processes: &[&ProcessState]) -> String {
    let mut pids: Vec<u32> = processes.iter().map(|process| process.id.pid.0).collect();
    pids.sort_unstable();
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    pids.join(" ")
}

fn sudo(scene: &Scene<'_>, processes: &[&ProcessState]) -> &'static str {
    let own = scene.settings.own_uid;
    let foreign = processes.iter().any(|process| process.uid != Some(own));
    if own != 0 && foreign { "sudo " } else { "" }
}

/// The group that these processes are, all of it, if they are many.
fn whole_group(scene: &Scene<'_>, processes: &[&ProcessState]) -> Option<i64> {
    let group = processes.first()?.pgid;
    // Groups 0 and 1 mean something else to kill(2).
    if processes.len() < MANY || group <= 1 || processes.iter().any(|p| p.pgid != group) {
        return None;
    }
    let named: HashSet<_> = processes.iter().map(|process| process.id).collect();
    let mut members = scene
        .look
        .census
        .processes
        .iter()
        .filter(|p| p.pgid == group);
    let is_whole = members.all(|member| named.contains(&member.id));
    is_whole.then_some(group)
}

/// A word that a shell takes as it is, whatever is in it (POSIX, 2.2.2 Single-Quotes).
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%:=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
