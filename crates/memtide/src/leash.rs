//! The program that `run` has started: its end, the signals to it, its hello.

use crate::cli::options::Limit;
use crate::exit::Code;
use crate::heap::Greeting;
use crate::kin::Kin;
use crate::session::{Control, Order, Session};
use crate::signals::{Passed, Relay};
use memtide_launch::{Ending, Launched};
use memtide_model::{Event, EventKind, Nanos, Pid};
use memtide_sampler::clock;
use rustix::process::Signal;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// How long a program may take to end after a signal that asks it to.
const GRACE: Nanos = Nanos::from_secs(5);
/// The shim says hello before `main`; a program that loads a thousand libraries takes a moment.
const HELLO_LIMIT: Nanos = Nanos::from_secs(2);
/// Who was killed ends in so long, unless the kernel is stuck with it.
const KILLED_WITHIN: Nanos = Nanos::from_secs(10);
/// Orphans that have ended are collected so often.
const COLLECT_EVERY: Nanos = Nanos::SECOND;
/// How often an end is looked for that no descriptor tells of.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often it is looked whether those are gone who were asked to end.
const AWAIT_EVERY: Nanos = Nanos(20_000_000);

/// A program of ours, until it has ended or is let go.
pub(crate) struct Leash {
    launched: Launched,
    kin: Kin,
    relay: Relay,
    ending: Option<Ending>,
    /// When it is asked to end.
    end: Option<Nanos>,
    /// Until when it may run after it was asked, or killed.
    grace: Option<Nanos>,
    /// When orphans were last collected.
    collected: Nanos,
    /// Until when a hello is waited for; `None` once it came, or was missed.
    hello_by: Option<Nanos>,
    /// Whether nobody else tells of its end.
    is_unseen: bool,
    timed_out: bool,
    passed: Option<Passed>,
    let_go: bool,
}

