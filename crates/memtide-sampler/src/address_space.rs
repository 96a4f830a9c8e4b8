//! The target's mappings from one read of smaps to the next: classes, sums, and who has grown.
//!
//! A mapping is known by its start address as long as its class and name stay the same; `[stack]`,
//! which grows downwards, by its end. Everything lives in tables that are used again, so that a
//! process with ten thousand mappings costs one walk and no allocation per mapping.

use crate::classify::{Place, classify};
use crate::own::Own;
use crate::software::Clues;
use memtide_model::text::printable;
use memtide_model::{Bytes, ClassTotals, Mapping, MappingClass, MappingState, Maps};
use memtide_proc::parse::smaps::{Sizes, SmapsEntry};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Growth of RSS from which on a mapping counts as grown.
const GROWN: Bytes = Bytes::from_kib(128);

/// What is kept of an entry until its neighbour is known.
#[derive(Clone, Debug)]
struct Row {
    start: u64,
    end: u64,
    protection: [u8; 4],
    inode: u64,
    name: Range<usize>,
    rss: Bytes,
    anonymous: Bytes,
}

/// A mapping that was seen before.
#[derive(Debug)]
struct Known {
    mapping: Arc<Mapping>,
    raw_name: Box<[u8]>,
    first_rss: Bytes,
    seen_in: u64,
}

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct AddressSpace {
    rows: Vec<Row>,
    names: Vec<u8>,
    sums: Maps,
    known: HashMap<u64, Known>,
    read: u64,
    /// Which of them are memtide's.
    pub(crate) own: Own,
}

impl AddressSpace {
    /// Begins a new read.
    pub(crate) fn begin(&mut self) {
        self.rows.clear();
        self.names.clear();
        self.sums = Maps::default();
        self.read += 1;
    }

    /// Takes one mapping, in order of addresses.
    pub(crate) fn push(&mut self, entry: &SmapsEntry) {
        let SmapsEntry { map, sizes } = entry;
        let from = self.names.len();
        self.names.extend_from_slice(map.name);
        self.rows.push(Row {
            start: map.start,
            end: map.end,
            protection: map.protection,
            inode: map.inode,
            name: from..self.names.len(),
            rss: sizes.rss.unwrap_or_default(),
            anonymous: sizes.anonymous.unwrap_or_default(),
        });
        add_sums(&mut self.sums, sizes);
    }

    /// Ends the read: the sums, and every mapping with its class.
    pub(crate) fn finish(&mut self) -> (Maps, Vec<MappingState>) {
        let mut states = Vec::with_capacity(self.rows.len());
        let mut totals = self.sums;
        for at in 0..self.rows.len() {
            let Some(place) = self.place(at) else {
                continue;
            };
            let class = self.class(at, &place);
            let Some(row) = self.rows.get(at) else {
                continue;
            };
            let name = self.names.get(row.name.clone()).unwrap_or_default();
            let known = known(&mut self.known, self.read, class, row, name);
            add(totals.classes.get_mut(class), row, known.first_rss);
            states.push(MappingState {
                mapping: Arc::clone(&known.mapping),
                size: Bytes(row.end.saturating_sub(row.start)),
                rss: row.rss,
            });
        }
        let read = self.read;
        self.known.retain(|_, known| known.seen_in == read);
        (totals, states)
    }

    /// The class of the mapping in row `at`. The preload shim's closed reserves are nobody's guard and
    /// no arena's rest: its mappings are no neighbours.
    fn class(&self, at: usize, place: &Place) -> MappingClass {
        if self.own.holds(place) {
            return MappingClass::Shim;
        }
        let neighbour = |at: usize| self.place(at).filter(|place| !self.own.holds(place));
        let before = at.checked_sub(1).and_then(neighbour);
        classify(before.as_ref(), place, neighbour(at + 1).as_ref())
    }

    /// Forgets everything: another program runs in this process now.
    pub(crate) fn reset(&mut self) {
        self.known.clear();
        self.own.set_ranges(&[]);
    }

    /// How many mappings the last read saw.
    pub(crate) fn len(&self) -> u64 {
        self.rows.len() as u64
    }

    /// What the last read tells of allocator and runtime.
    pub(crate) fn clues(&self) -> Clues {
        let mut clues = Clues::default();
        for row in &self.rows {
            clues.note(
                row.start,
                self.names.get(row.name.clone()).unwrap_or_default(),
            );
        }
        clues
    }

    fn place(&self, at: usize) -> Option<Place<'_>> {
        let row = self.rows.get(at)?;
        Some(Place {
            start: row.start,
            end: row.end,
            protection: row.protection,
            inode: row.inode,
            name: self.names.get(row.name.clone())?,
        })
    }
}

