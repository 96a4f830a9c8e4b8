//! What the tests of the heap walk share: programs that keep their own books, and the comparison of these
//! books with a snapshot. The truth comes from the program itself and from the kernel, never from memtide.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of each test file, not a crate")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod glibc;

use memtide_inspect::{Inspector, Options};
use memtide_model::{HeapSnapshot, Pid};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Bytes of the chunk that holds a thread's cache (`tcache_perthread_struct`), in glibc 2.30 to 2.41.
pub const CACHE_CHUNK: u64 = 0x290;

/// Answers of a program: what its lines say.
#[derive(Clone, Debug, Default)]
pub struct Books(pub BTreeMap<String, i64>);

impl Books {
    /// A value that must be there and must not be negative.
    pub fn get(&self, key: &str) -> u64 {
        let value = self.0.get(key);
        let value = value.unwrap_or_else(|| panic!("the program tells {key}: {self:?}"));
        u64::try_from(*value).unwrap_or_else(|_| panic!("{key} is {value}"))
    }
}

/// A running program that answers on its standard output; it is killed when this is dropped.
pub struct Target {
    child: Child,
    answers: BufReader<ChildStdout>,
    /// What it said first.
    pub books: Books,
}

impl Target {
    /// `books` with these arguments, on this system's glibc.
    pub fn books(arguments: &str) -> Self {
        Self::start(&mut Command::new(program("books")), arguments)
    }

    /// By a command that ends in running the program; waits until it has said its books.
    pub fn start(command: &mut Command, arguments: &str) -> Self {
        let mut child = command
            .args(arguments.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} starts: {error}"));
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut target = Self {
            child,
            answers,
            books: Books::default(),
        };
        target.books = target.answer();
        target
    }

    /// Says one letter and reads the answer.
    pub fn ask(&mut self, letter: u8) -> Books {
        self.say(letter);
        self.answer()
    }

    /// Says one letter.
    pub fn say(&mut self, letter: u8) {
        self.child
            .stdin
            .as_mut()
            .unwrap()
            .write_all(&[letter])
            .expect("the program listens");
    }

    /// Reads one answer.
    pub fn answer(&mut self) -> Books {
        let mut books = Books::default();
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).unwrap();
            assert!(read > 0, "the program ended early; it had said {books:?}");
            if line == "end\n" {
                return books;
            }
            let (key, value) = line.trim().split_once(' ').unwrap();
            books.0.insert(key.to_owned(), value.parse().unwrap());
        }
    }

    /// Its process, by its own word: a program started by another one is not that one.
    pub fn pid(&self) -> Pid {
        Pid(u32::try_from(self.books.get("pid")).unwrap())
    }

    /// Ends it now.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// One look at its heap.
    pub fn snapshot(&self) -> HeapSnapshot {
        snapshot(self.pid())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One look at a heap that can be read.
pub fn snapshot(pid: Pid) -> HeapSnapshot {
    Inspector::open(pid)
        .and_then(|mut inspector| inspector.snapshot(&Options::default()))
        .unwrap_or_else(|error| panic!("the heap of {} can be read: {error}", pid.0))
}

/// A program of `tests/targets`, built for this system.
pub fn program(name: &str) -> PathBuf {
    build(name, &["-pthread"]).unwrap()
}

/// A program of `tests/targets`, built with these options of the compiler; `Err` where they do not work here.
pub fn build(name: &str, options: &[&str]) -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets");
    build_file(&folder.join(format!("{name}.c")), "gcc", options)
}

