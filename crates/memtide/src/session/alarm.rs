//! Memory that nears an end: more ticks then, and a snapshot where `--on-growth` or `--near-limit` asks for it.
//!
//! | limit | in use |
//! | --- | --- |
//! | the control group's, the tightest on the way up | what the group uses |
//! | `RLIMIT_AS` | the address space |
//! | the machine's memory | what is not available |
//!
//! Each crossing calls once: usage must fall by [`HYSTERESIS`] below the mark before it can cross it again.
//! `--on-growth` counts from where the recording began, and from each snapshot on anew; what only swings calls once.

use memtide_model::text::{bytes, signed_bytes};
use memtide_model::{Bytes, Limits, Nanos, Sample};

/// Share of a limit from which ticks come faster.
const FASTER_FROM: f64 = 0.85;
/// How often, then.
const FASTER: Nanos = Nanos(200_000_000);
/// Of the limit: how far usage must fall below a mark before it is crossed again.
const HYSTERESIS: f64 = 0.05;

/// When to take a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Marks {
    /// RSS has grown by so much.
    pub(crate) growth: Option<Bytes>,
    /// So much of the nearest limit is used, 0 to 1.
    pub(crate) share: Option<f64>,
}

/// The marks of a recording, and where memory stands.
#[derive(Debug)]
pub(super) struct Alarm {
    marks: Marks,
    /// RSS at the start, or at the last snapshot for growth.
    base: Option<Bytes>,
    /// Whether usage is above the mark since it was crossed.
    is_above: bool,
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Used {
    name: &'static str,
    bytes: Bytes,
    limit: Bytes,
}

impl Used {
    fn share(&self) -> f64 {
        self.bytes.as_f64() / self.limit.as_f64().max(1.0)
    }
}

impl Alarm {
    pub(super) const fn new(marks: Marks) -> Self {
        Self {
            marks,
            base: None,
            is_above: false,
        }
    }

    /// Another program has taken the target's place.
    pub(super) const fn restart(&mut self) {
        self.base = None;
        self.is_above = false;
    }

    /// Why a snapshot is to be taken after this tick: a sentence each.
    pub(super) fn crossed(&mut self, sample: &Sample, limits: &Limits) -> Vec<String> {
        let near = self.near_limit(sample, limits);
        self.grown(sample).into_iter().chain(near).collect()
    }

    fn grown(&mut self, sample: &Sample) -> Option<String> {
        let (mark, rss) = (self.marks.growth?, sample.memory.rss);
        let base = *self.base.get_or_insert(rss);
        (rss.saturating_sub(base) >= mark).then(|| {
            self.base = Some(rss);
            format!(
                "--on-growth: RSS is {}, {} since it was {}",
                size(rss),
                signed_bytes(rss.saturating_sub(base).as_f64()),
                size(base)
            )
        })
    }

