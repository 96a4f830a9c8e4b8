//! The perf side-band: a software event that counts nothing, opened for the records of tasks and names
//! that come with it.
//!
//! There is a ring per processor. Of a tree the event is opened on its first process, before that has run
//! anything, and inherited by all that come from it: this needs no privilege where `perf_event_paranoid` is at
//! most 2. Of the machine it is opened on every processor, which needs `CAP_PERFMON`. The clock is `CLOCK_BOOTTIME`.
//!
//! Where the machine may be seen, a tree is followed by that, too: inheriting costs every fork one event per
//! processor, and ends where a program takes on privileges (see `escapes`).
//!
//! It never tells an exit status: that is for who reaps.

mod record;

use crate::error::Error;
use crate::order::Record;
use memtide_model::Pid;
use perf_event::events::Software;
use perf_event::{Builder, Clock, ReadFormat, SampleFlag, Sampler};
use record::Parsed;
use rustix::event::epoll;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::os::fd::AsRawFd as _;

/// Room of a ring in bytes, from the first that is granted. Without privilege 512 KiB and a page per processor are
/// (`perf_event_mlock_kb`); at 250 bytes per process the first holds 30,000.
const ROOMS: [usize; 6] = [8 << 20, 2 << 20, 512 << 10, 128 << 10, 64 << 10, 32 << 10];
/// Room of all rings together, beyond which the larger of [`ROOMS`] are not asked for.
const ROOM_IN_ALL: usize = 64 << 20;

/// Whose records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Of this process and all that come from it.
    Tree(Pid),
    /// Of all.
    Machine,
}

/// The rings of all processors.
#[derive(Debug)]
pub(crate) struct SideBand {
    rings: Vec<Ring>,
    ready: OwnedFd,
    lost: u64,
}

/// The ring of one processor. The sampler has no `Debug` of its own.
struct Ring(Sampler);

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({})", self.0.as_raw_fd())
    }
}

impl SideBand {
    /// Opens the rings. A processor that is offline has none.
    pub(crate) fn open(reach: Reach) -> Result<Self, Error> {
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|errno| Error::system("waiting for perf records", errno))?;
        let mut rings = Vec::new();
        for processor in processors() {
            let mut sampler = match ring(reach, processor) {
                // ENODEV: offline.
                Err(error) if error.raw_os_error() == Some(ENODEV) => continue,
                opened => opened.map_err(|error| Error::system("perf_event_open", error))?,
            };
            sampler
                .as_counter_mut()
                .enable()
                .map_err(|error| Error::system("starting the perf event", error))?;
            epoll::add(
                &ready,
                descriptor(&sampler),
                epoll::EventData::new_u64(0),
                epoll::EventFlags::IN,
            )
            .map_err(|errno| Error::system("waiting for perf records", errno))?;
            rings.push(Ring(sampler));
        }
        Ok(Self {
            rings,
            ready,
            lost: 0,
        })
    }

    /// Hands over all that the rings hold.
    pub(crate) fn read(&mut self, mut each: impl FnMut(Record)) {
        for Ring(ring) in &mut self.rings {
            while let Some(raw) = ring.next_record() {
                match record::parse(raw.ty(), raw.misc(), &raw.to_contiguous()) {
                    Some(Parsed::Happened(record)) => each(record),
                    Some(Parsed::Lost(count)) => self.lost += count,
                    None => {}
                }
            }
        }
    }

    /// Records that found no room, as far as the rings have said; a ring says so with its next record.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Records that found no room, asked of the kernel (6.0 and later), those after the last record too.
    pub(crate) fn lost_in_all(&mut self) -> u64 {
        let counted = self.rings.iter_mut().map(|Ring(ring)| {
            let read = ring.as_counter_mut().read_full();
            read.ok().and_then(|data| data.lost()).unwrap_or(0)
        });
        self.lost = self.lost.max(counted.sum());
        self.lost
    }

    /// Becomes readable when a quarter of a ring is filled.
    pub(crate) fn ready(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

const ENODEV: i32 = rustix::io::Errno::NODEV.raw_os_error();
const EINVAL: i32 = rustix::io::Errno::INVAL.raw_os_error();

/// Whether such an event can be had, without keeping it.
pub(crate) fn probe(reach: Reach) -> io::Result<()> {
    let processor = processors().next().unwrap_or(0);
    builder(reach, processor, true)
        .build()
        .or_else(|error| retry_without_lost(error, reach, processor))
        .map(drop)
}

/// How a tree is best followed: by the records of the machine, or else by inheritance.
pub(crate) fn reach_for_tree(root: Pid) -> Reach {
    if probe(Reach::Machine).is_ok() {
        Reach::Machine
    } else {
        Reach::Tree(root)
    }
}

/// The numbers of all processors that the kernel may have.
fn processors() -> impl Iterator<Item = usize> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let mut numbers = parse_list(text.trim());
    if numbers.is_empty() {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        numbers = (0..count).collect();
    }
    numbers.into_iter()
}

