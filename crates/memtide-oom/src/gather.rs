//! Kills from all sources, each once.
//!
//! The same kill stands in the kernel's ring, in the journal and in one or two files. Two are one where pid,
//! name and figures agree, and their times do: the kernel's stamps to the millisecond where both have them,
//! else the clock within a minute, for daemons write down when they read.

use crate::assemble::Assembler;
use crate::error::{Error, ErrorKind};
use crate::kill::Kill;
use crate::record::Record;
use crate::sources::kmsg::Kmsg;
use crate::sources::{files, journal};
use memtide_model::Nanos;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Two stamps of the kernel's for one message: dmesg and the journal cut them at a microsecond.
const SAME_STAMP: Nanos = Nanos(1_000_000);
/// Two clocks for one message.
const SAME_WALL_NS: u64 = 60_000_000_000;
/// Kills that are kept of one source: a machine that kills more tells nothing by the others.
const MOST_KILLS: usize = 10_000;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Search {
    /// Kills since then, nanoseconds since 1970; `None`: all. Kills without a time are always found.
    pub since_ns: Option<i64>,
    /// The folder of log files.
    pub log_folder: PathBuf,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Found {
    /// The kills, newest first; those without a time last.
    pub kills: Vec<Kill>,
    /// Where was looked.
    pub sources: Vec<Source>,
    /// Messages that the kernel's ring lost while it was read.
    pub lost: u64,
}

/// One source.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Messages of the kernel in it.
    pub messages: u64,
    /// Kills in it.
    pub kills: u64,
    /// Why it could not be read, or not whole.
    pub failed: Option<String>,
    /// That it was for want of permission.
    pub denied: bool,
}

/// Looks everywhere. What cannot be read is told in [`Found::sources`].
pub fn find(search: &Search) -> Found {
    let mut found = Gathering::default();
    found.source("/dev/kmsg", |each| {
        let mut kmsg = Kmsg::open()?;
        let records = kmsg.read()?;
        records.into_iter().for_each(each);
        Ok((None, kmsg.lost()))
    });
    found.source("journal", |each| {
        Ok((journal::read(search.since_ns, each)?, 0))
    });
    match files::list(&search.log_folder, search.since_ns) {
        Ok(logs) => logs.iter().for_each(|log| found.file(log)),
        Err(error) => found.failed(&search.log_folder.display().to_string(), &error),
    }
    found.finish(search.since_ns)
}

/// Reads one file: a saved dmesg, a log of another machine, gzipped or not.
///
/// # Errors
/// Where it cannot be read.
pub fn find_in(path: &Path, since_ns: Option<i64>) -> Result<Found, Error> {
    let mut found = Gathering::default();
    found.try_source(&path.display().to_string(), |each| {
        Ok((files::read(path, each)?, 0))
    })?;
    Ok(found.finish(since_ns))
}

/// Whether this process lives in the machine's first pid namespace, whose numbers the kernel writes.
pub fn is_first_namespace() -> bool {
    // PROC_PID_INIT_INO of the kernel.
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}

#[derive(Default)]
struct Gathering {
    found: Found,
    /// By what does not change from source to source.
    kills: BTreeMap<(u32, String, u64, u64), Vec<Kill>>,
}

impl Gathering {
    fn file(&mut self, path: &Path) {
        self.source(&path.display().to_string(), |each| {
            Ok((files::read(path, each)?, 0))
        });
    }

    fn source(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut dyn FnMut(Record)) -> Result<(Option<String>, u64), Error>,
    ) {
        if let Err(error) = self.try_source(name, read) {
            self.failed(name, &error);
        }
    }

    fn try_source(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut dyn FnMut(Record)) -> Result<(Option<String>, u64), Error>,
    ) -> Result<(), Error> {
        let mut assembler = Assembler::new();
        let mut kills = Vec::new();
        let mut messages = 0;
        let (failed, lost) = read(&mut |record| {
            messages += 1;
            let kill = assembler.push(record);
            if kills.len() < MOST_KILLS {
                kills.extend(kill);
            }
        })?;
        self.found.lost += lost;
        self.found.sources.push(Source {
            name: name.to_owned(),
            messages,
            kills: kills.len() as u64,
            failed,
            denied: false,
        });
        for mut kill in kills {
            kill.sources = vec![name.to_owned()];
            self.add(kill);
        }
        Ok(())
    }

    fn failed(&mut self, name: &str, error: &Error) {
        // A machine without journald, or without log files, lacks nothing that it should have.
        if error.kind() != ErrorKind::Missing {
            self.found.sources.push(Source {
                name: name.to_owned(),
                messages: 0,
                kills: 0,
                failed: Some(error.to_string()),
                denied: error.kind() == ErrorKind::Denied,
            });
        }
    }

    fn add(&mut self, kill: Kill) {
        let bytes = |size: Option<memtide_model::Bytes>| size.map_or(0, |size| size.0);
        let key = (
            kill.pid,
            kill.name.clone(),
            bytes(kill.total_vm),
            bytes(kill.anon_rss),
        );
        let same = self.kills.entry(key).or_default();
        match same.iter_mut().find(|other| is_same(other, &kill)) {
            Some(other) => merge(other, kill),
            None => same.push(kill),
        }
    }

    fn finish(mut self, since_ns: Option<i64>) -> Found {
        let all = std::mem::take(&mut self.kills).into_values().flatten();
        self.found.kills = all
            .filter(|kill| match (kill.wall_ns, since_ns) {
                (Some(at), Some(since)) => at >= since,
                _ => true,
            })
            .collect();
        let newest = |kill: &Kill| std::cmp::Reverse((kill.wall_ns, kill.stamp_ns));
        self.found.kills.sort_by_key(newest);
        self.found
    }
}

fn is_same(one: &Kill, other: &Kill) -> bool {
    // The stamp of a ring whose machine slept gives a wrong clock: where both have stamps they decide.
    if let Some((a, b)) = one.stamp_ns.zip(other.stamp_ns) {
        return a.0.abs_diff(b.0) <= SAME_STAMP.0;
    }
    let walls = one.wall_ns.zip(other.wall_ns);
    walls.is_none_or(|(a, b)| a.abs_diff(b) <= SAME_WALL_NS)
}

/// Keeps the one that tells more, and says where both were.
fn merge(kept: &mut Kill, mut other: Kill) {
    if other.tasks_in_all > kept.tasks_in_all {
        std::mem::swap(kept, &mut other);
    }
    // The first of a group is told of twice, the second time as one of it.
    kept.whole_group |= other.whole_group;
    kept.wall_ns = kept.wall_ns.or(other.wall_ns);
    kept.stamp_ns = kept.stamp_ns.or(other.stamp_ns);
    for source in other.sources {
        if !kept.sources.contains(&source) {
            kept.sources.push(source);
        }
    }
}
