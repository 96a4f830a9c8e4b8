//! Stage 1, continued: descriptors that are opened and not closed. The kind that grows chooses the advice.

use super::answer::{Answer, Standing};
use super::facts::Facts;
use crate::record::Track;
use crate::thresholds::DESCRIPTORS;
use crate::trail::Trail;
use memtide_model::{Descriptors, VerdictKind, text};

/// Descriptors that grow while memory hardly does.
pub(super) fn pile_up(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let growth = facts.count("descriptors", Track::Descriptors, DESCRIPTORS, trail);
    if !growth.sustained {
        return None;
    }
    let rate = facts.rate(Track::Descriptors);
    let group = group_that_grew(facts);
    let mostly = (group.as_ref()).map_or_else(String::new, |(group, _)| {
        format!(", mostly {}", group_words(group))
    });
    let headline = format!(
        "Descriptors are opened and not closed: {} more{mostly}",
        text::count_rate(rate)
    );
    let mut answer = Answer::decided(VerdictKind::FdLeak, Standing::Counted, headline).number(
        format!(
            "Descriptors {} in {}.",
            facts.ends(Track::Descriptors),
            facts.time()
        ),
        rate,
        "descriptors/s",
    );
    if let Some((group, delta)) = &group {
        answer = answer.number(
            format!("Of them {} grew by {delta:.0}.", group_words(group)),
            *delta,
            "descriptors",
        );
    }
    let limit = facts.observations.target.limits.descriptors;
    if let Some(time) = facts.until(Track::Descriptors, limit) {
        answer = answer.fact(format!(
            "The limit of {} descriptors is reached in {time}.",
            limit.unwrap_or_default()
        ));
    }
    let group = group.map_or("", |(group, _)| group);
    Some((answer.going_on()).advise(advice(group, facts.observations.target.id.pid.0)))
}

/// The group of descriptors that grew most, with its growth.
fn group_that_grew(facts: &Facts) -> Option<(&'static str, f64)> {
    let groups = Descriptors::default().groups();
    (groups.into_iter().enumerate())
        .filter_map(|(index, (name, _))| {
            let series = facts
                .record
                .series_by(|s| s.counts.descriptors.map(|fds| fds.groups()[index].1 as f64));
            (series.delta() > 0.0).then(|| (name, series.delta()))
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))
}

fn group_words(group: &str) -> &str {
    match group {
        "file" => "files",
        "socket" => "sockets",
        "pipe" => "pipes",
        "eventfd" => "eventfds",
        "epoll" => "epoll instances",
        "anon_inode" => "other anonymous inodes (timerfd, inotify, io_uring, …)",
        "memfd" => "memfds",
        "deleted" => "deleted files",
        other => other,
    }
}

/// How to see which they are, and what is missing mostly.
fn advice(group: &str, pid: u32) -> String {
    let list = format!("ls -l /proc/{pid}/fd");
    match group {
        "socket" => format!(
            "Close each connection when it is done: CLOSE-WAIT means that the peer hung up and close() is missing, ESTAB that idle ones are kept: ss -tanp | grep pid={pid},"
        ),
        "file" => format!(
            "Close each file on every way out, errors too; the path that comes again and again tells the code: {list} | sort -k11"
        ),
        "pipe" => format!(
            "Close both ends of each pipe, in the parent after fork() as well, and open them with O_CLOEXEC: {list} | grep pipe"
        ),
        "deleted" => format!(
            "Close deleted files: they keep their place on the disk until then: {list} | grep deleted"
        ),
        "memfd" => format!(
            "Close each memfd and unmap it: it keeps its memory until both are done: {list} | grep -E 'memfd|/dev/shm'"
        ),
        "eventfd" | "epoll" | "anon_inode" => format!(
            "Close each of them where the loop or the object ends that made it: {list} | grep anon_inode"
        ),
        _ => format!("Close what is opened; see which: {list} | sort -k11"),
    }
}
