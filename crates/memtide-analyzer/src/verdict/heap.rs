//! Stage 2: heap and anonymous memory, by shape.
//!
//! The sum of anonymous memory is looked at first; where it swings, each class alone, because a leak
//! of 150 to 400 KB/s under a sawtooth of 24 MB is invisible in the sum and plain in its own class.
//! What rises without an end in sight is never called a leak here: the answer is open until the heap
//! is read. Two exceptions are decided: many anonymous mappings that no allocator or runtime can own are
//! a leak of mappings, and level shapes are what they are. Where the preload shim counted live blocks, or
//! looks into the heap saw them, what the growth consists of decides ([`super::split`]).

use super::answer::{Answer, Standing};
use super::apart::Apart;
use super::counted;
use super::culprit;
use super::facts::Facts;
use super::gate::{self, Missing};
use super::limit;
use super::looked;
use super::split::{By, Cause, Parts};
use super::told;
use super::words;
use crate::record::Track;
use crate::snapshots::Look;
use crate::statistics::wave::{self, Wave};
use crate::statistics::{Series, blocks};
use crate::thresholds::{
    ANON_MAPPINGS, CLASS_SHARE, FIRST_TOUCH_SHARE, HIDDEN_EVEN, HIDDEN_JUMP, HIDDEN_SLOWING,
    LOOKS_THAT_LEAD, MATERIAL_BYTES, PLATEAU_FALL, TEETH, TOOTH_FALL,
};
use crate::trail::{Trail, is_shaped};
use crate::trend::{self, Form};
use memtide_model::{Account, MappingClass, Shape, Stage, Unit, VerdictKind};

/// The series that the answer is about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// It.
    pub(super) series: Series,
    /// Its form.
    pub(super) form: Form,
    /// The account that it belongs to.
    pub(super) account: Account,
    /// Its name in a sentence, capitalised.
    pub(super) name: &'static str,
    /// Whose growth it is.
    pub(super) owner: Owner,
    /// The class of mappings that was judged alone; `None` for all anonymous memory.
    pub(super) class: Option<MappingClass>,
}

impl Subject {
    /// True of a rise that fell back on its way by more than tells a plateau from a line.
    pub(super) fn fell(&self) -> bool {
        self.series.deepest_fall() > PLATEAU_FALL * self.series.delta()
    }
}

/// Who can own the growth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The malloc heap.
    Heap,
    /// Anonymous mappings: direct ones, or malloc's large blocks, or a runtime.
    Anon,
    /// A mapping of fixed size that is being touched.
    FirstTouch,
    /// Many anonymous mappings of nobody known.
    Mappings,
}

/// The answer by shape. `rest` is what load leaves of anonymous memory, where load plays a part.
pub(super) fn decide(facts: &Facts, rest: Option<Series>, trail: &mut Trail) -> Answer {
    let at_equal_load = rest.is_some();
    let sum = rest.unwrap_or_else(|| facts.series(Track::Anon));
    let owner = whose(facts, trail);
    let form = trend::form_told(&sum, facts.material, trail);
    let mut told = trail.pass(
        Stage::Shape,
        question(at_equal_load),
        &is_shaped(form.shape()),
    );
    let hidden = (!at_equal_load)
        .then(|| hidden_class(facts, &sum, form.shape(), trail))
        .flatten();
    let wave = (hidden.is_none())
        .then(|| waved(facts, &sum, &form, trail))
        .flatten();
    if hidden.is_some() || wave.is_some() {
        told = trail.last_of(Stage::Shape).unwrap_or(told);
    }
    let whole = hidden.unwrap_or_else(|| visible(facts, sum, form, owner));
    let (subject, parts) = if let Some((wave, form)) = &wave {
        beside_wave(facts, &whole, wave, *form)
    } else {
        let parts = Parts::of(facts, &whole);
        (whole, parts)
    };
    // Live blocks are no bloat, however many arenas they lie in.
    let live = parts.is_some_and(|parts| parts.cause() == Cause::Live);
    let arenas = super::threads::arenas(facts, subject.form.shape(), trail);
    if live && arenas.is_some() {
        trail.note("Its blocks are live, which is no bloat.");
    }
    let arenas = arenas.filter(|_| !live);
    trail.answer(
        Stage::Shape,
        "Do many arenas carry it, and none of them most?",
        arenas.as_ref(),
    );
    if let Some(answer) = arenas {
        return looked::found(facts, answer, Cause::Kept);
    }
    let mut answer = by_shape(facts, &subject, parts.as_ref(), trail);
    if let Some((wave, _)) = &wave {
        answer = words::wave(wave, answer);
    }
    if let Some(parts) = parts.filter(|_| answer.standing != Standing::Measured) {
        answer = counted::fact(&parts, narrowed(answer, parts.cause()));
    }
    conclude(told, &answer, trail);
    if answer.goes_on {
        answer.apart = Apart::of(&subject, wave.is_some() || at_equal_load);
        culprit::told(facts, &subject, answer)
    } else {
        answer
    }
}

