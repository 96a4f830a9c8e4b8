//! Shared memory: that the process maps, with what it is called; and that nobody needs to map.
//!
//! What grows is named by the mappings that grew, or by the files of tmpfs: those whose names differ in numbers alone
//! are one. Files in tmpfs and segments that nobody is attached to are in no RSS. The files of the process's user
//! are counted as such; else the shared memory of the process's cgroup shows that there is more, and not what. Growth of these counts when it is seen in all six blocks of the record: other programs write
//! to tmpfs, too.

use super::answer::{Answer, Standing};
use super::counters;
use super::facts::Facts;
use crate::held;
use crate::record::Track;
use crate::statistics::{Series, blocks, theil_sen};
use crate::thresholds::{FIXED_SIZE_SHARE, HOST_BYTES, HOST_OWN_SHARE, MAIN_SHARE, TMPFS_BYTES};
use crate::trail::{Trail, is_shaped};
use crate::trend;
use memtide_model::alike::without_numbers;
use memtide_model::{
    Account, Cgroup, HeldKind, MappingClass, MappingHistory, Nanos, Shape, Unit, VerdictKind, text,
};
use std::collections::BTreeMap;

/// What tells more of memory that nobody maps.
pub(super) const SEE_OWNERS: &str =
    "See who owns them, and which nobody holds: memtide ps --queues";

/// Shared memory: a pool of fixed size fills, or segments pile up.
pub(super) fn mapped(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let series = facts.series(Track::Shared);
    let grown = series.delta();
    if !counters::carries("growth of shared memory", grown, facts, trail) {
        return None;
    }
    let space = facts.series(Track::ClassSize(MappingClass::Shared));
    let name = "fixed size: growth of address space";
    let fixed = !space.is_empty()
        && trail.below(name, space.delta(), Unit::Bytes, FIXED_SIZE_SHARE * grown);
    let shape = trend::form(&series, facts.material).shape();
    trail.note(is_shaped(shape));
    let rate = facts.rate(Track::Shared);
    let growing = !fixed && (shape.is_unbounded() || shape == Shape::Decelerating);
    let fact = format!(
        "Shared memory grew by {} in {}.",
        text::bytes(grown),
        facts.time()
    );
    if growing {
        let most = foremost(facts, trail);
        let mostly = most
            .as_ref()
            .map_or_else(String::new, |most| format!(", mostly {}", most.words()));
        return Some(
            Answer::decided(VerdictKind::ShmLeak, Standing::Counted, format!("Shared memory grows by {}{mostly}", text::rate(rate)))
                .number(fact, rate, "bytes/s")
                .of_account(Account::Shared)
                .holding(grown)
                .number(
                    format!("Its address space grew by {}: new segments or larger ones, not an old one being filled.", text::bytes(space.delta())),
                    space.delta(),
                    "bytes",
                )
                .advise("Remove what is not needed: munmap and shm_unlink, shmctl(IPC_RMID), close the memfd, delete files in /dev/shm.")
                .advise(see(facts, most.as_ref()))
                .going_on(),
        );
    }
    let mut answer = Answer::decided(
        VerdictKind::Plateau,
        Standing::Counted,
        format!(
            "Shared memory of fixed size is being filled ({} more); it ends at its size",
            text::bytes(grown)
        ),
    )
    .number(fact, grown, "bytes")
    .of_account(Account::Shared)
    .holding(grown);
    if fixed {
        let room = space.end() - series.end();
        answer = answer.number(
            format!(
                "Its address space does not grow; room left: {}.",
                text::bytes(room.max(0.0))
            ),
            room.max(0.0),
            "bytes",
        );
    }
    Some(answer.advise("Nothing needs to be done if the machine has room for the whole pool."))
}

/// Mappings of shared memory that are called alike.
struct Alike {
    /// Their name; where there are several, with stars for what differs.
    name: String,
    grown: f64,
    mappings: usize,
}

impl Alike {
    /// "files like /dev/shm/part*", "memfds called pool".
    fn words(&self) -> String {
        let name = self.name.trim_end_matches(" (deleted)");
        if name.starts_with("/SYSV") {
            return "System V segments".to_owned();
        }
        if let Some(called) = name.strip_prefix("/memfd:") {
            return format!("memfds called {called}");
        }
        match name {
            "/dev/zero" | "" => "anonymous shared mappings (MAP_SHARED)".to_owned(),
            _ if self.mappings > 1 => format!("files like {name}"),
            _ => format!("the file {name}"),
        }
    }
}

