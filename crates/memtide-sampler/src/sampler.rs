//! One process, tick by tick.

mod parts;

use crate::basics::{Basics, Image, Pulse};
use crate::budget::{Budget, DEFAULT_SHARE, ROLLUP_WHEN_SMAPS_EVERY, Spent};
use crate::environment::{Group, Surroundings};
use crate::error::{Error, ErrorKind};
use crate::family::Search;
use crate::held::Groups;
use crate::held::descriptors::Fds;
use crate::held::queues::Queues;
use crate::held::tmpfs::Tmpfs;
use crate::host::{Access, Machine, is_own_proc};
use crate::life::{self, End};
use crate::spaces::{Read, Spaces};
use crate::target;
use crate::threads::Threads;
use memtide_model::{
    Activity, Cgroup, Children, Counts, Event, EventKind, Host, MappingState, Maps, Memory, Merged,
    Nanos, Pid, ProcessId, ReadCost, ReadKind, Sample, Target, ThreadState, Tick,
};
use memtide_proc::parse::stat;
use memtide_proc::{
    Buffer, Listing, PidFd, ProcRoot, ProcessDir, clock, rlimit::raise_descriptor_limit,
};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;

/// How many reads of RSS the noise is first measured from, and how far apart they lie.
const PROBES: u32 = 25;
const PROBE_EVERY: std::time::Duration = std::time::Duration::from_millis(10);

/// How to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where /proc is.
    pub proc_root: PathBuf,
    /// What all reads together may cost, as a fraction of one core; see [`crate::budget`].
    pub budget: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            proc_root: PathBuf::from("/proc"),
            budget: DEFAULT_SHARE,
        }
    }
}

/// What a call of [`Sampler::tick`] gave.
#[derive(Debug)]
pub enum Outcome {
    /// The process lives.
    Tick(Box<Tick>),
    /// It has ended: what happened, the end first. Further calls give the same.
    Ended(Vec<Event>),
}

/// Watches one process.
#[derive(Debug)]
pub struct Sampler {
    root: ProcRoot,
    machine: Machine,
    process: ProcessDir,
    /// Where its memory is read: its own directory, or that of a thread that outlived the first.
    basics: Basics,
    spaces: Spaces,
    threads: Threads,
    fds: Fds,
    queues: Queues,
    tmpfs: Tmpfs,
    groups: Groups,
    group: Group,
    surroundings: Surroundings,
    pidfd: Option<PidFd>,
    buffer: Buffer,
    listing: Listing,
    budget: Budget,
    target: Target,
    image: Image,
    /// What was read last, of the parts that are not read at every tick.
    last: Last,
    /// The pidfd said "ended" while threads were still there: waiting on it would return at once.
    ignore_pidfd: bool,
    first_thread_gone: bool,
    complained: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    mappings: Option<u64>,
    children: Option<Children>,
    search: Search,
    oom_score: Option<u64>,
    queues: Option<memtide_model::Queues>,
    cgroup: Option<Cgroup>,
    host: Option<Host>,
}

/// Measures one read.
struct Watch {
    cpu: Nanos,
    wall: Nanos,
}

impl Watch {
    fn start() -> Self {
        Self {
            cpu: clock::thread_cpu(),
            wall: clock::monotonic(),
        }
    }

    fn spent(&self) -> Spent {
        Spent {
            cpu: clock::thread_cpu() - self.cpu,
            wall: clock::monotonic() - self.wall,
        }
    }
}

impl Sampler {
    /// Finds the process and opens what will be read of it.
    ///
    /// # Errors
    /// Where there is no such process, it is no target (a zombie, a kernel thread), or belongs to
    /// somebody else; see [`ErrorKind`].
    pub fn open(pid: Pid, options: &Options) -> Result<Self, Error> {
        let machine = Machine::read(&options.proc_root)?;
        let access = machine.access_to(pid)?;
        let failed = |error| Error::of_proc(pid, error);
        // A descriptor for each thread may be more than the usual 1,024; what does not fit is opened
        // at each sweep, so a refusal costs time and nothing else.
        let _ = raise_descriptor_limit();
        let root = ProcRoot::open(&options.proc_root).map_err(failed)?;
        let process = root.process(pid).map_err(failed)?;
        let (mut buffer, mut listing) = (Buffer::new(), Listing::new());
        let bytes = process.read("stat", &mut buffer).map_err(failed)?;
        let stat = stat::parse(bytes).map_err(failed)?;
        target::refuse_what_has_no_memory(root.path(), &stat)?;
        if let Access::OtherUser(_) = access {
            let message = format!("{}: its mappings may not be read", access.why(pid));
            return Err(Error::new(ErrorKind::Denied, message));
        }
        let image = Pulse::of(&stat).image;
        let mut sampler = Self {
            basics: Basics::open(&process).map_err(failed)?,
            spaces: Spaces::open(&process).map_err(failed)?,
            threads: Threads::open(&process, &mut listing).map_err(failed)?,
            fds: Fds::open(&process).map_err(failed)?,
            queues: Queues::open(&root, pid),
            tmpfs: Tmpfs::open(&root, pid),
            groups: Groups::default(),
            group: Group::find(&root, &process, &mut buffer),
            surroundings: Surroundings::open(&root, &process),
            // Before Linux 5.3 polling tells, a little later; and the pids of another /proc than
            // this machine's are not this machine's.
            pidfd: is_own_proc(&options.proc_root)
                .then(|| PidFd::open(pid).ok())
                .flatten(),
            budget: Budget::new(options.budget),
            target: placeholder(pid),
            image,
            last: Last::default(),
            ignore_pidfd: false,
            first_thread_gone: false,
            complained: false,
            root,
            machine,
            process,
            buffer,
            listing,
        };
        sampler.describe(access).map_err(failed)?;
        Ok(sampler)
    }

