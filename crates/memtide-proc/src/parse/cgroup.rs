//! Control groups: which one a process is in, and the memory files of versions 1 and 2.
//!
//! Sources: cgroups(7); the kernel's admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst.

use super::scan;
use crate::error::Error;
use memtide_model::Bytes;

/// One line of `/proc/PID/cgroup`: `hierarchy:controllers:path`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership<'a> {
    /// The hierarchy's number; 0 is version 2.
    pub hierarchy: u64,
    /// Controllers of a version 1 hierarchy, separated by commas; empty for version 2.
    pub controllers: &'a [u8],
    /// The group's path below the hierarchy's root, as the reader's cgroup namespace sees it. May
    /// hold colons. ` (deleted)` is part of it where the group was removed under a zombie.
    pub path: &'a [u8],
}

impl Membership<'_> {
    /// True for the unified hierarchy of version 2.
    pub const fn is_unified(&self) -> bool {
        self.hierarchy == 0 && self.controllers.is_empty()
    }

    /// True where `controller` is bound to this version 1 hierarchy.
    pub fn has_controller(&self, controller: &[u8]) -> bool {
        self.controllers
            .split(|&byte| byte == b',')
            .any(|one| one == controller)
    }
}

/// Calls `each` with every line of `/proc/PID/cgroup`.
///
/// # Errors
/// A line that is not of that form, or is not ended.
pub fn parse_membership<'a>(
    bytes: &'a [u8],
    mut each: impl FnMut(Membership<'a>),
) -> Result<(), Error> {
    for (number, line) in scan::whole_lines("cgroup", bytes)? {
        let membership = membership(line);
        each(membership.ok_or(Error::malformed(
            "cgroup",
            number,
            "not hierarchy:controllers:path",
        ))?);
    }
    Ok(())
}

fn membership(line: &[u8]) -> Option<Membership<'_>> {
    let (hierarchy, rest) = scan::key_value(line)?;
    let (controllers, path) = scan::key_value(rest)?;
    Some(Membership {
        hierarchy: scan::number(hierarchy)?,
        controllers,
        path,
    })
}

/// What stands for "no limit" in version 1: the largest number of whole pages, which differs with
/// the page size and the kernel (2^63 less a page since 3.19, before it 2^63 - 1). No machine has an
/// eighth of it.
const UNLIMITED_V1: u64 = 1 << 60;

/// Parses `memory.limit_in_bytes`; `None` is no limit.
///
/// # Errors
/// What is no number.
pub fn parse_limit_v1(bytes: &[u8]) -> Result<Option<Bytes>, Error> {
    let limit = super::single::parse_number("memory.limit_in_bytes", bytes)?;
    Ok((limit < UNLIMITED_V1).then_some(Bytes(limit)))
}

/// Parses `memory.max` or `memory.high`: a number, or `max` for no limit.
///
/// # Errors
/// Anything else.
pub fn parse_limit_v2(file: &'static str, bytes: &[u8]) -> Result<Option<Bytes>, Error> {
    if bytes == b"max\n" {
        return Ok(None);
    }
    super::single::parse_number(file, bytes).map(|limit| Some(Bytes(limit)))
}

/// The oom and limit counters of `memory.events` (version 2) or `memory.oom_control` (version 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// `oom_kill`: processes killed so far (version 1: since Linux 4.13).
    pub oom_kills: Option<u64>,
    /// `max` of version 2: how often usage was about to go over the limit.
    pub limit_hits: Option<u64>,
    /// `high` of version 2: how often tasks were throttled for being over `memory.high`.
    pub high_hits: Option<u64>,
    /// `under_oom` of version 1: tasks of the group wait for memory now.
    pub under_oom: Option<bool>,
}

/// Parses `memory.events` or `memory.oom_control`; `file` names it in errors.
///
/// # Errors
/// A known key without a number; a file that is cut off.
pub fn parse_events(file: &'static str, bytes: &[u8]) -> Result<Events, Error> {
    let mut events = Events::default();
    for (number, line) in scan::whole_lines(file, bytes)? {
        let Some((key, value)) = split_pair(line) else {
            continue;
        };
        let count = || scan::number(value).ok_or(Error::malformed(file, number, "no number"));
        match key {
            b"oom_kill" => events.oom_kills = Some(count()?),
            b"max" => events.limit_hits = Some(count()?),
            b"high" => events.high_hits = Some(count()?),
            b"under_oom" => events.under_oom = Some(count()? != 0),
            _ => {}
        }
    }
    Ok(events)
}

/// What memtide reads of `memory.stat`, the group's children counted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStat {
    /// `anon`; of version 1 `total_rss`.
    pub anon: Option<Bytes>,
    /// `file`; of version 1 `total_cache`.
    pub file: Option<Bytes>,
    /// `shmem`; of version 1 `total_shmem` (since Linux 4.6).
    pub shmem: Option<Bytes>,
    /// `kernel` (since Linux 5.18), before it `slab` (since 4.9); version 1 has neither.
    pub kernel: Option<Bytes>,
}

/// Parses `memory.stat` of version 2.
///
/// # Errors
/// A known key without a number; a file that is cut off.
pub fn parse_stat_v2(bytes: &[u8]) -> Result<MemoryStat, Error> {
    let mut slab = None;
    let mut stat = MemoryStat::default();
    each_size(bytes, |key, size| match key {
        b"anon" => stat.anon = Some(size),
        b"file" => stat.file = Some(size),
        b"shmem" => stat.shmem = Some(size),
        b"kernel" => stat.kernel = Some(size),
        b"slab" => slab = Some(size),
        _ => {}
    })?;
    stat.kernel = stat.kernel.or(slab);
    Ok(stat)
}

/// Parses `memory.stat` of version 1.
///
/// # Errors
/// As [`parse_stat_v2`].
pub fn parse_stat_v1(bytes: &[u8]) -> Result<MemoryStat, Error> {
    let mut stat = MemoryStat::default();
    each_size(bytes, |key, size| match key {
        b"total_rss" => stat.anon = Some(size),
        b"total_cache" => stat.file = Some(size),
        b"total_shmem" => stat.shmem = Some(size),
        _ => {}
    })?;
    Ok(stat)
}

/// Calls `each` with the key and the size of every line whose value is a number.
fn each_size(bytes: &[u8], mut each: impl FnMut(&[u8], Bytes)) -> Result<(), Error> {
    for (number, line) in scan::whole_lines("memory.stat", bytes)? {
        if let Some((key, value)) = split_pair(line) {
            let value = scan::number(value);
            each(
                key,
                Bytes(value.ok_or(Error::malformed("memory.stat", number, "no number"))?),
            );
        }
    }
    Ok(())
}

fn split_pair(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = memchr::memchr(b' ', line)?;
    let (key, value) = line.split_at_checked(blank)?;
    Some((key, value.get(1..)?))
}
