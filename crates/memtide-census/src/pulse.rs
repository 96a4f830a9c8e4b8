//! The resident memory of every process of the machine, again and again, at next to no cost.
//!
//! A beat is one listing of /proc and one `pread` of a kept `statm` for each process: about 1.5 µs a process.
//! A kept descriptor belongs to its process: when the process has ended the read fails, even if the
//! number was given to another one, which is then a process of its own. Where descriptors run out the
//! rest is read from `stat`, opened each time, which holds the same count and the start time.
//!
//! It judges nothing and keeps a bounded number of points: past [`MOST_POINTS`] of a process every
//! second one is dropped.

use crate::Error;
use memtide_model::{Bytes, Nanos, Pid, ProcessId, text};
use memtide_proc::parse::{stat, statm};
use memtide_proc::{Buffer, ErrorKind, KeptFile, Listing, ProcRoot, ProcessDir, clock};
use std::collections::BTreeMap;

/// Points that are kept of one process.
const MOST_POINTS: usize = 4096;

/// Descriptors that are left to the rest of the program.
const LEFT_FREE: u64 = 64;

/// A series for each process that there was.
#[derive(Debug)]
pub struct Pulse<'r> {
    root: &'r ProcRoot,
    living: BTreeMap<Pid, Living>,
    ended: Vec<PulseSeries>,
    kept: u64,
    most_kept: u64,
    page_size: Bytes,
    listing: Listing,
    buffer: Buffer,
    listed: Vec<Pid>,
}

#[derive(Debug)]
struct Living {
    series: PulseSeries,
    statm: Option<KeptFile>,
    /// A thread of the kernel: it is only watched for its number.
    idle: bool,
}

/// The resident memory of one process over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulseSeries {
    /// Which.
    pub id: ProcessId,
    /// Its parent when it was first seen.
    pub parent: Pid,
    /// Its `comm` when it was first seen, printable.
    pub name: String,
    /// Moments on `CLOCK_BOOTTIME` and resident bytes, in order of time.
    pub points: Vec<(Nanos, Bytes)>,
    /// When it was found to have ended, or to be a zombie.
    pub ended: Option<Nanos>,
}

/// What one beat did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// When it began, on `CLOCK_BOOTTIME`.
    pub at: Nanos,
    /// Processes that have a point of this beat.
    pub read: u64,
    /// Of them, new ones.
    pub new: u64,
    /// Processes that had ended since the last beat.
    pub ended: u64,
    /// Processes that could not be read (hidepid).
    pub hidden: u64,
    /// Of those read, such without a kept descriptor.
    pub unkept: u64,
}

enum Reading {
    Resident(Bytes),
    Ended,
    Failed,
}

impl<'r> Pulse<'r> {
    /// A pulse without points. At most the soft limit of descriptors less 64 are kept: raise it first
    /// ([`memtide_proc::rlimit::raise_descriptor_limit`]).
    pub fn new(root: &'r ProcRoot) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let soft = limit.current.unwrap_or(u64::MAX);
        Self::with_most_kept(root, soft.saturating_sub(LEFT_FREE))
    }

    fn with_most_kept(root: &'r ProcRoot, most_kept: u64) -> Self {
        Self {
            root,
            living: BTreeMap::new(),
            ended: Vec::new(),
            kept: 0,
            most_kept,
            page_size: clock::page_size(),
            listing: Listing::new(),
            buffer: Buffer::new(),
            listed: Vec::new(),
        }
    }

    /// Reads every process once.
    ///
    /// # Errors
    /// Where the list of processes cannot be read.
    pub fn beat(&mut self) -> Result<Beat, Error> {
        let mut beat = Beat {
            at: clock::boottime(),
            ..Beat::default()
        };
        let mut listed = std::mem::take(&mut self.listed);
        listed.clear();
        self.root
            .for_each_process(&mut self.listing, |pid| listed.push(pid))?;
        for &pid in &listed {
            self.one(pid, &mut beat);
        }
        listed.sort_unstable();
        let gone: Vec<Pid> = self
            .living
            .keys()
            .copied()
            .filter(|pid| listed.binary_search(pid).is_err())
            .collect();
        for pid in gone {
            if let Some(process) = self.living.remove(&pid) {
                self.bury(process, &mut beat);
            }
        }
        self.listed = listed;
        Ok(beat)
    }

    fn one(&mut self, pid: Pid, beat: &mut Beat) {
        if let Some(mut process) = self.living.remove(&pid) {
            match self.reading(&process, pid) {
                Reading::Resident(resident) => {
                    process.count(resident, beat);
                    self.living.insert(pid, process);
                    return;
                }
                Reading::Failed => {
                    beat.hidden += 1;
                    self.living.insert(pid, process);
                    return;
                }
                // The number was given to another process, which is met below.
                Reading::Ended => self.bury(process, beat),
            }
        }
        match self.meet(pid) {
            Ok((mut process, resident)) => {
                beat.new += u64::from(!process.idle);
                process.count(resident, beat);
                self.kept += u64::from(process.statm.is_some());
                self.living.insert(pid, process);
            }
            Err(error) => beat.hidden += u64::from(error.kind() == ErrorKind::Denied),
        }
    }

    /// Reads a process that is known.
    fn reading(&mut self, process: &Living, pid: Pid) -> Reading {
        let read = match &process.statm {
            Some(kept) => kept
                .read(&mut self.buffer)
                .and_then(statm::parse)
                .map(|statm| Some(statm.resident.to_bytes(self.page_size))),
            None => self.root.process(pid).and_then(|directory| {
                let stat = stat::parse(directory.read("stat", &mut self.buffer)?)?;
                let same = stat.starttime == process.series.id.start;
                Ok(same.then(|| Bytes(stat.rss_pages.saturating_mul(self.page_size.0))))
            }),
        };
        match read {
            Ok(Some(resident)) => Reading::Resident(resident),
            Ok(None) => Reading::Ended,
            Err(error) if error.is_gone() => Reading::Ended,
            Err(_) => Reading::Failed,
        }
    }

