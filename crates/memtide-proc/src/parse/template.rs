//! How this kernel lays a block of smaps out, learnt from one block and checked against each other.
//!
//! The skeleton is the block's text from behind the header to the key of its last line (`VmFlags:`,
//! whose value has no fixed length). A mask tells the bytes that all blocks share from those that
//! hold a value. A block fits when all its shared bytes equal the skeleton's and the others are digits
//! and blanks; that is one pass of vector instructions over 600 bytes. Then every wanted value is in
//! its eight columns before ` kB`, and reading line by line would say the same.

use super::scan;
use super::smaps::{PerKey, Sizes};
use memtide_model::Bytes;

/// The longest skeleton that is remembered; Linux 6.18 has one of 610 bytes.
const CAPACITY: usize = 1024;

/// The kernel prints sizes right-aligned in so many columns (`fs/proc/task_mmu.c`, `SEQ_PUT_DEC`).
const COLUMNS: usize = 8;

/// A layout; an empty one fits nothing.
pub(super) struct Template {
    length: usize,
    skeleton: [u8; CAPACITY],
    /// 0xff for a byte that all blocks share, 0 for one of a value.
    mask: [u8; CAPACITY],
    /// Where each key's columns start; `None` for a key that this kernel does not print.
    columns: PerKey<Option<u16>>,
}

impl core::fmt::Debug for Template {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Template")
            .field("length", &self.length)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

impl Default for Template {
    fn default() -> Self {
        Self {
            length: 0,
            skeleton: [0; CAPACITY],
            mask: [0; CAPACITY],
            columns: PerKey::default(),
        }
    }
}

impl Template {
    /// The sizes in the block that starts `body`, and what follows it, where the block fits.
    #[inline]
    pub(super) fn read<'a>(&self, body: &'a [u8]) -> Option<(Sizes, &'a [u8])> {
        let (block, last_value) = body.split_at_checked(self.length)?;
        if self.length == 0 || !self.fits(block) {
            return None;
        }
        let sizes = self.columns.try_map(|column| match column {
            None => Some(None),
            Some(start) => size_at(block, usize::from(*start)).map(Some),
        })?;
        let end = memchr::memchr(b'\n', last_value)?;
        Some((sizes, last_value.get(end + 1..)?))
    }

    /// Remembers the layout of a whole block; one that does not suit leaves what was there.
    pub(super) fn learn(&mut self, block: &[u8]) {
        if let Some(template) = Self::of(block) {
            *self = template;
        }
    }

    fn of(block: &[u8]) -> Option<Self> {
        let mut template = Self::default();
        let mut rest = block;
        loop {
            let (line, after) = rest.split_at_checked(memchr::memchr(b'\n', rest)? + 1)?;
            let (key, value) = scan::key_value(line)?;
            if after.is_empty() {
                // A wanted value without a place of its own: this layout is none of ours.
                if template.columns.get_mut(key).is_some() {
                    return None;
                }
                template.push(key, 0xff)?;
                template.push(b":", 0xff)?;
                return Some(template);
            }
            template.push(key, 0xff)?;
            template.push(b":", 0xff)?;
            template.push_value(key, value)?;
            rest = after;
        }
    }

    /// Appends a line's value with its newline. `None` where it cannot stand for others of its kind.
    fn push_value(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        if let Some(column) = self.columns.get_mut(key) {
            let (fill, size) = value.split_at_checked(value.len().checked_sub(COLUMNS + 4)?)?;
            let (columns, unit) = size.split_at_checked(COLUMNS)?;
            // The columns are all: nine digits would leave one before them.
            (fill.iter().all(|&byte| byte == b' ') && unit == b" kB\n").then_some(())?;
            *column = Some(u16::try_from(self.length + fill.len()).ok()?);
            self.push(fill, 0xff)?;
            self.push(columns, 0)?;
            return self.push(unit, 0xff);
        }
        let numeric = |byte: &&u8| byte.is_ascii_digit() || **byte == b' ';
        let number = value.iter().take_while(numeric).count();
        let (number, unit) = value.split_at_checked(number)?;
        // A blank before a unit belongs to the run of blanks and digits: that is right, both vary.
        self.push(number, 0)?;
        self.push(unit, 0xff)
    }

