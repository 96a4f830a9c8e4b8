//! Who asked for the memory: call stacks in order, each with its growth, rate and leak score.
//!
//! The list leads with what grows and goes on growing, by growth; then what grew and stopped, or did
//! not grow; last what is suppressed. It holds [`MOST_STACKS`] rows; the sums count all of them.
//!
//! Stacks of descendants, and of the programs that the process was before an exec, stand in the same
//! list. They are no part of the process's memory: their share is of what such stacks grew by.

mod course;
mod place;
pub(crate) mod suppressions;

pub(crate) use place::site;

use crate::record::last_exec;
use crate::thresholds::{LEADING_SHARE, MOST_MOMENTS, MOST_STACKS};
use course::{Course, Moments, leak_score};
use memtide_model::report::{Allocations, StackRow};
use memtide_model::{
    Bytes, CodePlace, HeapMode, Observations, StackHistory, StackKind, StackObservations,
    StackOwner, StackTotals,
};
use std::cmp::Reverse;
use std::collections::HashMap;
use suppressions::Suppressions;

/// The stacks of a recording, judged.
#[derive(Clone, Debug)]
pub struct Stacks {
    /// The foremost, in order.
    pub(crate) listed: Vec<Listed>,
    /// The sums over all.
    pub(crate) allocations: Allocations,
    /// Samples behind the live bytes of the target's heap; `None` in full mode.
    pub(crate) live_samples: Option<u64>,
}

/// A stack of the list.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// As the report shows it.
    pub(crate) row: StackRow,
    /// Growth of its live blocks.
    pub(crate) grown_blocks: f64,
}

/// A stack before the list is cut.
struct Candidate<'a> {
    history: &'a StackHistory,
    course: Course,
    suppression: Option<usize>,
}

impl Stacks {
    /// The stacks of these observations; `None` where the preload shim did not look.
    pub(crate) fn of(observations: &Observations, suppressions: &Suppressions) -> Option<Self> {
        let stacks = observations.stacks.as_ref()?;
        let totals = totals(observations, stacks);
        let moments = Moments::of(
            totals.iter().map(|totals| totals.at),
            stacks.ended,
            MOST_MOMENTS,
        );
        let mut suppressed = Suppressed::new(suppressions, stacks);
        let mut candidates: Vec<Candidate> = (stacks.stacks.iter())
            .zip(courses(stacks, &moments))
            .map(|(history, course)| Candidate {
                history,
                course,
                suppression: suppressed.of(history),
            })
            .collect();
        let allocations = allocations(stacks, totals.last().copied(), &candidates);
        let grown = Grown::of(&totals, &moments, &candidates);
        sort(&mut candidates);
        let listed = (candidates.iter().take(MOST_STACKS))
            .map(|candidate| Listed {
                row: row(candidate, stacks, &grown, &moments, suppressions),
                grown_blocks: candidate.course.blocks,
            })
            .collect();
        Some(Self {
            listed,
            allocations,
            live_samples: live_samples(stacks),
        })
    }

    /// The foremost stack of that kind that grew, of the target, without those that are suppressed.
    pub(crate) fn leading(&self, kind: StackKind) -> Option<&Listed> {
        self.listed.iter().find(|listed| {
            let row = &listed.row;
            row.kind == kind
                && row.owner == StackOwner::Target
                && row.suppressed.is_none()
                && row.growth_bytes > 0
        })
    }
}

/// The target's totals in order of time, after its last exec.
fn totals<'a>(observations: &Observations, stacks: &'a StackObservations) -> Vec<&'a StackTotals> {
    let exec = last_exec(observations);
    let mut totals: Vec<&StackTotals> = (stacks.totals.iter())
        .filter(|totals| exec.is_none_or(|exec| totals.at > exec))
        .collect();
    totals.sort_by_key(|totals| totals.at);
    totals
}

/// The course of every stack. Of those without a history the least that is known: they moved by no
/// more than the stack that moved least of those that have one; where none has, they came from nothing.
fn courses(stacks: &StackObservations, moments: &Moments) -> Vec<Course> {
    let known: Vec<Option<Course>> = (stacks.stacks.iter())
        .map(|history| Course::of(history, moments))
        .collect();
    let least = (known.iter().flatten().map(|course| course.range)).reduce(f64::min);
    (known.into_iter().zip(&stacks.stacks))
        .map(|(course, history)| {
            course.unwrap_or_else(|| Course::unknown(&history.last, least.unwrap_or(f64::INFINITY)))
        })
        .collect()
}

/// Those that grow first; see the module.
fn sort(candidates: &mut [Candidate]) {
    let greatest = (candidates.iter().map(|c| c.course.growth)).fold(0.0, f64::max);
    candidates.sort_by_cached_key(|candidate| {
        let course = &candidate.course;
        let leads = course.goes_on && course.growth >= LEADING_SHARE * greatest;
        (
            candidate.suppression.is_some(),
            !leads,
            Reverse(whole(course.growth)),
            Reverse(candidate.history.last.live_bytes()),
        )
    });
}

/// What all live bytes of an owner grew by.
struct Grown {
    target: f64,
    others: f64,
}

impl Grown {
    fn of(totals: &[&StackTotals], moments: &Moments, candidates: &[Candidate]) -> Self {
        let sum = |owner| {
            (candidates.iter().filter(|c| c.history.stack.owner == owner))
                .map(|candidate| candidate.course.growth)
                .sum()
        };
        let live: Vec<f64> = (totals.iter())
            .take_while(|totals| moments.end().is_none_or(|end| totals.at <= end))
            .map(|totals| totals.live_bytes.as_f64() + totals.mapping_bytes.as_f64())
            .collect();
        Self {
            target: if live.is_empty() {
                sum(StackOwner::Target)
            } else {
                moments.growth(&live)
            },
            others: sum(StackOwner::Others),
        }
    }

