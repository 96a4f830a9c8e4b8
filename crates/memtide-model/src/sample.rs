//! One tick of one process: what the sampler saw.
//!
//! A value that could not be had is `None`, never zero. A part that was not due at a tick keeps the
//! value of its last read; [`Sample::maps`] alone is absent, because the ledger may only use ticks at
//! which mappings and RSS were read together.

use crate::account::Account;
use crate::event::Event;
use crate::held::HeldGroup;
use crate::ids::ProcessId;
use crate::mapping::{MappingClass, MappingState, PerClass};
use crate::thread::ThreadState;
use crate::units::{Bytes, Nanos};

/// All that one tick of a lens brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// The wide row.
    pub sample: Sample,
    /// Every mapping, where they were read at this tick.
    pub mappings: Option<Vec<MappingState>>,
    /// Every thread, where they were read at this tick.
    pub threads: Option<Vec<ThreadState>>,
    /// Every group of descriptors and of kernel objects, where one of the two was read at this tick.
    pub held: Option<Vec<HeldGroup>>,
    /// What happened since the tick before.
    pub events: Vec<Event>,
}

/// The wide row of one process at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When its memory was read.
    pub at: Nanos,
    /// Which process.
    pub process: ProcessId,
    /// Memory by the kernel's own counters.
    pub memory: Memory,
    /// Faults and CPU.
    pub activity: Activity,
    /// Mappings by class, where smaps was read at this very tick.
    pub maps: Option<Maps>,
    /// Threads, descriptors, children.
    pub counts: Counts,
    /// Its memory cgroup.
    pub cgroup: Option<Cgroup>,
    /// The machine.
    pub host: Option<Host>,
    /// What thinning folded into this row.
    pub merged: Merged,
}

/// proc(5) `status`, in bytes. RSS is `statm`'s where that was read in the same tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `VmRSS`: resident bytes.
    pub rss: Bytes,
    /// `VmSize`: address space.
    pub size: Bytes,
    /// `VmPeak`.
    pub peak_size: Option<Bytes>,
    /// `VmHWM`: highest RSS so far.
    pub peak_rss: Option<Bytes>,
    /// `RssAnon` (since Linux 4.5).
    pub rss_anon: Option<Bytes>,
    /// `RssFile` (since Linux 4.5; before it, statm's shared pages hold file and shared memory).
    pub rss_file: Option<Bytes>,
    /// `RssShmem` (since Linux 4.5).
    pub rss_shmem: Option<Bytes>,
    /// `VmData`.
    pub data: Option<Bytes>,
    /// `VmStk`.
    pub stack: Option<Bytes>,
    /// `VmExe`.
    pub text: Option<Bytes>,
    /// `VmLib`.
    pub libraries: Option<Bytes>,
    /// `VmPTE` (and `VmPMD` before Linux 4.15 counted it in).
    pub page_tables: Option<Bytes>,
    /// `VmSwap`.
    pub swap: Option<Bytes>,
    /// `VmLck`.
    pub locked: Option<Bytes>,
    /// `VmPin`.
    pub pinned: Option<Bytes>,
    /// `HugetlbPages`; not part of RSS.
    pub hugetlb: Option<Bytes>,
}

/// proc(5) `stat` and `status`: counters since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// Minor faults, field 10.
    pub min_flt: u64,
    /// Major faults, field 12.
    pub maj_flt: u64,
    /// User time in clock ticks, field 14.
    pub utime: u64,
    /// System time in clock ticks, field 15.
    pub stime: u64,
    /// `voluntary_ctxt_switches` of the main thread.
    pub voluntary_switches: Option<u64>,
    /// `nonvoluntary_ctxt_switches` of the main thread.
    pub involuntary_switches: Option<u64>,
}

/// Sums over all mappings of one read of smaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maps {
    /// By class.
    pub classes: PerClass<ClassTotals>,
    /// Proportional set size: shared pages divided by their users.
    pub pss: Bytes,
    /// `Private_Dirty`.
    pub private_dirty: Bytes,
    /// `LazyFree`: given back with `MADV_FREE`, still counted as resident (since Linux 4.12).
    pub lazy_free: Bytes,
    /// `AnonHugePages`.
    pub anon_huge: Bytes,
    /// `Swap`.
    pub swap: Bytes,
    /// True where the split into classes is only by `smaps_rollup` or `status`, because reading
    /// smaps would have cost too much; then the classes are all zero but for the sums above.
    pub rollup_only: bool,
}

/// The mappings of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassTotals {
    /// How many.
    pub count: u64,
    /// Address space.
    pub size: Bytes,
    /// Resident bytes.
    pub rss: Bytes,
    /// Of them anonymous (for `file`: pages copied on write).
    pub anonymous: Bytes,
    /// How many have grown by 128 KiB or more of RSS since they were first seen.
    pub grown: u64,
    /// The greatest growth of RSS of one of them since it was first seen.
    pub max_growth: Bytes,
    /// RSS of the largest.
    pub largest: Bytes,
}

/// Things that are counted rather than weighed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Threads (`status`).
    pub threads: u64,
    /// Mappings, from the last read of smaps.
    pub mappings: Option<u64>,
    /// Open descriptors.
    pub descriptors: Option<Descriptors>,
    /// Children.
    pub children: Option<Children>,
    /// `oom_score`.
    pub oom_score: Option<u64>,
    /// Queues and segments that the process made.
    pub queues: Option<Queues>,
}

