//! When growth meets a limit.
//!
//! The limits: the memory cgroup (its room, since RSS is only part of its usage), `RLIMIT_AS` on the
//! address space, `RLIMIT_DATA` on data, the machine's `MemAvailable`, and the room of a mapping of fixed
//! size that is being touched. Each lies on a track, whose [`Line`] says when. Where the verdict judged growth apart from
//! what moves about it (a class of mappings, what a wave leaves, troughs), the line has that rate; else the track must rise
//! without an end in sight by itself. The nearest limit by its earliest time is told.
//!
//! Nothing is forecast for shapes that are bounded, nor further than [`FORECAST_REACH`] times the record. A track that
//! swings too much for a line of its own, and that no growth was judged apart on, is "not told", which is not "never".
//!
//! `tests/score` sets both against the corpus, fitted on 24 s and tested 6, 12 and 22 s ahead (reports/score/README.md,
//! "Forecasts"): the textbook interval covered .20 there. What the line misses is growth that speeds up.

mod line;

pub use line::Line;

use crate::record::{Record, Track};
use crate::thresholds::{FIRST_TOUCH_SHARE, FORECAST_REACH};
use crate::trail::Trail;
use crate::trend;
use crate::verdict::Judgement;
use memtide_model::report::{Forecast, RLIMIT_AS, RLIMIT_DATA};
use memtide_model::{Band, Bytes, MappingClass, Observations, Sample, Shape, Stage, Unit};

/// Points of the band that is drawn.
const BAND_POINTS: u32 = 24;

/// A limit in terms of a series.
struct Limit {
    name: &'static str,
    /// Which of the resource limits.
    resource: Option<&'static str>,
    track: Track,
    /// Where the limit lies on the track.
    level: f64,
    /// What is reported as its place.
    bytes: f64,
}

impl Limit {
    /// How the trail calls it.
    fn name(&self) -> &'static str {
        self.resource.unwrap_or(self.name)
    }
}

/// What comes of a limit.
enum Met {
    At(Forecast),
    /// Not at this rate, or not at all.
    Never,
    /// What counts for it has no line.
    Untold,
}

/// The nearest limit that growth which goes on meets; `None` where nothing can be said. `goes_on` is false of growth that the
/// verdict does not claim, or that has ended with its process.
pub fn forecast(
    record: &Record,
    observations: &Observations,
    judgement: &Judgement,
    trail: &mut Trail,
) -> Option<Forecast> {
    if !judgement.goes_on {
        return None;
    }
    let (mut found, mut untold, mut known) = (Vec::new(), Vec::new(), false);
    for limit in limits(record, observations) {
        known = true;
        match until(record, &limit, judgement, trail) {
            Met::At(forecast) => found.push((limit.name(), forecast)),
            Met::Never => {}
            Met::Untold => untold.push(limit.name()),
        }
    }
    let nearest =
        (found.into_iter()).min_by(|(_, a), (_, b)| a.seconds_low.total_cmp(&b.seconds_low));
    let decision = match &nearest {
        Some((name, _)) => format!("The nearest is: {name}."),
        None if !known => "No limit is known.".to_owned(),
        None if untold.is_empty() => "None that it reaches.".to_owned(),
        None => format!("Not told for {}.", untold.join(", ")),
    };
    let question = "Which limit does it reach first?";
    trail.pass(Stage::Forecast, question, &decision);
    nearest.map(|(_, forecast)| forecast)
}

/// The line of what goes on along a track, or the shape that has none. Growth that was judged apart comes first, on tracks
/// that hold all of it: the verdict's rate is that.
fn line(record: &Record, judgement: &Judgement, track: Track) -> Result<Line, Shape> {
    let (series, material) = (record.series(track), record.material());
    let holds_it = matches!(track, Track::Rss | Track::Size | Track::Data);
    let apart = judgement.apart.as_ref().filter(|_| holds_it);
    if let Some(line) = apart.and_then(|apart| Line::through(&series, apart, material)) {
        return Ok(line);
    }
    let form = trend::form(&series, material);
    (form
        .is_unbounded()
        .then(|| Line::of(&series, &form))
        .flatten())
    .ok_or(form.shape())
}