    fn share(&self, owner: StackOwner, growth: f64) -> Option<f64> {
        let all = match owner {
            StackOwner::Target => self.target,
            StackOwner::Others => self.others,
        };
        (all > 0.0).then(|| growth / all)
    }
}

/// Which suppression names a stack. Places are looked up once, however many stacks go through them.
struct Suppressed<'a> {
    suppressions: &'a Suppressions,
    stacks: &'a StackObservations,
    known: HashMap<CodePlace, Option<usize>>,
}

impl<'a> Suppressed<'a> {
    fn new(suppressions: &'a Suppressions, stacks: &'a StackObservations) -> Self {
        Self {
            suppressions,
            stacks,
            known: HashMap::new(),
        }
    }

    fn of(&mut self, history: &StackHistory) -> Option<usize> {
        if self.suppressions.is_empty() {
            return None;
        }
        let (suppressions, stacks) = (self.suppressions, self.stacks);
        (history.stack.frames.iter())
            .filter_map(|&place| {
                *self.known.entry(place).or_insert_with(|| {
                    (place::of_place(place, stacks).iter())
                        .filter_map(|frame| suppressions.index(frame))
                        .min()
                })
            })
            .min()
    }
}

fn row(
    candidate: &Candidate,
    stacks: &StackObservations,
    grown: &Grown,
    moments: &Moments,
    suppressions: &Suppressions,
) -> StackRow {
    let StackHistory { stack, last, .. } = candidate.history;
    let growth = candidate.course.growth;
    let slope = candidate.course.slope();
    StackRow {
        kind: stack.kind,
        owner: stack.owner,
        end: stack.end,
        live_bytes: last.live_bytes(),
        live_blocks: last.live_blocks(),
        peak_bytes: last.peak_bytes,
        allocs: last.allocs,
        frees: last.frees,
        growth_bytes: whole(growth),
        growth_share: grown.share(stack.owner, growth),
        bytes_per_second: slope.map(|slope| slope.per_second),
        low: slope.map(|slope| slope.low),
        high: slope.map(|slope| slope.high),
        leak_score: leak_score(candidate.history, stacks.mode, moments),
        never_freed: stacks.ended && is_heap_of_target(candidate.history) && last.live_blocks() > 0,
        suppressed: (candidate.suppression)
            .and_then(|index| suppressions.written(index))
            .map(str::to_owned),
        samples: (stacks.mode == HeapMode::Sampled).then_some(last.samples),
        frames: place::frames(stack, stacks),
    }
}

/// Blocks of the process that was started. What its mappings hold the kernel takes back at its end, and
/// of its descendants the end was not seen.
fn is_heap_of_target(history: &StackHistory) -> bool {
    history.stack.kind == StackKind::Heap && history.stack.owner == StackOwner::Target
}

fn allocations(
    stacks: &StackObservations,
    last: Option<&StackTotals>,
    candidates: &[Candidate],
) -> Allocations {
    let all = last.copied().unwrap_or_else(|| summed(stacks));
    let (mut blocks, mut bytes, mut suppressed) = (0_u64, 0_u64, 0_u64);
    for candidate in candidates.iter().filter(|c| is_heap_of_target(c.history)) {
        let counters = &candidate.history.last;
        if candidate.suppression.is_some() {
            suppressed = suppressed.saturating_add(counters.live_bytes());
        } else {
            blocks = blocks.saturating_add(counters.live_blocks());
            bytes = bytes.saturating_add(counters.live_bytes());
        }
    }
    Allocations {
        mode: stacks.mode,
        interval_bytes: stacks.interval.0,
        allocs: all.allocs,
        allocated_bytes: all.allocated_bytes.0,
        live_bytes: all.live_bytes.0,
        live_blocks: all.live_blocks,
        mapping_bytes: all.mapping_bytes.0,
        peak_bytes: all.peak_bytes.0,
        stacks: stacks.stacks.len() as u64,
        never_freed_blocks: stacks.ended.then_some(blocks),
        never_freed_bytes: stacks.ended.then_some(bytes),
        suppressed_bytes: suppressed,
        lost: stacks.lost,
    }
}

/// The totals where none were recorded: the sums of the stacks themselves.
fn summed(stacks: &StackObservations) -> StackTotals {
    let mut all = StackTotals::default();
    let mine = |history: &&StackHistory| history.stack.owner == StackOwner::Target;
    for history in stacks.stacks.iter().filter(mine) {
        let last = &history.last;
        let live = Bytes(last.live_bytes());
        match history.stack.kind {
            StackKind::Heap => {
                all.live_bytes += live;
                all.live_blocks = all.live_blocks.saturating_add(last.live_blocks());
                all.allocs = all.allocs.saturating_add(last.allocs);
                all.allocated_bytes += Bytes(last.bytes);
            }
            StackKind::Mapping => all.mapping_bytes += live,
        }
        all.peak_bytes += Bytes(last.peak_bytes);
    }
    all
}

/// Samples whose blocks live in the target's heap.
fn live_samples(stacks: &StackObservations) -> Option<u64> {
    (stacks.mode == HeapMode::Sampled).then(|| {
        (stacks
            .stacks
            .iter()
            .filter(|history| is_heap_of_target(history)))
        .map(|history| {
            history
                .last
                .samples
                .saturating_sub(history.last.freed_samples)
        })
        .fold(0, u64::saturating_add)
    })
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sizes of memory are far below 2^63, and the cast saturates"
)]
fn whole(bytes: f64) -> i64 {
    bytes.round() as i64
}