/// Marks the step that the answer comes from: live blocks where they decided or left it open, the gate, or
/// the shape, whose step is `told`.
fn conclude(told: usize, answer: &Answer, trail: &mut Trail) {
    let live = trail.last_of(Stage::Live);
    let step = match answer.standing {
        Standing::Measured => live,
        Standing::Open => live.or(trail.last_of(Stage::Gate)),
        Standing::Shaped | Standing::Counted => trail.last_of(Stage::Gate),
    };
    trail.conclude(step.unwrap_or(told), answer);
}

/// What the first step of this stage asks.
const fn question(of_rest: bool) -> &'static str {
    if of_rest {
        "How does the rest of anonymous memory move?"
    } else {
        "How does anonymous memory move?"
    }
}

/// The wave under which the sum grows, and the form of what is left, where that alone passes the gate.
fn waved(facts: &Facts, sum: &Series, form: &Form, trail: &mut Trail) -> Option<(Wave, Form)> {
    let proven = |series: &Series, form: &Form| {
        let unheard = &mut Trail::unheard();
        form.is_unbounded() && gate::missing(facts, series, form, unheard).is_none()
    };
    if form.shape() == Shape::Flat || proven(sum, form) {
        return None;
    }
    let wave = wave::under_growth(sum)?;
    trail.tell("period of the wave", wave.period, Unit::Seconds);
    trail.tell("its height", wave.height, Unit::Bytes);
    let form = trend::form_told(&wave.rest, facts.material, trail);
    let steady = matches!(form.shape(), Shape::Linear | Shape::Accelerating);
    let passes = steady && proven(&wave.rest, &form);
    let decision = if passes {
        "It is taken off, and what is left is judged."
    } else {
        "What is left does not pass the gate by itself: the whole is judged."
    };
    trail.note(is_shaped(form.shape()));
    trail.pass(
        Stage::Shape,
        "How does it move beside a wave that comes again and again?",
        decision,
    );
    passes.then_some((wave, form))
}

/// The subject without its wave, and the parts of its growth. What the wave did between the looks, or to the shim's
/// sums from end to end, is not known to be live or kept: it is an error of the shares.
fn beside_wave(
    facts: &Facts,
    whole: &Subject,
    wave: &Wave,
    form: Form,
) -> (Subject, Option<Parts>) {
    let subject = Subject {
        series: wave.rest.clone(),
        form,
        ..whole.clone()
    };
    let height = |t: f64| Some(whole.series.at(t)? - subject.series.at(t)?);
    let mut parts = Parts::of(facts, &subject);
    if let Some(parts) = &mut parts {
        let looks = facts.record.heap.looks();
        let moments = match parts.by {
            By::Shim => subject.series.t.first().zip(subject.series.t.last()),
            By::Looks { .. } => None,
        };
        let moments = moments.map(|(first, last)| (*first, *last)).or_else(|| {
            let second = |look: &Look| facts.record.second_of(look.at);
            Some((second(looks.first()?), second(looks.last()?)))
        });
        let moved = moments.and_then(|(first, last)| Some(height(last)? - height(first)?));
        parts.error += moved.unwrap_or(wave.height).abs() / parts.grown;
    }
    (subject, parts)
}

/// Without the candidates that live blocks rule out.
fn narrowed(mut answer: Answer, cause: Cause) -> Answer {
    use VerdictKind::{Fragmentation, HeapLeak, MmapLeak, Retention};
    let out: &[VerdictKind] = match cause {
        Cause::Live => &[Fragmentation, Retention, MmapLeak],
        Cause::Kept => &[HeapLeak, MmapLeak],
        Cause::Mapped | Cause::Mixed => &[],
    };
    let all_out = answer.candidates.iter().all(|kind| out.contains(kind));
    if answer.standing == Standing::Open && !all_out {
        answer.candidates.retain(|kind| !out.contains(kind));
    }
    answer
}

