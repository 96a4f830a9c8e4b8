//! Names and numbers of what is not where it was: programs and libraries that are deleted while they run,
//! that were loaded by a relative name, that lie in a mount namespace of their own; processes whose pids are those
//! of another namespace; and what is said where nothing can be found any more.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;
use support::{err, finish, is_root, memtide};

const SOON: Duration = Duration::from_mins(1);
const SHIM: &str = env!("MEMTIDE_SHIM_FILE");

/// Arguments: the library, seconds to wait at the end, files to delete. It closes all descriptors, as
/// daemons do, and allocates only some ticks later.
const PROGRAM: &str = r#"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((noinline)) void *leak_here(void) { return malloc(100); }
int main(int argc, char **argv) {
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library) { fprintf(stderr, "%s\n", dlerror()); return 3; }
    void *(*leak)(void) = (void *(*)(void))dlsym(library, "leak_in_library");
    for (int i = 3; i < argc; i++) if (unlink(argv[i])) return 4;
    if (chdir("/")) return 5;
    for (int i = 3; i < 4096; i++) close(i);
    usleep(400000);
    for (int i = 0; i < 1700; i++) i < 700 ? leak() : leak_here();
    puts("done"); fflush(stdout);
    sleep(atoi(argv[2]));
    return 0;
}
"#;
/// Blocks that the program and the library leak.
const HERE: u64 = 1000;
const IN_LIBRARY: u64 = 700;
const LIBRARY: &str = r"
#include <stdlib.h>
__attribute__((noinline)) void *leak_in_library(void) { return malloc(200); }
";

/// A folder with the program `program` and its library `libleak.so`.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.at("tmp")).unwrap();
        place.compile("program", PROGRAM, &["-ldl"]);
        place.compile("libleak.so", LIBRARY, &["-shared", "-fPIC"]);
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn compile(&self, name: &str, source: &str, flags: &[&str]) {
        let file = self.at(&format!("{name}.c"));
        fs::write(&file, source).unwrap();
        let mut command = Command::new("cc");
        command.args([
            "-g",
            "-O1",
            "-fno-optimize-sibling-calls",
            "-Wl,--build-id",
            "-o",
        ]);
        let output = command.arg(self.at(name)).arg(&file).args(flags).output();
        let output = output.expect("a C compiler called cc is installed");
        assert!(output.status.success(), "{}", err(&output));
    }

    /// `memtide run --heap full -- COMMAND`, here, with a tick every 100 ms.
    fn run(&self, command: &[&str]) -> (Output, Value) {
        let mut memtide = memtide(self.0.path());
        memtide
            .env("XDG_CACHE_HOME", self.at("cache"))
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("LD_PRELOAD")
            .env("TMPDIR", self.at("tmp"))
            .args([
                "run",
                "--heap",
                "full",
                "--every",
                "100ms",
                "-o",
                "r.memtide",
            ])
            .arg("--")
            .args(command);
        let output = finish(&mut memtide, SOON);
        assert!(output.status.success(), "{}", err(&output));
        let report = support::report(self.0.path(), &self.at("r.memtide"));
        (output, report)
    }

    /// Runs it under the shim, without memtide.
    fn preload(&self, arguments: &[&str], variables: &[(&str, &str)]) {
        let mut command = self.preloading(arguments);
        let status = command.envs(variables.iter().copied()).status().unwrap();
        assert!(status.success());
    }

    fn preloading(&self, arguments: &[&str]) -> Command {
        let regions = self.at("regions");
        fs::create_dir_all(&regions).unwrap();
        let mut command = Command::new("./program");
        command
            .current_dir(self.0.path())
            .args(arguments)
            .env("LD_PRELOAD", SHIM)
            .env("MEMTIDE_DIR", regions)
            .env("MEMTIDE_HEAP", "full");
        command
    }

    fn collect(&self) -> (Output, Value) {
        let _ = fs::remove_file(self.at("r.memtide"));
        let mut memtide = memtide(self.0.path());
        memtide.args(["collect", "regions", "-o", "r.memtide", "--json", "-"]);
        let output = finish(&mut memtide, SOON);
        assert!(output.status.success(), "{}", err(&output));
        let report = serde_json::from_slice(&output.stdout).unwrap();
        (output, report)
    }
}

