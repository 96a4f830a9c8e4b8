//! The answers of the second stage in words: what was seen, with numbers, and what to do.
//!
//! Written for a tired reader: short sentences, numbers first. Before the gate the word "leak" does
//! not appear here.

use super::advice::{longer, longer_because};
use super::answer::Answer;
use super::counted;
use super::facts::Facts;
use super::gate::Missing;
use super::heap::{Owner, STANDING, Subject};
use super::split::Parts;
use super::{looked, runtimes};
use crate::statistics::blocks;
use crate::statistics::quantile::quantile;
use crate::statistics::wave::Wave;
use crate::thresholds::{BLOCKS, MATERIAL_BYTES, MATERIAL_SHARE};
use memtide_model::{Shape, Slope, StackKind, VerdictKind, text};

/// Level, or wandering.
pub(super) fn level(facts: &Facts, subject: &Subject) -> Answer {
    let wanders = subject.form.shape() == Shape::Fluctuating;
    let headline = if wanders {
        format!(
            "Memory goes up and down without a trend over {}",
            facts.time()
        )
    } else {
        format!("Memory is level over {}", facts.time())
    };
    let rss = facts.series(crate::record::Track::Rss);
    let (low, high) = (quantile(&rss.y, 0.05), quantile(&rss.y, 0.95));
    let answer = Answer::decided(VerdictKind::NoGrowth, STANDING, headline)
        .number(
            format!(
                "RSS stayed between {} and {} in nine tenths of the time; its highest was {}.",
                text::bytes(low),
                text::bytes(high),
                text::bytes(rss.greatest())
            ),
            high - low,
            "bytes",
        )
        .number(
            format!(
                "Movement below {} would not be seen ({} or {:.1} % of RSS).",
                text::bytes(facts.material),
                text::bytes(MATERIAL_BYTES),
                100.0 * MATERIAL_SHARE
            ),
            facts.material,
            "bytes",
        );
    match shared_elsewhere(facts) {
        Some(grown) => answer.number(
            format!("Shared memory of the whole machine grew by {} meanwhile; it is not mapped here: `memtide ps --queues` names the files and segments of all.", text::bytes(grown)),
            grown,
            "bytes",
        ),
        None => answer,
    }
}

/// Growth of the machine's shared memory that is material and not this process's.
fn shared_elsewhere(facts: &Facts) -> Option<f64> {
    let host = facts.record.series_by(|s| Some(s.host?.shmem?.as_f64()));
    let grown = host.delta();
    (grown > facts.record.gate_material() && blocks::all_rise(&host)).then_some(grown)
}

/// Rising, but by less than is material.
pub(super) fn creeping(facts: &Facts, subject: &Subject, candidates: &[VerdictKind]) -> Answer {
    let rate = subject.series.delta() / subject.series.span();
    let wanted = (facts.record.gate_material() - subject.series.delta()) / rate;
    rate_fact(
        facts,
        subject,
        Answer::open(
            candidates,
            format!(
                "Memory creeps up by {}, still too little of it to judge; needs {} more",
                text::rate(rate),
                text::duration(wanted.max(1.0)),
            ),
        ),
    )
    .fact(format!(
        "All of {BLOCKS} parts of the record lie higher than the one before."
    ))
    .advise(longer(facts, wanted))
}

/// Swings over level troughs.
pub(super) fn sawtooth(subject: &Subject) -> Answer {
    let period = subject.form.period.unwrap_or_default();
    Answer::decided(
        VerdictKind::Sawtooth,
        STANDING,
        format!("Memory swings by {} every {} and falls back to the same level", text::bytes(subject.series.range()), text::duration(period)),
    )
    .number(format!("Period about {}.", text::duration(period)), period, "s")
    .number(format!("The troughs do not rise ({} of them).", subject.form.troughs), subject.form.trough_slope.unwrap_or_default(), "bytes/s")
    .of_account(subject.account)
    .advise("This is what a collector or periodic work looks like; plan for the peaks, not for the mean.")
}

/// Growth that has ended, by its shape.
pub(super) fn ended(facts: &Facts, subject: &Subject) -> Answer {
    if subject.form.shape() == Shape::Step {
        step(facts, subject)
    } else {
        plateau(facts, subject)
    }
}

