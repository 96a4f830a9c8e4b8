//! The malloc heap in all outputs: the words against stored files, sums, what is left out where nothing
//! is known, and names that would act.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod snapshot;
mod synthetic;

use memtide_model::report::Heap;
use memtide_model::{Findings, Report};
use memtide_report::terminal::{self, Options};
use memtide_report::{html, json};
use snapshot::snapshot;
use std::collections::BTreeSet;
use unicode_width::UnicodeWidthStr as _;

fn options(width: usize) -> Options {
    Options {
        width,
        color: false,
        explain: false,
    }
}

fn inspected(findings: &Findings, width: usize) -> String {
    terminal::render_inspect(&findings.report, &options(width))
}

fn heap(findings: &mut Findings) -> &mut Heap {
    findings.report.heap.as_mut().unwrap()
}

/// All findings with a heap, by name.
fn heaps() -> Vec<(&'static str, Findings)> {
    let mut all = synthetic::all();
    all.retain(|(_, findings)| findings.report.heap.is_some());
    assert_eq!(all.len(), 6);
    all
}

/// The section on the heap of a page; empty where there is none.
fn section(findings: &Findings) -> String {
    let page = html::render(findings).unwrap();
    let Some((_, section)) = page.split_once("<section id=\"heap\">") else {
        return String::new();
    };
    section.split_once("</section>").unwrap().0.to_owned()
}

#[test]
fn the_words_are_those_of_the_snapshots() {
    let leak = synthetic::heap_leak();
    for width in [40, 80] {
        let text = terminal::render(&leak, &options(width));
        snapshot(&format!("heap-leak-{width}"), &text);
    }
    for (name, findings) in [
        ("heap-leak", leak),
        ("heap-once", synthetic::heap_once()),
        ("heap-empty", synthetic::heap_empty()),
        ("heap-inconclusive", synthetic::heap_inconclusive()),
    ] {
        for width in [60, 100] {
            let text = inspected(&findings, width);
            snapshot(&format!("inspect-{name}-{width}"), &text);
        }
    }
}

#[test]
fn where_nobody_looked_nothing_is_shown() {
    let findings = synthetic::linear_leak();
    let text = terminal::render(&findings, &options(80));
    assert!(
        !text.contains("\nHeap") && !text.contains("Classes"),
        "{text}"
    );
    assert_eq!(section(&findings), "");
    let text = inspected(&findings, 200);
    assert!(
        text.starts_with(
            "redis-server, pid 4182: 392 MiB resident, jemalloc; its heap was not read\n"
        ),
        "{text}"
    );
    let mut alone = synthetic::heap_leak();
    alone.report.heap = None;
    let text = inspected(&alone, 100);
    assert!(
        text.contains("Classes, by growth"),
        "classes stand alone: {text}"
    );
    assert!(section(&alone).contains("<h3>Classes</h3>"));
    assert!(!text.contains("\nHeap\n"), "{text}");
}

#[test]
fn one_look_says_nothing_of_growth_and_two_do() {
    let once = inspected(&synthetic::heap_once(), 120);
    for word in ["growth", "first", "+", "grew", "sure", "Evidence"] {
        assert!(!once.contains(word), "{word}: {once}");
    }
    assert!(once.contains("heap_retained   166 MiB   78 %"), "{once}");
    let page = section(&synthetic::heap_once());
    assert!(!page.contains("Growth") && !page.contains("More"), "{page}");
    let twice = inspected(&synthetic::heap_leak(), 120);
    let row = "heap_live      39.9 MiB   340 MiB  +300 MiB   89 %";
    assert!(twice.contains(row), "{twice}");
    assert!(twice.contains("shop::Cart"), "{twice}");
    assert!(section(&synthetic::heap_leak()).contains(">Growth</th>"));
}

