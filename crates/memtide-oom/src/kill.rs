//! A kill: who, by which limit, and what everybody held at that moment.

use memtide_model::{Bytes, Nanos, Pid};
use serde::Serialize;

/// What had run out (`enum oom_constraint`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Constraint {
    /// The machine's memory.
    #[default]
    None,
    /// The nodes that a cpuset allows.
    Cpuset,
    /// The nodes that a memory policy allows (`mbind`, `set_mempolicy`).
    Mempolicy,
    /// The limit of a memory control group.
    Memcg,
}

/// A process that the kernel killed, as its log tells it. What no line held is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Kill {
    /// Nanoseconds since 1970.
    pub wall_ns: Option<i64>,
    /// The kernel's stamp: time since the boot of that time, suspended time left out.
    pub stamp_ns: Option<Nanos>,
    /// Number in the first pid namespace; 0 never.
    pub pid: u32,
    /// `comm`, printable.
    pub name: String,
    /// Its user.
    pub uid: Option<u32>,
    /// What had run out.
    pub constraint: Constraint,
    /// The group whose limit was reached.
    pub group: Option<String>,
    /// The group that it was in, below or the same.
    pub task_group: Option<String>,
    /// What that group used.
    pub usage: Option<GroupUsage>,
    /// Address space.
    pub total_vm: Option<Bytes>,
    /// Resident anonymous memory.
    pub anon_rss: Option<Bytes>,
    /// Resident pages of files.
    pub file_rss: Option<Bytes>,
    /// Resident shared memory.
    pub shmem_rss: Option<Bytes>,
    /// Page tables.
    pub page_tables: Option<Bytes>,
    /// Swapped out.
    pub swap: Option<Bytes>,
    /// `oom_score_adj`, -1000 to 1000.
    pub oom_score_adj: Option<i64>,
    /// `score` of kernels before 5.0: thousandths of what could be had.
    pub score: Option<u64>,
    /// Whose request could not be met.
    pub request: Option<Request>,
    /// The largest processes that could have been chosen, by resident memory, at most [`Kill::MOST_TASKS`].
    pub tasks: Vec<Task>,
    /// How many there were in all.
    pub tasks_in_all: u64,
    /// Resident bytes of all of them; shared pages count more than once.
    pub tasks_rss: Bytes,
    /// The machine's memory, in the dumps that have it.
    pub host: Option<HostMemory>,
    /// The whole group was killed (`memory.oom.group`).
    pub whole_group: bool,
    /// Where it was read: "/dev/kmsg", "journal", a file.
    pub sources: Vec<String>,
    /// The kernel's own last sentence, printable.
    pub text: String,
}

impl Kill {
    /// Tasks that are kept of a dump, which lists all of a machine's.
    pub const MOST_TASKS: usize = 16;

    /// Its number.
    pub fn pid(&self) -> Pid {
        Pid(self.pid)
    }

    /// Resident bytes of all kinds; `None` where none is known.
    pub fn rss(&self) -> Option<Bytes> {
        let parts = [self.anon_rss, self.file_rss, self.shmem_rss];
        parts.iter().flatten().next()?;
        Some(parts.into_iter().flatten().sum())
    }
}

/// What a group used and might use, at the kill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GroupUsage {
    /// Memory in use.
    pub memory: Bytes,
    /// Its limit; `None`: none.
    pub memory_limit: Option<Bytes>,
    /// Memory and swap together (version 1) or swap (version 2) in use.
    pub swap: Option<Bytes>,
    /// Their limit.
    pub swap_limit: Option<Bytes>,
    /// True where `swap` counts memory and swap together (version 1).
    pub swap_holds_memory: bool,
    /// Kernel memory in use (version 1).
    pub kernel: Option<Bytes>,
}

impl GroupUsage {
    /// The limit that was reached: that of memory, or of memory and swap together.
    pub fn limit(&self) -> Option<Bytes> {
        let both = self.swap_limit.filter(|_| self.swap_holds_memory);
        match (self.memory_limit, both) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

/// A request for memory that could not be met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Request {
    /// `comm` of who asked, printable.
    pub by: String,
    /// 2^order pages in one piece; -1: somebody asked for a kill by the keyboard (`SysRq` f).
    pub order: Option<i32>,
    /// `gfp_mask` as it was printed.
    pub gfp: String,
}

/// A row of the kernel's list of processes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Number.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// `comm`, printable.
    pub name: String,
    /// Resident bytes.
    pub rss: Bytes,
    /// Address space.
    pub total_vm: Bytes,
    /// Swapped out.
    pub swap: Bytes,
    /// `oom_score_adj`.
    pub oom_score_adj: i64,
}

/// `Mem-Info` of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HostMemory {
    /// Pages of RAM, in bytes.
    pub ram: Option<Bytes>,
    /// Free, of all zones together.
    pub free: Option<Bytes>,
    /// Below this nobody but the kernel may allocate (`min` of all zones together).
    pub reserve: Option<Bytes>,
    /// Anonymous memory on the lists of the kernel.
    pub anon: Option<Bytes>,
    /// Shared memory and tmpfs.
    pub shmem: Option<Bytes>,
    /// Kernel objects that cannot be given back.
    pub slab_unreclaimable: Option<Bytes>,
    /// Page tables.
    pub page_tables: Option<Bytes>,
    /// Swap in all.
    pub swap_total: Option<Bytes>,
    /// Swap that was left.
    pub swap_free: Option<Bytes>,
    /// Free blocks of 2^n pages, n from 0, of all zones together.
    pub free_blocks: Vec<u64>,
    /// Bytes of a page, by the smallest block.
    pub page: Option<Bytes>,
}
