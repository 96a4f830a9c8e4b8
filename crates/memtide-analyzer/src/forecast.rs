//! When growth meets a limit.
//!
//! level(h) = median(y) + s h, with s Theil and Sen's slope and h counted from the median moment. Half
//! width of the 90 % band: t(.95, 4) · sd(block slopes) · h / √5 + the 5 % or 95 % quantile of the
//! residuals + 2 % of |s h| + 64 KiB. On leaks of the corpus, fitted on 24 s and tested 6, 12 and 22 s
//! ahead, it covered .98 (the textbook interval .20); what it missed was an onset.
//!
//! The limits: the memory cgroup (its room, since RSS is only part of its usage), `RLIMIT_AS` on the
//! address space, `RLIMIT_DATA` on data, the machine's `MemAvailable`, and the room of a mapping of fixed
//! size that is being touched. The nearest by its earliest time is told. Nothing is forecast for
//! shapes that are bounded, nor further than [`REACH`] times the record.

use crate::record::{Record, Track};
use crate::statistics::{Series, blocks, theil_sen};
use crate::thresholds::{
    FIRST_TOUCH_SHARE, FORECAST_SLACK, FORECAST_SLACK_BYTES, SAMPLES_FOR_RATE,
};
use crate::trail::Trail;
use crate::trend;
use memtide_model::report::Forecast;
use memtide_model::{Band, Bytes, MappingClass, Nanos, Observations, Stage, Unit};

/// Multiple of the record's length beyond which nothing is forecast.
pub const REACH: f64 = 10_000.0;
/// Points of the band that is drawn.
const BAND_POINTS: u32 = 24;

/// A line into the future with its band.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Median moment in seconds.
    pub t0: f64,
    /// Median value.
    pub y0: f64,
    /// Slope per second.
    pub slope: f64,
    /// Half width per second ahead.
    spread: f64,
    /// Residual quantiles.
    rest: (f64, f64),
    /// Last moment.
    last: f64,
}

impl Line {
    /// The line through a series; `None` where it is too short.
    pub fn of(series: &Series) -> Option<Self> {
        if series.len() < SAMPLES_FOR_RATE {
            return None;
        }
        let slope = theil_sen::slope(series);
        let (t0, y0) = blocks::centre(series);
        let error = blocks::slope_error(series)?;
        Some(Self {
            t0,
            y0,
            slope,
            spread: blocks::student() * error + FORECAST_SLACK * slope.abs(),
            rest: blocks::residual_quantiles(series, slope),
            last: *series.t.last()?,
        })
    }

    /// The band at a moment.
    pub fn at(&self, seconds: f64) -> Band {
        let ahead = seconds - self.t0;
        let middle = self.y0 + self.slope * ahead;
        let half = self.spread * ahead.max(0.0) + FORECAST_SLACK_BYTES;
        Band {
            seconds,
            middle,
            low: middle - half + self.rest.0,
            high: middle + half + self.rest.1,
        }
    }

    /// Seconds after the last sample at which the band first and last crosses `level`: its upper and
    /// its lower edge. `None` if the upper edge does not rise; latest `None` if the lower does not.
    pub fn crossing(&self, level: f64) -> Option<(f64, Option<f64>)> {
        let wait = |base: f64, rate: f64| {
            (rate > 0.0).then(|| ((level - base) / rate - (self.last - self.t0)).max(0.0))
        };
        let early = wait(
            self.y0 + self.rest.1 + FORECAST_SLACK_BYTES,
            self.slope + self.spread,
        )?;
        let late = wait(
            self.y0 + self.rest.0 - FORECAST_SLACK_BYTES,
            self.slope - self.spread,
        );
        Some((early, late))
    }
}

/// A limit in terms of a series.
struct Limit {
    name: &'static str,
    track: Track,
    /// Where the limit lies on the track.
    level: f64,
    /// What is reported as its place.
    bytes: f64,
}

/// The nearest limit; `None` where nothing can be said. `goes_on` as the verdict says.
pub fn forecast(
    record: &Record,
    observations: &Observations,
    goes_on: bool,
    trail: &mut Trail,
) -> Option<Forecast> {
    if !goes_on {
        return None;
    }
    let found = limits(record, observations)
        .into_iter()
        .filter_map(|limit| until(record, &limit, trail))
        .min_by(|a, b| a.seconds_low.total_cmp(&b.seconds_low));
    let decision = found.as_ref().map_or_else(
        || "None that it reaches.".to_owned(),
        |found| format!("The nearest is: {}.", found.limit),
    );
    trail.pass(
        Stage::Forecast,
        "Which limit does it reach first?",
        &decision,
    );
    found
}

