//! Stage 1, continued: threads that pile up, alive or never joined, and the arenas that come with them.
//!
//! What was seen chooses the advice: threads that live are to end, and what they wait for tells why they do not;
//! stacks that stay mapped without a thread are to be joined or detached.

use super::advice::fewer_arenas;
use super::answer::{Answer, Standing};
use super::facts::Facts;
use crate::record::Track;
use crate::thresholds::{ARENA_SHARE, ARENA_TOP_SHARE, ARENAS, STACK_BYTES, STACKS, THREADS};
use crate::trail::Trail;
use memtide_model::{Account, MappingClass, Shape, Unit, VerdictKind, text};

const STACK_COUNT: Track = Track::ClassCount(MappingClass::Stack);
const STACK_SPACE: Track = Track::ClassSize(MappingClass::Stack);
const ARENA_COUNT: Track = Track::ClassCount(MappingClass::Arena);
const ARENA_RSS: Track = Track::ClassRss(MappingClass::Arena);
/// Names in the trail.
const STACKS_NAME: &str = "mappings of thread stacks";
const SPACE_NAME: &str = "their address space";
/// Kernel functions that threads sleep in, by a part of their names, and what they wait for then.
const WAITS: [(&str, &str); 9] = [
    ("futex", "a lock, a condition or another thread"),
    ("nanosleep", "a timer"),
    ("poll", "descriptors to become ready"),
    ("select", "descriptors to become ready"),
    ("pipe_read", "data from a pipe"),
    ("skb", "data from a socket"),
    ("stream_read", "data from a socket"),
    ("accept", "a connection"),
    ("pause", "a signal"),
];

/// True if stacks pile up: threads are no load then.
pub(super) fn stacks_grow(facts: &Facts) -> bool {
    let unheard = &mut Trail::unheard();
    facts.count(STACKS_NAME, STACK_COUNT, STACKS, unheard).grown
        || (facts.count(SPACE_NAME, STACK_SPACE, STACK_BYTES, unheard)).sustained
}

/// Threads that never end or are never joined, or arenas that come with them.
pub(super) fn pile_up(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let threads = facts.count("threads", Track::Threads, THREADS, trail);
    let stacks = facts.count(STACKS_NAME, STACK_COUNT, STACKS, trail);
    let space = facts.count(SPACE_NAME, STACK_SPACE, STACK_BYTES, trail);
    let arenas = facts.count("malloc arenas", ARENA_COUNT, ARENAS, trail);
    let arenas_instead =
        arenas.grown && arenas.delta > 0.6 * threads.delta && arenas.delta >= stacks.delta;
    if !(threads.sustained || space.sustained && !arenas_instead) {
        return None;
    }
    if arenas.sustained && arenas.delta > 0.5 * threads.delta {
        return Some(bloat(facts));
    }
    Some(thread_leak(facts, threads.sustained))
}

fn thread_leak(facts: &Facts, alive: bool) -> Answer {
    let track = if alive { Track::Threads } else { STACK_COUNT };
    let words = text::count_rate(facts.rate(track));
    let headline = if alive {
        format!("Threads pile up: {words} more, none of them ends")
    } else {
        format!("Stacks of ended threads stay mapped ({words} more): they are never joined")
    };
    let answer = Answer::decided(VerdictKind::ThreadLeak, Standing::Counted, headline);
    let mut answer = numbers(facts, answer);
    if !alive {
        // What the headline speaks of stands first.
        answer.evidence.reverse();
    }
    let group = facts.thread_group();
    if let Some((name, count)) = &group {
        answer = answer.number(
            format!("{count} live threads are called {name}."),
            *count as f64,
            "threads",
        );
    }
    let limits = &facts.observations.target.limits;
    let until = facts.until(Track::Threads, limits.processes);
    if let Some(time) = until.filter(|_| alive) {
        answer = answer.fact(format!(
            "The limit of {} processes and threads is reached in {time}.",
            limits.processes.unwrap_or_default()
        ));
    }
    let stacks = facts.delta(STACK_COUNT);
    let unjoined = !alive || stacks - facts.delta(Track::Threads) >= STACKS;
    if alive {
        answer = to_end(facts, group.map(|(name, _)| name), answer);
    }
    if unjoined {
        answer = answer.advise("Join each thread (pthread_join) or detach it (pthread_detach): an ended thread keeps its stack until then.");
    }
    (answer.going_on()).holding(facts.delta(Track::ClassRss(MappingClass::Stack)))
}

