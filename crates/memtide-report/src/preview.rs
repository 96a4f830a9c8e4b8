//! What is seen of a process before any waiting.
//!
//! Who it is, how its memory is split now, what bounds it, what cannot be seen of it with the remedy,
//! and what growth could be told from noise by when. The detection times come from the analyzer.

use crate::escape;
use crate::terminal::style::Tone;
use crate::terminal::{Options, Page};
use memtide_model::{Account, Bytes, Maps, Sample, Target, text};
use std::fmt::Write as _;

/// The preview. `noise` is the measured noise of RSS; each of `detectable` is a growth in bytes per
/// second with the seconds after which it shows. Ends with a newline.
pub fn render(
    target: &Target,
    sample: &Sample,
    noise: Bytes,
    detectable: &[(f64, f64)],
    options: &Options,
) -> String {
    let mut page = Page::new(options);
    identity(&mut page, target);
    memory(&mut page, sample);
    bounds(&mut page, target);
    counts(&mut page, sample);
    detection(&mut page, noise, detectable);
    unseen(&mut page, target);
    page.text()
}

fn identity(page: &mut Page, target: &Target) {
    let title = format!(
        "{}, pid {}, uid {}, {} old",
        escape::clip(&target.name, 60),
        target.id.pid,
        target.uid,
        text::duration(target.age.as_secs_f64())
    );
    page.sentence("", Tone::Strong, &title);
    let command = target.cmdline.join(" ");
    if !command.is_empty() {
        page.sentence("command    ", Tone::Plain, &escape::name(&command));
    }
    let runtime = match target.runtime.as_str() {
        "none" | "" => String::new(),
        other => format!(", runtime {other}"),
    };
    page.sentence(
        "allocator  ",
        Tone::Plain,
        &format!("{}{runtime}", target.allocator),
    );
}

/// RSS by what the mappings are, largest first; by the kernel's own counters where they were not read.
fn memory(page: &mut Page, sample: &Sample) {
    let mut parts = sample
        .maps
        .as_ref()
        .filter(|maps| !maps.rollup_only)
        .map_or_else(|| by_counters(sample), by_class);
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let shown: Vec<_> = parts
        .iter()
        .filter(|(_, bytes)| bytes.0 > 0)
        .map(|(name, bytes)| format!("{name} {}", text::bytes(bytes.as_f64())))
        .collect();
    let memory = &sample.memory;
    let split = if shown.is_empty() {
        String::new()
    } else {
        format!(": {}", shown.join(", "))
    };
    let rss = format!("{}{split}", text::bytes(memory.rss.as_f64()));
    page.sentence("RSS        ", Tone::Plain, &rss);
    let mut beside = vec![format!(
        "address space {}",
        text::bytes(memory.size.as_f64())
    )];
    let named = [
        ("highest RSS", memory.peak_rss),
        ("page tables", memory.page_tables),
        ("swap", memory.swap),
    ];
    for (name, bytes) in named {
        if let Some(bytes) = bytes.filter(|bytes| bytes.0 > 0) {
            beside.push(format!("{name} {}", text::bytes(bytes.as_f64())));
        }
    }
    page.sentence("beside     ", Tone::Plain, &beside.join(", "));
}

/// The accounts of the ledger.
fn by_class(maps: &Maps) -> Vec<(&'static str, Bytes)> {
    let accounts = Account::IN_RSS.into_iter();
    accounts
        .map(|account| (account.name(), maps.account(account)))
        .collect()
}

fn by_counters(sample: &Sample) -> Vec<(&'static str, Bytes)> {
    let memory = &sample.memory;
    [
        ("anonymous", memory.rss_anon),
        ("file", memory.rss_file),
        ("shared", memory.rss_shmem),
    ]
    .into_iter()
    .filter_map(|(name, bytes)| Some((name, bytes?)))
    .collect()
}

fn bounds(page: &mut Page, target: &Target) {
    let limits = &target.limits;
    let sizes = [
        ("cgroup", limits.cgroup),
        ("address space", limits.address_space),
        ("data", limits.data),
        ("machine", limits.host),
    ];
    let counts = [
        ("descriptors", limits.descriptors),
        ("processes", limits.processes),
        ("mappings", limits.mappings),
    ];
    let sizes = sizes
        .iter()
        .filter_map(|(name, limit)| Some(format!("{name} {}", text::bytes((*limit)?.as_f64()))));
    let counts = counts
        .iter()
        .filter_map(|(name, limit)| Some(format!("{name} {}", (*limit)?)));
    let all: Vec<_> = sizes.chain(counts).collect();
    let line = if all.is_empty() {
        "none known".to_owned()
    } else {
        all.join(", ")
    };
    page.sentence("limits     ", Tone::Plain, &line);
}

fn counts(page: &mut Page, sample: &Sample) {
    let counts = &sample.counts;
    let mut all = vec![text::plural(counts.threads, "thread")];
    if let Some(descriptors) = &counts.descriptors {
        let groups: Vec<_> = descriptors
            .groups()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let groups = if groups.is_empty() {
            String::new()
        } else {
            format!(" ({})", groups.join(", "))
        };
        all.push(format!(
            "{}{groups}",
            text::plural(descriptors.total, "descriptor")
        ));
    }
    if let Some(mappings) = counts.mappings {
        all.push(text::plural(mappings, "mapping"));
    }
    if let Some(children) = &counts.children {
        all.push(match children.total {
            1 => "1 child".to_owned(),
            total => format!("{total} children"),
        });
    }
    page.sentence("counts     ", Tone::Plain, &all.join(", "));
}

/// "noise 0.4 MiB; 1 MiB/min shows in 2 min, 1 MiB/h in 2 h 10 min".
fn detection(page: &mut Page, noise: Bytes, detectable: &[(f64, f64)]) {
    let mut known = detectable
        .iter()
        .filter(|(rate, seconds)| rate.is_finite() && !seconds.is_nan());
    let Some((rate, seconds)) = known.next() else {
        return;
    };
    let mut line = format!(
        "noise {}; {} shows in {}",
        text::bytes(noise.as_f64()),
        text::rate(*rate),
        text::duration(*seconds)
    );
    for (rate, seconds) in known {
        // Writing to a String cannot fail.
        let _ = write!(
            line,
            ", {} in {}",
            text::rate(*rate),
            text::duration(*seconds)
        );
    }
    page.sentence("detects    ", Tone::Plain, &line);
}

/// What cannot be seen, why, and what would show it. The remedy is to be copied: it is never broken.
fn unseen(page: &mut Page, target: &Target) {
    if target.unseen.is_empty() {
        return;
    }
    page.heading("What cannot be seen");
    for unseen in &target.unseen {
        page.sentence(
            "- ",
            Tone::Plain,
            &format!("{}: {}", unseen.what, unseen.why),
        );
        if !unseen.remedy.is_empty() {
            page.verbatim("    ", &unseen.remedy);
        }
    }
}
