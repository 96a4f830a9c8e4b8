//! What the shim counts equals what a program counts of itself: for each call path, with each allocator,
//! with one thread and with several, exactly in full mode and without bias in sampled mode.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod shim_support;

use memtide_region::layout::COUNT_SCALE;
use memtide_region::{Counters, Kind};
use serde_json::Value;
use shim_support::run::{Allocator, Done, Heap, Run, allocators};
use shim_support::stacks::{Region, Symbols};
use std::collections::BTreeMap;
use std::path::PathBuf;

const PATHS: usize = 40;
const PAGE: u64 = 4096;

fn oracle() -> PathBuf {
    shim_support::target("oracle.cpp", "oracle", &[])
}

/// The oracle's own counts of a path.
#[derive(Clone, Copy, Debug, Default)]
struct Truth {
    allocs: u64,
    bytes: u64,
    frees: u64,
    freed: u64,
    peak: u64,
    bytes_variance: f64,
    blocks_variance: f64,
}

fn run(heap: Heap, allocator: &Allocator, arguments: &[&str]) -> (Done, BTreeMap<String, Truth>) {
    let mut run = Run::shimmed(&oracle(), heap).allocator(allocator);
    run.command.args(arguments);
    let done = run.finish();
    let truth: Value = serde_json::from_str(&done.text()).unwrap();
    let paths = truth.as_object().unwrap().iter().map(|(name, path)| {
        let whole = |key: &str| path[key].as_u64().unwrap();
        let truth = Truth {
            allocs: whole("allocs"),
            bytes: whole("bytes"),
            frees: whole("frees"),
            freed: whole("freed"),
            peak: whole("peak"),
            bytes_variance: path["bytes_variance"].as_f64().unwrap(),
            blocks_variance: path["blocks_variance"].as_f64().unwrap(),
        };
        (name.clone(), truth)
    });
    let paths: BTreeMap<_, _> = paths.collect();
    assert_eq!(paths.len(), PATHS);
    (done, paths)
}

/// The region's sums of heap stacks by path.
fn recorded(region: &Region, symbols: &Symbols) -> BTreeMap<String, Counters> {
    region.by_name(symbols, |functions, kind| {
        let site = functions
            .iter()
            .position(|name| name.starts_with("site_"))?;
        let caller = functions.get(site + 1)?;
        let is_path = kind == Kind::Heap && caller.starts_with("caller_");
        is_path.then(|| format!("{} < {caller}", functions[site]))
    })
}

fn assert_counts(found: &BTreeMap<String, Counters>, truth: &BTreeMap<String, Truth>, what: &str) {
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        truth.keys().collect::<Vec<_>>(),
        "{what}"
    );
    for (path, truth) in truth {
        let found = &found[path];
        assert_eq!(
            (found.allocs, found.bytes, found.frees, found.freed),
            (truth.allocs, truth.bytes, truth.frees, truth.freed),
            "{what}: {path}: allocs, bytes, frees, freed"
        );
    }
}

/// The recording lost nothing that could excuse a wrong number.
fn assert_nothing_lost(region: &Region, what: &str) {
    let lost = region.lost();
    let lost = [
        lost.reentered,
        lost.threadless,
        lost.no_room,
        lost.nodes,
        lost.truncated,
        lost.mappings,
    ];
    assert_eq!(
        lost, [0; 6],
        "{what}: reentered, threadless, no_room, nodes, truncated, mappings"
    );
}

#[test]
fn one_thread_is_counted_exactly_and_so_is_its_peak() {
    let symbols = Symbols::of(&oracle());
    for allocator in allocators() {
        let (done, truth) = run(Heap::Full, &allocator, &["single", "60000", "7", "1"]);
        let (region, what) = (done.region(), allocator.name);
        assert_nothing_lost(region, what);
        let found = recorded(region, &symbols);
        assert_counts(&found, &truth, what);
        for (path, truth) in &truth {
            assert_eq!(
                found[path].peak_bytes, truth.peak,
                "{what}: {path}: bytes at the peak"
            );
        }
        assert!(
            truth
                .values()
                .all(|truth| truth.allocs > 1_000 && truth.peak > 0),
            "{truth:?}"
        );
    }
}

