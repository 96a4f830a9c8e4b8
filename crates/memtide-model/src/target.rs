//! What is known of a process before its first tick.

use crate::ids::{Pid, ProcessId};
use crate::units::{Bytes, Nanos};
use serde::{Deserialize, Serialize};

/// A process as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Which process.
    pub id: ProcessId,
    /// Its parent when it was found.
    pub parent: Option<Pid>,
    /// `comm`, unprintable bytes escaped.
    pub name: String,
    /// Where `/proc/PID/exe` points; empty where that may not be read.
    pub exe: String,
    /// Its arguments, unprintable bytes escaped.
    pub cmdline: Vec<String>,
    /// Real user id.
    pub uid: u32,
    /// Age when it was found, from its start time and the clock since boot.
    pub age: Nanos,
    /// The malloc in use as far as its mapped files tell: "glibc 2.36", "glibc" (in a static program),
    /// "jemalloc", "gperftools tcmalloc", "tcmalloc" (Google's newer one), "mimalloc", "musl", "unknown".
    pub allocator: String,
    /// The language runtime: "none", "cpython 3.11", "jvm", "node", "v8", "go", "dotnet", "ruby", "php", ….
    pub runtime: String,
    /// What bounds its memory.
    pub limits: Limits,
    /// Where its memory cgroup is, as the path below the mount; `None` where it could not be found.
    pub cgroup: Option<String>,
    /// What could not be seen, and the remedy.
    pub unseen: Vec<Visibility>,
}

/// Something that this recorder cannot see of this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visibility {
    /// What cannot be seen: "live and free blocks of the heap".
    pub what: String,
    /// Why: "needs ptrace access: it belongs to uid 0".
    pub why: String,
    /// The command or setting that would show it; empty where nothing would.
    pub remedy: String,
}

impl Visibility {
    /// [`Visibility::what`] of a heap that is only looked at from outside; the preload shim counts them.
    pub const LIVE_BLOCKS: &str = "which blocks of the heap are live and which are free";
    /// [`Visibility::what`] where nothing runs inside the process; the preload shim does.
    pub const ALLOCATING_CODE: &str = "which code allocated the memory";
}

/// Bounds on memory. `None`: no limit, or not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// `RLIMIT_AS`, on the size of the address space.
    pub address_space: Option<Bytes>,
    /// `RLIMIT_DATA`, on data and heap.
    pub data: Option<Bytes>,
    /// `RLIMIT_STACK`.
    pub stack: Option<Bytes>,
    /// `RLIMIT_NOFILE`, soft: descriptors.
    pub descriptors: Option<u64>,
    /// `RLIMIT_NPROC`, soft: processes and threads of the user.
    pub processes: Option<u64>,
    /// The tightest memory limit of its cgroup and those above.
    pub cgroup: Option<Bytes>,
    /// `vm.max_map_count`: mappings a process may have.
    pub mappings: Option<u64>,
    /// `MemTotal` of the machine.
    pub host: Option<Bytes>,
}
