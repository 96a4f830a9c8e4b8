//! Where a process's memory cgroup is, and its files kept open.

use crate::buffer::Buffer;
use crate::error::Error;
use crate::parse::cgroup as files;
use crate::parse::cgroup::Membership;
use crate::parse::mountinfo::{self, Mount};
use crate::parse::single;
use crate::process::KeptFile;
use memtide_model::{Bytes, Cgroup};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// The two kinds of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// A hierarchy of its own for the memory controller.
    V1,
    /// The unified hierarchy.
    V2,
}

/// Where a process's memory cgroup lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupLocation {
    /// Which kind.
    pub version: CgroupVersion,
    /// Where its hierarchy is mounted.
    pub mount_point: PathBuf,
    /// The group's directory below the mount point, without a leading slash; empty for the mount's own.
    pub below: PathBuf,
}

impl CgroupLocation {
    /// Finds it from the process's `cgroup` and a `mountinfo` of the reader's own mount namespace.
    /// `None` where the memory controller is off, or its hierarchy is not mounted here, or the group
    /// lies outside of what is mounted (a container that looks at a process of the host).
    ///
    /// # Errors
    /// Where one of the two is malformed.
    pub fn find(membership: &[u8], mountinfo: &[u8]) -> Result<Option<Self>, Error> {
        let (mut v1, mut v2) = (None, None);
        files::parse_membership(membership, |one| {
            if one.has_controller(b"memory") {
                v1 = Some(one);
            } else if one.is_unified() {
                v2 = Some(one);
            }
        })?;
        // Where both are there (hybrid), version 1 has the memory controller.
        let (version, group): (_, Membership<'_>) = match (v1, v2) {
            (Some(group), _) => (CgroupVersion::V1, group),
            (None, Some(group)) => (CgroupVersion::V2, group),
            (None, None) => return Ok(None),
        };
        let mut found = None;
        mountinfo::parse(mountinfo, |mount| {
            let fits = match version {
                CgroupVersion::V1 => mount.kind == b"cgroup" && mount.has_super_option(b"memory"),
                CgroupVersion::V2 => mount.kind == b"cgroup2",
            };
            if fits && let Some(below) = below(&mount, group.path) {
                found = Some(Self {
                    version,
                    mount_point: path(mountinfo::unescape(mount.mount_point)),
                    below,
                });
            }
        })?;
        Ok(found)
    }

    /// The group's directory.
    pub fn directory(&self) -> PathBuf {
        self.mount_point.join(&self.below)
    }

    /// The tightest limit of the group and of those above it up to the mount; `None`: no limit, or
    /// none that can be read. Groups above a container's mount are not seen.
    pub fn tightest_limit(&self, buffer: &mut Buffer) -> Option<Bytes> {
        let file = self.limit_file();
        let limits = self.below.ancestors().filter_map(|group| {
            let kept = KeptFile::open(file, &self.mount_point.join(group).join(file)).ok()?;
            read_limit(&kept, self.version, buffer).ok().flatten()
        });
        limits.min()
    }

    const fn usage_file(&self) -> &'static str {
        match self.version {
            CgroupVersion::V1 => "memory.usage_in_bytes",
            CgroupVersion::V2 => "memory.current",
        }
    }

    const fn limit_file(&self) -> &'static str {
        match self.version {
            CgroupVersion::V1 => "memory.limit_in_bytes",
            CgroupVersion::V2 => "memory.max",
        }
    }
}

/// The group's path below the mount, where the mount shows it.
fn below(mount: &Mount<'_>, group: &[u8]) -> Option<PathBuf> {
    let root = path(mountinfo::unescape(mount.root));
    let group = Path::new(std::ffi::OsStr::from_bytes(group));
    let below = group.strip_prefix(&root).ok()?;
    // "/../x": a group outside of the reader's cgroup namespace.
    let inside = !below
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    inside.then(|| below.to_owned())
}

fn path(bytes: impl Iterator<Item = u8>) -> PathBuf {
    PathBuf::from(OsString::from_vec(bytes.collect()))
}

/// The memory files of a group, kept open; those that are not there are passed over.
#[derive(Debug)]
pub struct MemoryCgroup {
    version: CgroupVersion,
    current: KeptFile,
    limit: Option<KeptFile>,
    high: Option<KeptFile>,
    events: Option<KeptFile>,
    fail_count: Option<KeptFile>,
    stat: Option<KeptFile>,
    swap: Option<KeptFile>,
    swap_limit: Option<KeptFile>,
    above: Vec<Level>,
}

/// A group above another one.
#[derive(Debug)]
struct Level {
    limit: KeptFile,
    used: Option<KeptFile>,
}

