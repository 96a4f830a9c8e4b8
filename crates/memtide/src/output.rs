//! Where results go: standard output, and the files named by flags.
//!
//! Files are tried before anything is recorded, so that ten minutes of watching are not lost to a
//! misspelt directory; and they are written under a temporary name and renamed, so that a full disk
//! leaves no half of a page.

use crate::cli::options::Outputs;
use crate::progress;
use anyhow::{Context as _, bail};
use memtide_model::Findings;
use memtide_report::{flamegraph, html, json, png, terminal};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Pixels per unit of the picture: twice, for sharp text on today's screens.
pub(crate) const PNG_SCALE: f32 = 2.0;

/// Logical pixels of a flame graph's width: as wide as the other pictures.
const FLAMEGRAPH_WIDTH: u32 = 1200;

/// What the text of a report is on its standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// The result: on standard output, unless JSON is there.
    Result,
    /// Beside what a program writes there: on standard error.
    Aside,
    /// What the heap holds is the result, and not a verdict.
    Heap,
}

/// Fails where a file that was asked for could not be written later.
pub(crate) fn check(outputs: &Outputs) -> anyhow::Result<()> {
    let files = [
        &outputs.json,
        &outputs.html,
        &outputs.png,
        &outputs.flamegraph,
        &outputs.folded,
    ];
    files
        .into_iter()
        .flatten()
        .try_for_each(|path| check_file(path))
}

/// Fails where one file could not be written later.
pub(crate) fn check_file(path: &Path) -> anyhow::Result<()> {
    if is_stdout(path) { Ok(()) } else { probe(path) }
}

/// Fails where a recording could not be created later; `None` is the working directory.
pub(crate) fn check_recording(path: Option<&Path>) -> anyhow::Result<()> {
    match path {
        Some(path) if path.exists() => bail!(
            "{} exists; name another file with -o, or remove that one",
            path.display()
        ),
        Some(path) => probe(path),
        None => probe(Path::new("recording.memtide")),
    }
}

fn probe(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!("{} is a directory; name a file in it", path.display());
    }
    let temporary = temporary_for(path);
    create(&temporary)
        .with_context(|| format!("cannot write {}; choose another place", path.display()))?;
    let _ = fs::remove_file(&temporary);
    Ok(())
}

/// Writes all that was asked for, and the text.
pub(crate) fn write(
    findings: &Findings,
    outputs: &Outputs,
    explain: bool,
    show: Show,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = stacks(findings, outputs)?;
    if let Some(path) = &outputs.html {
        save(path, html::render(findings)?.as_bytes())?;
        written.push(path.clone());
    }
    if let Some(path) = &outputs.png {
        save(path, &png::render(findings, PNG_SCALE)?)?;
        written.push(path.clone());
    }
    let mut json_on_stdout = false;
    if let Some(path) = &outputs.json {
        let text = json::render(&findings.report);
        if is_stdout(path) {
            json_on_stdout = true;
            print(&text)?;
        } else {
            save(path, text.as_bytes())?;
            written.push(path.clone());
        }
    }
    let text = |width| {
        let options = terminal::Options {
            width,
            color: outputs.color,
            explain,
        };
        match show {
            Show::Heap => terminal::render_inspect(&findings.report, &options),
            Show::Result | Show::Aside => terminal::render(findings, &options),
        }
    };
    match show {
        _ if outputs.quiet => {}
        Show::Aside => progress::tell(&text(progress::width(rustix::stdio::stderr()))),
        Show::Result | Show::Heap if json_on_stdout => {}
        Show::Result | Show::Heap => print(&text(progress::width(rustix::stdio::stdout())))?,
    }
    Ok(written)
}

/// Writes what is drawn of call stacks alone.
fn stacks(findings: &Findings, outputs: &Outputs) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let (report, of) = (&findings.report, outputs.flamegraph_of);
    if let Some(path) = &outputs.flamegraph {
        save(
            path,
            flamegraph::svg(report, of, FLAMEGRAPH_WIDTH).as_bytes(),
        )?;
        written.push(path.clone());
    }
    if let Some(path) = &outputs.folded {
        save(path, flamegraph::folded(report, of).as_bytes())?;
        written.push(path.clone());
    }
    Ok(written)
}

/// Prints to standard output; a reader that has gone away is success.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

/// Whether `-` was given in place of a file.
pub(crate) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Writes a file under a temporary name and renames it; `-` is standard output.
pub(crate) fn save(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    if is_stdout(path) {
        return print_bytes(content);
    }
    // A device or a pipe is written to, never replaced.
    if path.exists() && !path.is_file() {
        return fs::write(path, content).with_context(|| format!("writing {}", path.display()));
    }
    let temporary = temporary_for(path);
    let outcome = create(&temporary)
        .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome.with_context(|| {
        format!(
            "cannot write {}; free some space or choose another place",
            path.display()
        )
    })
}

fn print_bytes(content: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(content).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("writing to standard output"),
    }
}

fn temporary_for(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Reports hold command lines and paths: only the owner may read them.
fn create(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}
