//! Truncated and damaged files: no panic, an answer for every address.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "helpers of tests count as outside them")]

mod support;

use memtide_symbols::{Limits, Locator, Resolver, demangle};
use proptest::prelude::{any, prop};
use proptest::test_runner::{Config, TestRunner};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{C, compile, module, resolve, run, sample};

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// A parser's panic would be caught by the thread's join; the hook sees it all the same.
fn count_panics() {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        PANICS.fetch_add(1, Ordering::SeqCst);
    }));
}

fn ask(path: &Path, svmas: &[u64]) {
    let resolver = Resolver::new(Locator::new([])).with_limits(Limits {
        section_bytes: 64 << 20,
    });
    let resolution = resolve(&resolver, module(path), svmas);
    for index in 0..svmas.len() {
        assert!(!resolution.frames(index).is_empty());
    }
}

fn program(dir: &Path, flags: &[&str]) -> (Vec<u8>, Vec<u64>) {
    let program = compile(dir, "program", C, flags);
    let svmas = sample(&program, 40);
    let packed = dir.join("mini.xz");
    let file = dir.join("mini");
    std::fs::copy(&program, &file).unwrap();
    run("xz", &[file.to_str().unwrap()]);
    let section = format!(".gnu_debugdata={}", packed.to_str().unwrap());
    run(
        "objcopy",
        &["--add-section", &section, program.to_str().unwrap()],
    );
    std::fs::remove_file(packed).unwrap();
    (std::fs::read(program).unwrap(), svmas)
}

#[test]
fn damage_never_panics() {
    let dir = tempfile::tempdir().unwrap();
    let builds: [&[&str]; 3] = [
        &["-g", "-O2"],
        &["-gdwarf-4", "-O1"],
        &["-g", "-O2", "-Wl,--compress-debug-sections=zlib"],
    ];
    let damaged = dir.path().join("damaged");
    for flags in builds {
        let (bytes, svmas) = program(dir.path(), flags);
        count_panics();
        for length in (0..bytes.len()).step_by(bytes.len() / 150) {
            std::fs::write(&damaged, &bytes[..length]).unwrap();
            ask(&damaged, &svmas);
        }
        let mut runner = TestRunner::new(Config {
            cases: 250,
            failure_persistence: None,
            ..Config::default()
        });
        let flips = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60);
        runner
            .run(&flips, |flips| {
                let mut bytes = bytes.clone();
                for (index, value) in flips {
                    let index = index.index(bytes.len());
                    bytes[index] = value;
                }
                std::fs::write(&damaged, &bytes).unwrap();
                ask(&damaged, &svmas);
                Ok(())
            })
            .unwrap();
        let _ = std::panic::take_hook();
        assert_eq!(PANICS.load(Ordering::SeqCst), 0, "{flags:?}");
    }
}

#[test]
fn a_fifo_and_a_directory_do_not_hold_it_up() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    run("mkfifo", &[fifo.to_str().unwrap()]);
    ask(&fifo, &[0x1000]);
    ask(dir.path(), &[0x1000]);
}

#[test]
fn a_section_above_the_limit_is_refused_and_the_symbols_still_answer() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path(), "program", C, &["-g", "-O2"]);
    let svmas = sample(&program, 3);
    let resolver = Resolver::new(Locator::new([])).with_limits(Limits {
        section_bytes: 2000,
    });
    let resolution = resolve(&resolver, module(&program), &svmas);
    assert!(resolution.modules()[0].refused[0].reason.contains("limit"));
    assert!(resolution.frames(0)[0].function.is_some());
}

#[test]
fn a_name_that_unfolds_without_end_is_left_as_it_is() {
    // Each substitution doubles what the one before it printed.
    let mut name = String::from("_Z1fSt4pairIiiE");
    for level in 0..30_u8 {
        let previous = char::from(if level < 10 {
            b'0' + level
        } else {
            b'A' + level - 10
        });
        write!(name, "St4pairIS{previous}_S{previous}_E").unwrap();
    }
    assert!(demangle(&name).len() <= 64 << 10);
    let deep = format!("_Z1f{}i", "P".repeat(100_000));
    assert!(demangle(&deep).len() <= 200_000);
}

/// A function of inlined calls nested so deep, as assembly: the smallest DWARF 4 that says it.
fn nested(dir: &Path, levels: usize) -> PathBuf {
    let unit = ".quad main; .quad .Lend_of_main - main";
    let source = format!(
        r#".text
        .globl main
        .type main, @function
        main: ret
        .Lend_of_main: .size main, . - main
        .section .note.GNU-stack, "", @progbits
        .section .debug_abbrev, "", @progbits
        .byte 1, 0x11, 1, 0x11, 1, 0x12, 7, 0, 0
        .byte 2, 0x2e, 1, 0x11, 1, 0x12, 7, 0, 0
        .byte 3, 0x1d, 1, 0, 0, 0
        .section .debug_info, "", @progbits
        .long .Lend - .Lbegin
        .Lbegin: .short 4
        .long .debug_abbrev
        .byte 8, 1; {unit}
        .byte 2; {unit}
        .fill {levels}, 1, 3
        .fill {levels}, 1, 0
        .byte 0, 0
        .Lend:
        "#
    );
    let file = dir.join("nested.s");
    let program = dir.join("nested");
    std::fs::write(&file, source).unwrap();
    run(
        "cc",
        &["-o", program.to_str().unwrap(), file.to_str().unwrap()],
    );
    program
}

#[test]
fn inlined_calls_nested_without_end_do_not_exhaust_the_stack() {
    let dir = tempfile::tempdir().unwrap();
    // Just within the bound the stack must suffice; far beyond it the file is refused.
    for (levels, is_refused) in [(512, false), (513, true), (200_000, true)] {
        let program = nested(dir.path(), levels);
        let main = support::functions(&program)
            .into_iter()
            .find(|(_, _, name)| name == "main")
            .unwrap();
        let resolution = resolve(
            &Resolver::new(Locator::new([])),
            module(&program),
            &[main.0],
        );
        let refused = &resolution.modules()[0].refused;
        assert_eq!(!refused.is_empty(), is_refused, "{levels}: {refused:?}");
        let outermost = resolution.frames(0).last().unwrap();
        assert_eq!(outermost.function.as_deref(), Some("main"), "{levels}");
    }
}