/// One jump. Whether what came with it is still in use or was freed and kept by malloc, the kernel does
/// not know; that it has ended is what can be said, so it is a plateau until the heap can be read.
fn step(facts: &Facts, subject: &Subject) -> Answer {
    let share = 100.0 * subject.form.largest_jump.unwrap_or_default().min(1.0);
    let answer = size_fact(
        facts,
        subject,
        Answer::decided(
            VerdictKind::Plateau,
            STANDING,
            format!(
                "{} rose by {} at one stroke and is level since",
                subject.name,
                text::bytes(subject.series.delta())
            ),
        ),
    )
    .number(
        format!("One jump brought {share:.0} % of it; before and after it is level."),
        share,
        "%",
    );
    (looked::look(facts).into_iter().fold(answer, Answer::advise))
    .advise("If that memory was freed, malloc keeps it: malloc_trim(0) after the burst gives it back; so does a lower M_TRIM_THRESHOLD.")
    .advise("If it is a table or a cache that was loaded once, nothing needs to be done.")
}

/// Growth that ended, or whose end is in sight.
fn plateau(facts: &Facts, subject: &Subject) -> Answer {
    let late = 100.0 * subject.form.late_share.unwrap_or_default().max(0.0);
    let mut answer = size_fact(
        facts,
        subject,
        Answer::decided(
            VerdictKind::Plateau,
            STANDING,
            format!(
                "{} rose by {} and has stopped growing or soon will",
                subject.name,
                text::bytes(subject.series.delta())
            ),
        ),
    )
    .number(
        format!("The last 28 % of the record brought {late:.0} % of it."),
        late,
        "%",
    );
    if let Some(saturation) = subject.form.saturation {
        answer = answer.number(
            format!(
                "A curve that saturates with a time constant of {} ends at {}.",
                text::duration(saturation.tau),
                text::bytes(saturation.ceiling)
            ),
            saturation.ceiling,
            "bytes",
        );
    }
    answer.advise("A warm-up, a bounded cache or a pool. If it must be smaller, bound the cache; if it goes up again later, it was a pause.")
}

/// Ever slower, the end not in sight.
pub(super) fn decelerating(facts: &Facts, subject: &Subject, candidates: &[VerdictKind]) -> Answer {
    let ratio = 100.0 * subject.form.late_ratio.unwrap_or_default();
    let mut answer = rate_fact(
        facts,
        subject,
        Answer::open(
            candidates,
            format!(
                "{} still rises, but ever more slowly: its end is not in sight yet",
                subject.name
            ),
        ),
    )
    .number(
        format!("The last 40 % of the record rose at {ratio:.0} % of the mean rate."),
        ratio,
        "%",
    );
    let mut wanted = facts.record.seconds();
    if let Some(saturation) = subject.form.saturation {
        answer = answer.number(
            format!(
                "If it saturates, then at {} with a time constant of {}.",
                text::bytes(saturation.ceiling),
                text::duration(saturation.tau)
            ),
            saturation.ceiling,
            "bytes",
        );
        // An exponential is told from a line after three time constants.
        wanted = (3.0 * saturation.tau - facts.record.seconds()).max(wanted);
    }
    answer.advise(longer(facts, wanted))
}

/// Between two shapes.
pub(super) fn unclear(facts: &Facts, subject: &Subject, candidates: &[VerdictKind]) -> Answer {
    let headline = match subject.form.period {
        Some(period) => format!(
            "{} swings with a period of {} and its troughs rise, but there are too few of them to prove it",
            subject.name,
            text::duration(period)
        ),
        None if subject.fell() => format!(
            "{} rose and fell back on its way: whether it has stopped is not told from its noise",
            subject.name
        ),
        None => format!("{} rose in steps and may have stopped", subject.name),
    };
    let wanted = subject
        .form
        .period
        .map_or(facts.record.seconds(), |period| {
            (7.0 * period - facts.record.seconds()).max(period)
        });
    let answer = size_fact(facts, subject, Answer::open(candidates, headline));
    let answer = match (subject.form.period, subject.form.trough_slope) {
        (Some(_), Some(slope)) => answer.number(
            format!(
                "{} troughs rise by {}.",
                subject.form.troughs,
                text::rate(slope)
            ),
            slope,
            "bytes/s",
        ),
        _ if subject.fell() => {
            let fall = subject.series.deepest_fall();
            answer.number(
                format!("It fell by up to {} meanwhile.", text::bytes(fall)),
                fall,
                "bytes",
            )
        }
        _ => answer.number(
            format!("{} jumps so far.", subject.form.jumps),
            subject.form.jumps as f64,
            "jumps",
        ),
    };
    answer.advise(longer(facts, wanted))
}

