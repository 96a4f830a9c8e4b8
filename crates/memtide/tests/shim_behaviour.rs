//! A program behaves under the shim as it does without: the same output and the same end, in front of each
//! allocator and in both modes. And it is recorded: each process has a region, and what could not
//! be recorded is what must be expected.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shim_support;

use memtide_region::reader::LostCounts;
use memtide_region::{Kind, State};
use shim_support::run::{Allocator, Done, Heap, Run, allocators};
use shim_support::stacks::{Region, Symbols};
use std::path::PathBuf;
use std::sync::OnceLock;

/// Dense enough that most stacks are seen, and sparse enough that most blocks are not.
const DENSE: Heap = Heap::Sampled(512);

/// What a scenario must leave behind in full mode.
struct Expected {
    scenario: &'static str,
    /// Processes that record something.
    regions: usize,
    /// Of those, ended by `_exit` or a signal, so that nobody could say that it is the end.
    cut_short: usize,
}

const fn expected(scenario: &'static str, regions: usize, cut_short: usize) -> Expected {
    Expected {
        scenario,
        regions,
        cut_short,
    }
}

const SCENARIOS: &[Expected] = &[
    expected("errors", 1, 0),
    expected("reallocs", 1, 0),
    expected("operators", 1, 0),
    expected("exceptions", 1, 0),
    expected("threads", 1, 0),
    expected("cancelled", 1, 0),
    // The parent, twenty children, a child and a grandchild.
    expected("forks", 23, 10),
    expected("fork_among_threads", 22, 0),
    // The parent, twenty that were started by exec, and ten shells, of which dash ends by _exit.
    expected("spawn", 31, 10),
    expected("signals", 1, 0),
    expected("mapping_signals", 1, 0),
    expected("alternate", 1, 0),
    expected("contexts", 1, 0),
    expected("start_and_end", 1, 0),
    expected("descriptors", 1, 0),
    // Before exec and after.
    expected("few_descriptors", 2, 1),
];

/// These fail on purpose, which some allocators answer by ending the program, with the shim and without.
const FATAL_WITH_SOME: &[&str] = &["pvalloc", "failing_operators"];

fn program() -> PathBuf {
    static MORE: OnceLock<[String; 2]> = OnceLock::new();
    let [process, intruder] = MORE.get_or_init(|| {
        ["process", "intruder"].map(|part| {
            let folder = env!("CARGO_MANIFEST_DIR");
            format!("{folder}/tests/targets/behaviour_{part}.cpp")
        })
    });
    shim_support::target("behaviour.cpp", "behaviour", &[process, intruder])
}

/// Two libraries that come and go.
fn plugins(with_operators: bool) -> [PathBuf; 2] {
    [1, 2].map(|number| {
        let define = format!("-DNUMBER={number}");
        let mut flags = vec!["-shared", "-fPIC", &define];
        if with_operators {
            flags.extend(["-DWITH_OPERATORS", "-nodefaultlibs", "-nostartfiles"]);
        }
        let name = format!(
            "plugin{number}{}.so",
            if with_operators { "_own" } else { "" }
        );
        shim_support::target("plugin.cpp", &name, &flags)
    })
}

/// Runs it with and without, and gives what it left with, after making sure that it said the same.
fn same(allocator: &Allocator, heap: Heap, arguments: &[&str]) -> Done {
    let (plain, done) = both(allocator, heap, arguments);
    assert!(
        plain.output.status.success(),
        "{arguments:?}: {:?}",
        plain.output
    );
    done
}

fn both(allocator: &Allocator, heap: Heap, arguments: &[&str]) -> (Done, Done) {
    let started = |mut run: Run| {
        run.command.args(arguments);
        run.allocator(allocator).finish()
    };
    let plain = started(Run::plain(&program()));
    let done = started(Run::shimmed(&program(), heap));
    assert_same(
        &plain,
        &done,
        &format!("{} {heap:?} {arguments:?}", allocator.name),
    );
    (plain, done)
}

fn assert_same(plain: &Done, done: &Done, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (before, after) = (&plain.output, &done.output);
    assert_eq!(text(&before.stdout), text(&after.stdout), "{what}: output");
    assert_eq!(
        text(&before.stderr),
        text(&after.stderr),
        "{what}: standard error"
    );
    assert_eq!(before.status, after.status, "{what}: status");
}

