//! What a snapshot says that `malloc_trim(0)` would give back is what it gives back when the program calls it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use support::Target;
use support::glibc::Glibc;

/// The forecast, and by how much the resident bytes fell.
fn check(glibc: &Glibc, arguments: &str, tunables: &str) {
    let mut command = glibc.command("books");
    command.env("GLIBC_TUNABLES", tunables);
    let mut target = Target::start(&mut command, arguments);
    let snapshot = target.snapshot();
    let forecast = snapshot.totals.trimmable.0;
    let answer = target.ask(b't');
    let given_back = answer.get("before").saturating_sub(answer.get("after"));
    let name = format!("glibc {}: {arguments} {tunables}", glibc.version);
    println!("{name}: forecast {forecast}, given back {given_back}");
    // A page or two of the program's own, its stack for example, may come or go meanwhile.
    let allowed = given_back / 100 + 2 * 4096;
    assert!(
        forecast.abs_diff(given_back) <= allowed,
        "{name}: forecast {forecast}, given back {given_back}: {:#?}",
        snapshot.totals
    );
    let left = target.snapshot().totals;
    assert!(
        left.trimmable.0 <= allowed,
        "{name}: nothing is left to trim, but {:?}",
        left.trimmable
    );
}

#[test]
fn forecast_of_one_arena() {
    for (arguments, tunables) in [
        ("frag 48 0", ""),
        ("mix 48 0", ""),
        ("shrink 48 0", ""),
        ("small 16 0", ""),
        ("frag 48 0", "glibc.malloc.tcache_count=0"),
        ("frag 48 0", "glibc.malloc.hugetlb=1"),
        ("brk 0 0", ""),
    ] {
        check(&Glibc::here(), arguments, tunables);
    }
}

#[test]
fn forecast_of_many_arenas() {
    check(&Glibc::here(), "frag 64 4", "");
    check(&Glibc::here(), "mix 64 3", "glibc.malloc.arena_max=1");
}

#[test]
fn forecast_on_other_versions() {
    for version in ["2.31", "2.41"] {
        if let Some(glibc) = Glibc::other(version) {
            check(&glibc, "frag 32 0", "");
            check(&glibc, "mix 32 3", "");
        }
    }
}
