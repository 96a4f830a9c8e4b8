//! The course of one run: up, ready, under load, settled, stopped.
//!
//! It decides when the recording ends and then ends the program, its whole process group with it: with the
//! signal that was asked for, and with SIGKILL where that does nothing. Nothing of it outlives the run.

use super::trial::Setting;
use crate::session::{Control, Order, Session};
use memtide_analyzer::comparison::{Phases, Used};
use memtide_launch::allocator::{self, Bound, Found};
use memtide_launch::service::{Load, LoadEnd, Ready};
use memtide_launch::{Ending, ErrorKind, Launched};
use memtide_model::text;
use memtide_model::{EventKind, Nanos};
use memtide_sampler::clock;
use rustix::process::Signal;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// The allocator must be known so long after the start: until then wrappers may still replace themselves.
const BOUND_BY: Nanos = Nanos::from_secs(3);
/// How often it is looked whether something has come about.
const LOOK_EVERY: Nanos = Nanos(50_000_000);

/// Where a run stands.
enum Phase {
    /// It is not ready yet.
    Starting,
    /// It works: until then, where that is known.
    Working(Option<Nanos>),
    /// The work is done, and what is given back shows.
    Settling(Nanos),
}

/// A run under way.
pub(super) struct Course<'a> {
    setting: &'a Setting<'a>,
    found: &'a Found,
    launched: Launched,
    started: Nanos,
    phase: Phase,
    ready: Option<Nanos>,
    work_ended: Option<Nanos>,
    load: Option<Load>,
    load_end: Option<LoadEnd>,
    /// Whether it was ended because the time of the work was over: how it ends then is no failure.
    load_cut: bool,
    bound: Option<Bound>,
    /// What it was found to run on in place of what was wanted, at the last look.
    unbound: Option<String>,
    failed: Option<String>,
    ending: Option<Ending>,
}

/// How a run ended.
pub(super) struct End {
    pub(super) phases: Phases,
    pub(super) used: Used,
    pub(super) failed: Option<String>,
    /// Whether it ended before anybody asked it to.
    pub(super) by_itself: bool,
    pub(super) killed: bool,
    pub(super) load_exit: Option<i32>,
    pub(super) load_output: Option<Vec<u8>>,
    /// Whether the load was ended by `--for`, before it was through.
    pub(super) load_cut: bool,
    /// The allocator that it was bound to, with what else was found in its files.
    pub(super) bound: Option<Bound>,
}

