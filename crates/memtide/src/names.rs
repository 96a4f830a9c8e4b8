//! Names of the places in a recording: which function, file and line an address is.
//!
//! Places are canonical (a file and an address of its own tables), so names can be looked up at any time
//! and on any machine that has the files or their debug information. Looking again never loses a name:
//! of the old and the new answer the one that says more is kept.

use memtide_model::{CodeModule, CodePlace, Nanos, Redactor, StackObservations, Symbol};
use memtide_record::{Reader, store_symbols};
use memtide_symbols::{
    Address, BuildId, Frame, HeldFiles, Locator, Module, ModuleTable, Placement, Resolver, Segment,
};
use std::path::{Path, PathBuf};

/// Every module gets a range of addresses of this size to itself, as if one process had mapped all of
/// them: far more than any file has.
const SPAN: u64 = 1 << 40;
/// As many ranges fit below the end of addresses.
const MOST_MODULES: u32 = 1 << 23;

/// Names by place, sorted, and what could not be named and why.
pub(crate) type Named = (Vec<(CodePlace, Vec<Symbol>)>, Vec<String>);

/// Where names are looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Search<'a> {
    /// The files as they are, by number, where the recording has placeholders for them.
    pub(crate) modules: Option<&'a [CodeModule]>,
    /// Debug files lie below these, too.
    pub(crate) debug_dirs: &'a [PathBuf],
    /// Files that were opened while a process ran them: these come first.
    pub(crate) held: Option<HeldFiles>,
}

/// What is known now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Places in the recording.
    pub(crate) places: usize,
    /// Those with a function, before and now.
    pub(crate) before: usize,
    pub(crate) named: usize,
    /// Those with a line, now.
    pub(crate) lines: usize,
    /// What is missing and how to get it, a sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Looks up the names of all places of a recording and stores them in it.
///
/// Errors: those of reading and writing the recording. A file that is missing is no error.
pub(crate) fn add(
    file: &Path,
    search: Search<'_>,
    redactor: Option<&mut Redactor>,
) -> anyhow::Result<Outcome> {
    let reader = Reader::open(file)?;
    let code = reader.code()?;
    let old = reader.observations(1)?.stacks;
    drop(reader);
    let modules = search.modules.unwrap_or(&code.modules);
    let (mut symbols, mut warnings) = look_up(modules, &code.places, search);
    if let Some(redactor) = redactor {
        redactor.symbols(&mut symbols, &mut warnings);
    }
    let before = old.as_ref().map_or(0, |old| keep_better(&mut symbols, old));
    store_symbols(file, &symbols, &warnings)?;
    let count = |which: fn(&Symbol) -> bool| {
        let has = |names: &[Symbol]| names.iter().any(which);
        symbols.iter().filter(|(_, names)| has(names)).count()
    };
    Ok(Outcome {
        places: code.places.len(),
        before,
        named: count(|name| name.function.is_some()),
        lines: count(|name| name.line.is_some()),
        warnings,
    })
}

