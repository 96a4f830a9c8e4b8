//! One recording, from the first tick to the report: the road of `attach` and `run`.
//!
//! ```text
//! sampler ──► recording ──► ledger → trend → verdict ──► report
//! regions ──►     ▲ names of places, after the end
//! ```
//!
//! A session knows what it watches and what it writes; when to end is told by a [`Control`], because a
//! process of others ends the recording where it ends or somebody asks, and a program of our own is also
//! sent signals. What it prints while it records goes to standard error.

use crate::cli::options::Outputs;
use crate::heap::Heap;
use crate::lens::Lens;
use crate::names::{self, Search};
use crate::naming::default_file;
use crate::output::{self, Show};
use crate::progress::{self, Progress};
use crate::secrets;
use memtide_analyzer::Suppressions;
use memtide_model::{Bytes, Event, EventKind, Nanos, Redactor, Sample, Target, Tick, Visibility};
use memtide_record::{Clock, Reader, Start, Writer};
use memtide_report::{live, preview, terminal};
use memtide_sampler::{Outcome, Sampler, Schedule, clock};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

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
    pub(crate) every: Nanos,
    pub(crate) output: Option<&'a Path>,
    pub(crate) outputs: &'a Outputs,
    pub(crate) stage: Stage,
}

/// What is done with a recording after its end.
#[derive(Default)]
pub(crate) struct Analysis {
    /// Call stacks that are accepted.
    pub(crate) suppressions: Suppressions,
    /// Where debug files are looked for, beside the usual places.
    pub(crate) debug_dirs: Vec<PathBuf>,
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
    /// The program that replaced the one before, until somebody asks.
    replaced_by: Option<String>,
    writer: Writer,
    file: PathBuf,
    progress: Progress,
    redactor: Option<Redactor>,
    stage: Stage,
    every: Nanos,
    started: Nanos,
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
            every,
            output,
            outputs,
            stage,
        } = setup;
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
        let writer = Writer::create(&file, &target, &start)?;
        Ok(Self {
            lens,
            heap,
            heap_failed: None,
            heap_told: false,
            replaced_by: None,
            writer,
            file,
            progress: Progress::new(outputs.quiet, stage == Stage::Own),
            redactor,
            stage,
            every,
            started: start.clock.boottime,
            last_costs: start.clock.boottime,
            last_clocks: start.clock.boottime,
            last_live: start.clock.boottime,
        })
    }

    /// Takes ticks until the target ends or `control` says so.
    pub(crate) fn record(&mut self, control: &mut dyn Control) -> anyhow::Result<()> {
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
                Order::Ended(events) => return self.events(events),
            };
            if now < due && !ended && !last {
                continue;
            }
            let missed = schedule.taken(now);
            if missed > 0 {
                self.gap(now, missed)?;
            }
            if !self.tick()? || last {
                return Ok(());
            }
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
        self.store_heap()?;
        if previews {
            self.preview(&tick.sample, memtide_analyzer::noise(&probes));
        }
        Ok(Some(tick.sample.at))
    }

    fn preview(&mut self, sample: &Sample, noise: Bytes) {
        let detectable: Vec<(f64, f64)> =
            memtide_analyzer::detectable(sample.memory.rss, noise, self.every)
                .into_iter()
                .map(|(rate, after)| (rate, after.as_secs_f64()))
                .collect();
        let style = terminal::Options {
            width: progress::width(rustix::stdio::stderr()),
            color: false,
            explain: false,
        };
        let target = self.shown_target();
        let text = preview::render(&target, sample, noise, &detectable, &style);
        self.say(text.trim_end());
        self.say(&format!("recording to {}", self.file.display()));
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

    /// The program by which the target has replaced itself since the last call.
    pub(crate) fn take_replaced_by(&mut self) -> Option<String> {
        self.replaced_by.take()
    }

    /// Says something on standard error, unless nothing is to be said.
    pub(crate) fn say(&mut self, text: &str) {
        self.progress.say(text);
    }

    /// Says that no hello came, where the program has ended without and nobody has said so.
    fn missed_hello(&mut self) -> anyhow::Result<()> {
        let is_missed = match &mut self.heap {
            Some(heap) => !heap.is_there().unwrap_or(true),
            None => false,
        };
        if is_missed && !std::mem::replace(&mut self.heap_told, true) {
            self.not_recorded("the program ended before the shim said hello")?;
        }
        Ok(())
    }

    /// Says loudly, and in the report, that call stacks are not recorded.
    pub(crate) fn not_recorded(&mut self, why: &str) -> anyhow::Result<()> {
        progress::warn(&format!("not recorded: {why}; watching from outside only"));
        self.heap_told = true;
        self.lens.add_unseen(not_recorded(why));
        let target = self.shown_target();
        self.writer.retarget(&target, clock::boottime())?;
        Ok(())
    }

    /// One tick of all lenses; false once the target has ended, its last events written.
    fn tick(&mut self) -> anyhow::Result<bool> {
        self.collect();
        let sampled = self.sample()?;
        if let Some(tick) = &sampled {
            self.write(tick)?;
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
        if let Some(error) = self.heap_failed.take() {
            if !std::mem::replace(&mut self.heap_told, true) {
                self.not_recorded(&format!("{error:#}"))?;
            }
        }
        Ok(())
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
                self.events(events)?;
                Ok(None)
            }
        }
    }

    fn write(&mut self, tick: &Tick) -> anyhow::Result<()> {
        for event in &tick.events {
            self.progress.say(&event.text);
        }
        self.writer.tick(tick)?;
        if replaced(tick) {
            self.replaced_by = Some(self.lens.target().exe);
            let target = self.shown_target();
            self.writer.retarget(&target, tick.sample.at)?;
        }
        Ok(())
    }

    fn events(&mut self, events: Vec<Event>) -> anyhow::Result<()> {
        for event in events {
            // It is our own child: a zombie until we have read its end, and then no more.
            if self.stage == Stage::Own || event.kind != EventKind::Zombie {
                self.event(event)?;
            }
        }
        Ok(())
    }

    fn event(&mut self, mut event: Event) -> anyhow::Result<()> {
        if let Some(redactor) = &mut self.redactor {
            redactor.event(&mut event);
        }
        if self.stage == Stage::Own {
            self.progress.say(&event.text);
        }
        self.writer.event(&event)?;
        Ok(())
    }

    /// Stores what happened now.
    pub(crate) fn note(&mut self, kind: EventKind, text: String) -> anyhow::Result<()> {
        let event = Event {
            at: clock::boottime(),
            kind,
            pid: self.lens.pid(),
            text,
            value: None,
        };
        self.event(event)
    }

    fn gap(&mut self, at: Nanos, missed: u64) -> anyhow::Result<()> {
        let event = Event {
            at,
            kind: EventKind::Gap,
            pid: self.lens.pid(),
            text: format!("{} missed", memtide_model::text::plural(missed, "tick")),
            value: i64::try_from(missed).ok(),
        };
        self.writer.event(&event)?;
        Ok(())
    }

    fn housekeeping(&mut self, at: Nanos) -> anyhow::Result<()> {
        if at - self.last_costs >= COSTS_EVERY {
            self.last_costs = at;
            self.writer
                .costs(&self.lens.costs(), clock::process_cpu())?;
        }
        if at - self.last_clocks >= CLOCKS_EVERY {
            self.last_clocks = at;
            self.writer.clock(now())?;
        }
        // A line that cannot be drawn now is no reason to end a recording.
        let _ = self.show(at);
        Ok(())
    }

    /// The live line, where one is due and somebody looks.
    fn show(&mut self, now: Nanos) -> anyhow::Result<()> {
        let elapsed = (now - self.started).as_secs_f64();
        let since = (now - self.last_live).as_secs_f64();
        let due = since >= LIVE_EVERY.as_secs_f64() && since >= elapsed * (1.0 - 1.0 / LIVE_GROWTH);
        if due && self.progress.wants_line(now) {
            self.last_live = now;
            let observations = Reader::open(&self.file)?.observations(SAMPLES_FOR_VERDICT)?;
            let findings = memtide_analyzer::analyze(&observations);
            let line = live::line(&findings, progress::width(rustix::stdio::stderr()));
            self.progress.line(now, &line);
        }
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

    /// Closes the file and reports on what it holds. A failure while recording is told after the
    /// report: what was recorded before it is still worth reading.
    pub(crate) fn finish(
        mut self,
        outputs: &Outputs,
        analysis: &Analysis,
        failure: Option<anyhow::Error>,
    ) -> anyhow::Result<()> {
        self.progress.clear();
        self.collect();
        let stored = self.store_heap().and_then(|()| self.missed_hello());
        let Self {
            lens,
            heap,
            mut writer,
            file,
            mut progress,
            mut redactor,
            stage,
            ..
        } = self;
        let closed = stored.and_then(|()| {
            writer.costs(&lens.costs(), clock::process_cpu())?;
            Ok(writer.finish()?)
        });
        let failure = failure.or(closed.err());
        if let Some(modules) = heap.and_then(Heap::modules) {
            let search = Search {
                modules: Some(&modules),
                debug_dirs: &analysis.debug_dirs,
                process: None,
            };
            if let Err(error) = names::add(&file, search, redactor.as_mut()) {
                progress::warn(&format!("call stacks have no names: {error:#}"));
            }
        }
        let mut observations = Reader::open(&file)?.observations(SAMPLES_FOR_VERDICT)?;
        if let Some(redactor) = &mut redactor {
            // What was recorded is clean; the recording's own path is not in it.
            redactor.observations(&mut observations);
        }
        let findings = memtide_analyzer::analyze_with(&observations, &analysis.suppressions);
        let show = match stage {
            Stage::Own => Show::Result,
            Stage::Shared => Show::Aside,
        };
        let written = output::write(&findings, outputs, false, show);
        if let Some(failure) = failure {
            return Err(failure.context(format!(
                "the recording ended early; {} holds what came before",
                file.display()
            )));
        }
        for path in written? {
            progress.say(&format!("wrote {}", path.display()));
        }
        Ok(())
    }
}

/// The same as a line of the report.
pub(crate) fn not_recorded(why: &str) -> Visibility {
    Visibility {
        what: "who allocates, which was asked for with --heap".to_owned(),
        why: why.to_owned(),
        remedy: String::new(),
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
