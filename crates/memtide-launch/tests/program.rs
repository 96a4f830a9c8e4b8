//! Which programs can be started, and which of them recorded.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_launch::{ErrorKind, Refusal, inspect_program, resolve};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use support::{NOTHING, compile, file};

fn refusal(path: &Path) -> Option<Refusal> {
    inspect_program(path).unwrap().refusal
}

/// The first 20 bytes of an ELF file, and nothing after them.
fn elf_head(class: u8, order: u8, machine: u8) -> Vec<u8> {
    let mut bytes = vec![0_u8; 64];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, order, 1]);
    bytes[16] = 2;
    let at = if order == 2 { 19 } else { 18 };
    bytes[at] = machine;
    bytes
}

/// The loader that this very test runs under.
fn loader() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("/ld-linux"));
    PathBuf::from(line.unwrap().split_whitespace().last().unwrap())
}

#[test]
fn a_dynamic_program_can_be_recorded_and_so_can_the_loader() {
    let program = inspect_program(Path::new("/bin/ls")).unwrap();
    assert_eq!(program.refusal, None);
    assert_eq!(program.runs, Path::new("/bin/ls"));
    assert_eq!(refusal(&loader()), None);
}

#[test]
fn what_the_loader_would_not_preload_into_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (name, flag) in [("static", "-static"), ("static-pie", "-static-pie")] {
        let program = compile(NOTHING, &at(name), &[flag]);
        assert_eq!(refusal(&program), Some(Refusal::Static), "{flag}");
    }
    let start = "void _start(void) { __asm__(\"mov $60, %eax; xor %edi, %edi; syscall\"); }\n";
    let bare = compile(
        start,
        &at("bare"),
        &[
            "-nostdlib",
            "-pie",
            "-Wl,--dynamic-linker=/lib64/ld-linux-x86-64.so.2",
        ],
    );
    assert_eq!(refusal(&bare), Some(Refusal::Static), "no library at all");
    let musl = ["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"];
    assert_eq!(
        refusal(&compile(NOTHING, &at("musl"), &musl)),
        Some(Refusal::Musl)
    );
    let other = ["-Wl,--dynamic-linker=/system/bin/linker64"];
    let linker = PathBuf::from("/system/bin/linker64");
    assert_eq!(
        refusal(&compile(NOTHING, &at("other"), &other)),
        Some(Refusal::OtherLoader(linker))
    );
    let machines = [
        (elf_head(1, 1, 3), Refusal::Bits32),
        (elf_head(1, 1, 62), Refusal::Bits32),
        (elf_head(2, 2, 22), Refusal::OtherMachine(22)),
    ];
    for (index, (head, expected)) in machines.into_iter().enumerate() {
        let program = file(&at(&format!("machine-{index}")), &head, 0o755);
        assert_eq!(refusal(&program), Some(expected));
    }
    let mut riscv = fs::read("/bin/true").unwrap();
    riscv[18] = 243;
    let riscv = file(&at("riscv"), &riscv, 0o755);
    assert_eq!(refusal(&riscv), Some(Refusal::OtherMachine(243)));
}

#[test]
fn what_gains_privileges_is_refused() {
    if !rustix::process::getuid().is_root() {
        eprintln!("needs root, to give a file away");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let copy = |name: &str, owner: (u32, u32), mode: u32| {
        let path = dir.path().join(name);
        fs::copy("/bin/true", &path).unwrap();
        chown(&path, Some(owner.0), Some(owner.1)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let cases = [
        ("user", (65534, 65534), 0o4755, true),
        ("group", (0, 65534), 0o2755, true),
        // Locking of records, in the old days; no change of group.
        ("no-run", (0, 65534), 0o2745, false),
        // Ours already: nothing is gained.
        ("own", (0, 0), 0o6755, false),
        ("plain", (65534, 65534), 0o755, false),
    ];
    for (name, owner, mode, is_refused) in cases {
        let expected = is_refused.then_some(Refusal::Setuid);
        assert_eq!(refusal(&copy(name, owner, mode)), expected, "{name}");
    }
}

#[test]
fn a_script_is_what_its_interpreter_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let shell = inspect_program(&file(&at("sh"), b"#!/bin/sh -e\ntrue\n", 0o755)).unwrap();
    assert_eq!(
        (shell.runs.as_path(), shell.refusal),
        (Path::new("/bin/sh"), None)
    );
    assert_eq!(shell.path, at("sh"));
    let bare = inspect_program(&file(&at("bare"), b"true\n", 0o755)).unwrap();
    assert_eq!(bare.runs, Path::new("/bin/sh"));
    let fixed = compile(NOTHING, &at("fixed"), &["-static"]);
    let first = format!("#!{}\n", fixed.display());
    let script = file(&at("of-static"), first.as_bytes(), 0o755);
    assert_eq!(refusal(&script), Some(Refusal::Static));
    let missing = file(&at("missing"), b"#!/nonexistent/python\n", 0o755);
    let error = inspect_program(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProgramNotFound);
    assert!(error.to_string().contains("/nonexistent/python"), "{error}");
    let own = at("loop");
    file(&own, format!("#!{}\n", own.display()).as_bytes(), 0o755);
    assert_eq!(
        inspect_program(&own).unwrap_err().kind(),
        ErrorKind::ProgramNotRunnable
    );
}

#[test]
fn programs_are_found_as_a_shell_finds_them() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |name: &OsStr| resolve(name).unwrap_err().kind();
    assert_eq!(
        kind(OsStr::new("no-such-program-x1y2")),
        ErrorKind::ProgramNotFound
    );
    assert_eq!(kind(OsStr::new("")), ErrorKind::ProgramNotFound);
    assert_eq!(
        kind(OsStr::new("/nonexistent/a")),
        ErrorKind::ProgramNotFound
    );
    assert_eq!(
        kind(OsStr::new("/etc/passwd")),
        ErrorKind::ProgramNotRunnable
    );
    assert_eq!(
        kind(OsStr::new("/etc/passwd/a")),
        ErrorKind::ProgramNotRunnable
    );
    assert_eq!(kind(dir.path().as_os_str()), ErrorKind::ProgramNotRunnable);
    let link = dir.path().join("link");
    symlink("/nonexistent", &link).unwrap();
    assert_eq!(kind(link.as_os_str()), ErrorKind::ProgramNotFound);
    assert!(resolve(OsStr::new("true")).unwrap().ends_with("true"));
    assert_eq!(
        resolve(OsStr::new("/bin/true")).unwrap(),
        Path::new("/bin/true")
    );
}

#[test]
fn every_refusal_says_what_would_help() {
    let all = [
        Refusal::Static,
        Refusal::Musl,
        Refusal::OtherLoader("/l".into()),
        Refusal::Setuid,
        Refusal::Capabilities,
        Refusal::Bits32,
    ];
    for refusal in all {
        assert!(refusal.to_string().contains("; "), "{refusal}");
    }
}
