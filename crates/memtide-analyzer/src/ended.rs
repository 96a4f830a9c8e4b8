//! How the process ended, from its exit and OOM events.
//!
//! An exit's number is the wait status as of waitpid(2): the low seven bits the signal, bits 8 to 15
//! the code. SIGKILL by itself proves nothing. The OOM killer is proven by the kernel's record of this process;
//! where its log cannot be read, by SIGKILL together with the `oom_kill` counter of its cgroup that rose with the
//! end, or rose in the last seconds while it lost its memory: a process of many GiB takes a while to go. It is
//! likely where that counter rose and how the process ended is not known, and where SIGKILL came while usage was
//! at 95 % of the limit or the machine had nothing left. A counter that rose while the process went on as before
//! tells of another process of the group; so does a kernel's log that was read and does not name this one.

use crate::ledger::{Split, by_status};
use crate::record::Record;
use memtide_model::report::{Ended, Evidence, How, Oom};
use memtide_model::{
    Account, Bytes, Cgroup, EventKind, IMPORTED, Nanos, Observations, Sample, text,
};

const SIGKILL: i64 = 9;
/// Share of the cgroup's limit from which SIGKILL is likely the OOM killer's.
const NEAR_LIMIT: f64 = 0.95;

/// Share of the machine's memory that is left, below which SIGKILL is likely the OOM killer's.
const NOTHING_LEFT: f64 = 0.02;
/// How long before the last sample the counter may have risen: it does so when the killer has chosen.
const RISE: Nanos = Nanos::from_secs(5);

/// Whether and how it ended.
pub(crate) fn ended(observations: &Observations) -> Ended {
    let pid = observations.target.id.pid;
    let mine = || observations.events.iter().filter(|event| event.pid == pid);
    let exit = mine().rfind(|event| event.kind == EventKind::Exit);
    let status = exit.and_then(|event| event.value);
    let gone = exit.is_some()
        || mine().any(|event| matches!(event.kind, EventKind::Zombie | EventKind::PidReused));
    let signal = status
        .map(|status| status & 0x7f)
        .filter(|&signal| signal != 0);
    let code = status
        .filter(|_| signal.is_none())
        .map(|status| status >> 8 & 0xff);

    if mine().any(|event| event.kind == EventKind::Oom) {
        return of(How::Oom, None, Some(SIGKILL), Oom::Proven);
    }
    let is_denied = mine().any(|event| event.kind == EventKind::NotOom);
    let group_was_hit = mine().any(|event| event.kind == EventKind::GroupOom);
    match (signal, code) {
        (Some(SIGKILL), _) if is_denied => of(How::Signal, None, signal, Oom::No),
        (Some(SIGKILL), _) if group_was_hit => of(How::Oom, None, signal, Oom::Proven),
        (Some(SIGKILL), _) => match killer(observations) {
            Oom::Proven => of(How::Oom, None, signal, Oom::Proven),
            likely => of(How::Signal, None, signal, likely),
        },
        (Some(_), _) => of(How::Signal, None, signal, Oom::No),
        (None, Some(_)) => of(How::Exit, code, None, Oom::No),
        (None, None) if is_denied => of(How::Unknown, None, None, Oom::No),
        (None, None) if group_was_hit => of(How::Unknown, None, None, Oom::Likely),
        (None, None) if gone => of(How::Unknown, None, None, Oom::Unknown),
        (None, None) => of(How::Running, None, None, Oom::No),
    }
}

/// Whether the record was imported: its process was never seen by memtide.
pub(crate) fn is_imported(observations: &Observations) -> bool {
    let lenses = &observations.recording.lenses;
    lenses.iter().any(|lens| lens == IMPORTED)
}

/// Whether it is gone: nothing more can be recorded of it.
pub(crate) fn is_gone(observations: &Observations) -> bool {
    ended(observations).how != How::Running
}

fn of(how: How, code: Option<i64>, signal: Option<i64>, oom: Oom) -> Ended {
    let small = |value: i64| i32::try_from(value).ok();
    Ended {
        how,
        code: code.and_then(small),
        signal: signal.and_then(small),
        oom,
    }
}