impl<'a> Course<'a> {
    pub(super) fn new(
        launched: Launched,
        setting: &'a Setting<'a>,
        found: &'a Found,
        started: Nanos,
    ) -> Self {
        Self {
            setting,
            found,
            launched,
            started,
            phase: Phase::Starting,
            ready: None,
            work_ended: None,
            load: None,
            load_end: None,
            load_cut: false,
            bound: None,
            unbound: None,
            failed: None,
            ending: None,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.launched.pid()
    }

    /// Which allocator it really uses is asked until there is an answer.
    fn verify(&mut self, now: Nanos) {
        if self.bound.is_some() {
            return;
        }
        match allocator::bound(self.launched.pid(), self.found, self.setting.files) {
            Ok(bound) => self.bound = Some(bound),
            Err(error) => {
                if error.kind() == ErrorKind::Allocator {
                    self.unbound = Some(error.to_string());
                }
                if now - self.started > BOUND_BY {
                    self.failed = Some(format!("{:#}", anyhow::Error::new(error)));
                }
            }
        }
    }

    /// Asked once more when the work is done: a wrapper may have become another program meanwhile.
    fn verify_again(&mut self) {
        match allocator::bound(self.launched.pid(), self.found, self.setting.files) {
            Ok(bound) => self.bound = Some(bound),
            Err(error) if error.kind() == ErrorKind::Allocator => {
                self.failed = Some(error.to_string());
            }
            Err(_) => {}
        }
    }

    fn advance(&mut self, now: Nanos, session: &mut Session) -> anyhow::Result<()> {
        match self.phase {
            Phase::Starting => self.start_work(now, session),
            Phase::Working(until) => {
                let load_end = self.load.as_mut().map(Load::poll).transpose()?.flatten();
                if let Some(end) = load_end {
                    if end.exit != 0 {
                        self.failed = Some(load_failure(&end));
                    }
                    self.load_end = Some(end);
                    self.load = None;
                    self.end_work(now, session)
                } else if until.is_some_and(|until| now >= until) {
                    let now = self.cut_load(session)?.unwrap_or(now);
                    self.end_work(now, session)
                } else {
                    Ok(())
                }
            }
            Phase::Settling(_) => Ok(()),
        }
    }

    fn start_work(&mut self, now: Nanos, session: &mut Session) -> anyhow::Result<()> {
        if let Some(ready) = &self.setting.checks.ready {
            if !ready.is_ready(duration(now - self.started)) {
                return Ok(());
            }
            self.ready = Some(now);
            session.note(EventKind::Recorder, "the service is ready".to_owned())?;
        }
        let work = self.setting.work;
        if let Some(command) = &work.load {
            self.load = Some(Load::start(command)?);
            session.note(EventKind::Recorder, "the load has started".to_owned())?;
        }
        self.phase = Phase::Working(work.duration.map(|span| now + span));
        Ok(())
    }

    /// Ends a load that still runs when the time of the work is over; gives back when that was done.
    fn cut_load(&mut self, session: &mut Session) -> anyhow::Result<Option<Nanos>> {
        let Some(mut load) = self.load.take() else {
            return Ok(None);
        };
        load.stop();
        self.load_end = load.poll()?;
        self.load_cut = true;
        session.note(
            EventKind::Recorder,
            "the load was ended by --for".to_owned(),
        )?;
        Ok(Some(clock::boottime()))
    }

    /// What takes longer than it may, and how long that is; `None` while all is well.
    fn overdue(&self, now: Nanos) -> Option<String> {
        let work = self.setting.work;
        let since = now - self.started;
        let within = |limit: Nanos| text::duration(limit.as_secs_f64());
        let awaited = self.setting.checks.ready.as_ref();
        let is_awaited = awaited.is_some_and(|ready| !matches!(ready, Ready::After(_)));
        if matches!(self.phase, Phase::Starting) && is_awaited && since > work.ready_within {
            let limit = within(work.ready_within);
            Some(format!("it was not ready within {limit} (--ready-within)"))
        } else if since > work.timeout {
            let what = match (&self.phase, &self.load) {
                (Phase::Working(_), Some(_)) => "the load was",
                _ => "it was",
            };
            let limit = within(work.timeout);
            Some(format!("{what} not through within {limit} (--timeout)"))
        } else {
            None
        }
    }

    fn end_work(&mut self, now: Nanos, session: &mut Session) -> anyhow::Result<()> {
        self.verify_again();
        self.work_ended = Some(now);
        self.phase = Phase::Settling(now + self.setting.work.settle);
        session.note(EventKind::Recorder, "the work has ended".to_owned())
    }

    /// Ends whatever still runs, and says how it went.
    pub(super) fn end(mut self) -> anyhow::Result<End> {
        let load_runs = self.load.is_some();
        if let Some(mut load) = self.load.take() {
            load.stop();
        }
        let stopped = clock::boottime();
        let by_itself = self.launched.wait_with_usage(Duration::ZERO)?;
        let ended_itself = by_itself.is_some();
        let work = self.setting.work;
        let (ending, usage, killed) = if let Some((ending, usage)) = by_itself {
            (ending, usage, false)
        } else {
            let stopped = self.launched.stop(work.stop, duration(work.kill_after))?;
            (stopped.ending, stopped.usage, stopped.killed)
        };
        self.ending = Some(ending);
        let ended = if ended_itself {
            stopped
        } else {
            clock::boottime()
        };
        self.judge(ended_itself, load_runs);
        let work_end = self.work_ended.unwrap_or(stopped);
        let wall = match &self.load_end {
            Some(end) => end.seconds,
            None => (work_end - self.ready.unwrap_or(self.started)).as_secs_f64(),
        };
        Ok(End {
            phases: Phases {
                started: self.started,
                ready: self.ready,
                work_ended: self.work_ended,
                ended,
            },
            used: Used {
                cpu_seconds: usage.cpu.as_secs_f64(),
                minor_faults: usage.minor_faults,
                major_faults: usage.major_faults,
                wall_seconds: wall,
            },
            failed: self.failed.take(),
            by_itself: ended_itself,
            killed,
            load_cut: self.load_cut,
            load_exit: self.load_end.as_ref().map(|end| end.exit),
            load_output: self.load_end.take().map(|end| end.output),
            bound: self.bound.take(),
        })
    }

    /// Whether the run may be used, where nothing has failed so far.
    fn judge(&mut self, ended_itself: bool, load_runs: bool) {
        if self.failed.is_some() {
            return;
        }
        let interrupted = self.setting.stop.asked();
        let how = self
            .ending
            .map_or_else(String::new, |ending| match ending.signal() {
                Some(signal) => format!("signal {signal}"),
                None => format!("exit code {}", ending.exit_code()),
            });
        let works = matches!(self.phase, Phase::Working(_));
        self.failed = match self.phase {
            _ if interrupted.is_some() && !ended_itself => Some("it was interrupted".to_owned()),
            Phase::Starting if self.setting.checks.ready.is_some() => {
                Some(format!("it ended with {how} before it was ready"))
            }
            _ if load_runs || works && self.setting.work.load.is_some() => {
                Some(format!("it ended with {how} before the load was through"))
            }
            _ if ended_itself && self.ending.is_some_and(|ending| ending.exit_code() != 0) => {
                Some(format!("it ended with {how}"))
            }
            _ if self.bound.is_none() => {
                Some(self.unbound.take().unwrap_or_else(|| {
                    "it lived too short to see which allocator it uses".to_owned()
                }))
            }
            _ => None,
        };
    }
}

impl Drop for Course<'_> {
    /// On any way out nothing is left behind.
    fn drop(&mut self) {
        if self.ending.is_none() {
            self.launched.signal_group(Signal::KILL);
        }
    }
}

