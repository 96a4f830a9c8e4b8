//! What surrounds the process: its memory cgroup and the machine.

use memtide_model::{Bytes, Cgroup, Host};
use memtide_proc::parse::host::{self, MemInfo};
use memtide_proc::parse::single;
use memtide_proc::{Buffer, CgroupLocation, Error, KeptFile, MemoryCgroup, ProcRoot, ProcessDir};
use std::path::Path;

/// The memory cgroup.
#[derive(Debug, Default)]
pub(crate) struct Group {
    location: Option<CgroupLocation>,
    files: Option<MemoryCgroup>,
}

impl Group {
    /// Finds the group. A machine without one, or a group that is out of sight, is no failure.
    pub(crate) fn find(root: &ProcRoot, process: &ProcessDir, buffer: &mut Buffer) -> Self {
        // The recorder's own view of mounts, because it is the recorder who opens the files.
        let mounts = std::fs::read(root.path().join("self/mountinfo")).unwrap_or_default();
        let location = process
            .read("cgroup", buffer)
            .and_then(|membership| CgroupLocation::find(membership, &mounts))
            .unwrap_or_default();
        let files = location
            .as_ref()
            .and_then(|location| MemoryCgroup::open(location).ok());
        Self { location, files }
    }

    /// Its path and the tightest limit on the way up.
    pub(crate) fn describe(&self, buffer: &mut Buffer) -> Option<(String, Option<Bytes>)> {
        let location = self.location.as_ref()?;
        let path = Path::new("/").join(&location.below);
        let path = memtide_model::text::printable(path.as_os_str().as_encoded_bytes());
        Some((path, location.tightest_limit(buffer)))
    }

    pub(crate) fn is_known(&self) -> bool {
        self.files.is_some()
    }

    /// Its figures; usage and limit are those of the group, or of the one above it that has less room left: where a
    /// neighbour fills a group above both, that limit is the one that is met.
    pub(crate) fn read(&self, buffer: &mut Buffer) -> Result<Option<Cgroup>, Error> {
        let Some(files) = &self.files else {
            return Ok(None);
        };
        let mut figures = files.read(buffer)?;
        if let Some((current, limit)) = files.least_room(&figures, buffer) {
            (figures.current, figures.limit) = (current, Some(limit));
        }
        Ok(Some(figures))
    }
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Surroundings {
    meminfo: Option<KeptFile>,
    pressure: Option<KeptFile>,
    oom_score: Option<KeptFile>,
}

impl Surroundings {
    pub(crate) fn open(root: &ProcRoot, process: &ProcessDir) -> Self {
        Self {
            meminfo: root.keep("meminfo").ok(),
            pressure: root.keep("pressure/memory").ok(),
            oom_score: process.keep("oom_score").ok(),
        }
    }

    pub(crate) fn host(&self, buffer: &mut Buffer) -> Result<Option<Host>, Error> {
        let Some(meminfo) = &self.meminfo else {
            return Ok(None);
        };
        let info = host::parse_meminfo(meminfo.read(buffer)?)?;
        // Reading pressure fails with EOPNOTSUPP where it was switched off at boot.
        let pressure = self
            .pressure
            .as_ref()
            .and_then(|file| file.read(buffer).ok());
        Ok(Some(Host {
            available: info.available,
            committed: info.committed,
            shmem: info.shmem,
            slab_unreclaimable: info.slab_unreclaimable,
            slab_reclaimable: info.slab_reclaimable,
            swap_free: info.swap_free,
            commit_limit: info.commit_limit,
            page_cache: page_cache(&info),
            anon: info.anon,
            kernel: kernel(&info),
            pressure: pressure.and_then(|bytes| host::parse_pressure(bytes).ok()),
        }))
    }

    pub(crate) fn oom_score(&self, buffer: &mut Buffer) -> Option<u64> {
        let bytes = self.oom_score.as_ref()?.read(buffer).ok()?;
        single::parse_number("oom_score", bytes).ok()
    }
}

/// Files in memory: `Cached` holds shared memory and tmpfs, too, which cannot be dropped.
fn page_cache(info: &MemInfo) -> Option<Bytes> {
    let files = info.cached?.saturating_sub(info.shmem.unwrap_or_default());
    Some(files + info.buffers.unwrap_or_default())
}

/// What the kernel takes for itself beside slab, and the pool of huge pages.
fn kernel(info: &MemInfo) -> Option<Bytes> {
    let pool = info.huge_pages.unwrap_or(0);
    let pool = Bytes(pool.saturating_mul(info.huge_page_size.unwrap_or_default().0));
    Some(info.page_tables? + info.kernel_stack.unwrap_or_default() + pool)
}
