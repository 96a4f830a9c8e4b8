//! Observations as the preload shim gives them: stacks, totals, and its own memory beside the samples.

use super::{heap_sample, observations};
use memtide_model::report::{LedgerRow, Report, StackRow};
use memtide_model::{
    Account, Bytes, CallStack, CodeModule, CodeModuleId, CodePlace, HeapMode, Lost, MappingClass,
    Nanos, Observations, Sample, StackCounters, StackEnd, StackHistory, StackKind,
    StackObservations, StackOwner, StackPoint, StackTotals, Symbol,
};

/// A function of the program that is told.
pub(crate) struct Site {
    pub(crate) function: &'static str,
    pub(crate) kind: StackKind,
    pub(crate) owner: StackOwner,
    /// Bytes of a block.
    pub(crate) block: u64,
    /// Blocks made and blocks freed until second t.
    pub(crate) counts: Box<dyn Fn(f64) -> (u64, u64)>,
}

impl Site {
    pub(crate) fn heap(
        function: &'static str,
        block: u64,
        counts: impl Fn(f64) -> (u64, u64) + 'static,
    ) -> Self {
        Self {
            function,
            kind: StackKind::Heap,
            owner: StackOwner::Target,
            block,
            counts: Box::new(counts),
        }
    }

    /// Live bytes at second t.
    fn live(&self, t: f64) -> u64 {
        let (allocs, frees) = (self.counts)(t);
        (allocs - frees) * self.block
    }
}

/// `seconds` of a process, four samples a second, whose `[heap]` holds `heap(t, live bytes)` bytes and which
/// allocates at these sites.
pub(crate) fn recorded(
    seconds: u32,
    sites: &[Site],
    heap: impl Fn(f64, f64) -> f64,
) -> Observations {
    let times: Vec<f64> = (0..=4 * seconds).map(|k| f64::from(k) / 4.0).collect();
    let live = |kind: StackKind, t: f64| -> u64 {
        let mine = |site: &&Site| site.kind == kind && site.owner == StackOwner::Target;
        sites.iter().filter(mine).map(|site| site.live(t)).sum()
    };
    let samples: Vec<Sample> = (times.iter())
        .map(|&t| heap_sample(t, heap(t, live(StackKind::Heap, t) as f64)))
        .collect();
    let mut peak = 0;
    let totals = times.iter().map(|&t| {
        let (heap, mapped) = (live(StackKind::Heap, t), live(StackKind::Mapping, t));
        peak = peak.max(heap + mapped);
        let counted =
            |site: &&Site| site.kind == StackKind::Heap && site.owner == StackOwner::Target;
        let sum = |value: fn(&Site, f64) -> u64| -> u64 {
            sites
                .iter()
                .filter(counted)
                .map(|site| value(site, t))
                .sum()
        };
        StackTotals {
            // Read just after the mappings, as the recorder does.
            at: moment(t) + Nanos(2_000_000),
            live_bytes: Bytes(heap),
            live_blocks: sum(|site, t| {
                let (allocs, frees) = (site.counts)(t);
                allocs - frees
            }),
            mapping_bytes: Bytes(mapped),
            peak_bytes: Bytes(peak),
            allocs: sum(|site, t| (site.counts)(t).0),
            allocated_bytes: Bytes(sum(|site, t| (site.counts)(t).0 * site.block)),
        }
    });
    let totals: Vec<StackTotals> = totals.collect();
    let stacks = StackObservations {
        mode: HeapMode::Full,
        interval: Bytes(1),
        totals,
        modules: vec![CodeModule {
            path: "/bin/case".into(),
            build_id: String::new(),
        }],
        stacks: (sites.iter().enumerate())
            .map(|(index, site)| history(index, site, &times))
            .collect(),
        symbols: (sites.iter().enumerate())
            .map(|(index, site)| (place(index), vec![symbol(site.function, index)]))
            .collect(),
        symbol_warnings: Vec::new(),
        lost: Lost::default(),
        ended: false,
    };
    Observations {
        stacks: Some(stacks),
        ..observations(samples, "none")
    }
}

