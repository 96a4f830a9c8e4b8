//! Which allocator and which language runtime a process uses, as its mapped files tell.
//!
//! A library that is mapped is known by its name; an allocator that was linked into the program is
//! known by the messages that every build of it carries, which survive `strip`. Nothing is run and
//! nothing is written; at most [`SCAN_LIMIT`] bytes of a file are read, once.

use memchr::memmem;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// How much of an executable is searched for an allocator's messages.
const SCAN_LIMIT: usize = 64 << 20;
const CHUNK: usize = 256 << 10;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Software {
    /// "glibc 2.36", "jemalloc", "tcmalloc", "mimalloc", "musl", "unknown".
    pub(crate) allocator: String,
    /// "none", "cpython 3.11", "jvm", "node", "go", ….
    pub(crate) runtime: String,
}

/// A library's base name, or the start of it, and the allocator that it is.
const ALLOCATORS: [(&str, &str); 7] = [
    ("libjemalloc", "jemalloc"),
    ("libtcmalloc", "tcmalloc"),
    ("libmimalloc", "mimalloc"),
    ("libsnmalloc", "snmalloc"),
    ("libhoard", "hoard"),
    ("librpmalloc", "rpmalloc"),
    ("libscudo", "scudo"),
];

/// What a linked-in allocator prints when something is wrong, written backwards: a program that holds
/// these lines as they are, as this one would, must not be taken for one with that allocator.
const MESSAGES_BACKWARDS: [(&str, &str); 3] = [
    (" :>collamej<", "jemalloc"),
    ("colla egral :collamct", "tcmalloc"),
    (" :gninraw :collamim", "mimalloc"),
];

/// A mapped file's base name, or the start of it, and the runtime that it is.
const RUNTIMES: [(&str, &str); 12] = [
    ("libjvm.so", "jvm"),
    ("libnode.so", "node"),
    ("node", "node"),
    ("libruby", "ruby"),
    ("ruby", "ruby"),
    ("php-fpm", "php"),
    ("php", "php"),
    ("libperl.so", "perl"),
    ("perl", "perl"),
    ("beam.smp", "erlang"),
    ("libcoreclr.so", "dotnet"),
    ("libmonosgen", "mono"),
];

/// Where the Go runtime puts its first heap arena on 64-bit machines (runtime/malloc.go).
const GO_FIRST_ARENA: u64 = 0xc0_0000_0000;

/// What is known from one walk over the mappings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clues {
    /// Paths of mapped files, each once.
    files: Vec<String>,
    go_arena: bool,
}

impl Clues {
    /// Notes one mapping.
    pub(crate) fn note(&mut self, start: u64, name: &[u8]) {
        self.go_arena |= start == GO_FIRST_ARENA;
        if name.starts_with(b"/")
            && let Ok(path) = str::from_utf8(name)
            && self.files.last().is_none_or(|last| last != path)
            && !self.files.iter().any(|file| file == path)
        {
            self.files.push(path.to_owned());
        }
    }

    /// Judges. `exe` is where the program can be opened, `root` the target's root directory.
    pub(crate) fn judge(&self, exe: &Path, exe_name: &str, root: &Path) -> Software {
        Software {
            allocator: self.allocator(exe, root),
            runtime: self.runtime(exe_name),
        }
    }

    fn base_names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|path| base_name(path))
    }

    fn allocator(&self, exe: &Path, root: &Path) -> String {
        let known = |name: &str| {
            ALLOCATORS
                .iter()
                .find(|(prefix, _)| name.starts_with(prefix))
        };
        if let Some((_, allocator)) = self.base_names().find_map(known) {
            return (*allocator).to_owned();
        }
        if let Some(allocator) = linked_in(exe) {
            return allocator.to_owned();
        }
        let is_glibc = |path: &&String| {
            let name = base_name(path);
            name == "libc.so.6" || name.starts_with("libc-2.")
        };
        if let Some(path) = self.files.iter().find(is_glibc) {
            return match glibc_version(&root.join(path.trim_start_matches('/'))) {
                Some(version) => format!("glibc {version}"),
                None => "glibc".to_owned(),
            };
        }
        let is_musl = |name: &str| name.starts_with("ld-musl") || name.starts_with("libc.musl");
        if self.base_names().any(is_musl) {
            return "musl".to_owned();
        }
        "unknown".to_owned()
    }

    fn runtime(&self, exe_name: &str) -> String {
        let names = || std::iter::once(exe_name).chain(self.base_names());
        if let Some(version) = names().find_map(python_version) {
            return format!("cpython {version}").trim_end().to_owned();
        }
        let known = |name: &str| {
            RUNTIMES.iter().find(|(prefix, _)| {
                // The names of libraries end in versions; those of programs are exact but for
                // digits: `ruby3.1`, `php8.2`, and not `nodemon`.
                name.strip_prefix(prefix).is_some_and(|rest| {
                    prefix.starts_with("lib")
                        || rest.chars().all(|c| c.is_ascii_digit() || c == '.')
                })
            })
        };
        let candidates =
            || std::iter::once(exe_name).chain(self.base_names().filter(|n| n.starts_with("lib")));
        if let Some((_, runtime)) = candidates().find_map(known) {
            return (*runtime).to_owned();
        }
        if self.go_arena {
            "go".to_owned()
        } else {
            "none".to_owned()
        }
    }
}

