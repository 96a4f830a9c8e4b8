//! The series behind the charts.

use crate::forecast;
use crate::ledger::{Source, Split};
use crate::record::{Record, Track};
use crate::trend;
use crate::verdict::Judgement;
use memtide_model::report::Forecast;
use memtide_model::{Bytes, Observations, Shape, Timeline, TimelinePoint};

/// The timeline: all samples, also those before an exec; trend and forecast of the analysed part.
pub(crate) fn timeline(
    observations: &Observations,
    record: &Record,
    split: Option<Split>,
    judgement: &Judgement,
    forecast: Option<&Forecast>,
) -> Timeline {
    let point = |sample: &memtide_model::Sample| TimelinePoint {
        seconds: sample.at.seconds_since(observations.recording.started),
        rss: sample.memory.rss,
        rss_range: (sample.merged.rss_min, sample.merged.rss_max),
        accounts: split
            .filter(|split| split.source != Source::Nothing)
            .map_or_else(Vec::new, |split| split.accounts(record, sample)),
    };
    Timeline {
        points: observations.samples.iter().map(point).collect(),
        trend: trend_line(record),
        forecast: forecast::band(record, judgement, forecast),
        // A limit on the address space has no place on a chart of resident memory.
        limit: forecast
            .filter(|forecast| forecast.limit != "rlimit")
            .map(|forecast| (forecast.limit.clone(), Bytes(forecast.limit_bytes))),
    }
}

/// The robust line of RSS from the first to the last analysed sample, where a line describes its course.
/// It is that of the program, drawn where RSS is: each end is higher by what the shim takes there.
fn trend_line(record: &Record) -> Option<[(f64, f64); 2]> {
    let series = record.series(Track::Rss);
    let form = trend::form(&series, record.material());
    let shape = form.shape();
    if shape == Shape::Flat || !shape.has_rate() {
        return None;
    }
    let line = forecast::Line::of(&series, &form)?;
    let end = |t: f64, own: f64| (t, line.at(t).middle + own);
    Some([
        end(*series.t.first()?, record.own_at_start()),
        end(*series.t.last()?, record.own_at_end()),
    ])
}