    fn near_limit(&mut self, sample: &Sample, limits: &Limits) -> Option<String> {
        let mark = self.marks.share?;
        let used = nearest(sample, limits)?;
        if self.is_above {
            self.is_above = used.share() > mark - HYSTERESIS;
            return None;
        }
        self.is_above = used.share() >= mark;
        self.is_above.then(|| {
            format!(
                "--near-limit: {} of {} that {} allows are used ({:.0} %)",
                size(used.bytes),
                size(used.limit),
                used.name,
                100.0 * used.share()
            )
        })
    }
}

/// How often to take ticks: as asked for, and faster near a limit, if the budget (a share of one core) pays for
/// ticks that cost so much CPU time.
pub(super) fn pace(
    every: Nanos,
    sample: &Sample,
    limits: &Limits,
    cost: Nanos,
    budget: f64,
) -> Nanos {
    let near = is_near(sample, limits);
    let affordable = cost.as_secs_f64() <= budget * FASTER.as_secs_f64();
    if near && affordable {
        every.min(FASTER)
    } else {
        every
    }
}

/// Whether memory is near a limit.
pub(super) fn is_near(sample: &Sample, limits: &Limits) -> bool {
    nearest(sample, limits).is_some_and(|used| used.share() > FASTER_FROM)
}

/// The limit of which the greatest share is used.
fn nearest(sample: &Sample, limits: &Limits) -> Option<Used> {
    let group = sample.cgroup.and_then(|group| {
        Some(Used {
            name: "its control group",
            bytes: group.current,
            limit: group.limit?,
        })
    });
    let address_space = limits.address_space.map(|limit| Used {
        name: "RLIMIT_AS",
        bytes: sample.memory.size,
        limit,
    });
    let host = limits.host.zip(sample.host.and_then(|host| host.available));
    let host = host.map(|(total, available)| Used {
        name: "the machine",
        bytes: total.saturating_sub(available),
        limit: total,
    });
    [group, address_space, host]
        .into_iter()
        .flatten()
        .filter(|used| used.limit > Bytes::ZERO)
        .max_by(|a, b| a.share().total_cmp(&b.share()))
}

fn size(value: Bytes) -> String {
    bytes(value.as_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::{Activity, Cgroup, Counts, Memory, Merged, Pid, ProcessId, StartTime};

    const MIB: u64 = 1 << 20;

    fn sample(rss: u64, used: u64, limit: u64) -> Sample {
        Sample {
            at: Nanos(0),
            process: ProcessId {
                pid: Pid(1),
                start: StartTime(1),
            },
            memory: Memory {
                rss: Bytes(rss * MIB),
                ..Memory::default()
            },
            activity: Activity::default(),
            maps: None,
            counts: Counts::default(),
            cgroup: Some(Cgroup {
                current: Bytes(used * MIB),
                limit: Some(Bytes(limit * MIB)),
                ..Cgroup::default()
            }),
            host: None,
            merged: Merged::single(Bytes(rss * MIB)),
        }
    }

    /// The steps at which it calls.
    fn calls(marks: Marks, steps: &[(u64, u64)]) -> Vec<usize> {
        let mut alarm = Alarm::new(marks);
        let limits = Limits::default();
        (0..steps.len())
            .filter(|&step| {
                let (rss, used) = steps[step];
                !alarm.crossed(&sample(rss, used, 100), &limits).is_empty()
            })
            .collect()
    }

    #[test]
    fn each_crossing_of_a_share_calls_once() {
        let marks = Marks {
            share: Some(0.9),
            growth: None,
        };
        // Up to 90, around it, down to 85 (no further than the hysteresis), up, down to 84, up.
        let used = [50, 89, 90, 95, 89, 91, 86, 90, 85, 84, 90, 92];
        let steps: Vec<_> = used.into_iter().map(|used| (1, used)).collect();
        assert_eq!(calls(marks, &steps), [2, 10]);
    }

    #[test]
    fn growth_counts_from_the_start_and_from_each_snapshot() {
        let marks = Marks {
            growth: Some(Bytes(50 * MIB)),
            share: None,
        };
        let rss = [100, 149, 150, 199, 200, 120, 200, 249, 250];
        let steps: Vec<_> = rss.into_iter().map(|rss| (rss, 1)).collect();
        assert_eq!(calls(marks, &steps), [2, 4, 8]);
    }

    #[test]
    fn ticks_come_faster_near_a_limit_within_the_budget() {
        let second = Nanos::SECOND;
        let limits = Limits::default();
        let at = |used, cost| pace(second, &sample(1, used, 100), &limits, Nanos(cost), 0.01);
        assert_eq!(at(85, 100_000), second, "not above 85 %");
        assert_eq!(at(86, 2_000_000), FASTER, "2 ms each 200 ms is 1 %");
        assert_eq!(at(86, 2_100_000), second, "more than that is too dear");
        let asked = Nanos(100_000_000);
        let slow = pace(asked, &sample(1, 99, 100), &limits, Nanos(0), 0.01);
        assert_eq!(slow, asked, "it is faster already");
    }
}
