//! `memtide doctor`: what each lens can do here and for this process, as a table of lines.

use crate::cli::options::Doctor;
use crate::engines;
use crate::exit::Code;
use crate::output;
use memtide_sampler::doctor::{Check, describe, examine};
use std::fmt::Write as _;

/// Examines and prints.
pub(crate) fn run(options: &Doctor) -> anyhow::Result<Code> {
    if let Some(forks) = options.forks {
        return engines::run(forks);
    }
    let checks = examine(&options.proc_root, options.pid)?;
    let subject = match options.pid {
        Some(pid) => describe(&options.proc_root, pid),
        None => "this machine (give a pid to examine a process)".to_owned(),
    };
    output::print(&render(&subject, &checks))?;
    Ok(Code::Done)
}

fn render(subject: &str, checks: &[Check]) -> String {
    let mut text = format!("memtide doctor: {subject}\n\n");
    for check in checks {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:<9} {:<8} {}",
            check.state.name(),
            check.lens,
            check.what
        );
        if !check.why.is_empty() {
            let _ = writeln!(text, "{:18} {}", "", check.why);
        }
        if !check.remedy.is_empty() {
            let _ = writeln!(text, "{:18} to allow it: {}", "", check.remedy);
        }
    }
    text
}
