//! Which paths are of one group: those that differ only in numbers, hashes and random parts.
//!
//! The rule, word by word (a word is a run of ASCII letters and digits):
//!
//! 1. a word of six characters or more in which letters and digits change two times or more becomes `*`:
//!    `a3f9c2`, `tmp8x1kq`;
//! 2. in any other word each run of digits becomes `*`: `worker12` is `worker*`, `2026` is `*`;
//! 3. random parts without a digit look like words. So once [`CROWD`] files were seen in one folder with
//!    the same beginning (the letters up to the first `-` or `_`) and the same ending (from the last `.`),
//!    all further ones there are one group: `/tmp/job-*.dat`.
//!
//! A group is called by its pattern only when it has two members, so a single `/usr/lib/python3.11` keeps
//! its name.

use std::collections::HashMap;

/// So many different patterns of a folder, beginning and ending are told apart.
const CROWD: usize = 8;
/// Folders that are watched for crowds.
const MOST_FOLDERS: usize = 4_096;
/// Words from this length on may be hashes.
const HASH_LENGTH: usize = 6;

/// Remembers which folders are crowded.
#[derive(Debug, Default)]
pub(super) struct Paths {
    seen: HashMap<String, Vec<String>>,
}

impl Paths {
    /// The name of the group that `path` belongs to.
    pub(super) fn pattern(&mut self, path: &str) -> String {
        let pattern = without_numbers(path);
        let crowded = crowd(&pattern);
        if self.seen.len() >= MOST_FOLDERS && !self.seen.contains_key(&crowded) {
            return pattern;
        }
        let seen = self.seen.entry(crowded).or_default();
        if seen.contains(&pattern) {
            return pattern;
        }
        if seen.len() < CROWD {
            seen.push(pattern.clone());
            return pattern;
        }
        crowd(&pattern)
    }
}

/// Rules 1 and 2.
fn without_numbers(path: &str) -> String {
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

/// Rule 3: folder, beginning and ending of a pattern, with a star for what lies between.
fn crowd(pattern: &str) -> String {
    let (folder, file) = match pattern.rfind('/') {
        Some(at) => pattern.split_at(at + 1),
        None => ("", pattern),
    };
    let letters = file.find(|c: char| !c.is_alphabetic());
    let start = letters.filter(|&at| file.get(at..).is_some_and(|f| f.starts_with(['-', '_'])));
    let beginning = start.and_then(|at| file.get(..=at)).unwrap_or_default();
    let ending = file.rfind('.').filter(|&at| at > 0);
    let ending = ending.and_then(|at| file.get(at..)).unwrap_or_default();
    format!("{folder}{beginning}*{ending}")
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

    #[test]
    fn the_ninth_random_name_of_a_folder_joins_its_crowd() {
        let names = "aaaa bbbb cccc dddd eeee ffff gggg hhhh iiii jjjj".split(' ');
        let mut paths = Paths::default();
        let patterns: Vec<String> = names
            .map(|name| paths.pattern(&format!("/tmp/job-{name}.dat")))
            .collect();
        assert_eq!(patterns[7], "/tmp/job-hhhh.dat");
        assert_eq!(patterns[8..], ["/tmp/job-*.dat", "/tmp/job-*.dat"]);
        assert_eq!(
            paths.pattern("/tmp/job-aaaa.dat"),
            "/tmp/job-aaaa.dat",
            "known before"
        );
        assert_eq!(paths.pattern("/tmp/other.dat"), "/tmp/other.dat");
        assert_eq!(paths.pattern("/var/job-zzzz.dat"), "/var/job-zzzz.dat");
    }
}