    /// What the process is; brought up to date after an exec.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Says which private memory of the process is the preload shim's, as (first address, bytes). It
    /// replaces the list of the call before, and is to be renewed before each tick, because the shim's
    /// tables grow. Mappings that lie within the union of these ranges are
    /// [`memtide_model::MappingClass::Shim`]. An exec empties the list.
    pub fn own_ranges(&mut self, ranges: &[(u64, u64)]) {
        self.spaces.table.own.set_ranges(ranges);
    }

    /// Says which mapped files are memtide's own: these files, and all files below these folders (the
    /// one of the regions). They are [`memtide_model::MappingClass::Shim`], deleted or not. It replaces
    /// the list of the call before, and outlives an exec. Links are resolved here, once.
    pub fn own_files(&mut self, files: &[PathBuf]) {
        self.spaces.table.own.set_files(files);
    }

    /// Says whether the process is near a limit of memory: what is used of it is read more often then, within
    /// the same budget.
    pub fn near_limit(&mut self, is_near: bool) {
        self.budget.near_limit(is_near);
    }

    /// What each kind of read has cost so far.
    pub fn costs(&self) -> Vec<ReadCost> {
        self.budget.costs()
    }

    /// A descriptor that becomes readable when the process ends, where there is one.
    pub fn end_of_target(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd
            .as_ref()
            .filter(|_| !self.ignore_pidfd)
            .map(PidFd::as_fd)
    }

    /// A quarter of a second of quick reads of RSS alone, to measure its noise before any waiting.
    /// Shorter, and possibly empty, where the process ends meanwhile.
    pub fn probe(&mut self) -> Vec<Sample> {
        let mut samples = Vec::new();
        for _ in 0..PROBES {
            let Ok(rss) = self.basics.resident(&mut self.buffer) else {
                break;
            };
            let memory = Memory {
                rss,
                ..Memory::default()
            };
            samples.push(self.sample(clock::boottime(), memory, Activity::default(), 0));
            std::thread::sleep(PROBE_EVERY);
        }
        samples
    }

    /// Reads what is due.
    ///
    /// # Errors
    /// Where /proc gives what it should not; a process that has ended is no error.
    pub fn tick(&mut self) -> Result<Outcome, Error> {
        let pid = self.target.id.pid;
        match self.try_tick() {
            Ok(outcome) => Ok(outcome),
            Err(error) if error.is_gone() => Ok(Outcome::Ended(self.ended(None))),
            Err(error) => Err(Error::of_proc(pid, error)),
        }
    }

    fn try_tick(&mut self) -> Result<Outcome, memtide_proc::Error> {
        let now = clock::boottime();
        let watch = Watch::start();
        let mut reading = self.basics.read(&mut self.buffer)?;
        self.budget.charge(ReadKind::Basics, now, watch.spent());
        let mut events = Vec::new();
        if reading.pulse.has_ended() {
            return Ok(Outcome::Ended(self.ended(Some(reading.pulse))));
        }
        if self.image.is_known()
            && reading.pulse.image.is_known()
            && reading.pulse.image != self.image
        {
            self.replaced(now, reading.pulse.image, &mut events)?;
        }
        if reading.memory.is_none() {
            self.follow_another_thread(now, &mut events)?;
            reading = self.basics.read(&mut self.buffer)?;
        }
        let Some(memory) = reading.memory else {
            // It is on its way out: no memory any more, not yet a zombie.
            self.wait_for_end();
            let pulse = self.basics.read(&mut self.buffer)?.pulse;
            return Ok(Outcome::Ended(
                self.ended(Some(pulse).filter(Pulse::has_ended)),
            ));
        };
        let (maps, mappings) = self.read_maps(now, &mut events)?;
        let threads = self.read_threads(now, reading.threads)?;
        let held = self.read_held(now, &reading);
        self.read_surroundings(now);
        self.ignore_pidfd = self
            .pidfd
            .as_ref()
            .is_some_and(|p| p.has_ended().unwrap_or(false));
        let mut sample = self.sample(now, memory, reading.activity, reading.threads);
        sample.maps = maps;
        Ok(Outcome::Tick(Box::new(Tick {
            sample,
            mappings,
            threads,
            held,
            events,
        })))
    }

