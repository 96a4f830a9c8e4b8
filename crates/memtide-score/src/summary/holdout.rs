//! What the confidences would be worth if they had been fitted without the program that they judge.
//!
//! Of the engine only its table of confidences is fitted. Here it is fitted anew, once for each
//! program, on all the others, and judged on the one that was left out with all its parameterizations:
//!
//! * *isotonic*: a rising step function of the engine's own confidence;
//! * *table*: the share right by standing and agreement, drawn towards that of the standing by two answers,
//!   and that towards the share of all by two;
//! * *logistic*: the engine's own form, a weight for each standing, for each shorter part that agrees and for the
//!   number of samples, fitted to all answers that name a cause;
//! * *constant*: the share right of all, which knows nothing.
//!
//! And how steady the figures are: programs are cut into halves at random, again and again; the spread
//! of the difference between halves is what chance in the choice of programs makes.

use super::view::{Right, View};
use crate::answer::{Answer, Basis};
use crate::markdown::Table;
use crate::measure::calibration::{Outcome, brier, ece};
use crate::measure::isotonic::Steps;
use crate::measure::logistic::Logistic;
use crate::measure::share::Share;
use crate::random::Random;
use memtide_analyzer::statistics::quantile::quantile;
use memtide_analyzer::thresholds::{AGREEMENT_WEIGHT, ENOUGH_SAMPLES, SHORTER, STANDINGS};
use std::collections::{BTreeMap, BTreeSet};

/// Weight of what is drawn to, in answers.
const DRAWN: f64 = 2.0;
/// Times that programs are cut into halves.
const HALVINGS: usize = 1000;

/// The confidences of all answers, as fitted on the other programs.
fn left_out(view: &View<'_>, right: Right, fit: impl Fn(&View<'_>) -> Fitted) -> Vec<Outcome> {
    let view = view.named();
    let mut outcomes = Vec::new();
    for program in programs(&view) {
        let fitted = fit(&view.only(|answer| answer.program != program));
        let here = view.only(|answer| answer.program == program);
        outcomes.extend(here.answers.iter().map(|answer| Outcome {
            confidence: fitted.confidence(answer),
            right: right.is(answer),
        }));
    }
    outcomes
}

/// Names of the programs.
fn programs(view: &View<'_>) -> BTreeSet<String> {
    view.answers
        .iter()
        .map(|answer| answer.program.clone())
        .collect()
}

/// A way to come by a confidence.
enum Fitted {
    Engine,
    Isotonic(Steps),
    Table(Cells),
    Logistic(Option<Logistic>),
    Constant(f64),
}

/// What the log odds of the engine's form are a sum of, in the order of its weights.
const TERMS: [&str; 6] = [
    "counted",
    "measured",
    "shaped",
    "open",
    "each shorter part that agrees",
    "ln of samples",
];

/// The values of [`TERMS`] for an answer.
fn terms(answer: &Answer) -> Vec<f64> {
    let standing = answer.basis.map_or("", |basis| basis.standing);
    let agreeing = answer.basis.map_or(0, |basis| basis.agreeing);
    let against = SHORTER.len().saturating_sub(agreeing) as f64;
    let fullness = (answer.samples as f64).clamp(1.0, ENOUGH_SAMPLES) / ENOUGH_SAMPLES;
    let (standings, _) = TERMS.split_at(STANDINGS.len());
    let is = |name: &&str| f64::from(u8::from(**name == *standing));
    let standings = standings.iter().map(is);
    standings.chain([-against, fullness.ln()]).collect()
}

fn logistic(view: &View<'_>, right: Right) -> Option<Logistic> {
    let point = |answer: &&Answer| (terms(answer), right.is(answer));
    Logistic::fit(&view.answers.iter().map(point).collect::<Vec<_>>())
}

impl Fitted {
    fn confidence(&self, answer: &Answer) -> f64 {
        match self {
            Self::Engine => answer.confidence,
            Self::Isotonic(steps) => steps.at(answer.confidence),
            Self::Table(cells) => cells.of(answer.basis),
            Self::Logistic(fitted) => {
                (fitted.as_ref()).map_or(0.0, |fitted| fitted.at(&terms(answer)))
            }
            Self::Constant(share) => *share,
        }
    }
}

/// Shares right by basis.
#[derive(Clone, Debug, Default)]
struct Cells {
    all: Share,
    standings: BTreeMap<&'static str, Share>,
    bases: BTreeMap<Basis, Share>,
}

impl Cells {
    fn fit(view: &View<'_>, right: Right) -> Self {
        let mut found = Self::default();
        for answer in &view.answers {
            let hit = usize::from(right.is(answer));
            let add = |share: &mut Share| {
                share.hits += hit;
                share.of += 1;
            };
            add(&mut found.all);
            if let Some(basis) = answer.basis {
                add(found.standings.entry(basis.standing).or_default());
                add(found.bases.entry(basis).or_default());
            }
        }
        found
    }

    fn of(&self, basis: Option<Basis>) -> f64 {
        let Some(basis) = basis else {
            return self.all.value();
        };
        let standing = self
            .standings
            .get(basis.standing)
            .copied()
            .unwrap_or_default();
        let cell = self.bases.get(&basis).copied().unwrap_or_default();
        drawn(cell, drawn(standing, self.all.value()))
    }
}