/// With how threads and their stacks grew.
fn numbers(facts: &Facts, answer: Answer) -> Answer {
    let answer = answer.number(
        format!(
            "Threads {} in {}.",
            facts.ends(Track::Threads),
            facts.time()
        ),
        facts.rate(Track::Threads),
        "threads/s",
    );
    if facts.series(STACK_COUNT).is_empty() {
        return answer;
    }
    answer
        .number(
            format!(
                "Thread stacks {} in {}, {} of address space.",
                facts.ends(STACK_COUNT),
                facts.time(),
                text::signed_bytes(facts.delta(STACK_SPACE))
            ),
            facts.rate(STACK_COUNT),
            "stacks/s",
        )
        .of_account(Account::Stacks)
}

/// With what live threads wait for, and that they should end.
fn to_end(facts: &Facts, name: Option<String>, answer: Answer) -> Answer {
    let which = name.map_or_else(String::new, |name| format!(" called {name}"));
    let end = format!(
        "End the threads{which} when their work is done, or keep them in a pool of fixed size"
    );
    let Some((function, count, all)) = facts.foremost_wait() else {
        return answer.advise(format!(
            "{end}; ps -L -o tid,stat,wchan:20,comm -p {} shows what they wait for.",
            facts.observations.target.id.pid
        ));
    };
    let known = WAITS.iter().find(|(part, _)| function.contains(part));
    let wait = known.map_or_else(
        || format!("sleep in {function}"),
        |(_, what)| format!("wait for {what}"),
    );
    answer
        .number(
            format!("{count} of {all} live threads {wait} (kernel function {function})."),
            count as f64,
            "threads",
        )
        .advise(format!(
            "{end}: they {wait}, and nothing wakes them to end."
        ))
}

/// Many arenas that each grew, none of which carries the growth alone.
pub(super) fn arenas(facts: &Facts, shape: Shape, trail: &mut Trail) -> Option<Answer> {
    let grown = facts.delta(ARENA_RSS);
    let level = matches!(shape, Shape::Sawtooth | Shape::Fluctuating | Shape::Flat);
    let name = "growth of arenas' memory";
    if level
        || !trail.above(name, grown, Unit::Bytes, facts.material)
        || !trail.above(name, grown, Unit::Bytes, ARENA_SHARE * facts.anon)
    {
        return None;
    }
    let last = facts.record.samples.iter().rev().find_map(|s| s.maps)?;
    let totals = last.classes.get(MappingClass::Arena);
    let most = facts.series(ARENA_COUNT).greatest();
    let (top, limit) = (totals.max_growth.as_f64(), ARENA_TOP_SHARE * grown);
    let many = trail.at_least("arenas that grew", totals.grown as f64, Unit::Count, ARENAS)
        && trail.at_least("arenas", most, Unit::Count, ARENAS)
        && trail.below("growth of the foremost", top, Unit::Bytes, limit);
    many.then(|| {
        bloat(facts).number(
            format!(
                "{} arenas grew by 128 KiB or more; the one that grew most has {}.",
                totals.grown,
                text::bytes(totals.max_growth.as_f64())
            ),
            totals.max_growth.as_f64(),
            "bytes",
        )
    })
}

fn bloat(facts: &Facts) -> Answer {
    let grown = facts.delta(ARENA_RSS);
    let answer = Answer::decided(
        VerdictKind::ArenaBloat,
        Standing::Shaped,
        format!(
            "Malloc keeps memory in many arenas, one for each thread: {} more",
            text::bytes(grown)
        ),
    )
    .number(
        format!(
            "Resident memory of arenas grew by {} in {}.",
            text::bytes(grown),
            facts.time()
        ),
        facts.rate(ARENA_RSS),
        "bytes/s",
    )
    .of_account(Account::Heap)
    .holding(grown)
    .number(
        format!("Malloc arenas {}.", facts.ends(ARENA_COUNT)),
        facts.rate(ARENA_COUNT),
        "arenas/s",
    );
    (fewer_arenas(facts).into_iter()).fold(answer, Answer::advise)
}
