//! Real programs on real allocators: what is found, what is refused, and what a process turns out to run on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_launch::allocator::{Bound, Files, Found, Variant, bound, caution, refusal};
use memtide_launch::{Error, ErrorKind, Launch, Launched, Program, inspect_program, resolve};
use rustix::process::Signal;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use support::{NOTHING, compile, file, library};

fn program(name: &str) -> Program {
    inspect_program(&resolve(OsStr::new(name)).unwrap()).unwrap()
}

fn find(variant: &str, program: &Program) -> Result<Found, Error> {
    Variant::parse(variant).unwrap().find(program)
}

/// Starts it on the allocator; asks what it runs on until it is loaded.
fn started(
    program: &Program,
    arguments: &[&str],
    found: &Found,
) -> (Launched, Result<Bound, Error>) {
    let mut launch = Launch::new(&program.path, arguments);
    let launched = launch
        .allocator(found)
        .own_group()
        .silent()
        .spawn(program)
        .unwrap();
    let since = Instant::now();
    loop {
        let answer = bound(launched.pid(), found, &Files::default());
        let not_yet = matches!(&answer, Err(error) if error.kind() == ErrorKind::NotYet);
        if !not_yet || since.elapsed() > Duration::from_secs(20) {
            return (launched, answer);
        }
    }
}

fn bound_of(program: &Program, arguments: &[&str], variant: &str) -> Result<Bound, Error> {
    let found = find(variant, program)?;
    let (mut launched, answer) = started(program, arguments, &found);
    launched.stop(Signal::TERM, Duration::from_secs(5)).unwrap();
    answer
}

/// Variants of all allocators, and how the name and the library of what they are bound to begin.
const VARIANTS: [(&str, &str, &str); 8] = [
    ("glibc", "glibc 2.", "libc.so.6"),
    (
        "glibc:arena_max=2,trim_threshold=128KiB,mmap_threshold=65536,hugetlb=0",
        "glibc 2.",
        "libc.so.6",
    ),
    ("tcmalloc", "tcmalloc 2.", "libtcmalloc"),
    (
        "tcmalloc:release_rate=10,aggressive_decommit=1",
        "tcmalloc 2.",
        "libtcmalloc",
    ),
    ("jemalloc", "jemalloc 5.", "libjemalloc.so.2"),
    (
        "jemalloc:dirty_decay_ms=1000,background_thread=true",
        "jemalloc 5.",
        "libjemalloc.so.2",
    ),
    ("mimalloc", "mimalloc ", "libmimalloc.so."),
    (
        "mimalloc:eager_commit=false",
        "mimalloc ",
        "libmimalloc.so.",
    ),
];

#[test]
fn programs_run_on_what_was_asked_for() {
    let interpreter = "/usr/bin/python3";
    let python = ["-c", "import time, threading; time.sleep(30)"];
    for (name, arguments) in [("sleep", &["30"][..]), (interpreter, &python)] {
        let program = program(name);
        assert_eq!(refusal(&program), None, "{name}");
        for (variant, allocator, library) in VARIANTS {
            let bound = bound_of(&program, arguments, variant).unwrap();
            assert!(
                bound.name.starts_with(allocator),
                "{name} on {variant}: {bound:?}"
            );
            let file = bound.library.file_name().unwrap().to_str().unwrap();
            assert!(file.starts_with(library), "{name} on {variant}: {bound:?}");
        }
    }
}

/// Each thread takes an arena of its own as long as there may be more; glibc itself says how many.
const ARENAS: &str = r"
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
static pthread_barrier_t all;
static void *work(void *unused) {
    free(malloc(100));
    pthread_barrier_wait(&all);
    return unused;
}
int main(void) {
    pthread_t threads[6];
    pthread_barrier_init(&all, 0, 6);
    for (int i = 0; i < 6; i++) pthread_create(&threads[i], 0, work, 0);
    for (int i = 0; i < 6; i++) pthread_join(threads[i], 0);
    return malloc_info(0, stdout);
}
";

#[test]
fn a_tunable_of_glibc_works() {
    let dir = tempfile::tempdir().unwrap();
    let source = format!("#include <stdio.h>\n{ARENAS}");
    let path = compile(&source, &dir.path().join("arenas"), &["-pthread"]);
    let program = inspect_program(&path).unwrap();
    let mut arenas = Vec::new();
    for variant in ["glibc:arena_max=1", "glibc:arena_max=3", "glibc"] {
        let said = dir.path().join("said");
        let mut launch = Launch::new(&path, [""; 0]);
        launch.allocator(&find(variant, &program).unwrap());
        launch.output_to(File::create(&said).unwrap());
        assert_eq!(
            launch.spawn(&program).unwrap().wait().unwrap().exit_code(),
            0
        );
        arenas.push(
            fs::read_to_string(&said)
                .unwrap()
                .matches("<heap nr")
                .count(),
        );
    }
    assert_eq!(arenas[..2], [1, 3]);
    assert!(arenas[2] > 3, "{arenas:?}");
}

