//! Files that are no series, or are one in another dress: an error names file, line and remedy; nothing panics.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use flate2::Compression;
use flate2::write::GzEncoder;
use memtide_import::{Error, Series, read_series, read_truth};
use memtide_model::{Bytes, Nanos};
use proptest::prelude::*;
use std::io::Write as _;
use std::path::Path;

fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(content).unwrap();
    file
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

fn read(content: &[u8]) -> Result<Series, Error> {
    read_series(file(content).path())
}

/// The line of an error, and what it says beside the file, which it must name.
fn wrong(content: &[u8]) -> (u64, String) {
    let file = file(content);
    let error = read_series(file.path()).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with(file.path().to_str().unwrap()), "{text}");
    match error {
        Error::Malformed { line, why, .. } => (line, why),
        other => panic!("{other:?}"),
    }
}

/// A series of so many rows at 1 Hz, unpacked.
fn rows(count: u64) -> String {
    let rows: Vec<String> = (0..count).map(|k| format!("{k},{}\n", 100 + k)).collect();
    format!("t,VmRSS\n{}", rows.concat())
}

#[test]
fn an_error_names_the_line_and_what_to_do() {
    for (content, line, parts) in [
        ("", 1, ["is empty", "names the columns"]),
        ("\n\n\n", 1, ["is empty", "names the columns"]),
        (
            "t,rss\n1,2\n",
            1,
            ["no column \"VmRSS\"", "needed are t, VmRSS"],
        ),
        (
            "t,VmRSS\n1,2\n2,x\n",
            3,
            ["\"x\" is not a number", "write -1"],
        ),
        (
            "t,VmRSS\n1,\n2,3\n",
            2,
            ["\"\" is not a number", "write -1"],
        ),
        (
            "t,VmRSS\n1,2\n2,inf\n",
            3,
            ["\"inf\" is no finite number", "write -1"],
        ),
        (
            "t,VmRSS\n1,2\n2,NaN\n",
            3,
            ["\"NaN\" is no finite number", "write -1"],
        ),
        (
            "t,VmRSS\n1,2\n2,1e999\n",
            3,
            ["is no finite number", "write -1"],
        ),
        (
            "t,VmRSS,VmPTE\n1,2,-7\n",
            2,
            ["\"-7\" is less than nothing", "write -1"],
        ),
        (
            "t,VmRSS\n1,2\n-1,3\n",
            3,
            ["t is not known", "leave such rows out"],
        ),
        (
            "t,VmRSS\n1,2\n2,-1\n",
            3,
            ["VmRSS is not known", "leave such rows out"],
        ),
        (
            "t,VmRSS\n1,2\n2\n",
            3,
            ["1 cells under 2 columns", "leave the last line out"],
        ),
        (
            "t,VmRSS\n1,2\n2,3\n",
            1,
            ["no samples", "record it for longer"],
        ),
    ] {
        let (at, why) = wrong(content.as_bytes());
        assert_eq!(at, line, "{content:?}: {why}");
        for part in parts {
            assert!(why.contains(part), "{content:?}: {why}");
        }
    }
    let (at, why) = wrong(b"t,VmRSS\n1,2\n\xff\xfe,\x00\n");
    assert_eq!(at, 3);
    assert!(why.contains("no text"), "{why}");
    let missing = read_series(Path::new("/nonexistent")).unwrap_err();
    assert!(matches!(missing, Error::Read { .. }), "{missing}");
    assert!(missing.to_string().contains("/nonexistent"));
}

/// What another system, or a spreadsheet, makes of a file says the same.
#[test]
fn line_ends_spaces_and_byte_order_marks_change_nothing() {
    let plain = rows(9);
    let expected = read(plain.as_bytes()).unwrap();
    assert_eq!(expected.samples.len(), 7);
    for other in [
        plain.replace('\n', "\r\n"),
        plain.replace(',', " , "),
        format!("\u{feff}{plain}"),
        plain.trim_end().to_owned(),
        plain.replace('\n', "\n\n"),
    ] {
        assert_eq!(read(other.as_bytes()).unwrap(), expected, "{other:?}");
        assert_eq!(read(&packed(other.as_bytes())).unwrap(), expected);
    }
}

