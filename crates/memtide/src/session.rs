//! One recording, from the first tick to the report: the road of `attach` and `run`.
//!
//! ```text
//! sampler   ──► recording ──► ledger → trend → verdict ──► report
//! snapshots ──►     ▲
//! regions   ──►     │ names of places, after the end
//! ```
//!
//! A session knows what it watches and what it writes; when to end is told by a [`Control`], because a
//! process of others ends the recording where it ends or somebody asks, and a program of our own is also
//! sent signals. What it prints while it records goes to standard error.

mod alarm;
mod end;
mod killed;
mod words;

pub(crate) use alarm::Marks;
pub(crate) use end::Analysis;
pub(crate) use words::not_recorded;

use crate::cli::options::Outputs;
use crate::heap::Heap;
use crate::lens::Lens;
use crate::naming::default_file;
use crate::progress::Progress;
use crate::secrets;
use crate::snapshots::{Found, Snapshots};
use crate::tree::Tree;
use alarm::Alarm;
use memtide_model::{Bytes, Event, EventKind, Nanos, Redactor, Sample, Target, Tick};
use memtide_record::{Clock, Start, Writer};
use memtide_sampler::{Outcome, Sampler, Schedule, clock};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the verdict is drawn from: more rows than this add nothing but time.
pub(crate) const SAMPLES_FOR_VERDICT: usize = 300;
/// Costs are written this often; a recorder that is killed loses at most so much of them.
const COSTS_EVERY: Nanos = Nanos::from_secs(5);
/// The clocks are noted together this often, so that wall-clock times stay right when it is set.
const CLOCKS_EVERY: Nanos = Nanos::from_secs(60);
/// The live verdict is drawn anew when the record is this much longer, so that what it costs in all
/// stays in proportion to the number of doublings and not to the length of the record.
const LIVE_GROWTH: f64 = 1.05;
const LIVE_EVERY: Nanos = Nanos::from_secs(2);
/// The last look into the heap may take so long: whoever pressed Ctrl-C waits for it.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// Whose terminal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Ours: a preview first, then progress, the report on standard output.
    Own,
    /// The program's, which was started with our streams: few words, and the report on standard error.
    Shared,
}

/// What a session is made of.
pub(crate) struct Setup<'a> {
    pub(crate) lens: Lens,
    pub(crate) heap: Option<Heap>,
    pub(crate) snapshots: Option<Snapshots>,
    pub(crate) tree: Option<Tree>,
    pub(crate) every: Nanos,
    /// What all reads together may cost, as a share of one core.
    pub(crate) budget: f64,
    /// When to take a snapshot out of turn.
    pub(crate) marks: Marks,
    pub(crate) output: Option<&'a Path>,
    pub(crate) outputs: &'a Outputs,
    pub(crate) stage: Stage,
}

