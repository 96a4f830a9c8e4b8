//! Frames of a stack with their names, and the one name of a stack in a sentence.
//!
//! A sentence has room for one frame. The innermost one is often code that every program has, such as
//! `strdup` or the inside of `std::vector`: the first frame that is not the standard library's is named.
//! A wrapper of malloc of the program's own is a frame as good as any, so its caller is named with it.

use memtide_model::report::{FrameRow, StackRow};
use memtide_model::{CallStack, CodePlace, StackObservations};

/// Files that hold standard libraries, by the beginning of their name.
const LIBRARIES: [&str; 9] = [
    "libc.so",
    "libc-",
    "libc.musl",
    "ld-",
    "libstdc++",
    "libc++",
    "libgcc",
    "libm.so",
    "libpthread",
];
/// Beginnings of functions of standard libraries that are compiled into programs.
const FUNCTIONS: [&str; 15] = [
    "std::",
    "__gnu_cxx::",
    "__cxxabiv1::",
    "alloc::",
    "core::",
    "hashbrown::",
    "<alloc::",
    "<core::",
    "<std::",
    "operator new",
    "__rust",
    "__rdl_",
    // Of std, where a name is too much for the demangler.
    "_ZSt",
    "_ZNSt",
    "_ZNKSt",
];
/// Sources of standard libraries, by a part of their path.
const SOURCES: [&str; 4] = [
    "/include/c++/",
    "/include/bits/",
    "/rustc/",
    "/library/alloc/",
];
/// What names of malloc's wrappers have in them.
const WRAPPERS: [&str; 4] = ["alloc", "strdup", "_new", "make_unique"];

/// The frames of a stack, innermost first, inlined calls as frames of their own.
pub(super) fn frames(stack: &CallStack, stacks: &StackObservations) -> Vec<FrameRow> {
    (stack.frames.iter())
        .flat_map(|&place| of_place(place, stacks))
        .collect()
}

/// The frames of one place: several where calls were inlined there.
pub(super) fn of_place(place: CodePlace, stacks: &StackObservations) -> Vec<FrameRow> {
    let module = (place.module)
        .and_then(|id| stacks.modules.get(id.0 as usize))
        .map(|module| module.path.to_string());
    let unnamed = FrameRow {
        function: None,
        module,
        file: None,
        line: None,
        inlined: false,
        address: format!("{:#x}", place.address),
    };
    let symbols = stacks.symbols(place);
    if symbols.is_empty() {
        return vec![unnamed];
    }
    let named = symbols.iter().map(|symbol| FrameRow {
        function: symbol.function.as_deref().map(str::to_owned),
        file: symbol.file.as_deref().map(str::to_owned),
        line: symbol.line,
        inlined: symbol.inlined,
        ..unnamed.clone()
    });
    named.collect()
}

/// The stack's place in a sentence: "`parse_line` at parser.c:42"; with its caller where the place is a
/// wrapper of malloc.
pub(crate) fn site(row: &StackRow) -> String {
    let frames = &row.frames;
    let own = frames.iter().position(|frame| !is_library(frame));
    let named = frames.iter().position(|frame| frame.function.is_some());
    let Some(index) = own.or(named).or((!frames.is_empty()).then_some(0)) else {
        return "a place that is not known".to_owned();
    };
    let name = frames.get(index).map(place).unwrap_or_default();
    let wraps = |frame: &FrameRow| {
        let function = frame.function.as_deref().unwrap_or_default().to_lowercase();
        WRAPPERS.iter().any(|part| function.contains(part))
    };
    let caller = frames
        .get(index + 1)
        .filter(|caller| caller.function.is_some());
    match (frames.get(index), caller) {
        (Some(frame), Some(caller)) if wraps(frame) => {
            format!("{name}, called by {},", place(caller))
        }
        _ => name,
    }
}

