//! `memtide collect`: a recording made afterwards, from what the preload shim left in a folder.
//!
//! A program that somebody else starts (a service manager, a test harness) needs two variables for
//! that, and no memtide beside it:
//!
//! ```text
//! LD_PRELOAD=/path/to/libmemtide_shim.so MEMTIDE_DIR=/var/tmp/shop COMMAND
//! ```
//!
//! Nobody looked from outside, so there is no sample of its memory; of its stacks there are the last
//! counters and not their course. Where several programs were started so, the first is the target.

use crate::cli::options::Collect;
use crate::code_files::CodeFiles;
use crate::exit::Code;
use crate::lens;
use crate::names::{self, Search};
use crate::naming::default_file;
use crate::output;
use crate::progress;
use crate::report;
use crate::secrets;
use crate::suppressions;
use anyhow::{Context as _, bail};
use memtide_collect::{Collector, Hello};
use memtide_model::{
    Event, EventKind, Nanos, Pid, Redactor, StackTotals, StacksTick, Target, Visibility,
};
use memtide_record::{Clock, Start, Writer};
use memtide_sampler::clock;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Reads the regions, writes the recording, and reports.
pub(crate) fn run(options: &Collect) -> anyhow::Result<Code> {
    output::check(&options.outputs)?;
    output::check_recording(options.output.as_deref())?;
    let suppressions = suppressions::load(options.suppressions.as_deref())?;
    let mut collector = Collector::open(&options.directory)?;
    let run = Run::find(&collector, &options.directory)?;
    let mut redactor = options.outputs.redact.then(secrets::redactor);
    for text in run.hello.misread() {
        progress::warn(text);
    }
    let tick = collector.tick(run.seen, Some(run.hello.pid))?;
    let mut files = CodeFiles::new(&options.debug_dirs);
    files.see(collector.loaded());
    let modules = tick.new_modules.clone();
    let file = run.write(options.output.as_deref(), tick, redactor.as_mut())?;
    let search = Search {
        modules: Some(&modules),
        debug_dirs: &options.debug_dirs,
        held: Some(files.into_held()),
    };
    names::add(&file, search, redactor.as_mut())?;
    report::of_made(&file, &options.outputs, &suppressions, redactor.as_mut())?;
    Ok(Code::Done)
}

/// What the regions are of.
struct Run {
    /// The target, as its youngest region has it.
    hello: Hello,
    /// When its first region was made.
    started: Nanos,
    /// The same on the wall clock, nanoseconds since 1970.
    started_wall: i64,
    /// Whether it still runs.
    runs: bool,
    /// When it ended, or now.
    seen: Nanos,
    /// The owner of its region.
    uid: u32,
}

impl Run {
    fn find(collector: &Collector, directory: &Path) -> anyhow::Result<Self> {
        let processes = collector.processes()?;
        let recorded = processes.iter().find(|hello| hello.refusal().is_none());
        let Some(first) = recorded else {
            let refusal = processes.first().and_then(Hello::refusal);
            bail!("{}", nothing_in(directory, refusal)?);
        };
        let hello = collector.hello(first.pid).unwrap_or_else(|| first.clone());
        let files = Files::of(directory, first.pid)?;
        let now = clock::boottime();
        let runs = hello.end.is_none() && hello.is_running(now);
        let seen = match hello.end {
            Some(end) => end,
            None if runs => now,
            // It was killed: its region was written until then.
            None => first.start + files.written,
        };
        Ok(Self {
            started: first.start,
            started_wall: files.made,
            runs,
            seen: seen.max(first.start + Nanos(1)),
            uid: files.uid,
            hello,
        })
    }

    fn target(&self) -> Target {
        let program = Path::new(&self.hello.program);
        let why = Visibility {
            what: "its memory from outside".to_owned(),
            why: "it was recorded by the preload shim alone".to_owned(),
            remedy: "memtide run --heap=full -- COMMAND sees both".to_owned(),
        };
        let pid = Pid(self.hello.pid);
        let mut target = lens::started_as(pid, program, vec![self.hello.program.clone()], why);
        target.parent = Some(Pid(self.hello.parent_pid));
        target.uid = self.uid;
        let misread = self.hello.misread().map(|text| Visibility {
            what: "what was set in its environment".to_owned(),
            why: text.to_owned(),
            remedy: String::new(),
        });
        target.unseen.extend(misread);
        // That of the region stands for the start of the process, which is not known any more.
        let ticks = clock::ticks_per_second().max(1);
        target.id.start.0 = self.started.0 / (Nanos::SECOND.0 / ticks);
        target
    }

