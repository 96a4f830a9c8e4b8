//! Modules: those of one region, by address and generation, and those of all, by path and build-id.

use memtide_model::{CodeModule, CodeModuleId, CodePlace, text};
use memtide_region::{Error, Reader, Source};
use std::collections::HashMap;
use std::ops::Range;

/// A place in code, packed: see [`CodePlace`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// The module's number, or [`Place::NO_MODULE`].
    pub(crate) module: u32,
    /// Its svma; without a module the address itself.
    pub(crate) address: u64,
}

impl Place {
    /// Stands for code outside of all files.
    pub(crate) const NO_MODULE: u32 = u32::MAX;

    pub(crate) fn public(self) -> CodePlace {
        let module = (self.module != Self::NO_MODULE).then_some(CodeModuleId(self.module));
        CodePlace {
            module,
            address: self.address,
        }
    }
}

/// The modules of all regions.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    numbers: HashMap<CodeModule, u32>,
    /// Those that no tick has told of.
    new: Vec<CodeModule>,
    /// Those that were read of a region since somebody asked, whether new or not.
    seen: Vec<Seen>,
}

/// A module in the process that loaded it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) module: CodeModule,
    /// Its first address, and the one behind its last.
    pub(crate) range: Range<u64>,
}

impl Modules {
    fn number(&mut self, module: CodeModule) -> u32 {
        if let Some(number) = self.numbers.get(&module) {
            return *number;
        }
        // A region has at most 2^16 modules; this many regions do not fit on a disk.
        let number = u32::try_from(self.numbers.len()).unwrap_or(Place::NO_MODULE);
        self.new.push(module.clone());
        self.numbers.insert(module, number);
        number
    }

    /// Those that came since the last call.
    pub(crate) fn take_new(&mut self) -> Vec<CodeModule> {
        std::mem::take(&mut self.new)
    }

    /// What was read since the last call.
    pub(crate) fn take_seen(&mut self) -> Vec<Seen> {
        std::mem::take(&mut self.seen)
    }
}

/// Where a module lay in one process, and when.
#[derive(Debug)]
struct Loaded {
    module: memtide_region::Module,
    number: u32,
}

/// The modules of one region.
#[derive(Debug, Default)]
pub(crate) struct RegionModules {
    loaded: Vec<Loaded>,
    /// The generation of the region when `loaded` was read.
    generation: u32,
    /// What was looked up: programs have far fewer return addresses than stacks.
    places: HashMap<(u64, u32), Place>,
}

impl RegionModules {
    /// Reads the modules that are new, and all of them anew if since then one took another's place.
    pub(crate) fn update<S: Source>(
        &mut self,
        reader: &Reader<S>,
        count: u32,
        generation: u32,
        all: &mut Modules,
    ) -> Result<(), Error> {
        if self.generation != generation {
            self.loaded.clear();
            self.generation = generation;
        }
        let known = u32::try_from(self.loaded.len()).unwrap_or(u32::MAX);
        if known < count {
            self.places.clear();
        }
        for index in known..count {
            let module = reader.module(index)?;
            let named = CodeModule {
                path: text::printable(module.path()).into(),
                build_id: hexadecimal(module.build_id()),
            };
            all.seen.push(Seen {
                module: named.clone(),
                range: module.base..module.base.saturating_add(module.bytes),
            });
            let number = all.number(named);
            self.loaded.push(Loaded { module, number });
        }
        Ok(())
    }

    /// The generation up to which addresses can be looked up.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The place of a return address.
    pub(crate) fn place(&mut self, address: u64, generation: u32) -> Place {
        if let Some(place) = self.places.get(&(address, generation)) {
            return *place;
        }
        // A call may be the last instruction of its file: what counts is where the call lies.
        let call = address.wrapping_sub(1);
        // The youngest, as a later entry took over the addresses of an earlier one.
        let found = self
            .loaded
            .iter()
            .rev()
            .find(|loaded| loaded.module.contains(call, generation));
        let place = found.map_or(
            Place {
                module: Place::NO_MODULE,
                address,
            },
            |loaded| Place {
                module: loaded.number,
                address: address.wrapping_sub(loaded.module.bias),
            },
        );
        self.places.insert((address, generation), place);
        place
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