/// Second t of the recordings made here.
pub(crate) fn moment(t: f64) -> Nanos {
    Nanos::from_secs_f64(1_000.0 + t)
}

fn place(index: usize) -> CodePlace {
    CodePlace {
        module: Some(CodeModuleId(0)),
        address: 0x1000 + 16 * index as u64,
    }
}

fn symbol(function: &str, index: usize) -> Symbol {
    Symbol {
        function: Some(function.into()),
        file: Some("/src/case.c".into()),
        line: Some(10 + index as u32),
        inlined: false,
    }
}

/// Points where the counters changed.
fn history(index: usize, site: &Site, times: &[f64]) -> StackHistory {
    let mut points: Vec<StackPoint> = Vec::new();
    for &t in times {
        let (allocs, frees) = (site.counts)(t);
        let same = points
            .last()
            .is_some_and(|last| (last.allocs, last.frees) == (allocs, frees));
        if allocs > 0 && !same {
            points.push(StackPoint {
                at: moment(t) + Nanos(2_000_000),
                allocs,
                frees,
                live_bytes: Bytes((allocs - frees) * site.block),
            });
        }
    }
    let (allocs, frees) = (site.counts)(times[times.len() - 1]);
    StackHistory {
        stack: CallStack {
            kind: site.kind,
            owner: site.owner,
            end: StackEnd::Root,
            frames: vec![place(index)],
        },
        last: StackCounters {
            allocs,
            bytes: allocs * site.block,
            frees,
            freed: frees * site.block,
            peak_bytes: (allocs - frees) * site.block,
            ..StackCounters::default()
        },
        points,
    }
}

/// Gives the shim memory of its own in every sample: private tables and a region on a disk.
pub(crate) fn with_own_memory(observations: &mut Observations, bytes: impl Fn(f64) -> (u64, u64)) {
    for sample in &mut observations.samples {
        let (private, region) = bytes(sample.at.seconds_since(moment(0.0)));
        let (private, region) = (Bytes(private), Bytes(region));
        sample.memory.rss += private + region;
        sample.memory.size += private + region;
        sample.memory.rss_anon = sample.memory.rss_anon.map(|anon| anon + private);
        sample.memory.rss_file = sample.memory.rss_file.map(|file| file + region);
        if let Some(maps) = &mut sample.maps {
            let own = maps.classes.get_mut(MappingClass::Shim);
            own.count = 2;
            own.size = private + region;
            own.rss = private + region;
            own.anonymous = private;
        }
    }
}

pub(crate) const KIB: f64 = 1024.0;
pub(crate) const MIB: f64 = 1024.0 * KIB;

/// `rate` blocks a second that are never freed, from the start on.
pub(crate) fn leak(rate: f64) -> impl Fn(f64) -> (u64, u64) {
    move |t| ((rate * t) as u64 + 1, 0)
}

/// `live` blocks at all times, of which `rate` a second are replaced.
pub(crate) fn churn(live: u64, rate: f64) -> impl Fn(f64) -> (u64, u64) {
    move |t| (live + (rate * t) as u64, (rate * t) as u64)
}

pub(crate) fn stacks(report: &Report) -> &[StackRow] {
    report.stacks.as_deref().expect("the shim looked")
}

pub(crate) fn name(row: &StackRow) -> &str {
    row.frames[0].function.as_deref().expect("a name")
}

pub(crate) fn names(report: &Report) -> Vec<&str> {
    stacks(report).iter().map(name).collect()
}

pub(crate) fn account(report: &Report, account: Account) -> Option<&LedgerRow> {
    report.ledger.iter().find(|row| row.account == account)
}

/// 100 blocks of 1 KiB a second leak, 4 MiB are in use beside it; the heap has 2 MiB more than is live.
pub(crate) fn leaking(seconds: u32) -> Observations {
    recorded(
        seconds,
        &[
            Site::heap("use_table", 4096, churn(1024, 500.0)),
            Site::heap("parse_line", 1024, leak(100.0)),
            Site::heap("start_up", 1 << 20, |_| (8, 0)),
        ],
        |_, live| 1.05 * live + 2.0 * MIB,
    )
}
