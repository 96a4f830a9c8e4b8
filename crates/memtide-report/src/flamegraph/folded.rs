//! Folded stacks, the format that `flamegraph.pl` and its kin read:
//!
//! ```text
//! line  = frame *( ";" frame ) " " bytes LF
//! ```
//!
//! A frame holds no `;`, no control character and no line's end: `;` becomes `,`, the others their
//! code points. Names are whole, however long; stacks with the same names are added up.

use super::What;
use super::tree::{self, Branch};
use crate::escape;
use memtide_model::report::Report;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// All stacks with bytes, sorted by name.
pub(super) fn render(report: &Report, what: What) -> String {
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for branch in tree::branches(report, what) {
        let bytes = match what {
            What::Growth => u64::try_from(branch.growth).unwrap_or(0),
            _ => branch.bytes,
        };
        if bytes > 0 {
            let sum = lines.entry(line(&branch)).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }
    // Growth of what is not listed is not known.
    let rest = match what {
        What::Growth => 0,
        _ => tree::unlisted(report, what),
    };
    if rest > 0 {
        lines.insert("(not listed)".to_owned(), rest);
    }
    lines.iter().fold(String::new(), |mut text, (line, bytes)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line} {bytes}");
        text
    })
}

fn line(branch: &Branch) -> String {
    let frames = branch.path.iter().map(|(label, _, _)| frame(label));
    let frames: Vec<_> = frames.collect();
    if frames.is_empty() {
        return "(no frames)".to_owned();
    }
    frames.join(";")
}

fn frame(label: &str) -> String {
    escape::plain(label).replace(';', ",")
}
