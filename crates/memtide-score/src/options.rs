//! The command line, by hand: a tool of the project has few options and needs no library for them.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// What is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The recorded series, and the simulated ones.
    Recorded,
    /// The simulated series alone; nothing is written.
    Simulated,
    /// The programs, as the manifest runs them.
    Live,
    /// The programs with parameters drawn at random.
    Long,
}

impl What {
    /// The command, as it stands beside its figures.
    pub(crate) const fn command(self) -> &'static str {
        match self {
            Self::Recorded => "tests/score",
            Self::Simulated => "tests/score --simulate",
            Self::Live => "tests/score --live",
            Self::Long => "tests/score --long",
        }
    }
}

/// The command line, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// What to score.
    pub(crate) what: What,
    /// Programs that run at once.
    pub(crate) jobs: usize,
    /// Draws for each case of a leak, and for each of the others.
    pub(crate) repeats: (u64, u64),
    /// Seed of all that is drawn.
    pub(crate) seed: u64,
    /// True if a missed target is no failure.
    pub(crate) report_only: bool,
    /// True if nothing is written and the targets alone are printed.
    pub(crate) check: bool,
    /// No run begins later than so many minutes from the start.
    pub(crate) minutes: Option<u64>,
    /// Only cases whose name contains this.
    pub(crate) only: String,
    /// The corpus.
    pub(crate) corpus: PathBuf,
    /// Where the score is written, and what is known to be missed stands.
    pub(crate) out: PathBuf,
    /// The page whose table is made anew; `None` where the score is of a part, or goes elsewhere.
    pub(crate) readme: Option<PathBuf>,
    /// The program that is scored live.
    pub(crate) memtide: PathBuf,
    /// The commit that the engine was built from, in words; "unknown" where nobody knows.
    pub(crate) engine: String,
    /// Where live runs are kept.
    pub(crate) keep: Option<PathBuf>,
    /// Runs that were kept and are judged again.
    pub(crate) again: Option<PathBuf>,
    /// The days that those were made on, once they were read.
    pub(crate) runs_of: Option<String>,
}

/// More programs at once would measure each other.
const MOST_JOBS: usize = 8;
/// Where the project keeps its score.
const OUT: &str = "reports/score";
/// The engine's commit where nobody knows it.
pub(crate) const UNKNOWN: &str = "unknown";

impl Options {
    /// Reads arguments.
    ///
    /// Errors: `Usage`.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            what: What::Recorded,
            jobs: 4,
            repeats: (3, 5),
            seed: 1,
            report_only: false,
            check: false,
            minutes: None,
            only: String::new(),
            corpus: PathBuf::from("fixtures/corpus"),
            out: PathBuf::from(OUT),
            readme: Some(PathBuf::from("README.md")),
            memtide: PathBuf::from("target/release/memtide"),
            engine: UNKNOWN.to_owned(),
            keep: None,
            again: None,
            runs_of: None,
        };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || Error::Usage(format!("{argument} needs a value"));
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                "--simulate" => options.what = What::Simulated,
                "--live" => options.what = What::Live,
                "--long" => options.what = What::Long,
                "--report-only" => options.report_only = true,
                "--check" => options.check = true,
                "--minutes" => options.minutes = Some(number(&argument, &value()?)?),
                "--jobs" => options.jobs = number(&argument, &value()?)?,
                "--repeats" => {
                    let repeats = number(&argument, &value()?)?;
                    options.repeats = (repeats, repeats);
                }
                "--seed" => options.seed = number(&argument, &value()?)?,
                "--only" => (options.only, options.readme) = (value()?, None),
                "--corpus" => options.corpus = value()?.into(),
                "--out" => (options.out, options.readme) = (value()?.into(), None),
                "--memtide" => options.memtide = value()?.into(),
                "--engine" => options.engine = value()?,
                "--keep" => options.keep = Some(value()?.into()),
                "--again" => options.again = Some(value()?.into()),
                _ => return Err(Error::Usage(format!("unknown argument {argument:?}"))),
            }
        }
        if options.jobs == 0 || options.jobs > MOST_JOBS {
            let why = format!("--jobs {}: from 1 to {MOST_JOBS}", options.jobs);
            return Err(Error::Usage(why));
        }
        let live = matches!(options.what, What::Live | What::Long);
        if options.keep.is_some() && (!live || options.again.is_some()) {
            let why = "--keep DIR: runs are kept by --live and --long, when they are made";
            return Err(Error::Usage(why.to_owned()));
        }
        // A part of the corpus is no score of the whole.
        options.check |= !options.only.is_empty() && options.out == Path::new(OUT);
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(option: &str, value: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| Error::Usage(format!("{option} {value:?}: not a whole number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_and_checked() {
        let options =
            parse("--long --jobs 8 --repeats 2 --seed 7 --only leak --report-only").unwrap();
        assert_eq!(options.what, What::Long);
        assert_eq!(
            (options.jobs, options.repeats, options.seed),
            (8, (2, 2), 7)
        );
        assert!(options.report_only && options.only == "leak");
        assert!(options.check && options.readme.is_none(), "no score of all");
        let options = parse("--long --minutes 30 --only leak --out else").unwrap();
        assert!(!options.check && options.minutes == Some(30));
        assert_eq!(options.what.command(), "tests/score --long");
        assert!(parse("").unwrap().readme.is_some());
        assert!(parse("--live --keep runs").unwrap().keep.is_some());
        assert_eq!(parse("--again runs").unwrap().engine, "unknown");
        for wrong in [
            "--jobs 9",
            "--jobs 0",
            "--jobs x",
            "--jobs",
            "--frob",
            "--keep runs",
            "--live --keep runs --again runs",
        ] {
            assert!(matches!(parse(wrong), Err(Error::Usage(_))), "{wrong}");
        }
    }
}
