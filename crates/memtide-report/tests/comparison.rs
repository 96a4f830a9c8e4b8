//! The report of a comparison in its four forms: the words against stored files, the width, hostile
//! names, the schema, and pictures of few and of many arms.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod snapshot;
mod synthetic;

use memtide_model::Shape;
use memtide_model::comparison::Comparison;
use memtide_report::comparison::{html, json, png, text};
use memtide_report::{Error, terminal::Options};
use snapshot::snapshot;
use synthetic::comparison as made;
use unicode_width::UnicodeWidthStr as _;

fn options(width: usize) -> Options {
    Options {
        width,
        ..Options::default()
    }
}

#[test]
fn the_words_are_those_of_the_snapshots() {
    for width in [40, 80] {
        let name = |what: &str| format!("compare-{what}-{width}");
        snapshot(&name("service"), &text(&made::service(), &options(width)));
        snapshot(&name("fix"), &text(&made::fix(), &options(width)));
        snapshot(&name("eight"), &text(&made::eight_arms(), &options(width)));
    }
    let explain = Options {
        explain: true,
        ..options(120)
    };
    snapshot(
        "compare-service-explained-120",
        &text(&made::service(), &explain),
    );
    snapshot(
        "compare-releases-80",
        &text(&made::releases(), &options(80)),
    );
    snapshot("compare-too-few-80", &text(&made::too_few(), &options(80)));
    snapshot("compare-nothing-80", &text(&made::nothing(), &options(80)));
}

/// Lines that are there to be copied: the path of a recording, a line of an environment.
fn is_to_copy(line: &str, comparison: &Comparison) -> bool {
    let lines = comparison.arms.iter().flat_map(|arm| &arm.environment);
    let paths = comparison.arms.iter().map(|arm| &arm.arm);
    lines
        .chain(paths)
        .any(|whole| line.ends_with(whole.as_str()))
}

#[test]
fn no_line_is_wider_than_the_terminal_or_ends_in_a_space() {
    for (name, comparison) in made::all() {
        for width in [40, 60, 80, 120, 200] {
            for explain in [false, true] {
                let text = text(
                    &comparison,
                    &Options {
                        explain,
                        ..options(width)
                    },
                );
                for line in text.lines() {
                    let copied =
                        is_to_copy(line, &comparison) || name == "compare-hostile" && explain;
                    assert!(line.width() <= width || copied, "{name} at {width}: {line}");
                    assert_eq!(line, line.trim_end(), "{name} at {width}");
                }
                assert!(
                    text.ends_with('\n') && !text.ends_with("\n\n"),
                    "{name} at {width}"
                );
            }
        }
    }
}

/// The lines of the table under a heading.
fn table<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = text.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !line.is_empty()).collect()
}

#[test]
fn eighty_columns_show_every_interval_of_the_classic_case() {
    let text = text(&made::service(), &options(80));
    let memory = table(&text, "RSS after settling");
    assert!(
        memory[0].contains("change") && memory[0].contains("90 % interval"),
        "{text}"
    );
    assert!(
        memory[4].starts_with("tcmalloc") && memory[4].contains("-66 %"),
        "{text}"
    );
    let cost = table(&text, "CPU and time");
    assert_eq!(cost[0].matches("90 % interval").count(), 2, "{text}");
    let growth = table(&text, "Peak and growth");
    assert!(
        growth[1].ends_with("96.0 MiB   302 MiB"),
        "live and kept: {text}"
    );
}

#[test]
fn names_that_are_cut_are_still_told_apart() {
    let text = text(&made::eight_arms(), &options(60));
    for heading in [
        "RSS after settling",
        "Peak and growth",
        "CPU and time",
        "Runs",
    ] {
        let mut names: Vec<_> = table(&text, heading)
            .iter()
            .map(|line| line.split("  ").next().unwrap())
            .collect();
        assert_eq!(names.len(), 9, "{text}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 9, "{heading}: {text}");
    }
}

#[test]
fn an_arm_that_failed_says_so_and_has_no_numbers() {
    let text = text(&made::eight_arms(), &options(80));
    let row = table(&text, "RSS after settling")
        .into_iter()
        .find(|line| line.starts_with("mimalloc"))
        .unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["mimalloc", "failed"]
    );
    let page = html(&made::eight_arms()).unwrap();
    assert!(page.contains("mimalloc (failed)") && page.contains("not known"));
    assert!(
        page.contains("failed: the load ended with exit code 1"),
        "the run's own reason"
    );
}

