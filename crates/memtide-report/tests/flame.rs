//! Flame graphs: bytes against sums made by hand, boxes that lie where their callers lie, and names
//! that can do nothing.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod synthetic;

use memtide_model::report::Report;
use memtide_report::flamegraph::{What, folded, png, svg};
use memtide_report::{Error, png::SIZE};
use std::collections::BTreeMap;

const MIB: u64 = 1 << 20;

/// A box of an SVG.
#[derive(Debug)]
struct Frame {
    name: String,
    title: String,
    class: String,
    x: f64,
    y: f64,
    width: f64,
    text: Option<String>,
}

/// What stands between two marks.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    Some(text.split_once(before)?.1.split_once(after)?.0)
}

fn frames(svg: &str) -> Vec<Frame> {
    let boxes = svg.split("<g class=\"box\"").skip(1);
    boxes
        .map(|part| {
            let part = part.split_once("</g>").unwrap().0;
            let rect = between(part, "<rect ", "/>").unwrap();
            let number = |key: &str| between(rect, key, "\"").unwrap().parse().unwrap();
            Frame {
                name: between(part, "data-name=\"", "\"").unwrap().to_owned(),
                title: between(part, "<title>", "</title>").unwrap().to_owned(),
                class: between(rect, "class=\"", "\"").unwrap().to_owned(),
                x: number(" x=\""),
                y: number(" y=\""),
                width: number(" width=\""),
                text: part
                    .split_once("<text")
                    .map(|(_, text)| between(text, ">", "</text>").unwrap().to_owned()),
            }
        })
        .collect()
}

fn frame<'a>(frames: &'a [Frame], name: &str) -> &'a Frame {
    let found = frames.iter().find(|frame| frame.name == name);
    found.unwrap_or_else(|| panic!("no box {name}"))
}

/// All reports with stacks, by name.
fn reports() -> Vec<(&'static str, Report)> {
    let all = synthetic::all().into_iter();
    all.map(|(name, findings)| (name, findings.report))
        .filter(|(_, report)| report.stacks.is_some())
        .collect()
}

#[test]
fn folded_stacks_are_those_of_the_report_root_first() {
    let report = synthetic::c_full().report;
    let root = "_start;__libc_start_main_impl;__libc_start_call_main;main";
    let serve = format!("{root};serve");
    let live = [
        format!("(other processes);{root};report_worker {}", 4 * MIB),
        format!("{root};init_tables {MIB}"),
        format!("{serve};cache_load {}", 12 * MIB),
        format!("{serve};handle_request;order_new;xmalloc {}", 290 * MIB),
        format!("{serve};log_line;strdup {}", 15 * MIB / 2),
        format!("{serve};order_new;pool_grow;mmap {}", 16 * MIB),
    ];
    assert_eq!(folded(&report, What::Live), live.join("\n") + "\n");
    let growth = [
        format!("(other processes);{root};report_worker {}", 2 * MIB),
        format!("{serve};handle_request;order_new;xmalloc {}", 281 * MIB),
        format!("{serve};log_line;strdup {}", 9 * MIB / 2),
        format!("{serve};order_new;pool_grow;mmap {}", 16 * MIB),
    ];
    assert_eq!(
        folded(&report, What::Growth),
        growth.join("\n") + "\n",
        "what shrank is left out"
    );
    let left = folded(&report, What::NeverFreed);
    assert!(
        !left.contains("init_tables"),
        "suppressed stacks are left out: {left}"
    );
    assert!(
        !left.contains("mmap") && left.contains("cache_load"),
        "{left}"
    );
    let peak = folded(&report, What::Peak);
    assert!(peak.contains(&format!("cache_load {}", 30 * MIB)), "{peak}");
}

#[test]
fn folded_lines_are_frames_and_a_number_whatever_the_names() {
    for (name, report) in reports() {
        for what in What::ALL {
            let text = folded(&report, what);
            let mut sum = 0_u64;
            for line in text.lines() {
                let (stack, bytes) = line.rsplit_once(' ').unwrap();
                assert!(!stack.is_empty(), "{name}: {line}");
                assert!(!stack.chars().any(char::is_control), "{name}: {line}");
                sum += bytes.parse::<u64>().unwrap();
            }
            let rows = report.stacks.iter().flatten();
            let bytes = rows.map(|row| match what {
                What::Growth => u64::try_from(row.growth_bytes).unwrap_or(0),
                What::Peak => row.peak_bytes,
                What::NeverFreed if row.suppressed.is_some() || !row.never_freed => 0,
                What::Live | What::NeverFreed => row.live_bytes,
            });
            let rest = if name == "thousand-stacks" && what == What::Live {
                30 * MIB
            } else {
                0
            };
            assert_eq!(sum, bytes.sum::<u64>() + rest, "{name} {what:?}");
        }
    }
    let hostile = folded(&synthetic::hostile_stacks().report, What::Live);
    assert!(
        hostile.contains(",,,;"),
        "semicolons become commas: {}",
        hostile.len()
    );
}

