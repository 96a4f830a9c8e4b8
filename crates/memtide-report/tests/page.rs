//! The page and the picture: no network, no script, nothing that a target's names could do, no matter
//! how few or how odd the samples are.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod synthetic;

use memtide_model::{Bytes, Findings, TimelinePoint};
use memtide_report::{Error, html, png};

/// Tags of a page, in order: "main", "/p", "svg", ….
fn tags(page: &str) -> Vec<String> {
    page.split('<')
        .skip(1)
        .map(|part| {
            part.split(|c: char| c.is_whitespace() || c == '>')
                .next()
                .unwrap_or("")
                .to_owned()
        })
        .collect()
}

#[test]
fn the_page_needs_no_network_and_runs_no_script() {
    for (name, findings) in synthetic::all() {
        let page = html::render(&findings).unwrap();
        assert!(
            page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'"),
            "{name}"
        );
        for forbidden in [
            "http://",
            "https://",
            "url(",
            "@import",
            "<img",
            "<iframe",
            "<link",
            "<object",
            "javascript:",
        ] {
            assert!(!page.contains(forbidden), "{name}: {forbidden}");
        }
        // Attributes are looked for within tags: a name may hold the words as text.
        for tag in page
            .split('<')
            .skip(1)
            .filter_map(|part| part.split('>').next())
        {
            let fetches =
                tag.contains(" src=") || (tag.contains(" href=") && !tag.contains(" href=\"#"));
            assert!(!fetches, "{name}: {tag}");
            assert!(!tag.contains(" on"), "{name}: {tag}");
        }
        let scripts = tags(&page).iter().filter(|tag| *tag == "script").count();
        assert_eq!(scripts, 1, "{name}: the data only");
        assert!(page.contains("<script type=\"application/json\""), "{name}");
    }
}

#[test]
fn every_tag_is_closed() {
    const EMPTY: [&str; 9] = [
        "!doctype", "meta", "rect", "line", "polyline", "polygon", "circle", "path", "br",
    ];
    for (name, findings) in synthetic::all() {
        let mut open: Vec<String> = Vec::new();
        for tag in tags(&html::render(&findings).unwrap()) {
            match tag.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed), "{name}"),
                None if EMPTY.contains(&tag.trim_end_matches('/')) => {}
                None => open.push(tag),
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}

#[test]
fn hostile_names_make_the_same_page_as_harmless_ones() {
    let hostile = synthetic::hostile();
    let page = html::render(&hostile).unwrap();
    let mut harmless = hostile.clone();
    let report = &mut harmless.report;
    for text in [
        &mut report.target.name,
        &mut report.target.exe,
        &mut report.target.allocator,
        &mut report.target.runtime,
        &mut report.verdict.summary,
        &mut report.recording.started,
    ] {
        *text = "x".to_owned();
    }
    report.target.cmdline = vec!["x".to_owned()];
    report
        .verdict
        .evidence
        .iter_mut()
        .for_each(|evidence| evidence.fact = "x".to_owned());
    report
        .verdict
        .advice
        .iter_mut()
        .for_each(|advice| *advice = "x".to_owned());
    report
        .warnings
        .iter_mut()
        .for_each(|warning| *warning = "x".to_owned());
    report
        .events
        .iter_mut()
        .for_each(|event| event.text = "x".to_owned());
    report.threads.iter_mut().flatten().for_each(|thread| {
        thread.name = "x".to_owned();
        thread.state = "x".to_owned();
        thread.wchan = Some("x".to_owned());
    });
    report
        .counts
        .iter_mut()
        .for_each(|row| row.group = row.group.as_ref().map(|_| "x".to_owned()));
    report
        .recording
        .reads
        .iter_mut()
        .for_each(|row| row.read = "x".to_owned());
    report
        .forecast
        .iter_mut()
        .for_each(|forecast| forecast.limit = "x".to_owned());
    harmless.timeline.limit = harmless
        .timeline
        .limit
        .map(|(_, bytes)| ("x".to_owned(), bytes));
    assert_eq!(
        tags(&page),
        tags(&html::render(&harmless).unwrap()),
        "not one tag more"
    );
    let data = page.split_once("id=\"memtide-report\">").unwrap().1;
    let shown = &page[..page.len() - data.len()];
    let acts =
        |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{200b}' | '\u{2028}');
    assert_eq!(
        shown.chars().find(|c| acts(*c)),
        None,
        "no character that acts"
    );
    assert!(
        shown.len() < 250_000,
        "10 kB names are clipped: {}",
        shown.len()
    );
}

