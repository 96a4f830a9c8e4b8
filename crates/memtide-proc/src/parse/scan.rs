//! Numbers and lines in bytes: what every parser of this crate is made of.
//!
//! A number that does not fit is no number: nothing wraps, nothing saturates.

use crate::error::Error;
use memtide_model::Bytes;

/// The decimal number at the start of `bytes`, and what follows it. `None` without a digit, or
/// where it does not fit 64 bits.
#[inline]
pub(crate) fn decimal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut value = digit(*first)?;
    while let Some((byte, after)) = rest.split_first() {
        let Some(digit) = digit(*byte) else { break };
        value = value.checked_mul(10)?.checked_add(digit)?;
        rest = after;
    }
    Some((value, rest))
}

/// As [`decimal`], with a minus sign allowed.
pub(crate) fn signed(bytes: &[u8]) -> Option<(i64, &[u8])> {
    if let Some(digits) = bytes.strip_prefix(b"-") {
        let (value, rest) = decimal(digits)?;
        Some((0_i64.checked_sub_unsigned(value)?, rest))
    } else {
        let (value, rest) = decimal(bytes)?;
        Some((i64::try_from(value).ok()?, rest))
    }
}

/// The hexadecimal number (lower or upper case) at the start of `bytes`, and what follows it.
#[inline]
pub(crate) fn hexadecimal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    let mut digits = 0_usize;
    for &byte in bytes {
        let digit = HEX_DIGITS
            .get(usize::from(byte))
            .copied()
            .unwrap_or(NO_DIGIT);
        if digit == NO_DIGIT {
            break;
        }
        // 16 digits fill 64 bits; /proc prints no longer ones.
        if digits == 16 {
            return None;
        }
        value = value << 4 | u64::from(digit);
        digits += 1;
    }
    (digits > 0).then(|| (value, bytes.get(digits..).unwrap_or_default()))
}

const NO_DIGIT: u8 = 0xff;

/// The value of each byte as a hexadecimal digit.
static HEX_DIGITS: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0;
    // The index is bounded by the arrays' lengths, which the compiler checks here.
    #[expect(
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        reason = "const"
    )]
    while value < 16 {
        table[digits[value] as usize] = value as u8;
        table[digits[value].to_ascii_uppercase() as usize] = value as u8;
        value += 1;
    }
    table
};

#[inline]
fn digit(byte: u8) -> Option<u64> {
    let value = byte.wrapping_sub(b'0');
    (value < 10).then_some(u64::from(value))
}

/// `bytes` without the blanks (space, tab) at its start.
#[inline]
pub(crate) fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes
        .iter()
        .take_while(|&&byte| byte == b' ' || byte == b'\t');
    bytes.get(blanks.count()..).unwrap_or_default()
}

/// The number that `text` is, blanks around it allowed.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let (value, rest) = decimal(skip_blanks(text))?;
    skip_blanks(rest).is_empty().then_some(value)
}

/// As [`number`], for what must fit 32 bits.
pub(crate) fn number_u32(text: &[u8]) -> Option<u32> {
    u32::try_from(number(text)?).ok()
}

/// The size that `text` is: a number followed by ` kB`, by which /proc means 1,024 bytes.
#[inline]
pub(crate) fn kibibytes(text: &[u8]) -> Option<Bytes> {
    let (value, rest) = decimal(skip_blanks(text))?;
    (rest == b" kB").then_some(())?;
    value.checked_mul(1024).map(Bytes)
}

/// The lines of a file that must end with a newline.
///
/// # Errors
/// Where it does not: then it was cut off, and its last value may be a part of one.
pub(crate) fn whole_lines<'a>(file: &'static str, bytes: &'a [u8]) -> Result<Lines<'a>, Error> {
    match bytes.last() {
        Some(b'\n') | None => Ok(Lines {
            rest: bytes,
            number: 0,
        }),
        Some(_) => Err(Error::malformed(file, 0, "cut off in the middle of a line")),
    }
}

/// As [`whole_lines`], for a file that is never empty.
pub(crate) fn some_lines<'a>(file: &'static str, bytes: &'a [u8]) -> Result<Lines<'a>, Error> {
    if bytes.is_empty() {
        return Err(Error::malformed(file, 0, "empty"));
    }
    whole_lines(file, bytes)
}

/// Lines without their newline, numbered from 1. An unended last line is left out.
#[derive(Clone, Debug)]
pub(crate) struct Lines<'a> {
    rest: &'a [u8],
    number: u64,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u64, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let end = memchr::memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(1..)?;
        self.number += 1;
        Some((self.number, line))
    }
}

/// A line's key and value, split at the first colon.
#[inline]
pub(crate) fn key_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (key, value) = line.split_at_checked(colon)?;
    Some((key, value.get(1..)?))
}

/// The words of a line: what blanks separate.
pub(crate) fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b' ' || byte == b'\t')
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_their_digits_end_and_never_wrap() {
        assert_eq!(decimal(b"12 x"), Some((12, &b" x"[..])));
        assert_eq!(decimal(b"18446744073709551615"), Some((u64::MAX, &b""[..])));
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(decimal(b""), None);
        assert_eq!(decimal(b"-1"), None);
        assert_eq!(signed(b"-9223372036854775808"), Some((i64::MIN, &b""[..])));
        assert_eq!(signed(b"-9223372036854775809"), None);
        assert_eq!(signed(b"9223372036854775808"), None);
        assert_eq!(hexadecimal(b"7fFf-"), Some((0x7fff, &b"-"[..])));
        assert_eq!(hexadecimal(b"ffffffffffffffff"), Some((u64::MAX, &b""[..])));
        assert_eq!(hexadecimal(b"10000000000000000"), None);
        assert_eq!(hexadecimal(b"g"), None);
        assert_eq!(number(b" \t7 "), Some(7));
        assert_eq!(number(b"7 8"), None);
    }

    #[test]
    fn a_size_needs_its_unit() {
        assert_eq!(kibibytes(b"\t     5 kB"), Some(Bytes(5120)));
        assert_eq!(kibibytes(b" 5"), None);
        assert_eq!(kibibytes(b" 5 k"), None);
        assert_eq!(kibibytes(b" 5 MB"), None);
        assert_eq!(kibibytes(b" 18014398509481984 kB"), None);
    }

    #[test]
    fn only_ended_lines_count() {
        assert!(whole_lines("x", b"a\nb").is_err());
        let lines: Vec<_> = whole_lines("x", b"a\n\nb\n").unwrap().collect();
        assert_eq!(lines, [(1, &b"a"[..]), (2, &b""[..]), (3, &b"b"[..])]);
        assert!(some_lines("x", b"").is_err());
    }
}