impl Leash {
    /// Of a program that was just started.
    pub(crate) fn new(launched: Launched, relay: Relay, limit: Limit) -> Self {
        let now = clock::boottime();
        Self {
            kin: Kin::of(launched.pid(), limit.kill_after),
            launched,
            relay,
            ending: None,
            end: limit.after.map(|span| now + span),
            grace: None,
            collected: now,
            hello_by: Some(now + HELLO_LIMIT),
            is_unseen: false,
            timed_out: false,
            passed: None,
            let_go: false,
        }
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> u32 {
        self.launched.pid()
    }

    /// Nobody samples it: its end is looked for here.
    pub(crate) fn watch_end(&mut self) {
        self.is_unseen = true;
    }

    /// What memtide ends with.
    pub(crate) fn code(&self) -> Code {
        match self.ending {
            _ if self.timed_out => Code::TimedOut,
            Some(ending) => Code::Program(ending.exit_code()),
            // It was asked to end, did not, and runs on: the signal ended memtide alone.
            None => self.passed.map_or(Code::Failed, Passed::code),
        }
    }

    /// Waits until it has ended, or the time for that is over; signals are passed on as before.
    pub(crate) fn see_off(&mut self) -> anyhow::Result<()> {
        while !self.let_go && !self.look(LOOK_EVERY)? {
            let now = clock::boottime();
            if let Some(asked) = self.ask(now) {
                self.let_go = asked == Asked::InVain;
            }
        }
        Ok(())
    }

    /// Whether it has ended, at the latest after `limit`.
    fn look(&mut self, limit: Duration) -> anyhow::Result<bool> {
        if self.ending.is_none() {
            self.ending = self.launched.wait_for(limit)?;
        }
        Ok(self.ending.is_some())
    }

    /// Asks it to end where that is due; kills it where that was asked for and the time is over.
    fn ask(&mut self, now: Nanos) -> Option<Asked> {
        let passed = self.relay.taken();
        if self
            .grace
            .is_some_and(|grace| now >= grace || passed.is_some())
        {
            return Some(self.insist(now));
        }
        let is_up = self.grace.is_none() && self.end.is_some_and(|end| now >= end);
        (passed.is_some() || is_up).then(|| Asked::ToEnd(self.ask_now(now, passed)))
    }

    /// Asks it to end, because of a signal or because its time is up, and says whom.
    fn ask_now(&mut self, now: Nanos, passed: Option<Passed>) -> String {
        let signal = passed.map_or(Signal::TERM, Passed::signal);
        let grace = self.kin.kill_after().unwrap_or(GRACE);
        let whom = if self.kin.kill_after().is_some() {
            self.kin.ask(signal, passed.and_then(Passed::has_reached))
        } else {
            self.launched.signal(signal);
            "the program".to_owned()
        };
        self.grace = Some(now + grace);
        self.end = None;
        self.timed_out = passed.is_none();
        self.passed = passed;
        match passed {
            Some(passed) => format!("{} was passed on to {whom}", passed.name()),
            None => format!("time is up: SIGTERM was sent to {whom}"),
        }
    }

    /// It was asked and has not ended.
    fn insist(&mut self, now: Nanos) -> Asked {
        if self.kin.kill_after().is_none() || self.kin.is_killed() {
            return Asked::InVain;
        }
        self.grace = Some(now + KILLED_WITHIN);
        Asked::ToEnd(self.kin.kill().unwrap_or_default())
    }

    /// After its end, or when it is let go: who was left, who did not end when asked. Those who were asked
    /// are killed when their time is over, or at a second signal.
    pub(crate) fn aftermath(&mut self) -> anyhow::Result<Vec<String>> {
        if self.let_go && !self.kin.is_killed() {
            return Ok(Vec::new());
        }
        let mut said = Vec::new();
        if !self.let_go {
            said.extend(self.ask_who_is_left());
            said.extend(self.await_asked()?);
        }
        said.extend(self.kin.aftermath());
        Ok(said)
    }

    /// A signal may have ended the program before it was passed on to all others.
    fn ask_who_is_left(&mut self) -> Option<String> {
        let asks_all = self.kin.kill_after().is_some() && self.grace.is_none();
        let passed = self.relay.taken().filter(|_| asks_all)?;
        let text = self.ask_now(clock::boottime(), Some(passed));
        self.kin.is_awaited().then_some(text)
    }

    /// Waits for those who were asked, and kills who is left.
    fn await_asked(&mut self) -> anyhow::Result<Option<String>> {
        let until = self.grace.unwrap_or_default();
        while self.kin.is_awaited() {
            let now = clock::boottime();
            if now >= until || self.relay.taken().is_some() {
                return Ok(self.kin.kill());
            }
            self.relay.sleep(AWAIT_EVERY.min(until - now), None)?;
        }
        Ok(None)
    }

    /// Collects the orphans that have ended.
    fn collect(&mut self, now: Nanos, session: &mut Session) -> anyhow::Result<()> {
        if now - self.collected < COLLECT_EVERY {
            return Ok(());
        }
        self.collected = now;
        let told = self.kin.collect();
        told.into_iter()
            .try_for_each(|text| session.note(EventKind::Exit, text))
    }

    /// Waits for the hello of the program, and of each that replaces it.
    fn heed_hello(&mut self, now: Nanos, session: &mut Session) -> anyhow::Result<()> {
        if session.take_replaced() {
            self.hello_by = Some(now + HELLO_LIMIT);
        }
        let Some(by) = self.hello_by else {
            return Ok(());
        };
        let exe = session.exe();
        let why = match session.heap().map(|heap| heap.greeting(&exe)) {
            Some(Greeting::Silence) if now < by => return Ok(()),
            Some(Greeting::Silence) => format!(
                "{} did not say hello within 2 seconds: it is static, drops LD_PRELOAD, closes its \
                 descriptors, or is confined",
                if exe.is_empty() { "the program" } else { &exe }
            ),
            Some(Greeting::Refused(why)) => why.to_owned(),
            Some(Greeting::Hello) | None => {
                self.hello_by = None;
                return Ok(());
            }
        };
        self.hello_by = None;
        session.not_recorded(&why)
    }

    fn exit_event(&self, ending: Ending) -> Event {
        let pid = Pid(self.pid());
        let text = match ending.signal() {
            Some(signal) => format!("pid {pid} was ended by signal {signal}"),
            None => format!("pid {pid} ended with exit code {}", ending.exit_code()),
        };
        Event {
            at: clock::boottime(),
            kind: EventKind::Exit,
            pid,
            text,
            value: Some(i64::from(ending.wait_status())),
        }
    }
}

/// What came of asking it to end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// It was, or was killed: a sentence says whom and why.
    ToEnd(String),
    /// It was asked before and has not ended.
    InVain,
}

impl Control for Leash {
    fn wake_by(&self) -> Option<Nanos> {
        [self.end, self.grace, self.hello_by]
            .into_iter()
            .flatten()
            .min()
    }

    fn sleep(&self, span: Nanos, end: Option<BorrowedFd<'_>>) -> anyhow::Result<bool> {
        let own = self.launched.end().filter(|_| self.is_unseen);
        self.relay.sleep(span, end.or(own))
    }

    fn heed(&mut self, now: Nanos, session: &mut Session) -> anyhow::Result<Order> {
        self.heed_hello(now, session)?;
        self.collect(now, session)?;
        // Whoever samples it sees its end first: it must not be reaped before.
        if self.is_unseen && self.look(Duration::ZERO)? {
            let event = self.ending.map(|ending| self.exit_event(ending));
            return Ok(Order::Ended(event.into_iter().collect()));
        }
        match self.ask(now) {
            Some(Asked::InVain) => {
                self.let_go = true;
                let why = "recording ended; the program was asked to end and runs on";
                return Ok(Order::End(why.to_owned()));
            }
            Some(Asked::ToEnd(text)) => session.note(EventKind::Recorder, text)?,
            None => {}
        }
        Ok(Order::GoOn)
    }
}