#[test]
fn an_inconclusive_heap_says_so_first_and_why() {
    let findings = synthetic::heap_inconclusive();
    let text = inspected(&findings, 120);
    let doubt = text
        .find("inconclusive: not used for the verdict\n")
        .unwrap();
    assert!(doubt < text.find("holds  ").unwrap(), "{text}");
    assert!(
        text.contains("- 10 % of the heap was not understood"),
        "{text}"
    );
    assert!(text.contains("- The arenas add up to 315 MiB"), "{text}");
    assert!(
        text.contains("35.0 MiB of 350 MiB (10 %) not understood; 412 headers made no sense"),
        "{text}"
    );
    assert!(
        text.contains("glibc 2.31, not tested with this library"),
        "{text}"
    );
    assert!(text.contains("the process was held for 3.0 ms"), "{text}");
    let page = section(&findings);
    assert!(
        page.contains("<b>Inconclusive: not used for the verdict.</b>"),
        "{page}"
    );
    assert!(page.contains("<li>The arenas add up to 315 MiB"), "{page}");
    let good = inspected(&synthetic::heap_leak(), 120);
    assert!(
        !good.contains("inconclusive") && !good.contains("not tested"),
        "{good}"
    );
}

#[test]
fn explained_reports_have_more_rows_and_say_what_the_words_mean() {
    let findings = synthetic::heap_leak();
    let short = terminal::render(&findings, &options(100));
    assert!(short.contains("14 more sizes"), "{short}");
    assert!(!short.contains("How to read the heap"), "{short}");
    let explain = Options {
        explain: true,
        ..options(100)
    };
    let long = terminal::render(&findings, &explain);
    assert!(long.contains("8 more sizes"), "{long}");
    assert!(
        long.contains("stuck        free bytes on pages that also hold a live block"),
        "{long}"
    );
}

/// "12.0 MiB" as bytes.
fn parse(size: &str) -> f64 {
    let (number, unit) = size.split_once(' ').unwrap();
    let units = ["B", "KiB", "MiB", "GiB"];
    let power = units.iter().position(|name| *name == unit).unwrap();
    number.parse::<f64>().unwrap() * 1024_f64.powi(i32::try_from(power).unwrap())
}

#[test]
fn the_parts_of_the_bar_add_up_to_the_resident_heap() {
    let mut raced = synthetic::heap_once();
    // Live blocks grew while the rest was read: the parts hold more than the whole.
    heap(&mut raced).live_resident_bytes = 180 << 20;
    let mut missing = synthetic::heap_once();
    heap(&mut missing).resident_bytes = 300 << 20;
    for findings in [
        &synthetic::heap_once(),
        &synthetic::heap_leak(),
        &raced,
        &missing,
    ] {
        let heap = findings.report.heap.as_ref().unwrap();
        let whole = heap.resident_bytes as f64;
        let page = section(findings);
        let legend = page.split_once("<ul class=\"legend\">").unwrap().1;
        let legend = legend.split_once("</ul>").unwrap().0;
        let sizes = legend.split("<b>").skip(1);
        let sum: f64 = sizes
            .map(|part| parse(part.split_once(',').unwrap().0))
            .sum();
        assert!(
            (sum - whole).abs() < whole * 0.005,
            "{sum} of {whole}: {legend}"
        );
        let svg = page.split_once("<svg class=\"wide\"").unwrap().1;
        let svg = svg.split_once("</svg>").unwrap().0;
        let widths = svg.split("width=\"").skip(1);
        let drawn: f64 = widths
            .map(|part| part.split_once('"').unwrap().0.parse::<f64>().unwrap())
            .sum();
        assert!((drawn - 1052.0).abs() < 10.0, "{drawn}: {svg}");
    }
    let page = section(&synthetic::heap_once());
    for entry in [
        "live <b>24.0 MiB, 13 %</b>",
        "cached for the next request <b>2.00 MiB, 1 %</b>",
        "free, a trim would give it back <b>14.0 MiB, 7 %</b>",
        "free, stuck between live blocks <b>148 MiB, 78 %</b>",
        // 3 MiB of unused end, 2 of which a trim gives back.
        "unused ends of arenas <b>1.00 MiB, 1 %</b>",
        "overhead and not understood <b>1.00 MiB, 1 %</b>",
    ] {
        assert!(page.contains(entry), "{entry}: {page}");
    }
}

