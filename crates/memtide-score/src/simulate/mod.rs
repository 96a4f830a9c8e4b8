//! Series that nobody recorded, because nobody has a thousand processes of which it is known that they do
//! not leak: noise with a memory, tails of logarithms, random walks, waves of load, steps; and three days
//! of a process with a daily wave, with a slow leak and without.
//!
//! All memory lies in `[heap]`, and looks into it say that all of it is live: the hardest case, for
//! fragmentation cannot be the way out. Each series is also judged without looks.

mod kinds;
mod process;
mod slow;

use crate::manifest::is_leak;
use crate::markdown::Table;
use crate::measure::share::Share;
use crate::pool;
use kinds::{Kind, plan};
use memtide_model::VerdictKind;

/// Series of each kind but the first.
const EACH: usize = 250;
/// Series of noise with a memory.
const NOISES: usize = 1000;
/// Pairs of three days, with the leak and without.
const DAYS: usize = 100;

/// What was said of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Simulated {
    /// Its kind, in words.
    pub(crate) kind: &'static str,
    /// How long the noise remembers, as a share of the record; `None` for other kinds.
    pub(crate) tau: Option<f64>,
    /// True if it has a leak.
    pub(crate) leaks: bool,
    /// True if it is the same as one with a leak, without it.
    pub(crate) twin: bool,
    /// The answer with looks that find all live.
    pub(crate) looked: VerdictKind,
    /// The answer without looks.
    pub(crate) unlooked: VerdictKind,
    /// The first candidate without looks.
    pub(crate) first: VerdictKind,
    /// Confidence with looks.
    pub(crate) confidence: f64,
}

/// All of them; the same for the same seed.
pub(crate) fn run(seed: u64) -> Vec<Simulated> {
    let kinds = plan(NOISES, EACH);
    let items: Vec<(u64, Kind)> = (seed << 20..).zip(kinds).collect();
    let mut all = pool::map(&items, pool::processors(), |(seed, kind)| {
        kinds::judge(*seed, *kind)
    });
    let days: Vec<u64> = (0..DAYS as u64)
        .map(|k| (seed << 20) + (1 << 19) + k)
        .collect();
    all.extend(
        pool::map(&days, pool::processors(), |seed| slow::judge(*seed))
            .into_iter()
            .flatten(),
    );
    all
}

/// One row for each kind.
pub(crate) fn table(all: &[Simulated]) -> String {
    let mut table = Table::new(&[
        "series",
        "called a leak, looks find all live",
        "called a leak, no looks",
        "undetermined, looks find all live",
        "no growth, looks find all live",
        "no looks: leak is the first candidate",
    ]);
    let mut rows: Vec<(&str, Option<f64>)> = Vec::new();
    for one in all {
        if !rows.contains(&(one.kind, one.tau)) {
            rows.push((one.kind, one.tau));
        }
    }
    for (kind, tau) in rows {
        let here: Vec<&Simulated> = (all.iter())
            .filter(|one| (one.kind, one.tau) == (kind, tau))
            .collect();
        let count = |is: fn(&Simulated) -> bool| Share::count(&here, |one| is(one)).to_string();
        table.row([
            tau.map_or_else(|| kind.to_owned(), |tau| format!("{kind}, tau/T {tau}")),
            count(|one| is_leak(one.looked)),
            count(|one| is_leak(one.unlooked)),
            count(|one| one.looked == VerdictKind::Undetermined),
            count(|one| one.looked == VerdictKind::NoGrowth),
            count(|one| is_leak(one.first)),
        ]);
    }
    table.text()
}
