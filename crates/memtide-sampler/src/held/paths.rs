//! Which paths are of one group: those that differ only in numbers, hashes and random parts.
//!
//! Numbers and hashes are stars ([`without_numbers`]). Random parts without a digit look like words: so once
//! [`CROWD`] files were seen in one folder with the same beginning (the letters up to the first `-` or `_`) and the
//! same ending (from the last `.`), all further ones there are one group: `/tmp/job-*.dat`.
//!
//! A group is called by its pattern only when it has two members, so a single `/usr/lib/python3.11` keeps
//! its name.

use memtide_model::alike::without_numbers;
use std::collections::HashMap;

/// So many different patterns of a folder, beginning and ending are told apart.
const CROWD: usize = 8;
/// Folders that are watched for crowds.
const MOST_FOLDERS: usize = 4_096;

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

/// Folder, beginning and ending of a pattern, with a star for what lies between.
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
