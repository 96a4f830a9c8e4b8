//! What a started program gets, and what its end becomes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_launch::{ErrorKind, Launch, Program, inspect_program, resolve};
use std::ffi::OsStr;
use std::path::Path;
use std::time::{Duration, Instant};
use support::file;

fn code_of(script: &str) -> u8 {
    let program = inspect_program(&resolve(OsStr::new("sh")).unwrap()).unwrap();
    let launched = Launch::new("sh", ["-c", script]).spawn(&program).unwrap();
    launched.wait().unwrap().exit_code()
}

#[test]
fn codes_and_signals_are_passed_on_as_shells_do() {
    for code in [0, 1, 2, 42, 124, 125, 126, 127, 255] {
        assert_eq!(code_of(&format!("exit {code}")), code);
    }
    // Not HUP, INT or QUIT: whoever started the tests may have had them ignored.
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("ALRM", 142), ("USR1", 138)] {
        assert_eq!(code_of(&format!("kill -{signal} $$")), code, "{signal}");
    }
}

#[test]
fn the_kernels_refusal_has_the_code_of_env() {
    let dir = tempfile::tempdir().unwrap();
    let started = |path: &Path| {
        let program = Program {
            path: path.to_path_buf(),
            runs: path.to_path_buf(),
            refusal: None,
        };
        Launch::new("x", [""; 0]).spawn(&program).map(|_| ())
    };
    let gone = started(Path::new("/nonexistent")).unwrap_err().kind();
    assert_eq!((gone, gone.exit_code()), (ErrorKind::ProgramNotFound, 127));
    let folder = started(dir.path()).unwrap_err().kind();
    assert_eq!(
        (folder, folder.exit_code()),
        (ErrorKind::ProgramNotRunnable, 126)
    );
}

#[test]
fn a_file_of_commands_is_run_by_the_shell() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(
        &dir.path().join("commands"),
        b"exit $(( $1 + $# ))\n",
        0o755,
    );
    let program = inspect_program(&path).unwrap();
    let launched = Launch::new(&path, ["40", "x"]).spawn(&program).unwrap();
    assert_eq!(launched.wait().unwrap().exit_code(), 42);
}

#[test]
fn the_name_that_was_typed_is_the_programs_name() {
    let program = inspect_program(&resolve(OsStr::new("sh")).unwrap()).unwrap();
    let is_own = "test \"$(tr '\\0' ' ' < /proc/$$/cmdline | cut -d' ' -f1)\" = my-name";
    let launched = Launch::new("my-name", ["-c", is_own])
        .spawn(&program)
        .unwrap();
    assert_eq!(launched.wait().unwrap().exit_code(), 0);
}

#[test]
fn waiting_ends_with_the_program_or_with_the_time() {
    let program = inspect_program(&resolve(OsStr::new("sleep")).unwrap()).unwrap();
    let mut launched = Launch::new("sleep", ["30"]).spawn(&program).unwrap();
    assert_eq!(launched.wait_for(Duration::ZERO).unwrap(), None);
    assert_eq!(launched.wait_for(Duration::from_millis(50)).unwrap(), None);
    launched.signal(rustix::process::Signal::TERM);
    let started = Instant::now();
    let end = launched.wait_for(Duration::MAX).unwrap().unwrap();
    assert_eq!(
        (end.signal(), end.exit_code(), end.wait_status()),
        (Some(15), 143, 15)
    );
    assert!(started.elapsed() < Duration::from_secs(20));
    // Reaped: a further signal hits nobody, the answer stays.
    launched.signal(rustix::process::Signal::KILL);
    assert_eq!(launched.wait_for(Duration::ZERO).unwrap(), Some(end));
}
