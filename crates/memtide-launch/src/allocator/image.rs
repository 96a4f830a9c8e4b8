//! What an ELF file has to do with allocation: what it defines, what it wants of others, which allocator is
//! linked into it.
//!
//! The file is read whole: a table of a million names is then a walk over bytes in memory. A file without
//! section headers tells nothing, and is taken for one that has nothing to do with it.

use super::kind::Kind;
use object::elf::FileHeader64;
use object::read::elf::ElfFile;
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSymbol as _, ObjectSymbolTable as _,
};
use object::{RelocationTarget, SymbolKind};
use std::fs;
use std::io;
use std::path::Path;

/// The function that says who allocates.
pub(super) const MALLOC: &str = "malloc";
/// What hands out memory, or takes it back: all of these must be of one allocator. The last two are C++'s
/// `operator new(unsigned long)` and `operator delete(void*)`.
pub(super) const FAMILY: [&str; 7] = [
    MALLOC,
    "calloc",
    "realloc",
    "free",
    "posix_memalign",
    "_Znwm",
    "_ZdlPv",
];
/// Functions that only one allocator has, and that take or hand out pointers: a program that calls them
/// cannot take its other memory from somebody else. What only asks or tunes, such as `mallctl`, is not here.
const PRIVATE: [(&str, Kind); 15] = [
    ("mallocx", Kind::Jemalloc),
    ("rallocx", Kind::Jemalloc),
    ("xallocx", Kind::Jemalloc),
    ("sallocx", Kind::Jemalloc),
    ("dallocx", Kind::Jemalloc),
    ("sdallocx", Kind::Jemalloc),
    ("je_malloc", Kind::Jemalloc),
    ("je_free", Kind::Jemalloc),
    ("mi_malloc", Kind::Mimalloc),
    ("mi_realloc", Kind::Mimalloc),
    ("mi_free", Kind::Mimalloc),
    ("mi_heap_malloc", Kind::Mimalloc),
    ("tc_malloc", Kind::Tcmalloc),
    ("tc_realloc", Kind::Tcmalloc),
    ("tc_free", Kind::Tcmalloc),
];
/// Functions of allocators that are linked into programs under names of their own; `_rjem_` is
/// jemalloc in Rust programs.
const LINKED_IN: [(&str, &str); 10] = [
    (MALLOC, "an allocator of its own"),
    ("je_malloc", "jemalloc"),
    ("je_mallocx", "jemalloc"),
    ("_rjem_malloc", "jemalloc"),
    ("_rjem_mallocx", "jemalloc"),
    ("mi_malloc", "mimalloc"),
    ("mi_malloc_aligned", "mimalloc"),
    ("tc_malloc", "tcmalloc"),
    ("sn_malloc", "snmalloc"),
    ("rpmalloc", "rpmalloc"),
];
/// What every build of an allocator says somewhere, and nobody else: strings that end with a zero byte. By them it is
/// known in a file whose symbols were stripped.
const MARKS: [(&str, &str); 3] = [
    ("Invalid conf pair", "jemalloc"),
    ("mimalloc: error: ", "mimalloc"),
    ("TCMALLOC_LARGE_ALLOC_REPORT_THRESHOLD", "tcmalloc"),
];
/// `CPython` has it linked in from 3.13 on, and takes its memory from malloc all the same.
const UNUSED: &str = "mimalloc";
/// Where Go puts its build information.
const GO: &str = ".go.buildinfo";

/// One program or library.
#[derive(Debug, Default)]
pub(super) struct Image {
    /// Libraries that it names itself (`DT_NEEDED`).
    pub(super) needed: Vec<String>,
    /// Functions of [`FAMILY`] that it defines for others.
    pub(super) exports: Vec<&'static str>,
    /// Functions of [`FAMILY`] that it takes from others.
    pub(super) imports: Vec<&'static str>,
    /// A function of one allocator alone that it takes from others.
    pub(super) private: Option<(&'static str, Kind)>,
    /// A function by which an allocator that is linked into it is known, and that one's name.
    pub(super) linked_in: Option<(&'static str, &'static str)>,
    /// The same of an allocator that may allocate for this file alone, by symbols or by what its bytes say.
    pub(super) beside: Option<(&'static str, &'static str)>,
    /// Where, from its base, the loader notes the address of `malloc` for it.
    pub(super) slots: Vec<u64>,
    /// It is a Go program.
    pub(super) is_go: bool,
}

impl Image {
    /// Reads a file. What is no ELF file of 64 bits is an empty image.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<u8>)> {
        let content = fs::read(path)?;
        Ok((Self::parse(&content).unwrap_or_default(), content))
    }

