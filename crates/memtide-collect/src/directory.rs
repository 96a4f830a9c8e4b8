//! The names of region files: `PID-N.region`, where N counts the programs that one pid has run.

use crate::{Error, Result};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A region file's name. Ordered by pid, then by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    /// The pid as the process itself sees it.
    pub(crate) pid: u32,
    /// Number of its start: an exec, or a reuse of the pid, has the next one.
    pub(crate) start: u32,
}

impl Name {
    /// The name that is written so; `None` for any other file.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (pid, start) = name.strip_suffix(".region")?.split_once('-')?;
        let name_again = Self {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        };
        // `+7` and `007` are numbers, too, but no names that the shim gives.
        (name_again.file_name() == name).then_some(name_again)
    }

    fn file_name(self) -> String {
        format!("{}-{}.region", self.pid, self.start)
    }

    /// Where it lies.
    pub(crate) fn path(self, directory: &Path) -> PathBuf {
        directory.join(self.file_name())
    }
}

/// All region files of a directory, sorted.
pub(crate) fn list(directory: &Path) -> Result<Vec<Name>> {
    let error = |source: io::Error| Error::Directory {
        path: directory.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(error)? {
        let name = entry.map_err(error)?.file_name();
        names.extend(name.to_str().and_then(Name::parse));
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_shim_gives_are_names() {
        let name = Name {
            pid: 4182,
            start: 3,
        };
        assert_eq!(Name::parse("4182-3.region"), Some(name));
        assert_eq!(name.path(Path::new("/d")), Path::new("/d/4182-3.region"));
        for other in [
            "4182.region",
            "4182-3",
            "-3.region",
            "4182-+3.region",
            "04182-3.region",
            "4182-3.region~",
            "99999999999-0.region",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
