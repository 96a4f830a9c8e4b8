//! Searching and numbers in bytes.

use memchr::memmem;

/// What stands before and after the first `needle`.
pub(crate) fn find<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    cut(text, memmem::find(text, needle)?, needle.len())
}

/// What stands before and after the last `needle`: of two names the first may hold it, too.
pub(crate) fn between<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    cut(text, memmem::rfind(text, needle)?, needle.len())
}

fn cut(text: &[u8], at: usize, length: usize) -> Option<(&[u8], &[u8])> {
    Some((text.get(..at)?, text.get(at + length..)?))
}

/// What stands after `prefix`, where the text begins with it.
pub(crate) fn strip<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    text.strip_prefix(prefix)
}

/// The decimal number at the start, and what follows; `None` without a digit or beyond 64 bits.
pub(crate) fn decimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits)?;
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((number, rest))
}

/// As [`decimal`], a minus sign allowed.
pub(crate) fn signed(text: &[u8]) -> Option<(i64, &[u8])> {
    match text.strip_prefix(b"-") {
        Some(digits) => {
            decimal(digits).and_then(|(n, rest)| Some((0_i64.checked_sub_unsigned(n)?, rest)))
        }
        None => decimal(text).and_then(|(n, rest)| Some((i64::try_from(n).ok()?, rest))),
    }
}

/// The number after the first `key`, of any text.
pub(crate) fn after_key(text: &[u8], key: &[u8]) -> Option<u64> {
    decimal(find(text, key)?.1).map(|(number, _)| number)
}

/// The words of a text.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
}
