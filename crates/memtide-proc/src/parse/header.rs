//! The line that opens a mapping in `maps` and in `smaps`.
//!
//! ```text
//! 55ac384ee000-55ac384f4000 r-xp 00002000 fe:00 247282                     /usr/bin/head
//! start        end          prot offset   dev   inode   blanks             name
//! ```

use super::maps::{Device, MapEntry};
use super::scan;

/// Parses the line without its newline; the error says what is wrong with it.
#[inline]
pub(super) fn parse(line: &[u8]) -> Result<MapEntry<'_>, &'static str> {
    let (start, rest) = scan::hexadecimal(line).ok_or("start address is not hexadecimal")?;
    let rest = rest
        .strip_prefix(b"-")
        .ok_or("no dash behind the start address")?;
    let (end, rest) = scan::hexadecimal(rest).ok_or("end address is not hexadecimal")?;
    if end < start {
        return Err("end address lies before the start");
    }
    let (&[b' ', r, w, x, p, b' '], rest) = rest.split_first_chunk().ok_or("no protection")? else {
        return Err("protection is not four letters");
    };
    let (offset, rest) = scan::hexadecimal(rest).ok_or("offset is not hexadecimal")?;
    let (device, rest) = device(rest).ok_or("device is not major:minor")?;
    let (inode, rest) = scan::decimal(rest).ok_or("inode is no number")?;
    let name = match rest.split_first() {
        None => rest,
        // Blanks fill the column; no name of the kernel's starts with one. Those at its end are its own.
        Some((b' ', rest)) => skip_fill(rest),
        Some(_) => return Err("no blank behind the inode"),
    };
    Ok(MapEntry {
        start,
        end,
        protection: [r, w, x, p],
        offset,
        device,
        inode,
        name,
    })
}

#[inline]
fn device(bytes: &[u8]) -> Option<(Device, &[u8])> {
    let (major, rest) = scan::hexadecimal(bytes.strip_prefix(b" ")?)?;
    let (minor, rest) = scan::hexadecimal(rest.strip_prefix(b":")?)?;
    let device = Device {
        major: u32::try_from(major).ok()?,
        minor: u32::try_from(minor).ok()?,
    };
    Some((device, rest.strip_prefix(b" ")?))
}

/// Goes over the blanks before the name, eight at a time: they are half of the line.
#[inline]
fn skip_fill(mut bytes: &[u8]) -> &[u8] {
    while let Some(rest) = bytes.strip_prefix(b"        ") {
        bytes = rest;
    }
    while let Some(rest) = bytes.strip_prefix(b" ") {
        bytes = rest;
    }
    bytes
}
