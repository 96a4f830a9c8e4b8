//! The fourth stage in words: what was counted, whose it is, and what to do.
//!
//! Here alone growth is called a leak or fragmentation, because here alone live blocks were counted. A
//! sentence names one stack, the foremost of those that are not suppressed; the report lists the others.

use super::advice::{against_kept, command};
use super::answer::{Answer, Standing};
use super::facts::Facts;
use super::gate;
use super::heap::{Owner, Subject};
use super::looked;
use super::split::{self, By, Cause, Parts};
use super::told;
use super::words::{moved, rate_fact, rate_of, rated_fact, size_fact};
use crate::record::Track;
use crate::stacks::{Listed, Stacks, site};
use crate::statistics::theil_sen;
use crate::thresholds::{FREE_SHARE, LIVE_SHARE, NAMED_SHARE, SURVIVORS_SHARE, TURNOVER_SCORE};
use crate::trail::Trail;
use crate::trend;
use memtide_model::{Account, HeapMode, MappingClass, Shape, StackKind, Unit, VerdictKind, text};

/// What helps against holes, where nobody saw how large they are.
const HOLES: [&str; 2] = [
    "Holes between long-lived blocks: allocate what lives long apart from what does not, and avoid to shrink blocks in place (realloc to less), which leaves a hole behind each.",
    "malloc_trim(0) after a burst gives back what fills whole pages; an allocator that keeps sizes apart (jemalloc, mimalloc) has fewer holes.",
];

/// With what is live of the growth as a fact.
pub(super) fn fact(parts: &Parts, answer: Answer) -> Answer {
    if parts.by != By::Shim {
        return looked::share(parts, answer);
    }
    // Shares are of different sums: live blocks that are not resident make more than all of it.
    let share = parts.live.clamp(0.0, 1.0);
    let live = share * parts.grown;
    let error = if parts.error > 0.0 {
        format!(", give or take {:.0} %", 100.0 * parts.error)
    } else {
        String::new()
    };
    answer
        .number(
            format!(
                "Live blocks are {} of that growth ({:.0} %{error}), what the allocator keeps beside them {}.",
                text::bytes(live),
                100.0 * share,
                text::bytes((parts.kept * parts.grown).max(0.0)),
            ),
            live,
            "bytes",
        )
        .of_account(Account::HeapLive)
}

/// Growth without an end in sight, decided by what it consists of; `None` where that decides nothing.
pub(super) fn growing(facts: &Facts, subject: &Subject, parts: &Parts) -> Option<Answer> {
    match parts.cause() {
        Cause::Live => Some(leak(facts, subject, parts)),
        Cause::Kept => Some(fragmentation(facts, subject, parts)),
        Cause::Mapped if is_own_mappings(facts, parts) => Some(mappings(facts, subject, parts)),
        Cause::Mapped | Cause::Mixed => None,
    }
}

/// True if what is not malloc's can only be mappings that the program made itself. The shim saw them; to a
/// look they are what is left: no stacks, and no heap of another allocator.
fn is_own_mappings(facts: &Facts, parts: &Parts) -> bool {
    let target = &facts.observations.target;
    let seen = match parts.by {
        By::Shim => true,
        By::Looks { .. } => {
            let anon = facts.delta(Track::ClassRss(MappingClass::Anon));
            target.allocator.starts_with("glibc") && anon >= LIVE_SHARE * parts.grown
        }
    };
    seen && target.runtime == "none"
}

/// Why live blocks that were counted do not decide, as the end of the headline; with what would.
pub(super) fn undecided(
    facts: &Facts,
    subject: &Subject,
    parts: &Parts,
) -> (&'static str, Vec<String>) {
    if let By::Looks { turned, .. } = parts.by {
        return (unsettled(facts, subject, parts, turned), Vec::new());
    }
    let short = parts.live <= FREE_SHARE && parts.kept < LIVE_SHARE;
    let full = format!(
        "Count every block: memtide run --heap full -- {}",
        command(&facts.observations.target)
    );
    if parts.cause() == Cause::Mapped {
        ("its runtime maps it for a heap of its own", Vec::new())
    } else if parts.error > LIVE_SHARE - FREE_SHARE {
        (
            "there are too few samples to tell a leak from fragmentation",
            vec![full],
        )
    } else if short && parts.mapped <= FREE_SHARE {
        (
            "blocks or mappings that were made long ago are being touched: it may be a pool that fills",
            vec![
                "Record until all of it has been touched once: a pool that is full stops growing."
                    .to_owned(),
            ],
        )
    } else {
        (
            "part of it is live, part is kept by the allocator",
            Vec::new(),
        )
    }
}

