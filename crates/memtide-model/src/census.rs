//! All processes of the machine at one moment, and what is held by them or by nobody.
//!
//! A census is what `memtide ps` looks at: one or several of them, a while apart. It holds facts as
//! the kernel gives them; what is wrong with them is the analyzer's business.

use crate::ids::{Pid, ProcessId, ThreadId};
use crate::units::{Bytes, Nanos};
use serde::{Deserialize, Serialize};

/// The machine's processes at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Census {
    /// When the reading began, on `CLOCK_BOOTTIME`.
    pub at: Nanos,
    /// The same moment in nanoseconds since 1970.
    pub wall_ns: i64,
    /// `/proc/sys/kernel/random/boot_id`: pids and start times of other boots are other processes.
    pub boot_id: String,
    /// Every process that could be read, in order of pids.
    pub processes: Vec<ProcessState>,
    /// Processes that were there and of which not even `stat` could be read (hidepid), and those that
    /// vanished while they were read.
    pub vanished: u64,
    /// Processes whose descriptors could not be read, for want of permission.
    pub descriptors_denied: u64,
    /// What processes hold, where it was asked for; `None` where nobody looked.
    pub holdings: Option<Vec<Holding>>,
    /// Message queues, shared memory and tmpfs files, where they were asked for.
    pub objects: Option<Vec<KernelObject>>,
    /// The machine, where it was asked for.
    pub machine: Option<Machine>,
    /// Sentences: what could not be seen and what would allow it.
    pub unseen: Vec<String>,
}

/// One process at one moment (proc(5): `stat`, `status`, `cmdline`, `wchan`, `smaps_rollup`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessState {
    /// Which process.
    pub id: ProcessId,
    /// Its number in its own pid namespace, where that is another (`NSpid`, last field).
    pub inner_pid: Option<Pid>,
    /// Its parent; 0 of the first process and of those whose parent lies outside of the namespace.
    pub ppid: Pid,
    /// Process group.
    pub pgid: i64,
    /// Session.
    pub sid: i64,
    /// Real user (`status`, `Uid`); `None` where `status` could not be read.
    pub uid: Option<u32>,
    /// State letter: R, S, D, T, t, Z, X, I.
    pub state: char,
    /// `comm`, printable.
    pub name: String,
    /// Arguments, printable; empty of kernel threads and zombies.
    pub cmdline: Vec<String>,
    /// Kernel function that it sleeps in; `None` where the kernel does not tell.
    pub wchan: Option<String>,
    /// Time since its start.
    pub age: Nanos,
    /// CPU time, user and system, of all its threads.
    pub cpu: Nanos,
    /// Resident bytes (`status`, `VmRSS`; where it cannot be read `stat`, field 24).
    pub rss: Bytes,
    /// Proportional set size (`smaps_rollup`), where it was asked for and allowed.
    pub pss: Option<Bytes>,
    /// Threads.
    pub threads: u64,
    /// Minor faults since its start.
    pub min_flt: u64,
    /// A thread of the kernel: no memory of its own (`PF_KTHREAD`, or a child of pid 2).
    pub kernel: bool,
    /// Its threads one by one, where they were asked for.
    pub each_thread: Vec<ThreadAtRest>,
}

impl ProcessState {
    /// A process of which nothing is known but which it is: it sleeps, of nobody, with one thread.
    pub const fn of(id: ProcessId) -> Self {
        Self {
            id,
            inner_pid: None,
            ppid: Pid(0),
            pgid: 0,
            sid: 0,
            uid: None,
            state: 'S',
            name: String::new(),
            cmdline: Vec::new(),
            wchan: None,
            age: Nanos(0),
            cpu: Nanos(0),
            rss: Bytes(0),
            pss: None,
            threads: 1,
            min_flt: 0,
            kernel: false,
            each_thread: Vec::new(),
        }
    }
}

