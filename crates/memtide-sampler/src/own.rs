//! Which mappings are memtide's own: the tables of the preload shim, its region file, its code.
//!
//! They are told by what the shim says of itself (address ranges) and by where its files lie. The
//! kernel joins neighbouring private ranges into one mapping and splits one where its protection
//! changes, so a mapping belongs to the shim if it lies within the union of the ranges. It never
//! joins them with the program's: the shim marks its memory as not to be dumped and not for huge pages.

use crate::classify::Place;
use memtide_proc::clock;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// What the kernel appends to the name of a mapped file that is gone.
const DELETED: &[u8] = b" (deleted)";

/// The ranges and files.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// (first, behind the last), in order, disjoint, with gaps between them.
    ranges: Vec<(u64, u64)>,
    /// As the kernel prints them.
    files: Vec<Vec<u8>>,
}

impl Own {
    /// Replaces the ranges, each (first address, bytes); they are widened to whole pages.
    pub(crate) fn set_ranges(&mut self, ranges: &[(u64, u64)]) {
        let page = clock::page_size().0.max(1);
        let mut sorted: Vec<(u64, u64)> = (ranges.iter())
            .filter(|(_, bytes)| *bytes > 0)
            .map(|&(start, bytes)| {
                let end = start.saturating_add(bytes);
                let end = end.checked_next_multiple_of(page).unwrap_or(end);
                (start - start % page, end)
            })
            .collect();
        sorted.sort_unstable();
        self.ranges.clear();
        for (start, end) in sorted {
            match self.ranges.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => self.ranges.push((start, end)),
            }
        }
    }

    /// Replaces the files and folders.
    pub(crate) fn set_files(&mut self, files: &[PathBuf]) {
        self.files.clear();
        for file in files {
            // A file that is not there yet has no other name than the one that was given.
            let real = std::fs::canonicalize(file).unwrap_or_else(|_| file.clone());
            let name = as_in_maps(real.as_os_str().as_bytes());
            // The root would make every file memtide's own.
            if !name.is_empty() && name != b"/" {
                self.files.push(name);
            }
        }
    }

    /// Whether this mapping is memtide's.
    pub(crate) fn holds(&self, place: &Place) -> bool {
        if place.inode == 0 {
            return self.covers(place.start, place.end);
        }
        self.has_file(place.name)
    }

    /// Whether the file, by its name as maps prints it, is memtide's or lies in a folder that is.
    pub(crate) fn has_file(&self, name: &[u8]) -> bool {
        self.files.iter().any(|own| {
            (name.strip_prefix(own.as_slice()))
                .is_some_and(|rest| rest.is_empty() || rest == DELETED || rest.starts_with(b"/"))
        })
    }

    fn covers(&self, start: u64, end: u64) -> bool {
        let behind = self.ranges.partition_point(|range| range.0 <= start);
        (behind.checked_sub(1).and_then(|at| self.ranges.get(at)))
            .is_some_and(|range| start < end && end <= range.1)
    }
}

/// A path as maps prints it: a line feed as `\012`, all else as it is; no slash at the end.
fn as_in_maps(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|&byte| byte != b'/');
    let path = end.map_or(&b"/"[..], |end| path.get(..=end).unwrap_or_default());
    path.split(|&byte| byte == b'\n')
        .collect::<Vec<_>>()
        .join(&b"\\012"[..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anonymous(start: u64, end: u64) -> Place<'static> {
        Place {
            start,
            end,
            protection: *b"rw-p",
            inode: 0,
            name: b"",
        }
    }

    fn file(name: &'static [u8]) -> Place<'static> {
        Place {
            inode: 7,
            name,
            ..anonymous(0x1000, 0x2000)
        }
    }

    #[test]
    fn what_lies_within_the_union_is_own() {
        let page = clock::page_size().0;
        let at = |page_number: u64| page_number * page;
        let mut own = Own::default();
        // Three neighbours out of order, one of a part of a page, one nested, one apart, one empty.
        own.set_ranges(&[
            (at(20), 2 * page),
            (at(10), 4 * page),
            (at(14), 100),
            (at(15), page),
            (at(11), page),
            (at(30), 0),
        ]);
        for (from, to, expected) in [
            (10, 16, true),
            (11, 12, true),
            (15, 16, true),
            (20, 22, true),
            (9, 11, false),
            (15, 17, false),
            (10, 22, false),
            (16, 20, false),
            (22, 23, false),
            (30, 31, false),
            (12, 12, false),
        ] {
            assert_eq!(
                own.holds(&anonymous(at(from), at(to))),
                expected,
                "{from} to {to}"
            );
        }
        own.set_ranges(&[(u64::MAX - 10, u64::MAX)]);
        assert!(
            !own.holds(&anonymous(at(10), at(11))),
            "the old list is gone"
        );
        // A file's pages are no private memory, wherever they lie.
        own.set_ranges(&[(0, at(100))]);
        assert!(!own.holds(&file(b"/bin/app")));
    }

    #[test]
    fn files_and_folders_are_known_deleted_or_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("it is there");
        let link = real.join("link");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let mut own = Own::default();
        own.set_files(&[
            link,
            PathBuf::from("/not/there/shim.so"),
            PathBuf::from("/"),
        ]);
        let below: &'static [u8] = real
            .join("12-0.region")
            .into_os_string()
            .into_encoded_bytes()
            .leak();
        assert!(own.holds(&file(below)));
        for (name, expected) in [
            (&b"/not/there/shim.so"[..], true),
            (b"/not/there/shim.so (deleted)", true),
            (b"/not/there/shim.so.1", false),
            (b"/not/there", false),
            (b"/bin/app", false),
        ] {
            let name: &'static [u8] = name;
            assert_eq!(
                own.holds(&file(name)),
                expected,
                "{}",
                String::from_utf8_lossy(name)
            );
        }
        assert_eq!(as_in_maps(b"/a\nb//"), b"/a\\012b");
    }
}
