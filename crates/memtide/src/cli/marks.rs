//! `--on-growth` and `--near-limit`: when a snapshot is taken out of turn.
#![expect(
    clippy::doc_markdown,
    reason = "the comments are help texts, which are no Markdown"
)]

use super::values::parse_bytes;
use crate::session;
use anyhow::{bail, ensure};
use clap::Args as ClapArgs;
use memtide_model::Bytes;

#[derive(Debug, Default, ClapArgs)]
pub(crate) struct Marks {
    /// Take a snapshot of the heap each time RSS has grown by so much, such as 500MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub(crate) on_growth: Option<u64>,
    /// Take one when so much of the nearest limit (control group, RLIMIT_AS, the machine) is used, such as 90%
    #[arg(long, value_name = "PERCENT")]
    pub(crate) near_limit: Option<String>,
}

impl TryFrom<Marks> for session::Marks {
    type Error = anyhow::Error;
    fn try_from(marks: Marks) -> anyhow::Result<Self> {
        ensure!(
            marks.on_growth != Some(0),
            "--on-growth 0 would ask for a snapshot at every tick; give a size such as 500MiB"
        );
        Ok(Self {
            growth: marks.on_growth.map(Bytes),
            share: marks.near_limit.as_deref().map(share).transpose()?,
        })
    }
}

/// `90%` or `90` as 0.9.
fn share(text: &str) -> anyhow::Result<f64> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => bail!(
            "--near-limit {text:?} is no share; give percent above 0 and up to 100, such as 90%"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_in_percent() {
        for (text, value) in [("90%", 0.9), ("90", 0.9), ("99.5 %", 0.995), ("100%", 1.0)] {
            assert!((share(text).unwrap() - value).abs() < 1e-12, "{text}");
        }
        for text in ["", "%", "0", "101%", "-1", "NaN", "inf", "much"] {
            let error = share(text).unwrap_err().to_string();
            assert!(error.contains("such as 90%"), "{text}: {error}");
        }
    }
}