#[test]
fn the_embedded_report_is_the_report() {
    for (name, findings) in synthetic::all() {
        if name.starts_with("hostile") {
            continue; // holds numbers that JSON cannot.
        }
        let page = html::render(&findings).unwrap();
        let data = page.split_once("id=\"memtide-report\">").unwrap().1;
        let data = data.split_once("</script>").unwrap().0;
        let back: memtide_model::Report = serde_json::from_str(data).unwrap();
        assert!(back == findings.report, "{name} differs");
    }
    let page = html::render(&synthetic::hostile()).unwrap();
    let data = page
        .split_once("id=\"memtide-report\">")
        .unwrap()
        .1
        .split_once("</script>")
        .unwrap()
        .0;
    let value: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        value["target"]["name"],
        synthetic::hostile().report.target.name,
        "data are not clipped"
    );
}

#[test]
fn the_page_is_small_and_can_be_heard() {
    let frame = html::render(&synthetic::empty()).unwrap();
    assert!(frame.len() <= 130_000, "page without data: {}", frame.len());
    let month = html::render(&synthetic::one_month()).unwrap();
    assert!(month.len() <= 500_000, "page of a month: {}", month.len());
    let page = html::render(&synthetic::thread_leak()).unwrap();
    let count = |text: &str| page.matches(text).count();
    assert_eq!(
        count("<table"),
        count("<caption"),
        "every table says what it is"
    );
    assert!(count("scope=\"row\"") > 20 && count("scope=\"col\"") > 20);
    assert_eq!(count("<figure"), count("<figcaption"));
    assert_eq!(
        count("role=\"img\""),
        2,
        "a wide and a narrow chart, both named"
    );
    assert!(
        page.contains("Most of the growth went to stacks: +30.0 MiB"),
        "the chart in words"
    );
}

/// The section on stacks.
fn stacks(findings: &Findings) -> String {
    let page = html::render(findings).unwrap();
    let (_, section) = page.split_once("<section id=\"stacks\">").unwrap();
    section.split_once("</section>").unwrap().0.to_owned()
}

#[test]
fn stacks_unfold_without_scripts_and_are_drawn_twice() {
    let section = stacks(&synthetic::c_full());
    // Four that grew and three that were never freed.
    assert_eq!(section.matches("<details").count(), 4 + 3, "{section}");
    assert_eq!(
        section.matches("<details open>").count(),
        2,
        "the first of each table"
    );
    assert_eq!(
        section.matches("role=\"img\"").count(),
        4,
        "two graphs, wide and narrow"
    );
    assert!(section.contains("<summary><code>order_new</code> <span>order.c:57</span></summary>"));
    assert!(section.contains("<li class=\"runtime\"><code>xmalloc</code>"));
    assert!(
        section
            .contains("<li class=\"own\"><code>order_new</code> <span>src/order.c:57</span></li>")
    );
    assert!(
        section.contains(
            "<td class=\"n\">480 KiB/s</td><td class=\"n optional\">465 KiB/s to 499 KiB/s</td>"
        ),
        "{section}"
    );
    assert!(
        section.contains("Not seen:</b> 3 blocks of signal handlers"),
        "{section}"
    );
    assert!(section.contains("in other processes"), "{section}");
    let inlined = stacks(&synthetic::cpp_templates());
    assert!(inlined.contains("stl_vector.h:1301, inlined"), "{inlined}");
    assert!(
        inlined.contains("<code title=\"void shop::Registry&lt;std::__cxx11"),
        "whole names"
    );
    assert!(
        !html::render(&synthetic::linear_leak())
            .unwrap()
            .contains("Who allocated it")
    );
    assert!(stacks(&synthetic::no_stacks_hold()).contains("No stack holds memory."));
}

