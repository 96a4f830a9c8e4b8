//! What goes on growing, where it was judged apart from what moves about it: one class of mappings, what a wave or
//! load leaves, the troughs of swings. The forecast takes its rate from there: that of the whole would be
//! another one, or none.

use super::heap::Subject;
use crate::statistics::{Series, blocks, theil_sen};
use memtide_model::Shape;

/// Growth that was judged apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Apart {
    /// It, in bytes.
    pub series: Series,
    /// Its rate, per second.
    pub slope: f64,
    /// Standard error of the rate.
    pub error: f64,
}

impl Apart {
    /// The subject of an answer that claims growth; `None` where all of anonymous memory was judged as it stands. `rest` is
    /// true of what a wave or load leaves.
    pub(super) fn of(subject: &Subject, rest: bool) -> Option<Self> {
        let (series, form) = (&subject.series, &subject.form);
        let (slope, error) = match (form.shape(), form.trough_slope, form.trough_error) {
            (Shape::RisingSawtooth, Some(slope), Some(error)) => (slope, error),
            _ if rest || subject.class.is_some() => {
                (theil_sen::slope(series), blocks::slope_error(series)?)
            }
            _ => return None,
        };
        Some(Self {
            series: series.clone(),
            slope,
            error,
        })
    }
}
