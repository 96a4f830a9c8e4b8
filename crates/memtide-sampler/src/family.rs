//! Children, and the rest of a session: what a process has started and not finished.
//!
//! Children come from `task/*/children`, where a child is listed under the thread that made it.
//! Kernels without that file, and the members of a session that are nobody's child any more, need a
//! search of all of /proc. The session counts only where the target leads it: otherwise it is the
//! shell's, and holds whatever else was started there.

use memtide_model::{Bytes, Children, Pid};
use memtide_proc::parse::stat::{self, Stat};
use memtide_proc::{Buffer, Error, Listing, ProcRoot, ProcessDir, clock};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How many there are of each `comm`.
pub(crate) type Names = BTreeMap<Vec<u8>, u64>;

/// The children by `task/*/children`, and their names; `None` on kernels without it.
pub(crate) fn children(
    root: &ProcRoot,
    process: &ProcessDir,
    listing: &mut Listing,
    buffer: &mut Buffer,
) -> Option<(Children, Names)> {
    let (mut children, mut names) = (Children::default(), Names::new());
    let each = |child: &Stat<'_>| {
        count(&mut children, child, clock::page_size());
        *names.entry(child.comm.to_vec()).or_default() += 1;
    };
    let told = root.for_each_child(process, listing, buffer, each);
    told.is_ok_and(|told| told).then_some((children, names))
}

/// Counts one child by its state.
fn count(children: &mut Children, child: &Stat, page_size: Bytes) {
    children.total += 1;
    children.rss += resident(child, page_size);
    match child.state {
        b'Z' => children.zombies += 1,
        b'T' | b't' => children.stopped += 1,
        b'D' => children.blocked += 1,
        _ => {}
    }
}

fn resident(process: &Stat, page_size: Bytes) -> Bytes {
    Bytes(process.rss_pages.saturating_mul(page_size.0))
}

/// What a search of all processes found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Search {
    /// The target's children.
    pub(crate) children: Children,
    /// Others in its session, zombies included.
    pub(crate) session_others: u64,
    /// Their RSS.
    pub(crate) session_rss: Bytes,
}

/// Reads `stat` of every process; the names are those of the children and of the others in the session.
pub(crate) fn search(
    root: &ProcRoot,
    target: Pid,
    listing: &mut Listing,
    buffer: &mut Buffer,
) -> Result<(Search, Names), Error> {
    let (mut found, mut names, page_size) = (Search::default(), Names::new(), clock::page_size());
    root.for_each_stat(listing, buffer, |process| {
        if process.pid == target {
            return;
        }
        if process.ppid == target {
            count(&mut found.children, process, page_size);
        } else if process.session == i64::from(target.0) {
            found.session_others += 1;
            found.session_rss += resident(process, page_size);
        } else {
            return;
        }
        *names.entry(process.comm.to_vec()).or_default() += 1;
    })?;
    Ok((found, names))
}

/// A process that [`matching`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its pid.
    pub pid: Pid,
    /// Its `comm`, printable.
    pub name: String,
}

/// The processes whose command line, arguments joined by blanks, fits. The caller and its ancestors
/// are left out: `sudo memtide attach --name worker` has the pattern in its own command line.
/// Kernel threads have no command line and never fit.
pub fn matching(root: &Path, fits: impl Fn(&[u8]) -> bool) -> std::io::Result<Vec<Found>> {
    let own = ancestors(root, std::process::id());
    let mut found = Vec::new();
    for entry in fs::read_dir(root)?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        let Ok(mut cmdline) = fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        while cmdline.last() == Some(&0) {
            cmdline.pop();
        }
        for byte in &mut cmdline {
            if *byte == 0 {
                *byte = b' ';
            }
        }
        if !own.contains(&pid) && !cmdline.is_empty() && fits(&cmdline) {
            let comm = fs::read(entry.path().join("comm")).unwrap_or_default();
            let comm = comm.strip_suffix(b"\n").unwrap_or(&comm);
            found.push(Found {
                pid: Pid(pid),
                name: memtide_model::text::printable(comm),
            });
        }
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

/// The process and those that it descends from, itself first.
pub(crate) fn ancestors(root: &Path, pid: u32) -> Vec<u32> {
    let mut line = vec![pid];
    while let Some(&last) = line.last() {
        let stat_file = fs::read(root.join(last.to_string()).join("stat")).unwrap_or_default();
        match stat::parse(&stat_file) {
            Ok(process) if process.ppid.0 != 0 && !line.contains(&process.ppid.0) => {
                line.push(process.ppid.0);
            }
            _ => break,
        }
    }
    line
}
