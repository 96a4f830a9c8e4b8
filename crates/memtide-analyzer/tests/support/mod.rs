//! Turns the corpus's series into the observations that a recording of them would give.

#![allow(
    dead_code,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "each test file uses its own part of this module, and series hold small positive numbers"
)]

pub(crate) mod judged;
pub(crate) mod look;
pub(crate) mod shim;

use memtide_model::{
    Activity, Bytes, Children, Counts, Descriptors, Host, Limits, MappingClass, Maps, Memory,
    Merged, Nanos, Observations, Pid, ProcessId, Recording, Sample, StartTime, Target,
};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One labelled case.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) run: String,
    pub(crate) label: String,
    pub(crate) outside: Vec<String>,
    pub(crate) series: String,
    pub(crate) live_rate: Option<f64>,
}

#[derive(Deserialize)]
struct Manifest {
    program: Vec<Case>,
}

/// Where the corpus lies.
pub(crate) fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/corpus")
}

/// All cases of the manifest.
pub(crate) fn cases() -> Vec<Case> {
    let text =
        std::fs::read_to_string(corpus().join("manifest.toml")).expect("the corpus is there");
    toml::from_str::<Manifest>(&text)
        .expect("a manifest")
        .program
}

/// The recording of a case from second `from` to second `to` of it.
pub(crate) fn window(case: &Case, from: f64, to: f64) -> Observations {
    let rows = rows(&corpus().join(&case.series));
    let samples: Vec<Sample> = rows
        .iter()
        .skip(2)
        .filter(|row| (from..=to).contains(&row["t"]))
        .map(sample)
        .collect();
    let runtime = if case.run.contains("python") {
        "cpython 3.11"
    } else {
        "none"
    };
    observations(samples, runtime)
}

/// Observations of samples alone.
pub(crate) fn observations(samples: Vec<Sample>, runtime: &str) -> Observations {
    Observations {
        target: Target {
            id: process(),
            parent: None,
            name: "case".to_owned(),
            exe: "/bin/case".to_owned(),
            cmdline: vec!["case".to_owned()],
            uid: 1000,
            age: Nanos::from_secs(3_600),
            allocator: "glibc 2.36".to_owned(),
            runtime: runtime.to_owned(),
            limits: Limits::default(),
            cgroup: None,
            unseen: Vec::new(),
        },
        recording: Recording {
            started: samples.first().map_or(Nanos(0), |s| s.at),
            ended: samples.last().map_or(Nanos(0), |s| s.at),
            complete: true,
            samples: samples.len() as u64,
            interval: Nanos::from_secs_f64(0.25),
            lenses: vec!["sampler".to_owned()],
            page_size: Bytes(4096),
            ticks_per_second: 100,
            ..Recording::default()
        },
        samples,
        mappings: Vec::new(),
        threads: Vec::new(),
        events: Vec::new(),
        stacks: None,
        heap: None,
    }
}

fn process() -> ProcessId {
    ProcessId {
        pid: Pid(4182),
        start: StartTime(77),
    }
}

/// Reads a gzipped CSV of numbers into rows by column.
pub(crate) fn rows(path: &Path) -> Vec<HashMap<String, f64>> {
    let file = std::fs::File::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("gzip");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader
        .deserialize()
        .map(|row| row.expect("numbers"))
        .collect()
}

/// One row as a sample. KiB become bytes; columns that older series lack are zero.
fn sample(row: &HashMap<String, f64>) -> Sample {
    let count = |name: &str| row.get(name).map_or(0, |&v| v.max(0.0) as u64);
    let kib = |name: &str| Bytes::from_kib(count(name));
    let rss = kib("VmRSS");
    let children = count("children");
    Sample {
        at: Nanos::from_secs_f64(1_000.0 + row["t"]),
        process: process(),
        memory: Memory {
            rss,
            size: kib("VmSize"),
            rss_anon: Some(kib("RssAnon")),
            rss_file: Some(kib("RssFile")),
            rss_shmem: Some(kib("RssShmem")),
            data: Some(kib("VmData")),
            stack: Some(kib("VmStk")),
            page_tables: Some(kib("VmPTE")),
            swap: Some(kib("VmSwap")),
            ..Memory::default()
        },
        activity: Activity {
            min_flt: count("min_flt"),
            maj_flt: count("maj_flt"),
            ..Activity::default()
        },
        maps: Some(maps(&count, &kib)),
        counts: Counts {
            threads: count("Threads"),
            mappings: Some(count("nvma")),
            descriptors: Some(Descriptors {
                total: count("fd_all"),
                file: count("fd_file"),
                socket: count("fd_sock"),
                pipe: count("fd_pipe"),
                memfd: count("fd_memfd"),
                ..Descriptors::default()
            }),
            children: Some(Children {
                total: children,
                zombies: count("zombies"),
                session_others: count("session_procs").saturating_sub(children),
                rss: kib("session_rss"),
                ..Children::default()
            }),
            oom_score: None,
        },
        cgroup: None,
        host: Some(Host {
            available: Some(kib("mi_MemAvailable")),
            shmem: Some(kib("mi_Shmem")),
            ..Host::default()
        }),
        merged: Merged::single(rss),
    }
}

