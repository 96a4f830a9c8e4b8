//! `memtide attach`: sampler → recording → ledger → trend → verdict → report, with progress.

use crate::cli::options::{Attach, Who};
use crate::exit::Code;
use crate::output;
use crate::progress::{self, Progress};
use crate::secrets;
use crate::signals::Stop;
use anyhow::bail;
use memtide_model::{Bytes, Event, EventKind, Nanos, Pid, Redactor, Sample, Target, Tick};
use memtide_record::{Clock, Reader, Start, Writer};
use memtide_report::{live, preview, terminal};
use memtide_sampler::{Outcome, Sampler, Schedule, clock, matching};
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

/// Watches a process and gives the verdict.
pub(crate) fn run(options: &Attach) -> anyhow::Result<Code> {
    let stop = Stop::install()?;
    watch(options, &stop)
}

/// As [`run`], for a caller that has taken over the signals already.
pub(crate) fn watch(options: &Attach, stop: &Stop) -> anyhow::Result<Code> {
    output::check(&options.outputs)?;
    let pid = find(&options.who)?;
    let mut session = Session::open(pid, options)?;
    let failure = session.record(options, stop).err();
    session.finish(options, failure)
}

/// The pid that was given, or the one process whose command line matches.
fn find(who: &Who) -> anyhow::Result<Pid> {
    let pattern = match who {
        Who::Pid(pid) => return Ok(*pid),
        Who::Name(pattern) => pattern,
    };
    let found = matching(Path::new("/proc"), |cmdline| pattern.is_match(cmdline))?;
    match found.as_slice() {
        [] => bail!(
            "no process has a command line that matches {:?}",
            pattern.as_str()
        ),
        [one] => Ok(one.pid),
        many => {
            let list: Vec<String> = many
                .iter()
                .take(8)
                .map(|p| format!("{} ({})", p.pid, p.name))
                .collect();
            bail!(
                "{} processes match {:?}: {}; give one of these pids, or a narrower pattern",
                many.len(),
                pattern.as_str(),
                list.join(", ")
            )
        }
    }
}

/// A recording under way.
struct Session {
    sampler: Sampler,
    writer: Writer,
    file: PathBuf,
    progress: Progress,
    redactor: Option<Redactor>,
    started: Nanos,
    last_costs: Nanos,
    last_clocks: Nanos,
    last_live: Nanos,
}

