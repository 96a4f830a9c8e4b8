//! The machine's view, asked where the process does not grow: does its memory shrink all the same?
//!
//! Memory that no process maps is asked for by [`super::shared`] first. A fall of what is available counts only
//! when it is seen in all six blocks of the record and one line of meminfo took most of it: other programs
//! start and end on any machine.

use super::answer::{Answer, Standing};
use super::facts::Facts;
use super::shared::{self, SEE_OWNERS};
use crate::statistics::{Series, blocks, theil_sen};
use crate::thresholds::{HOST_BYTES, HOST_OWN_SHARE, HOST_SHARE, MAIN_SHARE};
use crate::trail::Trail;
use memtide_model::{Bytes, Host, Unit, VerdictKind, text};

/// A line of meminfo, what it means, and the command that tells more.
struct Line {
    name: &'static str,
    what: &'static str,
    next: &'static str,
    value: fn(&Host) -> Option<Bytes>,
}

const LINES: [Line; 4] = [
    Line {
        name: "Shmem",
        what: "shared memory and files in tmpfs, which may be mapped by nobody",
        next: SEE_OWNERS,
        value: |host| host.shmem,
    },
    Line {
        name: "SUnreclaim",
        what: "memory of the kernel itself (slab)",
        next: "See which caches of the kernel grow: sudo slabtop -o -s c",
        value: |host| host.slab_unreclaimable,
    },
    Line {
        name: "AnonPages",
        what: "memory of other processes",
        next: "See which of them grow: memtide ps --by growth --for 30s",
        value: |host| host.anon,
    },
    Line {
        name: "PageTables, KernelStack and huge pages",
        what: "memory that the kernel sets aside",
        next: "See which: grep -E 'Huge|PageTables|KernelStack' /proc/meminfo",
        value: |host| host.kernel,
    },
];

/// What happens around a process that does not grow.
pub(super) fn around(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    shared::in_tmpfs(facts, trail)
        .or_else(|| shared::of_group(facts, trail))
        .or_else(|| shrinks(facts, trail))
}

/// The machine's available memory falls, and one line of meminfo took it.
fn shrinks(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let of_host = |value: fn(&Host) -> Option<Bytes>| {
        facts
            .record
            .series_by(|sample| Some(value(&sample.host?)?.as_f64()))
    };
    let available = of_host(|host| host.available);
    let fall = -available.delta();
    let least = HOST_BYTES.max(HOST_SHARE * available.start());
    let own = facts.rss.max(0.0);
    let steady = trail.above("fall of MemAvailable", fall, Unit::Bytes, least)
        && trail.below(
            "growth of this process",
            own,
            Unit::Bytes,
            HOST_OWN_SHARE * fall,
        )
        && blocks::all_rise_told(&negative(&available), Unit::Bytes, trail);
    if !steady {
        return None;
    }
    let lines = LINES.iter().map(|line| (line, of_host(line.value)));
    let (line, series) = lines.max_by(|a, b| a.1.delta().total_cmp(&b.1.delta()))?;
    let name = format!("growth of {}", line.name);
    if !trail.above(&name, series.delta(), Unit::Bytes, MAIN_SHARE * fall) {
        return None;
    }
    let rate = -theil_sen::slope(&available);
    Some(
        Answer::decided(
            VerdictKind::HostGrowth,
            Standing::Counted,
            format!("This process does not grow, but the machine's available memory shrinks by {}: {} took it", text::rate(rate), line.name),
        )
        .number(
            format!("MemAvailable fell by {} in {}, RSS of the process moved by {}.", text::bytes(fall), facts.time(), text::signed_bytes(facts.rss)),
            rate,
            "bytes/s",
        )
        .number(
            format!("{} grew by {}: {}.", line.name, text::bytes(series.delta()), line.what),
            theil_sen::slope(&series),
            "bytes/s",
        )
        .advise(line.next),
    )
}

fn negative(series: &Series) -> Series {
    Series::of(series.t.iter().zip(&series.y).map(|(t, y)| (*t, -y)))
}