impl MemoryCgroup {
    /// Opens them.
    ///
    /// # Errors
    /// [`Missing`](crate::ErrorKind::Missing) where the group has no usage file: the root group of version
    /// 2, or one without the memory controller.
    pub fn open(location: &CgroupLocation) -> Result<Self, Error> {
        let directory = location.directory();
        let open = |file| KeptFile::open(file, &directory.join(file));
        let version = location.version;
        let is_v2 = version == CgroupVersion::V2;
        Ok(Self {
            version,
            current: open(location.usage_file())?,
            limit: open(location.limit_file()).ok(),
            high: is_v2.then(|| open("memory.high").ok()).flatten(),
            events: open(if is_v2 {
                "memory.events"
            } else {
                "memory.oom_control"
            })
            .ok(),
            fail_count: (!is_v2).then(|| open("memory.failcnt").ok()).flatten(),
            stat: open("memory.stat").ok(),
            swap: open(if is_v2 {
                "memory.swap.current"
            } else {
                "memory.memsw.usage_in_bytes"
            })
            .ok(),
            swap_limit: open(if is_v2 {
                "memory.swap.max"
            } else {
                "memory.memsw.limit_in_bytes"
            })
            .ok(),
            above: above(location),
        })
    }

    /// Reads them. A file that cannot be read, or does not hold what it should, leaves its values out.
    ///
    /// # Errors
    /// Where the usage cannot be read: the group was removed.
    pub fn read(&self, buffer: &mut Buffer) -> Result<Cgroup, Error> {
        let current = single::parse_number(self.current.name(), self.current.read(buffer)?)?;
        let limit = |file: &Option<KeptFile>, buffer: &mut Buffer| {
            read_limit(file.as_ref()?, self.version, buffer).ok()?
        };
        let mut group = Cgroup {
            current: Bytes(current),
            limit: limit(&self.limit, buffer),
            high: limit(&self.high, buffer),
            ..Cgroup::default()
        };
        self.read_events(&mut group, buffer);
        self.read_stat(&mut group, buffer);
        self.read_swap(&mut group, buffer);
        Ok(group)
    }

    /// Usage and limit of that of the group, whose figures are `own`, and those above it up to the mount that has the
    /// least room left: with its limit allocations fail first, whoever in it took the memory. `None`: no limit, or
    /// none that can be read.
    pub fn least_room(&self, own: &Cgroup, buffer: &mut Buffer) -> Option<(Bytes, Bytes)> {
        let above = self.above.iter().filter_map(|level| {
            let limit = read_limit(&level.limit, self.version, buffer);
            let used = (level.used.as_ref()).and_then(|file| read_number(file, buffer));
            Some((used.map_or(own.current, Bytes), limit.ok().flatten()?))
        });
        let own = own.limit.map(|limit| (own.current, limit));
        (own.into_iter().chain(above))
            .min_by_key(|(used, limit)| (limit.saturating_sub(*used), *limit))
    }

    /// Version 1 counts memory and swap together; what is left without the memory is swap.
    fn read_swap(&self, group: &mut Cgroup, buffer: &mut Buffer) {
        let used = (self.swap.as_ref()).and_then(|file| read_number(file, buffer));
        let limit = (self.swap_limit.as_ref())
            .and_then(|file| read_limit(file, self.version, buffer).ok().flatten());
        let (of_memory, of_limit) = match self.version {
            CgroupVersion::V1 => (group.current, group.limit.unwrap_or_default()),
            CgroupVersion::V2 => (Bytes::ZERO, Bytes::ZERO),
        };
        group.swap = used.map(|used| Bytes(used).saturating_sub(of_memory));
        group.swap_limit = limit.map(|limit| limit.saturating_sub(of_limit));
    }

    fn read_events(&self, group: &mut Cgroup, buffer: &mut Buffer) {
        if let Some(file) = &self.events
            && let Ok(text) = file.read(buffer)
            && let Ok(events) = files::parse_events(file.name(), text)
        {
            group.oom_kills = events.oom_kills;
            group.limit_hits = events.limit_hits;
        }
        if let Some(file) = &self.fail_count
            && let Ok(text) = file.read(buffer)
        {
            group.limit_hits = single::parse_number(file.name(), text).ok();
        }
    }

    fn read_stat(&self, group: &mut Cgroup, buffer: &mut Buffer) {
        let Some(Ok(text)) = self.stat.as_ref().map(|file| file.read(buffer)) else {
            return;
        };
        let parsed = match self.version {
            CgroupVersion::V1 => files::parse_stat_v1(text),
            CgroupVersion::V2 => files::parse_stat_v2(text),
        };
        if let Ok(stat) = parsed {
            group.anon = stat.anon;
            group.file = stat.file;
            group.shmem = stat.shmem;
            group.kernel = stat.kernel;
        }
    }
}

/// The groups above it that have a file for a limit.
fn above(location: &CgroupLocation) -> Vec<Level> {
    let levels = location.below.ancestors().skip(1).filter_map(|group| {
        let open = |file| KeptFile::open(file, &location.mount_point.join(group).join(file));
        Some(Level {
            limit: open(location.limit_file()).ok()?,
            used: open(location.usage_file()).ok(),
        })
    });
    levels.collect()
}

fn read_number(file: &KeptFile, buffer: &mut Buffer) -> Option<u64> {
    single::parse_number(file.name(), file.read(buffer).ok()?).ok()
}

fn read_limit(
    file: &KeptFile,
    version: CgroupVersion,
    buffer: &mut Buffer,
) -> Result<Option<Bytes>, Error> {
    let text = file.read(buffer)?;
    match version {
        CgroupVersion::V1 => files::parse_limit_v1(text),
        CgroupVersion::V2 => files::parse_limit_v2(file.name(), text),
    }
}