impl Session {
    fn open(pid: Pid, options: &Attach) -> anyhow::Result<Self> {
        let sampler_options = memtide_sampler::Options {
            budget: options.budget,
            ..memtide_sampler::Options::default()
        };
        let sampler = Sampler::open(pid, &sampler_options)?;
        let mut redactor = options.outputs.redact.then(secrets::redactor);
        let mut target = sampler.target().clone();
        if let Some(redactor) = &mut redactor {
            redactor.target(&mut target);
        }
        let file = match &options.output {
            Some(path) => path.clone(),
            None => default_file(&target.name, pid),
        };
        let start = Start {
            clock: now(),
            interval: options.every,
            page_size: clock::page_size(),
            ticks_per_second: clock::ticks_per_second(),
            lenses: vec!["sampler".to_owned()],
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let writer = Writer::create(&file, &target, &start)?;
        Ok(Self {
            sampler,
            writer,
            file,
            progress: Progress::new(options.outputs.quiet),
            redactor,
            started: start.clock.boottime,
            last_costs: start.clock.boottime,
            last_clocks: start.clock.boottime,
            last_live: start.clock.boottime,
        })
    }

    /// Takes ticks until the time is up, the target ends, or somebody asks to stop.
    fn record(&mut self, options: &Attach, stop: &Stop) -> anyhow::Result<()> {
        let Some(first) = self.first_tick(options)? else {
            return Ok(());
        };
        let end = options.duration.map(|span| self.started + span);
        let mut schedule = Schedule::new(first + options.every, options.every);
        loop {
            let wake = end.map_or(schedule.next(), |end| schedule.next().min(end));
            self.wait_until(wake, stop)?;
            if let Some(signal) = stop.asked() {
                return self.stopped_by(signal);
            }
            let now = clock::boottime();
            let missed = schedule.taken(now);
            if missed > 0 {
                self.gap(now, missed)?;
            }
            let Some(tick) = self.tick()? else {
                return Ok(());
            };
            self.write(&tick)?;
            if end.is_some_and(|end| now >= end) {
                return Ok(());
            }
            self.housekeeping(now)?;
        }
    }

    /// Takes the first tick and, before any waiting, says what it shows. `None` where the target ended.
    fn first_tick(&mut self, options: &Attach) -> anyhow::Result<Option<Nanos>> {
        let quiet = options.outputs.quiet;
        let probes = if quiet {
            Vec::new()
        } else {
            self.sampler.probe()
        };
        let Some(tick) = self.tick()? else {
            return Ok(None);
        };
        self.write(&tick)?;
        if !quiet {
            self.preview(
                &tick.sample,
                memtide_analyzer::noise(&probes),
                options.every,
            );
        }
        Ok(Some(tick.sample.at))
    }

    fn preview(&mut self, sample: &Sample, noise: Bytes, every: Nanos) {
        let detectable: Vec<(f64, f64)> =
            memtide_analyzer::detectable(sample.memory.rss, noise, every)
                .into_iter()
                .map(|(rate, after)| (rate, after.as_secs_f64()))
                .collect();
        let style = terminal::Options {
            width: progress::width(rustix::stdio::stderr()),
            color: false,
            explain: false,
        };
        let target = self.target();
        let text = preview::render(&target, sample, noise, &detectable, &style);
        self.progress.say(text.trim_end());
        self.progress
            .say(&format!("recording to {}", self.file.display()));
    }

    /// The target as it may be shown and stored.
    fn target(&mut self) -> Target {
        let mut target = self.sampler.target().clone();
        if let Some(redactor) = &mut self.redactor {
            redactor.target(&mut target);
        }
        target
    }

    /// One tick; `None` once the target has ended, its last events written.
    fn tick(&mut self) -> anyhow::Result<Option<Tick>> {
        match self.sampler.tick()? {
            Outcome::Tick(mut tick) => {
                if self.redactor.is_some() && replaced(&tick) {
                    // The new program's secrets must be known before the event that names it.
                    self.target();
                }
                if let Some(redactor) = &mut self.redactor {
                    redactor.tick(&mut tick);
                }
                Ok(Some(*tick))
            }
            Outcome::Ended(events) => {
                for event in events {
                    self.event(event)?;
                }
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
            let target = self.target();
            self.writer.retarget(&target, tick.sample.at)?;
        }
        Ok(())
    }

    fn event(&mut self, mut event: Event) -> anyhow::Result<()> {
        if let Some(redactor) = &mut self.redactor {
            redactor.event(&mut event);
        }
        self.progress.say(&event.text);
        self.writer.event(&event)?;
        Ok(())
    }

    fn gap(&mut self, at: Nanos, missed: u64) -> anyhow::Result<()> {
        let event = Event {
            at,
            kind: EventKind::Gap,
            pid: self.sampler.target().id.pid,
            text: format!("{} missed", memtide_model::text::plural(missed, "tick")),
            value: i64::try_from(missed).ok(),
        };
        self.writer.event(&event)?;
        Ok(())
    }

    fn stopped_by(&mut self, signal: &str) -> anyhow::Result<()> {
        let event = Event {
            at: clock::boottime(),
            kind: EventKind::Recorder,
            pid: self.sampler.target().id.pid,
            text: format!("recording ended by {signal}"),
            value: None,
        };
        self.event(event)
    }

    fn housekeeping(&mut self, at: Nanos) -> anyhow::Result<()> {
        if at - self.last_costs >= COSTS_EVERY {
            self.last_costs = at;
            self.writer
                .costs(&self.sampler.costs(), clock::process_cpu())?;
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

    /// Sleeps, but not through the target's end or a signal.
    fn wait_until(&self, wake: Nanos, stop: &Stop) -> anyhow::Result<()> {
        let now = clock::boottime();
        if wake > now {
            stop.sleep(wake - now, self.sampler.end_of_target())?;
        }
        Ok(())
    }

    /// Closes the file and reports on what it holds. A failure while recording is told after the
    /// report: what was recorded before it is still worth reading.
    fn finish(mut self, options: &Attach, failure: Option<anyhow::Error>) -> anyhow::Result<Code> {
        self.progress.clear();
        let closed = self
            .writer
            .costs(&self.sampler.costs(), clock::process_cpu())
            .and_then(|()| self.writer.finish());
        let failure = failure.or(closed.err().map(anyhow::Error::new));
        let mut observations = Reader::open(&self.file)?.observations(SAMPLES_FOR_VERDICT)?;
        if let Some(redactor) = &mut self.redactor {
            // What was recorded is clean; the recording's own path is not in it.
            redactor.observations(&mut observations);
        }
        let findings = memtide_analyzer::analyze(&observations);
        let written = output::write(&findings, &options.outputs, false);
        if let Some(failure) = failure {
            return Err(failure.context(format!(
                "the recording ended early; {} holds what came before",
                self.file.display()
            )));
        }
        for path in written? {
            self.progress.say(&format!("wrote {}", path.display()));
        }
        Ok(Code::Done)
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

/// `worker-4182-20261121-093000.memtide` in the working directory.
fn default_file(name: &str, pid: Pid) -> PathBuf {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' || c == '_' {
                c
            } else {
                '-'
            }
        })
        .take(32)
        .collect();
    let plain = plain.trim_matches(|c| c == '-' || c == '.');
    let plain = if plain.is_empty() { "process" } else { plain };
    PathBuf::from(format!("{plain}-{pid}-{}.memtide", stamp()))
}

/// The wall clock as it goes into file names.
pub(crate) fn stamp() -> String {
    jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string()
}
