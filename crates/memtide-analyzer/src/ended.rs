//! How the process ended, from its exit and OOM events.
//!
//! An exit's number is the wait status as of waitpid(2): the low seven bits the signal, bits 8 to 15
//! the code. SIGKILL by itself proves nothing: the OOM killer is proven by its event or by the
//! cgroup's `oom_kill` counter, likely where usage was at 95 % of the limit, else not known.

use memtide_model::report::{Ended, How, Oom};
use memtide_model::{EventKind, Observations};

const SIGKILL: i64 = 9;
/// Share of the cgroup's limit from which SIGKILL is likely the OOM killer's.
const NEAR_LIMIT: f64 = 0.95;

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
    match (signal, code) {
        (Some(SIGKILL), _) => match killer(observations) {
            Oom::Proven => of(How::Oom, None, signal, Oom::Proven),
            likely => of(How::Signal, None, signal, likely),
        },
        (Some(_), _) => of(How::Signal, None, signal, Oom::No),
        (None, Some(_)) => of(How::Exit, code, None, Oom::No),
        (None, None) if gone => of(How::Unknown, None, None, Oom::Unknown),
        (None, None) => of(How::Running, None, None, Oom::No),
    }
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
    let cgroups = || {
        observations
            .samples
            .iter()
            .filter_map(|sample| sample.cgroup)
    };
    let kills = |cgroup: Option<memtide_model::Cgroup>| cgroup.and_then(|c| c.oom_kills);
    if let (Some(first), Some(last)) = (kills(cgroups().next()), kills(cgroups().next_back()))
        && last > first
    {
        return Oom::Proven;
    }
    let near = cgroups().next_back().is_some_and(|cgroup| {
        let limit = cgroup.limit.map(memtide_model::Bytes::as_f64);
        limit.is_some_and(|limit| cgroup.current.as_f64() >= NEAR_LIMIT * limit)
    });
    if near { Oom::Likely } else { Oom::Unknown }
}