fn by_shape(facts: &Facts, subject: &Subject, parts: Option<&Parts>, trail: &mut Trail) -> Answer {
    use VerdictKind::{Fragmentation, HeapLeak, NoGrowth, Plateau, Retention};
    match subject.form.shape() {
        Shape::Flat if creeps(subject, trail) => {
            words::creeping(facts, subject, &[NoGrowth, HeapLeak, Plateau])
        }
        Shape::Flat | Shape::Fluctuating => {
            let level = counted::hidden(facts, words::level(facts, subject));
            looked::level(facts, level)
        }
        Shape::Sawtooth => words::sawtooth(subject),
        Shape::Step | Shape::Plateau => stopped(facts, subject, parts, trail),
        Shape::Decelerating => told::live(parts, trail, |parts, trail| {
            counted::slowing(facts, subject, parts, trail)
        })
        .unwrap_or_else(|| {
            let candidates = [Plateau, HeapLeak, Fragmentation, Retention];
            words::decelerating(facts, subject, &candidates)
        }),
        Shape::Unclear => words::unclear(facts, subject, unclear(facts, subject)),
        Shape::Linear | Shape::Accelerating | Shape::Stairs | Shape::RisingSawtooth => {
            growth(facts, subject, parts, trail)
        }
    }
}

/// Growth that ended: at a limit, in freed memory that is kept, or of itself.
fn stopped(facts: &Facts, subject: &Subject, parts: Option<&Parts>, trail: &mut Trail) -> Answer {
    let met = limit::met(facts, subject, parts, trail);
    let question = "Did it stop where a limit is used up?";
    trail.answer(Stage::Shape, question, met.as_ref());
    let kept = told::live(parts, trail, |parts, trail| {
        (met.is_none())
            .then(|| counted::ended(facts, subject, parts, trail))
            .flatten()
    });
    met.or(kept).unwrap_or_else(|| words::ended(facts, subject))
}

/// What is not told from its swings, likeliest first. Few swings are no sawtooth yet, and a leak only where looks
/// say so as well.
fn unclear(facts: &Facts, subject: &Subject) -> &'static [VerdictKind] {
    use VerdictKind::{Fragmentation, HeapLeak, NoGrowth, Plateau, Sawtooth};
    let (swings, leads) = (subject.form.period.is_some(), more_at_every_look(facts));
    match (swings, subject.fell()) {
        (true, _) if subject.form.falls >= TEETH => &[Sawtooth, HeapLeak, Fragmentation, NoGrowth],
        (true, _) if leads => &[HeapLeak, Sawtooth, Fragmentation, NoGrowth],
        (true, _) => &[NoGrowth, HeapLeak, Sawtooth, Fragmentation],
        (false, true) if leads => &[HeapLeak, Plateau, NoGrowth, Fragmentation],
        (false, true) => &[Plateau, NoGrowth, HeapLeak, Fragmentation],
        (false, false) => &[Plateau, HeapLeak, Fragmentation],
    }
}

/// True if each of [`LOOKS_THAT_LEAD`] looks or more found more live bytes than the one before, and the last materially more than
/// the first. It chooses what is named first and decides nothing: of random walks, all of which is live, one of eight does
/// so at four looks.
fn more_at_every_look(facts: &Facts) -> bool {
    let looks = facts.record.heap.looks();
    let rise = looks.windows(2).all(|pair| pair[0].live < pair[1].live);
    let grown = |first: &Look, last: &Look| last.live - first.live >= facts.record.gate_material();
    let ends = looks.first().zip(looks.last());
    looks.len() >= LOOKS_THAT_LEAD && rise && ends.is_some_and(|(first, last)| grown(first, last))
}

fn growth(facts: &Facts, subject: &Subject, parts: Option<&Parts>, trail: &mut Trail) -> Answer {
    use VerdictKind::{Fragmentation, HeapLeak, MmapLeak, NoGrowth, Plateau, Sawtooth};
    let candidates: &[VerdictKind] = match subject.owner {
        Owner::Heap => &[HeapLeak, Fragmentation, Plateau],
        Owner::Anon => &[HeapLeak, MmapLeak, Fragmentation, Plateau],
        Owner::FirstTouch => &[Plateau, HeapLeak, MmapLeak],
        Owner::Mappings => &[MmapLeak, HeapLeak],
    };
    let missing = gate::missing(facts, &subject.series, &subject.form, trail);
    told::gate(missing, trail);
    match missing {
        Some(Missing::Steadiness) => {
            let mut more = candidates.to_vec();
            if subject.series.deepest_fall() >= TOOTH_FALL * subject.series.range() {
                more.insert(1, Sawtooth);
            }
            more.push(NoGrowth);
            words::unproven(facts, subject, &more, Missing::Steadiness)
        }
        Some(missing) => words::unproven(facts, subject, candidates, missing),
        None => told::live(parts, trail, |parts, _| {
            counted::growing(facts, subject, parts)
        })
        .unwrap_or_else(|| match subject.owner {
            Owner::Mappings => words::mappings(facts, subject),
            _ => words::growing(facts, subject, candidates, parts),
        }),
    }
}