impl Control for Course<'_> {
    fn wake_by(&self) -> Option<Nanos> {
        let looks =
            self.bound.is_none() || matches!(self.phase, Phase::Starting) || self.load.is_some();
        let until = match self.phase {
            Phase::Working(until) => until,
            Phase::Settling(until) => Some(until),
            Phase::Starting => None,
        };
        let soon = looks.then(|| clock::boottime() + LOOK_EVERY);
        let timeout = Some(self.started + self.setting.work.timeout);
        [soon, until, timeout].into_iter().flatten().min()
    }

    fn sleep(&self, span: Nanos, end: Option<BorrowedFd<'_>>) -> anyhow::Result<bool> {
        self.setting.stop.sleep(span, end)
    }

    fn heed(&mut self, now: Nanos, session: &mut Session) -> anyhow::Result<Order> {
        if self.setting.stop.asked().is_some() {
            return Ok(Order::Last);
        }
        self.verify(now);
        self.advance(now, session)?;
        if self.failed.is_none() {
            self.failed = self.overdue(now);
        }
        let settled = matches!(self.phase, Phase::Settling(until) if now >= until);
        Ok(if settled || self.failed.is_some() {
            Order::Last
        } else {
            Order::GoOn
        })
    }
}

fn duration(span: Nanos) -> Duration {
    Duration::from_nanos(span.0)
}

fn load_failure(end: &LoadEnd) -> String {
    let said = last_words(&end.output);
    format!("the load failed with exit code {}{said}", end.exit)
}

/// The last line of what was printed, after a colon; empty where nothing was.
pub(super) fn last_words(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    let last = output.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(String::new, |line| {
        format!(": {}", text::printable(line.trim().as_bytes()))
    })
}
