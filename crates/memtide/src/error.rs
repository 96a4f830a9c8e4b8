//! Errors as people see them: one line that names the thing, and what to do about it.
//!
//! The crates below say what failed; the remedy is added here, once, from the error's kind.

use crate::exit::Code;
use memtide_record::ErrorKind as RecordKind;
use memtide_sampler::ErrorKind as SamplerKind;
use std::io::Write as _;

/// Prints the failure and its remedy on standard error.
pub(crate) fn print(failure: &anyhow::Error) {
    let remedy = remedy(failure);
    let separator = if remedy.is_empty() { "" } else { "; " };
    let text = one_line(&format!("{failure:#}"));
    // A closed terminal is no reason to fail differently.
    let _ = writeln!(
        std::io::stderr().lock(),
        "memtide: {text}{separator}{remedy}"
    );
}

/// What `run` ends with where the program was not started: 127 and 126 as env(1) if that is the program's
/// own fault.
pub(crate) fn code_of_start(failure: &anyhow::Error) -> Code {
    let kind = failure
        .chain()
        .find_map(|cause| cause.downcast_ref::<memtide_launch::Error>())
        .map(memtide_launch::Error::kind);
    kind.map_or(Code::NotStarted, |kind| Code::Program(kind.exit_code()))
}

/// Some errors draw pictures over several lines; the words of all of them fit one.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn remedy(failure: &anyhow::Error) -> &'static str {
    failure
        .chain()
        .find_map(|cause| {
            cause
                .downcast_ref::<memtide_sampler::Error>()
                .map(|error| of_sampler(error.kind()))
                .or_else(|| {
                    cause
                        .downcast_ref::<memtide_record::Error>()
                        .map(|error| of_record(error.kind()))
                })
        })
        .unwrap_or_default()
}

const fn of_sampler(kind: SamplerKind) -> &'static str {
    match kind {
        SamplerKind::NoSuchProcess => "`ps -e` lists the processes that run",
        SamplerKind::Hidden => "run memtide with sudo, or remount /proc with hidepid=0",
        SamplerKind::Denied => {
            "run it as that user or with sudo; `memtide doctor PID` says what each part needs"
        }
        SamplerKind::KernelThread => {
            "its memory is the kernel's own: look at `slabtop` and /proc/meminfo"
        }
        SamplerKind::Zombie => "its parent has still to reap it; attach to the parent",
        SamplerKind::NoProc => "mount it: mount -t proc proc /proc",
        SamplerKind::Read => "",
    }
}

const fn of_record(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Exists => "name another file with -o, or remove that one",
        RecordKind::Denied => "name a place that you may write to with -o FILE",
        RecordKind::Full => "make room, or name another place with -o FILE",
        RecordKind::NewerSchema { .. } => "read it with the memtide that wrote it, or a newer one",
        RecordKind::Truncated | RecordKind::Corrupt => {
            "`sqlite3 FILE .recover` may save what is still readable"
        }
        RecordKind::NotARecording => "memtide report takes the .memtide file that attach wrote",
        RecordKind::OlderSchema { .. } => "record it again with this memtide",
        RecordKind::BeingWritten => "try again when its recorder has ended",
        RecordKind::NoStacks => {
            "record with `memtide run --heap=full -- COMMAND` to see call stacks"
        }
        RecordKind::NotFound | RecordKind::OtherProcess | RecordKind::Io => "",
    }
}
