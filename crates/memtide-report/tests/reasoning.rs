//! How the verdict was decided: nothing of it is cut in the terminal, and the page folds it.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod snapshot;
mod synthetic;

use memtide_report::terminal::{self, Options};
use memtide_report::{html, json};
use snapshot::snapshot;

fn explained(width: usize) -> String {
    let options = Options {
        width,
        color: false,
        explain: true,
    };
    let text = terminal::render(&synthetic::reasoned(), &options);
    let from = text.find("How this was decided").unwrap();
    let to = text.find("What the accounts hold").unwrap();
    text[from..to].to_owned()
}

#[test]
fn the_words_are_those_of_the_snapshots() {
    snapshot("reasoned-80", &explained(80));
    snapshot("reasoned-32", &explained(32));
}

#[test]
fn no_number_is_lost_at_any_width() {
    for width in 32..120 {
        let words = explained(width)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        for value in [
            "27.5 %",
            "below 6 %",
            "1.02",
            "at least 0.8",
            "301 MiB",
            "4.94 MiB/min",
        ] {
            assert!(words.contains(value), "{value} at {width}: {words}");
        }
        assert!(
            words.contains("No: growth of threads is 2, not at least 5."),
            "{words}"
        );
    }
}

#[test]
fn numbers_of_a_stage_stand_under_each_other() {
    let text = explained(80);
    let column = |name: &str, part: &str| {
        let line = text.lines().find(|line| line.contains(name)).unwrap();
        line.find(part)
            .unwrap_or_else(|| panic!("{part} in {line}"))
    };
    assert_eq!(
        column("late share l", "below"),
        column("late ratio r", "at least")
    );
    assert!(
        !text.contains("growth of threads  "),
        "a number that the decision names is not said twice"
    );
}

#[test]
fn without_explain_it_is_not_printed_and_the_page_folds_it() {
    let findings = synthetic::reasoned();
    let short = terminal::render(&findings, &Options::default());
    assert!(!short.contains("How this was decided"));
    let page = html::render(&findings).unwrap();
    let section = &page[page.find("id=\"reasoning\"").unwrap()..];
    let section = &section[..section.find("</section>").unwrap()];
    assert!(section.contains("<details>") && !section.contains("<details open"));
    assert_eq!(section.matches("<table").count(), 2, "{section}");
    for value in ["27.5 %", "below 6 %", "301 MiB", "Its shape: linear."] {
        assert!(section.contains(value), "{value}");
    }
    let report = json::render(&findings.report);
    let back: memtide_model::Report = serde_json::from_str(&report).unwrap();
    assert_eq!(back.reasoning, findings.report.reasoning);
    let before = report.replace("\"reasoning\"", "\"unknown\"");
    let old: memtide_model::Report = serde_json::from_str(&before).unwrap();
    assert!(
        old.reasoning.steps.is_empty(),
        "reports of before have none"
    );
}