/// Blocks are freed by other threads than made them; each is counted on the stack that made it.
#[test]
fn threads_are_counted_exactly_and_their_peak_within_a_percent() {
    let symbols = Symbols::of(&oracle());
    for allocator in allocators() {
        let (done, truth) = run(
            Heap::Full,
            &allocator,
            &["threads", "200000", "8", "1", "4"],
        );
        let (region, what) = (done.region(), allocator.name);
        assert_nothing_lost(region, what);
        assert!(
            region.summary.threads >= 4,
            "{what}: {} recorders",
            region.summary.threads
        );
        let found = recorded(region, &symbols);
        assert_counts(&found, &truth, what);
        for (path, truth) in &truth {
            let off = found[path].peak_bytes.abs_diff(truth.peak) as f64 / truth.peak as f64;
            assert!(
                off < 0.01,
                "{what}: {path}: peak {} not {}",
                found[path].peak_bytes,
                truth.peak
            );
        }
    }
}

/// The allocator's own operator new leaves by an exception, and what comes after is counted as before.
#[test]
fn counting_goes_on_after_a_failed_operator_new() {
    let symbols = Symbols::of(&oracle());
    // mimalloc ends the program there.
    let allocators = allocators()
        .into_iter()
        .filter(|one| !one.name.starts_with("libmimalloc"));
    for allocator in allocators {
        for heap in [Heap::Full, Heap::Sampled(1)] {
            let (done, truth) = run(heap, &allocator, &["throwing", "20000", "9", "1", "2"]);
            let found = recorded(done.region(), &symbols);
            if heap == Heap::Full {
                assert_counts(&found, &truth, allocator.name);
            } else {
                // Nearly every byte is drawn, so nearly every block is.
                let sum: u64 = found.values().map(|path| path.samples).sum();
                let made: u64 = truth.values().map(|path| path.allocs).sum();
                assert!(
                    sum > made / 2,
                    "{}: {sum} samples of {made}",
                    allocator.name
                );
            }
        }
    }
}

/// Sums of several runs: what was estimated, what was true, and the variance of the estimate.
#[derive(Clone, Copy, Default)]
struct Estimate {
    found: f64,
    truth: f64,
    variance: f64,
}

impl Estimate {
    fn add(&mut self, found: f64, truth: f64, variance: f64) {
        self.found += found;
        self.truth += truth;
        self.variance += variance;
    }

    /// How many standard deviations the estimate is off.
    fn sigmas(&self) -> f64 {
        (self.found - self.truth) / self.variance.sqrt()
    }
}

/// By path, and in total under the empty name: bytes made, blocks made.
type Estimates = BTreeMap<String, [Estimate; 2]>;

fn estimate(runs: u32, first_seed: u32) -> Estimates {
    let symbols = Symbols::of(&oracle());
    let glibc = Allocator {
        name: "glibc",
        library: None,
    };
    let mut sums = Estimates::new();
    for seed in first_seed..first_seed + runs {
        let arguments = ["single", "30000", &seed.to_string(), "65536"];
        let (done, truth) = run(Heap::Sampled(64 << 10), &glibc, &arguments);
        let found = recorded(done.region(), &symbols);
        for (path, truth) in truth {
            let found = found.get(&path).copied().unwrap_or_default();
            let blocks = found.allocs as f64 / COUNT_SCALE as f64;
            for name in [path.as_str(), ""] {
                let [bytes_sum, blocks_sum] = sums.entry(name.to_owned()).or_default();
                bytes_sum.add(found.bytes as f64, truth.bytes as f64, truth.bytes_variance);
                blocks_sum.add(blocks, truth.allocs as f64, truth.blocks_variance);
            }
        }
    }
    sums
}

/// One run has one seed. An unbiased estimate is beyond 3 sigma once in 370 times, and so may be asked twice.
#[test]
fn samples_are_without_bias() {
    let runs = if shim_support::is_long() { 1_000 } else { 60 };
    let mut sums = estimate(runs, 1);
    if let Some(off) = beyond(&sums) {
        println!("asking again, as {off}");
        sums = estimate(runs, 1 + runs);
    }
    let off = beyond(&sums);
    assert!(off.is_none(), "{off:?}");
    let spread = spread(&sums);
    // The mean of 80 squares of standard normal values, 40 pairs of which are correlated: 1 with a
    // standard deviation below 0.23.
    assert!(
        (0.3..2.0).contains(&spread),
        "paths are off by {spread} of the variance"
    );
}

