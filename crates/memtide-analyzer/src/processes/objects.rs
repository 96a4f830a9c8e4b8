//! Queues, segments, semaphores and files that no process uses, and whether they become ever more.
//!
//! These live in the kernel until somebody removes them, and are in no process's memory. One that nobody
//! holds is a problem if its maker is gone too, or of a POSIX queue, whose maker the kernel does not keep;
//! as long as its maker lives it may be about to be used. Where descriptors could not be read, "nobody"
//! is "nobody that could be read", and a note.

use super::crowds::piles_up;
use super::{Scene, about, commands};
use crate::statistics::Series;
use memtide_model::{
    Bytes, Census, Finding, FindingKind, KernelObject, Nanos, ObjectKind, Remedy, Weight, text,
};
use std::collections::BTreeMap;

/// A deleted file or a file in tmpfs of this size is worth a line: smaller ones are everywhere.
const LARGE: Bytes = Bytes(16 << 20);

/// Numbers of objects of each kind, over time.
#[derive(Debug, Default)]
pub(super) struct ObjectCourse {
    counts: BTreeMap<ObjectKind, Vec<(Nanos, u32)>>,
}

impl ObjectCourse {
    pub(super) fn look(&mut self, census: &Census) {
        const MOST: usize = 4096;
        let Some(objects) = &census.objects else {
            return;
        };
        for kind in KINDS {
            let count = objects.iter().filter(|object| object.kind == kind).count();
            let counts = self.counts.entry(kind).or_default();
            counts.push((census.at, u32::try_from(count).unwrap_or(u32::MAX)));
            if counts.len() >= MOST {
                *counts = counts.iter().copied().step_by(2).collect();
            }
        }
    }

    /// The kinds of which there are ever more.
    pub(super) fn find(&self) -> Vec<Finding> {
        let grown = self.counts.iter().filter_map(|(kind, counts)| {
            let points = counts
                .iter()
                .map(|(at, count)| (at.as_secs_f64(), f64::from(*count)));
            let series = Series::of(points);
            piles_up(&series).then(|| growth(*kind, &series))
        });
        grown.collect()
    }
}

const KINDS: [ObjectKind; 6] = [
    ObjectKind::PosixQueue,
    ObjectKind::SystemVQueue,
    ObjectKind::SystemVSegment,
    ObjectKind::SystemVSemaphores,
    ObjectKind::TmpfsFile,
    ObjectKind::DeletedFile,
];

/// What one of that kind is called, and several.
pub(super) const fn noun(kind: ObjectKind) -> (&'static str, &'static str) {
    match kind {
        ObjectKind::PosixQueue => ("POSIX message queue", "POSIX message queues"),
        ObjectKind::SystemVQueue => ("System V message queue", "System V message queues"),
        ObjectKind::SystemVSegment => ("System V segment", "System V segments"),
        ObjectKind::SystemVSemaphores => ("System V semaphore set", "System V semaphore sets"),
        ObjectKind::TmpfsFile => ("file in tmpfs", "files in tmpfs"),
        ObjectKind::DeletedFile => ("deleted file", "deleted files"),
    }
}

fn counted(kind: ObjectKind, count: usize) -> String {
    let (one, several) = noun(kind);
    format!("{count} {}", if count == 1 { one } else { several })
}

fn growth(kind: ObjectKind, series: &Series) -> Finding {
    let count = series.y.last().copied().unwrap_or(0.0);
    let slope = crate::statistics::blocks::slope_with_interval(series);
    let rate = slope.map_or_else(String::new, |slope| {
        format!(", {} more", text::count_rate(slope.per_second))
    });
    Finding {
        summary: format!(
            "{} become ever more: {:.0} to {count:.0}{rate}",
            noun(kind).1,
            series.start()
        ),
        details: vec![format!(
            "in {} and still growing",
            text::duration(series.span())
        )],
        ..about(FindingKind::ObjectsPilingUp, Weight::Problem, &[])
    }
}

/// What nobody uses, and what is held without a name.
pub(super) fn find(scene: &Scene<'_>) -> Vec<Finding> {
    let Some(objects) = &scene.look.census.objects else {
        return Vec::new();
    };
    let mut groups: BTreeMap<(ObjectKind, Weight), Vec<&KernelObject>> = BTreeMap::new();
    for object in objects {
        if let Some(weight) = weight(scene, object) {
            groups
                .entry((object.kind, weight))
                .or_default()
                .push(object);
        }
    }
    groups
        .into_iter()
        .map(|((kind, weight), mut objects)| {
            objects.sort_by_key(|object| u64::MAX - object.bytes.0);
            finding(scene, kind, weight, &objects)
        })
        .collect()
}

/// Whether its maker is still there. Whoever started after it was last changed was given a used number.
fn maker_lives(scene: &Scene<'_>, object: &KernelObject) -> bool {
    let maker = object.creator.and_then(|pid| scene.kin.get(pid));
    maker.is_some_and(|maker| {
        let age = i64::try_from(maker.age.0).unwrap_or(i64::MAX);
        let started = scene.look.census.wall_ns.saturating_sub(age) / 1_000_000_000;
        // Both are told in whole seconds.
        object
            .changed
            .is_none_or(|changed| started <= changed.saturating_add(1))
    })
}

