//! What the files of programs and libraries say, remembered: run after run of a comparison loads the same ones,
//! and what reading them costs would count as the cost of watching.
//!
//! A file is known by device, number, size and the time of its last change: one that was replaced is read anew.

use super::image::Image;
use super::kind::Kind;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::rc::Rc;

/// Device, number, size in bytes, and seconds and nanoseconds of the last change.
type Identity = (u64, u64, u64, i64, i64);

/// The files that were read so far; a few hundred bytes for each.
#[derive(Debug, Default)]
pub struct Files {
    known: RefCell<HashMap<Identity, Rc<Content>>>,
}

/// What is in one file.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) image: Image,
    /// Version, where it is an allocator's and tells it.
    pub(super) version: Option<String>,
}

impl Files {
    /// What is in that file, the library of an allocator of that kind or of none. The path may be gone by the next
    /// call, for it leads through a process: nothing is left to be read later.
    pub(super) fn read(&self, path: &Path, kind: Option<Kind>) -> io::Result<Rc<Content>> {
        let identity = identity(path)?;
        if let Some(known) = self.known.borrow().get(&identity) {
            return Ok(Rc::clone(known));
        }
        let (image, bytes) = Image::open(path)?;
        let version = kind.and_then(|kind| kind.version(&bytes));
        let content = Rc::new(Content { image, version });
        self.known
            .borrow_mut()
            .insert(identity, Rc::clone(&content));
        Ok(content)
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let of = fs::metadata(path)?;
    Ok((of.dev(), of.ino(), of.size(), of.ctime(), of.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocator::image::MALLOC;

    #[test]
    fn a_file_is_read_once_until_it_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("library");
        fs::copy("/proc/self/exe", &path).unwrap();
        let files = Files::default();
        let first = files.read(&path, None).unwrap();
        assert!(first.image.imports.contains(&MALLOC));
        assert!(Rc::ptr_eq(&first, &files.read(&path, None).unwrap()));
        fs::write(&path, "no program any more").unwrap();
        assert!(files.read(&path, None).unwrap().image.imports.is_empty());
        fs::remove_file(&path).unwrap();
        assert!(files.read(&path, None).is_err());
    }
}