/// Whether SIGKILL came from the OOM killer.
fn killer(observations: &Observations) -> Oom {
    let Some(last) = observations.samples.last() else {
        return Oom::Unknown;
    };
    if lost_its_memory_after_a_kill(&observations.samples, last) {
        return Oom::Proven;
    }
    let at_limit = last.cgroup.is_some_and(|cgroup| {
        let limit = cgroup.limit.map(Bytes::as_f64);
        limit.is_some_and(|limit| cgroup.current.as_f64() >= NEAR_LIMIT * limit)
    });
    let available = last.host.and_then(|host| host.available);
    let machine = observations.target.limits.host;
    let nothing_left = available
        .zip(machine)
        .is_some_and(|(left, all)| left.as_f64() < NOTHING_LEFT * all.as_f64());
    if at_limit || nothing_left {
        Oom::Likely
    } else {
        Oom::Unknown
    }
}

/// Whether the counter of kills rose in the last seconds and the process only lost memory since.
fn lost_its_memory_after_a_kill(samples: &[Sample], last: &Sample) -> bool {
    let kills = |sample: &Sample| sample.cgroup.and_then(|cgroup| cgroup.oom_kills);
    let from = samples.partition_point(|sample| last.at - sample.at > RISE);
    let lately = samples.get(from..).unwrap_or_default();
    let rose = (lately.windows(2)).find(|pair| {
        kills(&pair[0])
            .zip(kills(&pair[1]))
            .is_some_and(|(a, b)| b > a)
    });
    // In the last sample's own tick nothing was seen of it since.
    rose.is_some_and(|pair| pair[1].at == last.at || last.memory.rss < pair[1].memory.rss)
}

/// What it held when it was seen last, where the OOM killer ended it: account by account, and beside it what its
/// control group used. The rows of the ledger are of a typical moment near the end; this is the last one.
pub(crate) fn at_death(
    observations: &Observations,
    record: &Record,
    split: Option<Split>,
    ended: &Ended,
) -> Option<Evidence> {
    if !matches!(ended.oom, Oom::Proven | Oom::Likely) {
        return None;
    }
    let (sample, mut accounts) = seen_last(observations, record, split)?;
    accounts.retain(|(_, value)| *value != 0);
    accounts.sort_by_key(|(_, value)| std::cmp::Reverse(*value));
    let parts: Vec<String> = (accounts.iter())
        .map(|(account, value)| format!("{} {}", account.name(), text::bytes(*value as f64)))
        .collect();
    let parts = if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    };
    let group = sample.cgroup.and_then(|cgroup| group_used(&cgroup));
    let end = (observations.events.iter())
        .rfind(|event| event.kind == EventKind::Exit && event.pid == observations.target.id.pid);
    let before = end.map_or(String::new(), |end| {
        format!(
            ", {} before its end",
            text::duration(end.at.seconds_since(sample.at))
        )
    });
    let rss = sample.memory.rss.as_f64();
    Some(Evidence {
        fact: format!(
            "When it was seen last{before}, it held {}{parts}{}.",
            text::bytes(rss),
            group.unwrap_or_default()
        ),
        account: None,
        value: Some(rss),
        unit: Some("bytes".to_owned()),
        low: None,
        high: None,
    })
}

/// The last sample that can be split as the ledger is. One that is killed within its first second has none but those of
/// its start, which are left out: then the last of all, by the kernel's own sums.
fn seen_last<'o>(
    observations: &'o Observations,
    record: &'o Record,
    split: Option<Split>,
) -> Option<(&'o Sample, Vec<(Account, i64)>)> {
    let split = split.and_then(|split| {
        let accounts = |sample| Some((sample, split.accounts(record, sample)));
        let mut samples = record.samples.iter().rev().filter_map(accounts);
        samples.find(|(_, accounts)| !accounts.is_empty())
    });
    split.or_else(|| {
        let last = observations.samples.last()?;
        Some((last, by_status(last)))
    })
}

/// "; its control group used 96.0 MiB of 100 MiB", with its swap where there is any.
fn group_used(cgroup: &Cgroup) -> Option<String> {
    let size = |bytes: Bytes| text::bytes(bytes.as_f64());
    let (used, limit) = (size(cgroup.current), size(cgroup.limit?));
    let swap = match (cgroup.swap, cgroup.swap_limit) {
        (Some(used), Some(limit)) => format!(" and {} of {} of swap", size(used), size(limit)),
        (Some(used), None) if used > Bytes::ZERO => format!(" and {} of swap", size(used)),
        _ => String::new(),
    };
    Some(format!("; its control group used {used} of {limit}{swap}"))
}