/// With the wave that was taken off before the growth was judged.
pub(super) fn wave(wave: &Wave, answer: Answer) -> Answer {
    answer.number(
        format!(
            "A wave of {} with a period of about {} was taken off first: growth is that of what is left.",
            text::bytes(wave.height),
            text::duration(wave.period)
        ),
        wave.period,
        "s",
    )
}

/// Rising, the gate not passed.
pub(super) fn unproven(
    facts: &Facts,
    subject: &Subject,
    candidates: &[VerdictKind],
    missing: Missing,
) -> Answer {
    let grown = text::signed_bytes(subject.series.delta());
    let needs = |seconds| format!("; needs {} more", text::duration(seconds));
    let (why, wanted) = match missing {
        Missing::Time(seconds) => (format!(" so far{}", needs(seconds)), seconds),
        Missing::Growth(Some(seconds)) => {
            (format!(", too little to judge{}", needs(seconds)), seconds)
        }
        Missing::Growth(None) => (", too little to judge".to_owned(), facts.record.seconds()),
        Missing::Steadiness => (
            ", not steadily enough to say that it will go on".to_owned(),
            facts.record.seconds(),
        ),
    };
    let headline = format!(
        "It is too early to tell: {} moved by {grown}{why}",
        subject.name.to_lowercase()
    );
    rate_fact(facts, subject, Answer::open(candidates, headline)).advise(longer(facts, wanted))
}

/// Growth of many mappings that belong to nobody known.
pub(super) fn mappings(facts: &Facts, subject: &Subject) -> Answer {
    let count = crate::record::Track::ClassCount(memtide_model::MappingClass::Anon);
    let headline = format!(
        "Anonymous mappings are made and never unmapped: {} more",
        text::rate(rate_of(subject).per_second)
    );
    let answer = rate_fact(
        facts,
        subject,
        Answer::decided(VerdictKind::MmapLeak, STANDING, headline),
    )
    .number(
        format!(
            "Anonymous mappings {} in {}.",
            facts.ends(count),
            facts.time()
        ),
        facts.rate(count),
        "mappings/s",
    )
    .fact("No runtime and no allocator that keeps its heap in such mappings was found.".to_owned());
    let leading = facts
        .stacks
        .and_then(|stacks| stacks.leading(StackKind::Mapping));
    counted::with_stack(answer, leading)
        .advise(counted::unmap(facts, leading))
        .going_on()
}

/// Growth without an end in sight, the gate passed; from outside its cause stays open.
/// `parts` where live blocks were counted and did not decide.
pub(super) fn growing(
    facts: &Facts,
    subject: &Subject,
    candidates: &[VerdictKind],
    parts: Option<&Parts>,
) -> Answer {
    let rate = text::rate(rate_of(subject).per_second);
    let told = parts.map(|parts| counted::undecided(facts, subject, parts));
    let between = match (&told, subject.owner) {
        (Some((why, _)), _) => why,
        (None, Owner::FirstTouch) => "it may be a pool of fixed size that fills",
        (None, _) if !facts.record.heap.looks().is_empty() => {
            "the looks at its heap do not span enough of that to tell a leak from fragmentation"
        }
        (None, _) => "RSS alone does not tell a leak from fragmentation",
    };
    let mut answer = rate_fact(
        facts,
        subject,
        Answer::open(
            candidates,
            format!(
                "{} grows by {rate} and does not slow down; {between}",
                subject.name
            ),
        ),
    )
    .fact(steadiness(subject));
    if subject.owner == Owner::FirstTouch {
        answer = answer.fact(
            "The address space of these mappings does not grow: only pages of it are touched."
                .to_owned(),
        );
    }
    let advice = told.map_or_else(Vec::new, |(_, advice)| advice);
    for advice in advice.into_iter().chain(deciding(facts)) {
        answer = answer.advise(advice);
    }
    if let Some(parts) = parts {
        answer = looked::found(facts, counted::leading(facts, answer), parts.cause());
    }
    answer.going_on()
}