/// Kernel objects that outlive the process, as far as they are its own: it or a descendant made a
/// segment (`cpid`), sent last to a System V queue (`lspid`); of a POSIX queue the kernel tells the
/// owner only, so all of the process's user are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// POSIX message queues.
    pub posix: u64,
    /// System V message queues.
    pub system_v: u64,
    /// System V segments.
    pub segments: u64,
    /// Memory of all of them: resident bytes of segments, bytes of waiting messages.
    pub bytes: Bytes,
    /// When they were read, which is earlier than the sample where they were not due again: a rate from
    /// the samples' times would be that of a staircase.
    pub read: Nanos,
}

/// Open descriptors by what they are. `total` may be newer than its parts: it is one cheap read,
/// they are a readlink each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// All.
    pub total: u64,
    /// Files, directories and devices by path.
    pub file: u64,
    /// Sockets of any family.
    pub socket: u64,
    /// Pipes.
    pub pipe: u64,
    /// `eventfd`.
    pub eventfd: u64,
    /// `eventpoll`.
    pub epoll: u64,
    /// Other anonymous inodes: timerfd, signalfd, inotify, `io_uring`, bpf, ….
    pub anon_inode: u64,
    /// memfd and files in /dev/shm.
    pub memfd: u64,
    /// Files by path that are deleted.
    pub deleted: u64,
}

impl Descriptors {
    /// The groups with their names, in the order in which they are shown.
    pub const fn groups(&self) -> [(&'static str, u64); 8] {
        [
            ("file", self.file),
            ("socket", self.socket),
            ("pipe", self.pipe),
            ("eventfd", self.eventfd),
            ("epoll", self.epoll),
            ("anon_inode", self.anon_inode),
            ("memfd", self.memfd),
            ("deleted", self.deleted),
        ]
    }
}

/// Direct children by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Children {
    /// All, zombies included.
    pub total: u64,
    /// Ended, not reaped.
    pub zombies: u64,
    /// Stopped or traced.
    pub stopped: u64,
    /// In uninterruptible sleep.
    pub blocked: u64,
    /// The other members of its session that are not its children: orphans and grandchildren.
    pub session_others: u64,
    /// RSS of all of them together; shared pages count more than once.
    pub rss: Bytes,
}

/// The memory controller of its cgroup, v1 or v2. `current` and `limit` are of one level: of the group, or of the
/// one above it with a limit and less room left; all else is of the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// `memory.current` or `memory.usage_in_bytes`.
    pub current: Bytes,
    /// `memory.max` or `memory.limit_in_bytes`; `None` without a limit.
    pub limit: Option<Bytes>,
    /// `memory.high`.
    pub high: Option<Bytes>,
    /// `memory.stat` anon (v1: `total_rss`).
    pub anon: Option<Bytes>,
    /// `memory.stat` file (v1: `total_cache`).
    pub file: Option<Bytes>,
    /// `memory.stat` shmem (v1: `total_shmem`).
    pub shmem: Option<Bytes>,
    /// `memory.stat` kernel or slab.
    pub kernel: Option<Bytes>,
    /// `oom_kill` of `memory.events` (v1: of `memory.oom_control`): kills so far.
    pub oom_kills: Option<u64>,
    /// `max` of `memory.events` (v1: `memory.failcnt`): hits of the limit.
    pub limit_hits: Option<u64>,
    /// `memory.swap.current` (v1: `memory.memsw.usage_in_bytes` without `memory.usage_in_bytes`).
    pub swap: Option<Bytes>,
    /// `memory.swap.max` (v1: `memory.memsw.limit_in_bytes` without `memory.limit_in_bytes`); `None` without a limit.
    pub swap_limit: Option<Bytes>,
}

/// The machine's memory (`/proc/meminfo`) and pressure (`/proc/pressure/memory`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Host {
    /// `MemAvailable` (since Linux 3.14).
    pub available: Option<Bytes>,
    /// `Committed_AS`.
    pub committed: Option<Bytes>,
    /// `Shmem`.
    pub shmem: Option<Bytes>,
    /// `SUnreclaim`.
    pub slab_unreclaimable: Option<Bytes>,
    /// `SReclaimable`.
    pub slab_reclaimable: Option<Bytes>,
    /// `SwapFree`.
    pub swap_free: Option<Bytes>,
    /// `CommitLimit`.
    pub commit_limit: Option<Bytes>,
    /// `Cached` and `Buffers` without `Shmem`: files that the kernel keeps as long as nobody needs the room.
    pub page_cache: Option<Bytes>,
    /// `AnonPages`: anonymous memory of all processes.
    pub anon: Option<Bytes>,
    /// `PageTables`, `KernelStack`, and the pool of huge pages (`HugePages_Total` × `Hugepagesize`): no
    /// process's RSS has them.
    pub kernel: Option<Bytes>,
    /// Memory pressure, where the kernel measures it (since Linux 4.20, when on).
    pub pressure: Option<Pressure>,
}

/// Total stall time of `/proc/pressure/memory` in microseconds since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Some task waited.
    pub some_us: u64,
    /// All tasks waited.
    pub full_us: u64,
}

/// What a row stands for after thinning: it is the row with the median RSS of its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Rows folded together; 1 for a row as it was taken.
    pub samples: u32,
    /// Least RSS of them.
    pub rss_min: Bytes,
    /// Greatest RSS of them.
    pub rss_max: Bytes,
}

impl Merged {
    /// A row as it was taken.
    pub const fn single(rss: Bytes) -> Self {
        Self {
            samples: 1,
            rss_min: rss,
            rss_max: rss,
        }
    }
}

impl Maps {
    /// Resident bytes of all classes that belong to one account.
    pub fn account(&self, account: Account) -> Bytes {
        let classes = self.classes.iter();
        let its = classes.filter(|(class, _)| class.account() == account);
        its.map(|(_, totals)| totals.rss).sum()
    }

    /// Resident bytes of one class.
    pub fn rss(&self, class: MappingClass) -> Bytes {
        self.classes.get(class).rss
    }
}