/// Looks up the names of `places`, which are sorted, all at once. A place without a name gets an empty
/// list.
pub(crate) fn look_up(modules: &[CodeModule], places: &[CodePlace], search: Search<'_>) -> Named {
    let table = table(modules);
    let mut sought: Vec<CodePlace> = Vec::new();
    let mut addresses: Vec<Address> = Vec::new();
    for place in places {
        if let Some(avma) = avma(place, modules.len()) {
            sought.push(*place);
            addresses.push(Address {
                avma,
                is_return_address: true,
                at: None,
            });
        }
    }
    let mut locator = Locator::new(search.debug_dirs.iter().cloned());
    if let Some(held) = search.held {
        locator = locator.with_held(held);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let resolution = Resolver::new(locator)
        .with_threads(threads)
        .resolve(&table, &addresses);
    let mut found = sought.iter().enumerate().peekable();
    let symbols = places.iter().map(|place| {
        let frames = match found.next_if(|(_, next)| *next == place) {
            Some((index, _)) => resolution.frames(index),
            None => &[],
        };
        (*place, symbols_of(frames))
    });
    (
        symbols.collect(),
        resolution.warnings().map(str::to_owned).collect(),
    )
}

/// All modules side by side. A build-id that is no number is that of no file.
fn table(modules: &[CodeModule]) -> ModuleTable {
    let mut table = ModuleTable::new();
    for (module, number) in modules.iter().zip(0..MOST_MODULES) {
        let start = first_avma(number);
        table.add(Module {
            path: PathBuf::from(&*module.path),
            build_id: BuildId::from_hex(&module.build_id),
            segments: vec![Segment {
                start,
                end: start + SPAN,
                placement: Placement::Svma(0),
            }],
            loaded: Nanos(0),
            unloaded: None,
        });
    }
    table
}

/// Where a module's range begins; nothing lies at zero.
fn first_avma(number: u32) -> u64 {
    (u64::from(number) + 1) * SPAN
}

/// A place's address in the table; `None` for code outside of files, and for what no file can have.
fn avma(place: &CodePlace, modules: usize) -> Option<u64> {
    let number = place.module?.0;
    let known = (number as usize) < modules && number < MOST_MODULES;
    (known && place.address < SPAN).then(|| first_avma(number) + place.address)
}

fn symbols_of(frames: &[Frame]) -> Vec<Symbol> {
    if frames
        .iter()
        .all(|frame| frame.function.is_none() && frame.file.is_none())
    {
        return Vec::new();
    }
    let symbol = |frame: &Frame| Symbol {
        function: frame.function.clone(),
        file: frame.file.clone(),
        line: frame.line,
        inlined: frame.inlined,
    };
    frames.iter().map(symbol).collect()
}

/// Puts back names that said more than the new ones; gives how many places had a function before.
fn keep_better(symbols: &mut [(CodePlace, Vec<Symbol>)], old: &StackObservations) -> usize {
    let mut before = 0;
    for (place, names) in symbols {
        let known = old.symbols(*place);
        before += usize::from(known.iter().any(|name| name.function.is_some()));
        if worth(known) > worth(names) {
            known.clone_into(names);
        }
    }
    before
}

/// How much names say: with a line, with a function, nothing.
fn worth(names: &[Symbol]) -> u8 {
    let has = |which: fn(&Symbol) -> bool| u8::from(names.iter().any(which));
    has(|name| name.function.is_some()) + 2 * has(|name| name.line.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::CodeModuleId;

    fn place(module: u32, address: u64) -> CodePlace {
        CodePlace {
            module: Some(CodeModuleId(module)),
            address,
        }
    }

    /// The svma of a function of this very program, from the linker's table as `nm` prints it.
    fn svma(function: &str) -> u64 {
        let exe = std::env::current_exe().unwrap();
        let output = std::process::Command::new("nm").arg(exe).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.contains(function)).unwrap();
        u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
    }

    #[inline(never)]
    fn a_function_to_find() -> u32 {
        std::hint::black_box(line!())
    }

    #[test]
    fn places_are_named_by_the_files_they_are_in() {
        let line = a_function_to_find();
        let exe = std::env::current_exe().unwrap();
        let module = |path: &str, build_id: &str| CodeModule {
            path: path.into(),
            build_id: build_id.to_owned(),
        };
        let exe = exe.to_str().unwrap();
        let modules = [
            module("/nowhere/lib.so", ""),
            module(exe, ""),
            module(exe, "abcd"),
        ];
        // A call whose return address is the next byte.
        let call = svma("a_function_to_find") + 1;
        let outside = CodePlace {
            module: None,
            address: call,
        };
        let places = [
            outside,
            place(0, call),
            place(1, call),
            place(2, call),
            place(9, call),
            place(1, u64::MAX),
        ];
        let (symbols, warnings) = look_up(&modules, &places, Search::default());
        let found: Vec<CodePlace> = symbols.iter().map(|(place, _)| *place).collect();
        assert_eq!(found, places, "every place, in the order of the places");
        for (index, (_, names)) in symbols.iter().enumerate() {
            assert_eq!(names.is_empty(), index != 2, "place {index}: {names:?}");
        }
        let name = &symbols[2].1[0];
        let function = name.function.as_deref().unwrap();
        assert!(function.ends_with("a_function_to_find"), "{function}");
        assert!(name.file.as_deref().unwrap().ends_with("names.rs"));
        assert_eq!(name.line, Some(line - 1), "the line of its head");
        assert!(warnings.iter().any(|text| text.contains("/nowhere/lib.so")));
        let other_build = warnings.iter().any(|text| text.contains("abcd"));
        assert!(other_build, "a file that was replaced since: {warnings:?}");
    }

    #[test]
    fn a_name_that_says_more_is_kept() {
        let symbol = |function: Option<&str>, line| Symbol {
            function: function.map(Into::into),
            file: None,
            line,
            inlined: false,
        };
        let (nothing, function, line) = (
            vec![],
            vec![symbol(Some("f"), None)],
            vec![symbol(Some("f"), Some(3))],
        );
        assert!(worth(&nothing) < worth(&function) && worth(&function) < worth(&line));
        let unnamed_line = [symbol(None, Some(3)), symbol(Some("g"), None)];
        assert_eq!(
            worth(&unnamed_line),
            worth(&line),
            "of an inlined call either will do"
        );
    }
}