/// The sums over all mappings. A field that this kernel does not print counts as nothing: the
/// analyzer reads them as evidence for growth only.
pub(crate) fn add_sums(sums: &mut Maps, sizes: &Sizes) {
    sums.pss += sizes.pss.unwrap_or_default();
    sums.private_dirty += sizes.private_dirty.unwrap_or_default();
    sums.lazy_free += sizes.lazy_free.unwrap_or_default();
    sums.anon_huge += sizes.anon_huge_pages.unwrap_or_default();
    sums.swap += sizes.swap.unwrap_or_default();
}

/// The mapping's entry in the table, made anew where another one lies at its address now.
fn known<'t>(
    table: &'t mut HashMap<u64, Known>,
    read: u64,
    class: MappingClass,
    row: &Row,
    raw_name: &[u8],
) -> &'t Known {
    let address = if class == MappingClass::MainStack {
        row.end
    } else {
        row.start
    };
    let fresh = || Known {
        mapping: Arc::new(Mapping {
            address,
            class,
            protection: row.protection,
            name: printable(raw_name).into(),
        }),
        raw_name: raw_name.into(),
        first_rss: row.rss,
        seen_in: read,
    };
    let known = table.entry(address).or_insert_with(fresh);
    if known.mapping.class != class || *known.raw_name != *raw_name {
        *known = fresh();
    }
    known.seen_in = read;
    known
}

fn add(totals: &mut ClassTotals, row: &Row, first_rss: Bytes) {
    let growth = row.rss.saturating_sub(first_rss);
    totals.count += 1;
    totals.size += Bytes(row.end.saturating_sub(row.start));
    totals.rss += row.rss;
    totals.anonymous += row.anonymous;
    totals.grown += u64::from(growth >= GROWN);
    totals.max_growth = totals.max_growth.max(growth);
    totals.largest = totals.largest.max(row.rss);
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_proc::parse::maps::{Device, MapEntry};

    const KIB: u64 = 1024;

    fn entry(start: u64, kib: u64, rss_kib: u64, name: &'static [u8]) -> SmapsEntry<'static> {
        let map = MapEntry {
            start,
            end: start + kib * KIB,
            protection: *b"rw-p",
            offset: 0,
            device: Device { major: 0, minor: 0 },
            inode: u64::from(name.starts_with(b"/")),
            name,
        };
        let rss = Some(Bytes::from_kib(rss_kib));
        SmapsEntry {
            map,
            sizes: Sizes {
                rss,
                anonymous: rss,
                ..Sizes::default()
            },
        }
    }

    fn read(space: &mut AddressSpace, entries: &[SmapsEntry]) -> (Maps, Vec<MappingState>) {
        space.begin();
        for entry in entries {
            space.push(entry);
        }
        space.finish()
    }

    #[test]
    fn growth_is_counted_from_the_first_sight_of_each_mapping() {
        let mut space = AddressSpace::default();
        let heap = |rss| entry(0x1000_0000, 4096, rss, b"[heap]");
        let (first, _) = read(&mut space, &[heap(100)]);
        assert_eq!(first.classes.get(MappingClass::Heap).grown, 0);
        let (second, states) = read(&mut space, &[heap(300)]);
        let totals = second.classes.get(MappingClass::Heap);
        assert_eq!((totals.count, totals.rss), (1, Bytes::from_kib(300)));
        assert_eq!((totals.grown, totals.max_growth), (1, Bytes::from_kib(200)));
        assert_eq!(states[0].mapping.class, MappingClass::Heap);
    }

    #[test]
    fn another_mapping_at_the_same_address_starts_anew() {
        let mut space = AddressSpace::default();
        read(&mut space, &[entry(0x7000_0000, 1024, 10, b"/a")]);
        let (maps, states) = read(&mut space, &[entry(0x7000_0000, 1024, 900, b"/b")]);
        assert_eq!(maps.classes.get(MappingClass::File).grown, 0);
        assert_eq!(&*states[0].mapping.name, "/b");
        // Gone and back again is a new one, too.
        read(&mut space, &[]);
        let (maps, _) = read(&mut space, &[entry(0x7000_0000, 1024, 2000, b"/b")]);
        assert_eq!(maps.classes.get(MappingClass::File).grown, 0);
    }

    #[test]
    fn the_main_stack_keeps_its_identity_when_it_grows_downwards() {
        let mut space = AddressSpace::default();
        let at = |kib: u64| entry(0x7fff_0000 - kib * KIB, kib, kib, b"[stack]");
        read(&mut space, &[at(132)]);
        let (maps, _) = read(&mut space, &[at(1132)]);
        assert_eq!(maps.classes.get(MappingClass::MainStack).grown, 1);
    }

    #[test]
    fn a_name_that_is_no_text_is_escaped() {
        let mut space = AddressSpace::default();
        let (_, states) = read(&mut space, &[entry(0x1000, 4, 4, b"/tmp/\xff\n x")]);
        assert_eq!(&*states[0].mapping.name, "/tmp/\\xff\\x0a x");
    }
}
