//! Which allocator and which language runtime a process uses, as its mappings and their files tell.
//!
//! A library that is mapped is known by its name; what was linked into the program is known by strings
//! that every build of it carries and needs, which survive `strip`: messages, names of its settings, the
//! magic of Go's build information. Nothing is run and nothing is written; the first 64 MiB of the
//! executable are read, once. What none of this tells is "unknown" and "none": nothing is guessed.

mod scan;
#[cfg(test)]
mod tests;

use std::path::Path;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Software {
    /// "glibc 2.36", "glibc" (static), "jemalloc", "gperftools tcmalloc", "tcmalloc" (Google's newer one),
    /// "mimalloc", "musl", "unknown".
    pub(crate) allocator: String,
    /// "none", "cpython 3.11", "jvm", "node", "v8", "go", "dotnet", ….
    pub(crate) runtime: String,
}

/// A library's base name, or the start of it, and the allocator that it is.
const ALLOCATORS: [(&str, &str); 7] = [
    ("libjemalloc", "jemalloc"),
    // Google's newer tcmalloc is linked in: only gperftools makes a library of that name.
    ("libtcmalloc", GPERFTOOLS),
    ("libmimalloc", "mimalloc"),
    ("libsnmalloc", "snmalloc"),
    ("libhoard", "hoard"),
    ("librpmalloc", "rpmalloc"),
    ("libscudo", "scudo"),
];

/// tcmalloc as gperftools has it.
const GPERFTOOLS: &str = "gperftools tcmalloc";

/// What tells of something that is linked into the program, written backwards: a program that holds these
/// strings as they are, as this one would, must not be taken for one that has them for use.
///
/// In the order of [`Linked`]: what jemalloc prints; a setting of gperftools (`system-alloc.cc`) and what
/// its older versions print; a line of the statistics of Google's tcmalloc; what mimalloc prints; a
/// tunable of glibc's malloc, which static programs have in their list; musl's message for no error, which
/// comes with `strerror`; the magic of Go's build information (`debug/buildinfo`).
const SIGNS_BACKWARDS: [&str; 8] = [
    " :>collamej<",
    "TRATS_MEMVED_COLLAMCT",
    "colla egral :collamct",
    "sehcac_upc_rep_collamct RETEMARAP",
    " :gninraw :collamim",
    "tnuoc_ehcact.collam.cbilg",
    "noitamrofni rorre oN",
    ":fnidliub oG \u{ff}",
];

/// A mapped file's base name, or the start of it, and the runtime that it is.
const RUNTIMES: [(&str, &str); 22] = [
    ("libjvm.so", "jvm"),
    ("libnode.so", "node"),
    ("node", "node"),
    ("deno", "deno"),
    ("bun", "bun"),
    ("electron", "v8"),
    ("chrome", "v8"),
    ("chromium", "v8"),
    ("libv8.so", "v8"),
    ("libpypy", "pypy"),
    ("pypy", "pypy"),
    ("libjulia.so", "julia"),
    ("libruby", "ruby"),
    ("ruby", "ruby"),
    ("php-fpm", "php"),
    ("php", "php"),
    ("libperl.so", "perl"),
    ("perl", "perl"),
    ("beam.smp", "erlang"),
    ("libcoreclr.so", "dotnet"),
    ("libmonosgen", "mono"),
    ("mono-sgen", "mono"),
];

/// Names that runtimes give to their own mappings (`PR_SET_VMA_ANON_NAME`, memfd), where a program has the
/// runtime linked in.
const OWN_MAPPINGS: [(&[u8], &str); 2] = [(b"[anon:v8]", "v8"), (b"/memfd:doublemapper", "dotnet")];

/// Where the Go runtime puts its first heap arena on 64-bit machines (runtime/malloc.go).
const GO_FIRST_ARENA: u64 = 0xc0_0000_0000;

/// What is known from one walk over the mappings.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clues {
    /// Paths of mapped files, each once.
    files: Vec<String>,
    go_arena: bool,
    /// The runtime whose own mappings were seen.
    own: Option<&'static str>,
}

/// What the executable has linked in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Linked {
    allocator: Option<&'static str>,
    glibc: bool,
    musl: bool,
    go: bool,
}

impl Clues {
    /// Notes one mapping.
    pub(crate) fn note(&mut self, start: u64, name: &[u8]) {
        self.go_arena |= start == GO_FIRST_ARENA;
        let own = (OWN_MAPPINGS.iter()).find(|(prefix, _)| name.starts_with(prefix));
        self.own = self.own.or(own.map(|(_, runtime)| *runtime));
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
        let linked = Linked::of(exe);
        let runtime = self.runtime(exe_name, linked);
        // CPython carries mimalloc from 3.13 on, and uses it only when it is told to.
        let carried = runtime.starts_with("cpython") && linked.allocator == Some("mimalloc");
        let linked = Linked {
            allocator: linked.allocator.filter(|_| !carried),
            ..linked
        };
        Software {
            allocator: self.allocator(linked, root),
            runtime,
        }
    }

    fn base_names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|path| base_name(path))
    }

    fn allocator(&self, linked: Linked, root: &Path) -> String {
        let known = |name: &str| {
            ALLOCATORS
                .iter()
                .find(|(prefix, _)| name.starts_with(prefix))
        };
        if let Some((_, allocator)) = self.base_names().find_map(known) {
            return (*allocator).to_owned();
        }
        if let Some(allocator) = linked.allocator {
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
        // No C library is mapped: one of these is in the program, or none (Go).
        match linked {
            Linked { glibc: true, .. } => "glibc",
            Linked { musl: true, .. } => "musl",
            _ => "unknown",
        }
        .to_owned()
    }

    fn runtime(&self, exe_name: &str, linked: Linked) -> String {
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
        match self.own {
            Some(runtime) => runtime,
            None if self.go_arena || linked.go => "go",
            None => "none",
        }
        .to_owned()
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

impl Linked {
    /// Of an executable; nothing of what cannot be read.
    fn of(exe: &Path) -> Self {
        let signs = SIGNS_BACKWARDS.map(forwards);
        let [
            jemalloc,
            setting,
            message,
            google,
            mimalloc,
            glibc,
            musl,
            go,
        ] = scan::found(exe, &signs);
        let allocator = [
            (jemalloc, "jemalloc"),
            (google, "tcmalloc"),
            (setting || message, GPERFTOOLS),
            (mimalloc, "mimalloc"),
        ];
        Self {
            allocator: (allocator.iter())
                .find(|(found, _)| *found)
                .map(|(_, allocator)| *allocator),
            glibc,
            musl,
            go,
        }
    }
}

/// A sign as it stands in files. Each character is one byte there.
fn forwards(sign: &str) -> Vec<u8> {
    // Hidden from the compiler, which could turn them round beforehand.
    let sign = std::hint::black_box(sign);
    (sign.chars().rev())
        .filter_map(|character| u8::try_from(character).ok())
        .collect()
}

/// "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36." stands in every glibc.
fn glibc_version(libc: &Path) -> Option<String> {
    let after = scan::behind(libc, b"GNU C Library (", 160)?;
    let text = String::from_utf8_lossy(&after);
    let version = text.split("release version ").nth(1)?;
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    Some(version.get(..end)?.trim_end_matches('.').to_owned()).filter(|v| !v.is_empty())
}