/// The numbers of futex(2), as it is where this was built, and of `futex_waitv`, as it is everywhere. Of both the fourth
/// argument is a timeout where the thread sleeps.
pub const FUTEX_CALLS: [i64; 2] = [
    if cfg!(target_arch = "x86_64") {
        202
    } else {
        98
    },
    449,
];

/// What is needed to tell a thread that is stuck from one that works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadAtRest {
    /// Which thread.
    pub id: ThreadId,
    /// Its name, printable.
    pub name: String,
    /// State letter.
    pub state: char,
    /// Kernel function that it sleeps in.
    pub wchan: Option<String>,
    /// `task/TID/syscall`: number and first argument (of futex the address); `None` where it runs or
    /// may not be read.
    pub syscall: Option<(i64, u64)>,
    /// True where that call is futex and ends by itself: it was given a time.
    #[serde(default)]
    pub is_timed: bool,
    /// CPU time.
    pub cpu: Nanos,
}

/// One thing that one process holds open, or has mapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Who.
    pub holder: ProcessId,
    /// Through which descriptor; `None`: it is mapped, its program, its working directory or root.
    pub descriptor: Option<u32>,
    /// How, where there is no descriptor: "mapped", "cwd", "root", "program"; else "open".
    pub how: String,
    /// What.
    pub target: HeldTarget,
    /// Which file it is, of what has a path or had one: two names of a file are one file.
    #[serde(default)]
    pub file: Option<FileId>,
}

/// A file, whatever it is called: the filesystem's device and the number in it (inode(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// Major number of the device.
    pub major: u32,
    /// Minor number of the device.
    pub minor: u32,
    /// Inode.
    pub inode: u64,
}

/// What a descriptor leads to (`/proc/PID/fd`, `/proc/net`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum HeldTarget {
    /// A file, directory or device with a name.
    File {
        /// Its path, printable.
        path: String,
    },
    /// A file without a name any more, which still takes room.
    Deleted {
        /// The path that it had.
        path: String,
    },
    /// A socket of the Internet families.
    Socket {
        /// "tcp", "tcp6", "udp", "udp6", "raw", ….
        protocol: String,
        /// Own address with port.
        local: String,
        /// The other end; `None` of one that listens or is not connected.
        remote: Option<String>,
        /// State of TCP (`ESTABLISHED`, `CLOSE_WAIT`, `LISTEN`, …); empty otherwise.
        state: String,
    },
    /// A socket of the Unix family.
    Unix {
        /// Path or abstract name (`@…`); `None` of an unnamed one.
        path: Option<String>,
    },
    /// A pipe or FIFO, with the other processes at it.
    Pipe {
        /// Inode: both ends have the same.
        inode: u64,
        /// Who else holds an end, of the processes that were read; the first 64.
        peers: Vec<Pid>,
    },
    /// A POSIX message queue, with its name (`/…`).
    Queue {
        /// Its name below the mount point of the queues.
        name: String,
    },
    /// A memfd, with its name.
    Memfd {
        /// The name that it was made with.
        name: String,
    },
    /// Another anonymous inode: `eventfd`, `eventpoll`, `timerfd`, `signalfd`, `inotify`, ….
    Anonymous {
        /// The kernel's name for it.
        name: String,
    },
    /// A descriptor that cannot be told.
    Other {
        /// What its link says, printable.
        link: String,
    },
}

impl core::fmt::Display for HeldTarget {
    /// As lists show it: a path, a socket with its ends and state, what an anonymous one is.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::File { path } => write!(f, "{path}"),
            Self::Deleted { path } => write!(f, "{path} (deleted)"),
            Self::Socket {
                protocol,
                local,
                remote,
                state,
            } => {
                write!(f, "{protocol} {local}")?;
                if let Some(remote) = remote {
                    write!(f, " to {remote}")?;
                }
                if state.is_empty() {
                    Ok(())
                } else {
                    write!(f, " {state}")
                }
            }
            Self::Unix { path: Some(path) } => write!(f, "unix {path}"),
            Self::Unix { path: None } => write!(f, "unix socket"),
            Self::Pipe { inode, .. } => write!(f, "pipe {inode}"),
            Self::Queue { name } => write!(f, "queue {name}"),
            Self::Memfd { name } => write!(f, "memfd {name}"),
            Self::Anonymous { name } => write!(f, "{name}"),
            Self::Other { link } => write!(f, "{link}"),
        }
    }
}

