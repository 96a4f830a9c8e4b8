//! `memtide ps`: looks at all processes, says what is wrong with them, and ends nothing.
//!
//! One road for one look and for a thousand: each goes into a [`Watch`], whose findings as of the last look
//! are what is printed, written and turned into the exit code.

mod growth;
mod holding;
mod looking;
mod users;

use crate::cli::ps::{Ps, Task};
use crate::exit::Code;
use crate::output;
use crate::progress;
use crate::signals::Stop;
use anyhow::Context as _;
use looking::Looking;
use memtide_analyzer::processes::Watch;
use memtide_model::ProcessesReport;
use memtide_proc::{ProcRoot, clock};
use memtide_report::processes as words;
use memtide_report::terminal;
use std::io::IsTerminal as _;

/// Does what was asked for; 1 where something was found.
pub(crate) fn run(options: &Ps) -> anyhow::Result<Code> {
    for file in [&options.json, &options.snapshot].into_iter().flatten() {
        output::check_file(file)?;
    }
    let root = ProcRoot::system()?;
    let stop = Stop::install()?;
    let mut report = match &options.task {
        Task::Holding(what) => holding::report(&root, options, what)?,
        Task::Growth => growth::report(&root, options, &stop)?,
        Task::Judge => judge(&root, options, &stop)?,
    };
    report.recording.cost_cpu_seconds = clock::process_cpu().as_secs_f64();
    if !options.redact {
        users::name_all(&mut report);
    }
    write(&report, options)?;
    Ok(if report.has_found() {
        Code::Found
    } else {
        Code::Done
    })
}

/// Looks until the time is up or somebody asks to end, and once more for what is too dear for a loop.
fn judge(root: &ProcRoot, options: &Ps, stop: &Stop) -> anyhow::Result<ProcessesReport> {
    let mut looking = Looking::new(root, options)?;
    let mut watch = looking.watch()?;
    let end = options.duration.map(|span| clock::boottime() + span);
    let tells = options.tells
        && std::io::stdout().is_terminal()
        && !options.quiet
        && !json_is_shown(options);
    loop {
        watch.look(looking.look(false)?);
        if tells {
            tell(&watch, options)?;
        }
        let left = end.map_or(options.every, |end| {
            options.every.min(end - clock::boottime())
        });
        stop.sleep(left, None)?;
        if stop.asked().is_some() || end.is_some_and(|end| clock::boottime() >= end) {
            break;
        }
    }
    watch.look(looking.look(true)?);
    if let Some(path) = &options.snapshot {
        let snapshot = watch
            .snapshot()
            .context("nothing was seen that could be kept")?;
        output::save(path, words::snapshot_text(&snapshot).as_bytes())?;
        if !options.quiet {
            let file = path.display();
            progress::tell(&format!("wrote {file}; later: memtide ps --diff {file}\n"));
        }
    }
    Ok(watch.report())
}

/// A few lines after a look, on a terminal.
fn tell(watch: &Watch, options: &Ps) -> anyhow::Result<()> {
    let shown = terminal_options(options);
    output::print(&words::block(&watch.report(), &shown))
}

fn terminal_options(options: &Ps) -> terminal::Options {
    terminal::Options {
        width: progress::width(rustix::stdio::stdout()),
        color: options.color,
        explain: false,
    }
}

fn json_is_shown(options: &Ps) -> bool {
    options.json.as_deref().is_some_and(output::is_stdout)
}

fn write(report: &ProcessesReport, options: &Ps) -> anyhow::Result<()> {
    if let Some(path) = &options.json {
        output::save(path, words::json(report).as_bytes())?;
    }
    if options.quiet || json_is_shown(options) {
        return Ok(());
    }
    output::print(&words::text(
        report,
        options.sections,
        &terminal_options(options),
    ))
}
