//! The kernel's word on a target that SIGKILL has ended: its OOM record, read around the end.
//!
//! The kernel sends the signal first and writes its record then, so the end may be seen a moment before it.
//! Its numbers are those of the first pid namespace. From within another one a record is the target's if it
//! has its name, is the only one, and is as old as the end.

use super::Session;
use memtide_model::{Event, EventKind, Nanos};
use memtide_oom::{Assembler, ErrorKind, Kill, Kmsg, explain, is_first_namespace};
use memtide_sampler::clock;
use std::time::Duration;

/// SIGKILL in the low seven bits of a wait status.
const KILLED: i64 = 9;
/// How long a record is waited for.
const PATIENCE: Nanos = Nanos(300_000_000);
/// The same where the counter of its control group says that there is one, of somebody.
const LONG_PATIENCE: Nanos = Nanos(1_500_000_000);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// A record so long before the end that was seen is of another end: of the number's owner before.
const AROUND: Nanos = Nanos::from_secs(30);
/// The same where only the name tells.
const NEAR: Nanos = Nanos::from_secs(3);

/// What the kernel's log says of an end.
enum Word {
    /// Here is its record.
    Its(Box<Kill>),
    /// The whole log was read, and has no record of it.
    NotIts,
    /// It cannot be told from the log.
    Unclear,
}

impl Session {
    /// What the kernel says where these events are of an end by SIGKILL, or by nobody knows what.
    pub(super) fn kernels_word(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let pid = self.lens.pid();
        let exit = events
            .iter()
            .rfind(|event| event.pid == pid && event.kind == EventKind::Exit);
        let Some(exit) = exit else {
            return Ok(());
        };
        if exit.value.is_some_and(|status| status & 0x7f != KILLED) {
            return Ok(());
        }
        let word = |kind, text| Event {
            at: exit.at,
            kind,
            pid,
            text,
            value: None,
        };
        let group_was_hit = events.iter().any(|event| event.kind == EventKind::GroupOom);
        match self.search(exit.at, group_was_hit) {
            Ok(Word::Its(kill)) => self.event(word(EventKind::Oom, explain::sentence(&kill))),
            Ok(Word::NotIts) => {
                let text = format!("the kernel's log has no OOM kill of pid {pid}");
                self.event(word(EventKind::NotOom, text))
            }
            Err(error) if error.kind() == ErrorKind::Denied && exit.value.is_some() => self.note(
                EventKind::Access,
                format!(
                    "{error}; it would say whether the OOM killer did it: run memtide as root, or `sysctl \
                     kernel.dmesg_restrict=0`"
                ),
            ),
            Ok(Word::Unclear) | Err(_) => Ok(()),
        }
    }

    /// The record of the target's kill, if one comes. Where the counter of its group rose, only another's record denies
    /// that it was the one: its own may be late.
    fn search(&self, end: Nanos, group_was_hit: bool) -> Result<Word, memtide_oom::Error> {
        let mut kmsg = Kmsg::open()?;
        let mut assembler = Assembler::new();
        let patience = if group_was_hit {
            LONG_PATIENCE
        } else {
            PATIENCE
        };
        let until = clock::boottime() + patience;
        let mut kills = Vec::new();
        loop {
            let records = kmsg.read()?;
            let is_all = records.is_empty() && kmsg.lost() == 0;
            kills.extend(
                records
                    .into_iter()
                    .filter_map(|record| assembler.push(record)),
            );
            if let Some(kill) = self.of_target(&kills, end) {
                return Ok(Word::Its(Box::new(kill.clone())));
            }
            if clock::boottime() >= until {
                // By name alone one may be missed.
                let is_explained =
                    !group_was_hit || kills.iter().any(|kill| is_within(kill, end, NEAR));
                let is_sure = is_all && is_first_namespace() && is_explained;
                return Ok(if is_sure { Word::NotIts } else { Word::Unclear });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn of_target<'k>(&self, kills: &'k [Kill], end: Nanos) -> Option<&'k Kill> {
        let target = self.lens.target();
        if is_first_namespace() {
            let is_its = |kill: &&Kill| kill.pid == target.id.pid.0 && is_within(kill, end, AROUND);
            return kills.iter().rfind(is_its);
        }
        let mut named =
            (kills.iter()).filter(|kill| kill.name == target.name && is_within(kill, end, NEAR));
        named.next().filter(|_| named.next().is_none())
    }
}

/// True of a kill at most so long before or after that moment.
fn is_within(kill: &Kill, end: Nanos, span: Nanos) -> bool {
    // The record's clock stands still while the machine sleeps.
    let asleep = clock::boottime() - clock::monotonic();
    kill.stamp_ns.is_some_and(|stamp| {
        let at = stamp + asleep;
        at.0.abs_diff(end.0) <= span.0
    })
}
