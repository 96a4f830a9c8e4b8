//! The text report: its words against stored files, its width, its sums, and foreign names in it.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod snapshot;
mod synthetic;

use memtide_model::{
    Account, Activity, Bytes, Counts, Descriptors, Findings, Limits, MappingClass, Maps, Memory,
    Merged, Nanos, Pid, ProcessId, Sample, StartTime, Target, Visibility,
};
use memtide_report::terminal::{self, Options};
use memtide_report::{live, preview};
use snapshot::snapshot;
use unicode_width::UnicodeWidthStr as _;

fn options(width: usize) -> Options {
    Options {
        width,
        color: false,
        explain: false,
    }
}

#[test]
fn the_words_are_those_of_the_snapshots() {
    snapshot(
        "linear-leak-80",
        &terminal::render(&synthetic::linear_leak(), &options(80)),
    );
    snapshot(
        "linear-leak-40",
        &terminal::render(&synthetic::linear_leak(), &options(40)),
    );
    snapshot(
        "two-samples-60",
        &terminal::render(&synthetic::two_samples(), &options(60)),
    );
    snapshot(
        "empty-80",
        &terminal::render(&synthetic::empty(), &options(80)),
    );
    let explain = Options {
        explain: true,
        ..options(100)
    };
    snapshot(
        "thread-leak-explained-100",
        &terminal::render(&synthetic::thread_leak(), &explain),
    );
    for width in [40, 80, 200] {
        snapshot(
            &format!("cpp-templates-{width}"),
            &terminal::render(&synthetic::cpp_templates(), &options(width)),
        );
    }
    snapshot(
        "c-full-80",
        &terminal::render(&synthetic::c_full(), &options(80)),
    );
    snapshot(
        "rust-sampled-explained-100",
        &terminal::render(&synthetic::rust_sampled(), &explain),
    );
    snapshot(
        "stripped-80",
        &terminal::render(&synthetic::stripped(), &options(80)),
    );
    let (target, sample) = suspect();
    let detectable = [
        (1024.0 * 1024.0 / 60.0, 120.0),
        (1024.0 * 1024.0 / 3600.0, 7_800.0),
    ];
    snapshot(
        "preview-80",
        &preview::render(&target, &sample, Bytes(419_430), &detectable, &options(80)),
    );
}

/// Lines that are never broken, because they are copied: the recording's path, a remedy.
fn is_to_copy(line: &str) -> bool {
    line.starts_with("file  ") || line.starts_with("    sudo ")
}

