//! Vtables of a made-up program, and of hostile ones.

use super::*;
use crate::memory::PageState;
use std::collections::BTreeSet;

/// A made-up program at 0x10000: header and names, code, vtables, `.bss`, one page each.
const HEADER: u64 = 0x10_000;
const CODE: u64 = 0x11_000;
const DATA: u64 = 0x12_000;
const BSS: u64 = 0x13_000;
const BEHIND: u64 = 0x14_000;

/// Where the parts of its only class are.
const NAME: u64 = HEADER + 0x100;
const INFO: u64 = DATA + 0x100;
const VTABLE: u64 = DATA + 0x200;

#[derive(Clone)]
struct Program {
    mappings: Vec<Mapping>,
    bytes: Vec<u8>,
    swapped: BTreeSet<u64>,
}

impl Program {
    fn new() -> Self {
        let part = |start, offset, is_writable, is_executable| Mapping {
            start,
            end: start + 0x1000,
            is_readable: true,
            is_writable,
            is_executable,
            offset,
            inode: 7,
            name: (*b"/opt/shop/server (deleted)").into(),
            ..Mapping::default()
        };
        let bss = Mapping {
            inode: 0,
            name: Box::default(),
            ..part(BSS, 0, true, false)
        };
        let mut program = Self {
            mappings: vec![
                part(HEADER, 0, false, false),
                part(CODE, 0x1000, false, true),
                part(DATA, 0x2000, true, false),
                bss,
            ],
            bytes: vec![0; 0x4000],
            swapped: BTreeSet::new(),
        };
        program.text(NAME, b"N4shop4CartE\0");
        // The class of `type_info` itself.
        program.words(DATA + 0x10, &[0, DATA + 0x800, CODE]);
        program.words(INFO, &[DATA + 0x20, NAME]);
        program.words(VTABLE - 16, &[0, INFO, CODE + 8]);
        program
    }

    fn text(&mut self, address: u64, text: &[u8]) {
        let at = usize::try_from(address - HEADER).unwrap();
        self.bytes[at..at + text.len()].copy_from_slice(text);
    }

    fn words(&mut self, address: u64, words: &[u64]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.text(address, &bytes);
    }

    /// What blocks of 32 bytes that start with these words are, in this order.
    fn classes(&self, classes: &mut Classes, words: &[u64]) -> Vec<(String, u64, u64)> {
        let mut census = Census::new(&self.mappings);
        for &word in words {
            let chunk = Chunk {
                address: 0x20_000,
                size: 32,
            };
            census.live(chunk, word);
        }
        let found = classes.name(&census, self).unwrap();
        found
            .into_iter()
            .inspect(|class| assert_eq!(class.runtime, "c++"))
            .map(|class| (class.name, class.count, class.bytes.0))
            .collect()
    }

    fn class(&self, word: u64) -> Option<String> {
        let found = self.classes(&mut Classes::default(), &[word]);
        found.into_iter().map(|(name, ..)| name).next()
    }
}

impl Memory for Program {
    fn mappings(&self) -> &[Mapping] {
        &self.mappings
    }

    fn read(&self, address: u64, into: &mut [u8]) -> Result<usize, Error> {
        let from = address.checked_sub(HEADER).unwrap_or(u64::MAX);
        let from = usize::try_from(from).unwrap();
        let there = self.bytes.get(from..).unwrap_or_default();
        let count = there.len().min(into.len());
        into[..count].copy_from_slice(&there[..count]);
        Ok(count)
    }

    fn gather(&self, _: &[u64], _: usize, _: &mut Vec<u8>) -> Result<(), Error> {
        unreachable!("classes are looked up one by one")
    }

    fn pages(&self, first: u64, states: &mut [PageState]) -> Result<(), Error> {
        for (page, state) in (first..).zip(states) {
            *state = PageState::Present;
            if self.swapped.contains(&page) {
                *state = PageState::Swapped;
            }
        }
        Ok(())
    }
}

fn named(name: &str, count: u64) -> (String, u64, u64) {
    (name.to_owned(), count, 32 * count)
}

#[test]
fn blocks_are_named_by_their_vtables() {
    let mut program = Program::new();
    // Another vtable of the same class, a copy in `.bss`, and a class without RTTI.
    program.words(DATA + 0x300 - 16, &[0, INFO, CODE]);
    program.words(BSS + 0x40 - 16, &[0, INFO, CODE]);
    program.words(DATA + 0x400 - 16, &[0, 0, CODE]);
    let others = [
        0,
        7,
        CODE,
        HEADER,
        BEHIND,
        VTABLE + 8,
        VTABLE + 1,
        u64::MAX - 7,
    ];
    let words = [
        &[VTABLE, VTABLE, DATA + 0x300, BSS + 0x40, DATA + 0x400][..],
        &others[..],
    ]
    .concat();
    assert_eq!(
        program.classes(&mut Classes::default(), &words),
        [named("shop::Cart", 4), named("vtable at server+0x2400", 1)]
    );
    // One that is not position-independent counts its addresses as they are.
    program.words(HEADER + 16, &[2]);
    assert_eq!(
        program.class(DATA + 0x400).as_deref(),
        Some("vtable at server+0x12400")
    );
}

