//! How processes are named in sentences.

use memtide_model::{Nanos, ProcessState, Relative, text};

/// "python3 (pid 4182)", with the number inside its namespace where that is another.
pub(super) fn who(process: &ProcessState) -> String {
    let inside = process
        .inner_pid
        .map_or_else(String::new, |inner| format!(", inside {inner}"));
    format!("{} (pid {}{inside})", process.name, process.id.pid)
}

/// The same of one that is named beside; only its number where that is all that is known.
pub(super) fn who_was(relative: &Relative) -> String {
    if relative.name.is_empty() {
        format!("pid {}", relative.pid)
    } else {
        format!("{} (pid {})", relative.name, relative.pid)
    }
}

pub(super) fn relative(process: &ProcessState) -> Relative {
    Relative {
        pid: process.id.pid.0,
        name: process.name.clone(),
        cmdline: process.cmdline.clone(),
    }
}

/// The command line joined by blanks; the name in brackets where there is none, as ps(1) writes it.
pub fn command_line(process: &ProcessState) -> String {
    if process.cmdline.is_empty() {
        format!("[{}]", process.name)
    } else {
        process.cmdline.join(" ")
    }
}

/// The names of `processes`, each once, the commonest first: "worker, sh and 3 others".
pub(super) fn names(processes: &[&ProcessState]) -> String {
    let mut counted: Vec<(&str, usize)> = Vec::new();
    for process in processes {
        match counted.iter_mut().find(|(name, _)| *name == process.name) {
            Some((_, count)) => *count += 1,
            None => counted.push((&process.name, 1)),
        }
    }
    counted.sort_by_key(|(_, count)| usize::MAX - count);
    let shown: Vec<&str> = counted.iter().take(3).map(|(name, _)| *name).collect();
    match counted.len().saturating_sub(shown.len()) {
        0 => shown.join(", "),
        rest => format!(
            "{} and {}",
            shown.join(", "),
            text::plural(rest as u64, "other")
        ),
    }
}

/// The age of the oldest.
pub(super) fn oldest(processes: &[&ProcessState]) -> String {
    let age = processes.iter().map(|process| process.age).max();
    text::duration(age.unwrap_or(Nanos(0)).as_secs_f64())
}
