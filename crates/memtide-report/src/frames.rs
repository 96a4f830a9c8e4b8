//! What a frame of a call stack is called, where it is, and whose it is.
//!
//! A leak is rarely in `operator new`: the frame that a reader looks for is the innermost one that
//! is neither the allocator's nor a language's own library ([`own`]).
//!
//! Refuses to know the world's libraries: only allocators and the runtimes of C, C++ and Rust are
//! told apart from the program. Nothing here is escaped.

use crate::names::qualified;
use memtide_model::report::FrameRow;

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Whose {
    /// The executable's.
    Program,
    /// Another file's.
    Library,
    /// The allocator's, or that of a language's runtime and standard library.
    Runtime,
    /// No table names it.
    Unknown,
}

/// The function, or `module+0x12ab` where no table names it.
pub(crate) fn label(frame: &FrameRow) -> String {
    match (&frame.function, module(frame)) {
        (Some(function), _) if !function.is_empty() => function.clone(),
        (_, Some(module)) => format!("{module}+{}", frame.address),
        (_, None) => format!("generated code {}", frame.address),
    }
}

/// The name of its file without its folders.
pub(crate) fn module(frame: &FrameRow) -> Option<&str> {
    let path = frame.module.as_deref()?;
    Some(last_part(path)).filter(|name| !name.is_empty())
}

/// The last part of a path.
fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Source file and line, `src/cart.cpp:120`; with `short` without folders. Where the source is not
/// known, the module in brackets; nothing where [`label`] already says that.
pub(crate) fn place(frame: &FrameRow, short: bool) -> String {
    let named = frame
        .function
        .as_deref()
        .is_some_and(|name| !name.is_empty());
    match (&frame.file, frame.line) {
        (Some(file), line) => {
            let file = if short { last_part(file) } else { file };
            line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
        }
        (None, _) if named => module(frame).map_or_else(String::new, |name| format!("[{name}]")),
        (None, _) => String::new(),
    }
}

/// Whose code it is, given the program's executable.
pub(crate) fn whose(frame: &FrameRow, exe: &str) -> Whose {
    if is_runtime(frame) {
        return Whose::Runtime;
    }
    match (&frame.function, &frame.module) {
        (None, _) => Whose::Unknown,
        (Some(_), Some(module)) if module == exe => Whose::Program,
        (Some(_), _) => Whose::Library,
    }
}

/// The innermost frame that is neither the allocator's nor a runtime's: where to look first. The
/// innermost one where all are; `None` for a stack without frames.
pub(crate) fn own(frames: &[FrameRow]) -> Option<usize> {
    let found = frames.iter().position(|frame| !is_runtime(frame));
    found.or((!frames.is_empty()).then_some(0))
}

/// Files whose code is never the program's own, by the beginning of their names.
const RUNTIME_FILES: [&str; 15] = [
    "libc.so",
    "libc-",
    "libc.musl",
    "ld-linux",
    "ld-musl",
    "ld-2.",
    "libpthread",
    "libstdc++",
    "libc++",
    "libgcc_s",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
    "libmemtide_shim",
    "libdl.",
];

/// Functions that start programs and threads, or that stand before the allocator.
const RUNTIME_FUNCTIONS: [&str; 20] = [
    "_start",
    "libc_start_main",
    "libc_start_main_impl",
    "libc_start_call_main",
    "start_thread",
    "clone",
    "clone3",
    "libc_start_main@@GLIBC_2.34",
    "strdup",
    "strndup",
    "strdup_",
    "asprintf",
    "vasprintf",
    "rust_alloc",
    "rust_realloc",
    "rust_alloc_zeroed",
    "rdl_alloc",
    "rg_alloc",
    "cxa_allocate_exception",
    "rust_try",
];

/// Name spaces of the standard libraries of C++ and Rust.
const RUNTIME_SPACES: [&str; 10] = [
    "std::",
    "__gnu_cxx::",
    "__cxxabiv1::",
    "alloc::",
    "core::",
    "hashbrown::",
    "__rustc::",
    // Of std, where a name is too much for the demangler.
    "_ZSt",
    "_ZNSt",
    "_ZNKSt",
];

/// True for frames of an allocator, of a thin wrapper around one, or of a language's own library.
pub(crate) fn is_runtime(frame: &FrameRow) -> bool {
    let file = module(frame).unwrap_or("");
    if RUNTIME_FILES.iter().any(|start| file.starts_with(start)) {
        return true;
    }
    let Some(function) = &frame.function else {
        return false;
    };
    let name = qualified(function);
    if name.starts_with("operator new") || name.starts_with("operator delete") {
        return true;
    }
    // Rust writes a method of a trait as `<Type as Trait>::name`: the type says whose it is.
    let start = name.trim_start_matches(['<', '&', '[']);
    let start = start.strip_prefix("mut ").unwrap_or(start);
    if RUNTIME_SPACES.iter().any(|space| start.starts_with(space)) {
        return true;
    }
    // But a trait that only the library has says it, whatever the type.
    if let Some((_, of)) = name
        .strip_prefix('<')
        .and_then(|rest| rest.split_once(" as "))
        && of.starts_with("alloc::")
        && of.contains("::Spec")
    {
        return true;
    }
    let bare = name.trim_matches('_');
    RUNTIME_FUNCTIONS.contains(&bare) || name == "_start" || is_allocator(bare)
}

