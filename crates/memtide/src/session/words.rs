//! What a session says while it records: to whoever watches, and as events to the recording.

use super::{LIVE_EVERY, LIVE_GROWTH, SAMPLES_FOR_VERDICT, Session, Stage};
use crate::progress;
use memtide_model::{Bytes, Event, EventKind, Nanos, Sample, Visibility};
use memtide_record::Reader;
use memtide_report::{live, preview, terminal};
use memtide_sampler::clock;

impl Session {
    pub(super) fn preview(&mut self, sample: &Sample, noise: Bytes) {
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

    /// Says something on standard error, unless nothing is to be said.
    pub(crate) fn say(&mut self, text: &str) {
        self.progress.say(text);
    }

    /// Says loudly, and in the report, that call stacks are not recorded.
    pub(crate) fn not_recorded(&mut self, why: &str) -> anyhow::Result<()> {
        progress::warn(&format!("not recorded: {why}; watching from outside only"));
        self.heap_told = true;
        self.add_unseen(not_recorded(why))
    }

    /// Says loudly, and in the report, what cannot be seen from now on.
    pub(super) fn has_lost(&mut self, unseen: Visibility) -> anyhow::Result<()> {
        let Visibility { what, why, remedy } = &unseen;
        progress::warn(&format!("not seen from now on: {what}: {why}; {remedy}"));
        self.add_unseen(unseen)
    }

    fn add_unseen(&mut self, unseen: Visibility) -> anyhow::Result<()> {
        self.lens.add_unseen(unseen);
        let target = self.shown_target();
        self.writer.retarget(&target, clock::boottime())?;
        Ok(())
    }

    /// Stores the events of the target's end, and what the kernel says about it.
    pub(super) fn events(&mut self, events: &[Event]) -> anyhow::Result<()> {
        for event in events {
            // It is our own child: a zombie until we have read its end, and then no more.
            if self.stage == Stage::Own || event.kind != EventKind::Zombie {
                self.event(event.clone())?;
            }
        }
        self.kernels_word(events)
    }

    pub(super) fn event(&mut self, mut event: Event) -> anyhow::Result<()> {
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

    pub(super) fn gap(&mut self, at: Nanos, missed: u64) -> anyhow::Result<()> {
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

    /// The live line, where one is due and somebody looks.
    pub(super) fn show(&mut self, now: Nanos) -> anyhow::Result<()> {
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
}

/// The same as a line of the report.
pub(crate) fn not_recorded(why: &str) -> Visibility {
    Visibility {
        what: "who allocates, which was asked for with --heap".to_owned(),
        why: why.to_owned(),
        remedy: String::new(),
    }
}
