//! Runs of a program with and without the shim.

use super::stacks::Region;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How the shim records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heap {
    /// At this mean number of bytes between samples.
    Sampled(u64),
    Full,
}

/// An allocator behind the shim.
pub struct Allocator {
    pub name: &'static str,
    /// `None` for libc's own.
    pub library: Option<PathBuf>,
}

/// libc's and those that are installed of the other three.
pub fn allocators() -> Vec<Allocator> {
    let mut found = vec![Allocator {
        name: "glibc",
        library: None,
    }];
    for name in [
        "libtcmalloc_minimal.so.4",
        "libjemalloc.so.2",
        "libmimalloc.so.2",
    ] {
        if let Some(library) = super::library(name) {
            found.push(Allocator {
                name,
                library: Some(library),
            });
        }
    }
    found
}

/// A program to be run, with a folder of its own for regions.
pub struct Run {
    pub command: Command,
    preload: Vec<PathBuf>,
    folder: tempfile::TempDir,
    limit: Duration,
}

/// What a run left.
pub struct Done {
    pub output: Output,
    /// In the order of their names, that is of process ids as text.
    pub regions: Vec<Region>,
    /// Kept until everything was looked at.
    pub folder: tempfile::TempDir,
}

impl Run {
    /// Without the shim.
    pub fn plain(program: &Path) -> Self {
        let mut command = Command::new(program);
        for name in [
            "LD_PRELOAD",
            "MEMTIDE_DIR",
            "MEMTIDE_HEAP",
            "MEMTIDE_INTERVAL",
        ] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null());
        Self {
            command,
            preload: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
            limit: Duration::from_mins(2),
        }
    }

    /// Under the shim.
    pub fn shimmed(program: &Path, heap: Heap) -> Self {
        let mut run = Self::plain(program);
        run.preload.push(super::shim().to_path_buf());
        let folder = run.folder.path().to_path_buf();
        run.command.env("MEMTIDE_DIR", folder);
        match heap {
            Heap::Full => run.command.env("MEMTIDE_HEAP", "full"),
            Heap::Sampled(interval) => run
                .command
                .env("MEMTIDE_HEAP", "sampled")
                .env("MEMTIDE_INTERVAL", interval.to_string()),
        };
        run
    }

    /// With an allocator's library, behind the shim if there is one.
    pub fn allocator(mut self, allocator: &Allocator) -> Self {
        self.preload.extend(allocator.library.clone());
        self
    }

    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Where regions go.
    pub fn regions_in(&self) -> &Path {
        self.folder.path()
    }

    /// The value of `LD_PRELOAD`.
    pub fn preloaded(&self) -> String {
        let names: Vec<_> = self
            .preload
            .iter()
            .map(|path| path.to_str().unwrap())
            .collect();
        names.join(":")
    }

    /// Starts it with its output in pipes.
    pub fn start(mut self) -> (std::process::Child, tempfile::TempDir) {
        let preload = self.preloaded();
        if !preload.is_empty() {
            self.command.env("LD_PRELOAD", preload);
        }
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        (self.command.spawn().unwrap(), self.folder)
    }

    /// Runs it to its end, which must come within the limit.
    pub fn finish(self) -> Done {
        let (limit, shown) = (self.limit, format!("{:?}", self.command));
        let (mut child, folder) = self.start();
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let out = std::thread::spawn(move || drain(&mut out));
        let err = std::thread::spawn(move || drain(&mut err));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > limit {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{shown} did not end within {limit:?}");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let output = Output {
            status,
            stdout: out.join().unwrap(),
            stderr: err.join().unwrap(),
        };
        let regions = regions(folder.path());
        Done {
            output,
            regions,
            folder,
        }
    }
}

fn drain(from: &mut impl std::io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The files of regions in a folder, in the order of their names.
pub fn region_paths(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "region")
        })
        .collect();
    paths.sort();
    paths
}

/// All regions in a folder; each must be one.
fn regions(folder: &Path) -> Vec<Region> {
    region_paths(folder)
        .iter()
        .map(|path| Region::open(path))
        .collect()
}

impl Done {
    /// Standard output, after making sure that it ended with 0 and said nothing on standard error.
    pub fn text(&self) -> String {
        let error = String::from_utf8_lossy(&self.output.stderr);
        assert!(
            self.output.status.success(),
            "{:?}: {error}",
            self.output.status
        );
        assert_eq!(error, "", "nothing on standard error");
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    /// The only region.
    pub fn region(&self) -> &Region {
        assert_eq!(self.regions.len(), 1, "one process, one region");
        &self.regions[0]
    }
}
