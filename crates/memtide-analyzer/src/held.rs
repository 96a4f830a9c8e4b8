//! What is held, group by group: series over the samples, which groups moved most, and their words.
//!
//! A recording has a row of a group where its count changed; before its first row there was none. So the
//! value at a sample is that of the last row up to it, and every series has the record's own moments.
//!
//! A rate is taken from the rows themselves: what costs much to read is read rarely, and a line through the
//! stairs that are left between two reads would be too flat.

use crate::record::Record;
use crate::statistics::{Series, theil_sen};
use memtide_model::{GroupTarget, HeldHistory, HeldKind, Nanos, Observations};

/// A group and how its number moved over the record.
#[derive(Clone, Debug)]
pub(crate) struct Moved<'a> {
    /// Which group.
    pub(crate) target: &'a GroupTarget,
    /// Its count at every sample.
    pub(crate) series: Series,
    /// Its count at the moments at which it was seen to move; at every sample, where it came to rest.
    pub(crate) reads: Series,
}

impl Moved<'_> {
    /// How fast it grows, per second.
    pub(crate) fn rate(&self) -> f64 {
        theil_sen::slope(&self.reads)
    }
}

/// All groups, those that grew most first.
pub(crate) fn groups<'a>(record: &Record, observations: &'a Observations) -> Vec<Moved<'a>> {
    let mut groups: Vec<Moved> = (observations.held.iter())
        .map(|history| Moved {
            target: &history.target,
            series: series(record, history),
            reads: reads(record, history),
        })
        .collect();
    groups.sort_by(|a, b| {
        (b.series.delta().total_cmp(&a.series.delta()))
            .then_with(|| b.series.end().total_cmp(&a.series.end()))
            .then_with(|| a.target.cmp(b.target))
    });
    groups
}

/// A group's count at every sample of the record.
fn series(record: &Record, history: &HeldHistory) -> Series {
    record.series_by(|sample| {
        let behind = history
            .points
            .partition_point(|point| point.at <= sample.at);
        let last = behind.checked_sub(1).and_then(|at| history.points.get(at));
        Some(last.map_or(0.0, |point| point.count as f64))
    })
}

/// The counts of the record's time at the moments of their rows; at all samples, where it came to rest.
fn reads(record: &Record, history: &HeldHistory) -> Series {
    let (Some(first), Some(last)) = (record.samples.first(), record.samples.last()) else {
        return Series::default();
    };
    let inside = history.points.iter();
    let inside = inside.filter(|point| first.at < point.at && point.at <= last.at);
    let mut reads: Vec<(Nanos, u64)> = inside.map(|point| (point.at, point.count)).collect();
    // The first samples of a young program are left out; what was counted then was counted then.
    let earliest = first.at - Nanos::from_secs_f64(record.settled);
    let before = history.points.iter().rfind(|point| point.at <= first.at);
    let start = before.map_or(earliest, |point| point.at.max(earliest));
    reads.insert(0, (start, before.map_or(0, |point| point.count)));
    let gaps = reads.windows(2).map(|pair| (pair[1].0 - pair[0].0).0);
    let longest = gaps.max().unwrap_or(0);
    // What has not moved for longer than it ever took to move has come to rest.
    if let Some(&(at, _)) = reads.last()
        && (last.at - at).0 > longest.saturating_mul(2)
    {
        return series(record, history);
    }
    let moments = reads.into_iter();
    Series::of(moments.map(|(at, count)| (record.second_of(at), count as f64)))
}

/// "sockets to 10.0.0.5:5432 in `CLOSE_WAIT`", "the file /var/log/x.log".
pub(crate) fn words(target: &GroupTarget) -> String {
    let name = &*target.name;
    let is_many = name.contains('*');
    let called = |what: &str| match name {
        "" => what.to_owned(),
        _ => format!("{what} {name}"),
    };
    match target.kind {
        HeldKind::File | HeldKind::Tmpfs if is_many => format!("files like {name}"),
        HeldKind::File => format!("the file {name}, again and again"),
        HeldKind::Deleted if is_many => format!("deleted files like {name}"),
        HeldKind::Deleted => called("deleted files"),
        HeldKind::Memfd if name.starts_with('/') => format!("files of shared memory like {name}"),
        HeldKind::Memfd => called("memfds called"),
        HeldKind::Tcp => tcp(target),
        HeldKind::Udp => called("UDP sockets of"),
        HeldKind::Unix if name.is_empty() => "unnamed Unix sockets".to_owned(),
        HeldKind::Unix => called("Unix sockets of"),
        HeldKind::Socket => "sockets that are not connected".to_owned(),
        HeldKind::Pipe => called("pipes"),
        HeldKind::Eventfd => "eventfds".to_owned(),
        HeldKind::Epoll => "epoll instances".to_owned(),
        HeldKind::AnonInode => called("anonymous inodes of the kind"),
        HeldKind::PosixQueue => called("POSIX queues"),
        HeldKind::SystemVQueue => called("System V queues"),
        HeldKind::SystemVSegment => called("System V segments"),
        HeldKind::Child => called("processes called"),
        HeldKind::Tmpfs => called("the file"),
    }
}

fn tcp(target: &GroupTarget) -> String {
    let (name, state) = (&*target.name, &*target.state);
    match state {
        "LISTEN" => format!("sockets that listen on {name}"),
        _ if name.starts_with("accepted") => format!("sockets {name} in {state}"),
        _ => format!("sockets to {name} in {state}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_told_in_words() {
        for (kind, name, state, said) in [
            (
                HeldKind::Tcp,
                "10.0.0.5:5432",
                "CLOSE_WAIT",
                "sockets to 10.0.0.5:5432 in CLOSE_WAIT",
            ),
            (
                HeldKind::Tcp,
                "accepted on port 80",
                "ESTABLISHED",
                "sockets accepted on port 80 in ESTABLISHED",
            ),
            (
                HeldKind::File,
                "/var/log/x",
                "",
                "the file /var/log/x, again and again",
            ),
            (HeldKind::File, "/tmp/job-*", "", "files like /tmp/job-*"),
            (HeldKind::Memfd, "pool", "", "memfds called pool"),
            (
                HeldKind::Pipe,
                "with both ends here",
                "",
                "pipes with both ends here",
            ),
            (HeldKind::Unix, "", "", "unnamed Unix sockets"),
            (
                HeldKind::AnonInode,
                "inotify",
                "",
                "anonymous inodes of the kind inotify",
            ),
        ] {
            let (name, state) = (name.into(), state.into());
            assert_eq!(words(&GroupTarget { kind, name, state }), said);
        }
    }
}