#[test]
fn an_empty_heap_has_neither_bar_nor_tables() {
    let findings = synthetic::heap_empty();
    let page = section(&findings);
    assert!(
        page.contains("Nothing: no block was ever asked of malloc."),
        "{page}"
    );
    assert!(!page.contains("<svg") && !page.contains("<table"), "{page}");
    let text = inspected(&findings, 100);
    assert!(text.contains("glibc 2.36; an empty heap\n"), "{text}");
    assert!(
        !text.contains("malloc_trim") && !text.contains("Blocks"),
        "{text}"
    );
}

#[test]
fn of_two_hundred_arenas_those_that_grew_come_first_and_the_rest_is_summed() {
    let findings = synthetic::heap_arenas();
    let text = inspected(&findings, 100);
    let (_, table) = text.split_once("\narena ").unwrap();
    let rows: Vec<_> = table
        .lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .collect();
    assert_eq!(rows.len(), 9, "eight and their sum: {rows:?}");
    let cells = |row: &str| row.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(
        cells(rows[0]),
        "arena 200 1 1.00 MiB +3.00 MiB 64.0 KiB 1.00 MiB 2.00 MiB"
    );
    assert_eq!(
        cells(rows[1]),
        "main arena 1 1.00 MiB 0 B 64.0 KiB 1.00 MiB 2.00 MiB"
    );
    assert_eq!(
        cells(rows[8]),
        "192 more 192 192 MiB 0 B 12.0 MiB 192 MiB 384 MiB"
    );
    let short = terminal::render(&findings, &options(100));
    assert!(short.contains("\n196 more "), "{short}");
    let page = section(&findings);
    assert!(
        page.contains("<th scope=\"row\">160\u{a0}more</th>"),
        "{page}"
    );
    let one = inspected(&synthetic::heap_once(), 100);
    assert!(!one.contains("\narena "), "one arena needs no table: {one}");
}

#[test]
fn sizes_and_classes_are_ordered_by_growth_and_counted() {
    let text = inspected(&synthetic::heap_leak(), 100);
    let (_, sizes) = text.split_once("Blocks by size, by growth\n").unwrap();
    let first = |text: &str, row: usize| {
        let line = text.lines().nth(row).unwrap();
        line.split("  ").next().unwrap().to_owned()
    };
    assert_eq!(first(sizes, 1), "304 B");
    assert_eq!(first(sizes, 2), "288 B");
    assert!(first(sizes, 3).starts_with("from 3."), "{sizes}");
    // 20 sizes, 12 shown; those left out are 1,152 to 2,048 bytes: 40 × 1,152 + 39 × 1,280 + ….
    let left: u64 = (0..8)
        .map(|index| (1_152 + 128 * index) * (40 - index))
        .sum();
    assert_eq!(left, 461_824);
    assert!(sizes.contains("8 more sizes: 451 KiB live\n"), "{sizes}");
    let (_, classes) = text.split_once("Classes, by growth\n").unwrap();
    assert_eq!(first(classes, 2), "shop::Cart");
    assert_eq!(
        first(classes, 3),
        "shop::Order",
        "it shrank, but holds more than the next"
    );
}

#[test]
fn long_names_are_shortened_in_their_middle_and_whole_in_the_page_and_in_json() {
    let findings = synthetic::heap_leak();
    for (width, shown) in [
        (40, "std::_Sp_"),
        (80, "std::_Sp_counted…"),
        (
            200,
            "std::_Sp_counted_ptr_inplace<shop::Registry<std::string, shop::Session>::Node>  ",
        ),
    ] {
        let text = inspected(&findings, width);
        assert!(text.contains(shown), "{width}: {text}");
    }
    let page = section(&findings);
    let long = &findings.report.classes.as_ref().unwrap()[1].name;
    assert!(
        long.chars().count() > 200 && !long.contains(['&', '"']),
        "{long}"
    );
    let whole = long.replace('<', "&lt;").replace('>', "&gt;");
    assert!(
        page.contains(&format!("<code title=\"{whole}\">std::_Sp_counted")),
        "{page}"
    );
    let back: Report = serde_json::from_str(&json::render(&findings.report)).unwrap();
    assert_eq!(&back.classes.unwrap()[1].name, long);
}

