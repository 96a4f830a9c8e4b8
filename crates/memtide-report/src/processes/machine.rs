//! Kernel objects as a table, and the machine's memory in a few lines.

use super::words;
use crate::terminal::Page;
use crate::terminal::style::Tone;
use crate::terminal::table::{Table, long_words, numbers, words as column};
use crate::{escape, sentences};
use memtide_model::{Bytes, KernelObject, Machine, ObjectKind, ProcessesReport, text};

/// Objects that are shown.
const OBJECTS: usize = 20;
/// The least room for a name.
const NAME: usize = 16;
/// Blocks of this order and more are what larger allocations of the kernel need: 2^4 pages are 64 KiB.
const LARGE_ORDER: usize = 4;

pub(super) fn objects(page: &mut Page, report: &ProcessesReport) {
    page.heading("Memory of the kernel's that outlives processes");
    let Some(objects) = &report.objects else {
        page.sentence("", Tone::Plain, "nobody looked");
        return;
    };
    if objects.is_empty() {
        let none = "no queue, no System V object, no file in tmpfs, no deleted file that is held";
        page.sentence("", Tone::Plain, none);
        return;
    }
    table(page, objects.iter(), OBJECTS);
    words::rest(page, objects.len(), OBJECTS);
}

/// The first `most` of `objects`.
pub(super) fn table<'a>(
    page: &mut Page,
    objects: impl Iterator<Item = &'a KernelObject>,
    most: usize,
) {
    let mut table = Table::new(&[
        column("kind", 1),
        numbers("bytes", 0),
        numbers("count", 3),
        numbers("uid", 4),
        column("held by", 2),
        long_words("name", NAME),
    ]);
    for object in objects.take(most) {
        table.row(
            Tone::Plain,
            [
                kind(object.kind).to_owned(),
                text::bytes(object.bytes.as_f64()),
                object
                    .count
                    .map_or_else(words::unknown, |count| count.to_string()),
                object.uid.to_string(),
                holders(object),
                escape::plain(&object.name).into_owned(),
            ],
        );
    }
    page.lines(table.lines(page.width(), page.ink()));
}

const fn kind(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::PosixQueue => "POSIX queue",
        ObjectKind::SystemVQueue => "SysV queue",
        ObjectKind::SystemVSegment => "SysV segment",
        ObjectKind::SystemVSemaphores => "SysV semaphores",
        ObjectKind::TmpfsFile => "tmpfs file",
        ObjectKind::DeletedFile => "deleted file",
    }
}

/// The first holders; of System V objects the kernel tells how many there are, and not who.
fn holders(object: &KernelObject) -> String {
    const SHOWN: usize = 3;
    let known: Vec<String> = object
        .holders
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    // A set and a queue of System V are held by nobody by design.
    let has_holders = !matches!(
        object.kind,
        ObjectKind::SystemVQueue | ObjectKind::SystemVSemaphores
    );
    match object.holders.len() {
        0 if !has_holders => words::unknown(),
        0 if object.kind == ObjectKind::SystemVSegment && object.count.is_some_and(|n| n > 0) => {
            words::unknown()
        }
        0 => "nobody".to_owned(),
        count if count > SHOWN => format!("{} +{}", known.join(" "), count - SHOWN),
        _ => known.join(" "),
    }
}

pub(super) fn section(page: &mut Page, machine: &Machine) {
    let size = |bytes: Option<Bytes>| bytes.map(|bytes| text::bytes(bytes.as_f64()));
    let part = |name: &str, bytes| size(bytes).map(|size| format!("{name} {size}"));
    let list =
        |parts: Vec<Option<String>>| parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    page.heading("The machine");
    let memory = list(vec![
        size(machine.total),
        size(machine.available).map(|size| format!("{size} available")),
        part("programs", machine.anon),
        part("page cache", machine.page_cache),
        part("tmpfs and shared", machine.shmem),
        part(
            "slab",
            machine
                .slab_reclaimable
                .zip(machine.slab_unreclaimable)
                .map(|(a, b)| a + b),
        ),
        part("page tables and stacks", machine.kernel),
        part("huge pages", machine.huge_pages.filter(|bytes| bytes.0 > 0)),
    ]);
    let swapped = machine.swap_total.zip(machine.swap_free);
    let swap = swapped
        .filter(|(total, _)| total.0 > 0)
        .map(|(total, free)| {
            let used = text::bytes(total.as_f64() - free.as_f64());
            format!("{used} of {}", text::bytes(total.as_f64()))
        });
    let committed = machine
        .committed
        .zip(machine.commit_limit)
        .map(|(committed, limit)| {
            format!(
                "{} of {}",
                text::bytes(committed.as_f64()),
                text::bytes(limit.as_f64())
            )
        });
    for (mark, words) in [
        ("memory     ", Some(memory)),
        ("swap       ", swap),
        ("committed  ", committed),
        ("pressure   ", pressure(machine)),
        ("fragments  ", fragments(machine)),
    ] {
        if let Some(words) = words.filter(|words| !words.is_empty()) {
            page.sentence(mark, Tone::Plain, &words);
        }
    }
}

fn pressure(machine: &Machine) -> Option<String> {
    let (some, full) = machine.pressure_some.zip(machine.pressure_full)?;
    Some(format!(
        "in the last minute some task waited for memory {} of the time, all of them {}",
        sentences::part(some),
        sentences::part(full)
    ))
}

/// Only where it is bad: the free memory is in blocks too small for the kernel's larger needs.
fn fragments(machine: &Machine) -> Option<String> {
    let blocks = &machine.free_blocks;
    let large = blocks.get(LARGE_ORDER..)?.iter().sum::<u64>();
    (large == 0 && blocks.iter().any(|&count| count > 0)).then(|| {
        "no free block of 64 KiB and more: an allocation may fail though memory is free".to_owned()
    })
}