/// "`parse` at parser.c:42", "`parse` in libparser.so", "`0x1234` in libparser.so".
fn place(frame: &FrameRow) -> String {
    let module = frame.module.as_deref().map_or("generated code", base_name);
    let Some(function) = &frame.function else {
        return format!("{} in {module}", frame.address);
    };
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{function} at {}:{line}", base_name(file)),
        (Some(file), None) => format!("{function} in {}", base_name(file)),
        _ => format!("{function} in {module}"),
    }
}

fn is_library(frame: &FrameRow) -> bool {
    let begins = |name: &Option<String>, list: &[&str]| {
        (name.as_deref()).is_some_and(|name| list.iter().any(|start| name.starts_with(start)))
    };
    let module = frame
        .module
        .as_deref()
        .map(|path| base_name(path).to_owned());
    let source = frame.file.as_deref().unwrap_or_default();
    begins(&module, &LIBRARIES)
        || begins(&frame.function, &FUNCTIONS)
        || frame
            .function
            .as_deref()
            .is_some_and(implements_library_trait)
        || SOURCES.iter().any(|part| source.contains(part))
}

/// `<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem`: a trait that only the library itself has,
/// for a type that anyone may have. `<Cart as core::clone::Clone>::clone` is the program's.
fn implements_library_trait(function: &str) -> bool {
    let of = function
        .strip_prefix('<')
        .and_then(|rest| rest.split_once(" as "));
    of.is_some_and(|(_, name)| name.starts_with("alloc::") && name.contains("::Spec"))
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::{StackEnd, StackKind, StackOwner};

    fn row(frames: &[(&str, &str, u32, &str)]) -> StackRow {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let frames = frames
            .iter()
            .map(|&(function, file, line, module)| FrameRow {
                function: some(function),
                module: some(module),
                file: some(file),
                line: (line > 0).then_some(line),
                inlined: false,
                address: "0x1234".to_owned(),
            });
        StackRow {
            kind: StackKind::Heap,
            owner: StackOwner::Target,
            end: StackEnd::Root,
            live_bytes: 0,
            live_blocks: 0,
            peak_bytes: 0,
            allocs: 0,
            frees: 0,
            growth_bytes: 0,
            growth_share: None,
            bytes_per_second: None,
            low: None,
            high: None,
            leak_score: None,
            never_freed: false,
            suppressed: None,
            samples: None,
            frames: frames.collect(),
        }
    }

    #[test]
    fn traits_of_the_library_alone_are_the_librarys() {
        let spec = "<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem";
        assert!(implements_library_trait(spec));
        for own in [
            "<Cart as core::clone::Clone>::clone",
            "<u8 as shop::SpecialOffer>::add",
        ] {
            assert!(!implements_library_trait(own), "{own}");
        }
    }

    #[test]
    fn the_first_frame_of_the_programs_own_is_named() {
        let app = "/bin/app";
        for (frames, name) in [
            (
                &[("parse_line", "/src/parser.c", 42, app)][..],
                "parse_line at parser.c:42",
            ),
            (
                &[
                    ("strdup", "", 0, "/lib/libc.so.6"),
                    ("read_config", "/src/config.c", 7, app),
                ],
                "read_config at config.c:7",
            ),
            (
                &[
                    (
                        "std::vector<int>::push_back",
                        "/usr/include/c++/12/vector",
                        9,
                        app,
                    ),
                    ("Shop::add", "/src/shop.cc", 3, app),
                ],
                "Shop::add at shop.cc:3",
            ),
            (
                &[
                    ("xmalloc", "/src/util.c", 5, app),
                    ("load", "/src/load.c", 8, app),
                ],
                "xmalloc at util.c:5, called by load at load.c:8,",
            ),
            (
                &[("", "", 0, "/opt/plugin.so"), ("main", "/a.c", 1, app)],
                "0x1234 in plugin.so",
            ),
            (&[("", "", 0, "/lib/libc.so.6")], "0x1234 in libc.so.6"),
            (&[("qsort", "", 0, "/lib/libc.so.6")], "qsort in libc.so.6"),
            (&[("", "", 0, "")], "0x1234 in generated code"),
            (&[], "a place that is not known"),
        ] {
            assert_eq!(site(&row(frames)), name);
        }
    }
}