/// How much one matters; `None`: it does not.
fn weight(scene: &Scene<'_>, object: &KernelObject) -> Option<Weight> {
    let all_read = scene.look.census.descriptors_denied == 0;
    let unheld = object.holders.is_empty();
    let maker_lives = maker_lives(scene, object);
    let unless = |excused: bool| {
        Some(if excused {
            Weight::Note
        } else {
            Weight::Problem
        })
    };
    match object.kind {
        ObjectKind::PosixQueue if unheld => unless(!all_read),
        // The kernel counts who is attached, so nothing has to be read of anybody.
        ObjectKind::SystemVSegment if object.count == Some(0) => unless(maker_lives),
        ObjectKind::SystemVQueue if object.count.is_some_and(|waiting| waiting > 0) => unless(true),
        ObjectKind::TmpfsFile if unheld && object.bytes >= LARGE => unless(true),
        ObjectKind::DeletedFile if object.bytes >= LARGE => unless(true),
        _ => None,
    }
}

fn finding(
    scene: &Scene<'_>,
    kind: ObjectKind,
    weight: Weight,
    objects: &[&KernelObject],
) -> Finding {
    const SHOWN: usize = 5;
    let bytes = objects.iter().map(|object| object.bytes).sum::<Bytes>();
    let size = text::bytes(bytes.as_f64());
    let what = counted(kind, objects.len());
    let one = objects.len() == 1;
    let summary = match kind {
        ObjectKind::DeletedFile => {
            let is = if one { "is" } else { "are" };
            format!(
                "{what} {is} held open and {} {size}",
                if one { "takes" } else { "take" }
            )
        }
        ObjectKind::SystemVQueue => format!("messages wait in {what}: {size}"),
        ObjectKind::SystemVSegment => format!("{what} that no process has attached: {size}"),
        _ => format!("{what} that no process holds: {size}"),
    };
    let mut details: Vec<String> = objects
        .iter()
        .take(SHOWN)
        .map(|object| described(object))
        .collect();
    if objects.len() > SHOWN {
        details.push(format!("and {} more", objects.len() - SHOWN));
    }
    if scene.look.census.descriptors_denied > 0 && kind == ObjectKind::PosixQueue {
        details.push(
            "descriptors of some processes could not be read, so one of them may hold it"
                .to_owned(),
        );
    }
    let held = objects.iter().flat_map(|object| &object.holders);
    let holders: Vec<_> = held.filter_map(|pid| scene.kin.get(*pid)).collect();
    Finding {
        summary,
        details,
        count: objects.len() as u64,
        bytes: Some(bytes.0),
        remedies: remedy(scene, kind, objects).into_iter().collect(),
        ..about(
            if kind == ObjectKind::DeletedFile {
                FindingKind::Deleted
            } else {
                FindingKind::Unused
            },
            weight,
            &holders,
        )
    }
}

fn described(object: &KernelObject) -> String {
    let key = object
        .key
        .map_or_else(String::new, |key| format!(", key {key:#010x}"));
    let maker = object
        .creator
        .map_or_else(String::new, |pid| format!(", made by pid {pid}"));
    let held: Vec<String> = object.holders.iter().map(ToString::to_string).collect();
    let holders = if held.is_empty() {
        String::new()
    } else {
        format!(", held by {}", held.join(", "))
    };
    format!(
        "{}: {}{key}{maker}{holders}",
        object.name,
        text::bytes(object.bytes.as_f64())
    )
}

/// What would take them away; of files and of what is held nothing that is safe to say.
fn remedy(scene: &Scene<'_>, kind: ObjectKind, objects: &[&KernelObject]) -> Option<Remedy> {
    let own = scene.settings.own_uid;
    let foreign = objects.iter().any(|object| object.uid != own);
    let sudo = if own != 0 && foreign { "sudo " } else { "" };
    let (command, each) = match kind {
        ObjectKind::PosixQueue => ("rm --", ""),
        ObjectKind::SystemVQueue => ("ipcrm", "-q "),
        ObjectKind::SystemVSegment => ("ipcrm", "-m "),
        ObjectKind::SystemVSemaphores => ("ipcrm", "-s "),
        ObjectKind::TmpfsFile => ("rm -i --", ""),
        ObjectKind::DeletedFile => return None,
    };
    // A name that had to be escaped to be shown is not the one that a shell must be given.
    let is_exact = |object: &&&KernelObject| !object.name.contains("\\x");
    let exact: Vec<_> = objects.iter().filter(is_exact).collect();
    if exact.is_empty() {
        return None;
    }
    let named = exact.into_iter().map(|object| match kind {
        ObjectKind::PosixQueue => commands::quoted(&format!("/dev/mqueue{}", object.name)),
        ObjectKind::TmpfsFile => commands::quoted(&object.name),
        // "shmid 5"
        _ => format!(
            "{each}{}",
            object.name.rsplit(' ').next().unwrap_or_default()
        ),
    });
    let effect = match kind {
        ObjectKind::SystemVQueue => "removes them with their messages",
        _ => "removes them, for whoever may still come to open them too",
    };
    Some(Remedy {
        command: format!("{sudo}{command} {}", named.collect::<Vec<_>>().join(" ")),
        effect: effect.to_owned(),
    })
}