#[test]
fn hostile_stacks_make_the_same_section_as_harmless_ones() {
    let hostile = synthetic::hostile_stacks();
    let mut harmless = hostile.clone();
    for row in harmless.report.stacks.iter_mut().flatten() {
        row.suppressed = row.suppressed.as_ref().map(|_| "x".to_owned());
        for (index, frame) in row.frames.iter_mut().enumerate() {
            frame.function = Some(format!("f{index}"));
            frame.file = Some("x".to_owned());
            frame.module = Some("x".to_owned());
        }
    }
    // Narrow boxes lose their text and long names get a title, so what is compared is what acts.
    let kinds =
        |page: &str| -> std::collections::BTreeSet<String> { tags(page).into_iter().collect() };
    let (hostile, harmless) = (stacks(&hostile), stacks(&harmless));
    assert_eq!(kinds(&hostile), kinds(&harmless), "no tag of another kind");
    let count = |page: &str, tag: &str| tags(page).iter().filter(|found| *found == tag).count();
    for tag in ["g", "rect", "title", "li", "code", "details", "tr", "td"] {
        assert_eq!(count(&hostile, tag), count(&harmless, tag), "{tag}");
    }
    assert!(
        hostile.len() < 60_000,
        "10 kB names are clipped: {}",
        hostile.len()
    );
}

#[test]
fn a_thousand_stacks_stay_a_page() {
    let section = stacks(&synthetic::thousand_stacks());
    assert!(section.len() < 600_000, "{}", section.len());
    assert!(section.contains("30 of "), "{}", section.len());
}

#[test]
fn pictures_have_their_size_and_are_deterministic() {
    let findings = synthetic::linear_leak();
    for (scale, width, height) in [(2.0, 2200, 1240), (1.0, 1100, 620), (0.25, 275, 155)] {
        let picture = png::render(&findings, scale).unwrap();
        let decoded = tiny_skia::Pixmap::decode_png(&picture).unwrap();
        assert_eq!(
            (decoded.width(), decoded.height()),
            (width, height),
            "scale {scale}"
        );
        assert_eq!(
            picture,
            png::render(&findings, scale).unwrap(),
            "scale {scale}"
        );
    }
    for scale in [0.0, -1.0, f32::NAN, 9.0] {
        assert!(
            matches!(png::render(&findings, scale), Err(Error::Scale(_))),
            "{scale}"
        );
    }
}

/// Findings with nothing but this series.
fn only(values: &[(f64, u64)]) -> Findings {
    let mut findings = synthetic::empty();
    findings.timeline.points = values
        .iter()
        .map(|(seconds, bytes)| TimelinePoint {
            seconds: *seconds,
            rss: Bytes(*bytes),
            rss_range: (Bytes(*bytes), Bytes(*bytes)),
            accounts: Vec::new(),
        })
        .collect();
    findings
}

#[test]
fn any_series_gives_a_picture_and_a_page() {
    let series: [&[(f64, u64)]; 8] = [
        &[],
        &[(0.0, 0)],
        &[(0.0, 0), (1.0, 0)],
        &[(5.0, 1024), (5.0, 1024), (5.0, 2048)],
        &[(0.0, 10 << 40), (2_592_000.0, 11 << 40)],
        &[(0.0, u64::MAX), (1.0, 0)],
        &[(f64::NAN, 5), (f64::INFINITY, 6), (1.0, 7)],
        &[(3.0, 5), (2.0, 6), (1.0, 7)],
    ];
    for values in series {
        let findings = only(values);
        assert!(png::render(&findings, 1.0).is_ok(), "{values:?}");
        assert!(html::render(&findings).is_ok(), "{values:?}");
    }
}
