//! Measures of answers: shares with intervals, calibration, monotone regression.

pub(crate) mod calibration;
pub(crate) mod isotonic;
pub(crate) mod share;
