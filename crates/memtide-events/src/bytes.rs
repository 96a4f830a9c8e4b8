//! Numbers out of the kernel's binary records, which may be cut off anywhere.

/// The four bytes at `offset` as a number of this machine.
pub(crate) fn number_u32(record: &[u8], offset: usize) -> Option<u32> {
    let bytes = record.get(offset..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

/// The eight bytes at `offset` as a number of this machine.
pub(crate) fn number_u64(record: &[u8], offset: usize) -> Option<u64> {
    let bytes = record.get(offset..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*bytes))
}
