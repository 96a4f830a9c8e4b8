//! The pages that a score is written to: Markdown for people, JSON with every single answer.
//!
//! The first part of `README.md` is written by hand and kept; all below the marker is made anew.

use crate::answer::Answer;
use crate::markdown::section;
use crate::options::{Options, What};
use crate::random::Random;
use crate::recorded::{LATE, WHOLE};
use crate::simulate::{self, Simulated};
use crate::summary::targets::{self, Target};
use crate::summary::view::{Right, View};
use crate::summary::{calibrated, confusion, holdout, rates, wrong};
use crate::{Error, Result, live as programs, manifest, recorded as series};
use serde::Serialize;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// What stands between the words and the figures of a page.
const MARKER: &str = "<!-- below this line: made by tests/score, do not edit -->";

/// Scores the recorded series and the simulated ones; true if all targets are held.
///
/// Errors: of the corpus, and of writing.
pub(crate) fn recorded(options: &Options) -> Result<bool> {
    let cases = manifest::cases(&options.corpus, &options.only)?;
    let answers = series::answers(&options.corpus, &cases)?;
    let simulated = simulate::run(options.seed);
    let all = View::of(&answers);
    let mut targets = targets::recorded(&all);
    targets.extend(targets::simulated(&simulated));
    let mut text = head("tests/score", &targets);
    text += &of_recorded(&all);
    text += &of_simulated(&simulated);
    text += &of_confidence(&targets::with_late_windows(&all));
    text += &of_holdout(&targets::with_late_windows(&all), options.seed);
    text += &section(
        "Wrong answers",
        "Over the whole record and in late windows, the worst first; what is only too early is left out.",
        &wrong::table(&all.only(|answer| answer.window == WHOLE || LATE.contains(&answer.window))),
    );
    text += &section(
        "Not the label at 48 s, with looks",
        "All of these may be said; none of them is what really happens.",
        &wrong::not_the_label(&all.over(WHOLE).with_looks()),
    );
    print!("{text}");
    write(&options.out, "README.md", &text)?;
    write_json(&options.out, "score.json", &answers, &simulated)?;
    Ok(targets.iter().all(|target| target.held))
}

/// Scores the simulated series alone; true if their targets are held. Nothing is written.
pub(crate) fn simulated(options: &Options) -> bool {
    let simulated = simulate::run(options.seed);
    let targets = targets::simulated(&simulated);
    print!(
        "{}{}",
        head("tests/score --simulate", &targets),
        of_simulated(&simulated)
    );
    targets.iter().all(|target| target.held)
}

/// Scores the programs; true if all targets are held.
///
/// Errors: of the corpus, of running, and of writing.
pub(crate) fn live(options: &Options) -> Result<bool> {
    let answers = programs::answers(options)?;
    let all = View::of(&answers);
    let (name, targets) = if options.what == What::Long {
        ("long", targets::long(&all))
    } else {
        ("live", targets::live(&all))
    };
    let mut text = head(&format!("tests/score --{name}"), &targets);
    let views = [
        ("all runs".to_owned(), all.clone()),
        ("programs with a log".to_owned(), all.logged()),
    ];
    text += &section(
        "Answers",
        "Rows are labels, columns answers.",
        &format!("{}{}", confusion::table(&all), rates::shares(&views)),
    );
    text += &section("Rates of leaks", SLOPES, &rates::slopes(&views));
    text += &of_confidence(&all);
    text += &section("Wrong answers", "The worst first.", &wrong::table(&all));
    text += &section(
        "Not the label",
        "Acceptable, and not what really happens.",
        &wrong::not_the_label(&all),
    );
    print!("{text}");
    write(&options.out, &format!("{name}.md"), &text)?;
    write_json(&options.out, &format!("{name}.json"), &answers, &[])?;
    Ok(targets.iter().all(|target| target.held))
}

const SLOPES: &str = "Of leaks of blocks that keep a log and grew at least 3 % of RSS: the rate that the verdict \
    names against the slope of Theil and Sen of the log's live bytes over the same time; the 90 % interval \
    is that of the growth of RSS.";

fn head(command: &str, targets: &[Target]) -> String {
    let missed = targets.iter().filter(|target| !target.held).count();
    let date = jiff::Zoned::now().date();
    section(
        "Targets",
        &format!(
            "Made on {date} by `{command}`. Shares stand with their 95 % interval (Wilson). Missed: {missed} of {}.",
            targets.len()
        ),
        &targets::table(targets),
    )
}

