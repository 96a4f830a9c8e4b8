//! Does the forecast hold? Every record is cut after 24 s, and what the engine says of the rest is set against
//! the rest, 6, 12 and 22 s later.
//!
//! * **The band** that is drawn beside RSS, nominally 90 %: is the sample nearest to that moment in it, and how
//!   wide is it against what RSS grew by until then?
//! * **The moment of a limit**: the machine is given just so much memory that the record runs out of it. With m
//!   the most that RSS reaches until then, `MemAvailable` is m − RSS at every sample before the cut; the limit
//!   is met when RSS first is m. Is that within the range of the forecast?
//!
//! It refuses to judge where nothing is forecast, and counts how often that is.

use crate::answer::Window;
use crate::manifest::Case;
use crate::markdown::{Table, percent};
use crate::measure::share::Share;
use crate::recorded::Recorded;
use crate::{Result, pool};
use memtide_analyzer::analyze;
use memtide_analyzer::statistics::quantile::median;
use memtide_model::report::Forecast;
use memtide_model::{Band, Bytes, Host, Observations};
use std::path::Path;

/// What the engine sees.
const SEEN: Window = Window {
    from: 0.0,
    to: 24.0,
};
/// Seconds after that at which it is judged.
const AHEAD: [f64; 3] = [6.0, 12.0, 22.0];

/// What was forecast of a record for one moment, and what came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ahead {
    /// Of which case.
    pub(crate) case: String,
    /// True if it is a leak: its growth goes on.
    pub(crate) leak: bool,
    /// True if looks into the heap were had.
    pub(crate) looks: bool,
    /// Seconds after the cut.
    pub(crate) seconds: f64,
    /// RSS then, in bytes.
    pub(crate) rss: f64,
    /// What it grew by since the cut, in bytes.
    pub(crate) grown: f64,
    /// The ends of the band then, in bytes; `None` where nothing is forecast.
    pub(crate) band: Option<(f64, f64)>,
    /// Seconds after the cut at which the limit is met; `None` where RSS never is above that at the cut.
    pub(crate) met: Option<f64>,
    /// The earliest and the latest time that is forecast for that, in seconds after the cut; without a
    /// latest it may be never.
    pub(crate) told: Option<(f64, Option<f64>)>,
}

impl Ahead {
    /// When the limit is met, and the range in which it was expected; infinity where that has no end.
    fn moment(&self) -> Option<(f64, f64, f64)> {
        let (earliest, latest) = self.told?;
        Some((self.met?, earliest, latest.unwrap_or(f64::INFINITY)))
    }
}

/// The forecasts of all records, with looks where they can be had.
///
/// Errors: `Series`.
pub(crate) fn all(corpus: &Path, cases: &[Case]) -> Result<Vec<Ahead>> {
    let of_case = |case: &Case| Ok(of(&Recorded::read(corpus, case)?));
    let all: Result<Vec<Vec<Ahead>>> = pool::map(cases, pool::processors(), of_case)
        .into_iter()
        .collect();
    Ok(all?.into_iter().flatten().collect())
}

fn of(recorded: &Recorded) -> Vec<Ahead> {
    let observations = recorded.observations(SEEN, recorded.has_log());
    let Some(cut) = observations.samples.last() else {
        return Vec::new();
    };
    let now = cut.memory.rss.as_f64();
    let rest = recorded.rest(cut.at);
    let start = cut.at.seconds_since(observations.recording.started);
    let band = analyze(&observations).timeline.forecast;
    let judged = |&ahead: &f64| {
        let nearest = |(t, _): &(f64, f64)| (t - ahead).abs();
        let points = || rest.t.iter().copied().zip(rest.y.iter().copied());
        let (moment, rss) = points().min_by(|a, b| nearest(a).total_cmp(&nearest(b)))?;
        let until = points().take_while(|(t, _)| *t <= moment);
        let most = until.map(|(_, y)| y).fold(now, f64::max);
        let met = points().find(|(_, y)| *y >= most && most > now);
        let met = met.map(|(t, _)| t);
        let told = met.and_then(|_| with_room(&observations, most));
        Some(Ahead {
            case: recorded.case.name.clone(),
            leak: recorded.case.is_leak(),
            looks: recorded.has_log(),
            seconds: ahead,
            rss,
            grown: rss - now,
            band: at(&band, start + moment).map(|band| (band.low, band.high)),
            met,
            told: told.map(|told| (told.seconds_low, told.seconds_high)),
        })
    };
    AHEAD.iter().filter_map(judged).collect()
}

/// What is forecast on a machine on which RSS can reach so many bytes.
fn with_room(observations: &Observations, most: f64) -> Option<Forecast> {
    let mut observations = observations.clone();
    for sample in &mut observations.samples {
        let room = (most - sample.memory.rss.as_f64()).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a difference of two sizes that is not negative"
        )]
        let available = Some(Bytes(room as u64));
        sample.host = Some(Host {
            available,
            ..sample.host.unwrap_or_default()
        });
    }
    analyze(&observations).report.forecast
}

