//! Robust statistics on short series: each module one method with its formula, assumption and source.

pub mod aicc;
pub mod blocks;
pub mod kendall;
pub mod least_squares;
pub mod quantile;
pub mod series;
pub mod theil_sen;
pub mod wave;
pub mod zigzag;

pub use series::Series;
