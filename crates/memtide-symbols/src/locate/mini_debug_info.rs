//! `.gnu_debugdata` (Fedora's `MiniDebugInfo`): an ELF file with the symbols of functions that are
//! not exported, packed with xz.

use crate::bytes::Bytes;
use crate::elf::Elf;
use std::io::Read;

/// Real ones unpack to a few megabytes; a hostile one would unpack to anything.
const UNPACKED_LIMIT: u64 = 256 << 20;
/// xz -9 needs 65 MiB to unpack.
const DECODER_LIMIT_KIB: u32 = 128 << 10;

/// The file inside; `None` where there is none, an error fragment where it is damaged.
pub(crate) fn unpack(bytes: &Bytes, elf: &Elf) -> Option<Result<(Bytes, Elf), String>> {
    const NAME: &str = ".gnu_debugdata";
    elf.has(NAME).then(|| {
        let packed = elf.read(bytes, NAME, UNPACKED_LIMIT)?;
        let reader =
            lzma_rust2::XzReader::new_mem_limit(packed.as_slice(), false, DECODER_LIMIT_KIB);
        let mut unpacked = Vec::new();
        reader
            .take(UNPACKED_LIMIT)
            .read_to_end(&mut unpacked)
            .map_err(|error| format!("section {NAME}: {error}"))?;
        let bytes = Bytes::Memory(unpacked);
        let elf = Elf::parse(&bytes).map_err(|error| format!("section {NAME}: {error}"))?;
        Ok((bytes, elf))
    })
}
