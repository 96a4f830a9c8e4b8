//! `memtide run`: the program comes first. Its streams, signals and exit code are its own; what cannot be
//! recorded is said, and it runs all the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{err, finish, is_root, memtide, wait};

const SOON: Duration = Duration::from_mins(1);

/// A folder with a cache in it, so that nothing is left on the machine.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(dir)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `memtide run OPTIONS`, recording to `r.memtide`, folders of regions in `tmp`.
    fn run(&self, options: &[&str]) -> Command {
        let mut command = memtide(self.0.path());
        fs::create_dir_all(self.at("tmp")).unwrap();
        let _ = fs::remove_file(self.at("r.memtide"));
        command
            .env("XDG_CACHE_HOME", self.at("cache"))
            .env_remove("XDG_RUNTIME_DIR")
            .env("TMPDIR", self.at("tmp"))
            .env_remove("MEMTIDE_SHIM")
            .env_remove("LD_PRELOAD")
            .args(["run", "-o", "r.memtide"])
            .args(options);
        command
    }

    fn ran(&self, options: &[&str]) -> Output {
        finish(&mut self.run(options), SOON)
    }

    /// The recording's report.
    fn report(&self) -> Value {
        support::report(self.0.path(), &self.at("r.memtide"))
    }

    fn compile(&self, name: &str, source: &str, flags: &[&str]) -> PathBuf {
        let (file, program) = (self.at(&format!("{name}.c")), self.at(name));
        fs::write(&file, source).unwrap();
        let status = Command::new("cc")
            .args(["-g", "-O1", "-o"])
            .arg(&program)
            .arg(&file)
            .args(flags)
            .status()
            .expect("a C compiler called cc is installed");
        assert!(status.success(), "{name} compiles");
        program
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// No folder of regions is left.
    fn is_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.at("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn code(output: &Output) -> i32 {
    output
        .status
        .code()
        .expect("memtide itself is ended by no signal")
}

fn says(output: &Output, words: &[&str]) {
    for word in words {
        assert!(
            err(output).contains(word),
            "{word:?} is not in: {}",
            err(output)
        );
    }
}

/// Leaks 300 bytes 50 times a round, without end or for so many rounds of 10 ms; `ready` on the first line.
const LEAK: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
__attribute__((noinline)) char *leak_small(void) { char *p = malloc(300); memset(p, 1, 300); return p; }
int main(int argc, char **argv) {
    puts("ready"); fflush(stdout);
    for (int i = 0; argc < 2 || i < atoi(argv[1]); i++) {
        for (int j = 0; j < 50; j++) leak_small();
        usleep(10000);
    }
    return 3;
}
"#;

#[test]
fn the_exit_code_is_the_programs() {
    let place = Place::new();
    for wanted in [0, 1, 2, 42, 124, 255] {
        let script = format!("exit {wanted}");
        assert_eq!(code(&place.ran(&["-q", "--", "sh", "-c", &script])), wanted);
    }
    let killed = place.ran(&["--", "sh", "-c", "kill -SEGV $$"]);
    assert_eq!(code(&killed), 139);
    assert_eq!(place.report()["ended"]["signal"], 11);
    let full = place.ran(&["-q", "--heap", "full", "--", "sh", "-c", "kill -TERM $$"]);
    assert_eq!(code(&full), 143);
    place.is_clean();
}

#[test]
fn what_cannot_be_started_ends_as_with_env() {
    let place = Place::new();
    let plain = place.at("plain");
    fs::write(&plain, "x").unwrap();
    let folder = place.at("folder");
    fs::create_dir(&folder).unwrap();
    let script = place.file("script", b"#!/nonexistent/interpreter\n");
    let [plain, folder, script] = [&plain, &folder, &script].map(|p| p.to_str().unwrap());
    for (program, wanted, word) in [
        ("no-such-program-x1y2", 127, "PATH"),
        ("/nonexistent/program", 127, "/nonexistent/program"),
        (script, 127, "/nonexistent/interpreter"),
        (plain, 126, "plain"),
        (folder, 126, "directory"),
    ] {
        let output = place.ran(&["--", program]);
        assert_eq!(code(&output), wanted, "{program}: {}", err(&output));
        assert_eq!(
            err(&output).trim_end().lines().count(),
            1,
            "{}",
            err(&output)
        );
        says(&output, &["memtide: ", word]);
        assert!(
            !place.at("r.memtide").exists(),
            "{program} left a recording"
        );
    }
    place.is_clean();
}

#[test]
fn what_memtide_cannot_do_ends_with_125_before_the_start() {
    let place = Place::new();
    let witness = place.at("started");
    let touch = ["--", "touch", witness.to_str().unwrap()];
    let garbage = place.file("garbage.so", b"not a library");
    let cases: [(&[&str], &str); 9] = [
        (&["--every", "0s"], "--every"),
        (&["--interval", "0"], "--interval"),
        (&["--interval", "many"], "--interval"),
        (&["--html", "/nonexistent/r.html"], "cannot write"),
        (&["--suppressions", "/nonexistent/s"], "/nonexistent/s"),
        (&["--suppressions", garbage.to_str().unwrap()], "line 1"),
        (
            &["--heap", "full", "--shim", "/nonexistent/s.so"],
            "/nonexistent/s.so",
        ),
        (
            &["--heap", "full", "--shim", garbage.to_str().unwrap()],
            "no library",
        ),
        (&["--no-such-flag"], "--no-such-flag"),
    ];
    for (options, word) in cases {
        let output = place.ran(&[options, &touch].concat());
        assert_eq!(code(&output), 125, "{options:?}: {}", err(&output));
        says(&output, &[word]);
        assert!(!witness.exists(), "{options:?}: it was started");
    }
    let output = finish(
        place
            .run(&["--heap", "sampled"])
            .args(touch)
            .env("MEMTIDE_SHIM", &garbage),
        SOON,
    );
    assert_eq!(code(&output), 125);
    says(&output, &["MEMTIDE_SHIM", "garbage.so"]);
    let mut again = place.run(&touch);
    fs::write(place.at("r.memtide"), "precious").unwrap();
    let output = finish(&mut again, SOON);
    assert_eq!(code(&output), 125);
    says(&output, &["r.memtide", "-o"]);
    assert_eq!(fs::read(place.at("r.memtide")).unwrap(), b"precious");
    assert!(!witness.exists(), "it was started");
    place.is_clean();
}

#[test]
fn streams_are_the_programs_byte_by_byte() {
    let place = Place::new();
    let odd: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    fs::write(place.at("in"), &odd).unwrap();
    for heap in ["off", "sampled", "full"] {
        let script = "cat; head -c 1000 in >&2";
        let mut command = place.run(&["-q", "--heap", heap, "--", "sh", "-c", script]);
        let output = finish(command.stdin(fs::File::open(place.at("in")).unwrap()), SOON);
        assert_eq!(code(&output), 0, "{heap}");
        assert_eq!(output.stdout, odd, "{heap}: standard output");
        assert_eq!(output.stderr, odd[..1000], "{heap}: standard error");
    }
    // The report goes to standard error, and JSON behind the program's own output.
    let output = place.ran(&["--", "echo", "hello"]);
    assert_eq!(output.stdout, b"hello\n");
    says(&output, &["pid", "ended"]);
    let output = place.ran(&["-q", "--json", "-", "--", "echo", "hello"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let json = text.strip_prefix("hello\n").unwrap();
    let report: Value = serde_json::from_str(json).unwrap();
    assert_eq!(report["ended"]["code"], 0);
}

#[test]
fn a_program_that_lives_a_moment_gives_its_stacks() {
    let place = Place::new();
    let source = "#include <stdlib.h>\n\
        __attribute__((noinline)) void *leak_once(void) { return malloc(12345); }\n\
        int main(void) { void *volatile p = leak_once(); p = 0; return 5; }\n";
    let program = place.compile("moment", source, &[]);
    for _ in 0..5 {
        let output = place.ran(&["-q", "--heap", "full", "--", program.to_str().unwrap()]);
        assert_eq!(code(&output), 5, "{}", err(&output));
        let report = place.report();
        assert_eq!(report["ended"]["code"], 5, "{}", report["ended"]);
        let stack = &report["stacks"][0];
        assert_eq!(stack["live_bytes"], 12345, "{}", report["stacks"]);
        assert_eq!(stack["frames"][0]["function"], "leak_once");
        assert_eq!(stack["frames"][0]["line"], 2);
    }
    place.is_clean();
}

#[test]
fn the_leaking_line_is_named_with_its_rate() {
    let place = Place::new();
    let program = place.compile("leak", LEAK, &[]);
    for (heap, within) in [("full", 0.05), ("sampled", 0.25)] {
        let options = [
            "-q",
            "--heap",
            heap,
            "--interval",
            "4KiB",
            "--every",
            "100ms",
            "--flamegraph",
            "flame.svg",
            "--folded",
            "folded",
            "--",
            program.to_str().unwrap(),
            "300",
        ];
        let output = place.ran(&options);
        assert_eq!(code(&output), 3, "{}", err(&output));
        let report = place.report();
        let stack = &report["stacks"][0];
        assert_eq!(
            stack["frames"][0]["function"], "leak_small",
            "{}",
            report["stacks"]
        );
        let live = stack["live_bytes"].as_f64().unwrap();
        let truth = 300.0 * 50.0 * 300.0;
        assert!(
            (live / truth - 1.0).abs() < within,
            "{heap}: {live} of {truth}"
        );
        let rate = stack["bytes_per_second"].as_f64().unwrap();
        // A round takes 10 ms and a little: at most 1.5 MB a second, and not much less.
        assert!((600e3..1_600e3).contains(&rate), "{heap}: {rate}");
        let lenses = report["recording"]["lenses"].to_string();
        assert!(
            lenses.contains("sampler") && lenses.contains("shim"),
            "{lenses}"
        );
        assert!(
            fs::read_to_string(place.at("flame.svg"))
                .unwrap()
                .contains("leak_small")
        );
        let folded = fs::read_to_string(place.at("folded")).unwrap();
        assert!(folded.contains("main;leak_small "), "{folded}");
    }
    place.is_clean();
}

#[test]
fn what_cannot_be_recorded_is_said_and_runs() {
    let place = Place::new();
    let source = "int main(void) { return 9; }\n";
    let fixed = place.compile("fixed", source, &["-static"]);
    let pie = place.compile("static-pie", source, &["-static-pie"]);
    let first = format!("#!{}\n", fixed.display());
    let script = place.file("script", first.as_bytes());
    for program in [fixed, pie, script] {
        let output = place.ran(&["--heap", "full", "--", program.to_str().unwrap()]);
        assert_eq!(code(&output), 9, "{}", err(&output));
        says(&output, &["memtide: not recorded: ", "statically"]);
        let report = place.report();
        assert!(report["stacks"].is_null());
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains("statically"), "{warnings}");
    }
    // What was asked for and is not done is no idle talk.
    let output = place.ran(&[
        "-q",
        "--heap",
        "full",
        "--",
        place.at("fixed").to_str().unwrap(),
    ]);
    says(&output, &["not recorded"]);
    // A head without a body: said for what it is, then refused by the kernel.
    let mut head = vec![0_u8; 64];
    head[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
    (head[16], head[18]) = (2, 3);
    let small = place.file("small", &head);
    let output = place.ran(&["--heap", "full", "--", small.to_str().unwrap()]);
    assert_eq!(code(&output), 126, "{}", err(&output));
    says(&output, &["32-bit"]);
    place.is_clean();
}

#[test]
fn a_program_that_drops_the_shim_is_noticed() {
    let place = Place::new();
    let drops = [
        "--heap",
        "full",
        "--every",
        "100ms",
        "--",
        "env",
        "-u",
        "LD_PRELOAD",
    ];
    let output = place.ran(&[&drops[..], &["sleep", "4"]].concat());
    assert_eq!(code(&output), 0);
    let report = place.report()["warnings"].to_string();
    assert!(report.contains("sleep did not say hello"), "{report}");
    says(&output, &["memtide: not recorded: "]);
    // One that is replaced by one that keeps it is no reason to worry.
    let output = place.ran(&["--heap", "full", "--", "env", "A=1", "sleep", "4"]);
    assert!(!err(&output).contains("not recorded"), "{}", err(&output));
}

#[test]
fn what_the_shim_refuses_is_said_with_its_reason() {
    let place = Place::new();
    let script = "ulimit -v 4000000; exec sleep 3";
    let output = place.ran(&[
        "--heap", "full", "--every", "100ms", "--", "sh", "-c", script,
    ]);
    assert_eq!(code(&output), 0, "{}", err(&output));
    says(&output, &["not recorded", "ulimit -v"]);
    let warnings = place.report()["warnings"].to_string();
    assert!(warnings.contains("ulimit -v"), "{warnings}");
}

#[test]
fn a_program_that_gains_privileges_runs_unrecorded() {
    if !is_root() {
        eprintln!("needs root, to give a file away");
        return;
    }
    let place = Place::new();
    let program = place.at("gains");
    fs::copy("/bin/true", &program).unwrap();
    std::os::unix::fs::chown(&program, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let output = place.ran(&["--heap", "sampled", "--", program.to_str().unwrap()]);
    assert_eq!(code(&output), 0);
    says(&output, &["not recorded", "set-user-ID"]);
}

#[test]
fn a_cache_that_cannot_be_named_or_written_is_no_hindrance() {
    let place = Place::new();
    let program = place.compile("leak", LEAK, &[]);
    fs::write(place.at("file"), "no folder").unwrap();
    for cache in ["with space", "with:colon", "file"] {
        let mut command =
            place.run(&["-q", "--heap", "full", "--", program.to_str().unwrap(), "1"]);
        command.env("XDG_CACHE_HOME", place.at(cache));
        if cache == "file" {
            // For root the system's places are next; a name in PATH of nobody's makes no difference.
            command.env("HOME", place.at("file"));
        }
        let output = finish(&mut command, SOON);
        assert_eq!((code(&output), err(&output).as_str()), (3, ""), "{cache}");
        let report = place.report();
        assert_eq!(
            report["stacks"][0]["live_bytes"], 15_000,
            "{cache}: {}",
            report["stacks"]
        );
    }
}

#[test]
fn other_preloaded_libraries_stay() {
    let place = Place::new();
    let source = "#include <unistd.h>\n\
        __attribute__((constructor)) static void f(void) { write(2, \"there\\n\", 6); }\n";
    let library = place.compile("other.so", source, &["-shared", "-fPIC"]);
    let mut command = place.run(&[
        "-q",
        "--heap",
        "full",
        "--",
        "sh",
        "-c",
        "echo \"$LD_PRELOAD\"",
    ]);
    // memtide itself and its self-test load it, too: only the program's is looked at.
    let output = finish(command.env("LD_PRELOAD", &library), SOON);
    let list = String::from_utf8_lossy(&output.stdout);
    let (ours, others) = list.trim().split_once(':').unwrap();
    assert!(ours.ends_with("libmemtide_shim.so"), "{list}");
    assert_eq!(Path::new(others), library);
    assert!(err(&output).contains("there"));
}

/// memtide with the program under it, which has said "ready".
fn started(command: &mut Command) -> Child {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn signal(pid: u32, signal: rustix::process::Signal, group: bool) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    if group {
        rustix::process::kill_process_group(pid, signal).unwrap();
    } else {
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

/// The same command with SIGINT and SIGHUP as a terminal's programs have them: whatever runs these
/// tests in the background may ignore them.
fn with_signals(command: &Command, how: &str) -> Command {
    let mut wrapped = Command::new("env");
    wrapped
        .arg(how)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
        .current_dir(command.get_current_dir().unwrap())
        .stdin(Stdio::null());
    wrapped
}

#[test]
fn ctrl_c_is_the_programs_and_the_report_comes_after() {
    let place = Place::new();
    let script = "n=0; trap 'n=$((n+1)); echo $n' INT; echo ready; \
        while [ $n -lt 3 ]; do sleep 0.05; done; exit 6";
    let run = place.run(&["-q", "--", "sh", "-c", script]);
    let mut command = with_signals(&run, "--default-signal=INT");
    let command = command.process_group(0).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!(next(), "ready");
    // Often: an interpreter takes many of them, and memtide must not end before it.
    for count in 1..=3 {
        signal(child.id(), rustix::process::Signal::INT, true);
        assert_eq!(next(), count.to_string());
    }
    assert_eq!(wait(&mut child, SOON).code(), Some(6));
    assert_eq!(place.report()["ended"]["code"], 6);
    place.is_clean();
}

#[test]
fn sigterm_is_passed_on_once_and_the_report_comes_after() {
    let place = Place::new();
    let program = place.compile("leak", LEAK, &[]);
    let run = [
        "-q",
        "--heap",
        "full",
        "--every",
        "50ms",
        "--",
        program.to_str().unwrap(),
    ];
    let mut child = started(&mut place.run(&run));
    signal(child.id(), rustix::process::Signal::TERM, false);
    assert_eq!(wait(&mut child, SOON).code(), Some(143));
    let report = place.report();
    assert_eq!(report["ended"]["signal"], 15, "{}", report["ended"]);
    assert!(
        report["events"]
            .to_string()
            .contains("SIGTERM was passed on")
    );
    assert_eq!(report["stacks"][0]["frames"][0]["function"], "leak_small");
    place.is_clean();
}

#[test]
fn a_program_that_will_not_end_is_let_go() {
    let place = Place::new();
    let script = "trap '' TERM; echo ready; echo $$ > pid; exec sleep 60";
    let mut child = started(&mut place.run(&["-q", "--", "sh", "-c", script]));
    support::until(SOON, "its pid", || place.at("pid").exists());
    signal(child.id(), rustix::process::Signal::TERM, false);
    let started = Instant::now();
    assert_eq!(wait(&mut child, SOON).code(), Some(143));
    assert!(
        started.elapsed() >= Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    let pid: u32 = fs::read_to_string(place.at("pid"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    assert!(Path::new(&format!("/proc/{pid}")).exists(), "it runs on");
    assert_eq!(place.report()["ended"]["how"], "running");
    signal(pid, rustix::process::Signal::KILL, false);
}

#[test]
fn a_hangup_that_is_ignored_stays_ignored() {
    let place = Place::new();
    let script = "echo ready; sleep 0.5; exit 4";
    let run = place.run(&["-q", "--", "sh", "-c", script]);
    let mut command = with_signals(&run, "--ignore-signal=HUP");
    let mut child = started(command.process_group(0));
    signal(child.id(), rustix::process::Signal::HUP, true);
    assert_eq!(wait(&mut child, SOON).code(), Some(4));
}

#[test]
fn the_time_being_up_is_sigterm_and_124() {
    let place = Place::new();
    let program = place.compile("leak", LEAK, &[]);
    let started = Instant::now();
    let options = ["--for", "1s", "--every", "100ms", "--heap", "full", "--"];
    let output = place.ran(&[&options[..], &[program.to_str().unwrap()]].concat());
    assert_eq!(code(&output), 124, "{}", err(&output));
    assert!(started.elapsed() < Duration::from_secs(20));
    says(&output, &["leak_small"]);
    let report = place.report();
    assert!(report["events"].to_string().contains("time is up"));
    assert_eq!(report["ended"]["signal"], 15);
    assert!((0.8..5.0).contains(&support::number(&report, "recording/seconds")));
}

#[test]
fn redaction_reaches_the_stacks_and_names_are_found_all_the_same() {
    let place = Place::new();
    let program = place.compile("leak", LEAK, &[]);
    let options = [
        "--redact",
        "--heap",
        "full",
        "--",
        program.to_str().unwrap(),
        "20",
    ];
    let output = place.ran(&options);
    assert_eq!(code(&output), 3);
    let folder = place
        .0
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let mut report = place.report();
    // Whoever asks for a report names the file himself.
    report["recording"]["file"] = Value::Null;
    let report = report.to_string();
    assert!(report.contains("leak_small"), "{report}");
    assert!(!report.contains(&folder), "{folder} is in {report}");
    let bytes = fs::read(place.at("r.memtide")).unwrap();
    let is_there = bytes
        .windows(folder.len())
        .any(|part| part == folder.as_bytes());
    assert!(!is_there, "the recording names the program's folder");
}

#[test]
fn children_and_execs_are_recorded() {
    let place = Place::new();
    let program = place.compile("leak", LEAK, &[]);
    let script = format!(
        "{} 5 & wait; exec {} 20",
        program.display(),
        program.display()
    );
    let output = place.ran(&["-q", "--heap", "full", "--", "sh", "-c", &script]);
    assert_eq!(code(&output), 3, "{}", err(&output));
    let report = place.report();
    let own = report["stacks"].as_array().unwrap().iter().find(|stack| {
        stack["frames"][0]["function"] == "leak_small" && stack["live_bytes"] == 300_000
    });
    assert!(own.is_some(), "{}", report["stacks"]);
}