/// What is farther off than chance allows: a total by 3 sigma; of 40 paths, one by 4.5.
fn beyond(sums: &Estimates) -> Option<String> {
    sums.iter().find_map(|(path, pair)| {
        let most = if path.is_empty() { 3.0 } else { 4.5 };
        let off = pair
            .iter()
            .map(Estimate::sigmas)
            .find(|sigmas| sigmas.abs() > most);
        off.map(|sigmas| format!("{path:?} is off by {sigmas:.2} sigma"))
    })
}

fn spread(sums: &Estimates) -> f64 {
    let paths = sums.iter().filter(|(path, _)| !path.is_empty());
    let squares = paths.flat_map(|(_, pair)| pair.iter().map(|one| one.sigmas().powi(2)));
    let squares: Vec<f64> = squares.collect();
    squares.iter().sum::<f64>() / squares.len() as f64
}

/// Frees of sampled blocks are seen: what is live is estimated as well as what was made.
#[test]
fn sampled_blocks_that_are_freed_are_gone() {
    let symbols = Symbols::of(&oracle());
    for allocator in allocators() {
        let (done, truth) = run(
            Heap::Sampled(4096),
            &allocator,
            &["threads", "200000", "5", "4096", "4"],
        );
        let found = recorded(done.region(), &symbols);
        let sum = |each: &dyn Fn(&Counters) -> u64| found.values().map(each).sum::<u64>() as f64;
        let (made, gone) = (sum(&|path| path.bytes), sum(&|path| path.freed));
        let (bytes, freed, variance) = truth.values().fold((0, 0, 0.0), |sum, path| {
            (
                sum.0 + path.bytes,
                sum.1 + path.freed,
                sum.2 + path.bytes_variance,
            )
        });
        let live = (bytes - freed) as f64;
        // The variance of what stayed is a part of that of all.
        let sigma = (variance * live / bytes as f64).sqrt();
        let off = (made - gone - live).abs();
        assert!(
            off < 5.0 * sigma,
            "{}: live {} not {live}, sigma {sigma}",
            allocator.name,
            made - gone
        );
        done.region().assert_no_free_is_unknown();
    }
}

/// Pages mapped, parts of them unmapped: calls, pages, whole ranges gone, pages gone.
const MAPPINGS: &[(&str, [u64; 4])] = &[
    ("map_cut", [1, 10, 1, 10]),
    ("map_kept", [1, 20, 0, 2]),
    ("map_under", [1, 16, 0, 4]),
    ("map_over", [1, 4, 0, 0]),
    ("map_grown", [1, 4, 1, 4]),
    ("map_grow", [1, 64, 1, 64]),
    ("map_shrink", [1, 8, 0, 0]),
    ("map_shared", [1, 6, 0, 0]),
    // 5,000 bytes take two pages.
    ("map_odd", [1, 2, 0, 0]),
    ("map_stubborn", [1, 5, 0, 0]),
    ("map_large", [1, 300, 0, 0]),
    ("map_covered", [1, 7, 1, 7]),
];

#[test]
fn mappings_of_the_program_are_a_kind_of_their_own() {
    let symbols = Symbols::of(&oracle());
    for allocator in allocators() {
        for (heap, scale) in [(Heap::Full, 1), (Heap::Sampled(512 << 10), COUNT_SCALE)] {
            let run = Run::shimmed(&oracle(), heap)
                .arg("maps")
                .allocator(&allocator)
                .finish();
            assert_eq!(run.text(), "");
            let region = run.region();
            let found = region.by_name(&symbols, |functions, kind| {
                let name = functions.iter().find(|name| name.starts_with("map_"));
                (kind == Kind::Mapping).then(|| name.map_or("elsewhere", |name| name).to_owned())
            });
            let found = found.into_iter().map(|(name, sum)| {
                let row = [
                    sum.allocs / scale,
                    sum.bytes / PAGE,
                    sum.frees / scale,
                    sum.freed / PAGE,
                ];
                (name, row)
            });
            let mut expected: Vec<_> = MAPPINGS
                .iter()
                .map(|(name, row)| ((*name).to_owned(), *row))
                .collect();
            expected.sort();
            assert_eq!(
                found.collect::<Vec<_>>(),
                expected,
                "{} {heap:?}",
                allocator.name
            );
        }
    }
}