#[test]
fn an_unclear_course_shows_the_rate_that_its_change_comes_from_and_a_plateau_none() {
    let mut fix = made::fix();
    let row = |comparison: &Comparison| {
        let text = text(comparison, &options(120));
        table(&text, "Growth of RSS")[2].to_owned()
    };
    fix.arms[1].median.bytes_per_second = Some(-683_008.0);
    assert!(
        !row(&fix).contains("-667 KiB/s"),
        "a plateau: {}",
        row(&fix)
    );
    assert!(html(&fix).unwrap().contains("no rate: plateau"));
    fix.arms[1].runs[0].shape = Some(Shape::Unclear);
    assert!(row(&fix).contains("-667 KiB/s"), "{}", row(&fix));
    assert!(!html(&fix).unwrap().contains("no rate"));
}

#[test]
fn colour_adds_nothing_but_escape_sequences() {
    for (name, comparison) in made::all() {
        let plain = text(&comparison, &options(80));
        let painted = text(
            &comparison,
            &Options {
                color: true,
                ..options(80)
            },
        );
        assert!(
            !plain.contains('\u{1b}') && painted.contains('\u{1b}'),
            "{name}"
        );
        let mut rest = painted.as_str();
        let mut stripped = String::new();
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            stripped.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        assert_eq!(stripped + rest, plain, "{name}");
    }
}

/// The element that holds the data.
const DATA: &str = "id=\"memtide-comparison\">";

/// Names of the tags of a page without its data, in order.
fn tags(page: &str) -> Vec<&str> {
    let shown = page.split_once(DATA).unwrap().0;
    let parts = shown.split('<').skip(1);
    parts
        .map(|part| {
            part.split([' ', '>', '\n', '/'])
                .find(|word| !word.is_empty())
                .unwrap_or("")
        })
        .collect()
}

#[test]
fn hostile_names_act_nowhere() {
    let hostile = made::hostile();
    let acts = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{2028}');
    let words = text(&hostile, &options(80));
    assert!(!words.contains(acts), "{words:?}");
    assert!(
        words.contains("\\u{202e}") && words.len() < 20_000,
        "{}",
        words.len()
    );
    let page = html(&hostile).unwrap();
    let shown = page.split_once(DATA).unwrap().0;
    assert!(!shown.contains(acts), "no character that acts");
    assert!(
        shown.len() < 150_000,
        "10 kB names are clipped: {}",
        shown.len()
    );
    let tags = tags(&page);
    let count = |name: &str| tags.iter().filter(|tag| **tag == name).count();
    assert_eq!(
        (count("script"), count("img")),
        (1, 0),
        "the data's own element only"
    );
    let data = page.split_once(DATA).unwrap().1;
    assert_eq!(
        data.matches("</script>").count(),
        1,
        "the data cannot end their element"
    );
    assert!(png(&hostile, 1.0).is_ok());
}

#[test]
fn the_page_needs_no_network_and_every_tag_is_closed() {
    const EMPTY: [&str; 9] = [
        "!doctype", "meta", "rect", "line", "polyline", "polygon", "circle", "path", "br",
    ];
    for (name, comparison) in made::all() {
        let page = html(&comparison).unwrap();
        assert!(
            page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'"),
            "{name}"
        );
        let mut open: Vec<&str> = Vec::new();
        for part in page.split('<').skip(1) {
            let tag = part.split('>').next().unwrap();
            // What stands in quotes is text.
            let names: String = tag.split('"').step_by(2).collect();
            let word = tag.split_whitespace().next().unwrap_or("");
            assert!(
                !names.contains(" src=") && !names.contains(" on"),
                "{name}: {tag}"
            );
            assert!(
                !tag.contains(" href=") || tag.contains(" href=\"#"),
                "{name}: {tag}"
            );
            match word.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed), "{name}"),
                None if EMPTY.contains(&word.trim_end_matches('/')) => {}
                None => open.push(word),
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
        let count = |text: &str| page.matches(text).count();
        assert_eq!(
            count("<table"),
            count("<caption"),
            "{name}: every table says what it is"
        );
        assert_eq!(
            count("role=\"img\""),
            4,
            "{name}: two charts, each wide and narrow"
        );
        assert!(page.len() < 2_000_000, "{name}: {}", page.len());
    }
}