/// Less than is material, but rising in all six blocks: a large process that grows slowly.
fn creeps(subject: &Subject, trail: &mut Trail) -> bool {
    let creeps = trail.at_least(
        "growth",
        subject.series.delta(),
        Unit::Bytes,
        MATERIAL_BYTES,
    ) && blocks::all_rise_told(&subject.series, Unit::Bytes, trail);
    if creeps {
        trail.pass(Stage::Shape, "Does it creep up all the same?", "Yes.");
    } else {
        trail.forget();
    }
    creeps
}

/// A class that grows steadily while the sum of anonymous memory swings: its swings are another
/// class's, and would spoil the rate.
fn hidden_class(facts: &Facts, sum: &Series, shape: Shape, trail: &mut Trail) -> Option<Subject> {
    let level = matches!(shape, Shape::Sawtooth | Shape::Fluctuating | Shape::Flat);
    let spoilt = shape.is_unbounded() || matches!(shape, Shape::Unclear | Shape::Decelerating);
    if !level && !spoilt {
        return None;
    }
    let classes = [MappingClass::Heap, MappingClass::Arena, MappingClass::Anon];
    classes.into_iter().find_map(|class| {
        let anon = class == MappingClass::Anon;
        let series = facts.series(Track::ClassRss(class));
        let delta = series.delta();
        if delta <= facts.material || anon && shape != Shape::Flat {
            return None;
        }
        let form = trend::form_told(&series, facts.material, trail);
        let even = form
            .late_ratio
            .is_some_and(|ratio| HIDDEN_EVEN.contains(&ratio))
            && form.largest_jump.is_some_and(|jump| jump < HIDDEN_JUMP);
        let steady = matches!(form.shape(), Shape::Linear | Shape::Stairs) && even;
        let slowing = form.shape() == Shape::Decelerating
            && delta > HIDDEN_SLOWING * facts.record.median_rss();
        let found = if level {
            steady || slowing
        } else {
            steady && swings(facts, sum, &series)
        };
        if !found {
            trail.forget();
            return None;
        }
        let question = format!(
            "How does {} move alone, while the whole swings?",
            class.name()
        );
        trail.pass(Stage::Shape, &question, &is_shaped(form.shape()));
        Some(Subject {
            series,
            form,
            account: class.account(),
            name: if anon { "Anonymous memory" } else { "The heap" },
            owner: if anon { Owner::Anon } else { Owner::Heap },
            class: Some(class),
        })
    })
}

/// True if what is left of the sum without one class only goes up and down.
fn swings(facts: &Facts, sum: &Series, class: &Series) -> bool {
    let rest = Series::of(sum.paired(class).map(|(t, sum, class)| (t, sum - class)));
    trend::form(&rest, facts.material).period.is_some()
}

/// Who can own the growth of anonymous memory, by the classes that carry it.
fn whose(facts: &Facts, trail: &mut Trail) -> Owner {
    let carried = facts.delta(Track::ClassRss(MappingClass::Anon));
    let grown = facts.anon;
    let material = trail.above(
        "growth of anonymous memory",
        grown,
        Unit::Bytes,
        facts.material,
    );
    let name = "growth of anonymous mappings";
    let by_anon = material && trail.above(name, carried, Unit::Bytes, CLASS_SHARE * grown);
    let owner = if by_anon {
        anon_owner(facts, carried, trail)
    } else {
        Owner::Heap
    };
    if material {
        told::owner(facts, owner, trail);
    } else {
        trail.forget();
    }
    owner
}

/// The sum, as what it is called.
fn visible(facts: &Facts, sum: Series, form: Form, owner: Owner) -> Subject {
    let known = !facts.series(Track::ClassRss(MappingClass::Anon)).is_empty();
    let of_heap = owner == Owner::Heap && known;
    Subject {
        series: sum,
        form,
        account: if of_heap {
            Account::Heap
        } else {
            Account::Anon
        },
        name: if of_heap {
            "The heap"
        } else {
            "Anonymous memory"
        },
        owner,
        class: None,
    }
}

/// Who can own growth of anonymous mappings.
fn anon_owner(facts: &Facts, carried: f64, trail: &mut Trail) -> Owner {
    let space = facts.delta(Track::ClassSize(MappingClass::Anon));
    let touched = "fixed size: growth of address space";
    if trail.below(touched, space, Unit::Bytes, FIRST_TOUCH_SHARE * carried) {
        return Owner::FirstTouch;
    }
    let count = Track::ClassCount(MappingClass::Anon);
    let target = &facts.observations.target;
    let nobody = target.runtime == "none" && target.allocator.starts_with("glibc");
    if nobody && (facts.count("their number", count, ANON_MAPPINGS, trail)).sustained {
        Owner::Mappings
    } else {
        Owner::Anon
    }
}

/// Standing of what shapes decide.
pub(super) const STANDING: Standing = Standing::Shaped;
