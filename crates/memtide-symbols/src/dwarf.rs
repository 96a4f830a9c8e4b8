//! Functions, lines and inlined frames from DWARF.

use crate::bytes::Bytes;
use crate::elf::Elf;
use crate::nesting;
use addr2line::Context;
use gimli::{EndianSlice, RunTimeEndian, SectionId};

/// The sections of one file that tell functions and lines, unpacked. Shared by the threads that look
/// up its addresses, each with a [`Lines`] of its own.
pub(crate) struct DebugInfo {
    sections: Vec<(SectionId, Vec<u8>)>,
    endian: RunTimeEndian,
}

/// Looks up one address after another. What it has parsed of a unit it keeps: ask in order.
pub(crate) struct Lines<'a> {
    context: Context<EndianSlice<'a, RunTimeEndian>>,
}

/// A frame in the file's own words.
pub(crate) struct RawFrame {
    pub(crate) name: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) line: Option<u32>,
}

impl DebugInfo {
    /// The sections that are read; no others are.
    const NEEDED: [SectionId; 10] = [
        SectionId::DebugInfo,
        SectionId::DebugAbbrev,
        SectionId::DebugAddr,
        SectionId::DebugAranges,
        SectionId::DebugLine,
        SectionId::DebugLineStr,
        SectionId::DebugRanges,
        SectionId::DebugRngLists,
        SectionId::DebugStr,
        SectionId::DebugStrOffsets,
    ];

    /// Reads the sections, together at most `limit` bytes unpacked.
    ///
    /// # Errors
    /// A fragment for people.
    pub(crate) fn read(bytes: &Bytes, elf: &Elf, limit: u64) -> Result<Self, String> {
        let size = |id: &SectionId| elf.unpacked_size(id.name());
        if Self::NEEDED.iter().map(size).fold(0, u64::saturating_add) > limit {
            let limit = memtide_model::text::bytes(limit as f64);
            return Err(format!(
                "its debug information is larger than the limit of {limit}"
            ));
        }
        // One after another: side by side was no quicker beyond the noise (70 MiB of sections), and
        // raised the peak from 265 to 399 MiB through the threads' malloc arenas.
        let read = |id: SectionId| Ok((id, elf.read(bytes, id.name(), limit)?));
        let sections = Self::NEEDED
            .into_iter()
            .map(read)
            .collect::<Result<_, String>>()?;
        let endian = if elf.little_endian {
            RunTimeEndian::Little
        } else {
            RunTimeEndian::Big
        };
        let info = Self { sections, endian };
        if info.dwarf().is_ok_and(|dwarf| nesting::is_too_deep(&dwarf)) {
            return Err("its inlined calls are nested beyond reason".to_owned());
        }
        Ok(info)
    }

    /// Begins a look-up: reads the list of units.
    ///
    /// # Errors
    /// A fragment for people.
    pub(crate) fn lines(&self) -> Result<Lines<'_>, String> {
        self.dwarf()
            .and_then(Context::from_dwarf)
            .map(|context| Lines { context })
            .map_err(|error| format!("its debug information is damaged: {error}"))
    }

    fn dwarf(&self) -> gimli::Result<gimli::Dwarf<EndianSlice<'_, RunTimeEndian>>> {
        gimli::Dwarf::load(|id| {
            let found = self.sections.iter().find(|(other, _)| *other == id);
            let bytes = found.map_or(&[][..], |(_, bytes)| bytes);
            Ok(EndianSlice::new(bytes, self.endian))
        })
    }
}

impl Lines<'_> {
    /// The frames at an svma, the innermost inlined one first; empty where nothing is known.
    /// Damage ends the list early.
    pub(crate) fn frames(&self, svma: u64) -> Vec<RawFrame> {
        let mut frames = Vec::new();
        let Ok(mut found) = self.context.find_frames(svma).skip_all_loads() else {
            return frames;
        };
        while let Ok(Some(frame)) = found.next() {
            let location = frame.location;
            let name = frame
                .function
                .as_ref()
                .and_then(|name| name.raw_name().ok());
            frames.push(RawFrame {
                name: name.map(core::convert::Into::into),
                file: location.as_ref().and_then(|at| at.file).map(str::to_owned),
                line: location.and_then(|at| at.line).filter(|line| *line > 0),
            });
        }
        frames
    }
}
