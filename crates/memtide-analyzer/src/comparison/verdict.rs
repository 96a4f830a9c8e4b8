//! Which arm to take. The questions in their order:
//!
//! 1. Could anything be shown? Too few runs that count, or too few for so many arms: `undetermined`.
//! 2. Does the baseline grow? Then an arm is taken that stops the growth, gives it back, or slows it; where each
//!    arm goes on at the rate of the baseline, `none_helps`: an allocator that starts lower only buys time. One
//!    whose rate is not known well enough is taken where it is shown to need less and not seen to grow.
//! 3. Else the arm with the least settled RSS is taken, of those that are shown to need less by
//!    [`LEAST_SAVING`] or more; the baseline itself where all others are shown to need more.
//! 4. Else `no_difference`, with the saving that could have been seen.
//!
//! It refuses to take an arm that grows where the baseline does not.

use super::growth::{Course, course, most_give_back};
use super::permutation::least_p;
use super::{arms, settings, words};
use crate::thresholds::{FEWEST_RUNS, LEAST_SAVING};
use memtide_model::comparison::{Arm, ComparisonKind, ComparisonVerdict, Ratio, Statistics};
use memtide_model::text;

/// Characters of a command that advice repeats.
const LONGEST_COMMAND: usize = 120;

/// The verdict on arms whose ratios are filled, the baseline first.
pub(super) fn of(arms: &[Arm], statistics: &Statistics, command: &[String]) -> ComparisonVerdict {
    let Some((baseline, others)) = arms.split_first() else {
        return undetermined("There is nothing to compare.".to_owned(), Vec::new());
    };
    let case = Case {
        baseline,
        others,
        tested: others.iter().filter(|arm| is_tested(arm)).collect(),
        statistics,
        command,
    };
    (case.undetermined())
        .or_else(|| case.of_growth())
        .unwrap_or_else(|| case.of_level())
}

/// True if the settled RSS of an arm was tested against the baseline's.
fn is_tested(arm: &Arm) -> bool {
    arm.settled_rss_ratio.is_some_and(|ratio| ratio.p.is_some())
}

fn undetermined(summary: String, advice: Vec<String>) -> ComparisonVerdict {
    ComparisonVerdict {
        kind: ComparisonKind::Undetermined,
        arm: None,
        summary,
        evidence: Vec::new(),
        advice,
    }
}

struct Case<'a> {
    baseline: &'a Arm,
    others: &'a [Arm],
    tested: Vec<&'a Arm>,
    statistics: &'a Statistics,
    command: &'a [String],
}

