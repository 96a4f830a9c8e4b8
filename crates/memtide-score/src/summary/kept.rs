//! The targets as they are kept: a table of numbers beside the score, a line for each command and target,
//! and the table in the project's README that is made of it and of nothing else.

use super::targets::Target;
use crate::markdown::Table;
use crate::options::UNKNOWN;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The table's name in the folder of the score.
pub(crate) const FILE: &str = "targets.csv";
/// Where the table in README begins and ends.
const BEGIN: &str = "<!-- the score: made by tests/score, do not edit -->";
const END: &str = "<!-- end of the score -->";
/// Commands that judge targets, and the heads of their columns in README.
const COLUMNS: [(&str, &str); 3] = [
    ("tests/score", "recorded and simulated"),
    ("tests/score --live", "live"),
    ("tests/score --long", "live, arguments drawn"),
];

/// A target as a command found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The command.
    by: String,
    /// The day, such as 2026-11-21.
    made: String,
    /// The commit of the engine.
    #[serde(default = "unknown")]
    engine: String,
    target: String,
    wanted: String,
    found: String,
    held: bool,
}

/// Of lines that are older than the column.
fn unknown() -> String {
    UNKNOWN.to_owned()
}

/// How targets were found.
#[derive(Clone, Debug)]
pub(crate) struct Made<'a> {
    /// The command.
    pub(crate) by: &'a str,
    /// The day, such as 2026-11-21.
    pub(crate) day: String,
    /// The commit of the engine.
    pub(crate) engine: &'a str,
}

/// What was kept in a folder; empty where nothing was.
///
/// Errors: `Csv`.
pub(crate) fn read(folder: &Path) -> Result<Vec<Kept>> {
    let path = folder.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let failed = Error::csv("reading", &path);
    let mut reader = csv::Reader::from_path(&path).map_err(&failed)?;
    reader
        .deserialize()
        .map(|line| line.map_err(&failed))
        .collect()
}

/// Keeps what a command found; what other commands found stays.
///
/// Errors: `Csv`.
pub(crate) fn keep(folder: &Path, made: &Made<'_>, targets: &[Target]) -> Result<Vec<Kept>> {
    let mut all = read(folder)?;
    all.retain(|kept| kept.by != made.by);
    all.extend(targets.iter().map(|target| Kept {
        by: made.by.to_owned(),
        made: made.day.clone(),
        engine: made.engine.to_owned(),
        target: target.what.clone(),
        wanted: target.wanted.clone(),
        found: target.found.clone(),
        held: target.held,
    }));
    all.sort_by_key(|kept| COLUMNS.iter().position(|(by, _)| *by == kept.by));
    crate::files::lines(&folder.join(FILE), &all)?;
    Ok(all)
}

/// The table for README: a row for each target, a column for each command, with the day and the engine of each.
pub(crate) fn table(all: &[Kept]) -> String {
    let columns: Vec<&(&str, &str)> = (COLUMNS.iter())
        .filter(|(by, _)| all.iter().any(|kept| kept.by == *by))
        .collect();
    let mut head = vec!["target", "wanted"];
    head.extend(columns.iter().map(|(_, name)| *name));
    let mut table = Table::new(&head);
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for kept in all {
        let row = (kept.target.as_str(), kept.wanted.as_str());
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    for (target, wanted) in rows {
        let found = |by: &str| {
            let is =
                |kept: &&Kept| (&*kept.by, &*kept.target, &*kept.wanted) == (by, target, wanted);
            all.iter().find(is).map_or_else(String::new, cell)
        };
        let mut row = vec![target.to_owned(), wanted.to_owned()];
        row.extend(columns.iter().map(|(by, _)| found(by)));
        table.row(row);
    }
    let days: Vec<String> = (columns.iter())
        .filter_map(|(by, name)| {
            let kept = all.iter().find(|kept| kept.by == *by)?;
            let Kept { made, engine, .. } = kept;
            Some(format!("{name}: {made}, `{by}`, commit {engine}"))
        })
        .collect();
    format!("{}{}.\n", table.text(), days.join("; "))
}

fn cell(kept: &Kept) -> String {
    if kept.held {
        kept.found.clone()
    } else {
        format!("**missed**: {}", kept.found)
    }
}

/// A page with the table in place of the one that it has.
///
/// Errors: `Manifest` where it has no place for one.
pub(crate) fn placed(path: &Path, page: &str, all: &[Kept]) -> Result<String> {
    let parts =
        (page.split_once(BEGIN)).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let Some((before, after)) = parts else {
        return Err(Error::Manifest {
            path: path.to_owned(),
            why: format!("there is no place for the score: the lines {BEGIN} and {END}"),
        });
    };
    Ok(format!("{before}{BEGIN}\n\n{}\n{END}{after}", table(all)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::targets;
    use std::path::PathBuf;

    fn target(what: &str, held: bool) -> Target {
        Target {
            what: what.to_owned(),
            wanted: "at most 10 %".to_owned(),
            found: format!("{what}, found"),
            held,
        }
    }

    #[test]
    fn each_command_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let keep = |by, day: &str, of: &[Target]| {
            let made = Made {
                by,
                day: day.to_owned(),
                engine: "abc with changes",
            };
            keep(folder.path(), &made, of).unwrap()
        };
        keep("tests/score --live", "2026-01-02", &[target("open", false)]);
        keep("tests/score", "2026-01-01", &[target("old", true)]);
        let all = keep("tests/score", "2026-01-03", &[target("open", true)]);
        assert_eq!(all, read(folder.path()).unwrap());
        assert_eq!(
            table(&all),
            "| target | wanted | recorded and simulated | live |\n| --- | --- | --- | --- |\n\
            | open | at most 10 % | open, found | **missed**: open, found |\n\n\
            recorded and simulated: 2026-01-03, `tests/score`, commit abc with changes; live: 2026-01-02, \
            `tests/score --live`, commit abc with changes.\n"
        );
        let page = format!("before {BEGIN} old {END} after");
        let page = placed(Path::new("page"), &page, &all).unwrap();
        assert!(
            page.starts_with("before ") && page.ends_with(" after"),
            "{page}"
        );
        assert_eq!(placed(Path::new("page"), &page, &all).unwrap(), page);
        assert!(placed(Path::new("page"), "nothing", &all).is_err());
    }

    /// README and the pages say the same, for they are made of the same lines.
    #[test]
    fn readme_and_the_pages_of_the_score_agree() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = root.join("reports/score");
        let all = read(&folder).unwrap();
        let text = |path: &Path| std::fs::read_to_string(path).unwrap();
        let readme = text(&root.join("README.md"));
        let remade = placed(Path::new("README.md"), &readme, &all).unwrap();
        assert!(
            readme == remade,
            "README's table is not that of {FILE}: run tests/score"
        );
        for ((by, _), page) in COLUMNS.iter().zip(["README.md", "live.md", "long.md"]) {
            let here: Vec<Target> = (all.iter().filter(|kept| kept.by == *by))
                .map(|kept| Target {
                    what: kept.target.clone(),
                    wanted: kept.wanted.clone(),
                    found: kept.found.clone(),
                    held: kept.held,
                })
                .collect();
            assert!(!here.is_empty(), "no target of {by} was kept");
            let page = text(&folder.join(page));
            assert!(page.contains(&targets::table(&here)), "{by}: run it again");
        }
    }
}
