//! What the end-to-end tests share: the program under test, and targets to point it at.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of each test file, not a crate")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The program under test, run in `dir`.
pub fn memtide(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memtide"));
    command
        .current_dir(dir)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    command
}

/// A running target; it ends when this is dropped, because its standard input closes.
pub struct Target(pub Child);

impl Target {
    /// Starts the target and waits until it is ready.
    pub fn start(arguments: &[&str]) -> Self {
        Self::command(arguments, &mut Command::new(target_program()))
    }

    /// As [`Target::start`], by a command that ends in running the target.
    pub fn command(arguments: &[&str], command: &mut Command) -> Self {
        let mut child = command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the target starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(
            line.trim(),
            "ready",
            "the target {arguments:?} did not get ready"
        );
        Self(child)
    }

    /// Its pid, as an argument.
    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The target program, compiled once per test run.
pub fn target_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/target.c");
        let program =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("target-{}", std::process::id()));
        let status = Command::new("cc")
            .args(["-O1", "-g", "-pthread", "-o"])
            .arg(&program)
            .arg(&source)
            .status()
            .expect("a C compiler called cc is installed");
        assert!(status.success(), "{} compiles", source.display());
        program
    })
}

/// Its `comm`: the file's name, cut to 15 bytes.
pub fn target_name() -> String {
    let name = target_program()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    name.chars().take(15).collect()
}

/// Runs to the end and returns what was printed; fails when it takes longer than `limit`.
pub fn finish(command: &mut Command, limit: Duration) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("memtide starts");
    // Both pipes are drained while it runs, so that it can never block on a full one.
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let out = std::thread::spawn(move || read_all(out));
    let err = std::thread::spawn(move || read_all(err));
    let status = wait(&mut child, limit);
    Output {
        status,
        stdout: out.join().unwrap(),
        stderr: err.join().unwrap(),
    }
}

fn read_all(mut from: impl std::io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Waits for the child; ends it and fails when it takes longer than `limit`.
pub fn wait(child: &mut Child, limit: Duration) -> std::process::ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if started.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until `condition` holds; fails after `limit`.
pub fn until(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(
            started.elapsed() < limit,
            "{what} did not come true within {limit:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Standard error as text.
pub fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Attaches for a while and returns the report as JSON.
pub fn attach(dir: &Path, pid: &str, options: &[&str]) -> Value {
    let output = finish(
        memtide(dir)
            .args(["attach", pid, "--quiet", "--json", "-"])
            .args(options),
        Duration::from_mins(2),
    );
    assert!(output.status.success(), "attach failed: {}", err(&output));
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

/// The report of a recording.
pub fn report(dir: &Path, file: &Path) -> Value {
    let output = finish(
        memtide(dir)
            .args(["report", "--quiet", "--json", "-"])
            .arg(file),
        Duration::from_mins(1),
    );
    assert!(output.status.success(), "report failed: {}", err(&output));
    serde_json::from_slice(&output.stdout).expect("the report is JSON")
}

/// A failure as users see it: exit code 2 and one line on standard error, which is returned.
pub fn failure(output: &Output) -> String {
    let text = err(output);
    assert_eq!(output.status.code(), Some(2), "exit code; stderr: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "one line, not: {text}");
    assert!(text.starts_with("memtide: "), "{text}");
    text
}

/// The only recording in `dir`.
pub fn recording_in(dir: &Path) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "memtide")
        })
        .collect();
    assert_eq!(
        found.len(),
        1,
        "one recording in {}: {found:?}",
        dir.display()
    );
    found.remove(0)
}

/// The number at a path of keys such as `growth/rss_bytes_per_second`.
pub fn number(report: &Value, path: &str) -> f64 {
    let at = report.pointer(&format!("/{path}")).unwrap_or(&Value::Null);
    at.as_f64()
        .unwrap_or_else(|| panic!("{path} is {at}, not a number"))
}

/// An account's bytes at the end.
pub fn account(report: &Value, name: &str) -> f64 {
    let row = report["ledger"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["account"] == name);
    row.map_or(0.0, |row| number(row, "end_bytes"))
}

/// Whether this test runs as root, which some of them need to become somebody else.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
