//! The tree below the target: rows of its processes, sums, and which name piles up.
//!
//! A recording has a row of a process where its memory or state changed, and of each name how many there were.
//! What is shared between processes counts once in PSS and in each of them in RSS, so sums are of PSS where
//! that is known of all.

use crate::held;
use crate::record::Record;
use crate::statistics::{Series, theil_sen};
use memtide_model::report::TreeTotal;
use memtide_model::{
    HeldKind, MemberHistory, NameHistory, Nanos, Observations, Pid, ProcessRow, Role,
};
use std::collections::BTreeMap;

/// Sums at the end, and how they moved; `None` where nobody looked.
pub(crate) fn total(observations: &Observations) -> Option<TreeTotal> {
    let tree = observations.tree.as_ref()?;
    let (first, last) = (tree.totals.first()?, tree.totals.last()?);
    // PSS is read after RSS, so the first sums may lack it.
    let first_pss = tree.totals.iter().find_map(|totals| totals.pss);
    let growth_bytes = match (first_pss, last.pss) {
        (Some(before), Some(after)) => after.growth_since(before),
        _ => last.rss.growth_since(first.rss),
    };
    Some(TreeTotal {
        engine: tree.engine.clone(),
        processes: last.processes,
        zombies: last.zombies,
        orphans: last.orphans,
        most_processes: tree.totals.iter().map(|t| t.processes).max().unwrap_or(0),
        rss_bytes: last.rss.0,
        pss_bytes: last.pss.map(|pss| pss.0),
        growth_bytes,
        short_lived: tree.short_lived,
        lost: tree.lost,
    })
}

/// Rows of those that were still there at the end, those that grew most first; `None` where nobody looked.
pub(crate) fn rows(record: &Record, observations: &Observations) -> Option<Vec<ProcessRow>> {
    let tree = observations.tree.as_ref()?;
    let alive: Vec<&MemberHistory> = (tree.members.iter())
        .filter(|member| member.ended.is_none())
        .collect();
    let sums = sums(&alive);
    let mut rows: Vec<ProcessRow> = (alive.iter())
        .map(|member| row(record, observations, member, &sums))
        .collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.growth_bytes), row.pid));
    Some(rows)
}

/// The memory of each process and all below it, as far as they have rows.
fn sums(alive: &[&MemberHistory]) -> BTreeMap<Pid, u64> {
    let own = |member: &MemberHistory| member.last.pss.unwrap_or(member.last.rss).0;
    let parents: BTreeMap<Pid, Pid> = (alive.iter())
        .filter_map(|member| Some((member.last.id.pid, member.last.parent?)))
        .collect();
    let mut sums: BTreeMap<Pid, u64> = BTreeMap::new();
    for member in alive {
        let mut at = Some(member.last.id.pid);
        // Numbers that were given again could make a ring.
        for _ in 0..=alive.len() {
            let Some(pid) = at else { break };
            let sum = sums.entry(pid).or_default();
            *sum = sum.saturating_add(own(member));
            at = parents.get(&pid).copied();
        }
    }
    sums
}

fn row(
    record: &Record,
    observations: &Observations,
    member: &MemberHistory,
    sums: &BTreeMap<Pid, u64>,
) -> ProcessRow {
    let (last, recording) = (&member.last, &observations.recording);
    let ticks = recording.ticks_per_second.max(1) as f64;
    let seconds = |ticks_of: u64| ticks_of as f64 / ticks;
    let series = course(record, member);
    let first = member.points.first().map_or(last.rss, |point| point.rss);
    ProcessRow {
        pid: last.id.pid.0,
        inner_pid: None,
        start_ticks: last.id.start.0,
        ppid: last.parent.map_or(0, |parent| parent.0),
        uid: None,
        user: None,
        pgid: last.pgid,
        sid: last.sid,
        state: char::from(last.state).to_string(),
        name: last.name.to_string(),
        cmdline: last.cmdline.to_vec(),
        wchan: None,
        role: role(member),
        age_seconds: (recording.ended.as_secs_f64() - seconds(last.id.start.0)).max(0.0),
        cpu_seconds: seconds(last.cpu_ticks),
        threads: last.threads,
        rss_bytes: last.rss.0,
        pss_bytes: last.pss.map(|pss| pss.0),
        tree_bytes: sums.get(&last.id.pid).copied().unwrap_or(last.rss.0),
        bytes_per_second: (series.len() >= FEWEST).then(|| theil_sen::slope(&series)),
        growth_bytes: Some(last.rss.growth_since(first)),
    }
}

/// Samples from which a rate is told.
const FEWEST: usize = 8;

/// Its RSS at the samples from its first row on.
fn course(record: &Record, member: &MemberHistory) -> Series {
    record.series_by(|sample| {
        let behind = member.points.partition_point(|point| point.at <= sample.at);
        let last = member.points.get(behind.checked_sub(1)?)?;
        Some(last.rss.as_f64())
    })
}

fn role(member: &MemberHistory) -> Role {
    let last = &member.last;
    if last.is_zombie() {
        Role::Zombie
    } else if last.orphaned {
        Role::Orphan
    } else if last.sid == i64::from(last.id.pid.0) {
        Role::Leader
    } else {
        Role::Child
    }
}

/// How many processes of one name there were at each sample.
pub(crate) fn named(record: &Record, history: &NameHistory) -> Series {
    record.series_by(|sample| Some(count_at(history, sample.at) as f64))
}

fn count_at(history: &NameHistory, at: Nanos) -> u64 {
    let behind = history.points.partition_point(|(since, _)| *since <= at);
    let last = behind.checked_sub(1).and_then(|at| history.points.get(at));
    last.map_or(0, |(_, count)| *count)
}

/// The name of which there came most, with how many there were at each sample: of the tree, and where nobody looked
/// at that, of the children.
pub(crate) fn piling_up(record: &Record, observations: &Observations) -> Option<(String, Series)> {
    let Some(tree) = &observations.tree else {
        return children(record, observations).into_iter().next();
    };
    let names = tree.names.iter();
    names
        .map(|history| (history.name.to_string(), named(record, history)))
        .max_by(|(_, a), (_, b)| a.delta().total_cmp(&b.delta()))
}

/// The names of children with how many there were at each sample, those that grew most first.
pub(crate) fn children(record: &Record, observations: &Observations) -> Vec<(String, Series)> {
    let groups = held::groups(record, observations).into_iter();
    let children = groups.filter(|group| group.target.kind == HeldKind::Child);
    children
        .map(|group| (group.target.name.to_string(), group.series))
        .collect()
}
