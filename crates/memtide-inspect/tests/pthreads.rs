//! Threads that ended and were not joined: exactly those, and exactly their stacks, on several versions of glibc.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use support::Target;
use support::glibc::Glibc;

fn check(version: &'static str) {
    let glibc = match version {
        "here" => Some(Glibc::here()),
        other => Glibc::other(other),
    };
    let Some(glibc) = glibc else { return };
    for arguments in [
        "0 0 0 0",
        "40 0 0 0",
        "0 30 0 0",
        "0 0 30 0",
        "0 0 0 20",
        "25 20 10 5",
    ] {
        let target = Target::start(&mut glibc.command("threads"), arguments);
        let name = format!("glibc {}: threads {arguments}", glibc.version);
        let found = target.snapshot().ended_threads;
        let found = found.unwrap_or_else(|| panic!("{name}: nothing is known"));
        assert_eq!(found.count, target.books.get("unjoined"), "{name}");
        assert_eq!(found.stack_bytes.0, target.books.get("kept"), "{name}");
        assert_eq!(found.alive, target.books.get("alive"), "{name}");
        // Each ended thread touched its record and the top of its stack, and no more than a few pages.
        let pages = found.stack_resident.0 / 4096;
        assert!(
            (found.count * 2..=found.count * 8).contains(&pages),
            "{name}: {pages} pages"
        );
    }
}

#[test]
fn of_this_system() {
    check("here");
}

#[test]
fn of_glibc_2_31() {
    check("2.31");
}

#[test]
fn of_glibc_2_41() {
    check("2.41");
}
