//! Stage 1, continued: kernel objects that the process makes and does not remove. They outlive it.

use super::answer::{Answer, Standing};
use super::facts::Facts;
use crate::held;
use crate::record::Track;
use crate::thresholds::{MAIN_SHARE, QUEUES, SEGMENTS};
use crate::trail::Trail;
use memtide_model::{GroupTarget, HeldKind, Unit, VerdictKind, text};

/// True where queues and segments were counted at all.
pub(super) fn were_counted(facts: &Facts) -> bool {
    let mut samples = facts.record.samples.iter();
    samples.any(|sample| sample.counts.queues.is_some())
}

/// Message queues that pile up.
pub(super) fn pile_up(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let growth = facts.count("message queues", Track::Queues, QUEUES, trail);
    if !growth.sustained {
        return None;
    }
    let is_queue = |kind| matches!(kind, HeldKind::PosixQueue | HeldKind::SystemVQueue);
    let target = foremost(facts, is_queue);
    let rate = facts.rate(Track::Queues);
    let headline = format!(
        "Message queues are made and not removed{}: +{}",
        mostly(target.as_ref()),
        text::count_rate(rate)
    );
    let bytes = facts.series(Track::QueueBytes);
    let mut answer = Answer::decided(VerdictKind::QueueLeak, Standing::Counted, headline)
        .number(
            format!(
                "Message queues {} in {}.",
                facts.ends(Track::Queues),
                facts.time()
            ),
            rate,
            "queues/s",
        )
        .number(
            format!(
                "Waiting messages and segments hold {}.",
                text::bytes(bytes.end())
            ),
            bytes.end(),
            "bytes",
        );
    if target.is_some_and(|target| target.kind == HeldKind::PosixQueue) {
        answer = answer.fact(format!(
            "Of a POSIX queue the kernel tells the owner and not the maker: all of uid {} were counted.",
            facts.observations.target.uid
        ));
    }
    let answer = answer
        .advise("Remove each queue when its last user is done: mq_unlink() beside mq_close(), msgctl(IPC_RMID) of System V; queues outlive the process that made them.")
        .advise("See which there are, and which nobody holds: memtide ps --queues");
    Some(answer.going_on())
}

/// System V segments that pile up, where the process does not map them.
pub(super) fn segments(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let growth = facts.count("System V segments", Track::Segments, SEGMENTS, trail);
    let held = facts.delta(Track::QueueBytes);
    let mapped = "growth of the process's own shared memory";
    if !growth.sustained
        || !trail.below(
            mapped,
            facts.delta(Track::Shared),
            Unit::Bytes,
            MAIN_SHARE * held,
        )
    {
        return None;
    }
    let rate = facts.rate(Track::Segments);
    let target = foremost(facts, |kind| kind == HeldKind::SystemVSegment);
    let headline = format!(
        "Segments of shared memory are made and not removed{}: +{}, in memory that it does not map",
        mostly(target.as_ref()),
        text::count_rate(rate)
    );
    let answer = Answer::decided(VerdictKind::ShmLeak, Standing::Counted, headline)
        .number(
            format!("Segments {} in {}.", facts.ends(Track::Segments), facts.time()),
            rate,
            "segments/s",
        )
        .number(
            format!("They hold {} more than at the start.", text::bytes(held)),
            facts.rate(Track::QueueBytes),
            "bytes/s",
        )
        .advise("Mark each segment for removal (shmctl(IPC_RMID)) once all who need it have attached it: it goes with the last of them.")
        .advise("See which there are, and which nobody holds: memtide ps --queues");
    Some(answer.going_on())
}

/// The group of such kinds that grew most.
fn foremost(facts: &Facts, is_one: impl Fn(HeldKind) -> bool) -> Option<GroupTarget> {
    let groups = held::groups(facts.record, facts.observations);
    let most = groups.into_iter().find(|group| is_one(group.target.kind))?;
    (most.series.delta() > 0.0).then(|| most.target.clone())
}

fn mostly(target: Option<&GroupTarget>) -> String {
    target.map_or_else(String::new, |target| {
        format!(", mostly {}", held::words(target))
    })
}
