//! Answers as tables: what was said, how often it was right, how sure it was, and whether that is enough.

pub(crate) mod calibrated;
pub(crate) mod confusion;
pub(crate) mod holdout;
pub(crate) mod kept;
pub(crate) mod known;
pub(crate) mod rates;
pub(crate) mod targets;
pub(crate) mod view;
pub(crate) mod wrong;
