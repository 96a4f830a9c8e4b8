//! Memory that no lens can look into: whose it is, and the tool of its owner that can.
//!
//! A runtime with a collector keeps its objects in mappings of its own; so does every allocator but
//! glibc's. Nothing is guessed about what is live there. Each line was taken from the manual of its
//! runtime or allocator; where a version or a build is needed, the line says so.

use super::answer::{Answer, Standing};
use super::facts::Facts;
use crate::ledger;
use crate::thresholds::OPAQUE_SHARE;
use memtide_model::{Account, Target, text};

/// With the share of RSS that is not understood, and what would help, where that decides nothing less than
/// the answer.
pub(super) fn opaque(facts: &Facts, mut answer: Answer) -> Answer {
    if answer.standing != Standing::Open {
        return answer;
    }
    let Some((opaque, rss)) = opaque_bytes(facts) else {
        return answer;
    };
    let target = &facts.observations.target;
    let share = opaque / rss.max(1.0);
    let Some(owner) = owner(target).filter(|_| share >= OPAQUE_SHARE) else {
        return answer;
    };
    let fact = format!(
        "{} of {} RSS ({:.0} %) is memory that {owner} manages: what of it is live, memtide cannot see.",
        text::bytes(opaque),
        text::bytes(rss),
        100.0 * share
    );
    let steps = next_steps(target);
    answer.advice.retain(|advice| !steps.contains(advice));
    answer.advice.splice(0..0, steps);
    answer
        .number(fact, opaque, "bytes")
        .of_account(Account::Opaque)
}

/// Opaque bytes and RSS at the end of the ledger.
fn opaque_bytes(facts: &Facts) -> Option<(f64, f64)> {
    let ledger = ledger::of(facts.record)?;
    let opaque = (ledger.beside.iter()).find(|row| row.account == Account::Opaque)?;
    Some((opaque.end as f64, ledger.rss.1.as_f64()))
}

/// Who manages it; `None` where that is glibc, or not known.
pub(super) fn owner(target: &Target) -> Option<&str> {
    let glibc =
        target.allocator.starts_with("glibc") || matches!(&*target.allocator, "" | "unknown");
    match target.runtime.as_str() {
        "" | "none" if glibc => None,
        "" | "none" => Some(&target.allocator),
        runtime => Some(runtime),
    }
}

/// What the runtime, else the allocator, tells of its own memory.
pub(super) fn next_steps(target: &Target) -> Vec<String> {
    let mut steps = of_runtime(target);
    if matches!(target.runtime.as_str(), "" | "none") {
        steps.extend(of_allocator(&target.allocator).map(str::to_owned));
    }
    steps
}

