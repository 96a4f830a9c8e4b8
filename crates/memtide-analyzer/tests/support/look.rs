//! Observations with looks into the heap beside the samples.

use super::shim::{KIB, MIB, moment};
use super::{heap_sample, observations};
use memtide_analyzer::analyze;
use memtide_model::report::Verdict;
use memtide_model::{
    ArenaTotals, Bytes, HeapClass, HeapObservations, HeapSnapshot, HeapTotals, MappingClass, Nanos,
    Observations, Sample, SizeClass,
};

/// As the lens looks in a minute.
pub(crate) const AT: [f64; 5] = [0.0, 10.0, 20.0, 40.0, 60.0];

/// Live blocks grow by 200 KiB/s beside 2 MiB of free memory.
pub(crate) fn leaking(t: f64) -> Books {
    Books {
        live: 8.0 * MIB + 200.0 * KIB * t,
        free: 2.0 * MIB,
        trimmable: MIB,
        ..Books::default()
    }
}

/// Free memory that is stuck between live blocks grows by 200 KiB/s.
pub(crate) fn fragmenting(t: f64) -> Books {
    Books {
        live: 8.0 * MIB,
        free: 2.0 * MIB + 200.0 * KIB * t,
        trimmable: 0.5 * MIB,
        ..Books::default()
    }
}

/// The verdict alone.
pub(crate) fn verdict(observations: &Observations) -> Verdict {
    analyze(observations).report.verdict
}

/// The fact that holds these words.
pub(crate) fn fact<'a>(verdict: &'a Verdict, part: &str) -> &'a str {
    let fact = (verdict.evidence.iter()).find(|evidence| evidence.fact.contains(part));
    &fact
        .unwrap_or_else(|| panic!("no fact has {part:?}: {verdict:#?}"))
        .fact
}

/// What the heap holds at a moment, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Books {
    /// Live blocks in the arenas, all of them resident.
    pub(crate) live: f64,
    /// Live blocks with a mapping of their own, all of them resident.
    pub(crate) own: f64,
    /// Free memory of the arenas, resident.
    pub(crate) free: f64,
    /// What of that a trim would give back.
    pub(crate) trimmable: f64,
    /// Anonymous memory that is not malloc's.
    pub(crate) other: f64,
}

/// A look at second t that finds these books.
pub(crate) fn look(t: f64, books: &Books) -> HeapSnapshot {
    let bytes = |value: f64| Bytes(value as u64);
    let live = bytes(books.live) + bytes(books.own);
    HeapSnapshot {
        at: moment(t),
        cpu: Nanos(10_000_000),
        rss: live + bytes(books.free) + bytes(books.other),
        layout: "glibc 2.36 to 2.41".to_owned(),
        totals: HeapTotals {
            live_blocks: live.0 / 1024,
            live_bytes: live,
            live_resident: live,
            mmapped_blocks: u64::from(books.own > 0.0),
            mmapped_bytes: bytes(books.own),
            mmapped_resident: bytes(books.own),
            free_bytes: bytes(books.free),
            free_resident: bytes(books.free),
            trimmable: bytes(books.trimmable),
            stuck: bytes(books.free - books.trimmable),
            heap_resident: live + bytes(books.free),
            ..HeapTotals::default()
        },
        arenas: vec![ArenaTotals {
            address: 0x1000,
            is_main: true,
            threads: 1,
            live_bytes: bytes(books.live),
            free_bytes: bytes(books.free),
            resident: bytes(books.live) + bytes(books.free),
            ..ArenaTotals::default()
        }],
        sizes: vec![SizeClass {
            size: 1024,
            live_blocks: live.0 / 1024,
            live_bytes: live,
            ..SizeClass::default()
        }],
        ..HeapSnapshot::default()
    }
}

/// `seconds` of a process, four samples a second, with looks at these seconds.
pub(crate) fn looked(seconds: u32, at: &[f64], books: impl Fn(f64) -> Books) -> Observations {
    let sample = |t: f64| -> Sample {
        let Books {
            live,
            own,
            free,
            other,
            ..
        } = books(t);
        let mut sample = heap_sample(t, live + free);
        let anon = Bytes(own as u64) + Bytes(other as u64);
        sample.memory.rss += anon;
        sample.memory.rss_anon = Some(sample.memory.rss);
        if let Some(maps) = &mut sample.maps {
            let totals = maps.classes.get_mut(MappingClass::Anon);
            (totals.rss, totals.size, totals.count) = (anon, anon, 1);
        }
        sample
    };
    let samples = (0..=4 * seconds).map(|k| sample(f64::from(k) / 4.0));
    Observations {
        heap: Some(HeapObservations {
            snapshots: at.iter().map(|&t| look(t, &books(t))).collect(),
            unavailable: None,
        }),
        ..observations(samples.collect(), "none")
    }
}

/// The looks of the observations, to change them.
pub(crate) fn looks(observations: &mut Observations) -> &mut Vec<HeapSnapshot> {
    &mut observations.heap.as_mut().expect("looked into").snapshots
}

/// Objects of a class.
pub(crate) fn class(name: &str, count: u64, bytes: u64) -> HeapClass {
    HeapClass {
        name: name.to_owned(),
        runtime: "c++".to_owned(),
        count,
        bytes: Bytes(bytes),
    }
}