impl Case<'_> {
    fn undetermined(&self) -> Option<ComparisonVerdict> {
        let name = &self.baseline.arm;
        let needed = self.statistics.runs_needed;
        let why = if self.others.is_empty() {
            return Some(undetermined(
                format!("{name} is the only arm: there is nothing to hold it against."),
                vec!["Name two allocators or more: --allocators glibc,jemalloc".to_owned()],
            ));
        } else if let Some(why) = &self.baseline.failed {
            format!("{name}, which the others are held against, failed: {why}.")
        } else if arms::runs(self.baseline) < FEWEST_RUNS || self.tested.is_empty() {
            let fewest = (self.others.iter()).map(arms::runs).max().unwrap_or(0);
            let (arm, count) = match arms::runs(self.baseline) {
                count if count < FEWEST_RUNS => (name.as_str(), count),
                _ => ("the best of the others", fewest),
            };
            let runs = text::plural(count, "run");
            format!("Too few runs: {arm} has {runs} that count, and {FEWEST_RUNS} are the least.")
        } else if !self.tested.iter().any(|arm| self.can_show(arm)) {
            let others = text::plural(self.statistics.tested, "other arm");
            let tests = self.statistics.tests;
            let by = if tests > self.statistics.tested {
                format!(" in {tests} tests of memory and growth")
            } else {
                String::new()
            };
            format!(
                "So few runs cannot show a difference to {others}{by}: {needed} of each are needed."
            )
        } else {
            return None;
        };
        let mut verdict = undetermined(
            why,
            vec![format!("Run each arm {needed} times: --runs {needed}")],
        );
        verdict.evidence = self.facts_of_all();
        Some(verdict)
    }

    /// True if the smallest p that the arm's runs can reach passes after correction.
    fn can_show(&self, arm: &Arm) -> bool {
        let count = |arm| usize::try_from(arms::runs(arm)).unwrap_or(usize::MAX);
        let level = self.statistics.alpha / self.statistics.tests.max(1) as f64;
        least_p(count(arm), count(self.baseline)) <= level
    }

    /// The verdict on a baseline that grows; `None` where growth does not decide.
    fn of_growth(&self) -> Option<ComparisonVerdict> {
        if self.baseline.grows != Some(true) {
            return None;
        }
        let courses: Vec<(Course, &Arm)> =
            self.tested.iter().map(|&arm| (course(arm), arm)).collect();
        let cures =
            (courses.iter()).filter(|(course, arm)| *course <= Course::Slower && !needs_more(arm));
        let best = cures.min_by(|a, b| a.0.cmp(&b.0).then(by_settled(a.1, b.1)));
        if let Some(&(course, arm)) = best {
            return Some(self.take(arm, Some(course)));
        }
        let unsure = (courses.iter()).filter(|(course, _)| *course == Course::Unsure);
        // What is shown to hold less and does not grow for certain helps, whatever its rate.
        let savers = (unsure.clone()).filter(|(_, arm)| needs_less(arm) && arm.grows != Some(true));
        if let Some((course, arm)) = savers.min_by(|a, b| by_settled(a.1, b.1)) {
            return Some(self.take(arm, Some(*course)));
        }
        if let Some((_, arm)) = unsure.into_iter().next() {
            return Some(self.unsure(arm));
        }
        let goes_on = courses.iter().any(|(course, _)| *course == Course::GoesOn);
        goes_on.then(|| self.none_helps())
    }

    /// The verdict by settled RSS alone.
    fn of_level(&self) -> ComparisonVerdict {
        let may_grow = self.baseline.grows == Some(true);
        let savers = (self.tested.iter())
            .filter(|arm| needs_less(arm) && (may_grow || arm.grows != Some(true)));
        if let Some(best) = savers.min_by(|a, b| by_settled(a, b)) {
            return self.take(best, None);
        }
        if self.tested.iter().all(|arm| needs_more(arm)) {
            return self.stay();
        }
        self.no_difference()
    }

    fn take(&self, arm: &Arm, course: Option<Course>) -> ComparisonVerdict {
        let cost = [
            words::cost(arm.cpu_ratio.as_ref(), "CPU time"),
            words::cost(arm.wall_ratio.as_ref(), "time"),
        ];
        let mut clauses = vec![self.saving(arm)];
        clauses.extend(course.map(|course| self.cure(arm, course)));
        clauses.extend(cost.into_iter().flatten());
        let mut evidence = self.facts(arm);
        evidence.extend(self.rival(arm));
        let rest = self
            .tested
            .iter()
            .filter(|other| !core::ptr::eq(**other, arm));
        evidence.extend(rest.filter_map(|other| self.settled(other)));
        let mut advice = settings::lines(&arm.environment);
        advice.push(
            "Confirm it under real load, for as long as the growth took to matter, before it is set \
             everywhere: this was one kind of work on one machine."
                .to_owned(),
        );
        if arm.grows == Some(true) {
            advice.push(self.find_the_leak());
        }
        ComparisonVerdict {
            kind: ComparisonKind::Take,
            arm: Some(arm.arm.clone()),
            summary: format!("Take {}: {}.", arm.arm, clauses.join("; ")),
            evidence,
            advice,
        }
    }

    /// "RSS after settling is 41 % less than under glibc (39 to 43 %)".
    fn saving(&self, arm: &Arm) -> String {
        let Some(ratio) = arm.settled_rss_ratio.as_ref().filter(|_| needs_less(arm)) else {
            return "no saving after settling is shown".to_owned();
        };
        let change = words::change(ratio);
        let (amount, interval) = change.split_once(" (").unwrap_or((&change, ""));
        let name = &self.baseline.arm;
        format!("RSS after settling is {amount} than under {name} ({interval}")
    }

    fn cure(&self, arm: &Arm, course: Course) -> String {
        let pace = arm
            .growth_ratio
            .as_ref()
            .map(words::pace)
            .unwrap_or_default();
        match course {
            Course::Stops => "memory does not go on growing".to_owned(),
            Course::GivesBack => {
                let name = &self.baseline.arm;
                format!(
                    "what it grows by under load it gives back afterwards, which {name} does not"
                )
            }
            Course::Unsure => "whether it goes on growing under load is not shown".to_owned(),
            _ => format!("memory grows {pace}, but goes on growing"),
        }
    }

    /// Another arm that holds hardly more at clearly less CPU time.
    fn rival(&self, best: &Arm) -> Option<String> {
        let (high, cpu) = (best.median.settled_high?, best.cpu_ratio?);
        let near = |arm: &&&Arm| {
            let settled = arm
                .median
                .settled_rss
                .is_some_and(|settled| settled <= high);
            let cheaper = arm.cpu_ratio.is_some_and(|ratio| ratio.high < cpu.low);
            !core::ptr::eq(**arm, best) && needs_less(arm) && settled && cheaper
        };
        let rival = (self.tested.iter())
            .filter(near)
            .min_by(|a, b| by_settled(a, b))?;
        Some(format!(
            "{} is the cheaper choice: it holds {} after settling, within the interval of {}, and takes {} \
             CPU time against {}.",
            rival.arm,
            text::bytes(rival.median.settled_rss?),
            best.arm,
            text::duration(rival.median.cpu_seconds?),
            text::duration(best.median.cpu_seconds?)
        ))
    }

    fn none_helps(&self) -> ComparisonVerdict {
        let name = &self.baseline.arm;
        let rate = self.baseline.median.bytes_per_second.unwrap_or_default();
        let others: Vec<&str> = self.tested.iter().map(|arm| arm.arm.as_str()).collect();
        let mut evidence: Vec<String> = (self.tested.iter())
            .filter_map(|arm| words::rate(arm, self.baseline))
            .collect();
        evidence.extend(self.tested.iter().filter(|arm| needs_less(arm)).map(|arm| {
            let change = arm.settled_rss_ratio.as_ref().map(words::change);
            let change = change.unwrap_or_default();
            format!(
                "{} holds {change}, but grows as fast: it only buys time.",
                arm.arm
            )
        }));
        evidence.extend(self.tested.iter().filter_map(|arm| self.settled(arm)));
        ComparisonVerdict {
            kind: ComparisonKind::NoneHelps,
            arm: None,
            summary: format!(
                "No allocator helps: memory grows by {} under {name}, and no slower growth is shown under \
                 {}. A leak is not cured by an allocator.",
                text::rate(rate),
                words::list(&others)
            ),
            evidence,
            advice: vec![self.find_the_leak()],
        }
    }

    fn find_the_leak(&self) -> String {
        let command = self.command.join(" ");
        let command: String = if command.is_empty() {
            "CMD".to_owned()
        } else {
            command.chars().take(LONGEST_COMMAND).collect()
        };
        format!(
            "Find what asks for the memory and does not free it: memtide run --heap sampled -- {command}"
        )
    }

    /// Growth that may be slower, and so many runs cannot show it.
    fn unsure(&self, arm: &Arm) -> ComparisonVerdict {
        let runs = self.more_runs();
        let lower = arm.growth_ratio.as_ref().filter(|ratio| ratio.high < 1.0);
        let (name, other) = (&self.baseline.arm, &arm.arm);
        let summary = if let Some(pace) = lower.map(words::pace) {
            format!("Memory may grow {pace} under {other}; so few runs cannot show it.")
        } else {
            let but = if most_give_back(arm) {
                "most runs give back what they grew by, but so few cannot show that this is not chance"
            } else {
                "most runs do not, but their rates scatter too much"
            };
            format!("Memory grows under {name}; whether it does under {other} is not shown: {but}.")
        };
        let mut verdict = undetermined(
            summary,
            vec![format!("Run each arm more often: --runs {runs}")],
        );
        verdict.evidence = self.facts_of_all();
        verdict
    }

    /// The baseline is the arm to take.
    fn stay(&self) -> ComparisonVerdict {
        let name = &self.baseline.arm;
        let more = self.needing_more();
        ComparisonVerdict {
            kind: ComparisonKind::Take,
            arm: Some(name.clone()),
            summary: format!("Stay with {name}: {more}."),
            evidence: self.facts_of_all(),
            advice: vec![format!(
                "Nothing is to be set: {name} is what was compared with."
            )],
        }
    }

    /// "jemalloc needs 20 % more (18 to 22 %)", for each arm that does.
    fn needing_more(&self) -> String {
        let more: Vec<String> = (self.tested.iter())
            .filter(|arm| needs_more(arm))
            .filter_map(|arm| {
                let change = words::change(arm.settled_rss_ratio.as_ref()?);
                Some(format!("{} needs {change}", arm.arm))
            })
            .collect();
        more.join(", ")
    }

    fn no_difference(&self) -> ComparisonVerdict {
        let name = &self.baseline.arm;
        let others: Vec<&str> = self.tested.iter().map(|arm| arm.arm.as_str()).collect();
        let seen = self.detectable_saving();
        let could = seen.map_or_else(String::new, |share| {
            format!(
                "; a saving of {} could have been seen",
                words::percent(share)
            )
        });
        let more = self.needing_more();
        let summary = if more.is_empty() {
            let others = words::list(&others);
            format!(
                "No difference in memory worth a change is shown between {name} and {others}{could}."
            )
        } else {
            format!("No allocator is shown to need less memory than {name}, and {more}{could}.")
        };
        let mut evidence = self.facts_of_all();
        evidence.extend(self.tested.iter().filter_map(|arm| too_little(arm)));
        let mut advice = vec![format!("Stay with {name}.")];
        if seen.is_none_or(|share| share > LEAST_SAVING) {
            let runs = self.more_runs();
            advice.push(format!("To see effects of half that size: --runs {runs}"));
        }
        ComparisonVerdict {
            kind: ComparisonKind::NoDifference,
            arm: None,
            summary,
            evidence,
            advice,
        }
    }

    /// The saving that could have been seen in every arm.
    fn detectable_saving(&self) -> Option<f64> {
        let each = self.tested.iter().map(|arm| {
            let ratio = arm.settled_rss_ratio.as_ref()?;
            words::detectable_saving(ratio)
        });
        each.collect::<Option<Vec<f64>>>()?
            .into_iter()
            .reduce(f64::max)
    }

    /// Four times as many: half the effect is seen then.
    fn more_runs(&self) -> u64 {
        4 * arms::runs(self.baseline).max(FEWEST_RUNS)
    }

    fn settled(&self, arm: &Arm) -> Option<String> {
        words::settled(arm, self.baseline, self.statistics.tests)
    }

    /// All that was measured of one arm, in sentences.
    fn facts(&self, arm: &Arm) -> Vec<String> {
        let mut facts: Vec<String> = self.settled(arm).into_iter().collect();
        facts.extend(words::rate(arm, self.baseline));
        facts.extend(words::beside(arm, self.baseline));
        facts.extend(words::heap(arm, self.baseline));
        facts
    }

    /// One sentence or two for each arm.
    fn facts_of_all(&self) -> Vec<String> {
        (self.others.iter())
            .flat_map(|arm| [self.settled(arm), words::rate(arm, self.baseline)])
            .flatten()
            .collect()
    }
}