/// Debian's redis-server names libjemalloc itself; it must run, and work, on each of them.
#[test]
fn a_service_with_an_allocator_of_its_own_runs_on_another() {
    let program = program("redis-server");
    assert_eq!(refusal(&program), None);
    let variants = [
        ("glibc", "glibc 2."),
        ("tcmalloc", "tcmalloc"),
        ("mimalloc", "mimalloc"),
        ("jemalloc", "jemalloc 5."),
    ];
    for (variant, allocator) in variants {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let port = port.to_string();
        let arguments = ["--port", &port, "--save", "", "--appendonly", "no"];
        let found = find(variant, &program).unwrap();
        let (mut launched, answer) = started(&program, &arguments, &found);
        let bound = answer.unwrap();
        assert!(bound.name.starts_with(allocator), "{variant}: {bound:?}");
        assert_eq!(asked(&port), "+OK\r\n$5\r\nworld\r\n", "{variant}");
        // It has written its title over its environment by now, and is believed.
        assert_eq!(
            memtide_launch::allocator::bound(launched.pid(), &found, &Files::default()).unwrap(),
            bound
        );
        let stopped = launched
            .stop(Signal::TERM, Duration::from_secs(10))
            .unwrap();
        assert_eq!(
            (stopped.ending.exit_code(), stopped.killed),
            (0, false),
            "{variant}"
        );
    }
}

fn asked(port: &str) -> String {
    let since = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(format!("127.0.0.1:{port}")) {
            Ok(stream) => break stream,
            Err(error) => assert!(since.elapsed() < Duration::from_secs(20), "{error}"),
        }
    };
    stream
        .write_all(b"SET hello world\r\nGET hello\r\n")
        .unwrap();
    let mut answer = vec![0; 16];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

/// A bump allocator, as small as one can be.
const OWN_MALLOC: &str = r"
#include <stddef.h>
static char heap[1 << 20];
static size_t used;
void *malloc(size_t size) { void *at = heap + used; used += (size + 31) & ~31; return at; }
void *calloc(size_t a, size_t b) { return malloc(a * b); }
void *realloc(void *at, size_t size) { (void)at; return malloc(size); }
void free(void *at) { (void)at; }
int posix_memalign(void **at, size_t a, size_t size) { (void)a; *at = malloc(size); return 0; }
void *aligned_alloc(size_t a, size_t size) { (void)a; return malloc(size); }
";
const SLEEPS: &str = "#include <unistd.h>\nint main(void) { sleep(30); return 0; }\n";