fn acts(character: char) -> bool {
    (character.is_control() && character != '\n')
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{200b}' | '\u{2028}')
}

#[test]
fn hostile_names_act_nowhere_and_the_outputs_stay_small() {
    let findings = synthetic::hostile_heap();
    for width in [32, 40, 80, 200] {
        let text = inspected(&findings, width);
        assert_eq!(text.chars().find(|c| acts(*c)), None, "{text:?}");
        assert!(text.contains("\\u{1b}"), "shown instead: {text}");
        assert!(text.len() < 12_000, "{width}: {}", text.len());
    }
    let hostile = section(&findings);
    assert_eq!(hostile.chars().find(|c| acts(*c)), None);
    let mut harmless = findings;
    for row in harmless.report.classes.iter_mut().flatten() {
        row.name = String::from("x");
        row.runtime = String::from("x");
        row.holder = Some(String::from("x"));
    }
    heap(&mut harmless).layout = String::from("x");
    heap(&mut harmless).doubts = vec![String::from("x"); 2];
    let tags = |page: &str| -> Vec<String> {
        let parts = page.split('<').skip(1);
        parts
            .map(|part| part.split([' ', '>']).next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        tags(&hostile),
        tags(&section(&harmless)),
        "not one tag more"
    );
    assert!(hostile.len() < 120_000, "{}", hostile.len());
}

#[test]
fn no_line_of_inspect_is_wider_than_the_terminal_or_ends_in_a_space() {
    for (name, findings) in heaps() {
        for width in [32, 40, 60, 80, 120, 200] {
            let text = inspected(&findings, width);
            for line in text.lines() {
                assert!(line.width() <= width, "{name} at {width}: {line}");
                assert_eq!(line, line.trim_end(), "{name} at {width}");
            }
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{name}");
            assert!(!text.contains("\n\n\n"), "{name} at {width}: {text}");
        }
    }
}

/// Paths of all keys below `key`.
fn keys(value: &serde_json::Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                let path = format!("{path}.{key}");
                keys(value, &path, found);
                found.insert(path);
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                keys(item, &format!("{path}[]"), found);
            }
        }
        _ => {}
    }
}

/// Keys of the heap and of classes beyond the design's.
const ADDED: [&str; 30] = [
    "heap.arenas[].cached_bytes",
    "heap.arenas[].live_growth_bytes",
    "heap.arenas[].main",
    "heap.arenas[].resident_bytes",
    "heap.arenas[].threads",
    "heap.bad_headers",
    "heap.cost_cpu_seconds",
    "heap.doubts",
    "heap.free_bytes",
    "heap.free_resident_bytes",
    "heap.held_seconds",
    "heap.layout",
    "heap.live_growth_blocks",
    "heap.live_growth_bytes",
    "heap.live_resident_bytes",
    "heap.mmapped_blocks",
    "heap.mmapped_bytes",
    "heap.overhead_bytes",
    "heap.resident_bytes",
    "heap.retained_growth_bytes",
    "heap.rss_bytes",
    "heap.size_classes[].free_bytes",
    "heap.size_classes[].live_bytes",
    "heap.size_classes[].live_growth_bytes",
    "heap.snapshots",
    "heap.swapped_bytes",
    "heap.t_seconds",
    "heap.top_bytes",
    "heap.top_resident_bytes",
    "heap.untested_layout",
];

#[test]
fn the_keys_are_those_of_the_design_and_what_the_lens_adds() {
    let tree = |text: &str| {
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let mut found = BTreeSet::new();
        for part in ["heap", "classes"] {
            keys(&value[part], part, &mut found);
        }
        found
    };
    let design = tree(include_str!("fixtures/report-1.json"));
    assert!(design.contains("heap.stuck_bytes") && design.contains("classes[].holder"));
    let written = tree(&json::render(&synthetic::heap_leak().report));
    let missing: Vec<_> = design.difference(&written).collect();
    assert!(
        missing.is_empty(),
        "keys of the design that are not written: {missing:?}"
    );
    let added: Vec<_> = written.difference(&design).map(String::as_str).collect();
    assert_eq!(added, ADDED, "keys that the design does not have");
}
