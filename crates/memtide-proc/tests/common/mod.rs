//! Real processes to look at: C programs that are compiled once and started by the tests.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use memtide_model::Pid;
use memtide_proc::{ProcRoot, ProcessDir};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Compiles a C source below this crate's directory; several test binaries may do so at once.
pub(crate) fn compile(source: &str) -> PathBuf {
    // Two tests of one binary would write the same temporary file.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let name = source.file_stem().expect("a source has a name");
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = directory.join(name);
    // A program that is replaced while it runs is called "(deleted)" in its own maps.
    let changed = |file: &Path| {
        std::fs::metadata(file)
            .and_then(|data| data.modified())
            .ok()
    };
    if changed(&program) > changed(&source) {
        return program;
    }
    let temporary = directory.join(format!("{}-{}", name.display(), std::process::id()));
    let status = Command::new("cc")
        .args(["-O2", "-Wall", "-pthread", "-o"])
        .args([&temporary, &source])
        .status()
        .expect("a C compiler is called cc");
    assert!(status.success(), "cc must compile {}", source.display());
    std::fs::rename(&temporary, &program).expect("the target directory is writable");
    program
}

/// A started program that said it was ready.
pub(crate) struct Target {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<std::process::ChildStdout>,
    /// The number that it printed.
    pub(crate) pid: Pid,
}

impl Target {
    /// Starts `tests/targets/target.c` and waits for its "ready PID"; `None` when it said no.
    pub(crate) fn try_start(arguments: &[&OsStr]) -> Option<Self> {
        static PROGRAM: std::sync::LazyLock<PathBuf> =
            std::sync::LazyLock::new(|| compile("tests/targets/target.c"));
        Self::start_program(&PROGRAM, arguments)
    }

    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        Self::try_start(&arguments).expect("the target is ready")
    }

    pub(crate) fn start_program(program: &Path, arguments: &[&OsStr]) -> Option<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the target starts");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("the target speaks");
        let pid = line.trim_end().strip_prefix("ready ");
        let Some(pid) = pid.and_then(|pid| pid.parse().ok()) else {
            child.wait().expect("the target ends");
            return None;
        };
        Some(Self {
            child,
            input,
            output,
            pid: Pid(pid),
        })
    }

    pub(crate) fn directory(&self) -> ProcessDir {
        ProcRoot::system()
            .expect("/proc is mounted")
            .process(self.pid)
            .expect("the target lives")
    }

    /// Sends a line.
    pub(crate) fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not ended yet");
        writeln!(input, "{line}").expect("the target reads");
        input.flush().expect("the target reads");
    }

    /// Ends it and reaps it.
    pub(crate) fn end(&mut self) {
        self.input = None;
        self.child.wait().expect("the target ends");
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.input = None;
        // It ends at the end of its input; a target that does not is stopped. Both may be done already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done`, for at most ten seconds.
pub(crate) fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed().as_secs() < 10, "waited ten seconds: {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Reads a fixture file.
pub(crate) fn fixture(path: &str) -> Vec<u8> {
    let file = fixtures().join(path);
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}