/// Why looks into the heap do not decide.
fn unsettled(facts: &Facts, subject: &Subject, parts: &Parts, turned: bool) -> &'static str {
    if turned {
        "live blocks grew in one part of it, free memory that malloc keeps in the other"
    } else if parts.live + parts.kept.max(0.0) > FREE_SHARE {
        "part of it is live, part is kept by the allocator or none of malloc's"
    } else if subject.owner == Owner::FirstTouch || parts.cause() == Cause::Mixed {
        "blocks or mappings that were made long ago are being touched: it may be a pool that fills"
    } else if facts.observations.target.runtime == "none" {
        "it is none of malloc's memory"
    } else {
        "its runtime maps it for a heap of its own"
    }
}

fn leak(facts: &Facts, subject: &Subject, parts: &Parts) -> Answer {
    let slope = split::live_rate(rate_of(subject), parts);
    let rate = text::rate(slope.per_second);
    let leading = facts
        .stacks
        .and_then(|stacks| stacks.leading(StackKind::Heap));
    let by = (leading.filter(|listed| listed.row.growth_share >= Some(NAMED_SHARE)))
        .and_then(|listed| Some((share(listed)?, site(&listed.row))))
        .map(|(share, site)| format!("; {share} of it by {}", site.trim_end_matches(',')))
        .or_else(|| Some(format!(", mostly {}", looked::class(facts, parts)?)))
        .unwrap_or_default();
    let headline = format!(
        "{} grows by {rate} in blocks that are not freed{by}",
        subject.name
    );
    let answer = Answer::decided(VerdictKind::HeapLeak, Standing::Measured, headline);
    let mut answer = fact(parts, rated_fact(facts, subject, slope, answer));
    answer = looked::found(facts, with_stack(answer, leading), Cause::Live);
    let turnover = leading.and_then(|listed| listed.row.leak_score);
    if let Some(score) = turnover.filter(|&score| score < TURNOVER_SCORE) {
        answer = answer.number(
            format!("But its older blocks are freed (leak score {score:.2}): a cache that is still filling, or a block that is made anew whenever it grows, looks like that."),
            score,
            "score",
        );
    }
    answer = match leading {
        Some(listed) => answer.advise(format!(
            "Look at {}: its blocks are live and pile up. If they are wanted, bound the container that holds them; if not, something that should free them does not.",
            site(&listed.row).trim_end_matches(',')
        )),
        None => answer.advise("Free the blocks when their work is done, or bound the container that holds them."),
    };
    if can_run_under_shim(facts) {
        answer = answer.advise(format!(
            "See which code allocates them: memtide run --heap full -- {}",
            command(&facts.observations.target)
        ));
    }
    answer.going_on()
}

fn fragmentation(facts: &Facts, subject: &Subject, parts: &Parts) -> Answer {
    let rate = text::rate(rate_of(subject).per_second);
    let headline = format!(
        "{} grows by {rate}, but live blocks do not: the allocator holds ever more free memory",
        subject.name
    );
    let answer = Answer::decided(VerdictKind::Fragmentation, Standing::Measured, headline);
    kept(facts, rate_fact(facts, subject, answer), parts, &HOLES).going_on()
}

/// Growth that slows down without an end in sight: what malloc keeps of it and nobody ever used at one time
/// are holes, wherever it ends. `None` where it was in use, or is.
pub(super) fn slowing(
    facts: &Facts,
    subject: &Subject,
    parts: &Parts,
    trail: &mut Trail,
) -> Option<Answer> {
    if parts.cause() != Cause::Kept || !trail.below(told::PEAK, parts.peak, Unit::Share, LIVE_SHARE)
    {
        return None;
    }
    let headline = format!(
        "{}, ever more slowly; live blocks did not: the allocator holds free memory that was never in use at one time",
        moved(facts, subject)
    );
    let answer = Answer::decided(VerdictKind::Fragmentation, Standing::Measured, headline);
    Some(kept(
        facts,
        size_fact(facts, subject, answer),
        parts,
        &HOLES,
    ))
}

/// With what is known of memory that was freed and is kept; `general` is the advice where nobody looked
/// into it.
fn kept(facts: &Facts, answer: Answer, parts: &Parts, general: &[&str]) -> Answer {
    let answer = fact(parts, answer).of_account(Account::HeapRetained);
    let answer = looked::found(facts, answer, Cause::Kept);
    (against_kept(facts, general).into_iter()).fold(answer, Answer::advise)
}