#[test]
fn no_line_is_wider_than_the_terminal_or_ends_in_a_space() {
    for (name, findings) in synthetic::all() {
        for width in [40, 60, 80, 120, 200] {
            for explain in [false, true] {
                let text = terminal::render(
                    &findings,
                    &Options {
                        explain,
                        ..options(width)
                    },
                );
                for line in text.lines() {
                    let fits = line.width() <= width || is_to_copy(line);
                    assert!(fits, "{name} at {width}: {} columns: {line}", line.width());
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

#[test]
fn columns_are_dropped_whole_and_numbers_never_cut() {
    let findings = synthetic::linear_leak();
    let row = |width| {
        let text = terminal::render(&findings, &options(width));
        text.lines()
            .find(|line| line.starts_with("heap "))
            .unwrap()
            .to_owned()
    };
    let cells = |line: &str| {
        line.split("  ")
            .filter(|cell| !cell.trim().is_empty())
            .count()
    };
    assert_eq!(
        cells(&row(120)),
        6,
        "account, start, end, growth, rate, shape"
    );
    assert!(
        cells(&row(40)) < 6 && row(40).contains("+301 MiB"),
        "{}",
        row(40)
    );
}

/// "359.6 MiB" as bytes, with half a unit of its last digit.
fn parse(size: &str) -> (f64, f64) {
    let (number, unit) = size.trim_start_matches('+').split_once(' ').unwrap();
    let power = ["B", "KiB", "MiB", "GiB", "TiB"]
        .iter()
        .position(|name| *name == unit)
        .unwrap();
    let unit = 1024_f64.powi(i32::try_from(power).unwrap());
    let decimals = number.split_once('.').map_or(0, |(_, digits)| digits.len());
    let half = 0.5 / 10_f64.powi(i32::try_from(decimals).unwrap());
    (number.parse::<f64>().unwrap() * unit, half * unit)
}

#[test]
fn the_printed_ledger_adds_up_to_rss() {
    for (name, findings) in synthetic::all() {
        let text = terminal::render(&findings, &options(120));
        let Some(last) = findings.timeline.points.last() else {
            continue;
        };
        let (mut sum, mut rounding) = (0.0, 0.0);
        let mut total = None;
        for line in text.lines().skip_while(|line| !line.starts_with("account")) {
            let cells: Vec<_> = line
                .split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect();
            if cells[0] == "TOTAL = RSS" {
                total = Some(parse(cells[2]));
                break;
            }
            if Account::IN_RSS
                .iter()
                .any(|account| account.name() == cells[0])
            {
                let (value, half) = parse(cells[2]);
                sum += value;
                rounding += half;
            }
        }
        let (total, half) = total.unwrap();
        assert!(
            (total - last.rss.as_f64()).abs() <= half,
            "{name}: TOTAL is RSS"
        );
        assert!(
            (sum - total).abs() <= rounding + half,
            "{name}: {sum} against {total}"
        );
    }
}

#[test]
fn accounts_that_are_empty_at_both_ends_are_left_out() {
    let text = terminal::render(&synthetic::linear_leak(), &options(80));
    assert!(!text.contains("shared"), "{text}");
    assert!(!text.contains("swap"), "{text}");
}

#[test]
fn the_opaque_line_says_how_much_and_what_would_tell() {
    let text = terminal::render(&synthetic::linear_leak(), &options(200));
    let line = text
        .lines()
        .find(|line| line.starts_with("opaque"))
        .unwrap();
    // 359.6 MiB of heap and 22 MiB of anonymous memory of 391.6 MiB.
    assert!(line.contains("382 MiB of 392 MiB (97 %)"), "{line}");
    assert!(
        line.contains("only a look into the heap itself would tell"),
        "{line}"
    );
}

/// Without its escape sequences.
fn stripped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain + rest
}

#[test]
fn colour_adds_nothing_but_escape_sequences() {
    for (name, findings) in synthetic::all() {
        let plain = terminal::render(&findings, &options(80));
        let painted = terminal::render(
            &findings,
            &Options {
                color: true,
                ..options(80)
            },
        );
        assert!(!plain.contains('\u{1b}'), "{name}");
        assert!(painted.contains('\u{1b}'), "{name}");
        assert_eq!(stripped(&painted), plain, "{name}");
    }
}

fn is_harmless(text: &str) -> bool {
    let acts = |c: char| c.is_control() && c != '\n';
    !text.contains(|c| {
        acts(c)
            || matches!(
                c,
                '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{200b}' | '\u{feff}'
            )
    })
}

#[test]
fn hostile_names_cannot_act_in_the_terminal() {
    let findings = synthetic::hostile();
    for explain in [false, true] {
        let text = terminal::render(
            &findings,
            &Options {
                explain,
                ..options(80)
            },
        );
        assert!(is_harmless(&text), "{text:?}");
        assert!(
            text.contains("\\u{202e}") && text.contains("\\u{1b}"),
            "they are shown instead"
        );
        assert!(
            text.len() < 20_000,
            "10 kB names are clipped: {}",
            text.len()
        );
    }
    assert!(is_harmless(&live::line(&findings, 120)));
    let (mut target, sample) = suspect();
    target.name = findings.report.target.name;
    target.cmdline = findings.report.target.cmdline;
    target.allocator = "\u{1b}[2J".to_owned();
    target.unseen[0].remedy = "sudo true\n\u{1b}]0;x\u{7}".to_owned();
    let text = preview::render(
        &target,
        &sample,
        Bytes(1),
        &[(f64::NAN, f64::NAN)],
        &options(80),
    );
    assert!(is_harmless(&text), "{text:?}");
    assert!(text.len() < 4_000, "{}", text.len());
}

#[test]
fn the_live_line_fits_and_never_cries_leak_too_early() {
    for (name, findings) in synthetic::all() {
        for width in [20, 40, 60, 80, 120, 200] {
            let line = live::line(&findings, width);
            assert!(line.width() <= width, "{name} at {width}: {line}");
            assert!(
                !line.contains('\n') && line == line.trim_end(),
                "{name}: {line:?}"
            );
        }
    }
    assert_eq!(
        live::line(&synthetic::thread_leak(), 120),
        "2 min  RSS 53.0 MiB  ▁▁▂▂▃▃▄▄▅▅▆▆▇▇██  +37.8 MiB (323 KiB/s)  stacks +30.0 MiB  thread leak (99 % sure)"
    );
    assert!(live::line(&synthetic::two_samples(), 120).ends_with("too early"));
    let early = Findings {
        report: synthetic::one_sample().report,
        ..synthetic::linear_leak()
    };
    assert!(
        !live::line(&early, 200).contains("leak"),
        "no verdict before its gate"
    );
}

#[test]
fn the_live_line_names_the_function_of_a_heap_leak() {
    let line = |findings: &Findings| live::line(findings, 200);
    assert!(line(&synthetic::c_full()).ends_with("in order_new"));
    assert!(line(&synthetic::cpp_templates()).ends_with("in shop::Registry::insert"));
    assert!(line(&synthetic::stripped()).ends_with("in shop+0x12ab"));
    let mut other = synthetic::c_full();
    other.report.verdict.kind = memtide_model::VerdictKind::Plateau;
    assert!(
        !line(&other).contains("order_new"),
        "only where the heap leaks"
    );
}

/// The section on stacks.
fn stacks(findings: &Findings, options: Options) -> String {
    let text = terminal::render(findings, &options);
    let (_, section) = text.split_once("Who allocated it").unwrap();
    section.split_once("Forecast").unwrap().0.to_owned()
}

#[test]
fn stacks_are_five_in_short_and_twenty_explained_and_say_how_many_more() {
    let findings = synthetic::thousand_stacks();
    let grown = findings
        .report
        .stacks
        .iter()
        .flatten()
        .filter(|row| row.growth_bytes > 0);
    let grown = grown.count();
    let explain = Options {
        explain: true,
        ..options(120)
    };
    for (options, shown) in [(options(120), 5), (explain, 20)] {
        let text = stacks(&findings, options);
        assert_eq!(text.matches("leak score 0.99").count(), shown, "{text}");
        assert!(
            text.contains(&format!("{} more stacks", grown - shown)),
            "{text}"
        );
    }
    let short = stacks(&findings, options(120));
    assert!(
        short.contains("… 190 more frames"),
        "202 frames, 12 of them shown: {short}"
    );
    assert!(
        short.contains("48211 stacks, of which the report lists 1001"),
        "{short}"
    );
}

#[test]
fn estimates_have_a_mark_and_exact_numbers_none() {
    let sampled = stacks(&synthetic::rust_sampled(), options(120));
    assert!(
        sampled.contains("~+86.0 MiB, 100 % of the growth, ~147 KiB/s"),
        "{sampled}"
    );
    assert!(
        sampled.contains("live ~88.0 MiB in ~44000 blocks"),
        "{sampled}"
    );
    assert!(
        sampled.contains("177 samples, give or take 8 %"),
        "{sampled}"
    );
    assert!(!stacks(&synthetic::c_full(), options(120)).contains('~'));
}

#[test]
fn what_was_lost_is_said_where_something_was() {
    let text = stacks(&synthetic::c_full(), options(200));
    assert!(text.contains("lost  3 blocks of signal handlers that came in between; 1 stack deeper than the shim follows"), "{text}");
    assert!(
        !text.contains("; 0 ") && !text.contains("lost  0 "),
        "{text}"
    );
    assert!(!stacks(&synthetic::cpp_templates(), options(200)).contains("lost "));
}

#[test]
fn suppressed_blocks_are_summed_and_not_listed() {
    let text = stacks(&synthetic::c_full(), options(120));
    let (_, left) = text.split_once("Never freed at exit").unwrap();
    // 290, 7.5, 12 and 1 MiB, of which the last is suppressed.
    assert!(
        left.contains("74905 blocks, 310 MiB, 1.00 MiB of them suppressed"),
        "{left}"
    );
    assert!(!left.contains("init_tables"), "{left}");
    assert!(left.contains("stack 1 above: order_new"), "{left}");
    assert!(left.contains("→ cache_load"), "{left}");
}

#[test]
fn the_preview_fits_and_says_by_when_growth_shows() {
    let (target, sample) = suspect();
    let detectable = [
        (1024.0 * 1024.0 / 60.0, 120.0),
        (1024.0 * 1024.0 / 3600.0, 7_800.0),
    ];
    for width in [40, 60, 80, 120, 200] {
        let text = preview::render(
            &target,
            &sample,
            Bytes(419_430),
            &detectable,
            &options(width),
        );
        for line in text.lines() {
            assert!(line.width() <= width || is_to_copy(line), "{width}: {line}");
            assert_eq!(line, line.trim_end());
        }
    }
    let text = preview::render(&target, &sample, Bytes(419_430), &detectable, &options(200));
    assert!(
        text.contains("noise 410 KiB; 1.00 MiB/min shows in 2 min, 1.00 MiB/h in 2 h 10 min"),
        "{text}"
    );
    assert!(
        text.contains("    sudo memtide attach 4182"),
        "the remedy stands alone on its line"
    );
}

/// A web server whose heap may not be read.
fn suspect() -> (Target, Sample) {
    let id = ProcessId {
        pid: Pid(4182),
        start: StartTime(77),
    };
    let target = Target {
        id,
        parent: Some(Pid(1)),
        name: "nginx".to_owned(),
        exe: "/usr/sbin/nginx".to_owned(),
        cmdline: ["nginx:", "worker", "process"].map(str::to_owned).to_vec(),
        uid: 33,
        age: Nanos::from_secs(93_784),
        allocator: "glibc 2.36".to_owned(),
        runtime: "none".to_owned(),
        limits: Limits {
            cgroup: Some(Bytes(512 << 20)),
            host: Some(Bytes(16 << 30)),
            descriptors: Some(1024),
            mappings: Some(65_530),
            ..Limits::default()
        },
        cgroup: Some("/system.slice/nginx.service".to_owned()),
        unseen: vec![Visibility {
            what: "mappings and descriptors".to_owned(),
            why: "needs ptrace access: it belongs to uid 33".to_owned(),
            remedy: "sudo memtide attach 4182 --for 10m --every 1s -o nginx-worker-4182.memtide"
                .to_owned(),
        }],
    };
    let mut maps = Maps::default();
    for (class, mib) in [
        (MappingClass::Heap, 40),
        (MappingClass::Arena, 8),
        (MappingClass::File, 12),
        (MappingClass::Anon, 3),
    ] {
        maps.classes.get_mut(class).rss = Bytes(mib << 20);
    }
    let rss = Bytes(63 << 20);
    let sample = Sample {
        at: Nanos::from_secs(100),
        process: id,
        memory: Memory {
            rss,
            size: Bytes(210 << 20),
            page_tables: Some(Bytes(200 << 10)),
            ..Memory::default()
        },
        activity: Activity::default(),
        maps: Some(maps),
        counts: Counts {
            threads: 4,
            mappings: Some(120),
            descriptors: Some(Descriptors {
                total: 21,
                file: 6,
                socket: 14,
                eventfd: 1,
                ..Descriptors::default()
            }),
            children: None,
            oom_score: None,
            queues: None,
        },
        cgroup: None,
        host: None,
        merged: Merged::single(rss),
    };
    (target, sample)
}