/// `python3.11` and `libpython3.11.so.1.0` are 3.11; plain `python3` is an empty version.
fn python_version(name: &str) -> Option<&str> {
    let rest = name
        .strip_prefix("libpython")
        .or_else(|| name.strip_prefix("python"))?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (version, after) = rest.split_at(end);
    let fits = after.is_empty() || after.starts_with("so") || after.starts_with('d');
    fits.then(|| version.trim_end_matches('.'))
}

fn base_name(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

fn linked_in(exe: &Path) -> Option<&'static str> {
    let needles = MESSAGES_BACKWARDS.map(|(message, _)| {
        // Hidden from the compiler, which could turn them round beforehand.
        std::hint::black_box(message)
            .bytes()
            .rev()
            .collect::<Vec<u8>>()
    });
    let needles: Vec<&[u8]> = needles.iter().map(Vec::as_slice).collect();
    let (which, _) = search(exe, &needles, 0)?;
    MESSAGES_BACKWARDS
        .get(which)
        .map(|(_, allocator)| *allocator)
}

/// "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36." stands in every glibc.
fn glibc_version(libc: &Path) -> Option<String> {
    let (_, after) = search(libc, &[b"GNU C Library ("], 160)?;
    let text = String::from_utf8_lossy(&after);
    let version = text.split("release version ").nth(1)?;
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some(version.get(..end)?.trim_end_matches('.').to_owned()).filter(|v| !v.is_empty())
}

/// The first needle found in the file, with up to `context` bytes behind it.
fn search(path: &Path, needles: &[&[u8]], context: usize) -> Option<(usize, Vec<u8>)> {
    let mut file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let overlap = needles.iter().map(|needle| needle.len()).max().unwrap_or(0) + context;
    let mut buffer = Vec::with_capacity(CHUNK + overlap);
    let mut scanned = 0;
    while scanned < SCAN_LIMIT {
        let read = file
            .by_ref()
            .take(CHUNK as u64)
            .read_to_end(&mut buffer)
            .ok()?;
        for (which, needle) in needles.iter().enumerate() {
            if let Some(at) = memmem::find(&buffer, needle) {
                let after = buffer.get(at + needle.len()..).unwrap_or_default();
                if after.len() >= context || read == 0 {
                    return Some((which, after.get(..context).unwrap_or(after).to_vec()));
                }
            }
        }
        if read == 0 {
            return None;
        }
        scanned += read;
        // What may be the start of a needle, or of what belongs behind one, is kept.
        let keep = buffer.len().saturating_sub(overlap);
        buffer.drain(..keep);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

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
            "tcmalloc"
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
        ] {
            assert_eq!(judge(files, exe).runtime, runtime, "{files:?} {exe}");
        }
        let mut clues = Clues::default();
        clues.note(GO_FIRST_ARENA, b"");
        assert_eq!(clues.runtime("server"), "go");
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

    #[test]
    fn a_needle_across_two_chunks_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exe");
        let mut content = vec![b'x'; CHUNK - 5];
        content.extend_from_slice(b"<jemalloc>: and more");
        std::fs::write(&path, content).unwrap();
        assert_eq!(linked_in(&path), Some("jemalloc"));
        std::fs::write(&path, "nothing of the kind").unwrap();
        assert_eq!(linked_in(&path), None);
    }
}