/// The band at a moment, on lines between its points; `None` beyond its end.
fn at(band: &[Band], seconds: f64) -> Option<Band> {
    let between = band.windows(2).find_map(|pair| match pair {
        [a, b] if (a.seconds..=b.seconds).contains(&seconds) => Some((a, b)),
        _ => None,
    });
    let (a, b) = between?;
    let way = (seconds - a.seconds) / (b.seconds - a.seconds).max(f64::MIN_POSITIVE);
    let mix = |a: f64, b: f64| a + way * (b - a);
    Some(Band {
        seconds,
        middle: mix(a.middle, b.middle),
        low: mix(a.low, b.low),
        high: mix(a.high, b.high),
    })
}

/// How often the band held and how often the moment was in its range, of leaks and of all else.
pub(crate) fn table(all: &[Ahead]) -> String {
    let mut table = Table::new(&[
        "seconds ahead",
        "records",
        "with a band",
        "RSS is in it",
        "width / growth: median",
        "limits told, of those met",
        "met in the range that was told",
        "ranges with an end",
        "width / time until then: median",
    ]);
    for (name, leak) in [("leaks", true), ("all else", false)] {
        for ahead in AHEAD {
            let is = |one: &&Ahead| one.leak == leak && (one.seconds - ahead).abs() < f64::EPSILON;
            let here: Vec<&Ahead> = all.iter().filter(is).collect();
            let mut row = vec![format!("{ahead}, {name}"), here.len().to_string()];
            row.extend(of_bands(&here));
            row.extend(of_moments(&here));
            table.row(row);
        }
    }
    table.text()
}

fn of_bands(here: &[&Ahead]) -> [String; 3] {
    let banded = || {
        here.iter()
            .filter_map(|one| Some((one.band?, one.rss, one.grown)))
    };
    let covered = Share::count(banded(), |((low, high), rss, _)| {
        (low..=high).contains(&rss)
    });
    // Of what did not grow, a width is a share of nothing.
    let widths = banded().filter(|(_, _, grown)| *grown > 0.0);
    let widths = widths.map(|((low, high), _, grown)| (high - low) / grown);
    [
        banded().count().to_string(),
        covered.to_string(),
        typical(&widths.collect::<Vec<f64>>()),
    ]
}

fn of_moments(here: &[&Ahead]) -> [String; 4] {
    let told = || here.iter().filter_map(|one| one.moment());
    let met = here.iter().filter(|one| one.met.is_some()).count();
    let within = |(met, low, high): &(f64, f64, f64)| (low..=high).contains(&met);
    let ended = told().filter(|(_, _, high)| high.is_finite());
    let widths: Vec<f64> = ended.map(|(met, low, high)| (high - low) / met).collect();
    [
        format!("{} of {met}", told().count()),
        Share::count(told(), within).to_string(),
        widths.len().to_string(),
        typical(&widths),
    ]
}

/// The median; nothing of nothing.
fn typical(shares: &[f64]) -> String {
    if shares.is_empty() {
        String::new()
    } else {
        percent(median(shares))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::cases;
    use std::path::PathBuf;

    fn forecasts(name: &str) -> Vec<Ahead> {
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/corpus");
        all(&corpus, &cases(&corpus, name).unwrap()).unwrap()
    }

    /// The manifest gives 566,522 bytes a second, so room for h seconds of it is used up after h seconds.
    #[test]
    fn a_plain_leak_meets_its_limit_when_its_rate_says() {
        let all = forecasts("leak-small-mid");
        assert_eq!(all.len(), 3);
        for (one, ahead) in all.iter().zip(AHEAD) {
            let grown = 566_522.0 * ahead;
            assert!((one.grown / grown - 1.0).abs() < 0.1, "{one:?}");
            let (met, earliest, latest) = one.moment().expect("a leak is forecast");
            assert!((met - ahead).abs() < 1.0, "{one:?}");
            assert!(earliest < 1.5 * ahead && latest > 0.5 * ahead, "{one:?}");
            let (low, high) = one.band.expect("a band");
            assert!(low < high && high - low < grown, "{one:?}");
        }
    }

    #[test]
    fn what_is_level_is_not_forecast() {
        let all = forecasts("steady-1");
        assert!(
            all.iter()
                .all(|one| one.band.is_none() && one.told.is_none()),
            "{all:?}"
        );
        assert!(
            table(&all).contains("| 6, all else | 1 | 0 |"),
            "{}",
            table(&all)
        );
    }

    #[test]
    fn a_band_is_a_line_between_its_points_and_ends_with_them() {
        let point = |seconds, middle| Band {
            seconds,
            middle,
            low: middle - 1.0,
            high: middle + 1.0,
        };
        let band = [point(10.0, 100.0), point(20.0, 200.0)];
        let found = at(&band, 12.5).expect("within");
        assert!((found.middle - 125.0).abs() < 1e-9 && (found.low - 124.0).abs() < 1e-9);
        assert_eq!(at(&band, 20.5), None);
    }
}