/// A list of processors as sysfs prints it: `0-3,8,10-11`. What is no such list is empty.
fn parse_list(text: &str) -> Vec<usize> {
    /// As many as any kernel can have (`NR_CPUS`).
    const MOST: usize = 8192;
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>())
            && last < MOST
        {
            numbers.extend(first..=last);
        }
    }
    numbers
}

fn builder(reach: Reach, processor: usize, counts_lost: bool) -> Builder<'static> {
    let mut builder = Builder::new(Software::DUMMY);
    match reach {
        // A pid beyond i32 does not exist, and the kernel says so of -2.
        Reach::Tree(pid) => builder
            .observe_pid(i32::try_from(pid.0).unwrap_or(-2))
            .inherit(true),
        Reach::Machine => builder.any_pid(),
    };
    builder
        .one_cpu(processor)
        .task(true)
        .comm(true)
        .comm_exec(true)
        .sample_id_all(true)
        .sample(SampleFlag::TID | SampleFlag::TIME)
        .clockid(Clock::BOOTTIME);
    if counts_lost {
        builder.read_format(ReadFormat::LOST);
    } else {
        builder.read_format(ReadFormat::empty());
    }
    builder
}

/// Kernels before 6.0 cannot be asked for losses.
fn retry_without_lost(
    error: io::Error,
    reach: Reach,
    processor: usize,
) -> io::Result<perf_event::Counter> {
    if error.raw_os_error() == Some(EINVAL) {
        return builder(reach, processor, false).build();
    }
    Err(error)
}

fn ring(reach: Reach, processor: usize) -> io::Result<Sampler> {
    let mut refused = io::Error::from(io::ErrorKind::OutOfMemory);
    let share = (ROOM_IN_ALL / processors().count().max(1)).max(512 << 10);
    for room in ROOMS.into_iter().filter(|room| *room <= share) {
        let open = |counts_lost| {
            let mut builder = builder(reach, processor, counts_lost);
            builder.wakeup_watermark(room / 4);
            builder.build()
        };
        let counter = match open(true) {
            Err(error) if error.raw_os_error() == Some(EINVAL) => open(false)?,
            opened => opened?,
        };
        match counter.sampled(room) {
            Ok(sampler) => return Ok(sampler),
            // Over what this user may lock: a smaller one may be granted.
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

#[expect(
    unsafe_code,
    reason = "the sampler lends its descriptor as a bare number"
)]
fn descriptor(sampler: &Sampler) -> BorrowedFd<'_> {
    // SAFETY: the sampler owns the descriptor and outlives the borrow, whose lifetime is its own.
    unsafe { BorrowedFd::borrow_raw(sampler.as_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_list("0-3,8,10-11"), [0, 1, 2, 3, 8, 10, 11]);
        assert_eq!(parse_list("0"), [0]);
        assert!(parse_list("").is_empty());
        assert!(parse_list("0-99999999999").is_empty());
    }
}