/// Cut at every byte: an error that says where, and never a shorter series that passes for the whole one.
#[test]
fn a_gzip_file_that_was_cut_off_says_where() {
    let whole = packed(rows(200).as_bytes());
    for end in 2..whole.len() {
        let (_, why) = wrong(&whole[..end]);
        assert!(
            why.contains("cannot be unpacked") && why.contains("record it again"),
            "cut at {end}: {why}"
        );
    }
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    assert!(read(&damaged).is_err(), "the checksum is read");
}

/// Much of the same is small when packed: it is refused, not kept in memory.
#[test]
fn what_unpacks_without_end_is_refused() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(b"t,VmRSS\n").unwrap();
    let row = format!("1,2{}\n", " ".repeat((1 << 20) - 4));
    for _ in 0..200 {
        packer.write_all(row.as_bytes()).unwrap();
    }
    let (line, why) = wrong(&packer.finish().unwrap());
    assert_eq!(line, 129, "the first that is beyond");
    assert!(
        why.contains("longer than 128 MiB") && why.contains("cut it into parts"),
        "{why}"
    );
}

#[test]
fn the_largest_numbers_saturate() {
    let text = "t,VmRSS,VmPTE\n0,1,1\n1,1,1\n2,1e300,3\n1e300,18446744073709551615,-1\n";
    let series = read(text.as_bytes()).unwrap();
    let last = series.samples.last().unwrap();
    assert_eq!(
        (last.at, last.memory.rss),
        (Nanos(u64::MAX), Bytes(u64::MAX))
    );
    assert_eq!(last.memory.page_tables, None);
    let log = file(b"t,live,held\n1e300,1e300,0\n0,1,2\n");
    let log = read_truth(log.path(), Nanos(5)).unwrap();
    assert_eq!((log[0].at, log[1].live), (Nanos(5), Bytes(u64::MAX)));
    assert!(log[1].as_snapshot(last).totals.live_resident <= Bytes(u64::MAX));
}

/// A cell that might be there.
fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u32..1_000_000).prop_map(|n| n.to_string()),
        1 => any::<f64>().prop_map(|x| x.to_string()),
        1 => Just("-1".to_owned()),
        1 => "[ -~]{0,6}",
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_answered(content in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&content);
        let _ = read_truth(file(&content).path(), Nanos(0));
    }

    /// Whatever stands in the cells: samples in order of time, or an error that names a line of the file.
    #[test]
    fn any_cells_are_answered(cells in prop::collection::vec([cell(), cell(), cell()], 0..12)) {
        let lines: Vec<String> = cells.iter().map(|row| row.join(",")).collect();
        let text = format!("t,VmRSS,heap_rss\n{}\n", lines.join("\n"));
        match read(text.as_bytes()) {
            Ok(series) => {
                let times: Vec<Nanos> = series.samples.iter().map(|sample| sample.at).collect();
                prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
                prop_assert!(times.len() + 2 <= cells.len());
            }
            Err(Error::Malformed { line, .. }) => {
                prop_assert!((1..=cells.len() as u64 + 2).contains(&line), "{line}: {text}");
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    /// Rows of one time, and rows in any order, are the same series.
    #[test]
    fn the_order_of_rows_says_nothing(order in Just((2_u64..30).collect::<Vec<_>>()).prop_shuffle()) {
        let sorted = read(rows(30).as_bytes()).unwrap();
        let row = |k: &u64| format!("{k},{}", 100 + k);
        let lines: Vec<String> = ([0, 1].iter().chain(&order)).map(row).collect();
        let shuffled = read(format!("t,VmRSS\n{}\n", lines.join("\n")).as_bytes()).unwrap();
        prop_assert_eq!(sorted, shuffled);
    }
}
