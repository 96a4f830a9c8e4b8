//! Programs that no preloaded allocator would serve, told before anything is started.

use super::image::Image;
use crate::program::{Program, Refusal};

/// Starts of the names of libraries that take over allocation for a checker, and will not share it.
const CHECKERS: [&str; 4] = ["libasan.so", "libtsan.so", "libmsan.so", "liblsan.so"];
/// Programs that are runtimes with a heap of their own, by the start of their names.
const RUNTIMES: [(&str, &str); 8] = [
    (
        "java",
        "Java's objects lie in the heap of its virtual machine",
    ),
    ("node", "JavaScript objects lie in the heap of V8"),
    ("deno", "JavaScript objects lie in the heap of V8"),
    (
        "bun",
        "JavaScript objects lie in the heap of JavaScriptCore",
    ),
    ("dotnet", ".NET's objects lie in the heap of its runtime"),
    ("pypy", "PyPy's objects lie in the heap of its collector"),
    (
        "php",
        "PHP's values lie in the heap of Zend's own allocator",
    ),
    (
        "beam.smp",
        "Erlang's terms lie in the heaps of its own allocators",
    ),
];

/// `CPython`'s own allocator (pymalloc; the Python/C API manual, "Memory Management"), by the start of the program's name
/// and by the variable that turns it off.
const CPYTHON: &str = "python";
const PYTHON_MALLOC: &str = "PYTHONMALLOC";

/// Why `program` cannot be run on another allocator, whichever it is; `None` where it can. A sentence
/// fragment that names the program and says what would help.
///
/// Of a script nothing is said but what holds for its interpreter's start: what it executes in its place is
/// seen by [`super::bound`].
pub fn refusal(program: &Program) -> Option<String> {
    let name = program.runs.display();
    if let Some(refusal) = &program.refusal {
        return Some(format!("{name}: {}", of_loader(refusal)));
    }
    let (image, _) = Image::open(&program.runs).ok()?;
    if let Some(checker) = (image.needed.iter())
        .find(|library| CHECKERS.iter().any(|start| library.starts_with(start)))
    {
        return Some(format!(
            "{name} is built with a sanitizer ({checker}), which has to allocate itself; build it without"
        ));
    }
    let is_script = program.runs != program.path;
    linked_in(&image)
        .filter(|_| !is_script)
        .map(|why| format!("{name} {why}"))
}

/// What is wrong with a program that has an allocator linked in: a predicate without subject.
pub(super) fn linked_in(image: &Image) -> Option<String> {
    let (function, allocator) = image.linked_in?;
    let what = if image.is_allocator() {
        "defines malloc itself, which comes before every library".to_owned()
    } else {
        format!("has {allocator} linked in ({function}), which no library can replace")
    };
    Some(format!(
        "{what}; build it to take malloc from the C library (redis: make MALLOC=libc; Rust: without \
         #[global_allocator])"
    ))
}

fn of_loader(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Musl => {
            "it runs on musl, and the allocators here are for glibc; build it for glibc".to_owned()
        }
        Refusal::Bits32 => {
            "it is a 32-bit program, and the allocators here have 64 bits; build it for 64"
                .to_owned()
        }
        Refusal::Static => {
            "it is linked statically, allocator included, so no other can be preloaded; link it \
             dynamically"
                .to_owned()
        }
        other => other.to_string(),
    }
}

/// What is to be said beforehand about a program that can be run on another allocator, but takes much of
/// its memory elsewhere; `None` where nothing is known of that.
pub fn caution(program: &Program) -> Option<String> {
    let name = program.runs.file_name()?.to_string_lossy();
    if name.starts_with(CPYTHON) && !all_by_malloc() {
        return Some(format!(
            "{name} takes objects of up to 512 bytes from arenas of its own, which no malloc has a part in: another \
             one changes only what is larger, and what C code allocates; with {PYTHON_MALLOC}=malloc in the \
             environment of memtide all of it is compared"
        ));
    }
    let why = RUNTIMES.iter().find(|(start, _)| name.starts_with(start));
    let why = why.map(|(_, why)| *why).or_else(|| {
        let (image, _) = Image::open(&program.runs).ok()?;
        image
            .is_go
            .then_some("Go's objects lie in the heap of its runtime")
    })?;
    Some(format!(
        "{why}, which takes its memory from the kernel: another malloc changes only what native code in \
         {name} allocates"
    ))
}

/// Whether `CPython` is told to take every object from malloc.
fn all_by_malloc() -> bool {
    let told = std::env::var_os(PYTHON_MALLOC);
    told.is_some_and(|told| told == "malloc" || told == "malloc_debug")
}