fn of_runtime(target: &Target) -> Vec<String> {
    let pid = target.id.pid;
    let runtime = target.runtime.as_str();
    let steps: &[&str] = match runtime.split(' ').next().unwrap_or_default() {
        "cpython" => &[
            "Compare two tracemalloc snapshots (python -X tracemalloc=10): what grows there is held by Python objects; the rest is native.",
        ],
        "jvm" => {
            return vec![
                format!(
                    "Ask the JVM for its heap: jcmd {pid} GC.heap_info; and for what lies there: jcmd {pid} GC.class_histogram, twice."
                ),
                format!(
                    "For the JVM's other memory start it with -XX:NativeMemoryTracking=summary; then jcmd {pid} VM.native_memory baseline, and later jcmd {pid} VM.native_memory summary.diff."
                ),
            ];
        }
        "go" => &[
            "Compare two heap profiles of net/http/pprof: go tool pprof -base FIRST http://HOST:PORT/debug/pprof/heap; inuse_space that grows is live.",
            "If it does not grow, RSS is memory that Go has freed: Go 1.12 to 1.15 give pages back only under pressure unless GODEBUG=madvdontneed=1; GOMEMLIMIT (Go 1.19) bounds it.",
        ],
        "node" => &[
            "Start it with --heapsnapshot-signal=SIGUSR2, send it SIGUSR2 twice, and compare the two snapshots in the Memory tab of Chrome's DevTools; process.memoryUsage() tells what lies outside of V8's heap.",
        ],
        "v8" | "deno" => &[
            "Compare two heap snapshots in the Memory tab of Chrome's DevTools (start it with --inspect).",
        ],
        "dotnet" => {
            return vec![format!(
                "Ask the runtime: dotnet-counters monitor -p {pid} shows the collector's heap; dotnet-gcdump collect -p {pid}, twice, what lies there."
            )];
        }
        "ruby" => &[
            "Compare two of ObjectSpace.dump_all (require 'objspace'); GC.stat tells how much of Ruby's heap is free. MALLOC_ARENA_MAX=2 often helps Ruby.",
        ],
        "php" => &[
            "memory_get_usage() is what the script holds; pm.max_requests of php-fpm bounds how long a worker can grow.",
        ],
        "erlang" => &[
            "Ask the runtime: erlang:memory() by kind; recon_alloc:memory(usage) of the recon library tells how much of its carriers is in use.",
        ],
        "bun" => &[
            "Ask Bun: heapStats() of bun:jsc counts the objects, generateHeapSnapshot() of bun, twice, tells what lies there; MIMALLOC_SHOW_STATS=1 prints at the end what lies outside.",
        ],
        "pypy" => &[
            "Ask PyPy's collector: gc.get_stats() tells what lies in its heap, gc.dump_rpy_heap(FILE), twice, which types hold it.",
        ],
        "julia" => &[
            "Compare two of Profile.take_heap_snapshot(FILE) (Julia 1.9) in the Memory tab of Chrome's DevTools; --heap-size-hint bounds the heap.",
        ],
        "perl" => &[
            "Perl frees by counts of references: cycles stay; Devel::MAT::Dumper::dump(FILE) of the Devel-MAT distribution, twice, tells what lies there.",
        ],
        "mono" => {
            &["Start it with --profile=log:heapshot, and compare two shots with mprof-report."]
        }
        _ => &[],
    };
    steps.iter().map(|&step| step.to_owned()).collect()
}

fn of_allocator(allocator: &str) -> Option<&'static str> {
    match allocator.split(' ').next().unwrap_or_default() {
        "jemalloc" => Some(
            "Ask jemalloc: MALLOC_CONF=stats_print:true prints at the end what is allocated and what is only resident; MALLOC_CONF=prof:true,prof_final:true names the code, if it was built with --enable-prof; dirty_decay_ms:1000,muzzy_decay_ms:0 gives freed pages back sooner.",
        ),
        "gperftools" => Some(
            "Ask gperftools: MALLOCSTATS=1 prints at the end what is in use and what is in free lists; HEAPPROFILE=/tmp/heap names the code (not with libtcmalloc_minimal); TCMALLOC_RELEASE_RATE=10 gives freed pages back sooner.",
        ),
        "tcmalloc" => Some(
            "Ask tcmalloc from inside the program: MallocExtension::GetStats() tells what is in use and what is in free lists, MallocExtension::SnapshotCurrent(ProfileType::kHeap) which code holds it.",
        ),
        "mimalloc" => Some(
            "Ask mimalloc: MIMALLOC_SHOW_STATS=1 prints its books at the end; MIMALLOC_PURGE_DELAY=0 gives freed pages back at once (from version 2.1 on).",
        ),
        "snmalloc" | "hoard" | "rpmalloc" | "scudo" => Some(
            "It is kept by an allocator that says little of itself: start the program on glibc's malloc (without LD_PRELOAD of it) and record it there.",
        ),
        "musl" => Some(
            "musl's malloc cannot be looked into: build the program for glibc, or run it on a glibc system, and record it there.",
        ),
        _ => None,
    }
}
