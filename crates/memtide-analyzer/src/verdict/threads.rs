//! Stage 1, continued: threads that pile up, alive or never joined, and the arenas that come with them.
//!
//! What was seen chooses the advice: threads that live are to end, and what they wait for tells why they do not;
//! stacks that stay mapped without a thread are to be joined or detached.

use super::advice::fewer_arenas;
use super::answer::{Answer, Standing};
use super::facts::Facts;
use crate::record::Track;
use crate::snapshots;
use crate::thresholds::{
    ARENA_SHARE, ARENA_TOP_SHARE, ARENAS, ARENAS_INSTEAD, ARENAS_WITH_THREADS, STACK_BYTES, STACKS,
    THREADS,
};
use crate::trail::Trail;
use memtide_model::{Account, EndedThreads, MappingClass, Nanos, Shape, Unit, VerdictKind, text};

const STACK_COUNT: Track = Track::ClassCount(MappingClass::Stack);
const STACK_SPACE: Track = Track::ClassSize(MappingClass::Stack);
const ARENA_COUNT: Track = Track::ClassCount(MappingClass::Arena);
const ARENA_RSS: Track = Track::ClassRss(MappingClass::Arena);
/// The last look is asked for when the last sample was taken.
const AFTER_THE_LAST: Nanos = Nanos::from_secs(5);
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
    let arenas_instead = arenas.grown
        && arenas.delta > ARENAS_INSTEAD * threads.delta
        && arenas.delta >= stacks.delta;
    let unjoined = Unjoined::of(facts);
    let mapped = stacks.sustained || space.sustained;
    let told = unjoined.is_some_and(|unjoined| unjoined.grow(mapped, trail));
    // Stacks without a thread that are none of those: glibc keeps them for the next threads.
    let only_kept = unjoined.is_some() && !told;
    if !(threads.sustained || told || space.sustained && !arenas_instead && !only_kept) {
        return None;
    }
    let unjoined = unjoined.filter(|_| told);
    if unjoined.is_none() && arenas.sustained && arenas.delta > ARENAS_WITH_THREADS * threads.delta
    {
        return Some(bloat(facts));
    }
    Some(thread_leak(facts, threads.sustained, unjoined))
}

fn thread_leak(facts: &Facts, alive: bool, unjoined: Option<Unjoined>) -> Answer {
    let track = if alive { Track::Threads } else { STACK_COUNT };
    let words = text::count_rate(facts.rate(track));
    let headline = if alive {
        format!("Threads pile up: {words} more, none of them ends")
    } else if let Some(Unjoined { last, .. }) = unjoined {
        let ended = text::plural(last.count, "thread");
        let held = text::bytes(last.stack_resident.as_f64());
        format!("{ended} ended and were never joined; their stacks hold {held}")
    } else {
        format!("Stacks of ended threads stay mapped ({words} more): they are never joined")
    };
    let answer = Answer::decided(VerdictKind::ThreadLeak, Standing::Counted, headline);
    let mut answer = numbers(facts, answer);
    if !alive {
        // What the headline speaks of stands first.
        answer.evidence.reverse();
    }
    answer = unjoined_fact(facts, unjoined, alive, answer);
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
    let unjoined = !alive || unjoined.is_some() || stacks - facts.delta(Track::Threads) >= STACKS;
    if alive {
        answer = to_end(facts, group.map(|(name, _)| name), answer);
    }
    if unjoined {
        answer = answer.advise("Join each thread (pthread_join) or detach it (pthread_detach): an ended thread keeps its stack until then.");
    }
    (answer.going_on()).holding(facts.delta(Track::ClassRss(MappingClass::Stack)))
}

/// Threads that ended and were not joined, at the first look and at the last.
#[derive(Clone, Copy, Debug)]
struct Unjoined {
    first: EndedThreads,
    /// Halfway; `None` of one or two looks.
    middle: Option<EndedThreads>,
    last: EndedThreads,
}

impl Unjoined {
    /// What looks at the program that runs now found up to the end of the record; `None` where none could know. glibc's records
    /// of threads are read apart from the heap and checked by themselves: a heap that was not understood says nothing against
    /// them.
    fn of(facts: &Facts) -> Option<Self> {
        let end = facts.record.samples.last()?.at + AFTER_THE_LAST;
        let known: Vec<EndedThreads> = (snapshots::of_program(facts.observations).into_iter())
            .filter(|look| look.at <= end)
            .filter_map(|look| look.ended_threads)
            .collect();
        Some(Self {
            first: *known.first()?,
            middle: (known.len() > 2).then(|| known[known.len() / 2]),
            last: *known.last()?,
        })
    }

    /// True where they become more, in the later looks as well; of too few looks the mappings of stacks tell that. A pool
    /// that joins a thread when it needs its place holds many that ended, and never more.
    fn grow(self, mapped: bool, trail: &mut Trail) -> bool {
        let since = |earlier: EndedThreads| self.last.count.saturating_sub(earlier.count) as f64;
        let name = "growth of threads that were never joined";
        trail.at_least(name, since(self.first), Unit::Count, THREADS)
            && self.middle.map_or(mapped, |middle| {
                trail.above("of it later", since(middle), Unit::Count, 0.0)
            })
    }
}

/// With what is known of ended threads: exact where glibc's records were read, else an upper bound.
fn unjoined_fact(facts: &Facts, unjoined: Option<Unjoined>, alive: bool, answer: Answer) -> Answer {
    if let Some(Unjoined { first, last, .. }) = unjoined {
        return answer.number(
            format!(
                "Threads that ended and were never joined: {} → {}; their stacks take {} of address space, {} of it in memory. {} live.",
                first.count,
                last.count,
                text::bytes(last.stack_bytes.as_f64()),
                text::bytes(last.stack_resident.as_f64()),
                text::plural(last.alive, "thread"),
            ),
            last.stack_bytes.as_f64(),
            "bytes",
        )
        .of_account(Account::Stacks);
    }
    if alive {
        return answer;
    }
    // The first thread has a stack of another class.
    let threads = (facts.series(Track::Threads).end() - 1.0).max(0.0);
    let without = (facts.series(STACK_COUNT).end() - threads).max(0.0);
    answer.number(
        format!("At most {without:.0} threads: so many stacks have no thread, of which glibc may keep up to 40 MiB for the next ones (its records could not be read)."),
        without,
        "stacks",
    )
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