/// Any C file, built once for each text and each set of options.
pub fn build_file(source: &Path, compiler: &str, options: &[&str]) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    // Headers are those beside it.
    for file in [
        source,
        &source.with_file_name("books.h"),
        &source.with_file_name("pace.h"),
    ] {
        std::fs::read(file).unwrap_or_default().hash(&mut hasher);
    }
    (compiler, options).hash(&mut hasher);
    let name = source.file_stem().unwrap().to_string_lossy();
    let program =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{:016x}", hasher.finish()));
    if program.exists() {
        return Ok(program);
    }
    // Made beside and renamed: other tests look for it at the same time.
    let (process, thread) = (std::process::id(), std::thread::current().id());
    let beside = program.with_extension(format!("{process}-{thread:?}"));
    let output = Command::new(compiler)
        .args(["-O1", "-g", "-fno-builtin", "-fno-omit-frame-pointer", "-o"])
        .arg(&beside)
        .arg(source)
        .args(options)
        .output()
        .map_err(|error| format!("{compiler} does not start: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    std::fs::rename(&beside, &program).map_err(|error| error.to_string())?;
    Ok(program)
}

/// Says why a test is not made here.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// Asserts that a snapshot of an idle program equals its books to the byte.
pub fn assert_equal(name: &str, snapshot: &HeapSnapshot, books: &Books) {
    let wrong = differences(snapshot, books);
    assert!(
        wrong.is_empty(),
        "{name}: the snapshot is not what the program says:\n  {}\n{snapshot:#?}\n{books:?}",
        wrong.join("\n  ")
    );
}

/// What a snapshot says otherwise than the program's books.
///
/// malloc's own figures know no cached blocks of threads: these count as used there, as do arena
/// structures and fenceposts. So used bytes less what the program has are cached and overhead together.
pub fn differences(snapshot: &HeapSnapshot, books: &Books) -> Vec<String> {
    let (found, told) = (&snapshot.totals, |key| books.get(key));
    let arenas = snapshot.arenas.len() as u64;
    let own = told("block_bytes") + told("caches") * CACHE_CHUNK;
    let expected = [
        (
            "live blocks",
            found.live_blocks,
            told("blocks") + told("caches") + told("hblks"),
        ),
        ("live bytes", found.live_bytes.0, own + told("hblkhd")),
        ("mapped blocks", found.mmapped_blocks, told("mapped_blocks")),
        ("mapped bytes", found.mmapped_bytes.0, told("hblkhd")),
        (
            "cached and overhead bytes",
            (found.cached_bytes + found.overhead_bytes).0,
            told("uordblks") - own + told("fsmblks"),
        ),
        ("free blocks", found.free_blocks, told("ordblks") - arenas),
        (
            "free and top bytes",
            (found.free_bytes + found.top_bytes).0,
            told("fordblks") - told("fsmblks"),
        ),
        ("skipped bytes", snapshot.quality.skipped.0, 0),
        ("bad headers", snapshot.quality.bad_headers, 0),
        ("doubts", snapshot.quality.doubts.len() as u64, 0),
        (
            "the arenas' bytes from the system",
            snapshot.arenas.iter().map(|a| a.system_bytes.0).sum(),
            told("arena"),
        ),
        (
            "live bytes of the arenas",
            snapshot.arenas.iter().map(|a| a.live_bytes.0).sum(),
            own,
        ),
        (
            "main arenas",
            snapshot.arenas.iter().filter(|a| a.is_main).count() as u64,
            1,
        ),
        (
            "live blocks by size",
            snapshot.sizes.iter().map(|s| s.live_blocks).sum(),
            found.live_blocks,
        ),
        (
            "live bytes by size",
            snapshot.sizes.iter().map(|s| s.live_bytes.0).sum(),
            found.live_bytes.0,
        ),
        (
            "free and cached bytes by size",
            snapshot.sizes.iter().map(|s| s.free_bytes.0).sum(),
            (found.free_bytes + found.cached_bytes).0,
        ),
    ];
    let mut wrong: Vec<String> = expected
        .iter()
        .filter(|(_, found, told)| found != told)
        .map(|(what, found, told)| format!("{what}: found {found}, told {told}"))
        .collect();
    if arenas == 1 && found.top_bytes.0 != told("keepcost") {
        wrong.push(format!(
            "top: found {}, told {}",
            found.top_bytes.0,
            told("keepcost")
        ));
    }
    if found.cached_blocks < told("smblks") {
        wrong.push(format!(
            "cached blocks: {} are too few",
            found.cached_blocks
        ));
    }
    // A trim merges what is in fastbins, so it may give back more than what is free before it.
    let free = found.trimmable + found.stuck;
    let most = found.free_resident + found.top_resident + found.cached_resident;
    if free < found.free_resident || free > most {
        wrong.push("trimmable and stuck are not the resident free bytes".to_owned());
    }
    if snapshot.quality.mmapped != Some((told("hblks"), told("hblks"))) {
        wrong.push(format!("mapped chunks: {:?}", snapshot.quality.mmapped));
    }
    wrong
}