#[test]
fn what_is_no_vtable_has_no_class() {
    let whole = Program::new();
    assert_eq!(whole.class(VTABLE).as_deref(), Some("shop::Cart"));
    let broken: [(&str, u64, &[u64]); 9] = [
        (
            "an offset to the top: another base's",
            VTABLE - 16,
            &[u64::MAX - 15],
        ),
        ("a type_info outside of the program", VTABLE - 8, &[0x9000]),
        ("a type_info that is not aligned", VTABLE - 8, &[INFO + 1]),
        ("no function", VTABLE, &[DATA]),
        ("no type_info and no function", VTABLE - 8, &[0, 0]),
        ("a type_info of no class", INFO, &[NAME]),
        ("a name outside of the program", INFO + 8, &[BEHIND]),
        (
            "a name that is no name",
            NAME,
            &[u64::from_le_bytes(*b"GET / HT")],
        ),
        ("an empty name", NAME, &[0]),
    ];
    for (what, address, words) in broken {
        let mut program = whole.clone();
        program.words(address, words);
        assert_eq!(program.class(VTABLE), None, "{what}");
    }
    let mut endless = whole;
    endless.text(NAME, &[b'1'; 0x1000 - 0x100]);
    endless.bytes[0x1000..].fill(b'1');
    assert_eq!(endless.class(VTABLE), None);
}

#[test]
fn an_abstract_class_needs_no_function() {
    let mut program = Program::new();
    program.words(VTABLE, &[0]);
    assert_eq!(program.class(VTABLE).as_deref(), Some("shop::Cart"));
}

#[test]
fn swapped_pages_are_not_read_and_asked_for_again() {
    let mut program = Program::new();
    let mut classes = Classes::default();
    program.swapped.insert(NAME / 4096);
    assert_eq!(program.classes(&mut classes, &[VTABLE]), []);
    program.swapped.clear();
    assert_eq!(
        program.classes(&mut classes, &[VTABLE]),
        [named("shop::Cart", 1)]
    );
    // It is known now.
    program.swapped.insert(NAME / 4096);
    assert_eq!(
        program.classes(&mut classes, &[VTABLE, VTABLE]),
        [named("shop::Cart", 2)]
    );
}

#[test]
fn what_is_known_goes_with_its_file() {
    let mut program = Program::new();
    let mut classes = Classes::default();
    program.classes(&mut classes, &[VTABLE]);
    program.text(NAME, b"N4shop4ShipE\0");
    assert_eq!(
        program.classes(&mut classes, &[VTABLE]),
        [named("shop::Cart", 1)],
        "names in the same file do not change"
    );
    for mapping in &mut program.mappings[..3] {
        mapping.inode = 8;
    }
    assert_eq!(
        program.classes(&mut classes, &[VTABLE]),
        [named("shop::Ship", 1)]
    );
}

#[test]
fn a_data_file_holds_no_vtables_and_mixed_code_does() {
    let mut program = Program::new();
    program.mappings[1].is_executable = false;
    assert_eq!(program.class(VTABLE), None, "nothing of it is run");

    let mut program = Program::new();
    program.mappings[0].is_executable = true;
    program.words(HEADER + 0x800 - 16, &[0, INFO, CODE]);
    assert_eq!(
        program.class(HEADER + 0x800).as_deref(),
        Some("shop::Cart"),
        "its read-only data is in the mapping of its code"
    );
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    /// Words that point about, so that many of the checks hold.
    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            (HEADER / 8..BEHIND / 8).prop_map(|word| word * 8),
            Just(CODE),
            Just(VTABLE),
            any::<u64>(),
        ]
    }

    proptest! {
        #[test]
        fn no_memory_is_too_odd(
            memory in prop::collection::vec(word(), 2048),
            words in prop::collection::vec(word(), 0..200),
        ) {
            let mut program = Program::new();
            program.words(HEADER, &memory);
            let found = program.classes(&mut Classes::default(), &words);
            let count: u64 = found.iter().map(|(_, count, _)| count).sum();
            prop_assert!(count <= words.len() as u64);
        }
    }
}