#[test]
fn programs_with_an_allocator_of_their_own_are_refused_before_and_after_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let own = format!("{OWN_MALLOC}{SLEEPS}");
    let hidden = "#include <stddef.h>\nvoid *je_malloc(size_t size) { return (void *)size; }\n";
    let hidden = format!("{hidden}{SLEEPS}");
    let cases = [
        (
            own.as_str(),
            "exported",
            &["-rdynamic"][..],
            "defines malloc itself",
        ),
        (&own, "hidden", &["-fvisibility=hidden"], "malloc"),
        (
            &hidden,
            "prefixed",
            &[],
            "has jemalloc linked in (je_malloc)",
        ),
    ];
    for (source, name, flags, says) in cases {
        let path = compile(source, &at(name), flags);
        let program = inspect_program(&path).unwrap();
        let why = refusal(&program).unwrap();
        assert!(
            why.contains(says) && why.contains("; build it"),
            "{name}: {why}"
        );
        // Behind a wrapper it is only seen when it runs.
        let script = format!("#!/bin/sh\nexec {}\n", path.display());
        let script = inspect_program(&file(&at(&format!("{name}.sh")), script.as_bytes(), 0o755));
        let script = script.unwrap();
        assert_eq!(refusal(&script), None);
        let found = find("jemalloc", &script).unwrap();
        let mut launch = Launch::new(&script.path, [""; 0]);
        let launched = launch.allocator(&found).own_group().spawn(&script).unwrap();
        wait_for_program(&launched, &path);
        let error = bound(launched.pid(), &found, &Files::default()).unwrap_err();
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

/// What jemalloc says of settings that it cannot read, kept though nobody calls it.
const MARK: &str = "const char *jemalloc_complaint = \"Invalid conf pair\";\n";

#[test]
fn allocators_are_known_by_what_they_say_where_symbols_were_stripped() {
    let dir = tempfile::tempdir().unwrap();
    let stripped = compile(
        &format!("{MARK}{SLEEPS}"),
        &dir.path().join("stripped"),
        &["-s"],
    );
    let why = refusal(&inspect_program(&stripped).unwrap()).unwrap();
    assert!(
        why.contains("has jemalloc linked in (Invalid conf pair)"),
        "{why}"
    );
    // One that is linked into a library serves that alone: the program can be compared, and it is said.
    let library = dir.path().join("libown.so");
    let source = format!("{MARK}void own_touch(void) {{}}\n");
    compile(&source, &library, &["-shared", "-fPIC", "-s"]);
    let source = format!(
        "void own_touch(void);\n{SLEEPS}__attribute__((constructor)) void up(void) {{ own_touch(); }}\n"
    );
    let library = library.display().to_string();
    let path = compile(&source, &dir.path().join("user"), &[&library]);
    let program = inspect_program(&path).unwrap();
    assert_eq!(refusal(&program), None);
    for variant in ["glibc", "jemalloc"] {
        let bound = bound_of(&program, &[], variant).unwrap();
        let [only] = bound.beside.as_slice() else {
            panic!("one library under {variant}: {:?}", bound.beside);
        };
        assert!(only.contains("libown.so has jemalloc linked in"), "{only}");
    }
    assert!(
        bound_of(&self::program("sleep"), &["60"], "jemalloc")
            .unwrap()
            .beside
            .is_empty()
    );
}

/// Until the process runs this file, and its loader is done.
fn wait_for_program(launched: &Launched, path: &Path) {
    let since = Instant::now();
    let exe = format!("/proc/{}/exe", launched.pid());
    while fs::read_link(&exe).unwrap() != fs::canonicalize(path).unwrap() {
        assert!(since.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
}

#[test]
fn static_programs_and_other_c_libraries_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = compile(SLEEPS, &dir.path().join("static"), &["-static"]);
    let why = refusal(&inspect_program(&path).unwrap()).unwrap();
    assert!(
        why.contains("linked statically") && why.contains("link it dynamically"),
        "{why}"
    );
    let musl = ["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"];
    let musl = compile(NOTHING, &dir.path().join("musl"), &musl);
    let why = refusal(&inspect_program(&musl).unwrap()).unwrap();
    assert!(why.contains("musl") && !why.contains("shim"), "{why}");
    // One that a wrapper starts.
    let script = format!("#!/bin/sh\nexec {}\n", path.display());
    let script = file(&dir.path().join("wrapper"), script.as_bytes(), 0o755);
    let script = inspect_program(&script).unwrap();
    let found = find("tcmalloc", &script).unwrap();
    let mut launch = Launch::new(&script.path, [""; 0]);
    let launched = launch.allocator(&found).own_group().spawn(&script).unwrap();
    wait_for_program(&launched, &path);
    let error = bound(launched.pid(), &found, &Files::default()).unwrap_err();
    assert!(error.to_string().contains("linked statically"), "{error}");
}

#[test]
fn what_gains_privileges_is_refused() {
    if !rustix::process::getuid().is_root() {
        eprintln!("needs root, to give a file away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("setuid");
    fs::copy("/bin/true", &path).unwrap();
    std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    file(&path, &fs::read("/bin/true").unwrap(), 0o4755);
    let why = refusal(&inspect_program(&path).unwrap()).unwrap();
    assert!(why.contains("set-user-ID"), "{why}");
}

#[test]
fn a_wrapper_that_clears_the_environment_is_found_out() {
    let env = program("env");
    let says = ["LD_PRELOAD did not reach it", "glibc 2."];
    // It is asked again and again, and may be seen before it has become what it starts.
    for (variant, says) in [
        ("jemalloc", &says[..]),
        ("glibc:arena_max=2", &["without GLIBC_TUNABLES"]),
    ] {
        let found = find(variant, &env).unwrap();
        let mut launch = Launch::new("env", ["-i", "A=1", "/bin/sleep", "30"]);
        let launched = launch.allocator(&found).own_group().spawn(&env).unwrap();
        wait_for_program(&launched, Path::new("/bin/sleep"));
        let error = bound(launched.pid(), &found, &Files::default())
            .unwrap_err()
            .to_string();
        for part in says {
            assert!(error.contains(part), "{part:?} in: {error}");
        }
    }
}

#[test]
fn any_library_with_a_malloc_is_an_allocator_and_no_other_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let sleep = program("sleep");
    let own = library(OWN_MALLOC, &at("libbump.so"));
    let bound = bound_of(&sleep, &["30"], &format!("{}:BUMP=1", own.display())).unwrap();
    assert_eq!((bound.name.as_str(), bound.library), ("libbump.so", own));
    let part = "#include <stddef.h>\nvoid *malloc(size_t size) { return 0; }\n";
    let part = library(part, &at("libpart.so"));
    let plain = library("int nothing;\n", &at("libplain.so"));
    let spaced = library(OWN_MALLOC, &at("lib spaced.so"));
    let text = file(&at("libtext.so"), b"no library", 0o644);
    let cases = [
        (part.as_path(), "does not define calloc"),
        (&plain, "does not define malloc"),
        (&spaced, "copy it elsewhere"),
        (&text, "no 64-bit library"),
        (Path::new("/nonexistent/libx.so"), "No such file"),
    ];
    for (path, says) in cases {
        let error = find(path.to_str().unwrap(), &sleep).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Allocator);
        let error = error.to_string();
        assert!(
            error.contains(says) && error.contains(path.to_str().unwrap()),
            "{error}"
        );
    }
}

#[test]
fn settings_that_the_library_does_not_take_are_refused() {
    let sleep = program("sleep");
    let cases = [
        ("jemalloc:narenas=many", "Invalid conf value: narenas:many"),
        ("jemalloc:slab_sizes=x", "Invalid settings for slab_sizes"),
    ];
    for (variant, says) in cases {
        let error = find(variant, &sleep).unwrap_err().to_string();
        assert!(error.contains(says), "{variant}: {error}");
    }
    // One of versions 2.1 and later, and one of 2.0: no library knows both.
    let known = [
        "mimalloc:purge_delay=0",
        "mimalloc:segment_decommit_delay=0",
    ];
    let known = known.map(|variant| find(variant, &sleep));
    let refused: Vec<String> = known
        .into_iter()
        .filter_map(Result::err)
        .map(|e| e.to_string())
        .collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0].contains("does not know the setting"),
        "{refused:?}"
    );
}

