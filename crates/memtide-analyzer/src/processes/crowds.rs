//! How many processes of each kind there are, over time: which of them become ever more?
//!
//! Processes are of a kind when their command lines are the same but for numbers. A kind piles up when its
//! count grew by [`PROCESSES`] and goes on growing, by the rule that all counts are judged with
//! ([`crate::trend::growth`]), over at least [`SECONDS_FOR_COUNTS`] and [`SAMPLES_FOR_COUNTS`] looks: a
//! pool that fills is none.
//!
//! Every kind keeps 512 counts at most. When they are full every second one goes, of all kinds alike, and
//! from then on only every second look is kept, so a watch of days costs as much as one of minutes.

use super::kin::is_zombie;
use super::words::command_line;
use super::{Scene, about, words};
use crate::statistics::{Series, blocks};
use crate::thresholds::{PROCESSES, SAMPLES_FOR_COUNTS, SECONDS_FOR_COUNTS};
use crate::trend;
use memtide_model::{Census, Finding, FindingKind, Nanos, ProcessState, Weight, text};
use std::collections::HashMap;

/// Counts that are kept of each kind.
const MOST_COUNTS: usize = 512;
/// Characters of a command line that make its kind.
const KIND_LENGTH: usize = 200;

/// Counts over time.
#[derive(Debug)]
pub(super) struct Crowds {
    at: Vec<Nanos>,
    /// Counts of a kind, as many as there are moments; none for kinds that are gone.
    counts: HashMap<String, Vec<u32>>,
    /// Every how many looks are kept.
    stride: u64,
    looks: u64,
}

impl Default for Crowds {
    fn default() -> Self {
        Self {
            at: Vec::new(),
            counts: HashMap::new(),
            stride: 1,
            looks: 0,
        }
    }
}

impl Crowds {
    pub(super) fn look(&mut self, census: &Census) {
        let due = self.looks.is_multiple_of(self.stride);
        self.looks += 1;
        if !due {
            return;
        }
        let mut now: HashMap<String, u32> = HashMap::new();
        for process in census
            .processes
            .iter()
            .filter(|p| !p.kernel && !is_zombie(p))
        {
            *now.entry(kind(process)).or_insert(0) += 1;
        }
        // What is gone does not pile up.
        self.counts.retain(|kind, _| now.contains_key(kind));
        for (kind, count) in now {
            let counts = self.counts.entry(kind).or_default();
            // A kind that is new was there in no look before.
            counts.resize(self.at.len(), 0);
            counts.push(count);
        }
        self.at.push(census.at);
        if self.at.len() >= MOST_COUNTS {
            self.thin();
        }
    }

    fn thin(&mut self) {
        every_second(&mut self.at);
        self.counts.values_mut().for_each(every_second);
        self.stride *= 2;
    }

    /// The kinds that pile up.
    pub(super) fn find(&self, scene: &Scene<'_>) -> Vec<Finding> {
        let grown = self.counts.iter().filter_map(|(kind, counts)| {
            let series = Series::of(
                self.at
                    .iter()
                    .zip(counts)
                    .map(|(at, count)| (at.as_secs_f64(), f64::from(*count))),
            );
            piles_up(&series).then_some((kind, series))
        });
        grown
            .filter_map(|(kind, series)| finding(scene, kind, &series))
            .collect()
    }
}

fn every_second<T: Copy>(values: &mut Vec<T>) {
    *values = values.iter().copied().step_by(2).collect();
}

/// Grown, still growing, and watched for long enough to tell.
pub(super) fn piles_up(series: &Series) -> bool {
    series.len() >= SAMPLES_FOR_COUNTS
        && series.span() >= SECONDS_FOR_COUNTS
        && trend::growth(series, PROCESSES).sustained
}

/// The command line with every number as `#`.
fn kind(process: &ProcessState) -> String {
    let mut kind = String::new();
    let mut in_number = false;
    for character in command_line(process).chars().take(KIND_LENGTH) {
        let digit = character.is_ascii_digit();
        match (digit, in_number) {
            (true, false) => kind.push('#'),
            (true, true) => {}
            (false, _) => kind.push(character),
        }
        in_number = digit;
    }
    kind
}

fn finding(scene: &Scene<'_>, kind_name: &str, series: &Series) -> Option<Finding> {
    let members: Vec<&ProcessState> = scene
        .judged()
        .filter(|p| !is_zombie(p) && kind(p) == kind_name)
        .collect();
    let example = members.first()?;
    let rate = blocks::slope_with_interval(series).map(|slope| slope.per_second);
    let rate = rate.map_or_else(String::new, |rate| {
        format!(", {} more", text::count_rate(rate))
    });
    Some(Finding {
        summary: format!(
            "processes pile up: {} of {}, {:.0} in all at the start{rate}",
            members.len(),
            example.name,
            series.start(),
        ),
        details: vec![format!(
            "in {} and still growing; the oldest was started {} ago. Which of them are still needed \
             memtide cannot know: --older and --expect find those that are not",
            text::duration(series.span()),
            words::oldest(&members)
        )],
        ..about(FindingKind::PilingUp, Weight::Problem, &members)
    })
}
