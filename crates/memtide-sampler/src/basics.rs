//! `stat`, `status` and `statm`: the reads of every tick.

use memtide_model::{Activity, Bytes, Memory, Pid};
use memtide_proc::parse::{stat, statm, status};
use memtide_proc::{Buffer, Error, KeptFile, ProcessDir, clock};

/// The kept files.
#[derive(Debug)]
pub(crate) struct Basics {
    stat: KeptFile,
    status: KeptFile,
    statm: KeptFile,
    page_size: Bytes,
}

/// What they tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) pulse: Pulse,
    /// `None` of a process without memory: a zombie, or one whose first thread has ended.
    pub(crate) memory: Option<Memory>,
    pub(crate) activity: Activity,
    pub(crate) threads: u64,
    pub(crate) uid: Option<u32>,
}

/// Whether it lives, and as which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pulse {
    pub(crate) state: u8,
    pub(crate) parent: Pid,
    pub(crate) session: i64,
    pub(crate) threads: u64,
    pub(crate) start: memtide_model::StartTime,
    pub(crate) image: Image,
    pub(crate) exit_code: Option<i32>,
}

/// Where its program and stack start. Both change when a process executes another program; they read
/// as 0 or 1 without ptrace access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    code: u64,
    stack: u64,
}

impl Image {
    pub(crate) fn is_known(self) -> bool {
        self.code > 1
    }
}

impl Pulse {
    pub(crate) fn of(stat: &stat::Stat) -> Self {
        Self {
            state: stat.state,
            parent: stat.ppid,
            session: stat.session,
            threads: stat.num_threads,
            start: stat.starttime,
            image: Image {
                code: stat.startcode,
                stack: stat.startstack,
            },
            exit_code: stat.exit_code,
        }
    }

    /// True once no thread of it runs any more. The first thread alone may be a zombie while the
    /// others run on.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x') && self.threads <= 1
    }
}

impl Basics {
    pub(crate) fn open(process: &ProcessDir) -> Result<Self, Error> {
        Ok(Self {
            stat: process.keep("stat")?,
            status: process.keep("status")?,
            statm: process.keep("statm")?,
            page_size: clock::page_size(),
        })
    }

    /// `stat` first, because it tells whether the rest can be believed; `statm` last, so that RSS is
    /// as near as can be to the read of the mappings that follows.
    pub(crate) fn read(&self, buffer: &mut Buffer) -> Result<Reading, Error> {
        let stat = stat::parse(self.stat.read(buffer)?)?;
        let pulse = Pulse::of(&stat);
        let mut activity = Activity {
            min_flt: stat.min_flt,
            maj_flt: stat.maj_flt,
            utime: stat.utime,
            stime: stat.stime,
            voluntary_switches: None,
            involuntary_switches: None,
        };
        let status = status::parse(self.status.read(buffer)?)?;
        activity.voluntary_switches = status.voluntary_switches;
        activity.involuntary_switches = status.involuntary_switches;
        let (uid, mut memory) = (status.uid, status.memory());
        let threads = status.threads.unwrap_or(pulse.threads);
        if let Some(memory) = &mut memory {
            memory.rss = self.resident(buffer)?;
        }
        Ok(Reading {
            pulse,
            memory,
            activity,
            threads,
            uid,
        })
    }

    /// RSS alone, from `statm`.
    pub(crate) fn resident(&self, buffer: &mut Buffer) -> Result<Bytes, Error> {
        let statm = statm::parse(self.statm.read(buffer)?)?;
        Ok(statm.resident.to_bytes(self.page_size))
    }
}