fn drawn(share: Share, to: f64) -> f64 {
    (share.hits as f64 + DRAWN * to) / (share.of as f64 + DRAWN)
}

/// The engine's own confidences beside those that were fitted on the other programs.
pub(crate) fn table(view: &View<'_>) -> String {
    let mut table = Table::new(&["confidence", "right is", "ECE", "Brier"]);
    for right in [Right::Acceptable, Right::Strict] {
        let ways: [(&str, Vec<Outcome>); 5] = [
            ("the engine's", left_out(view, right, |_| Fitted::Engine)),
            (
                "isotonic, its program left out",
                left_out(view, right, |rest| {
                    Fitted::Isotonic(Steps::fit(&rest.outcomes(right)))
                }),
            ),
            (
                "table, its program left out",
                left_out(view, right, |rest| Fitted::Table(Cells::fit(rest, right))),
            ),
            (
                "logistic, its program left out",
                left_out(view, right, |rest| Fitted::Logistic(logistic(rest, right))),
            ),
            (
                "constant, its program left out",
                left_out(view, right, |rest| {
                    Fitted::Constant(Cells::fit(rest, right).all.value())
                }),
            ),
        ];
        for (name, outcomes) in ways {
            table.row([
                name.to_owned(),
                right.words().to_owned(),
                format!("{:.3}", ece(&outcomes)),
                format!("{:.3}", brier(&outcomes)),
            ]);
        }
    }
    table.text()
}

/// The weights of the engine's form, fitted to all answers, beside those that it uses; and what they are worth, fitted without
/// the program that they judge.
pub(crate) fn weights(view: &View<'_>) -> String {
    let view = view.named();
    let right = Right::Acceptable;
    let mut table = Table::new(&["log odds of", "fitted", "the engine's"]);
    let used = STANDINGS.into_iter().chain([AGREEMENT_WEIGHT, 1.0]);
    let fitted = logistic(&view, right).map_or_else(Vec::new, |fitted| fitted.weights);
    for ((name, used), fitted) in TERMS.iter().zip(used).zip(fitted) {
        let row = [(*name).to_owned(), format!("{fitted:.2}"), used.to_string()];
        table.row(row);
    }
    let outcomes = left_out(&view, right, |rest| Fitted::Logistic(logistic(rest, right)));
    let engine = left_out(&view, right, |_| Fitted::Engine);
    format!(
        "{}Of {} answers of {} programs. With its program left out: ECE {:.3}, Brier {:.3}; the engine's: ECE {:.3}, Brier {:.3}.\n\n",
        table.text(),
        outcomes.len(),
        programs(&view).len(),
        ece(&outcomes),
        brier(&outcomes),
        ece(&engine),
        brier(&engine),
    )
}

/// The shares right by standing and agreement: what a table of confidences would hold.
pub(crate) fn bases(view: &View<'_>) -> String {
    let view = view.named();
    let mut table = Table::new(&[
        "standing",
        "shorter parts that agree",
        "acceptable",
        "the label",
        "engine",
    ]);
    let bases: BTreeSet<Basis> = view
        .answers
        .iter()
        .filter_map(|answer| answer.basis)
        .collect();
    for basis in bases {
        let here = view.only(|answer| answer.basis == Some(basis));
        table.row([
            basis.standing.to_owned(),
            basis.agreeing.to_string(),
            Share::count(&here.answers, |answer| Right::Acceptable.is(answer)).to_string(),
            Share::count(&here.answers, |answer| Right::Strict.is(answer)).to_string(),
            format!("{:.3}", here.confidence()),
        ]);
    }
    table.text()
}

/// The 5 % to 95 % range of the figures of one half of the programs, and of the difference to the other.
pub(crate) fn halves(view: &View<'_>, random: &mut Random) -> String {
    type Figure = (&'static str, fn(&View<'_>) -> f64);
    let figures: [Figure; 4] = [
        ("acceptable", |view| view.acceptable().value()),
        ("label itself, of decided", |view| {
            view.strict_of_decided().value()
        }),
        ("ECE", |view| ece(&view.outcomes(Right::Acceptable))),
        ("Brier", |view| brier(&view.outcomes(Right::Acceptable))),
    ];
    let programs: Vec<String> = programs(view).into_iter().collect();
    let mut found = vec![(Vec::new(), Vec::new()); figures.len()];
    for _ in 0..HALVINGS {
        let half = random.half(&programs);
        let (one, other) = (
            view.only(|answer| half.contains(&answer.program)),
            view.only(|answer| !half.contains(&answer.program)),
        );
        for ((_, figure), (values, gaps)) in figures.iter().zip(&mut found) {
            let (one, other) = (figure(&one), figure(&other));
            values.push(one);
            gaps.push((one - other).abs());
        }
    }
    let mut table = Table::new(&[
        "figure",
        "of all",
        "of one half: 5 % to 95 %",
        "between halves: median",
    ]);
    for ((name, figure), (values, gaps)) in figures.iter().zip(&found) {
        table.row([
            (*name).to_owned(),
            format!("{:.3}", figure(view)),
            format!(
                "{:.3} to {:.3}",
                quantile(values, 0.05),
                quantile(values, 0.95)
            ),
            format!("{:.3}", quantile(gaps, 0.5)),
        ]);
    }
    table.text()
}
