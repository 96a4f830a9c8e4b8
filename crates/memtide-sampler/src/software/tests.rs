//! Software is told from files made by hand and, where compilers are here, from real programs.

use super::*;
use std::path::PathBuf;
use std::process::Command;

fn judge(files: &[&str], exe: &str) -> Software {
    let mut clues = Clues::default();
    for file in files {
        clues.note(0x1000, file.as_bytes());
    }
    clues.judge(Path::new("/nonexistent"), exe, Path::new("/nonexistent"))
}

#[test]
fn a_preloaded_allocator_wins_over_the_libc() {
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    assert_eq!(judge(&[libc], "x").allocator, "glibc");
    assert_eq!(
        judge(&[libc, "/usr/lib/libjemalloc.so.2"], "x").allocator,
        "jemalloc"
    );
    assert_eq!(
        judge(&[libc, "/opt/libtcmalloc_minimal.so.4"], "x").allocator,
        "gperftools tcmalloc"
    );
    assert_eq!(judge(&["/lib/ld-musl-x86_64.so.1"], "x").allocator, "musl");
    assert_eq!(judge(&["/lib/libc-2.17.so"], "x").allocator, "glibc");
    assert_eq!(judge(&[], "x").allocator, "unknown");
}

#[test]
fn runtimes_are_known_by_program_or_library() {
    for (files, exe, runtime) in [
        (&["/usr/bin/python3.11"][..], "python3.11", "cpython 3.11"),
        (&["/usr/lib/libpython3.9.so.1.0"], "uwsgi", "cpython 3.9"),
        (&["/usr/lib/jvm/lib/server/libjvm.so"], "java", "jvm"),
        (&[], "node", "node"),
        (&[], "nodemon", "none"),
        (&["/usr/lib/libruby-3.1.so.3.1"], "puma", "ruby"),
        (&[], "php-fpm8.2", "php"),
        (&[], "php8.2", "php"),
        (&["/usr/bin/pythonista"], "pythonista", "none"),
        (&["[anon:v8]"], "editor", "v8"),
        (&["[anon:v8]"], "node", "node"),
        (&["/memfd:doublemapper (deleted)"], "service", "dotnet"),
        (&["/usr/share/dotnet/libcoreclr.so"], "dotnet", "dotnet"),
        (&[], "deno", "deno"),
        (&[], "denotes", "none"),
    ] {
        assert_eq!(judge(files, exe).runtime, runtime, "{files:?} {exe}");
    }
    let mut clues = Clues::default();
    clues.note(GO_FIRST_ARENA, b"");
    assert_eq!(clues.runtime("server", Linked::default()), "go");
}

/// The C library that this test itself runs on names its own version by confstr's file.
#[test]
fn the_running_libc_tells_its_version() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let path = maps.lines().find_map(|line| {
        let path = line.split_whitespace().nth(5)?;
        path.ends_with("/libc.so.6").then(|| path.to_owned())
    });
    let Some(path) = path else {
        println!("skipped: this test is linked statically");
        return;
    };
    let ldd = std::process::Command::new("ldd")
        .arg("--version")
        .output()
        .unwrap();
    let first = String::from_utf8_lossy(&ldd.stdout)
        .lines()
        .next()
        .unwrap()
        .to_owned();
    let expected = first.split_whitespace().last().unwrap().to_owned();
    assert_eq!(glibc_version(Path::new(&path)), Some(expected));
}

/// A file with this content.
fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("exe");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

fn software(exe: &Path, files: &[&str]) -> Software {
    let mut clues = Clues::default();
    for file in files {
        clues.note(0x1000, file.as_bytes());
    }
    clues.judge(exe, "server", Path::new("/nonexistent"))
}

#[test]
fn a_needle_across_two_windows_is_found_with_what_follows() {
    let mut content = vec![b'x'; scan::CHUNK - 5];
    content.extend_from_slice(b"<jemalloc>: and more");
    let (_dir, path) = file(&content);
    assert_eq!(Linked::of(&path).allocator, Some("jemalloc"));
    assert_eq!(
        scan::behind(&path, b"<jemalloc>:", 4),
        Some(b" and".to_vec())
    );
    assert_eq!(
        scan::behind(&path, b"<jemalloc>:", 99),
        Some(b" and more".to_vec())
    );
    let (_dir, path) = file(b"nothing of the kind");
    assert_eq!(Linked::of(&path), Linked::default());
    assert_eq!(scan::behind(&path, b"<jemalloc>:", 4), None);
    assert_eq!(
        Linked::of(Path::new("/dev/zero")),
        Linked::default(),
        "no plain file"
    );
}

#[test]
fn what_is_linked_in_is_told_by_what_it_carries() {
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    for (content, files, allocator, runtime) in [
        (
            &b"...TCMALLOC_DEVMEM_START..."[..],
            &[libc][..],
            "gperftools tcmalloc",
            "none",
        ),
        (
            b"PARAMETER tcmalloc_per_cpu_caches %d",
            &[libc],
            "tcmalloc",
            "none",
        ),
        (b"mimalloc: warning: ", &[libc], "mimalloc", "none"),
        (
            b"mimalloc: warning: ",
            &[libc, "/usr/lib/libpython3.13.so.1.0"],
            "glibc",
            "cpython 3.13",
        ),
        (b"\xff Go buildinf:\x08\x02", &[], "unknown", "go"),
        (b"\xff Go buildinf:\x08\x02", &[libc], "glibc", "go"),
        (b"No error information", &[], "musl", "none"),
        // Its own name of a message of musl's makes no musl of a program on glibc.
        (b"No error information", &[libc], "glibc", "none"),
        (b"glibc.malloc.tcache_count", &[], "glibc", "none"),
    ] {
        let (_dir, path) = file(content);
        let expected = Software {
            allocator: allocator.to_owned(),
            runtime: runtime.to_owned(),
        };
        assert_eq!(
            software(&path, files),
            expected,
            "{:?}",
            content.escape_ascii().to_string()
        );
    }
}

/// Static programs of both C libraries, stripped; skipped where a compiler is missing.
#[test]
fn static_programs_tell_their_c_library() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("program.c");
    std::fs::write(
        &source,
        "#include <stdio.h>\n#include <string.h>\n#include <stdlib.h>\n#include <errno.h>\nint main(void) { puts(strerror(errno)); return malloc(9) == 0; }\n",
    )
    .unwrap();
    for (compiler, allocator) in [("cc", "glibc"), ("musl-gcc", "musl")] {
        let program = dir.path().join(compiler);
        let built = Command::new(compiler)
            .args(["-static", "-s", "-o"])
            .args([&program, &source])
            .output();
        if !built.is_ok_and(|output| output.status.success()) {
            println!("skipped: {compiler} makes no static programs here");
            continue;
        }
        assert_eq!(software(&program, &[]).allocator, allocator, "{compiler}");
    }
}

/// The libraries of this machine carry the signs that programs with them linked in are known by.
#[test]
fn libraries_carry_the_signs_of_what_is_linked_in() {
    for (name, allocator) in [
        ("libjemalloc.so.2", "jemalloc"),
        ("libtcmalloc_minimal.so.4", "gperftools tcmalloc"),
        ("libmimalloc.so.2", "mimalloc"),
    ] {
        let path = Path::new("/usr/lib/x86_64-linux-gnu").join(name);
        if !path.exists() {
            println!("skipped: {name} is not installed");
            continue;
        }
        assert_eq!(Linked::of(&path).allocator, Some(allocator), "{name}");
    }
}
