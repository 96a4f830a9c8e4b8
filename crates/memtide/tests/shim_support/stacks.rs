//! A region as the stacks that are in it, with functions named by the target's symbol table.

use memtide_region::layout::{FIRST_ADDRESS, MARK_MAPPING, Mode};
use memtide_region::reader::LostCounts;
use memtide_region::{Counters, Kind, Module, Reader, State, Summary};
use object::{Object as _, ObjectSymbol as _, SymbolKind};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One stack and its counters, summed over threads.
#[derive(Debug)]
pub struct Stack {
    pub kind: Kind,
    /// Return addresses with their generation, innermost first.
    pub frames: Vec<(u64, u32)>,
    pub counters: Counters,
}

/// A region that was read whole.
#[derive(Debug)]
pub struct Region {
    pub name: String,
    pub summary: Summary,
    pub modules: Vec<Module>,
    /// By the node of the innermost frame.
    pub stacks: BTreeMap<u32, Stack>,
}

impl Region {
    pub fn open(path: &Path) -> Self {
        Self::try_open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The error is that of the header; everything else must be as the header says.
    pub fn try_open(path: &Path) -> Result<Self, memtide_region::Error> {
        let bytes = fs::read(path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let reader = Reader::new(&*bytes)?;
        let summary = reader.summary()?;
        let modules = (0..summary.modules)
            .map(|index| reader.module(index).unwrap())
            .collect();
        let mut sums = BTreeMap::<u32, Counters>::new();
        for index in 0..summary.pages {
            let page = reader.page(index).unwrap();
            assert!(
                page.thread < summary.threads,
                "{name}: page {index} has a thread"
            );
            let each = |node, counters: Counters| sums.entry(node).or_default().add(&counters);
            reader.counters(&page, summary.peak_epoch, each).unwrap();
        }
        let stack = |(node, counters): (u32, Counters)| {
            let frames = reader
                .frames(node)
                .map(|node| (node.address, node.generation));
            (
                node,
                Stack {
                    kind: reader.kind(node).unwrap(),
                    frames: frames.collect(),
                    counters,
                },
            )
        };
        let stacks = sums.into_iter().map(stack).collect();
        Ok(Self {
            name,
            summary,
            modules,
            stacks,
        })
    }

    pub fn is_full(&self) -> bool {
        self.summary.mode == Mode::Full
    }

    pub fn state(&self) -> State {
        self.summary.state
    }

    pub fn lost(&self) -> LostCounts {
        self.summary.lost
    }

    /// Everything of one kind.
    pub fn total(&self, kind: Kind) -> Counters {
        let mut total = Counters::default();
        for stack in self.stacks.values().filter(|stack| stack.kind == kind) {
            total.add(&stack.counters);
        }
        total
    }

    /// Fails if more of a stack was freed than made.
    pub fn assert_no_free_is_unknown(&self) {
        for (node, stack) in &self.stacks {
            let counters = &stack.counters;
            assert!(
                counters.frees <= counters.allocs && counters.freed <= counters.bytes,
                "{}: more was freed than made on stack {node}: {stack:?}",
                self.name
            );
        }
    }

    /// Sums of the stacks for which `name` says something, by what it says.
    pub fn by_name(
        &self,
        symbols: &Symbols,
        name: impl Fn(&[&str], Kind) -> Option<String>,
    ) -> BTreeMap<String, Counters> {
        let mut sums = BTreeMap::<String, Counters>::new();
        for stack in self.stacks.values() {
            let functions = self.functions(symbols, stack);
            if let Some(name) = name(&functions, stack.kind) {
                sums.entry(name).or_default().add(&stack.counters);
            }
        }
        sums
    }

    /// The target's functions of a stack, innermost first; frames elsewhere are left out.
    pub fn functions<'a>(&self, symbols: &'a Symbols, stack: &Stack) -> Vec<&'a str> {
        let name = |&(address, generation): &(u64, u32)| {
            let module = self
                .modules
                .iter()
                .find(|module| module.contains(address, generation))?;
            if module.path() != symbols.path {
                return None;
            }
            symbols.at(address.wrapping_sub(1).wrapping_sub(module.bias))
        };
        stack.frames.iter().filter_map(name).collect()
    }
}

/// The functions of a program's file.
pub struct Symbols {
    path: Vec<u8>,
    /// By first address: the one after the last, and the name.
    functions: BTreeMap<u64, (u64, String)>,
}

impl Symbols {
    pub fn of(program: &Path) -> Self {
        let bytes = fs::read(program).unwrap();
        let file = object::File::parse(&*bytes).unwrap();
        let functions = file
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text);
        let functions = functions.map(|symbol| {
            let (start, name) = (symbol.address(), symbol.name().unwrap().to_owned());
            (start, (start + symbol.size(), name))
        });
        let path = fs::canonicalize(program).unwrap();
        Self {
            path: path.into_os_string().into_encoded_bytes(),
            functions: functions.collect(),
        }
    }

    fn at(&self, address: u64) -> Option<&str> {
        let (_, (end, name)) = self.functions.range(..=address).next_back()?;
        (address < *end).then_some(name)
    }
}

const _: () = assert!(MARK_MAPPING < FIRST_ADDRESS);