#[test]
fn every_box_lies_below_its_caller_and_beside_its_neighbours() {
    for (name, report) in reports() {
        for what in What::ALL {
            let boxes = frames(&svg(&report, what, 1200));
            assert!(boxes.len() <= 4_000, "{name}: {} boxes", boxes.len());
            let mut rows: BTreeMap<u64, Vec<&Frame>> = BTreeMap::new();
            for frame in &boxes {
                rows.entry(frame.y.to_bits()).or_default().push(frame);
            }
            let mut above: Option<Vec<&Frame>> = None;
            for row in rows.values_mut() {
                row.sort_by(|a, b| a.x.total_cmp(&b.x));
                for pair in row.windows(2) {
                    let free = pair[1].x - pair[0].x - pair[0].width;
                    assert!(free > -0.02, "{name}: {pair:?} overlap");
                }
                for frame in row.iter() {
                    let Some(above) = &above else { continue };
                    let covers = |caller: &&&Frame| {
                        caller.x <= frame.x + 0.02
                            && caller.x + caller.width + 0.02 >= frame.x + frame.width
                    };
                    assert!(
                        above.iter().any(|caller| covers(&caller)),
                        "{name}: {frame:?} hangs in the air"
                    );
                }
                above = Some(row.clone());
            }
            if let Some(root) = boxes.first() {
                assert_eq!(
                    (root.x, root.width),
                    (16.0, 1168.0),
                    "{name}: the root is as wide as all"
                );
            }
        }
    }
}

#[test]
fn widths_are_bytes_and_colours_are_growth() {
    let report = synthetic::c_full().report;
    let boxes = frames(&svg(&report, What::Growth, 1200));
    // 330.5 MiB are live in all.
    let width = |mib: f64| mib / 330.5 * 1168.0;
    for (name, mib, class) in [
        ("all", 330.5, "r4"),
        ("serve", 325.5, "r3"),
        ("handle_request", 290.0, "r4"),
        ("cache_load", 12.0, "b2"),
        ("log_line", 7.5, "r2"),
        ("init_tables", 1.0, "l0"),
        ("mmap", 16.0, "r4"),
    ] {
        let frame = frame(&boxes, name);
        assert!((frame.width - width(mib)).abs() < 0.02, "{frame:?}");
        let class = if name == "all" { "r3" } else { class };
        assert_eq!(frame.class, class, "{frame:?}");
    }
    let title = &frame(&boxes, "cache_load").title;
    assert_eq!(
        title,
        "cache_load [shop]: 12.0 MiB, 3.6 % of all; -18.0 MiB over the recording"
    );
    let live = frames(&svg(&report, What::Live, 1200));
    assert_eq!(frame(&live, "strdup").class, "n", "the runtime's");
    assert!(
        frame(&live, "serve").class.starts_with('p'),
        "the program's"
    );
    let cpp = frames(&svg(&synthetic::cpp_templates().report, What::Live, 1200));
    assert!(frame(&cpp, "SSL_new").class.starts_with('q'), "a library's");
    let stripped = frames(&svg(&synthetic::stripped().report, What::Live, 1200));
    assert_eq!(
        frame(&stripped, "libplugin.so.2+0x7f00dead").class,
        "u",
        "without symbol"
    );
}

#[test]
fn labels_fit_into_their_boxes() {
    for (name, report) in reports() {
        for width in [400, 1200, 4000] {
            let boxes = frames(&svg(&report, What::Growth, width));
            for frame in &boxes {
                let Some(text) = &frame.text else { continue };
                let plain = text
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&");
                let plain = plain.replace("&quot;", "\"").replace("&#39;", "'");
                let needed = unicode_width::UnicodeWidthStr::width(plain.as_str()) as f64 * 7.25;
                assert!(needed <= frame.width - 8.0 + 0.01, "{name}: {frame:?}");
            }
        }
    }
}

