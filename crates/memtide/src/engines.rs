//! `memtide doctor --engines`: who can tell of forks here, and two of them held against each other.
//!
//! Two engines follow the same storm of forks at once. They share nothing but the kernel, so a process that one has
//! lost is found by the other. The storm is this program, in a process of its own.

use crate::exit::Code;
use crate::output;
use anyhow::Context as _;
use memtide_events::{Difference, Engine, Scope, Side, available, crosscheck, pair, storm};
use memtide_model::Pid;
use std::fmt::Write as _;
use std::process::Command;

/// What the storm is called on the command line of its process.
const STORM: &str = "storm";

/// Examines the engines and prints what was found; 1 where two of them disagree or have lost something.
///
/// # Errors
/// Where the storm cannot be started.
pub(crate) fn run(forks: u32) -> anyhow::Result<Code> {
    let mut text = String::from("memtide doctor: who tells of forks\n\n");
    for (engine, verdict) in available(Scope::Tree(Pid(std::process::id()))) {
        let (state, why) = match verdict {
            Ok(()) if engine == Engine::Poll => {
                ("partly", "misses most short-lived processes".to_owned())
            }
            Ok(()) => ("yes", String::new()),
            Err(error) => ("no", error.to_string()),
        };
        let line = format!("{:<10} {state:<7} {why}", engine.name());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let Some((first, second)) = pair() else {
        text.push_str(
            "\nThere are no two to compare: polling alone cannot show what another has lost.\n",
        );
        output::print(&text)?;
        return Ok(Code::Done);
    };
    output::print(&text)?;
    let program = std::env::current_exe().context("finding memtide's own program file")?;
    let mut command = Command::new(program);
    command.args([STORM, &forks.to_string()]);
    let found = crosscheck(&mut command, first, second)?;
    output::print(&format!("\n{}", told(&found)))?;
    let lost = |side: &Side| !side.losses.is_complete();
    let agree = found.is_none() && !lost(&found.first) && !lost(&found.second);
    Ok(if agree { Code::Done } else { Code::Found })
}

/// The storm itself.
///
/// # Errors
/// Where there is no room for more processes.
pub(crate) fn run_storm(forks: u32) -> anyhow::Result<Code> {
    storm(forks).context("a storm of forks")?;
    Ok(Code::Done)
}

fn told(found: &Difference) -> String {
    let mut text = String::new();
    for side in [&found.first, &found.second] {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<10} saw {} processes, {} of them alone; {} by its own count",
            side.engine.name(),
            side.processes,
            side.alone,
            side.losses
        );
        for (pid, parent, name) in &side.examples {
            let parent = parent.map_or_else(|| "unknown".to_owned(), |parent| parent.to_string());
            let _ = writeln!(
                text,
                "           alone: pid {pid} ({name}), parent {parent}"
            );
        }
    }
    let verdict = if found.is_none() {
        "Both saw the same tree: the same processes, parents and names.".to_owned()
    } else {
        format!(
            "They differ: {} with another parent, {} with another name.",
            found.other_parent, found.other_name
        )
    };
    let _ = writeln!(text, "{verdict}");
    text
}