/// The innermost frame of the one row of `owner` with so many blocks.
fn leaf(report: &Value, owner: &str, blocks: u64) -> Value {
    let rows = report["stacks"].as_array().unwrap();
    let its = |row: &&Value| row["owner"] == owner && row["allocs"] == blocks;
    let found: Vec<&Value> = rows.iter().filter(its).collect();
    let [row] = found[..] else {
        let all: Vec<_> = rows
            .iter()
            .map(|row| (&row["owner"], &row["allocs"]))
            .collect();
        panic!(
            "one stack of {blocks} blocks of the {owner}: {all:?}, {}",
            report["warnings"]
        );
    };
    row["frames"][0].clone()
}

/// Both leaks have their functions and lines.
fn is_named(report: &Value, owner: &str) {
    for (blocks, function, line) in [(HERE, "leak_here", 6), (IN_LIBRARY, "leak_in_library", 3)] {
        let frame = leaf(report, owner, blocks);
        assert_eq!(
            frame["function"], function,
            "{frame}: {}",
            report["warnings"]
        );
        assert_eq!(frame["line"], line, "{frame}");
    }
}

/// Whether this machine lets us have such namespaces; says so where it does not.
fn can_unshare(options: &[&str]) -> bool {
    let output = Command::new("unshare").args(options).arg("true").output();
    let can = output.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: unshare {options:?} is not installed or not allowed here");
    }
    can
}

/// Whether a file that was deleted before anybody saw it run can be opened; says so where it cannot.
fn can_open_deleted() -> bool {
    let can = is_root();
    if !can {
        eprintln!("skipped: /proc/PID/map_files needs CAP_CHECKPOINT_RESTORE");
    }
    can
}

#[test]
fn what_is_deleted_while_it_runs_has_names() {
    if !can_open_deleted() {
        return;
    }
    let place = Place::new();
    let arguments = [
        "./program",
        "./libleak.so",
        "2",
        "./program",
        "./libleak.so",
    ];
    let (_, report) = place.run(&arguments);
    assert!(!place.at("program").exists() && !place.at("libleak.so").exists());
    is_named(&report, "target");
}

#[test]
fn what_is_replaced_while_it_runs_has_the_names_of_what_ran() {
    let place = Place::new();
    let script = "./program ./libleak.so 2 & sleep 1; rm libleak.so; cp other.so libleak.so; wait";
    place.compile(
        "other.so",
        &LIBRARY.replace("leak_in_library", "another"),
        &["-shared", "-fPIC"],
    );
    let (_, report) = place.run(&["sh", "-c", script]);
    is_named(&report, "others");
}

#[test]
fn a_program_that_deletes_itself_and_ends_at_once_has_names() {
    let place = Place::new();
    let (_, report) = place.run(&["./program", "./libleak.so", "0", "./program"]);
    assert!(!place.at("program").exists());
    is_named(&report, "target");
}

#[test]
fn a_library_by_a_relative_name_is_found_wherever_the_program_went() {
    let place = Place::new();
    place.preload(&["./libleak.so", "0"], &[]);
    let (_, report) = place.collect();
    is_named(&report, "target");
    let module = leaf(&report, "target", IN_LIBRARY)["module"].clone();
    let library = fs::canonicalize(place.at("libleak.so")).unwrap();
    assert_eq!(module, library.to_str().unwrap());
}

#[test]
fn a_program_that_runs_without_its_file_is_collected_with_names() {
    if !can_open_deleted() {
        return;
    }
    let place = Place::new();
    let arguments = ["./libleak.so", "20", "./program", "./libleak.so"];
    let mut command = place.preloading(&arguments);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.as_mut().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    let (_, report) = place.collect();
    child.kill().unwrap();
    child.wait().unwrap();
    is_named(&report, "target");
}