#[test]
fn what_is_narrow_deep_or_not_listed_is_counted_in_boxes_of_its_own() {
    let report = synthetic::thousand_stacks().report;
    let boxes = frames(&svg(&report, What::Live, 1200));
    for frame in boxes.iter().filter(|frame| frame.name != "…") {
        assert!(frame.width >= 1168.0 * 0.001 - 0.01, "{frame:?}");
    }
    let narrower = |title: &str| -> Option<usize> {
        let (count, _) = title.split_once(" narrower frame")?;
        count.parse().ok()
    };
    let folded: usize = boxes
        .iter()
        .filter_map(|frame| narrower(&frame.title))
        .sum();
    let shown = boxes.iter().filter(|frame| frame.name != "…").count();
    assert!(
        folded > 500 && shown > 100,
        "{folded} folded, {shown} shown"
    );
    let rest = frame(&boxes, "(not listed)");
    assert!(rest.title.starts_with("(not listed): 30.0 MiB"), "{rest:?}");
    let chain = boxes
        .iter()
        .find(|frame| frame.title.contains("each called by the one above only"))
        .unwrap();
    assert!(chain.title.starts_with("199 frames"), "{chain:?}");
    assert!(
        frame(&boxes, "leaf_of_the_recursion").y > chain.y,
        "the site stays"
    );
    let deepest = boxes.iter().map(|frame| frame.y).fold(0.0, f64::max);
    assert!(deepest < 72.0 * 18.0 + 200.0, "{deepest}");
}

#[test]
fn names_can_do_nothing_in_a_file() {
    for (name, report) in reports() {
        for what in What::ALL {
            let drawn = svg(&report, what, 1200);
            assert_eq!(drawn, svg(&report, what, 1200), "{name}: deterministic");
            assert_eq!(drawn.matches("<script").count(), 1, "{name}: our own");
            assert_eq!(drawn.matches("]]>").count(), 1, "{name}");
            assert!(
                !drawn.chars().any(|c| c.is_control() && c != '\n'
                    || matches!(c, '\u{202e}' | '\u{200b}' | '\u{feff}')),
                "{name}: a character that acts"
            );
            let data = drawn.split_once("<script").unwrap().0;
            for forbidden in [
                "http://", "https://", "url(", "@import", "href", " onload", "<image",
            ] {
                let found = data
                    .replace("http://www.w3.org/2000/svg", "")
                    .contains(forbidden);
                assert!(!found, "{name}: {forbidden}");
            }
            let mut open = Vec::new();
            for part in data.split('<').skip(1) {
                let tag = part.split('>').next().unwrap();
                match tag.strip_prefix('/') {
                    Some(closed) => assert_eq!(open.pop(), Some(closed), "{name}"),
                    None if tag.ends_with('/') => {}
                    None => open.push(tag.split([' ', '>']).next().unwrap()),
                }
            }
            assert_eq!(
                open,
                ["svg"],
                "{name}: all but the picture itself is closed"
            );
        }
    }
    let hostile = svg(&synthetic::hostile_stacks().report, What::NeverFreed, 1200);
    assert!(
        hostile.len() < 60_000,
        "10 kB names are clipped: {}",
        hostile.len()
    );
    assert!(hostile.contains("&lt;/script&gt;") && hostile.contains("\\u{202e}"));
}

#[test]
fn without_stacks_the_picture_says_so() {
    let report = synthetic::linear_leak().report;
    assert!(svg(&report, What::Live, 800).contains("memtide run --heap records them"));
    assert_eq!(folded(&report, What::Live), "");
    assert!(png(&report, What::Live, 1.0).is_ok());
    let freed = synthetic::no_stacks_hold().report;
    assert!(svg(&freed, What::Live, 800).contains("No stack holds memory."));
    assert!(svg(&freed, What::Growth, 800).contains("they freed 2.00 MiB."));
    let empty = svg(&freed, What::NeverFreed, 800);
    assert!(empty.contains("No block is known to have never been freed."));
}

#[test]
fn pictures_have_their_width_and_the_colours_of_the_boxes() {
    let report = synthetic::c_full().report;
    let picture = png(&report, What::Live, 2.0).unwrap();
    assert_eq!(
        picture,
        png(&report, What::Live, 2.0).unwrap(),
        "deterministic"
    );
    let decoded = tiny_skia::Pixmap::decode_png(&picture).unwrap();
    assert_eq!(decoded.width(), SIZE.0 * 2);
    // In the middle of the picture's lowest row stands only what asked for most: `xmalloc`.
    let column = (0..decoded.height())
        .rev()
        .map(|y| decoded.pixel(400, y).unwrap());
    let lowest = column
        .skip_while(|pixel| pixel.red() == 255)
        .nth(8)
        .unwrap();
    assert_eq!(
        (lowest.red(), lowest.green(), lowest.blue()),
        (0xd3, 0xd8, 0xde)
    );
    for scale in [0.0, f32::NAN, 8.5] {
        assert!(
            matches!(png(&report, What::Live, scale), Err(Error::Scale(_))),
            "{scale}"
        );
    }
    for (name, report) in reports() {
        for what in What::ALL {
            assert!(png(&report, what, 0.5).is_ok(), "{name} {what:?}");
        }
    }
}

#[test]
fn names_on_the_command_line_are_read_back() {
    for what in What::ALL {
        assert_eq!(What::from_name(what.name()), Some(what));
    }
    assert_eq!(What::from_name("heap"), None);
}
