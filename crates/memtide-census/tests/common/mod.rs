//! Starts the programs of fixtures/processes, which say what they made.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![expect(
    clippy::unwrap_used,
    reason = "in helpers of tests a panic is the failure"
)]

use memtide_census::{Scope, Wanted, take};
use memtide_model::{Census, Pid, ProcessState};
use memtide_proc::ProcRoot;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A started program and what it said.
pub(crate) struct Fixture {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it said last.
    pub(crate) truth: Value,
}

impl Fixture {
    /// Builds the programs if need be, starts `name` and waits for READY.
    pub(crate) fn start(name: &str, options: &[&str]) -> Self {
        let folder = folder();
        let built = Command::new(folder.join("build")).arg("-q").status();
        assert!(
            built.unwrap().success(),
            "fixtures/processes/build must succeed"
        );
        Self::of(Command::new(folder.join("bin").join(name)).args(options))
    }

    /// Starts `command`, which must say READY.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut fixture = Self {
            child,
            output,
            truth: Value::Null,
        };
        fixture.hear();
        fixture
    }

    fn hear(&mut self) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let (_, truth) = line.split_once(' ').expect("a word and the truth");
        self.truth = serde_json::from_str(truth).expect("the truth is JSON");
    }

    /// Sends a line, and waits for the answer.
    pub(crate) fn ask(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
        self.hear();
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> Pid {
        Pid(u32::try_from(self.truth["pid"].as_u64().unwrap()).unwrap())
    }

    /// A list of pids.
    pub(crate) fn pids(&self, key: &str) -> Vec<Pid> {
        let list = self.truth[key].as_array().unwrap();
        let mut pids: Vec<_> = list
            .iter()
            .map(|pid| Pid(u32::try_from(pid.as_u64().unwrap()).unwrap()))
            .collect();
        pids.sort();
        pids
    }

    /// A text.
    pub(crate) fn text(&self, key: &str) -> String {
        self.truth[key].as_str().unwrap().to_owned()
    }

    /// A list of texts.
    pub(crate) fn texts(&self, key: &str) -> Vec<String> {
        let list = self.truth[key].as_array().unwrap();
        list.iter()
            .map(|text| text.as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.child.stdin = None;
        let _ = self.child.wait();
    }
}

/// fixtures/processes.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/processes")
}

pub(crate) fn root() -> ProcRoot {
    ProcRoot::system().unwrap()
}

/// A census of some processes, with what is set in `wanted`.
pub(crate) fn census_of(pids: Vec<Pid>, wanted: &Wanted) -> Census {
    let mut wanted = wanted.clone();
    wanted.scope = Scope::Pids(pids);
    take(&root(), &wanted).unwrap()
}

pub(crate) fn whole() -> Census {
    take(&root(), &Wanted::default()).unwrap()
}

pub(crate) fn process(census: &Census, pid: Pid) -> &ProcessState {
    let found = census
        .processes
        .iter()
        .find(|process| process.id.pid == pid);
    found.unwrap_or_else(|| panic!("pid {pid} is in the census"))
}

/// The pids of those that `fits`, in order.
pub(crate) fn pids_of(census: &Census, fits: impl Fn(&ProcessState) -> bool) -> Vec<Pid> {
    let fitting = census.processes.iter().filter(|process| fits(process));
    fitting.map(|process| process.id.pid).collect()
}

/// True for root; else it is said that `what` was skipped.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: {what} needs root");
    }
    root
}

/// Runs one test of this binary again, behind `command`; it finds `INSIDE` in its environment.
pub(crate) fn again(test: &str, command: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).unwrap();
    let output = Command::new(command[0])
        .args(&command[1..])
        .arg(&copy)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("1 passed"), "{test} is a test: {said}");
}

const INSIDE: &str = "MEMTIDE_TEST_INSIDE";

/// True where [`again`] runs this.
pub(crate) fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}