fn steadiness(subject: &Subject) -> String {
    let shape = subject.form.shape();
    match shape {
        Shape::RisingSawtooth => format!(
            "The troughs of its swings rise ({} of them).",
            subject.form.troughs
        ),
        Shape::Stairs => format!(
            "It rises in steps ({} of them) that go on.",
            subject.form.jumps
        ),
        _ => format!(
            "Its shape is {}: the last 40 % rose at {:.2} of the mean rate, and it rises in all parts of the record.",
            shape.words(),
            subject.form.late_ratio.unwrap_or(1.0)
        ),
    }
}

/// What would tell the candidates apart, with tools that exist.
fn deciding(facts: &Facts) -> Vec<String> {
    let target = &facts.observations.target;
    let pid = target.id.pid;
    let mut advice = runtimes::next_steps(target);
    advice.extend(looked::look(facts));
    advice.extend(counted::run_under_shim(facts));
    if facts.record.heap.looks().is_empty() {
        advice.push(format!(
            "On a copy that may be stopped for a moment: gdb -p {pid} -batch -ex 'call (int)malloc_trim(0)'; if RSS falls back, the memory was free."
        ));
    }
    // Five times as long a cache of any time constant that looks straight by now has slowed down.
    let wanted = (4.0 * facts.record.seconds()).max(600.0 - facts.record.seconds());
    let words = "Record longer, over low and high load, for a cache slows down in the end and a leak does not";
    advice.push(longer_because(facts, wanted, words));
    advice
}

/// With the growth of the subject as a fact, whose number is its rate.
pub(super) fn rate_fact(facts: &Facts, subject: &Subject, answer: Answer) -> Answer {
    rated_fact(facts, subject, rate_of(subject), answer)
}

/// The same with a rate that is known better than by the subject alone.
pub(super) fn rated_fact(facts: &Facts, subject: &Subject, slope: Slope, answer: Answer) -> Answer {
    let moved = moved(facts, subject);
    let fact = if slope.low < slope.high {
        format!(
            "{moved}, at {} (90 % interval {} to {}).",
            text::rate(slope.per_second),
            text::rate(slope.low),
            text::rate(slope.high)
        )
    } else {
        format!("{moved}.")
    };
    answer
        .number(fact, slope.per_second, "bytes/s")
        .within(slope.low, slope.high)
        .of_account(subject.account)
}

/// With the growth of the subject as a fact, for shapes that have no rate of their own.
pub(super) fn size_fact(facts: &Facts, subject: &Subject, answer: Answer) -> Answer {
    answer
        .number(
            format!("{}.", moved(facts, subject)),
            subject.series.delta(),
            "bytes",
        )
        .of_account(subject.account)
}

/// "The heap grew by 25 MiB in 47 s (4.1 MiB → 29 MiB)".
pub(super) fn moved(facts: &Facts, subject: &Subject) -> String {
    let (start, end) = (subject.series.start(), subject.series.end());
    let verb = if end < start { "shrank" } else { "grew" };
    format!(
        "{} {verb} by {} in {} ({} → {})",
        subject.name,
        text::bytes((end - start).abs()),
        facts.time(),
        text::bytes(start),
        text::bytes(end)
    )
}

/// The subject's rate; that of its ends where it is too short for one.
pub(super) fn rate_of(subject: &Subject) -> Slope {
    crate::trend::Trend::of_form(&subject.series, subject.form)
        .slope
        .unwrap_or_else(|| {
            let mean = subject.series.delta() / subject.series.span().max(1e-9);
            Slope {
                per_second: mean,
                low: mean,
                high: mean,
            }
        })
}
