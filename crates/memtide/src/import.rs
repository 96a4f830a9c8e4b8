//! `memtide import`: a recording made of a series that something else recorded.
//!
//! A log of what malloc held is taken as the looks into the heap that `attach` would have had: at the same
//! moments, no more of them. So an imported record is judged on what a live one would show.

use crate::cli::options::Import;
use crate::exit::Code;
use crate::output;
use crate::report;
use crate::secrets;
use crate::snapshots::plan::Plan;
use memtide_analyzer::Suppressions;
use memtide_import::{Held, Series, read_series, read_truth};
use memtide_model::{
    Bytes, HeapSnapshot, IMPORTED, Limits, Nanos, Redactor, Sample, Target, Tick, Visibility,
    text::printable,
};
use memtide_record::{Clock, Start, Writer};
use memtide_sampler::clock;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What a look into the heap of an ordinary process costs, for the moments at which `attach` looks.
const COST: Nanos = Nanos(10_000_000);
const SHARE: f64 = 0.01;

/// Reads the files, writes the recording, and reports.
pub(crate) fn run(options: &Import) -> anyhow::Result<Code> {
    output::check(&options.outputs)?;
    let file = options
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.memtide", name(&options.series))));
    output::check_recording(Some(&file))?;
    let series = read_series(&options.series)?;
    let truth = match &options.truth {
        Some(path) => read_truth(path, series.origin)?,
        None => Vec::new(),
    };
    let mut redactor = options.outputs.redact.then(secrets::redactor);
    write(&file, options, &series, &truth, redactor.as_mut())?;
    report::of_made(
        &file,
        &options.outputs,
        &Suppressions::default(),
        redactor.as_mut(),
    )?;
    Ok(Code::Done)
}

/// The file's name without its endings.
fn name(series: &Path) -> String {
    let name = printable(series.file_name().unwrap_or_default().as_bytes());
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.strip_suffix(".csv").unwrap_or(name).to_owned()
}

fn write(
    file: &Path,
    options: &Import,
    series: &Series,
    truth: &[Held],
    redactor: Option<&mut Redactor>,
) -> anyhow::Result<()> {
    let mut target = target(options, series);
    if let Some(redactor) = redactor {
        redactor.target(&mut target);
    }
    let mut writer = Writer::create(file, &target, &start(options, series))?;
    let mut looks = looks(&series.samples, truth).into_iter().peekable();
    for sample in &series.samples {
        writer.tick(&Tick {
            sample: *sample,
            mappings: None,
            threads: None,
            held: None,
            events: Vec::new(),
        })?;
        while let Some(look) = looks.next_if(|look| look.at <= sample.at) {
            writer.heap(&look)?;
        }
    }
    Ok(writer.finish()?)
}

/// The rows of the log at which `attach` would have looked, the last one among them.
fn looks(samples: &[Sample], truth: &[Held]) -> Vec<HeapSnapshot> {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return Vec::new();
    };
    let mut plan = Plan::new(first.at, SHARE);
    let mut found: Vec<HeapSnapshot> = Vec::new();
    for sample in samples {
        let before = truth.partition_point(|held| held.at <= sample.at);
        let Some(held) = before.checked_sub(1).and_then(|index| truth.get(index)) else {
            continue;
        };
        let anon = sample.memory.rss_anon.unwrap_or(sample.memory.rss);
        if plan.is_due(sample.at, anon) || sample.at == last.at {
            plan.asked(sample.at, anon);
            plan.took(sample.at, COST);
            found.push(held.as_snapshot(sample));
        }
    }
    found.dedup_by_key(|look| look.at);
    found
}

fn target(options: &Import, series: &Series) -> Target {
    Target {
        id: series.process,
        parent: None,
        name: name(&options.series),
        exe: String::new(),
        cmdline: Vec::new(),
        uid: rustix::process::getuid().as_raw(),
        age: Nanos(0),
        allocator: options.allocator.clone(),
        runtime: options.runtime.clone(),
        limits: Limits::default(),
        cgroup: None,
        unseen: vec![Visibility {
            what: "single mappings and threads".to_owned(),
            why: "the imported series has sums alone".to_owned(),
            remedy: String::new(),
        }],
    }
}

fn start(options: &Import, series: &Series) -> Start {
    let span = (series.samples.last()).map_or(Nanos(0), |last| last.at - series.origin);
    let steps = (series.samples.len() as u64).max(1);
    // The file was finished when its process had been recorded.
    let ended = std::fs::metadata(&options.series)
        .and_then(|file| file.modified())
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_nanos()).ok())
        .unwrap_or_default();
    Start {
        clock: Clock {
            boottime: series.origin,
            monotonic: series.origin,
            wall: ended.saturating_sub(i64::try_from(span.0).unwrap_or_default()),
        },
        interval: Nanos(span.0 / steps),
        page_size: Bytes(4096),
        ticks_per_second: clock::ticks_per_second(),
        lenses: vec!["sampler".to_owned(), IMPORTED.to_owned()],
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}
