//! Text that a person has looked at once, stored in `tests/snapshots`.

use std::path::Path;

/// Compares line by line with `tests/snapshots/NAME.txt`; `MEMTIDE_UPDATE_SNAPSHOTS=1` writes it anew.
pub(crate) fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("MEMTIDE_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (got, wanted)) in text.lines().zip(stored.lines()).enumerate() {
        assert_eq!(got, wanted, "{name}, line {}", number + 1);
    }
    assert_eq!(
        text.lines().count(),
        stored.lines().count(),
        "{name}: number of lines"
    );
    assert_eq!(text, stored, "{name}: the end of the file");
}
