//! The private folder into which a run's processes write their regions.

use crate::error::{Error, ErrorKind};
use rustix::fs::statvfs;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Free bytes that a place should have: regions are sparse and mostly a few MiB, those of programs
/// with millions of stacks some hundred.
const ROOM: u64 = 512 << 20;

/// A folder of mode 0700 that is removed, with what is in it, when this is dropped.
///
/// Programs that still run then keep what they have mapped; programs that they start later find no
/// folder and run unrecorded.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
}

impl RunDir {
    /// Makes one in `$XDG_RUNTIME_DIR`, in the folder for temporary files, or in one of `others`: the first of
    /// them with 512 MiB free, or else the one with most.
    ///
    /// # Errors
    /// [`ErrorKind::System`] where none of them may be written to.
    pub fn create(others: &[&Path]) -> Result<Self, Error> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let mut places: Vec<PathBuf> = runtime.into_iter().filter(|p| p.is_absolute()).collect();
        places.push(std::env::temp_dir());
        places.extend(others.iter().map(|place| place.to_path_buf()));
        Self::create_in(&places)
    }

    /// Makes one in the best of these places, as [`RunDir::create`] does.
    pub fn create_in(places: &[PathBuf]) -> Result<Self, Error> {
        let mut rooms: Vec<(u64, &PathBuf)> =
            places.iter().map(|place| (room(place), place)).collect();
        // Stable: among those with room enough the order stays as it was.
        rooms.sort_by_key(|(room, _)| std::cmp::Reverse((*room).min(ROOM)));
        let mut failure = None;
        for (_, place) in rooms {
            match make(place) {
                Ok(path) => return Ok(Self { path }),
                Err(error) => failure = failure.or(Some((place, error))),
            }
        }
        Err(match failure {
            Some((place, error)) => Error::io(
                ErrorKind::System,
                "making a folder for regions in",
                place,
                error,
            ),
            None => Error::new(ErrorKind::System, "no place for a folder of regions"),
        })
    }

    /// Where it is: an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // What cannot be removed lies where temporary files are cleared away.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Bytes that may be written there; 0 where nothing is known.
fn room(place: &Path) -> u64 {
    statvfs(place).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

fn make(place: &Path) -> io::Result<PathBuf> {
    let place = fs::canonicalize(place)?;
    for attempt in 0..100_u32 {
        let path = place.join(format!("memtide-{}-{attempt}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|()| path),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_private_and_goes_with_all_that_is_in_it() {
        let base = tempfile::tempdir().unwrap();
        let places = [PathBuf::from("/nonexistent"), base.path().to_path_buf()];
        let (first, second) = (
            RunDir::create_in(&places).unwrap(),
            RunDir::create_in(&places).unwrap(),
        );
        assert_ne!(first.path(), second.path());
        let mode = fs::metadata(first.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
        fs::write(first.path().join("1-0.region"), b"x").unwrap();
        drop(first);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
        drop(second);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn no_place_is_an_error_that_names_one() {
        let error = RunDir::create_in(&[PathBuf::from("/nonexistent")]).unwrap_err();
        assert!(error.to_string().contains("/nonexistent"), "{error}");
        assert_eq!(error.kind().exit_code(), 125);
    }
}
