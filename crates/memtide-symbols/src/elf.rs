//! What is needed of an ELF file: where its parts lie, its build-id, its link to a debug file.
//!
//! The file is read through `object` into a plain summary that borrows nothing; the sections
//! themselves are read later, one by one, and only those that are asked for.

use crate::build_id::BuildId;
use crate::bytes::{Bytes, Cursor};
use object::read::{CompressedData, CompressedFileRange, CompressionFormat, ReadCache};
use object::{Object, ObjectSection, ObjectSegment};

/// The summary of an ELF file of either class and byte order.
#[derive(Debug, Default)]
pub(crate) struct Elf {
    pub(crate) little_endian: bool,
    pub(crate) is_64: bool,
    pub(crate) build_id: Option<BuildId>,
    /// `.gnu_debuglink`: file name and CRC.
    pub(crate) debug_link: Option<(Vec<u8>, u32)>,
    /// `PT_LOAD` program headers.
    pub(crate) loads: Vec<Load>,
    pub(crate) sections: Vec<Section>,
}

/// A `PT_LOAD` program header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) svma: u64,
    pub(crate) file_offset: u64,
    pub(crate) file_size: u64,
    pub(crate) executable: bool,
}

/// A section header.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) address: u64,
    pub(crate) size: u64,
    /// `None` for a section without bytes (`SHT_NOBITS`), as all loaded ones of a debug file.
    range: Option<CompressedFileRange>,
}

impl Elf {
    /// Reads the headers; the error is a fragment for people.
    pub(crate) fn parse(bytes: &Bytes) -> Result<Self, String> {
        let cache = ReadCache::new(Cursor::new(bytes));
        let file =
            object::File::parse(&cache).map_err(|error| format!("not an ELF file: {error}"))?;
        let sections = file
            .sections()
            .filter_map(|section| Section::read(&section))
            .collect();
        let loads = file
            .segments()
            .map(|segment| Load::read(&segment))
            .collect();
        Ok(Self {
            little_endian: file.is_little_endian(),
            is_64: file.is_64(),
            build_id: file.build_id().ok().flatten().and_then(BuildId::new),
            debug_link: file
                .gnu_debuglink()
                .ok()
                .flatten()
                .map(|(name, crc)| (name.to_vec(), crc)),
            loads,
            sections,
        })
    }

    /// True where the section is there and has bytes.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.section(name)
            .is_some_and(|section| section.range.is_some() && section.size > 0)
    }

    /// The section's size in memory once it is unpacked; 0 where it is not there.
    pub(crate) fn unpacked_size(&self, name: &str) -> u64 {
        self.section(name)
            .and_then(|section| section.range.as_ref())
            .map_or(0, |range| range.uncompressed_size)
    }

    /// The section's bytes, unpacked; empty where it is not there.
    ///
    /// # Errors
    /// A fragment for people: cut off, damaged, or more than `limit` bytes.
    pub(crate) fn read(&self, bytes: &Bytes, name: &str, limit: u64) -> Result<Vec<u8>, String> {
        let Some(range) = self
            .section(name)
            .and_then(|section| section.range.as_ref())
        else {
            return Ok(Vec::new());
        };
        if range.uncompressed_size > limit {
            return Err(format!(
                "section {name} is larger than the limit of {limit} bytes"
            ));
        }
        let raw = bytes
            .read(range.offset, range.compressed_size)
            .map_err(|error| format!("section {name}: {error}"))?;
        if range.format == CompressionFormat::None {
            return Ok(raw);
        }
        let packed = CompressedData {
            format: range.format,
            data: &raw,
            uncompressed_size: range.uncompressed_size,
        };
        let unpacked = packed
            .decompress()
            .map_err(|error| format!("section {name}: {error}"))?;
        Ok(unpacked.into_owned())
    }

    /// The svma of the byte at a file offset; executable segments first, because two segments may
    /// share the page between them and code is what is asked for.
    pub(crate) fn svma_of_offset(&self, offset: u64) -> Option<u64> {
        let holds = |load: &&Load| {
            offset
                .checked_sub(load.file_offset)
                .is_some_and(|within| within < load.file_size)
        };
        let exact = |executable| {
            self.loads
                .iter()
                .filter(|load| load.executable == executable)
                .find(holds)
        };
        let load = exact(true).or_else(|| exact(false))?;
        load.svma.checked_add(offset - load.file_offset)
    }

    /// The lowest svma of the file and the file offset behind it: enough to place a file whose
    /// offsets were lost, as `strip --only-keep-debug` does.
    pub(crate) fn first_load(&self) -> Option<Load> {
        self.loads.iter().copied().min_by_key(|load| load.svma)
    }

    /// The end of the section that holds the svma.
    pub(crate) fn section_end(&self, svma: u64) -> Option<u64> {
        let holds = |section: &&Section| {
            section.address != 0
                && svma
                    .checked_sub(section.address)
                    .is_some_and(|within| within < section.size)
        };
        let section = self.sections.iter().find(holds)?;
        section.address.checked_add(section.size)
    }

    fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

impl Load {
    fn read<'data>(segment: &impl ObjectSegment<'data>) -> Self {
        let (file_offset, file_size) = segment.file_range();
        Self {
            svma: segment.address(),
            file_offset,
            file_size,
            executable: segment.permissions().executable(),
        }
    }
}

impl Section {
    fn read<'data>(section: &impl ObjectSection<'data>) -> Option<Self> {
        let name = section.name().ok()?;
        // The older way to mark a compressed section is its name.
        let name = match name.strip_prefix(".zdebug_") {
            Some(rest) => format!(".debug_{rest}"),
            None => name.to_owned(),
        };
        let has_bytes = section.file_range().is_some();
        Some(Self {
            name,
            address: section.address(),
            size: section.size(),
            range: section.compressed_file_range().ok().filter(|_| has_bytes),
        })
    }
}