/// When growth meets one limit, if it does.
fn until(record: &Record, limit: &Limit, trail: &mut Trail) -> Option<Forecast> {
    let name = limit.name;
    trail.tell(&format!("{name}: limit"), limit.bytes, Unit::Bytes);
    let series = record.series(limit.track);
    trail.tell(
        &format!("{name}: room"),
        limit.level - series.end(),
        Unit::Bytes,
    );
    let form = trend::form(&series, record.material());
    if !form.is_unbounded() {
        trail.note(format!("What counts for {name}: {}.", form.shape().words()));
        return None;
    }
    let (low, high) = Line::of(&series)?.crossing(limit.level)?;
    let reach = REACH * record.seconds();
    let high = high.filter(|&high| high <= reach);
    let near = trail.at_most(&format!("{name}: earliest"), low, Unit::Seconds, reach);
    if let Some(high) = high {
        trail.tell(&format!("{name}: latest"), high, Unit::Seconds);
    }
    near.then(|| Forecast {
        limit: name.to_owned(),
        limit_bytes: whole(limit.bytes).0,
        seconds_low: low,
        seconds_high: high,
    })
}

/// Points of the band after the last sample, as far as the record is long or until the limit.
pub fn band(record: &Record, goes_on: bool, forecast: Option<&Forecast>) -> Vec<Band> {
    let series = record.series(Track::Rss);
    let rising = goes_on && trend::form(&series, record.material()).is_unbounded();
    let Some(line) = Line::of(&series).filter(|_| rising) else {
        return Vec::new();
    };
    let until = forecast
        .and_then(|forecast| forecast.seconds_high)
        .map_or(series.span(), |high| {
            high.clamp(0.2 * series.span(), series.span())
        });
    // It is drawn beside RSS, which holds the shim as well.
    let own = record.own_at_end();
    let point = |k| {
        let band = line.at(line.last + until * f64::from(k) / f64::from(BAND_POINTS));
        Band {
            low: band.low + own,
            middle: band.middle + own,
            high: band.high + own,
            ..band
        }
    };
    (0..=BAND_POINTS).map(point).collect()
}

fn limits(record: &Record, observations: &Observations) -> Vec<Limit> {
    let limits = &observations.target.limits;
    let last = |value: fn(&memtide_model::Sample) -> Option<Bytes>| {
        record
            .samples
            .iter()
            .rev()
            .find_map(value)
            .map(Bytes::as_f64)
    };
    let rss = record.series(Track::Rss).end();
    let mut found = Vec::new();
    let mut add = |name, track, level, bytes| {
        found.push(Limit {
            name,
            track,
            level,
            bytes,
        });
    };
    let cgroup = last(|s| s.cgroup?.limit).or(limits.cgroup.map(Bytes::as_f64));
    if let (Some(limit), Some(current)) = (cgroup, last(|s| Some(s.cgroup?.current))) {
        add(
            "cgroup",
            Track::Rss,
            rss + (limit - current).max(0.0),
            limit,
        );
    }
    if let Some(limit) = limits.address_space.map(Bytes::as_f64) {
        // The limit counts the shim, the track does not.
        let end = record.samples.last().map_or(Nanos(0), |sample| sample.at);
        let own = record.shim.own_at(end).size.as_f64();
        add("rlimit", Track::Size, limit - own, limit);
    }
    if let Some(limit) = limits.data.map(Bytes::as_f64) {
        add("rlimit", Track::Data, limit, limit);
    }
    if let Some(available) = last(|s| s.host?.available) {
        let own = record.own_at_end();
        add("host", Track::Rss, rss + available, rss + own + available);
    }
    if let Some(size) = fixed_mapping(record) {
        add("mapping", Track::ClassRss(MappingClass::Anon), size, size);
    }
    found
}

/// The address space of anonymous mappings, if it stays while they are touched.
fn fixed_mapping(record: &Record) -> Option<f64> {
    let rss = record.series(Track::ClassRss(MappingClass::Anon));
    let size = record.series(Track::ClassSize(MappingClass::Anon));
    let touched = rss.delta();
    let fixed = touched > record.material() && size.delta() < FIRST_TOUCH_SHARE * touched;
    fixed.then(|| size.end())
}

fn whole(bytes: f64) -> Bytes {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and what is negative is zero"
    )]
    Bytes(bytes as u64)
}