fn maps(count: &impl Fn(&str) -> u64, kib: &impl Fn(&str) -> Bytes) -> Maps {
    let mut maps = Maps {
        pss: kib("Pss"),
        private_dirty: kib("Private_Dirty"),
        lazy_free: kib("LazyFree"),
        anon_huge: kib("AnonHugePages"),
        ..Maps::default()
    };
    for (class, name) in [
        (MappingClass::Heap, "heap"),
        (MappingClass::Arena, "arena"),
        (MappingClass::Stack, "stack"),
        (MappingClass::Anon, "anon"),
        (MappingClass::File, "file"),
        (MappingClass::Shared, "shm"),
        (MappingClass::Device, "dev"),
    ] {
        let totals = maps.classes.get_mut(class);
        totals.count = count(&format!("{name}_n"));
        totals.size = kib(&format!("{name}_size"));
        totals.rss = kib(&format!("{name}_rss"));
    }
    let arenas = maps.classes.get_mut(MappingClass::Arena);
    arenas.grown = count("arena_grown");
    arenas.max_growth = kib("arena_dmax");
    arenas.largest = kib("arena_top");
    maps.classes.get_mut(MappingClass::Anon).largest = kib("anon_max");
    maps.classes.get_mut(MappingClass::File).anonymous = kib("file_anon");
    maps
}

/// A sample of synthetic RSS in bytes, all of it in `[heap]`.
pub(crate) fn heap_sample(seconds: f64, bytes: f64) -> Sample {
    let rss = Bytes(bytes.max(0.0) as u64);
    let mut maps = Maps::default();
    let heap = maps.classes.get_mut(MappingClass::Heap);
    (heap.count, heap.size, heap.rss, heap.anonymous) = (1, rss, rss, rss);
    Sample {
        at: Nanos::from_secs_f64(1_000.0 + seconds),
        process: process(),
        memory: Memory {
            rss,
            size: rss,
            rss_anon: Some(rss),
            rss_file: Some(Bytes::ZERO),
            rss_shmem: Some(Bytes::ZERO),
            ..Memory::default()
        },
        activity: Activity::default(),
        maps: Some(maps),
        counts: Counts {
            threads: 1,
            ..Counts::default()
        },
        cgroup: None,
        host: None,
        merged: Merged::single(rss),
    }
}

/// Observations of synthetic RSS.
pub(crate) fn heap(points: impl IntoIterator<Item = (f64, f64)>) -> Observations {
    observations(
        points.into_iter().map(|(t, y)| heap_sample(t, y)).collect(),
        "none",
    )
}

/// Random numbers that every run repeats: xorshift64* (Vigna 2016).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// Uniform within 0 and 1, never 0.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (core::f64::consts::TAU * v).cos()
    }

    /// A first-order autoregressive series of `n` values with deviation 1 whose time constant is
    /// `tau` records; independent values for `tau` 0.
    pub(crate) fn autoregressive(&mut self, n: usize, tau: f64) -> Vec<f64> {
        let phi = if tau > 0.0 {
            (-1.0 / (n as f64 * tau)).exp()
        } else {
            0.0
        };
        let mut last = self.normal();
        (0..n)
            .map(|_| {
                let value = last;
                last = phi * last + (1.0 - phi * phi).sqrt() * self.normal();
                value
            })
            .collect()
    }
}