    /// Whether others take `malloc` from it.
    pub(super) fn is_allocator(&self) -> bool {
        self.exports.contains(&MALLOC)
    }

    fn parse(content: &[u8]) -> Option<Self> {
        let file = ElfFile::<FileHeader64<Endianness>>::parse(content).ok()?;
        let mut image = Self {
            is_go: file
                .section_by_name(GO)
                .is_some_and(|section| section.size() > 0),
            ..Self::default()
        };
        for library in file.import_libraries().into_iter().flatten().flatten() {
            let name = library.name();
            image
                .needed
                .push(String::from_utf8_lossy(name).into_owned());
        }
        for symbol in file.dynamic_symbols() {
            let name = symbol.name_bytes().unwrap_or_default();
            if symbol.is_undefined() {
                image
                    .imports
                    .extend(FAMILY.iter().find(|known| known.as_bytes() == name));
                let private = PRIVATE.iter().find(|(known, _)| known.as_bytes() == name);
                image.private = image.private.or(private.copied());
            } else {
                image
                    .exports
                    .extend(FAMILY.iter().find(|known| known.as_bytes() == name));
            }
        }
        let symbols = || {
            let functions = file.symbols().chain(file.dynamic_symbols());
            functions.filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition())
        };
        let linked_in = |known: &[(&'static str, &'static str)]| {
            symbols().find_map(|symbol| {
                let name = symbol.name_bytes().unwrap_or_default();
                let mut known = known.iter();
                known.find(|(known, _)| known.as_bytes() == name).copied()
            })
        };
        let mark = marked(content);
        let others: Vec<_> = LINKED_IN
            .into_iter()
            .filter(|(name, _)| *name != MALLOC)
            .collect();
        image.linked_in =
            linked_in(&LINKED_IN).or(mark.filter(|(_, allocator)| *allocator != UNUSED));
        image.beside = linked_in(&others).or(mark);
        image.slots = slots(&file).unwrap_or_default();
        Some(image)
    }
}

/// The first mark that these bytes have.
fn marked(content: &[u8]) -> Option<(&'static str, &'static str)> {
    MARKS.into_iter().find(|(mark, _)| {
        let mut found = memchr::memmem::find_iter(content, mark.as_bytes());
        found.any(|at| content.get(at + mark.len()) == Some(&0))
    })
}

fn slots(file: &ElfFile<'_, FileHeader64<Endianness>>) -> Option<Vec<u64>> {
    let symbols = file.dynamic_symbol_table()?;
    let is_malloc = |target| match target {
        RelocationTarget::Symbol(index) => {
            let symbol = symbols.symbol_by_index(index).ok();
            symbol.is_some_and(|symbol| symbol.name_bytes() == Ok(MALLOC.as_bytes()))
        }
        _ => false,
    };
    let all = file.dynamic_relocations()?;
    let of_malloc = all.filter(|(_, relocation)| is_malloc(relocation.target()));
    Some(of_malloc.map(|(offset, _)| offset).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_takes_malloc_from_glibc() {
        let (own, _) = Image::open(Path::new("/proc/self/exe")).unwrap();
        assert!(
            own.imports.contains(&MALLOC) && own.imports.contains(&"free"),
            "{own:?}"
        );
        assert!(
            own.needed.iter().any(|library| library == "libc.so.6"),
            "{own:?}"
        );
        assert!(!own.slots.is_empty());
        assert!(
            !own.is_allocator() && own.linked_in.is_none() && own.beside.is_none() && !own.is_go,
            "{own:?}"
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_no_panic() {
        let whole = fs::read("/bin/true").unwrap();
        for length in (0..whole.len()).step_by(101) {
            Image::parse(&whole[..length]);
        }
        for at in (0..whole.len().min(4096)).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            Image::parse(&damaged);
        }
    }
}
