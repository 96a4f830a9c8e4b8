//! Growth that ended because it met a limit: no plateau of use, but a leak or holes that had no more room.
//!
//! malloc fails where the address space (`RLIMIT_AS`) or the data (`RLIMIT_DATA`) would pass the limit; what the
//! program asks for in vain is not seen, so memory is level from then on. Growth that ended within
//! [`LIMIT_MET_SHARE`] of a limit is told by what it consists of, not by its end. Without that nothing
//! but the coincidence is known, and the answer stays open.

use super::answer::{Answer, Standing};
use super::counted;
use super::facts::Facts;
use super::heap::Subject;
use super::split::{Cause, Parts};
use super::words;
use crate::record::Track;
use crate::thresholds::LIMIT_MET_SHARE;
use crate::trail::Trail;
use memtide_model::report::{RLIMIT_AS, RLIMIT_DATA};
use memtide_model::{Shape, Unit, VerdictKind, text};

/// The answer to growth that ended at a limit; `None` where it ended elsewhere, or at one stroke: a table that
/// just fits.
pub(super) fn met(
    facts: &Facts,
    subject: &Subject,
    parts: Option<&Parts>,
    trail: &mut Trail,
) -> Option<Answer> {
    use VerdictKind::{Fragmentation, HeapLeak, Plateau};
    if subject.form.shape() != Shape::Plateau || subject.series.delta() < facts.material {
        return None;
    }
    let (name, limit, reached) = nearest(facts, trail)?;
    let headline = format!(
        "{} and stopped where {name} is used up ({})",
        words::moved(facts, subject),
        text::bytes(limit)
    );
    let answer = match parts.map(Parts::cause) {
        Some(Cause::Live) => Answer::decided(HeapLeak, Standing::Measured, headline),
        Some(Cause::Kept) => Answer::decided(Fragmentation, Standing::Measured, headline),
        Some(Cause::Mapped | Cause::Mixed) | None => {
            Answer::open(&[HeapLeak, Fragmentation, Plateau], headline)
        }
    };
    let answer = words::size_fact(facts, subject, answer).number(
        format!(
            "It uses {} of {} that {name} allows: allocations fail from there on.",
            text::bytes(reached),
            text::bytes(limit)
        ),
        100.0 * reached / limit,
        "%",
    );
    let answer = match parts {
        Some(parts) if answer.standing == Standing::Measured => counted::fact(parts, answer),
        _ => answer,
    };
    Some(answer.advise(format!(
        "Look for failed allocations in its log; with a higher limit it grows on: prlimit --pid {}.",
        facts.observations.target.id.pid
    )))
}

/// The limit that is used up, its size, and how much of it is used.
fn nearest(facts: &Facts, trail: &mut Trail) -> Option<(&'static str, f64, f64)> {
    let limits = &facts.observations.target.limits;
    // Limits count the preload shim; the track of the address space does not.
    let own = facts.record.own_size_at_end();
    let all = [
        (RLIMIT_AS, limits.address_space, Track::Size, own),
        (RLIMIT_DATA, limits.data, Track::Data, 0.0),
    ];
    all.into_iter().find_map(|(name, limit, track, own)| {
        let (limit, reached) = (limit?.as_f64(), facts.series(track).end() + own);
        let used = format!("used of {name}");
        let met = trail.at_least(&used, reached, Unit::Bytes, (1.0 - LIMIT_MET_SHARE) * limit);
        met.then_some((name, limit, reached))
    })
}
