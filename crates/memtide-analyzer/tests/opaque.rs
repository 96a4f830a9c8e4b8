//! Memory that no lens can look into: its share is said, and the tool of its owner.

mod support;

use memtide_analyzer::analyze;
use memtide_model::report::{Evidence, Verdict};
use memtide_model::{Account, Observations, VerdictKind};
use support::look::{Books, looked};
use support::shim::{KIB, MIB};

/// Anonymous memory of this software grows by 200 KiB/s beside 4 MiB in use in malloc's heap.
fn growing(allocator: &str, runtime: &str, at: &[f64]) -> Observations {
    let mut observations = looked(60, at, |t| Books {
        live: 4.0 * MIB,
        other: 20.0 * MIB + 200.0 * KIB * t,
        ..Books::default()
    });
    if at.is_empty() {
        observations.heap = None;
    }
    allocator.clone_into(&mut observations.target.allocator);
    runtime.clone_into(&mut observations.target.runtime);
    observations
}

fn verdict(allocator: &str, runtime: &str) -> Verdict {
    analyze(&growing(allocator, runtime, &[])).report.verdict
}

fn opaque(verdict: &Verdict) -> Option<&Evidence> {
    (verdict.evidence.iter()).find(|evidence| evidence.account == Some(Account::Opaque))
}

#[test]
fn the_owner_of_opaque_memory_is_named_with_its_own_tool() {
    for (allocator, runtime, owner, tools) in [
        (
            "glibc 2.36",
            "jvm",
            "jvm",
            &[
                "jcmd 4182 GC.heap_info",
                "-XX:NativeMemoryTracking=summary",
                "jcmd 4182 VM.native_memory",
            ][..],
        ),
        (
            "unknown",
            "go",
            "go",
            &["/debug/pprof/heap", "GODEBUG=madvdontneed=1"],
        ),
        (
            "glibc 2.36",
            "node",
            "node",
            &["--heapsnapshot-signal=SIGUSR2"],
        ),
        (
            "glibc 2.36",
            "dotnet",
            "dotnet",
            &["dotnet-gcdump collect -p 4182"],
        ),
        (
            "glibc 2.36",
            "cpython 3.11",
            "cpython 3.11",
            &["tracemalloc"],
        ),
        (
            "jemalloc",
            "none",
            "jemalloc",
            &["MALLOC_CONF=stats_print:true", "prof:true"],
        ),
        (
            "gperftools tcmalloc",
            "none",
            "gperftools tcmalloc",
            &["HEAPPROFILE="],
        ),
        (
            "tcmalloc",
            "none",
            "tcmalloc",
            &["MallocExtension::GetStats()"],
        ),
        ("mimalloc", "none", "mimalloc", &["MIMALLOC_SHOW_STATS=1"]),
        ("musl", "none", "musl", &["build the program for glibc"]),
    ] {
        let found = verdict(allocator, runtime);
        assert_eq!(found.kind, VerdictKind::Undetermined, "{owner}: {found:#?}");
        let fact = &opaque(&found)
            .unwrap_or_else(|| panic!("{owner}: {found:#?}"))
            .fact;
        assert!(
            fact.contains(&format!("memory that {owner} manages")),
            "{fact}"
        );
        for tool in tools {
            let said: Vec<_> = found.advice.iter().filter(|a| a.contains(tool)).collect();
            assert_eq!(said.len(), 1, "{owner}, {tool}: {:#?}", found.advice);
        }
        // The owner's tool comes before any other.
        assert!(
            found.advice[0].contains(tools[0]),
            "{owner}: {:#?}",
            found.advice
        );
        let glibc = allocator.starts_with("glibc");
        let looks = found
            .advice
            .iter()
            .any(|advice| advice.contains("memtide inspect"));
        assert_eq!(
            looks, glibc,
            "{owner}: a look finds glibc's heap alone: {:#?}",
            found.advice
        );
    }
}

/// All that the sampler knows by mapped libraries, names and strings (`memtide-sampler/src/software.rs`).
#[test]
fn every_runtime_and_allocator_has_a_next_step_of_its_own() {
    let runtimes = [
        "cpython 3.11",
        "jvm",
        "go",
        "node",
        "v8",
        "deno",
        "bun",
        "dotnet",
        "mono",
        "ruby",
        "php",
        "perl",
        "pypy",
        "julia",
        "erlang",
    ];
    let allocators = [
        "jemalloc",
        "gperftools tcmalloc",
        "tcmalloc",
        "mimalloc",
        "snmalloc",
        "hoard",
        "rpmalloc",
        "scudo",
        "musl",
    ];
    let general = verdict("glibc 2.36", "none").advice;
    let mut first = std::collections::BTreeMap::new();
    let all = runtimes.map(|runtime| ("glibc 2.36", runtime));
    for (allocator, runtime) in all.into_iter().chain(allocators.map(|name| (name, "none"))) {
        let found = verdict(allocator, runtime);
        let step = found.advice[0].clone();
        assert!(!general.contains(&step), "{allocator}, {runtime}: {step}");
        first
            .entry(step)
            .or_insert_with(Vec::new)
            .push((allocator, runtime));
    }
    let shared: Vec<_> = first.values().filter(|names| names.len() > 1).collect();
    let v8 = vec![("glibc 2.36", "v8"), ("glibc 2.36", "deno")];
    let silent = ["snmalloc", "hoard", "rpmalloc", "scudo"]
        .map(|name| (name, "none"))
        .to_vec();
    assert!(
        shared
            .iter()
            .all(|names| **names == v8 || **names == silent),
        "{shared:?}"
    );
}

#[test]
fn musl_is_not_run_under_a_shim_that_was_built_for_glibc() {
    let found = verdict("musl", "none");
    assert!(
        !found.advice.iter().any(|a| a.contains("--heap full")),
        "{:#?}",
        found.advice
    );
}

#[test]
fn nothing_is_guessed_about_software_that_is_not_known() {
    for allocator in ["unknown", "glibc 2.36"] {
        assert!(opaque(&verdict(allocator, "none")).is_none(), "{allocator}");
    }
}

#[test]
fn what_was_looked_into_is_not_opaque() {
    // 40 MiB of the heap are understood, 8 MiB of Python's own arenas are not.
    let mut observations = looked(60, &[0.0, 10.0, 20.0, 40.0, 60.0], |t| Books {
        live: 20.0 * MIB + 200.0 * KIB * t,
        free: 8.0 * MIB + 200.0 * KIB * t,
        other: 8.0 * MIB,
        ..Books::default()
    });
    "cpython 3.11".clone_into(&mut observations.target.runtime);
    let found = analyze(&observations).report.verdict;
    assert_eq!(found.kind, VerdictKind::Undetermined, "{found:#?}");
    assert!(opaque(&found).is_none(), "{found:#?}");
}