    fn sample(&self, at: Nanos, memory: Memory, activity: Activity, threads: u64) -> Sample {
        let Last {
            mappings,
            oom_score,
            queues,
            cgroup,
            host,
            ..
        } = self.last;
        let counts = Counts {
            threads,
            mappings,
            descriptors: self.fds.last(),
            children: self.last.children.map(|children| Children {
                session_others: self.last.search.session_others,
                rss: children.rss + self.last.search.session_rss,
                ..children
            }),
            oom_score,
            queues,
        };
        Sample {
            at,
            process: self.target.id,
            memory,
            activity,
            maps: None,
            counts,
            cgroup,
            host,
            merged: Merged::single(memory.rss),
        }
    }

    fn read_maps(
        &mut self,
        now: Nanos,
        events: &mut Vec<Event>,
    ) -> Result<(Option<Maps>, Option<Vec<MappingState>>), memtide_proc::Error> {
        if self.spaces.is_denied() {
            return Ok((None, None));
        }
        if self.budget.admits(ReadKind::Smaps, now) {
            let mut read = self.smaps(now);
            if matches!(read, Ok(Read::Stale)) && self.lives_on()? {
                self.replaced(now, self.image, events)?;
                read = self.smaps(now);
            }
            match read {
                Ok(Read::Maps(maps, states)) => {
                    self.last.mappings = Some(self.spaces.table.len());
                    return Ok((Some(*maps), Some(states)));
                }
                Ok(Read::Stale | Read::Denied) => {}
                Err(error) => self.complain(now, &error, events),
            }
        } else if self.budget.interval(ReadKind::Smaps) >= ROLLUP_WHEN_SMAPS_EVERY
            && self.spaces.has_rollup()
            && self.budget.admits(ReadKind::SmapsRollup, now)
        {
            let watch = Watch::start();
            let maps = self.spaces.read_rollup(&mut self.buffer);
            self.budget
                .charge(ReadKind::SmapsRollup, now, watch.spent());
            match maps {
                Ok(maps) => return Ok((maps, None)),
                Err(error) => self.complain(now, &error, events),
            }
        }
        Ok((None, None))
    }

    fn smaps(&mut self, now: Nanos) -> Result<Read, memtide_proc::Error> {
        let watch = Watch::start();
        let read = self.spaces.read(&mut self.buffer);
        self.budget.charge(ReadKind::Smaps, now, watch.spent());
        if read.is_err() {
            self.budget.failed(ReadKind::Smaps);
        }
        read
    }

    /// Whether a process whose mappings read as empty still has memory.
    fn lives_on(&mut self) -> Result<bool, memtide_proc::Error> {
        let reading = self.basics.read(&mut self.buffer)?;
        self.image = reading.pulse.image;
        Ok(!reading.pulse.has_ended() && reading.memory.is_some())
    }

