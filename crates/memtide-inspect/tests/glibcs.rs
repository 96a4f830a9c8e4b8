//! The same equality on other versions of glibc: 2.31, 2.41, and this system's. The layout is found by what it
//! looks like; the libraries are run from a folder by calling their loader.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use support::glibc::Glibc;
use support::{Target, assert_equal};

fn check(version: &'static str) {
    let glibc = if version == "here" {
        Some(Glibc::here())
    } else {
        Glibc::other(version)
    };
    let Some(glibc) = glibc else { return };
    for (arguments, tunables) in [
        ("mix 8 0", ""),
        ("frag 8 3", ""),
        ("fast 8 2", "glibc.malloc.tcache_count=0"),
        (
            "mix 8 2",
            "glibc.malloc.tcache_max=65536:glibc.malloc.tcache_count=100",
        ),
        ("joined 8 3", ""),
        ("big 48 0", ""),
        ("aligned 16 0", ""),
        ("sbrk 0 0", ""),
        ("brk 0 0", ""),
        ("empty 0 0", ""),
        (
            "mix 8 2",
            "glibc.malloc.arena_max=1:glibc.malloc.perturb=90",
        ),
        ("frag 16 0", "glibc.malloc.hugetlb=1"),
    ] {
        let mut command = glibc.command("books");
        command.env("GLIBC_TUNABLES", tunables);
        let target = Target::start(&mut command, arguments);
        let snapshot = target.snapshot();
        let name = format!("glibc {}: {arguments} {tunables}", glibc.version);
        assert_equal(&name, &snapshot, &target.books);
        assert!(!snapshot.is_untested, "{name}: {}", snapshot.layout);
        assert!(
            snapshot.layout.starts_with("glibc 2."),
            "{name}: {}",
            snapshot.layout
        );
    }
}

#[test]
fn glibc_2_31() {
    check("2.31");
}

#[test]
fn glibc_2_41() {
    check("2.41");
}

#[test]
fn glibc_of_this_system() {
    check("here");
}
