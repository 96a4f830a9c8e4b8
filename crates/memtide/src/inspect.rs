//! `memtide inspect`: what the heap of a running process holds, now or at two moments.
//!
//! Nothing is recorded. What the sampler and the heap lens see is put together as a recording would give
//! it back, so the ledger and the report are those of every other command.

use crate::attach::find;
use crate::cli::options::Inspect;
use crate::exit::Code;
use crate::output::{self, Show};
use crate::progress::{self, Progress};
use crate::secrets;
use crate::signals::Stop;
use anyhow::bail;
use memtide_inspect::{ErrorKind, Inspector, Options};
use memtide_model::{HeapObservations, HeapSnapshot, Nanos, Observations, Pid, Recording, Sample};
use memtide_sampler::{Outcome, Sampler, clock};
use std::time::Duration;

/// A target that is held goes on after this, whatever happens.
const WATCHDOG: Duration = Duration::from_millis(500);
/// Samples between the two looks, for the ledger's course.
const SAMPLES: u64 = 60;
const SHORTEST: Nanos = Nanos(Nanos::SECOND.0 / 10);

/// Looks once, or twice with the interval between, and reports.
pub(crate) fn run(options: &Inspect) -> anyhow::Result<Code> {
    output::check(&options.outputs)?;
    let stop = Stop::install()?;
    let pid = find(&options.who)?;
    let mut progress = Progress::new(options.outputs.quiet, true);
    if options.stop {
        progress::warn(&format!(
            "holding process {pid} for up to {} ms; system calls of its may return EINTR",
            WATCHDOG.as_millis()
        ));
    }
    let mut looks = Looks::open(pid, options.stop)?;
    looks.look()?;
    if let Some(interval) = options.interval {
        progress.say(&format!(
            "looked once; again in {}, or with Ctrl-C",
            memtide_model::text::duration(interval.as_secs_f64())
        ));
        looks.wait(interval, &stop)?;
        looks.look()?;
    }
    let mut observations = looks.observations();
    if options.outputs.redact {
        secrets::redactor().observations(&mut observations);
    }
    let findings = memtide_analyzer::analyze_looks(&observations);
    for path in output::write(&findings, &options.outputs, false, Show::Heap)? {
        progress.say(&format!("wrote {}", path.display()));
    }
    Ok(Code::Done)
}

/// Samples and snapshots of one process.
struct Looks {
    pid: Pid,
    sampler: Sampler,
    inspector: Inspector,
    how: Options,
    started: Nanos,
    started_wall: i64,
    samples: Vec<Sample>,
    snapshots: Vec<HeapSnapshot>,
}

impl Looks {
    fn open(pid: Pid, stop: bool) -> anyhow::Result<Self> {
        let sampler = Sampler::open(pid, &memtide_sampler::Options::default())?;
        Ok(Self {
            pid,
            sampler,
            inspector: Inspector::open(pid)?,
            how: Options {
                hold: stop.then_some(WATCHDOG),
                classes: true,
            },
            started: clock::boottime(),
            started_wall: clock::realtime(),
            samples: Vec::new(),
            snapshots: Vec::new(),
        })
    }

    /// A sample and a snapshot.
    fn look(&mut self) -> anyhow::Result<()> {
        self.sample()?;
        match self.inspector.snapshot(&self.how) {
            Ok(snapshot) => self.snapshots.push(snapshot),
            Err(error) if error.kind() == ErrorKind::NoHeap => {
                let target = self.sampler.target();
                let (allocator, runtime) = (&target.allocator, &target.runtime);
                bail!(
                    "{error} (allocator: {allocator}, runtime: {runtime}); `memtide attach {}` \
                     still says whether it grows",
                    self.pid
                );
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn sample(&mut self) -> anyhow::Result<()> {
        match self.sampler.tick()? {
            Outcome::Tick(tick) => self.samples.push(tick.sample),
            Outcome::Ended(_) => bail!("process {} has ended", self.pid),
        }
        Ok(())
    }

    /// Waits for the second look, taking samples; a signal cuts it short.
    fn wait(&mut self, interval: Nanos, stop: &Stop) -> anyhow::Result<()> {
        let until = clock::boottime() + interval;
        let between = Nanos(interval.0 / SAMPLES).max(SHORTEST);
        loop {
            let left = until - clock::boottime();
            let ended = stop.sleep(left.min(between), self.sampler.end_of_target())?;
            if ended {
                bail!("process {} ended before the second look", self.pid);
            }
            if stop.asked().is_some() || clock::boottime() >= until {
                return Ok(());
            }
            self.sample()?;
        }
    }

    /// As a recording would give it back.
    fn observations(self) -> Observations {
        let ended = clock::boottime();
        let recording = Recording {
            started_wall: self.started_wall,
            started: self.started,
            ended,
            complete: true,
            samples: self.samples.len() as u64,
            interval: SHORTEST,
            lenses: vec!["sampler".to_owned(), "inspect".to_owned()],
            cost_cpu: clock::process_cpu(),
            reads: self.sampler.costs(),
            page_size: clock::page_size(),
            ticks_per_second: clock::ticks_per_second(),
            ..Recording::default()
        };
        let target = self.sampler.target().clone();
        Observations {
            heap: Some(HeapObservations {
                snapshots: self.snapshots,
                unavailable: None,
            }),
            ..Observations::of_samples(target, recording, self.samples)
        }
    }
}