fn mappings(facts: &Facts, subject: &Subject, parts: &Parts) -> Answer {
    let rate = text::rate(rate_of(subject).per_second);
    let headline = format!("Anonymous mappings are made and never unmapped: {rate} more");
    let answer = Answer::decided(VerdictKind::MmapLeak, Standing::Measured, headline);
    let mapped = parts.mapped * parts.grown;
    let answer = rate_fact(facts, subject, answer);
    let answer = match parts.by {
        By::Looks { .. } => fact(parts, answer),
        By::Shim => answer.number(
            format!(
                "Mappings that the program made itself are {} of that growth ({:.0} %); live blocks are {:.0} % of it.",
                text::bytes(mapped),
                100.0 * parts.mapped,
                100.0 * parts.live.clamp(0.0, 1.0)
            ),
            mapped,
            "bytes",
        ),
    };
    let leading = facts
        .stacks
        .and_then(|stacks| stacks.leading(StackKind::Mapping));
    with_stack(answer.of_account(Account::Anon), leading)
        .advise(unmap(facts, leading))
        .going_on()
}

/// Where the mappings should end; where no stack is known, how to find it.
pub(super) fn unmap(facts: &Facts, leading: Option<&Listed>) -> String {
    if leading.is_some() {
        return "Each mmap() wants its munmap(): look where the mappings of that stack should end."
            .to_owned();
    }
    format!(
        "Find the caller: sudo strace -f -k -e trace=mmap,munmap -p {}; each mmap() wants its munmap().",
        facts.observations.target.id.pid
    )
}

/// Growth that has ended: memory that was freed and is kept is no plateau of use. `None` where live
/// blocks are what came, and still are most of what malloc holds.
pub(super) fn ended(
    facts: &Facts,
    subject: &Subject,
    parts: &Parts,
    trail: &mut Trail,
) -> Option<Answer> {
    let hollow = parts.cause() == Cause::Mixed
        && trail.at_least("kept share", parts.kept, Unit::Share, FREE_SHARE)
        && is_hollow(facts, trail);
    if parts.cause() != Cause::Kept && !hollow {
        return None;
    }
    // What is resident was in use at some time, or it never was. What came at one stroke was, even if
    // nobody looked meanwhile. But where part of it lives on, that pins the pages around it: holes.
    let used = trail.at_least(told::PEAK, parts.peak, Unit::Share, LIVE_SHARE)
        || subject.form.shape() == Shape::Step;
    let burst = used && trail.below("live share", parts.live, Unit::Share, SURVIVORS_SHARE);
    let (kind, why) = if burst {
        (
            VerdictKind::Retention,
            "it was in use, was freed, and the allocator keeps it",
        )
    } else if used {
        (
            VerdictKind::Fragmentation,
            "most of it was freed, but blocks that live on lie between the holes",
        )
    } else if parts.by == By::Shim {
        (
            VerdictKind::Fragmentation,
            "it was never in use at one time: holes between live blocks",
        )
    } else {
        (
            VerdictKind::Fragmentation,
            "no look found it in use: holes between live blocks",
        )
    };
    let headline = format!("{}; {why}", moved(facts, subject));
    let answer = Answer::decided(kind, Standing::Measured, headline);
    let when = match parts.by {
        By::Shim => "at their highest",
        By::Looks { .. } => "at their highest among the looks",
    };
    let answer = size_fact(facts, subject, answer).number(
        format!(
            "Live bytes {when} were {:.0} % of what is resident at the end.",
            100.0 * parts.peak
        ),
        100.0 * parts.peak,
        "%",
    );
    let general: &[&str] = if burst {
        &[
            "malloc_trim(0) after the burst gives it back; so does a lower M_TRIM_THRESHOLD, or an allocator that returns memory by itself (jemalloc, mimalloc).",
        ]
    } else {
        &HOLES
    };
    Some(kept(facts, answer, parts, general))
}

/// True if at most [`LIVE_SHARE`] of what malloc holds was live at the last look. Caches, tables and pools that are full had
/// .91 to .99.
fn is_hollow(facts: &Facts, trail: &mut Trail) -> bool {
    let last = facts.record.heap.looks().last();
    let most = |held: f64| LIVE_SHARE * held;
    last.is_some_and(|look| {
        trail.at_most(
            "live at the last look",
            look.live,
            Unit::Bytes,
            most(look.resident),
        )
    })
}

