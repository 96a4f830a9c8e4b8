//! Runs that are kept, so that an engine that changed is judged on the very same ones.
//!
//! A folder holds one folder for each run that gave an answer, named by its number and its case:
//!
//! ```text
//! 0007-leak-slow-a/run.json      what it was: case, command, seconds, drawn or not, the day
//!                  run.memtide   what was recorded
//!                  truth.csv     the program's own log, where it wrote one
//! ```
//!
//! One that is not whole yet has a name that begins with a dot. It refuses to score less than all: a run
//! that cannot be judged again is an error that names it.

use super::Run;
use crate::options::What;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The recording of a run.
pub(super) const RECORDING: &str = "run.memtide";
/// The log of a run's program.
pub(super) const LOG: &str = "truth.csv";
/// What a run was.
const ABOUT: &str = "run.json";

/// A run that was kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    /// Where.
    pub(super) folder: PathBuf,
    /// What it was.
    pub(super) about: About,
}

/// What a run was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// Its case.
    pub(super) case: String,
    /// The day that it was made, such as 2026-11-21.
    pub(super) made: String,
    /// The program.
    #[serde(flatten)]
    pub(super) run: Run,
}

/// Makes an empty folder for the runs to come.
///
/// Errors: `Manifest` where it holds something already; `File`.
pub(super) fn begin(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::file("making", folder))?;
    let mut entries = fs::read_dir(folder).map_err(Error::file("reading", folder))?;
    if entries.next().is_some() {
        let why = "it holds something already; runs are kept in a folder of their own";
        return Err(wrong(folder, why));
    }
    Ok(())
}

/// Keeps what a run left in `from`, as the run of this number. All of it is there, or nothing.
///
/// Errors: `File`.
pub(super) fn keep(folder: &Path, number: usize, about: &About, from: &Path) -> Result<()> {
    let name = format!("{number:04}-{}", about.case);
    let making = folder.join(format!(".{name}"));
    fs::create_dir(&making).map_err(Error::file("making", &making))?;
    for file in [RECORDING, LOG] {
        let source = from.join(file);
        if source.exists() {
            fs::copy(&source, making.join(file)).map_err(Error::file("keeping", &source))?;
        }
    }
    let path = making.join(ABOUT);
    let text =
        serde_json::to_string_pretty(about).map_err(|error| wrong(&path, &error.to_string()))?;
    fs::write(&path, text).map_err(Error::file("writing", &path))?;
    fs::rename(&making, folder.join(name)).map_err(Error::file("keeping", &making))
}

/// All runs that a folder keeps, in the order of their numbers.
///
/// Errors: `File`; `Manifest` where it keeps none, or one without its recording or without a word on what it was.
pub(super) fn read(folder: &Path) -> Result<Vec<Kept>> {
    let failed = |error| Error::file("reading", folder)(error);
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            folders.push(entry.path());
        }
    }
    folders.sort();
    if folders.is_empty() {
        let why = "no run is kept there; tests/score --live --keep and --long --keep do that";
        return Err(wrong(folder, why));
    }
    folders.into_iter().map(one).collect()
}

fn one(folder: PathBuf) -> Result<Kept> {
    let path = folder.join(ABOUT);
    let text = fs::read_to_string(&path).map_err(Error::file("reading", &path))?;
    let about = serde_json::from_str(&text).map_err(|error| wrong(&path, &error.to_string()))?;
    if !folder.join(RECORDING).is_file() {
        let why = format!("the run has no {RECORDING}; without its folder the others are scored");
        return Err(wrong(&folder, &why));
    }
    Ok(Kept { folder, about })
}

/// What kind of runs they are.
///
/// Errors: `Manifest` where there are both.
pub(super) fn what(folder: &Path, kept: &[Kept]) -> Result<What> {
    let drawn = kept.iter().filter(|kept| kept.about.run.drawn).count();
    match drawn {
        0 => Ok(What::Live),
        _ if drawn == kept.len() => Ok(What::Long),
        _ => Err(wrong(
            folder,
            "some runs have drawn arguments and some have not: these are two scores",
        )),
    }
}

/// The days that they were made on, without those between.
pub(super) fn days(kept: &[Kept]) -> String {
    let made = || kept.iter().map(|kept| kept.about.made.as_str());
    match (made().min(), made().max()) {
        (Some(first), Some(last)) if first < last => format!("{first} to {last}"),
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::Manifest {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(case: &str, drawn: bool) -> About {
        About {
            case: case.to_owned(),
            made: "2026-01-02".to_owned(),
            run: Run {
                command: vec!["bin/one".to_owned(), "dur=50".to_owned()],
                seconds: 48.0,
                drawn,
            },
        }
    }

    fn left(log: bool) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(RECORDING), "recorded").unwrap();
        if log {
            fs::write(folder.path().join(LOG), "logged").unwrap();
        }
        folder
    }

    fn said(folder: &Path) -> String {
        read(folder).unwrap_err().to_string()
    }

    #[test]
    fn what_was_kept_is_read_in_the_order_of_the_runs() {
        let folder = tempfile::tempdir().unwrap();
        begin(folder.path()).unwrap();
        keep(folder.path(), 11, &about("a", false), left(false).path()).unwrap();
        keep(folder.path(), 2, &about("b", false), left(true).path()).unwrap();
        fs::create_dir(folder.path().join(".0003-c")).unwrap();
        let kept = read(folder.path()).unwrap();
        let abouts: Vec<&About> = kept.iter().map(|kept| &kept.about).collect();
        assert_eq!(abouts, [&about("b", false), &about("a", false)]);
        let logs = kept.iter().map(|kept| kept.folder.join(LOG).exists());
        assert_eq!(logs.collect::<Vec<_>>(), [true, false]);
        assert_eq!(what(folder.path(), &kept).unwrap(), What::Live);
        assert_eq!(days(&kept), "2026-01-02");
        let again = begin(folder.path()).unwrap_err().to_string();
        assert!(again.contains("holds something already"), "{again}");
    }

    #[test]
    fn two_kinds_of_runs_are_no_score() {
        let folder = tempfile::tempdir().unwrap();
        let mut later = about("b", true);
        later.made = "2026-01-04".to_owned();
        keep(folder.path(), 0, &later, left(false).path()).unwrap();
        let kept = read(folder.path()).unwrap();
        assert_eq!(what(folder.path(), &kept).unwrap(), What::Long);
        keep(folder.path(), 1, &about("a", false), left(false).path()).unwrap();
        let kept = read(folder.path()).unwrap();
        assert!(what(folder.path(), &kept).is_err());
        assert_eq!(days(&kept), "2026-01-02 to 2026-01-04");
    }

    #[test]
    fn what_cannot_be_judged_again_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(said(&folder.path().join("none")).contains("none: No such file"));
        assert!(said(folder.path()).contains("no run is kept there"));
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(said(&file).contains("file: Not a directory"));
        fs::remove_file(&file).unwrap();
        keep(folder.path(), 0, &about("a", true), left(false).path()).unwrap();
        let run = folder.path().join("0000-a");
        fs::remove_file(run.join(RECORDING)).unwrap();
        assert!(said(folder.path()).contains("0000-a: the run has no run.memtide"));
        fs::write(run.join(ABOUT), "{}").unwrap();
        assert!(said(folder.path()).contains("run.json: missing field"));
        fs::remove_file(run.join(ABOUT)).unwrap();
        assert!(said(folder.path()).contains("run.json: No such file"));
    }
}