/// What may be lost in a scenario, and nothing else.
fn assert_little_is_lost(region: &Region, scenario: &str, heap: Heap) {
    let lost = region.lost();
    let name = &region.name;
    // The loader calls constructors from code without unwinding rules; once per allocator's stack.
    let mut most = LostCounts {
        rules: 10,
        ..LostCounts::default()
    };
    match scenario {
        // Destructors of keys go on in rounds after the recorder has been given back.
        "threads" => most.threadless = 800,
        // A fiber's stack ends in code that no rule describes.
        "contexts" => (most.foreign, most.rules) = (u64::MAX, u64::MAX),
        // Handlers may come while the shim is at work, as they do.
        "signals" => most.reentered = 1_000,
        // Two thousand, with three calls each.
        "mapping_signals" => most.reentered = 6_000,
        "alternate" => most.foreign = 1_000,
        _ => {}
    }
    let pairs = [
        (lost.reentered, most.reentered, "reentered"),
        (lost.threadless, most.threadless, "threadless"),
        (lost.no_room, most.no_room, "no_room"),
        (lost.nodes, most.nodes, "nodes"),
        (lost.rules, most.rules, "rules"),
        (lost.truncated, most.truncated, "truncated"),
        (lost.foreign, most.foreign, "foreign"),
        (lost.mappings, most.mappings, "mappings"),
    ];
    for (found, most, field) in pairs {
        assert!(
            found <= most,
            "{scenario} {heap:?} {name}: lost {field} {found}, at most {most}"
        );
    }
}

fn assert_recorded(done: &Done, expected: &Expected, heap: Heap) {
    let scenario = expected.scenario;
    let regions = done.regions.len();
    let cut = done
        .regions
        .iter()
        .filter(|region| region.state() == State::Recording)
        .count();
    if heap == Heap::Full {
        assert_eq!(
            (regions, cut),
            (expected.regions, expected.cut_short),
            "{scenario}: regions"
        );
    } else {
        // A child that makes few blocks may have none that is drawn.
        assert!(
            (1..=expected.regions).contains(&regions),
            "{scenario}: {regions} regions"
        );
    }
    for region in &done.regions {
        assert!(
            matches!(region.state(), State::Recording | State::Ended),
            "{scenario}: {} is {:?}",
            region.name,
            region.state()
        );
        region.assert_no_free_is_unknown();
        assert_little_is_lost(region, scenario, heap);
        if heap == Heap::Full {
            assert!(
                region.total(Kind::Heap).allocs > 0,
                "{scenario}: {} is empty",
                region.name
            );
        }
    }
}

fn all_scenarios_with(allocator: &Allocator) {
    for heap in [Heap::Full, DENSE] {
        for expected in SCENARIOS {
            let done = same(allocator, heap, &[expected.scenario]);
            assert_recorded(&done, expected, heap);
        }
        for scenario in FATAL_WITH_SOME {
            both(allocator, heap, &[scenario]);
        }
    }
}

/// One test for each, so that they run side by side.
fn scenarios_with(name: &str) {
    let found = allocators()
        .into_iter()
        .find(|allocator| allocator.name.starts_with(name));
    if let Some(allocator) = found {
        all_scenarios_with(&allocator);
    }
}

#[test]
fn nothing_changes_with_glibc() {
    scenarios_with("glibc");
}

#[test]
fn nothing_changes_with_tcmalloc() {
    scenarios_with("libtcmalloc");
}

#[test]
fn nothing_changes_with_jemalloc() {
    scenarios_with("libjemalloc");
}

#[test]
fn nothing_changes_with_mimalloc() {
    scenarios_with("libmimalloc");
}

/// Handlers that come while the shim has a lock, or half a walk: they must neither wait for what their own
/// thread has, nor leave others waiting, nor may a child of one use what it gave up.
#[test]
fn handlers_that_find_the_shim_at_work_are_no_harm() {
    let [glibc, ..] = &allocators()[..] else {
        unreachable!("libc's allocator is always there");
    };
    for scenario in ["allocating", "jumping", "forking"] {
        for heap in [Heap::Full, DENSE] {
            same(glibc, heap, &[&format!("{scenario}_intruders")]);
        }
    }
}