/// Those that grew most, where they carry the growth of all shared mappings that have rows.
fn foremost(facts: &Facts, trail: &mut Trail) -> Option<Alike> {
    let samples = &facts.record.samples;
    let (from, to) = (samples.first()?.at, samples.last()?.at);
    let mut alike: BTreeMap<String, Alike> = BTreeMap::new();
    let shared = facts.observations.mappings.iter();
    for history in shared.filter(|one| one.mapping.class == MappingClass::Shared) {
        let name = &history.mapping.name;
        let group = alike
            .entry(without_numbers(name))
            .or_insert_with_key(|_| Alike {
                name: name.to_string(),
                grown: 0.0,
                mappings: 0,
            });
        if *group.name != **name {
            group.name = without_numbers(name);
        }
        group.mappings += 1;
        group.grown += grown(history, from, to);
    }
    let all: f64 = alike.values().map(|group| group.grown.max(0.0)).sum();
    let most = alike
        .into_values()
        .max_by(|a, b| a.grown.total_cmp(&b.grown))?;
    let name = format!("growth of {}", most.words());
    let carries = trail.above(&name, most.grown, Unit::Bytes, MAIN_SHARE * all);
    (carries && most.grown > 0.0).then_some(most)
}

/// By how much a mapping grew between two moments; one that came since grew by all of it.
fn grown(history: &MappingHistory, from: Nanos, to: Nanos) -> f64 {
    let at = |moment: Nanos| {
        let last = history.points.iter().rfind(|point| point.at <= moment);
        last.map_or(0.0, |point| point.rss.as_f64())
    };
    let end = if history.gone { 0.0 } else { at(to) };
    end - at(from)
}

/// The command that shows what grew.
fn see(facts: &Facts, most: Option<&Alike>) -> String {
    let pid = facts.observations.target.id.pid;
    match most {
        Some(most) if most.name.starts_with("/SYSV") => {
            format!("See them, with who made them: ipcs -m -p | grep -w {pid}")
        }
        Some(most) if most.name.starts_with("/memfd:") => {
            format!("See them: ls -l /proc/{pid}/fd | grep memfd; grep memfd /proc/{pid}/maps")
        }
        _ => {
            format!(
                "See which: ls -l /dev/shm; ipcs -m; grep -E 'SYSV|memfd|/dev/shm' /proc/{pid}/maps"
            )
        }
    }
}

/// Files in tmpfs of the process's user, which it does not map.
pub(super) fn in_tmpfs(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let groups = held::groups(facts.record, facts.observations);
    let most = groups
        .into_iter()
        .find(|group| group.target.kind == HeldKind::Tmpfs)?;
    let words = held::words(most.target);
    let name = format!("growth of {words} in tmpfs");
    if !is_unmapped(
        facts,
        (&name, most.series.delta()),
        &most.reads,
        TMPFS_BYTES,
        trail,
    ) {
        return None;
    }
    let (rate, grown) = (most.rate(), most.series.delta());
    let target = &facts.observations.target;
    Some(
        Answer::decided(
            VerdictKind::ShmLeak,
            Standing::Counted,
            format!("Files in tmpfs grow by {}: {words}, in memory that this process does not map", text::rate(rate)),
        )
        .number(
            format!("They grew by {} to {} in {}.", text::bytes(grown), text::bytes(most.series.end()), facts.time()),
            rate,
            "bytes/s",
        )
        .fact(format!("Of a file the kernel keeps the owner and not who wrote it: all files of uid {} were counted.", target.uid))
        .advise("A file in tmpfs is memory until it is deleted and closed: delete what is done with, or write it to a disk.")
        .advise(SEE_OWNERS)
        .going_on(),
    )
}

/// True where memory that the process does not map grew by `least` bytes and in all six blocks of `rises`.
fn is_unmapped(
    facts: &Facts,
    (name, grown): (&str, f64),
    rises: &Series,
    least: f64,
    trail: &mut Trail,
) -> bool {
    let own = facts.delta(Track::Shared);
    trail.above(name, grown, Unit::Bytes, least)
        && trail.below(
            "of it in this process",
            own,
            Unit::Bytes,
            HOST_OWN_SHARE * grown,
        )
        && blocks::all_rise_told(rises, Unit::Bytes, trail)
}

/// Shared memory of the process's own cgroup that none of its mappings has.
pub(super) fn of_group(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let group = facts.observations.target.cgroup.as_deref();
    group.filter(|path| *path != "/")?;
    let of_group = |cgroup: Option<Cgroup>| Some(cgroup?.shmem?.as_f64());
    let series = facts.record.series_by(|sample| of_group(sample.cgroup));
    let grown = series.delta();
    let name = "growth of the cgroup's shared memory";
    let own = facts.delta(Track::Shared);
    let steady = is_unmapped(facts, (name, grown), &series, HOST_BYTES, trail);
    let rate = theil_sen::slope(&series);
    steady.then(|| {
        Answer::decided(
            VerdictKind::ShmLeak,
            Standing::Counted,
            format!("Shared memory of its cgroup grows by {}, of all its processes together, and no mapping of this one does", text::rate(rate)),
        )
        .number(
            format!("Shared memory of the cgroup grew by {} in {}, that of the process by {}.", text::bytes(grown), facts.time(), text::signed_bytes(own)),
            rate,
            "bytes/s",
        )
        .advise("It is memory that this process does not map: files in a tmpfs, segments, or another process of the group.")
        .advise(SEE_OWNERS)
    })
}
