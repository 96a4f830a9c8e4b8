//! Functions of `.symtab` or `.dynsym`, for what has no debug information.
//!
//! Entries are read by hand (System V ABI, "Symbol Table"): names are looked up in the string table
//! only for addresses that are asked for, of which there are few against the hundred thousands of
//! symbols of a large program.

use crate::bytes::Bytes;
use crate::elf::Elf;

/// The functions of a table, by address.
#[derive(Debug, Default)]
pub(crate) struct SymbolTable {
    /// Sorted by start; of several at one start the best is last.
    functions: Vec<Function>,
    strings: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    start: u64,
    /// The svma after its last byte.
    end: u64,
    /// Offset of its name in the string table.
    name: u32,
    /// How much it is to be preferred to another at the same address.
    rank: u8,
}

/// One entry as it lies in the file.
struct Entry {
    name: u32,
    info: u8,
    section: u16,
    value: u64,
    size: u64,
}

impl SymbolTable {
    /// Reads a table and its strings; an empty table where there is none.
    ///
    /// # Errors
    /// A fragment for people.
    pub(crate) fn read(
        bytes: &Bytes,
        elf: &Elf,
        table: &str,
        strings: &str,
        limit: u64,
    ) -> Result<Self, String> {
        let raw = elf.read(bytes, table, limit)?;
        let strings = elf.read(bytes, strings, limit)?;
        let size = if elf.is_64 { 24 } else { 16 };
        let mut functions: Vec<Function> = raw
            .chunks_exact(size)
            .filter_map(|raw| Entry::parse(raw, elf))
            .filter_map(|entry| entry.function())
            .collect();
        functions.sort_by_key(|function| (function.start, function.rank));
        functions.shrink_to_fit();
        bound_the_unsized(&mut functions, elf);
        Ok(Self { functions, strings })
    }

    /// True where the table has no function at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The name of the function that holds the svma.
    pub(crate) fn find(&self, svma: u64) -> Option<&str> {
        /// Functions that lie within another are few and close; a damaged table may nest them all.
        const NESTING: usize = 64;
        let after = self
            .functions
            .partition_point(|function| function.start <= svma);
        let before = self.functions.get(..after)?;
        let holds = |function: &&Function| svma < function.end;
        let function = before.iter().rev().take(NESTING).find(holds)?;
        let start = usize::try_from(function.name).ok()?;
        let name = self.strings.get(start..)?.split(|byte| *byte == 0).next()?;
        core::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty())
    }
}

/// Assembly often gives no size: such a function reaches to the next one or its section's end.
fn bound_the_unsized(functions: &mut [Function], elf: &Elf) {
    let mut next = u64::MAX;
    let mut start = u64::MAX;
    for function in functions.iter_mut().rev() {
        if function.start < start {
            next = start;
            start = function.start;
        }
        if function.end == function.start {
            let section = elf.section_end(function.start).unwrap_or(function.start);
            function.end = next.min(section);
        }
    }
}

impl Entry {
    fn parse(raw: &[u8], elf: &Elf) -> Option<Self> {
        let byte = |at: usize| raw.get(at).copied();
        let number = |at: usize, size: usize| {
            let bytes = raw.get(at..at.checked_add(size)?)?;
            let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
            Some(if elf.little_endian {
                bytes.iter().rev().fold(0, push)
            } else {
                bytes.iter().fold(0, push)
            })
        };
        let name = u32::try_from(number(0, 4)?).ok()?;
        let (info, section, value, size) = if elf.is_64 {
            (byte(4)?, number(6, 2)?, number(8, 8)?, number(16, 8)?)
        } else {
            (byte(12)?, number(14, 2)?, number(4, 4)?, number(8, 4)?)
        };
        Some(Self {
            name,
            info,
            section: u16::try_from(section).ok()?,
            value,
            size,
        })
    }

    /// `STT_FUNC` and `STT_GNU_IFUNC` that are defined here.
    fn function(&self) -> Option<Function> {
        const STT_FUNC: u8 = 2;
        const STT_GNU_IFUNC: u8 = 10;
        let is_function = matches!(self.info & 0xf, STT_FUNC | STT_GNU_IFUNC);
        (is_function && self.section != 0 && self.name != 0).then(|| Function {
            start: self.value,
            end: self.value.saturating_add(self.size),
            name: self.name,
            rank: self.rank(),
        })
    }

    /// Sized before unsized, global before weak before local, as gdb prefers.
    fn rank(&self) -> u8 {
        const STB_GLOBAL: u8 = 1;
        const STB_WEAK: u8 = 2;
        let binding = match self.info >> 4 {
            STB_GLOBAL => 2,
            STB_WEAK => 1,
            _ => 0,
        };
        binding + if self.size > 0 { 4 } else { 0 }
    }
}
