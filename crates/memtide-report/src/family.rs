//! The processes below the target in words and cells, the same on a terminal and on a page.

use crate::escape;
use memtide_model::report::{Report, TreeTotal};
use memtide_model::{ProcessRow, text};

/// The heads of a table of processes.
pub(crate) const HEADS: [&str; 7] = [
    "process", "pid", "state", "parent", "memory", "growth", "what",
];

/// What there is to say; `None` where nobody looked, or there was never anybody but the target.
pub(crate) fn of(report: &Report) -> Option<(&TreeTotal, &[ProcessRow])> {
    let tree = report.tree.as_ref()?;
    let was_alone = tree.most_processes <= 1 && tree.short_lived.unwrap_or(0) == 0;
    let rows = report.processes.as_deref().unwrap_or_default();
    (!was_alone).then_some((tree, rows))
}

/// How many they are and what they hold.
pub(crate) fn sentence(tree: &TreeTotal) -> String {
    let (held, how) = match tree.pss_bytes {
        Some(pss) => (pss, "PSS, which counts shared pages once"),
        None => (tree.rss_bytes, "RSS, which counts shared pages in each"),
    };
    let mut parts = vec![format!(
        "{} with the target {} {} ({how}), {} while watched",
        processes(tree.processes),
        if tree.processes == 1 { "holds" } else { "hold" },
        text::bytes(held as f64),
        text::signed_bytes(tree.growth_bytes as f64),
    )];
    if tree.zombies > 0 {
        parts.push(text::plural(tree.zombies, "zombie"));
    }
    if tree.orphans > 0 {
        parts.push(text::plural(tree.orphans, "orphan"));
    }
    match tree.short_lived {
        Some(0) => {}
        Some(count) => parts.push(format!(
            "{} came and went between two looks",
            processes(count)
        )),
        None => parts.push("who came and went between two looks is not known".to_owned()),
    }
    format!("{} (forks told by {})", parts.join("; "), tree.engine)
}

fn processes(count: u64) -> String {
    if count == 1 {
        "1 process".to_owned()
    } else {
        format!("{count} processes")
    }
}

/// The cells of a row, in the order of [`HEADS`].
pub(crate) fn cells(row: &ProcessRow) -> [String; 7] {
    let memory = row.pss_bytes.unwrap_or(row.rss_bytes);
    [
        escape::clip(&row.name, 40),
        row.pid.to_string(),
        escape::clip(&row.state, 12),
        row.ppid.to_string(),
        text::bytes(memory as f64),
        text::signed_bytes(row.growth_bytes.unwrap_or(0) as f64),
        row.role.name().to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total() -> TreeTotal {
        TreeTotal {
            engine: "side-band".to_owned(),
            processes: 12,
            zombies: 1,
            orphans: 2,
            most_processes: 15,
            rss_bytes: 300 << 20,
            pss_bytes: Some(200 << 20),
            growth_bytes: 10 << 20,
            short_lived: Some(40),
            lost: 0,
        }
    }

    #[test]
    fn a_tree_is_told_with_what_is_shown_and_who_told() {
        assert_eq!(
            sentence(&total()),
            "12 processes with the target hold 200 MiB (PSS, which counts shared pages once), +10.0 MiB while \
             watched; 1 zombie; 2 orphans; 40 processes came and went between two looks (forks told by side-band)"
        );
        let polled = TreeTotal {
            engine: "poll".to_owned(),
            pss_bytes: None,
            zombies: 0,
            orphans: 0,
            short_lived: None,
            ..total()
        };
        assert_eq!(
            sentence(&polled),
            "12 processes with the target hold 300 MiB (RSS, which counts shared pages in each), +10.0 MiB while \
             watched; who came and went between two looks is not known (forks told by poll)"
        );
    }
}