    /// Writes the recording: nothing at the start, and everything at the end.
    fn write(
        &self,
        output: Option<&Path>,
        mut tick: StacksTick,
        redactor: Option<&mut Redactor>,
    ) -> anyhow::Result<PathBuf> {
        let mut target = self.target();
        if let Some(redactor) = redactor {
            redactor.target(&mut target);
            redactor.stacks(&mut tick);
        }
        let file = output.map_or_else(
            || default_file(&target.name, target.id.pid),
            Path::to_path_buf,
        );
        let clock = Clock {
            boottime: self.started,
            monotonic: self.started,
            wall: self.started_wall,
        };
        let start = Start {
            clock,
            interval: self.seen - self.started,
            page_size: clock::page_size(),
            ticks_per_second: clock::ticks_per_second(),
            lenses: Vec::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut writer = Writer::create(&file, &target, &start)?;
        writer.stacks_start(self.hello.mode, self.hello.interval)?;
        writer.stacks(&StacksTick {
            totals: StackTotals {
                at: self.started,
                ..StackTotals::default()
            },
            ..StacksTick::default()
        })?;
        writer.stacks(&tick)?;
        if !self.runs {
            writer.event(&Event {
                at: self.seen,
                kind: EventKind::Exit,
                pid: target.id.pid,
                text: "it ended; how is not known, as nobody waited for it".to_owned(),
                value: None,
            })?;
        }
        writer.costs(&[], clock::process_cpu())?;
        writer.finish()?;
        Ok(file)
    }
}

/// What the file system knows of the regions of a process.
struct Files {
    /// Wall clock of the oldest file, nanoseconds since 1970.
    made: i64,
    /// From then to the last time that the youngest was written.
    written: Nanos,
    uid: u32,
}

impl Files {
    fn of(directory: &Path, pid: u32) -> anyhow::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let reading = || format!("reading {}", directory.display());
        let mut files = Self {
            made: i64::MAX,
            written: Nanos(0),
            uid: 0,
        };
        let mut last = 0;
        for entry in std::fs::read_dir(directory).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(&format!("{pid}-")) || !name.ends_with(".region") {
                continue;
            }
            let metadata = entry.metadata().with_context(reading)?;
            let nanos = |time: std::io::Result<std::time::SystemTime>| {
                let since = time.ok()?.duration_since(UNIX_EPOCH).ok()?;
                i64::try_from(since.as_nanos()).ok()
            };
            let modified = nanos(metadata.modified()).unwrap_or(0);
            // A copy of the folder is younger than what is in it.
            let made = nanos(metadata.created()).map_or(modified, |made| made.min(modified));
            files.made = files.made.min(made);
            files.uid = metadata.uid();
            last = last.max(modified);
        }
        files.written = Nanos(u64::try_from(last.saturating_sub(files.made)).unwrap_or(0));
        Ok(files)
    }
}

/// Why nothing can be collected.
fn nothing_in(directory: &Path, refusal: Option<&str>) -> anyhow::Result<String> {
    // Programs may work in another folder, so the one that they are given is named in full.
    let directory = std::fs::canonicalize(directory)?;
    let shown = directory.display();
    if let Some(refusal) = refusal {
        return Ok(format!(
            "{shown} has no call stacks: the shim refused to record, because {refusal}"
        ));
    }
    let unreadable = std::fs::read_dir(&directory)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".region"))
        .count();
    if unreadable > 0 {
        let files = memtide_model::text::plural(unreadable as u64, "region");
        return Ok(format!(
            "{shown} has {files}, none of which can be read: they are of programs that were killed while they \
             started, or of another version of memtide"
        ));
    }
    Ok(format!(
        "{shown} has no regions (files such as 4182-0.region); programs leave them there that are started with \
         LD_PRELOAD=/path/to/libmemtide_shim.so MEMTIDE_DIR={shown} COMMAND"
    ))
}