/// When growth meets one limit, if it does.
fn until(record: &Record, limit: &Limit, judgement: &Judgement, trail: &mut Trail) -> Met {
    let name = limit.name();
    let room = limit.level - record.series(limit.track).end();
    trail.tell(&format!("{name}: limit"), limit.bytes, Unit::Bytes);
    trail.tell(&format!("{name}: room"), room, Unit::Bytes);
    let line = match line(record, judgement, limit.track) {
        Ok(line) => line,
        Err(shape) => {
            trail.note(format!("What counts for {name}: {}.", shape.words()));
            let bounded = matches!(shape, Shape::Flat | Shape::Plateau | Shape::Step);
            return if bounded { Met::Never } else { Met::Untold };
        }
    };
    trail.tell(&format!("{name}: rate"), line.slope, Unit::BytesPerSecond);
    let Some((low, high)) = line.crossing(limit.level) else {
        return Met::Never;
    };
    let reach = FORECAST_REACH * record.seconds();
    let high = high.filter(|&high| high <= reach);
    let near = trail.at_most(&format!("{name}: earliest"), low, Unit::Seconds, reach);
    if let Some(high) = high {
        trail.tell(&format!("{name}: latest"), high, Unit::Seconds);
    }
    if !near {
        return Met::Never;
    }
    Met::At(Forecast {
        limit: limit.name.to_owned(),
        resource: limit.resource.map(str::to_owned),
        limit_bytes: whole(limit.bytes).0,
        seconds_low: low,
        seconds_high: high,
    })
}

/// Points of the band after the last sample, as far as the record is long or until the limit.
pub fn band(record: &Record, judgement: &Judgement, forecast: Option<&Forecast>) -> Vec<Band> {
    let line = (judgement.goes_on).then(|| line(record, judgement, Track::Rss));
    let Some(Ok(line)) = line else {
        return Vec::new();
    };
    let span = record.seconds();
    let until = forecast
        .and_then(|forecast| forecast.seconds_high)
        .map_or(span, |high| high.clamp(0.2 * span, span));
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
    // Where RSS may grow to, by the room that each sample had: room and RSS of two moments do not add up where they swing.
    let reach = |room: &dyn Fn(&Sample) -> Option<f64>| {
        let room = record.series_by(room);
        let levels = room.plus(&record.series(Track::Rss));
        (!levels.is_empty()).then(|| levels.end())
    };
    let mut found = Vec::new();
    let mut add = |name, resource, track, level, bytes| {
        found.push(Limit {
            name,
            resource,
            track,
            level,
            bytes,
        });
    };
    let last = (record.samples.iter().rev()).find_map(|sample| sample.cgroup?.limit);
    if let Some(limit) = last.or(limits.cgroup).map(Bytes::as_f64) {
        let room = |s: &Sample| Some((limit - s.cgroup?.current.as_f64()).max(0.0));
        if let Some(level) = reach(&room) {
            add("cgroup", None, Track::Rss, level, limit);
        }
    }
    if let Some(limit) = limits.address_space.map(Bytes::as_f64) {
        // The limit counts the shim, the track does not.
        let level = limit - record.own_size_at_end();
        add("rlimit", Some(RLIMIT_AS), Track::Size, level, limit);
    }
    if let Some(limit) = limits.data.map(Bytes::as_f64) {
        add("rlimit", Some(RLIMIT_DATA), Track::Data, limit, limit);
    }
    if let Some(level) = reach(&|s| Some(s.host?.available?.as_f64())) {
        add("host", None, Track::Rss, level, level + record.own_at_end());
    }
    if let Some(size) = fixed_mapping(record) {
        add(
            "mapping",
            None,
            Track::ClassRss(MappingClass::Anon),
            size,
            size,
        );
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