#[test]
fn functions_of_one_allocator_alone_bind_a_program_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let source = "#include <stddef.h>\nvoid *mallocx(size_t, int);\n\
        int main(void) { return !mallocx(100, 0); }\n";
    let path = compile(source, &dir.path().join("x"), &["-l:libjemalloc.so.2"]);
    let program = inspect_program(&path).unwrap();
    let error = find("glibc", &program).unwrap_err().to_string();
    assert!(error.contains("calls mallocx of jemalloc"), "{error}");
    assert!(find("jemalloc", &program).is_ok());
}

/// A library before which nothing of ours comes: named by `/etc/ld.so.preload`, or as here by a wrapper.
#[test]
fn another_allocator_that_comes_first_is_named() {
    let script = "export LD_PRELOAD=libmimalloc.so.2:$LD_PRELOAD; exec sleep 30";
    let sh = program("sh");
    let found = find("jemalloc", &sh).unwrap();
    let mut launch = Launch::new("sh", ["-c", script]);
    let launched = launch.allocator(&found).own_group().spawn(&sh).unwrap();
    wait_for_program(&launched, &resolve(OsStr::new("sleep")).unwrap());
    let error = bound(launched.pid(), &found, &Files::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("runs on mimalloc") && error.contains("comes before it"),
        "{error}"
    );
    let found = find("glibc", &sh).unwrap();
    let mut launch = Launch::new("sh", ["-c", script]);
    let launched = launch.allocator(&found).own_group().spawn(&sh).unwrap();
    wait_for_program(&launched, &resolve(OsStr::new("sleep")).unwrap());
    let error = bound(launched.pid(), &found, &Files::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("runs on mimalloc") && error.contains("glibc's own"),
        "{error}"
    );
}

#[test]
fn who_has_ended_cannot_be_asked() {
    let program = program("true");
    let found = find("glibc", &program).unwrap();
    let mut launched = Launch::new("true", [""; 0]).spawn(&program).unwrap();
    launched.wait_for(Duration::MAX).unwrap().unwrap();
    let error = bound(launched.pid(), &found, &Files::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::System);
    assert!(
        error.to_string().contains("cannot verify the allocator"),
        "{error}"
    );
}

#[test]
fn runtimes_with_heaps_of_their_own_are_pointed_out() {
    assert_eq!(caution(&program("sleep")), None);
    let java = Program {
        path: "/usr/bin/java".into(),
        runs: "/usr/bin/java".into(),
        refusal: None,
    };
    assert!(caution(&java).unwrap().contains("virtual machine"));
    let python = Program {
        path: "/srv/shop/app.py".into(),
        runs: "/usr/bin/python3.11".into(),
        refusal: None,
    };
    let said = caution(&python).unwrap();
    assert!(
        said.starts_with("python3.11 takes objects of up to 512 bytes"),
        "{said}"
    );
    assert!(said.contains("PYTHONMALLOC=malloc"), "{said}");
}