/// When to end.
pub(crate) trait Control {
    /// The moment at which [`Control::heed`] wants to be asked at the latest.
    fn wake_by(&self) -> Option<Nanos>;
    /// Sleeps so long, or until something comes or the target's `end` becomes readable; says whether that
    /// one did.
    fn sleep(&self, span: Nanos, end: Option<BorrowedFd<'_>>) -> anyhow::Result<bool>;
    /// What is to be done at `now`; asked after each sleep.
    fn heed(&mut self, now: Nanos, session: &mut Session) -> anyhow::Result<Order>;
}

/// An answer of [`Control::heed`].
pub(crate) enum Order {
    /// The next tick, when it is due.
    GoOn,
    /// One tick more, and the end.
    Last,
    /// The end now, with an event that says why.
    End(String),
    /// The end: the target's own, with the events of it.
    Ended(Vec<Event>),
}

/// A recording under way.
pub(crate) struct Session {
    lens: Lens,
    heap: Option<Heap>,
    /// Why the regions could not be read, until it is told.
    heap_failed: Option<anyhow::Error>,
    heap_told: bool,
    snapshots: Option<Snapshots>,
    /// What looks at the processes below the target, until it cannot any more.
    tree: Option<Tree>,
    alarm: Alarm,
    budget: f64,
    /// How often ticks are taken now, and the CPU time of the cheapest.
    pace: Nanos,
    least_tick: Nanos,
    /// Whether another program has replaced the one before, until somebody asks.
    is_replaced: bool,
    writer: Writer,
    file: PathBuf,
    progress: Progress,
    redactor: Option<Redactor>,
    stage: Stage,
    every: Nanos,
    started: Nanos,
    /// CPU time that memtide had used when this session began: other sessions' is not its cost.
    cpu_before: Nanos,
    last_costs: Nanos,
    last_clocks: Nanos,
    last_live: Nanos,
}

impl Session {
    /// Opens the recording.
    pub(crate) fn open(setup: Setup<'_>) -> anyhow::Result<Self> {
        let Setup {
            lens,
            heap,
            snapshots,
            tree,
            every,
            budget,
            marks,
            output,
            outputs,
            stage,
        } = setup;
        let cpu_before = clock::process_cpu();
        let mut redactor = outputs.redact.then(secrets::redactor);
        let mut target = lens.target();
        if let Some(redactor) = &mut redactor {
            redactor.target(&mut target);
        }
        let file = output.map_or_else(
            || default_file(&target.name, target.id.pid),
            Path::to_path_buf,
        );
        let start = Start {
            clock: now(),
            interval: every,
            page_size: clock::page_size(),
            ticks_per_second: clock::ticks_per_second(),
            // The shim is added when it says hello.
            lenses: vec!["sampler".to_owned()],
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut writer = Writer::create(&file, &target, &start)?;
        if let Some(tree) = &tree {
            writer.tree_start(tree.engine())?;
        }
        Ok(Self {
            lens,
            heap,
            heap_failed: None,
            heap_told: false,
            snapshots,
            tree,
            alarm: Alarm::new(marks),
            budget,
            pace: every,
            least_tick: Nanos(u64::MAX),
            is_replaced: false,
            writer,
            file,
            progress: Progress::new(outputs.quiet, stage == Stage::Own),
            redactor,
            stage,
            every,
            started: start.clock.boottime,
            cpu_before,
            last_costs: start.clock.boottime,
            last_clocks: start.clock.boottime,
            last_live: start.clock.boottime,
        })
    }

    /// Takes ticks until the target ends or `control` says so, and a last look into its heap.
    pub(crate) fn record(&mut self, control: &mut dyn Control) -> anyhow::Result<()> {
        self.take_ticks(control)?;
        let gone = self.tree.as_ref().map(Tree::summary);
        for text in gone.into_iter().flatten() {
            self.note(EventKind::Recorder, text)?;
        }
        let last = self.snapshots.as_mut().map(|all| all.last(LAST_LOOK));
        last.into_iter()
            .flatten()
            .try_for_each(|found| self.store_snapshot(found))
    }

    fn take_ticks(&mut self, control: &mut dyn Control) -> anyhow::Result<()> {
        let Some(first) = self.first_tick()? else {
            return Ok(());
        };
        let mut schedule = Schedule::new(first + self.every, self.every);
        loop {
            let due = schedule.next();
            let wake = control.wake_by().map_or(due, |by| by.min(due));
            let ended = self.wait_until(wake, control)?;
            let now = clock::boottime();
            let last = match control.heed(now, self)? {
                Order::GoOn => false,
                Order::Last => true,
                Order::End(why) => return self.note(EventKind::Recorder, why),
                Order::Ended(events) => return self.events(&events),
            };
            if now < due && !ended && !last {
                continue;
            }
            // Ticks that came faster than asked for are no gap where they were missed.
            let missed = schedule.taken(now) * schedule.every().0 / self.every.0.max(1);
            if missed > 0 {
                self.gap(now, missed)?;
            }
            if !self.tick()? || last {
                return Ok(());
            }
            schedule.repace(now, self.pace);
            self.housekeeping(now)?;
        }
    }

    /// Takes the first tick and, before any waiting, says what it shows. `None` where the target ended.
    fn first_tick(&mut self) -> anyhow::Result<Option<Nanos>> {
        // Where the program has just been started there is no noise to measure, only its start.
        let previews = self.stage == Stage::Own && !self.progress.is_quiet();
        let sampler = self.lens.sampler().filter(|_| previews);
        let probes = sampler.map(Sampler::probe).unwrap_or_default();
        self.collect();
        let Some(tick) = self.sample()? else {
            let nobody_looks = self.lens.sampler().is_none();
            return Ok(nobody_looks.then(clock::boottime));
        };
        self.write(&tick)?;
        self.look_around(true)?;
        self.store_heap()?;
        self.look(&tick.sample)?;
        if previews {
            self.preview(&tick.sample, memtide_analyzer::noise(&probes));
        }
        Ok(Some(tick.sample.at))
    }

    /// The target as it may be shown and stored.
    pub(crate) fn shown_target(&mut self) -> Target {
        let mut target = self.lens.target();
        if let Some(redactor) = &mut self.redactor {
            redactor.target(&mut target);
        }
        target
    }

    /// Where it is recorded.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// What reads the regions.
    pub(crate) fn heap(&mut self) -> Option<&mut Heap> {
        self.heap.as_mut()
    }

    /// Whether the target has become another program since the last call.
    pub(crate) fn take_replaced(&mut self) -> bool {
        std::mem::take(&mut self.is_replaced)
    }

    /// The target's program as /proc names it; empty where that cannot be known.
    pub(crate) fn exe(&self) -> String {
        match &self.lens {
            Lens::Sampler(sampler, _) => sampler.target().exe.clone(),
            Lens::Nobody(_) => String::new(),
        }
    }

    /// One tick of all lenses; false once the target has ended, its last events written.
    fn tick(&mut self) -> anyhow::Result<bool> {
        let before = clock::thread_cpu();
        self.collect();
        let sampled = self.sample()?;
        if let Some(tick) = &sampled {
            self.write(tick)?;
            self.look(&tick.sample)?;
            // The cheapest tick is one without the reads that have a budget of their own.
            self.least_tick = self.least_tick.min(clock::thread_cpu() - before);
            let limits = self.lens.limits();
            self.pace = alarm::pace(
                self.every,
                &tick.sample,
                limits,
                self.least_tick,
                self.budget,
            );
            let is_near = alarm::is_near(&tick.sample, limits);
            if let Some(sampler) = self.lens.sampler() {
                sampler.near_limit(is_near);
            }
        }
        if sampled.is_some() {
            self.look_around(false)?;
        }
        self.store_heap()?;
        Ok(sampled.is_some() || self.lens.sampler().is_none())
    }

    /// Reads the regions, before the sampler: it must know what memory is the shim's. Where they cannot be
    /// read any more, the sampler goes on alone.
    fn collect(&mut self) {
        let Some(heap) = &mut self.heap else {
            return;
        };
        match heap.collect(clock::boottime()) {
            Ok(()) => {
                if let Some(sampler) = self.lens.sampler() {
                    sampler.own_ranges(&heap.own_ranges());
                }
            }
            Err(error) => self.heap_failed = Some(error),
        }
    }

    fn store_heap(&mut self) -> anyhow::Result<()> {
        if let Some(heap) = &mut self.heap {
            heap.store(&mut self.writer, self.redactor.as_mut())?;
        }
        match self.heap_failed.take() {
            Some(error) if !self.heap_told => self.not_recorded(&format!("{error:#}"))?,
            _ => {}
        }
        Ok(())
    }

    /// Looks at the processes below the target where that is due. Where that fails, the rest goes on.
    fn look_around(&mut self, anyway: bool) -> anyhow::Result<()> {
        let Some(tree) = &mut self.tree else {
            return Ok(());
        };
        match tree.look(clock::boottime(), anyway) {
            Ok(Some(mut seen)) => {
                if let Some(redactor) = &mut self.redactor {
                    redactor.tree(&mut seen.tick);
                }
                self.writer.tree(&seen.tick)?;
                seen.unseen.map_or(Ok(()), |unseen| self.has_lost(unseen))?;
            }
            Ok(None) => {}
            Err(error) => {
                self.tree = None;
                let text = format!("the processes below it are not looked at any more: {error:#}");
                self.note(EventKind::Access, text)?;
            }
        }
        Ok(())
    }

    /// Stores the snapshot that has come, and asks for another one if it is time.
    fn look(&mut self, sample: &Sample) -> anyhow::Result<()> {
        self.heed_marks(sample)?;
        let Some(snapshots) = &mut self.snapshots else {
            return Ok(());
        };
        let found = snapshots.take();
        snapshots.tick(sample);
        found.map_or(Ok(()), |found| self.store_snapshot(found))
    }

    /// Takes a snapshot out of turn where a mark was crossed, and says why.
    fn heed_marks(&mut self, sample: &Sample) -> anyhow::Result<()> {
        for why in self.alarm.crossed(sample, self.lens.limits()) {
            let done = match &mut self.snapshots {
                Some(snapshots) => snapshots.at_once(sample),
                None => "the heap is not read (--no-inspect)",
            };
            self.note(EventKind::Snapshot, format!("{why}; {done}"))?;
        }
        Ok(())
    }

    fn store_snapshot(&mut self, found: Found) -> anyhow::Result<()> {
        match self.of_its_allocator(found) {
            Found::Snapshot(snapshot) => self.writer.heap(&snapshot)?,
            Found::Nothing(mut why) => {
                if let Some(redactor) = &mut self.redactor {
                    redactor.text(&mut why);
                }
                if self.stage == Stage::Own {
                    self.progress.say(&format!("heap not read: {why}"));
                }
                self.writer.heap_unavailable(&why)?;
            }
        }
        Ok(())
    }

    /// A program that has another allocator linked into it never used glibc's: that this one is empty says
    /// nothing of its heap.
    fn of_its_allocator(&self, found: Found) -> Found {
        match &found {
            Found::Snapshot(snapshot) if snapshot.totals.heap_resident == Bytes::ZERO => {
                let allocator = self.lens.target().allocator;
                if allocator.starts_with("glibc") || allocator == "unknown" {
                    return found;
                }
                Found::Nothing(format!(
                    "its allocator is {allocator}, which no lens can read"
                ))
            }
            _ => found,
        }
    }

    /// What the sampler sees; `None` once the target has ended, its last events written, or without sampler.
    fn sample(&mut self) -> anyhow::Result<Option<Tick>> {
        let Some(sampler) = self.lens.sampler() else {
            return Ok(None);
        };
        match sampler.tick()? {
            Outcome::Tick(mut tick) => {
                if self.redactor.is_some() && replaced(&tick) {
                    // The new program's secrets must be known before the event that names it.
                    self.shown_target();
                }
                if let Some(redactor) = &mut self.redactor {
                    redactor.tick(&mut tick);
                }
                Ok(Some(*tick))
            }
            Outcome::Ended(events) => {
                self.events(&events)?;
                Ok(None)
            }
        }
    }

    /// CPU time that this session has cost.
    fn cost(&self) -> Nanos {
        clock::process_cpu() - self.cpu_before
    }

    fn write(&mut self, tick: &Tick) -> anyhow::Result<()> {
        for event in &tick.events {
            self.progress.say(&event.text);
        }
        self.writer.tick(tick)?;
        if replaced(tick) {
            self.is_replaced = true;
            self.alarm.restart();
            if let Some(snapshots) = &mut self.snapshots {
                snapshots.replaced(tick.sample.at);
            }
            let target = self.shown_target();
            self.writer.retarget(&target, tick.sample.at)?;
        }
        Ok(())
    }

    fn housekeeping(&mut self, at: Nanos) -> anyhow::Result<()> {
        if at - self.last_costs >= COSTS_EVERY {
            self.last_costs = at;
            self.writer.costs(&self.lens.costs(), self.cost())?;
        }
        if at - self.last_clocks >= CLOCKS_EVERY {
            self.last_clocks = at;
            self.writer.clock(now())?;
        }
        // A line that cannot be drawn now is no reason to end a recording.
        let _ = self.show(at);
        Ok(())
    }

    /// Sleeps, but not through the target's end or a signal; true at the target's end.
    fn wait_until(&self, wake: Nanos, control: &dyn Control) -> anyhow::Result<bool> {
        let now = clock::boottime();
        if wake <= now {
            return Ok(false);
        }
        control.sleep(wake - now, self.lens.end())
    }
}

fn replaced(tick: &Tick) -> bool {
    tick.events
        .iter()
        .any(|event| event.kind == EventKind::Exec)
}

/// The three clocks, read together.
fn now() -> Clock {
    Clock {
        boottime: clock::boottime(),
        monotonic: clock::monotonic(),
        wall: clock::realtime(),
    }
}