fn by_settled(a: &Arm, b: &Arm) -> core::cmp::Ordering {
    let settled = |arm: &Arm| arm.median.settled_rss.unwrap_or(f64::INFINITY);
    settled(a).total_cmp(&settled(b))
}

/// True if an arm is shown to need so much less memory that it is worth a change.
fn needs_less(arm: &Arm) -> bool {
    shown(arm, |ratio| ratio.value <= 1.0 - LEAST_SAVING)
}

/// True if an arm is shown to need so much more that it would matter.
fn needs_more(arm: &Arm) -> bool {
    shown(arm, |ratio| ratio.value >= 1.0 + LEAST_SAVING)
}

fn shown(arm: &Arm, is_so: impl Fn(&Ratio) -> bool) -> bool {
    (arm.settled_rss_ratio.as_ref()).is_some_and(|ratio| ratio.differs && is_so(ratio))
}

/// A difference that is shown and does not matter.
fn too_little(arm: &Arm) -> Option<String> {
    let ratio = arm.settled_rss_ratio.as_ref()?;
    let matters = needs_less(arm) || needs_more(arm);
    (ratio.differs && !matters).then(|| {
        format!(
            "{}: {} is shown, and below {} it is not worth a change.",
            arm.arm,
            words::change(ratio),
            words::percent(LEAST_SAVING)
        )
    })
}
