//! Series of the corpus.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use memtide_import::{read_series, read_truth};
use memtide_model::{Bytes, MappingClass, Nanos};
use std::io::Write as _;
use std::path::{Path, PathBuf};

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fixtures/corpus/series")
        .join(name)
}

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

/// Values as `zcat arena-bloat-a.csv.gz | sed -n 4p` shows them.
#[test]
fn a_row_is_a_sample() {
    let path = corpus("arena-bloat-a.csv.gz");
    let text = std::process::Command::new("zcat")
        .arg(&path)
        .output()
        .unwrap()
        .stdout;
    let text = String::from_utf8(text).unwrap();
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let cells: Vec<f64> = text
        .lines()
        .nth(3)
        .unwrap()
        .split(',')
        .map(|cell| cell.parse().unwrap())
        .collect();
    let cell = |name: &str| cells[names.iter().position(|other| *other == name).unwrap()];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small positive numbers"
    )]
    let kib = |name: &str| Bytes(cell(name) as u64 * 1024);

    let series = read_series(&path).unwrap();
    assert_eq!(
        series.samples.len(),
        text.lines().count() - 3,
        "header and two rows are no samples"
    );
    let sample = &series.samples[0];
    assert_eq!(sample.at - series.origin, Nanos::from_secs_f64(cell("t")));
    assert_eq!(sample.memory.rss, kib("VmRSS"));
    assert_eq!(sample.memory.rss_anon, Some(kib("RssAnon")));
    let maps = sample.maps.unwrap();
    assert_eq!(maps.rss(MappingClass::Arena), kib("arena_rss"));
    assert_eq!(maps.rss(MappingClass::Heap), kib("heap_rss"));
    assert_eq!(Bytes(sample.counts.threads * 1024), kib("Threads"));
}

#[test]
fn every_series_and_log_of_the_corpus_is_read() {
    let (mut series, mut logs) = (0, 0);
    for entry in std::fs::read_dir(corpus("")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".truth.csv.gz") {
            let truth = read_truth(&path, Nanos(0)).unwrap();
            assert!(truth.len() > 50, "{name}: {}", truth.len());
            assert!(truth.iter().all(|row| row.live <= row.held), "{name}");
            logs += 1;
        } else {
            let samples = read_series(&path).unwrap().samples;
            assert!(samples.len() > 50, "{name}: {}", samples.len());
            assert!(
                samples.windows(2).all(|pair| pair[0].at < pair[1].at),
                "{name}"
            );
            series += 1;
        }
    }
    assert_eq!((series, logs), (107, 94));
}

#[test]
fn a_snapshot_of_the_log_is_within_what_is_resident() {
    let series = read_series(&corpus("arena-bloat-a.csv.gz")).unwrap();
    let truth = read_truth(&corpus("arena-bloat-a.truth.csv.gz"), series.origin).unwrap();
    let sample = series.samples.last().unwrap();
    let snapshot = truth.last().unwrap().as_snapshot(sample);
    let totals = snapshot.totals;
    assert!(totals.live_resident <= totals.heap_resident);
    assert!(totals.heap_resident <= sample.memory.rss);
    assert_eq!(
        totals.live_resident + totals.free_resident,
        totals.heap_resident
    );
}

#[test]
fn plain_files_serve_too_and_rows_are_sorted() {
    let plain = file(b"t,VmRSS,zombies\n0,1,0\n1,2,0\n4,40,-1\n3,30,2\n3,31,2\n");
    let series = read_series(plain.path()).unwrap();
    let rss: Vec<u64> = series
        .samples
        .iter()
        .map(|sample| sample.memory.rss.0 / 1024)
        .collect();
    assert_eq!(rss, [30, 40]);
    assert!(series.samples[0].maps.is_none());
    assert_eq!(series.samples[0].counts.children.unwrap().zombies, 2);
    assert!(
        series.samples[1].counts.children.is_none(),
        "-1 is not known"
    );
}
