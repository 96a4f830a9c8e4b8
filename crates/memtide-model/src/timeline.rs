//! What the charts draw: the series behind the numbers of a report.

use crate::account::Account;
use crate::report::Report;
use crate::units::Bytes;

/// A report and the series behind it: all that the reporter is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// `memtide.report/1`.
    pub report: Report,
    /// The series for the charts; not part of the JSON.
    pub timeline: Timeline,
}

/// Series over the recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// In order of time.
    pub points: Vec<TimelinePoint>,
    /// The fitted line of RSS, where one was fitted: (seconds, bytes) of its two ends.
    pub trend: Option<[(f64, f64); 2]>,
    /// The forecast band after the last sample, where there is a forecast.
    pub forecast: Vec<Band>,
    /// The limit that the forecast runs into, with its name.
    pub limit: Option<(String, Bytes)>,
}

/// One moment of the timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelinePoint {
    /// Seconds since the recording started.
    pub seconds: f64,
    /// RSS.
    pub rss: Bytes,
    /// The least and the greatest RSS that thinning folded into this point.
    pub rss_range: (Bytes, Bytes),
    /// The accounts within RSS that have a value at this moment, in bytes; `unexplained` may be
    /// negative. Empty at ticks without a read of the mappings.
    pub accounts: Vec<(Account, i64)>,
}

/// The forecast at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Seconds since the recording started.
    pub seconds: f64,
    /// Expected bytes.
    pub middle: f64,
    /// Lower end of the 90 % band.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}