    /// Says once that the mappings cannot be read any more.
    fn complain(&mut self, at: Nanos, error: &memtide_proc::Error, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.complained, true) {
            let pid = self.target.id.pid;
            let text = format!("{error}; the ledger has no mappings until it can be read again");
            events.push(Event {
                at,
                kind: EventKind::Access,
                pid,
                text,
                value: None,
            });
        }
    }

    fn read_threads(
        &mut self,
        now: Nanos,
        expected: u64,
    ) -> Result<Option<Vec<ThreadState>>, memtide_proc::Error> {
        if !self.budget.admits(ReadKind::Threads, now) {
            return Ok(None);
        }
        if self.budget.admits(ReadKind::Wchan, now) {
            let watch = Watch::start();
            self.threads.read_wchan(&self.process, &mut self.buffer);
            self.budget.charge(ReadKind::Wchan, now, watch.spent());
        }
        let watch = Watch::start();
        let states = self
            .threads
            .read(expected, &mut self.listing, &mut self.buffer)?;
        self.budget.charge(ReadKind::Threads, now, watch.spent());
        Ok(Some(states))
    }

    /// Another program runs in this process now: opens its files and describes it anew.
    fn replaced(
        &mut self,
        now: Nanos,
        image: Image,
        events: &mut Vec<Event>,
    ) -> Result<(), memtide_proc::Error> {
        let before = std::mem::take(&mut self.target.exe);
        self.spaces.reopen(&self.process)?;
        self.threads = Threads::open(&self.process, &mut self.listing)?;
        self.fds = Fds::open(&self.process)?;
        self.queues = Queues::open(&self.root, self.target.id.pid);
        self.tmpfs = Tmpfs::open(&self.root, self.target.id.pid);
        self.image = image;
        let pid = self.target.id.pid;
        let access = self.machine.access_to(pid).unwrap_or(Access::NotDumpable);
        self.describe(access)?;
        events.push(life::exec(now, pid, &before, &self.target.exe));
        Ok(())
    }

    /// Describes the process; needs one read of its mappings, which tell what it uses.
    fn describe(&mut self, access: Access) -> Result<(), memtide_proc::Error> {
        let now = clock::boottime();
        // Where the mappings cannot be read, what they would have told stays unknown.
        let _ = self.smaps(now);
        // The first tick needs them beside its RSS, and must not wait for this read's cost.
        self.budget.due_now(ReadKind::Smaps);
        let cgroup = self.group.describe(&mut self.buffer);
        let reading = self.basics.read(&mut self.buffer)?;
        let clues = self.spaces.table.clues();
        let around = target::Surroundings {
            machine: &self.machine,
            access,
            clues: &clues,
            cgroup,
            boottime: clock::boottime(),
            ticks_per_second: clock::ticks_per_second(),
        };
        let bytes = self.process.read("stat", &mut self.buffer)?;
        let uid = reading.uid.unwrap_or_default();
        self.target = target::describe(&stat::parse(bytes)?, uid, &around);
        Ok(())
    }

    /// The first thread has ended while others run on (`pthread_exit` in `main`). The kernel shows its
    /// memory as gone; a living thread's directory shows the same memory still.
    fn follow_another_thread(
        &mut self,
        at: Nanos,
        events: &mut Vec<Event>,
    ) -> Result<(), memtide_proc::Error> {
        let pid = self.target.id.pid;
        let mut others = Vec::new();
        self.process
            .for_each_thread(&mut self.listing, |tid| others.push(tid))?;
        let task = ProcRoot::open(&self.root.path().join(format!("{pid}/task")))?;
        for tid in others.into_iter().filter(|tid| tid.0 != pid.0) {
            let Ok(thread) = task.process(Pid(tid.0)) else {
                continue;
            };
            let basics = Basics::open(&thread)?;
            if basics
                .read(&mut self.buffer)
                .is_ok_and(|reading| reading.memory.is_some())
            {
                self.basics = basics;
                self.spaces.reopen(&thread)?;
                self.fds = Fds::open(&thread)?;
                if !std::mem::replace(&mut self.first_thread_gone, true) {
                    let text = format!(
                        "the first thread of pid {pid} has ended; its memory is read through thread \
                         {tid}, and faults and CPU are that thread's"
                    );
                    events.push(Event {
                        at,
                        kind: EventKind::Access,
                        pid,
                        text,
                        value: None,
                    });
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Gives a process that is on its way out a moment to become a zombie.
    fn wait_for_end(&self) {
        if let Some(pidfd) = &self.pidfd {
            let moment = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 200_000_000,
            };
            // Whatever it answers, the next read tells.
            let _ = pidfd.wait(moment);
        }
    }

    fn ended(&mut self, zombie: Option<Pulse>) -> Vec<Event> {
        let kills = |cgroup: Option<Cgroup>| cgroup.and_then(|cgroup| cgroup.oom_kills);
        let before = kills(self.last.cgroup);
        let after = kills(self.group.read(&mut self.buffer).ok().flatten());
        let end = End {
            at: clock::boottime(),
            id: self.target.id,
            name: self.target.name.clone(),
            zombie,
            may_read_status: self.image.is_known(),
            group_was_killed_in: before
                .zip(after)
                .is_some_and(|(before, after)| after > before),
        };
        end.events(&self.root, self.pidfd.as_ref(), &mut self.buffer)
    }
}

/// Stands in until the process has been described, within [`Sampler::open`].
fn placeholder(pid: Pid) -> Target {
    Target {
        id: ProcessId {
            pid,
            start: memtide_model::StartTime(0),
        },
        parent: None,
        name: String::new(),
        exe: String::new(),
        cmdline: Vec::new(),
        uid: 0,
        age: Nanos(0),
        allocator: String::new(),
        runtime: String::new(),
        limits: memtide_model::Limits::default(),
        cgroup: None,
        unseen: Vec::new(),
    }
}