    fn push(&mut self, bytes: &[u8], mask: u8) -> Option<()> {
        let end = self.length.checked_add(bytes.len())?;
        self.skeleton
            .get_mut(self.length..end)?
            .copy_from_slice(bytes);
        self.mask.get_mut(self.length..end)?.fill(mask);
        self.length = end;
        Some(())
    }

    #[inline]
    fn fits(&self, block: &[u8]) -> bool {
        // Written so that the compiler makes vector code of it: no early end, one accumulator.
        let shared = self.skeleton.iter().zip(&self.mask);
        let misfits = block
            .iter()
            .zip(shared)
            .fold(0, |all, (byte, (model, mask))| {
                // Between the shared bytes there are digits and blanks (and the signs up to `)`, which do
                // no harm), so that no line can begin there that reading line by line would find.
                let foreign = u8::from((byte | 0x10).wrapping_sub(b'0') > 9);
                all | ((byte ^ model) & mask) | (foreign & !mask)
            });
        misfits == 0
    }
}

/// The size in the eight columns at `start`: blanks, then at least one digit.
#[inline]
fn size_at(block: &[u8], start: usize) -> Option<Bytes> {
    let columns: &[u8; COLUMNS] = block.get(start..)?.first_chunk()?;
    eight_columns(*columns).map(|kib| Bytes(kib * 1024))
}

/// The number in eight columns, all at once: the bytes are one 64-bit word, the first the lowest.
#[inline]
const fn eight_columns(columns: [u8; 8]) -> Option<u64> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_le_bytes(columns);
    // Bit 4 turns a blank (0x20) into the digit 0 (0x30) and leaves digits as they are.
    let digits = word | ONES << 4;
    let values = digits ^ (ONES * 0x30);
    // A value over 9 reaches bit 4 when 6 is added to it, one over 15 has a high bit already.
    if (values | (values.wrapping_add(ONES * 6))) & (ONES * 0xf0) != 0 {
        return None;
    }
    // Digits have bit 4 set in the text, blanks do not; nor have `!` to `)`, which are no zeros.
    // Blanks must be the lowest bytes, and not all.
    let blanks = (!word >> 4 & ONES) * 0xff;
    if values & blanks != 0 || blanks & blanks.wrapping_add(1) != 0 || blanks == u64::MAX {
        return None;
    }
    // Neighbours are joined in pairs, fours, then all: 10 a + b, 100 ab + cd, 10000 abcd + efgh.
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn eight_columns_hold_right_aligned_numbers_only() {
        assert_eq!(eight_columns(*b"       0"), Some(0));
        assert_eq!(eight_columns(*b"    1234"), Some(1234));
        assert_eq!(eight_columns(*b"98765432"), Some(98_765_432));
        for text in [
            b"        ",
            b"1       ",
            b"  1 2345",
            b"   12.34",
            b"      -1",
            b"  12\n  4",
        ] {
            assert_eq!(eight_columns(*text), None, "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn eight_columns_agree_with_the_plain_parser(
            columns in proptest::array::uniform8(prop_oneof![
                Just(b' '), b'0'..=b'9', any::<u8>(),
            ]),
        ) {
            let blanks = columns.iter().take_while(|&&byte| byte == b' ').count();
            let plain = str::from_utf8(&columns[blanks..]).ok()
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse().ok());
            prop_assert_eq!(eight_columns(columns), plain);
        }

        #[test]
        fn every_number_of_eight_digits_is_read(value in 0..100_000_000_u64) {
            let text = format!("{value:8}");
            prop_assert_eq!(eight_columns(text.as_bytes().try_into().unwrap()), Some(value));
        }
    }
}
