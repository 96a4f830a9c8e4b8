//! Measures of answers: shares with intervals, calibration, monotone and logistic regression.

pub(crate) mod calibration;
pub(crate) mod isotonic;
pub(crate) mod logistic;
pub(crate) mod share;
