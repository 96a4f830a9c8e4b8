//! What the stages ask of a record: deltas, counts, rates.

use crate::record::{Record, Track};
use crate::stacks::Stacks;
use crate::statistics::{Series, blocks, theil_sen};
use crate::thresholds::{
    SAMPLES_FOR_COUNTS, SAMPLES_FOR_GROWTH, SECONDS_FOR_COUNTS, SECONDS_FOR_GROWTH,
};
use crate::trail::Trail;
use crate::trend::{self, Growth};
use memtide_model::{Observations, Unit, text};

/// A record, what is known of its process, and the measures that every stage needs.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The samples.
    pub record: &'a Record,
    /// The process and its threads.
    pub observations: &'a Observations,
    /// Its call stacks, where the preload shim looked.
    pub stacks: Option<&'a Stacks>,
    /// Growth of RSS in bytes.
    pub rss: f64,
    /// Growth of anonymous memory in bytes.
    pub anon: f64,
    /// Least movement that means anything, in bytes.
    pub material: f64,
}

impl<'a> Facts<'a> {
    /// The facts of a record.
    pub fn of(
        record: &'a Record,
        observations: &'a Observations,
        stacks: Option<&'a Stacks>,
    ) -> Self {
        Self {
            record,
            observations,
            stacks,
            rss: record.series(Track::Rss).delta(),
            anon: record.series(Track::Anon).delta(),
            material: record.material(),
        }
    }

    /// A track.
    pub fn series(&self, track: Track) -> Series {
        self.record.series(track)
    }

    /// End less start of a track; zero where it was not read.
    pub fn delta(&self, track: Track) -> f64 {
        self.series(track).delta()
    }

    /// Robust rate of a track, per second.
    pub fn rate(&self, track: Track) -> f64 {
        theil_sen::slope(&self.series(track))
    }

    /// How a count grew, by that name in the trail. On a record too short for growth of memory a count is sustained only if
    /// it rises in all six blocks of at least 12 s and 12 samples.
    pub fn count(&self, name: &str, track: Track, least: f64, trail: &mut Trail) -> Growth {
        let series = self.series(track);
        let mut growth = trend::growth_told(&series, least, (name, track.unit()), trail);
        if growth.sustained && !self.is_long_enough() {
            let (span, samples) = (series.span(), series.len() as f64);
            let least = SAMPLES_FOR_COUNTS as f64;
            growth.sustained = trail.at_least("watched", span, Unit::Seconds, SECONDS_FOR_COUNTS)
                && trail.at_least("samples", samples, Unit::Count, least)
                && blocks::all_rise_told(&series, track.unit(), trail);
        }
        growth
    }

    /// True from the least record on that growth may be judged by.
    pub fn is_long_enough(&self) -> bool {
        self.seconds_missing() <= 0.0
    }

    /// Seconds that the record lacks to be judged; zero or less when it lacks none.
    pub fn seconds_missing(&self) -> f64 {
        let (seconds, samples) = (self.record.seconds(), self.record.samples.len());
        let every = seconds / samples.saturating_sub(1).max(1) as f64;
        let wanted = SAMPLES_FOR_GROWTH.saturating_sub(samples) as f64 * every;
        (self.record.lacks(SECONDS_FOR_GROWTH)).max(wanted)
    }

    /// "12 → 60" of a track, from its medians at the ends.
    pub fn ends(&self, track: Track) -> String {
        let series = self.series(track);
        format!("{:.0} → {:.0}", series.start(), series.end())
    }

    /// The record's length in words.
    pub fn time(&self) -> String {
        text::duration(self.record.seconds())
    }

    /// "in 3 min" until a count meets its limit at this rate; `None` without a limit or a rate.
    pub fn until(&self, track: Track, limit: Option<u64>) -> Option<String> {
        let (limit, rate) = (limit? as f64, self.rate(track));
        let room = limit - self.series(track).end();
        (rate > 0.0 && room > 0.0).then(|| text::duration(room / rate))
    }

    /// The most numerous group of live threads that share a name but for its number, with its size.
    pub fn thread_group(&self) -> Option<(String, usize)> {
        let mut groups = std::collections::BTreeMap::<&str, usize>::new();
        for thread in self.observations.threads.iter().filter(|t| t.alive) {
            let name = thread
                .last
                .name
                .trim_end_matches(|c: char| c.is_ascii_digit());
            *groups
                .entry(name.trim_end_matches(['-', '_', ':', '#', ' ']))
                .or_default() += 1;
        }
        let (name, count) = groups.into_iter().max_by_key(|&(_, count)| count)?;
        (count >= 3).then(|| (name.to_owned(), count))
    }
    /// The kernel function that most live threads sleep in, how many do, and how many threads live; `None` where it is
    /// not most of them, or the kernel does not tell.
    pub fn foremost_wait(&self) -> Option<(&'a str, usize, usize)> {
        let threads = &self.observations.threads;
        let live = || threads.iter().filter(|thread| thread.alive);
        let mut sleeping = std::collections::BTreeMap::<&str, usize>::new();
        for function in live().filter_map(|thread| thread.last.wchan.as_deref()) {
            *sleeping.entry(function).or_default() += 1;
        }
        let (function, count) = sleeping.into_iter().max_by_key(|&(_, count)| count)?;
        let all = live().count();
        (2 * count > all).then_some((function, count, all))
    }
}