/// Level memory inside of which live blocks grow: free memory of the heap is used up first.
pub(super) fn hidden(facts: &Facts, answer: Answer) -> Answer {
    let live = facts.series(Track::Live);
    let form = trend::form(&live, facts.material);
    if !form.is_unbounded() || gate::missing(facts, &live, &form, &mut Trail::unheard()).is_some() {
        return answer;
    }
    let rate = theil_sen::slope(&live);
    let answer = answer
        .number(
            format!(
                "But live blocks grow by {} inside memory that the heap already holds; RSS will follow when that is used up.",
                text::rate(rate)
            ),
            rate,
            "bytes/s",
        )
        .of_account(Account::HeapLive);
    let leading = facts
        .stacks
        .and_then(|stacks| stacks.leading(StackKind::Heap));
    with_stack(answer, leading)
}

/// With the foremost stack of each kind.
pub(super) fn leading(facts: &Facts, answer: Answer) -> Answer {
    let Some(stacks) = facts.stacks else {
        return answer;
    };
    [StackKind::Heap, StackKind::Mapping]
        .into_iter()
        .fold(answer, |answer, kind| {
            with_stack(answer, stacks.leading(kind))
        })
}

/// With what a stack holds of the growth as a fact.
pub(super) fn with_stack(answer: Answer, listed: Option<&Listed>) -> Answer {
    let Some(listed) = listed else { return answer };
    let row = &listed.row;
    let of_growth = share(listed).map_or_else(
        || "grew most".to_owned(),
        |share| format!("holds {share} of the growth"),
    );
    let (unit, account) = match row.kind {
        StackKind::Heap => ("block", Account::HeapLive),
        StackKind::Mapping => ("mapping", Account::Anon),
    };
    let rate = row
        .bytes_per_second
        .map_or_else(String::new, |rate| format!(", {}", text::rate(rate)));
    let fact = format!(
        "{} {of_growth}: {} in {}{rate}.",
        site(row),
        text::bytes(row.growth_bytes as f64),
        text::plural(whole(listed.grown_blocks), unit),
    );
    let answer = match row.bytes_per_second {
        Some(rate) => answer.number(fact, rate, "bytes/s"),
        None => answer.number(fact, row.growth_bytes as f64, "bytes"),
    };
    answer.of_account(account)
}

/// "61 %" of the growth; "all" where others shrank meanwhile.
fn share(listed: &Listed) -> Option<String> {
    listed.row.growth_share.map(|share| {
        if share >= 0.995 {
            "all".to_owned()
        } else {
            format!("{:.0} %", 100.0 * share)
        }
    })
}

/// What of the allocations is worth a word where samples decide nothing.
pub(super) fn allocations(stacks: Option<&Stacks>, mut answer: Answer) -> Answer {
    let Some(stacks) = stacks else { return answer };
    let all = &stacks.allocations;
    if all.allocs == 0 {
        return answer.fact("No block was recorded.".to_owned());
    }
    answer = answer
        .number(
            format!(
                "{} were live in {} at the last look, of {} that were allocated in all.",
                text::bytes(all.live_bytes as f64),
                text::plural(all.live_blocks, "block"),
                text::bytes(all.allocated_bytes as f64)
            ),
            all.live_bytes as f64,
            "bytes",
        )
        .of_account(Account::HeapLive);
    if let (Some(blocks), Some(bytes)) = (all.never_freed_blocks, all.never_freed_bytes) {
        let fact = if blocks == 0 && bytes == 0 {
            let lost = (all.lost.no_room)
                .saturating_add(all.lost.threadless)
                .saturating_add(all.lost.reentered);
            match (all.mode, lost) {
                (HeapMode::Full, 0) => "It ended with all of its blocks freed.",
                _ => "It ended with none of the recorded blocks left; not all were recorded.",
            }
            .to_owned()
        } else {
            format!(
                "It ended with {} never freed: {}.",
                text::plural(blocks, "block"),
                text::bytes(bytes as f64)
            )
        };
        answer = answer.number(fact, bytes as f64, "bytes");
    }
    with_stack(answer, stacks.leading(StackKind::Heap))
}

/// True if the shim would tell more: it did not look, and blocks are its business. It is built for glibc.
fn can_run_under_shim(facts: &Facts) -> bool {
    let target = &facts.observations.target;
    let runtime = target.runtime.as_str();
    let seen = runtime == "none" || runtime.is_empty() || runtime.starts_with("cpython");
    facts.stacks.is_none() && seen && !target.allocator.starts_with("musl")
}

/// How to see who allocates, for a process that was only looked at from outside.
pub(super) fn run_under_shim(facts: &Facts) -> Option<String> {
    can_run_under_shim(facts).then(|| {
        format!(
            "Start it anew with its allocations counted, under the same load; live bytes that grow are a leak, and it names the line, live bytes that are level mean fragmentation: memtide run --heap full -- {}",
            command(&facts.observations.target)
        )
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are not negative where they are shown, and the cast saturates"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}
