//! A program of the corpus as a process: in a session of its own, so that all that it leaves behind can be
//! found and ended.

use rustix::process::{Pid, Signal, kill_process};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a program has to clean up behind itself when it is told to end.
const GRACE: Duration = Duration::from_secs(2);
/// The time between exec and the first sample: the corpus's recorder needed as much.
const SETTLE: Duration = Duration::from_millis(200);
/// Time for the last look and the report, beyond the time of the recording (seconds).
const SLACK: f64 = 60.0;

/// A running program.
#[derive(Debug)]
pub(super) struct Program {
    child: Child,
}

impl Program {
    /// Starts a command in a folder; programs that can write their log to `log`.
    pub(super) fn start(command: &[String], folder: &Path, log: &Path) -> io::Result<Self> {
        // A child that leads no group becomes the session's leader and keeps its pid.
        let child = Command::new("setsid")
            .args(command)
            .current_dir(folder)
            .env("CORPUS_TRUTH", log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(SETTLE);
        Ok(Self { child })
    }

    /// Has `memtide attach` watch it; the report goes to `json`, and what was recorded beside it. What went
    /// wrong comes back as a sentence.
    pub(super) fn watch(
        &self,
        memtide: &Path,
        seconds: f64,
        recording: &str,
        json: &Path,
    ) -> Result<(), String> {
        let folder = json.parent().ok_or("the report has no folder")?;
        let errors = folder.join("errors");
        let file = std::fs::File::create(&errors).map_err(|error| error.to_string())?;
        let mut attach = Command::new(memtide)
            .args(["attach", "--quiet", "--every", "250ms"])
            .args(["--for", &format!("{seconds:.0}s"), "--json"])
            .arg(json)
            .arg("-o")
            .arg(folder.join(recording))
            .arg(self.child.id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| format!("starting {}: {error}", memtide.display()))?;
        let limit = Instant::now() + Duration::from_secs_f64(seconds + SLACK);
        let status = loop {
            match attach.try_wait().map_err(|error| error.to_string())? {
                Some(status) => break status,
                None if Instant::now() >= limit => {
                    // It may have ended just now: then there is nothing to end.
                    let _ = attach.kill();
                    let _ = attach.wait();
                    return Err("memtide did not end in time".to_owned());
                }
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(&errors).unwrap_or_default();
        Err(format!("memtide ended with {status}: {}", said.trim()))
    }

    /// Ends it and all processes of its session.
    pub(super) fn end(mut self) {
        let session = self.child.id();
        // Unreaped, so its number is still its own.
        signal(session, Signal::TERM);
        let limit = Instant::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(20));
        }
        for pid in members(session) {
            signal(pid, Signal::KILL);
        }
        // It has ended, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has `memtide report` write what it says of a recording to `json`. What went wrong comes back as a sentence.
pub(super) fn report(memtide: &Path, recording: &Path, json: &Path) -> Result<(), String> {
    let output = Command::new(memtide)
        .arg("report")
        .arg(recording)
        .args(["--quiet", "--json"])
        .arg(json)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("starting {}: {error}", memtide.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "memtide ended with {}: {}",
        output.status,
        said.trim()
    ))
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

/// The processes of a session, which outlives its leader.
fn members(session: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            session_of(&stat) == Some(session)
        })
        .collect()
}

/// The sixth field of `/proc/PID/stat`; the name before it may hold spaces and brackets.
fn session_of(stat: &str) -> Option<u32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_found_behind_any_name() {
        assert_eq!(session_of("12 (a) b) S 1 12 34 0 -1"), Some(34));
        assert_eq!(session_of("12"), None);
    }

    #[test]
    fn what_a_program_leaves_behind_is_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let command: Vec<String> = ["sh", "-c", "sleep 100 & sleep 100 & wait"]
            .map(str::to_owned)
            .to_vec();
        let program =
            Program::start(&command, folder.path(), &folder.path().join("log")).expect("it starts");
        let session = program.child.id();
        assert_eq!(members(session).len(), 3, "a shell and two sleepers");
        program.end();
        let limit = Instant::now() + Duration::from_secs(5);
        while !members(session).is_empty() {
            assert!(Instant::now() < limit, "{:?} are left", members(session));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
