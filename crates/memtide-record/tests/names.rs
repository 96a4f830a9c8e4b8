//! Names of places: stored after the run, replaced as a whole, refused where they would do harm.

mod common;

use common::place::{Tmpfs, copy};
use common::stacks::{Stacks, place};
use common::{Simulation, start, target};
use memtide_model::{Bytes, CodePlace, HeapMode, Nanos, StackObservations, Symbol};
use memtide_record::{Code, ErrorKind, Reader, Writer, store_symbols};
use std::path::Path;

fn writer(path: &Path) -> Writer {
    let mut writer = Writer::create(path, &target(), &start(Nanos::SECOND)).expect("new");
    writer
        .stacks_start(HeapMode::Sampled, Bytes(524_288))
        .expect("there is room");
    let mut simulation = Simulation::ordinary();
    let mut program = Stacks::new(100, 10, 100, 5_000);
    for _ in 0..20 {
        writer.tick(&simulation.next()).expect("there is room");
        writer.stacks(&program.next()).expect("there is room");
    }
    writer
}

fn stacks(path: &Path) -> StackObservations {
    let seen = Reader::open(path).and_then(|reader| reader.observations(100));
    seen.expect("sound").stacks.expect("the shim looked")
}

fn code(path: &Path) -> Code {
    let code = Reader::open(path).and_then(|reader| reader.code());
    code.expect("sound")
}

fn symbol(function: &str, line: u32, inlined: bool) -> Symbol {
    Symbol {
        function: Some(function.into()),
        file: Some("/src/shop.c".into()),
        line: Some(line),
        inlined,
    }
}

/// Of every third place two names, of every third none found, of the others none looked up.
fn names(places: &[CodePlace], function: &str) -> Vec<(CodePlace, Vec<Symbol>)> {
    let names = places.iter().zip(0_u32..).filter(|(_, n)| n % 3 > 0);
    let names = names.map(|(place, n)| {
        let two = vec![
            symbol(function, n, true),
            Symbol {
                function: None,
                file: None,
                line: None,
                inlined: false,
            },
        ];
        (*place, if n % 3 == 1 { two } else { Vec::new() })
    });
    names.collect()
}

#[test]
fn names_come_back_and_are_replaced_as_a_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    writer(&path).finish().expect("there is room");
    let before = stacks(&path);
    assert_eq!((before.symbols.len(), before.symbol_warnings.len()), (0, 0));
    let code = code(&path);
    assert_eq!(code.modules, before.modules);
    let mut places: Vec<CodePlace> = before
        .stacks
        .iter()
        .flat_map(|h| h.stack.frames.clone())
        .collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(code.places, places);

    let first = names(&places, "first");
    let warnings = ["no debug file of shop".to_owned(), "install it".to_owned()];
    store_symbols(&path, &first, &warnings).expect("it is complete");
    let seen = stacks(&path);
    assert_eq!(seen.symbols, first);
    assert_eq!(seen.symbol_warnings, warnings);
    assert_eq!(seen.symbols(places[1]), first[0].1);

    // In any order, with places that are not there, one twice: the last counts.
    let mut second = names(&places[..10], "second");
    let want = second.clone();
    second.reverse();
    second.insert(0, (want[0].0, vec![symbol("no", 1, false); 5]));
    second.push((place(77, 77), vec![symbol("nowhere", 1, false)]));
    store_symbols(&path, &second, &[]).expect("it is complete");
    let seen = stacks(&path);
    assert_eq!(seen.symbols, want);
    assert_eq!(
        StackObservations {
            symbols: Vec::new(),
            ..seen
        },
        before,
        "nothing else changed"
    );
    let files = std::fs::read_dir(dir.path()).expect("a directory").count();
    assert_eq!(files, 1, "no side files");
}

#[test]
fn a_recording_that_is_being_written_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let writer = writer(&path);
    let error = store_symbols(&path, &[], &[]).expect_err("somebody writes");
    assert_eq!(error.kind(), ErrorKind::BeingWritten, "{error}");
    writer.finish().expect("nothing is in the way");
    store_symbols(&path, &[], &[]).expect("it is complete");
}

#[test]
fn a_recording_that_a_kill_cut_off_can_be_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let _writer = writer(&path);
    // What a kill leaves: file and WAL, and nobody who holds them.
    let left = dir.path().join("left.memtide");
    copy(&path, &left);
    copy(
        &dir.path().join("a.memtide-wal"),
        &dir.path().join("left.memtide-wal"),
    );
    let names = names(&code(&left).places, "found");
    assert!(names.len() > 100, "{}", names.len());
    store_symbols(&left, &names, &[]).expect("nobody writes");
    assert_eq!(stacks(&left).symbols, names);
}

#[test]
fn a_reader_of_a_complete_recording_is_not_in_the_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let writer = writer(&path);
    let reader = Reader::open(&path).expect("it is being written");
    writer.finish().expect("there is room");
    let names = names(&code(&path).places, "found");
    store_symbols(&path, &names, &[]).expect("it is complete");
    let seen = reader.observations(10).expect("sound").stacks;
    assert_eq!(seen.expect("the shim looked").symbols, names);
}

#[test]
fn what_cannot_be_named_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("a.memtide");
    let refused = |path: &Path| store_symbols(path, &[], &[]).expect_err("refused").kind();
    assert_eq!(refused(&path), ErrorKind::NotFound);
    std::fs::write(&path, "a text file").expect("there is room");
    assert_eq!(refused(&path), ErrorKind::NotARecording);
    let plain = dir.path().join("plain");
    let writer = Writer::create(&plain, &target(), &start(Nanos::SECOND)).expect("new");
    writer.finish().expect("there is room");
    let before = std::fs::read(&plain).expect("it is there");
    assert_eq!(refused(&plain), ErrorKind::NoStacks);
    assert_eq!(std::fs::read(&plain).expect("it is there"), before);
    let Some(small) = Tmpfs::new(4_096) else {
        return;
    };
    let path = small.path().join("a.memtide");
    self::writer(&path).finish().expect("there is room");
    small.make_read_only();
    assert_eq!(refused(&path), ErrorKind::Denied);
}

#[test]
fn on_a_full_disk_the_names_from_before_stay() {
    let Some(small) = Tmpfs::new(700) else {
        return;
    };
    let path = small.path().join("a.memtide");
    writer(&path).finish().expect("there is room");
    let places = code(&path).places;
    let few = names(&places, "few");
    store_symbols(&path, &few, &[]).expect("there is room");
    let many: Vec<_> = names(&places, "many")
        .into_iter()
        .zip(0_u32..)
        .map(|((place, _), n)| {
            let long = format!("{}{n}", "long".repeat(2_000));
            (place, vec![symbol(&long, n, false)])
        })
        .collect();
    let error = store_symbols(&path, &many, &[]).expect_err("there is no room");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert_eq!(stacks(&path).symbols, few);
}