fn of_recorded(all: &View<'_>) -> String {
    let whole = all.over(WHOLE);
    let (without, with) = (whole.without_looks(), whole.with_looks());
    let mut text = section(
        "Answers at 48 s, with looks into the heap",
        "Rows are labels, columns answers. Programs without a log (Python, Rust) are judged without looks.",
        &confusion::table(&with),
    );
    text += &section(
        "Answers at 48 s, without looks",
        "What `/proc` alone supports.",
        &confusion::table(&without),
    );
    let mut views = vec![
        ("48 s, without looks".to_owned(), without),
        ("48 s, with looks".to_owned(), with.clone()),
        (
            "48 s, with looks, programs with a log".to_owned(),
            with.logged(),
        ),
    ];
    for window in LATE {
        let here = all.over(window);
        let name = format!("{}–{} s", window.from, window.to);
        views.push((format!("{name}, without looks"), here.without_looks()));
        views.push((format!("{name}, with looks"), here.with_looks()));
        views.push((
            format!("{name}, with looks, programs with a log"),
            here.logged(),
        ));
    }
    text += &section(
        "By part of the record",
        "In late windows no growth and plateau may be said of what had ended before.",
        &rates::shares(&views),
    );
    text += &section(
        "By length of record, with looks",
        "Below 20 s only counts are named; `too early` is no answer, and not counted as acceptable.",
        &rates::by_length(&all.with_looks()),
    );
    text += &section(
        "By length of record, without looks",
        "The same.",
        &rates::by_length(&all.without_looks()),
    );
    text + &section("Rates of leaks", SLOPES, &rates::slopes(&views))
}

fn of_simulated(simulated: &[Simulated]) -> String {
    section(
        "Simulated series",
        "Nothing of it leaks but the last row. A tail of a logarithm, and a wave of which the record holds little \
         more than one, cannot be told from a leak by anybody; they are here to see how often that is tried.",
        &simulate::table(simulated),
    )
}

fn of_confidence(view: &View<'_>) -> String {
    let body = [Right::Acceptable, Right::Strict].map(|right| calibrated::table(view, right));
    section(
        "Confidence",
        "Of a decided answer its confidence is judged by whether that may be said (first table) or is the label (second); \
         of an open one, by its first candidate.",
        &body.concat(),
    )
}

fn of_holdout(view: &View<'_>, seed: u64) -> String {
    let mut text = section(
        "Hold-out: confidences fitted without the program that they judge",
        "The engine's table of confidences was made on these programs. Fitted anew on all programs but one, and judged \
         on that one, for each of them:",
        &holdout::table(view),
    );
    text += "What the table would be made of:\n\n";
    text += &holdout::bases(view);
    text += "And cut into two halves of programs, a thousand times:\n\n";
    text + &holdout::halves(view, &mut Random::new(seed))
}

/// Writes a page; what stands above the marker in an old one stays.
fn write(out: &Path, name: &str, text: &str) -> Result<()> {
    fs::create_dir_all(out).map_err(Error::file("making", out))?;
    let path = out.join(name);
    let old = fs::read_to_string(&path).unwrap_or_default();
    let words = old.split(MARKER).next().unwrap_or_default().trim_end();
    let page = format!("{words}\n\n{MARKER}\n\n{}\n", text.trim_end());
    fs::write(&path, page.trim_start()).map_err(Error::file("writing", &path))
}

/// Writes every answer, one a line.
fn write_json(out: &Path, name: &str, answers: &[Answer], simulated: &[Simulated]) -> Result<()> {
    let path = out.join(name);
    let text = format!(
        "{{\"answers\": [\n{}\n],\n\"simulated\": [\n{}\n]}}\n",
        lines(answers),
        lines(simulated)
    );
    fs::write(&path, text).map_err(Error::file("writing", &path))
}

fn lines(items: &[impl Serialize]) -> String {
    let lines: Vec<String> = (items.iter())
        .filter_map(|item| serde_json::to_value(item).ok())
        .map(|value| rounded(value).to_string())
        .collect();
    lines.join(",\n")
}

/// With four digits of every real number: more would be noise, and make the file twice as long.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let short = number.as_f64().map(|real| format!("{real:.3e}"));
            let real = short.and_then(|short| short.parse::<f64>().ok());
            real.map_or(Value::Null, Value::from)
        }
        Value::Array(items) => Value::Array(items.into_iter().map(rounded).collect()),
        Value::Object(items) => {
            let items = items.into_iter().map(|(key, item)| (key, rounded(item)));
            Value::Object(items.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_above_the_marker_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("README.md");
        write(folder.path(), "README.md", "figures one").unwrap();
        assert_eq!(
            fs::read_to_string(&page).unwrap(),
            format!("{MARKER}\n\nfigures one\n")
        );
        fs::write(&page, format!("# Words\n\n{MARKER}\n\nold")).unwrap();
        write(folder.path(), "README.md", "figures two\n\n").unwrap();
        let text = fs::read_to_string(&page).unwrap();
        assert_eq!(text, format!("# Words\n\n{MARKER}\n\nfigures two\n"));
    }

    #[test]
    fn real_numbers_are_cut_and_whole_ones_are_not() {
        let value =
            serde_json::json!({"a": [2_075_892.4, 0.871_379_8], "b": 123_456_789, "c": null});
        let expected = serde_json::json!({"a": [2_076_000.0, 0.8714], "b": 123_456_789, "c": null});
        assert_eq!(rounded(value), expected);
    }
}