/// A thread of a real-time class yields to none but its equals: one that waits for an ordinary thread must sleep.
#[test]
fn a_real_time_thread_lets_the_holder_of_a_lock_run() {
    let [glibc, ..] = &allocators()[..] else {
        unreachable!("libc's allocator is always there");
    };
    let done = same(glibc, Heap::Full, &["realtime_intruders"]);
    if String::from_utf8_lossy(&done.output.stdout).contains("no real time") {
        println!("skipped: a real-time class needs root and may be forbidden");
    }
}

/// Sixty times loaded and unloaded, where the other one lay: every stack names the library that made it.
#[test]
fn libraries_that_take_each_others_addresses_are_told_apart() {
    let libraries = plugins(false);
    let names = [
        libraries[0].to_str().unwrap(),
        libraries[1].to_str().unwrap(),
    ];
    for allocator in allocators() {
        same(&allocator, DENSE, &["plugins", names[0], names[1]]);
        let done = same(&allocator, Heap::Full, &["plugins", names[0], names[1]]);
        assert_each_library_made_its_own(done.region(), &libraries);
    }
}

fn assert_each_library_made_its_own(region: &Region, libraries: &[PathBuf; 2]) {
    assert!(
        region.summary.generation > 0,
        "the two had the same addresses"
    );
    for (index, library) in libraries.iter().enumerate() {
        let function = format!("inner_{}", index + 1);
        let symbols = Symbols::of(library);
        let sums = region.by_name(&symbols, |functions, _| {
            functions
                .iter()
                .find(|name| name.starts_with("inner_"))
                .map(|&name| name.to_owned())
        });
        let names: Vec<_> = sums.keys().collect();
        assert_eq!(names, [&function], "{}", library.display());
        let made = sums[&function];
        // Thirty rounds of a hundred, of which one stays.
        assert_eq!((made.allocs, made.frees), (3_000, 2_970), "{function}");
        let bytes = 41 + index as u64;
        assert_eq!(
            (made.bytes, made.freed),
            (3_000 * bytes, 2_970 * bytes),
            "{function}"
        );
    }
}

/// A program without a C++ runtime finds its operators in plug-ins, and must not find those that have gone.
#[test]
fn operators_of_an_unloaded_library_are_not_called() {
    let host = shim_support::target("host.c", "host", &["-ldl"]);
    let libraries = plugins(true);
    for allocator in allocators() {
        let run = |run: Run| {
            run.arg(&libraries[0])
                .arg(&libraries[1])
                .allocator(&allocator)
                .finish()
        };
        let plain = run(Run::plain(&host));
        assert!(plain.output.status.success(), "{:?}", plain.output);
        for heap in [Heap::Full, DENSE] {
            let done = run(Run::shimmed(&host, heap));
            assert_same(&plain, &done, &format!("{} {heap:?}", allocator.name));
            if heap == Heap::Full {
                assert_each_library_made_its_own(done.region(), &libraries);
            }
        }
    }
}

/// The region's folder is known by its path, which after `chroot` may lead elsewhere or nowhere.
#[test]
fn changing_directories_is_no_harm() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    for allocator in allocators() {
        for heap in [Heap::Full, DENSE] {
            let done = same(&allocator, heap, &["directories", root]);
            for region in &done.regions {
                region.assert_no_free_is_unknown();
                assert!(matches!(region.state(), State::Recording | State::Ended));
            }
            let is_root = rustix::process::geteuid().is_root();
            // The child after chroot has no folder to record to.
            let regions = if is_root { 2 } else { 3 };
            if heap == Heap::Full {
                assert_eq!(done.regions.len(), regions);
            }
        }
    }
}

/// Loaded by `dlopen` it lies behind libc: nobody calls it, or it must do as if it had been there.
#[test]
fn loading_it_late_is_no_harm() {
    let shim = shim_support::shim().to_str().unwrap();
    for allocator in allocators() {
        let run = |folder: Option<&std::path::Path>| {
            let mut run = Run::plain(&program())
                .arg("late")
                .arg(shim)
                .allocator(&allocator);
            if let Some(folder) = folder {
                run = run.env("MEMTIDE_DIR", folder).env("MEMTIDE_HEAP", "full");
            }
            run.finish()
        };
        let folder = tempfile::tempdir().unwrap();
        let without = Run::plain(&program())
            .arg("late")
            .arg("/nonexistent")
            .allocator(&allocator);
        let without = without.finish();
        assert!(without.output.status.success());
        assert_same(&without, &run(None), allocator.name);
        assert_same(&without, &run(Some(folder.path())), allocator.name);
    }
}