/// `malloc` and its kin, and wrappers that are named like them: `xmalloc`, `g_malloc0`, `zcalloc`,
/// `PyMem_RawRealloc`, `CRYPTO_malloc`, `ztrymalloc_usable`.
fn is_allocator(name: &str) -> bool {
    const KIN: [&str; 7] = [
        "malloc",
        "calloc",
        "realloc",
        "memalign",
        "aligned_alloc",
        "strdup",
        "valloc",
    ];
    const HOUSES: [&str; 7] = ["py", "libc_", "crypto_", "sqlite3", "apr_", "ngx_", "zend_"];
    let lower = name.to_ascii_lowercase();
    let found = KIN
        .iter()
        .filter_map(|kin| lower.find(kin).map(|at| (at, kin.len())));
    // `realloc` ends in no other of the kin, but `vmalloc` does: the earliest one counts.
    let Some((at, length)) = found.min() else {
        return false;
    };
    let (Some(before), Some(after)) = (lower.get(..at), lower.get(at + length..)) else {
        return false;
    };
    let before = before.strip_suffix("try").unwrap_or(before);
    let thin = before.len() <= 3 || HOUSES.iter().any(|house| before.starts_with(house));
    let plain = |c: char| c.is_ascii_digit();
    let rest = after.trim_start_matches(plain);
    thin && (rest.is_empty() || rest.starts_with('_') || rest == "array")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, module: &str) -> FrameRow {
        FrameRow {
            function: (!function.is_empty()).then(|| function.to_owned()),
            module: (!module.is_empty()).then(|| module.to_owned()),
            file: None,
            line: None,
            inlined: false,
            address: "0x12ab".to_owned(),
        }
    }

    #[test]
    fn runtimes_are_told_from_the_program() {
        for runtime in [
            "malloc",
            "__libc_calloc",
            "xmalloc",
            "g_malloc0",
            "zmalloc_usable",
            "ztrymalloc_usable_internal",
            "PyMem_RawMalloc",
            "_PyObject_Realloc",
            "CRYPTO_malloc",
            "operator new(unsigned long)",
            "operator new[](unsigned long, std::align_val_t)",
            "std::vector<shop::Cart, std::allocator<shop::Cart> >::push_back(shop::Cart&&)",
            "void std::__cxx11::basic_string<char>::_M_construct<char const*>(char const*)",
            "std::unique_ptr<Cart> std::make_unique<Cart, int>(int&&)",
            "__gnu_cxx::new_allocator<int>::allocate(unsigned long, void const*)",
            "alloc::raw_vec::RawVec<T,A>::grow_one",
            "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
            "<shop::Cart as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
            "hashbrown::raw::RawTable<T,A>::reserve_rehash",
            "std::rt::lang_start::{{closure}}",
            "_ZSt11make_sharedI4NodeJEESt10shared_ptrINSt9enable_ifIXntsrSt8is_arrayIT_E5valueES4_E4typeEEDpOT0_",
            "__libc_start_call_main",
            "_start",
            "start_thread",
        ] {
            assert!(is_runtime(&frame(runtime, "/opt/shop/shop")), "{runtime}");
        }
        for own in [
            "main",
            "shop::Cart::add(std::vector<int> const&)",
            "std_malloc_report",
            "void shop::fill<std::string>(std::string)",
            "<shop::Cart as core::clone::Clone>::clone",
            "leaky_mallocs_in_a_row",
            "reallocate_buckets",
            "(anonymous namespace)::grow(int)",
            "shop::operator<<(std::ostream&, shop::Cart const&)",
            "allocate_order",
        ] {
            assert!(!is_runtime(&frame(own, "/opt/shop/shop")), "{own}");
        }
        assert!(is_runtime(&frame(
            "getline",
            "/lib/x86_64-linux-gnu/libc.so.6"
        )));
        assert!(is_runtime(&frame("", "/lib64/ld-linux-x86-64.so.2")));
        assert_eq!(
            whose(&frame("main", "/opt/shop"), "/opt/shop"),
            Whose::Program
        );
        assert_eq!(
            whose(&frame("SSL_new", "/lib/libssl.so.3"), "/opt/shop"),
            Whose::Library
        );
        assert_eq!(whose(&frame("", "/opt/shop"), "/opt/shop"), Whose::Unknown);
    }

    #[test]
    fn the_first_own_frame_is_found_or_the_innermost_taken() {
        let frames = [
            frame("operator new(unsigned long)", "/lib/libstdc++.so.6"),
            frame("std::vector<int>::reserve(unsigned long)", "/opt/shop"),
            frame("shop::load()", "/opt/shop"),
            frame("main", "/opt/shop"),
        ];
        assert_eq!(own(&frames), Some(2));
        assert_eq!(own(&frames[..2]), Some(0));
        assert_eq!(own(&[]), None);
    }

    #[test]
    fn frames_without_names_are_module_and_address() {
        assert_eq!(label(&frame("", "/usr/lib/libx.so.1")), "libx.so.1+0x12ab");
        assert_eq!(label(&frame("", "")), "generated code 0x12ab");
        assert_eq!(
            place(&frame("f", "/usr/lib/libx.so.1"), false),
            "[libx.so.1]"
        );
        let mut known = frame("f", "/usr/lib/libx.so.1");
        known.file = Some("/src/x.c".to_owned());
        assert_eq!(place(&known, false), "/src/x.c");
        known.line = Some(7);
        assert_eq!(place(&known, true), "x.c:7");
    }
}