    /// Looks at a process for the first time.
    fn meet(&mut self, pid: Pid) -> Result<(Living, Bytes), memtide_proc::Error> {
        let directory = self.root.process(pid)?;
        let stat = stat::parse(directory.read("stat", &mut self.buffer)?)?;
        let resident = Bytes(stat.rss_pages.saturating_mul(self.page_size.0));
        let mut process = Living {
            series: PulseSeries {
                id: ProcessId {
                    pid,
                    start: stat.starttime,
                },
                parent: stat.ppid,
                name: text::printable(stat.comm),
                points: Vec::new(),
                ended: None,
            },
            statm: None,
            idle: stat.is_kernel_thread() || stat.state == b'Z',
        };
        process.statm = self.keep(&directory)?;
        Ok((process, resident))
    }

    /// A kept descriptor, while there are some left.
    fn keep(&self, directory: &ProcessDir) -> Result<Option<KeptFile>, memtide_proc::Error> {
        if self.kept >= self.most_kept {
            return Ok(None);
        }
        match directory.keep("statm") {
            Ok(kept) => Ok(Some(kept)),
            Err(error) if error.is_gone() => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn bury(&mut self, mut process: Living, beat: &mut Beat) {
        self.kept -= u64::from(process.statm.is_some());
        if !process.idle {
            beat.ended += 1;
            process.series.ended = Some(beat.at);
        }
        if !process.series.points.is_empty() {
            self.ended.push(process.series);
        }
    }

    /// All series, in order of pids and start times.
    pub fn into_series(self) -> Vec<PulseSeries> {
        let living = self.living.into_values().map(|process| process.series);
        let mut series: Vec<_> = living.filter(|series| !series.points.is_empty()).collect();
        series.extend(self.ended);
        series.sort_by_key(|series| series.id);
        series
    }

    /// Those that there are at the moment, in order of pids.
    pub fn living(&self) -> impl Iterator<Item = &PulseSeries> {
        let series = self.living.values().map(|process| &process.series);
        series.filter(|series| !series.points.is_empty())
    }
}

impl Living {
    fn count(&mut self, resident: Bytes, beat: &mut Beat) {
        if self.idle {
            return;
        }
        // Memory that is gone while the number is still there: a zombie, which is watched for its end only.
        if resident == Bytes::ZERO && !self.series.points.is_empty() {
            self.idle = true;
            self.series.ended = Some(beat.at);
            beat.ended += 1;
            return;
        }
        beat.read += 1;
        beat.unkept += u64::from(self.statm.is_none());
        if self.series.points.len() >= MOST_POINTS {
            let every_second = self.series.points.iter().copied().step_by(2);
            self.series.points = every_second.collect();
        }
        self.series.points.push((beat.at, resident));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(pulse: &Pulse<'_>) -> PulseSeries {
        let pid = Pid(std::process::id());
        pulse
            .living()
            .find(|one| one.id.pid == pid)
            .unwrap()
            .clone()
    }

    #[test]
    fn without_descriptors_the_same_is_read() {
        memtide_proc::rlimit::raise_descriptor_limit().unwrap();
        let root = ProcRoot::system().unwrap();
        let (mut kept, mut unkept) = (Pulse::new(&root), Pulse::with_most_kept(&root, 0));
        let mut beats = (Beat::default(), Beat::default());
        for _ in 0..2 {
            beats = (kept.beat().unwrap(), unkept.beat().unwrap());
        }
        assert_eq!(beats.1.unkept, beats.1.read);
        let pid = Pid(std::process::id());
        assert!(kept.living[&pid].statm.is_some() && unkept.living[&pid].statm.is_none());
        let (one, other) = (own(&kept), own(&unkept));
        assert_eq!(
            (one.id, one.parent, &one.name),
            (other.id, other.parent, &other.name)
        );
        let (one, other) = (one.points[1].1.as_f64(), other.points[1].1.as_f64());
        // It allocates between the two reads.
        assert!((one - other).abs() < f64::from(1 << 20), "{one} {other}");
    }

    #[test]
    fn a_number_that_is_given_again_is_another_process() {
        let root = ProcRoot::system().unwrap();
        let mut pulse = Pulse::with_most_kept(&root, 0);
        pulse.beat().unwrap();
        let pid = Pid(std::process::id());
        let before = own(&pulse);
        // As if the one that was seen had started earlier.
        let seen = pulse.living.get_mut(&pid).unwrap();
        seen.series.id.start.0 -= 1;
        let beat = pulse.beat().unwrap();
        assert!(beat.new >= 1 && beat.ended >= 1, "{beat:?}");
        assert_eq!(own(&pulse).id, before.id);
        let series = pulse.into_series();
        assert_eq!(series.iter().filter(|one| one.id.pid == pid).count(), 2);
    }

    #[test]
    fn points_are_thinned_and_stay_in_order() {
        let root = ProcRoot::system().unwrap();
        let mut pulse = Pulse::new(&root);
        pulse.beat().unwrap();
        let process = pulse.living.get_mut(&Pid(std::process::id())).unwrap();
        for at in 1..10_000 {
            let mut beat = Beat {
                at: Nanos(u64::MAX - 10_000 + at),
                ..Beat::default()
            };
            process.count(Bytes(1), &mut beat);
        }
        let points = &process.series.points;
        assert!(points.len() <= MOST_POINTS && points.len() > MOST_POINTS / 2);
        assert!(points.is_sorted_by_key(|(at, _)| *at));
    }
}