/// Memory of the kernel's that outlives processes: queues, segments, files in tmpfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelObject {
    /// What kind.
    pub kind: ObjectKind,
    /// Name or path; of System V objects "shmid 5", "semid 5", "msqid 5".
    pub name: String,
    /// Key of a System V object (0: private).
    pub key: Option<u32>,
    /// Who owns it.
    pub uid: u32,
    /// Who made it, of System V objects (`cpid`, of queues the last sender), where that is known.
    pub creator: Option<Pid>,
    /// Bytes of memory that it takes: resident of a segment, `QSIZE` of a queue, blocks of a file.
    pub bytes: Bytes,
    /// Messages waiting, semaphores of a set, attached processes of a segment; else `None`.
    pub count: Option<u64>,
    /// Who holds it open or mapped, of the processes that could be read.
    pub holders: Vec<Pid>,
    /// It will go when its last holder does: a segment marked for removal, a deleted file.
    pub doomed: bool,
    /// When it was last changed, seconds since 1970, where that is known.
    pub changed: Option<i64>,
}

/// Kinds of [`KernelObject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectKind {
    /// POSIX message queue (`mq_overview(7)`).
    PosixQueue,
    /// System V message queue (`/proc/sysvipc/msg`).
    SystemVQueue,
    /// System V shared memory segment (`/proc/sysvipc/shm`).
    SystemVSegment,
    /// System V semaphore set (`/proc/sysvipc/sem`).
    SystemVSemaphores,
    /// A file in a tmpfs, /dev/shm among them.
    TmpfsFile,
    /// A deleted file, in a tmpfs or elsewhere, or a memfd, that somebody holds.
    DeletedFile,
}

/// The machine's memory in one look (`/proc/meminfo`, `/proc/buddyinfo`, `/proc/pressure/memory`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// `MemTotal`.
    pub total: Option<Bytes>,
    /// `MemFree`.
    pub free: Option<Bytes>,
    /// `MemAvailable`.
    pub available: Option<Bytes>,
    /// `Cached` and `Buffers`, without `Shmem`.
    pub page_cache: Option<Bytes>,
    /// `AnonPages`.
    pub anon: Option<Bytes>,
    /// `Shmem`: tmpfs, System V and memfd.
    pub shmem: Option<Bytes>,
    /// `SReclaimable`.
    pub slab_reclaimable: Option<Bytes>,
    /// `SUnreclaim`.
    pub slab_unreclaimable: Option<Bytes>,
    /// `KernelStack` and `PageTables`.
    pub kernel: Option<Bytes>,
    /// `HugePages_Total` × `Hugepagesize`.
    pub huge_pages: Option<Bytes>,
    /// `HugePages_Free` × `Hugepagesize`.
    pub huge_pages_free: Option<Bytes>,
    /// `SwapTotal`.
    pub swap_total: Option<Bytes>,
    /// `SwapFree`.
    pub swap_free: Option<Bytes>,
    /// `Committed_AS`.
    pub committed: Option<Bytes>,
    /// `CommitLimit`.
    pub commit_limit: Option<Bytes>,
    /// Share of time in the last minute in which some task waited for memory, 0 to 1.
    pub pressure_some: Option<f64>,
    /// Share of time in the last minute in which all tasks waited, 0 to 1.
    pub pressure_full: Option<f64>,
    /// Free blocks of 2^n pages of all zones together (`/proc/buddyinfo`), n from 0.
    pub free_blocks: Vec<u64>,
}
