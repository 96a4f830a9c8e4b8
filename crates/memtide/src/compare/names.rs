//! What recordings go by in a comparison: the shortest ends of their paths that tell them apart.
//!
//! `before.memtide` and `after.memtide` are *before* and *after*; `v1/shop.memtide` and `v2/shop.memtide` are
//! *v1/shop* and *v2/shop*; the same file twice is numbered.

use memtide_model::text::printable;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

/// The ending of a recording's name, which tells nothing.
const EXTENSION: &str = "memtide";

/// A name for each path, no two of them alike.
pub(super) fn short(paths: &[PathBuf]) -> Vec<String> {
    let bare: Vec<PathBuf> = paths.iter().map(|path| without_extension(path)).collect();
    let names = bare.iter().map(|path| {
        let others = bare.iter().filter(|other| *other != path);
        let parts = path.components().count().max(1);
        let shared = |length: &usize| {
            others
                .clone()
                .all(|other| !other.ends_with(last(path, *length)))
        };
        let length = (1..parts).find(shared).unwrap_or(parts);
        printable(last(path, length).as_os_str().as_bytes())
    });
    numbered(names.collect())
}

/// With `#2` and so on where a name was given before.
pub(super) fn numbered(names: Vec<String>) -> Vec<String> {
    let mut given: Vec<String> = Vec::new();
    for name in names {
        let mut distinct = name.clone();
        let mut number = 1;
        while given.contains(&distinct) {
            number += 1;
            distinct = format!("{name}#{number}");
        }
        given.push(distinct);
    }
    given
}

fn without_extension(path: &Path) -> PathBuf {
    if path
        .extension()
        .is_some_and(|extension| extension == EXTENSION)
    {
        path.with_extension("")
    } else {
        path.to_owned()
    }
}

/// So many of its last components.
fn last(path: &Path, length: usize) -> PathBuf {
    let components: Vec<Component<'_>> = path.components().collect();
    let from = components.len().saturating_sub(length);
    components.into_iter().skip(from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(paths: &[&str]) -> Vec<String> {
        short(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_as_long_as_they_must_be() {
        assert_eq!(
            named(&["/a/b/before.memtide", "after.memtide"]),
            ["before", "after"]
        );
        assert_eq!(
            named(&["/r/v1/shop.memtide", "/r/v2/shop.memtide"]),
            ["v1/shop", "v2/shop"]
        );
        assert_eq!(
            named(&["shop.memtide", "old/shop.memtide"]),
            ["shop", "old/shop"]
        );
        assert_eq!(named(&["x/run.old", "x/run.memtide"]), ["run.old", "run"]);
    }

    #[test]
    fn the_same_file_again_is_numbered() {
        assert_eq!(
            named(&["a.memtide", "a.memtide", "b/a.memtide"]),
            ["a", "a#2", "b/a"]
        );
        let names = ["a", "a#2", "a"].map(str::to_owned).to_vec();
        assert_eq!(numbered(names), ["a", "a#2", "a#3"]);
    }
}
