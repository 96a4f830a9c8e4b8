//! Which names are alike: those that differ only in numbers and hashes.
//!
//! The rule, word by word (a word is a run of ASCII letters and digits):
//!
//! 1. a word of six characters or more in which letters and digits change two times or more becomes `*`:
//!    `a3f9c2`, `tmp8x1kq`;
//! 2. in any other word each run of digits becomes `*`: `worker12` is `worker*`, `2026` is `*`.
//!
//! It refuses to guess which words without a digit are random.

/// Words from this length on may be hashes.
const HASH_LENGTH: usize = 6;

/// The name of all that differ from `path` in numbers and hashes alone, by the rule of this module.
pub fn without_numbers(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    let mut rest = path;
    while !rest.is_empty() {
        // An unprintable byte, `\x0a`: its digits are no number.
        if let Some((escape, after)) = rest.split_at_checked(4)
            && escape.starts_with("\\x")
        {
            pattern.push_str(escape);
            rest = after;
            continue;
        }
        let length = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        push_word(&mut pattern, word);
        if !word.is_empty() && after.starts_with("\\x") {
            rest = after;
            continue;
        }
        let mut characters = after.chars();
        pattern.extend(characters.next());
        rest = characters.as_str();
    }
    pattern
}

fn push_word(pattern: &mut String, word: &str) {
    let digits = word.bytes().map(|byte| byte.is_ascii_digit());
    let changes = digits.clone().zip(digits.skip(1)).filter(|(a, b)| a != b);
    if word.len() >= HASH_LENGTH && changes.count() >= 2 {
        pattern.push('*');
        return;
    }
    let mut in_number = false;
    for character in word.chars() {
        let is_digit = character.is_ascii_digit();
        if !is_digit {
            pattern.push(character);
        } else if !in_number {
            pattern.push('*');
        }
        in_number = is_digit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_hashes_are_stars() {
        for (path, pattern) in [
            ("/tmp/job-17.dat", "/tmp/job-*.dat"),
            ("/var/log/x.log", "/var/log/x.log"),
            ("/tmp/tmpa3f9c2q", "/tmp/*"),
            ("/srv/worker12/state", "/srv/worker*/state"),
            (
                "/c/0a1b2c3d-11aa-22bb-33cc-445566778899",
                "/c/*-*aa-*bb-*cc-*",
            ),
            ("/usr/lib/python3.11/os.py", "/usr/lib/python*.*/os.py"),
            ("", ""),
            ("/tmp/two\\x0alines7", "/tmp/two\\x0alines*"),
            ("/größe7", "/größe*"),
        ] {
            assert_eq!(without_numbers(path), pattern, "{path}");
        }
    }
}