#[test]
fn the_page_can_be_copied_from_and_folds_its_runs() {
    let page = html(&made::service()).unwrap();
    assert!(
        page.contains("<code>LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4</code></pre>")
    );
    assert!(
        page.contains("<details open><summary><code>tcmalloc</code>"),
        "what to take is open"
    );
    assert!(page.contains("<summary>24 runs</summary>"));
    assert!(
        page.contains("<dd>-66 % <small>90\u{a0}% interval "),
        "the saving with its interval"
    );
    let fix = html(&made::fix()).unwrap();
    assert!(fix.contains("Ledger beside ledger") && fix.contains(">A growth<"));
    assert!(fix.contains("Call stacks of B that differ from A"));
    assert!(!fix.contains("Every run"), "a recording is one run");
}

#[test]
fn json_is_the_comparison_and_numbers_that_are_none_are_null() {
    for (name, comparison) in made::all() {
        let text = json(&comparison);
        assert!(text.ends_with("}\n"), "{name}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema"], "memtide.compare/1", "{name}");
        if name == "compare-hostile" {
            assert!(value["arms"][0]["median"]["settled_rss"].is_null(), "NaN");
            assert!(
                value["arms"][0]["median"]["cpu_seconds"].is_null(),
                "infinity"
            );
            continue;
        }
        let back: Comparison = serde_json::from_str(&text).unwrap();
        assert!(back == comparison, "{name}: another comparison comes back");
        let page = html(&comparison).unwrap();
        let data = page
            .split_once(DATA)
            .unwrap()
            .1
            .split_once("</script>")
            .unwrap()
            .0;
        let embedded: Comparison = serde_json::from_str(data).unwrap();
        assert!(embedded == comparison, "{name}: the page holds another one");
    }
}

#[test]
fn pictures_are_as_high_as_their_arms_need_and_deterministic() {
    let size = |comparison: &Comparison| {
        let picture = png(comparison, 1.0).unwrap();
        assert_eq!(picture, png(comparison, 1.0).unwrap());
        let decoded = tiny_skia::Pixmap::decode_png(&picture).unwrap();
        (decoded.width(), decoded.height())
    };
    let (two, eight) = (size(&made::two_alike()), size(&made::eight_arms()));
    let twenty = size(&made::twenty_arms());
    assert_eq!((two.0, eight.0, twenty.0), (1100, 1100, 1100));
    assert_eq!(eight.1 - two.1, 6 * 38, "both titles take two lines");
    assert!(
        twenty.1 < 1300,
        "no more than sixteen arms are drawn: {}",
        twenty.1
    );
    for scale in [0.0, f32::NAN, 9.0] {
        assert!(
            matches!(png(&made::leak(), scale), Err(Error::Scale(_))),
            "{scale}"
        );
    }
}

#[test]
fn every_arm_is_painted_in_its_colour() {
    let picture = tiny_skia::Pixmap::decode_png(&png(&made::service(), 1.0).unwrap()).unwrap();
    let painted = |color: (u8, u8, u8)| {
        let pixels = picture.pixels().iter();
        let same = pixels.filter(|pixel| (pixel.red(), pixel.green(), pixel.blue()) == color);
        same.count()
    };
    for arm in [
        (0x1b, 0x1f, 0x24),
        (0x00, 0x72, 0xb2),
        (0xd5, 0x5e, 0x00),
        (0x00, 0x9e, 0x73),
    ] {
        // The bars alone have more than a thousand pixels.
        assert!(painted(arm) > 1_000, "{arm:?}: {}", painted(arm));
    }
    assert_eq!(painted((0xcc, 0x79, 0xa7)), 0, "there is no fifth arm");
}
