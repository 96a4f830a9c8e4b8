//! Rows of the things that are counted: threads, descriptors, mappings, processes.
//!
//! Ends are medians of a twelfth, rates robust slopes. A group that is zero at both ends is left out;
//! what was never read has no row. Behind the kinds of descriptors stand the [`MOST_GROUPS`] targets that
//! moved most, or that most lead to: "tcp 10.0.0.5:5432 `CLOSE_WAIT`".

use crate::held::{self, Moved};
use crate::record::{Record, Track};
use crate::statistics::{Series, blocks, theil_sen};
use crate::thresholds::FEWEST_SAMPLES;
use crate::tree;
use memtide_model::report::CountRow;
use memtide_model::{Descriptors, HeldKind, Observations};
use std::cmp::Ordering;

/// Targets that have a row.
const MOST_GROUPS: usize = 16;

/// All rows, totals before their groups.
pub(crate) fn rows(record: &Record, observations: &Observations) -> Vec<CountRow> {
    let mut rows = Vec::new();
    rows.extend(row("threads", None, &record.series(Track::Threads)));
    rows.extend(row("fds", None, &record.series(Track::Descriptors)));
    for (index, (name, _)) in Descriptors::default().groups().iter().enumerate() {
        let group = record.series_by(|sample| {
            let fds = sample.counts.descriptors?;
            Some(fds.groups()[index].1 as f64)
        });
        rows.extend(row("fds", Some(name), &group).filter(is_there));
    }
    let groups = held::groups(record, observations);
    rows.extend(targets("fds", &groups, |group| {
        // What has no name and no state is its kind, and may have a row already.
        let label = group.target.label();
        let kinds = Descriptors::default().groups();
        group.target.kind.is_descriptor() && kinds.iter().all(|(kind, _)| *kind != label)
    }));
    rows.extend(looked("queues", &record.series(Track::Queues)).filter(is_there));
    rows.extend(looked("segments", &record.series(Track::Segments)).filter(is_there));
    rows.extend(targets("kernel objects", &groups, |group| {
        group.target.kind.is_object()
    }));
    rows.extend(targets("bytes in tmpfs", &groups, |group| {
        group.target.kind == HeldKind::Tmpfs
    }));
    rows.extend(row("mappings", None, &record.series(Track::Mappings)));
    rows.extend(processes(record));
    rows.extend(names(record, observations));
    rows
}

fn processes(record: &Record) -> Vec<CountRow> {
    let series = |value: fn(&memtide_model::Children) -> u64| {
        record.series_by(|sample| {
            sample
                .counts
                .children
                .as_ref()
                .map(|kids| value(kids) as f64)
        })
    };
    let groups = [
        ("zombie", series(|kids| kids.zombies)),
        ("stopped", series(|kids| kids.stopped)),
        ("blocked", series(|kids| kids.blocked)),
        ("session", series(|kids| kids.session_others)),
    ];
    let mut rows: Vec<CountRow> = row("processes", None, &series(|kids| kids.total))
        .into_iter()
        .collect();
    for (name, group) in &groups {
        rows.extend(row("processes", Some(name), group).filter(is_there));
    }
    rows
}

/// Processes of the tree by name; where nobody looked at that, children.
fn names(record: &Record, observations: &Observations) -> Vec<CountRow> {
    let names = match &observations.tree {
        Some(tree) => (tree.names.iter())
            .map(|history| (history.name.to_string(), tree::named(record, history)))
            .collect(),
        None => tree::children(record, observations),
    };
    let mut rows: Vec<CountRow> = (names.iter())
        .filter_map(|(name, series)| row("processes", Some(name), series))
        .filter(is_there)
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.end.abs_diff(row.start)));
    rows.truncate(MOST_GROUPS);
    rows
}

/// The groups that moved most, and then the largest.
fn targets(count: &str, groups: &[Moved], is_one: impl Fn(&Moved) -> bool) -> Vec<CountRow> {
    let mut its: Vec<&Moved> = groups.iter().filter(|group| is_one(group)).collect();
    its.sort_by(|a, b| {
        let rank = |group: &Moved| (group.series.delta().abs(), group.series.end());
        rank(b).partial_cmp(&rank(a)).unwrap_or(Ordering::Equal)
    });
    let rows = its.into_iter().take(MOST_GROUPS);
    let rows = rows.filter_map(|group| {
        let row = row(count, Some(&group.target.label()), &group.series)?;
        Some(CountRow {
            per_second: Some(group.rate()),
            ..row
        })
    });
    rows.filter(is_there).collect()
}

fn is_there(row: &CountRow) -> bool {
    row.start > 0 || row.end > 0
}

fn row(count: &str, group: Option<&str>, series: &Series) -> Option<CountRow> {
    (!series.is_empty()).then(|| CountRow {
        count: count.to_owned(),
        group: group.map(str::to_owned),
        start: whole(series.start()),
        end: whole(series.end()),
        per_second: blocks::slope_with_interval(series).map(|slope| slope.per_second),
    })
}

/// The same of what is read now and then: fewer values than an interval of the rate needs still have one.
fn looked(count: &str, series: &Series) -> Option<CountRow> {
    let row = row(count, None, series)?;
    let has_rate = series.len() >= FEWEST_SAMPLES && series.span() > 0.0;
    let rate = || has_rate.then(|| theil_sen::slope(series));
    Some(CountRow {
        per_second: row.per_second.or_else(rate),
        ..row
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "medians of counts are not negative, and the cast saturates"
)]
fn whole(count: f64) -> u64 {
    count.round() as u64
}
