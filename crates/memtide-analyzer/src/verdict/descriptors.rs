//! Stage 1, continued: descriptors that are opened and not closed. What they lead to is named where
//! one target carries the growth, and chooses the advice; else the kind does.

use super::answer::{Answer, Standing};
use super::facts::Facts;
use crate::held::{self, Moved};
use crate::record::Track;
use crate::statistics::blocks;
use crate::thresholds::{DESCRIPTORS, MAIN_SHARE};
use crate::trail::Trail;
use memtide_model::{Descriptors, GroupTarget, HeldKind, Unit, VerdictKind, text};

/// Descriptors that grow while memory hardly does.
pub(super) fn pile_up(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let growth = facts.count("descriptors", Track::Descriptors, DESCRIPTORS, trail);
    if !growth.sustained {
        return None;
    }
    let rate = facts.rate(Track::Descriptors);
    let groups = held::groups(facts.record, facts.observations);
    let target = target_that_grew(&groups, growth.delta, trail);
    let group = group_that_grew(facts);
    let mostly = match (target, &group) {
        (Some(target), _) => format!(
            ", mostly {}: +{}",
            held::words(target.target),
            text::count_rate(target.rate())
        ),
        (None, Some((group, _))) => format!(
            ": {} more, mostly {}",
            text::count_rate(rate),
            group_words(group)
        ),
        (None, None) => format!(": {} more", text::count_rate(rate)),
    };
    let headline = format!("Descriptors are opened and not closed{mostly}");
    let mut answer = Answer::decided(VerdictKind::FdLeak, Standing::Counted, headline).number(
        format!(
            "Descriptors {} in {}.",
            facts.ends(Track::Descriptors),
            facts.time()
        ),
        rate,
        "descriptors/s",
    );
    answer = match (target, &group) {
        (Some(target), _) => of_target(target, answer),
        (None, Some((group, delta))) => answer.number(
            format!("Of them {} grew by {delta:.0}.", group_words(group)),
            *delta,
            "descriptors",
        ),
        (None, None) => answer,
    };
    let limit = facts.observations.target.limits.descriptors;
    if let Some(time) = facts.until(Track::Descriptors, limit) {
        answer = answer.fact(format!(
            "The limit of {} descriptors is reached in {time}.",
            limit.unwrap_or_default()
        ));
    }
    let pid = facts.observations.target.id.pid.0;
    let sentence = target.and_then(|target| advice_for(target.target, pid));
    let group = group.map_or("", |(group, _)| group);
    Some((answer.going_on()).advise(sentence.unwrap_or_else(|| advice(group, pid))))
}

/// The target that carries the growth of all descriptors.
fn target_that_grew<'g>(
    groups: &'g [Moved<'g>],
    grown: f64,
    trail: &mut Trail,
) -> Option<&'g Moved<'g>> {
    let mut descriptors = groups
        .iter()
        .filter(|group| group.target.kind.is_descriptor());
    let most = descriptors.next()?;
    let name = format!("growth of {}", most.target.label());
    let least = MAIN_SHARE * grown;
    trail
        .above(&name, most.series.delta(), Unit::Count, least)
        .then_some(most)
}

/// With how one target grew, its rate and the interval of that.
fn of_target(target: &Moved, answer: Answer) -> Answer {
    let series = &target.series;
    let slope = blocks::slope_with_interval(&target.reads);
    let rate = target.rate();
    let words = held::words(target.target);
    let fact = format!(
        "Of them {words}: {:.0} → {:.0}, +{}.",
        series.start(),
        series.end(),
        text::count_rate(rate)
    );
    let answer = answer.number(fact, rate, "descriptors/s");
    match slope {
        Some(slope) => answer.within(slope.low, slope.high),
        None => answer,
    }
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

/// What is missing where a target has a state or a kind that tells; `None` where its kind says no more.
fn advice_for(target: &GroupTarget, pid: u32) -> Option<String> {
    let name = &*target.name;
    let of_tcp = match &*target.state {
        "CLOSE_WAIT" => {
            "The peer has closed the connection and the program never called close(): close a socket when read() returns 0, and on every error"
        }
        "ESTABLISHED" if name.starts_with("accepted") => {
            "Clients stay connected and are never dropped: give idle connections a timeout, and close() what is done"
        }
        "ESTABLISHED" => {
            "Connections are opened and kept, though one is there already: use a pool of fixed size, and give each back or close() it"
        }
        "LISTEN" => {
            "A listening socket is opened anew and the old one not closed: close() it first"
        }
        _ => "Close each socket on every way out, errors too",
    };
    match target.kind {
        HeldKind::Tcp => Some(format!("{of_tcp}: ss -tanp | grep pid={pid},")),
        HeldKind::File if !name.contains('*') => Some(format!(
            "The same file is opened again and again and never closed: close() it, or keep one descriptor: ls -l /proc/{pid}/fd | grep -F '{name}'"
        )),
        HeldKind::Pipe if name.starts_with("with p") => Some(format!(
            "Close the end of the pipe when the other process is done with it (pclose() after popen()): ls -l /proc/{pid}/fd | grep pipe"
        )),
        HeldKind::AnonInode => Some(format!(
            "Each {name} is made and not closed: close() it where its user ends: ls -l /proc/{pid}/fd | grep {name}"
        )),
        _ => None,
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