#[test]
fn what_is_gone_is_said_and_how_to_go_on() {
    let place = Place::new();
    place.preload(&["./libleak.so", "0"], &[]);
    let library = place.at("libleak.so");
    let away = place.at("away.so");
    fs::rename(&library, &away).unwrap();
    let warning = |report: &Value| {
        let warnings = report["warnings"].as_array().unwrap().iter();
        let texts = warnings.filter_map(Value::as_str);
        let found: Vec<&str> = texts.filter(|text| text.contains("libleak.so")).collect();
        let [text] = found[..] else {
            panic!("one warning names it: {}", report["warnings"]);
        };
        text.to_owned()
    };
    let (_, report) = place.collect();
    assert_eq!(leaf(&report, "target", IN_LIBRARY)["function"], Value::Null);
    assert_eq!(leaf(&report, "target", HERE)["function"], "leak_here");
    let text = warning(&report);
    assert!(text.contains("deleted or replaced"), "{text}");
    assert!(text.contains("memtide symbolize"), "the remedy: {text}");
    assert!(!text.contains("build it with -g"), "it was: {text}");

    fs::copy(place.at("program"), &library).unwrap();
    let (_, report) = place.collect();
    let text = warning(&report);
    assert!(text.contains("deleted or replaced"), "{text}");
    assert!(text.contains("build-id"), "how that is known: {text}");

    fs::rename(&away, &library).unwrap();
    is_named(&place.collect().1, "target");
}

#[test]
fn processes_of_another_pid_namespace_are_counted_and_named() {
    if !can_unshare(&["--fork", "--pid"]) || !can_open_deleted() {
        return;
    }
    let place = Place::new();
    let arguments = [
        "./program",
        "./libleak.so",
        "2",
        "./program",
        "./libleak.so",
    ];
    let (_, report) = place.run(&[&["unshare", "--fork", "--pid"], &arguments[..]].concat());
    is_named(&report, "others");
    let lost = &report["allocations"]["lost"];
    assert_eq!(lost["processes"], 0, "{lost}");
}

#[test]
fn the_same_number_in_two_pid_namespaces_is_two_processes() {
    if !can_unshare(&["--fork", "--pid"]) {
        return;
    }
    let place = Place::new();
    // Both are number 1 where they are; the second begins while the first runs.
    let script =
        "for i in 1 2; do unshare --fork --pid ./program ./libleak.so 2 & sleep 0.5; done; wait";
    let (_, report) = place.run(&["sh", "-c", script]);
    for blocks in [2 * HERE, 2 * IN_LIBRARY] {
        leaf(&report, "others", blocks);
    }
}

#[test]
fn a_program_that_only_its_own_mount_namespace_has_is_named() {
    if !can_unshare(&["--mount"]) {
        return;
    }
    let place = Place::new();
    for folder in ["real", "seen"] {
        fs::create_dir(place.at(folder)).unwrap();
    }
    for file in ["program", "libleak.so"] {
        fs::rename(place.at(file), place.at("real").join(file)).unwrap();
    }
    // Lines are in a file of their own, which is there alone, too.
    let tool = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let output = command
            .current_dir(place.at("real"))
            .args(arguments)
            .output();
        let output = output.expect("binutils are installed");
        assert!(output.status.success(), "{}", err(&output));
    };
    tool(
        "objcopy",
        &["--only-keep-debug", "program", "program.debug"],
    );
    tool("strip", &["program"]);
    tool("objcopy", &["--add-gnu-debuglink=program.debug", "program"]);
    let script = "mount --bind real seen && cd seen && exec ./program ./libleak.so 2";
    let (_, report) = place.run(&["unshare", "--mount", "sh", "-c", script]);
    let module = leaf(&report, "target", HERE)["module"].clone();
    assert_eq!(module, path(&place, "seen/program"));
    is_named(&report, "target");
}

fn path(place: &Place, name: &str) -> String {
    let folder = fs::canonicalize(place.0.path()).unwrap();
    folder.join(Path::new(name)).to_str().unwrap().to_owned()
}

#[test]
fn settings_that_were_not_understood_are_told() {
    let place = Place::new();
    let wrong = [("MEMTIDE_HEAP", "ful"), ("MEMTIDE_INTERVAL", "64KiB")];
    place.preload(&["./libleak.so", "0"], &wrong);
    let (output, report) = place.collect();
    assert_eq!(report["allocations"]["mode"], "sampled");
    for (name, _) in wrong {
        let text = report["target"]["unseen"].to_string() + &report["warnings"].to_string();
        assert!(text.contains(name), "{name}: {text}");
        assert!(err(&output).contains(name), "{}", err(&output));
    }
    let right = Place::new();
    let all = [("MEMTIDE_HEAP", "sampled"), ("MEMTIDE_INTERVAL", "65536")];
    right.preload(&["./libleak.so", "0"], &all);
    let (output, _) = right.collect();
    assert!(!err(&output).contains("MEMTIDE_"), "{}", err(&output));
}
