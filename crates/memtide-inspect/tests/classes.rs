//! Classes of a stripped C++ program are counted as it counts them itself.
#![allow(clippy::indexing_slicing, reason = "tests")]

mod program;

use memtide_inspect::{Inspector, Options};
use memtide_model::HeapClass;
use program::{Running, folder, source, tool, until};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Count and bytes by name.
type Books = BTreeMap<String, (u64, u64)>;

/// The program, built with `flags` and stripped; and what its class without RTTI is called.
struct Shop {
    running: Running,
    silent: String,
}

impl Shop {
    fn start(test: &str, flags: &[&str]) -> Self {
        let folder = folder(test);
        let path = |name: &str| source(name).to_str().expect("a plain path").to_owned();
        let (main, silent) = (path("shop.cpp"), path("shop_silent.cpp"));
        let compile = ["-std=c++17", "-O2", "-c"];
        let position = flags.iter().filter(|flag| flag.contains("pie"));
        let position: Vec<&str> = position.copied().collect();
        let without = ["-fno-rtti", "-o", "silent.o", &silent];
        tool(
            "g++",
            &[&compile[..], &position, &without].concat(),
            &folder,
        );
        let with = ["-o", "shop.o", &main];
        tool("g++", &[&compile[..], &position, &with].concat(), &folder);
        tool(
            "g++",
            &[flags, &["shop.o", "silent.o", "-ldl", "-o", "shop"]].concat(),
            &folder,
        );
        tool(
            "g++",
            &[
                "-O2",
                "-fPIC",
                "-shared",
                "-s",
                "-o",
                "plugin.so",
                &path("shop_plugin.cpp"),
            ],
            &folder,
        );
        let silent = format!(
            "vtable at shop+{:#x}",
            address_of("_ZTV6Silent", &folder) + 16
        );
        tool("strip", &["shop"], &folder);
        let running =
            Running::start(Command::new(folder.join("shop")).arg(folder.join("plugin.so")));
        Self { running, silent }
    }

    /// What it says of itself.
    fn books(&mut self) -> Books {
        let mut books = Books::new();
        loop {
            let line = self.running.line();
            if line == "ready" {
                return books;
            }
            let fields: Vec<&str> = line.splitn(3, ' ').collect();
            let [count, bytes, name] = fields[..] else {
                panic!("no books: {line:?}");
            };
            let name = if name == "silent" { &self.silent } else { name };
            let kept = (number(count), number(bytes));
            books.insert(name.to_owned(), kept);
        }
    }

    fn grow(&mut self) {
        let input = self.running.child.stdin.as_mut().expect("it was piped");
        input.write_all(b"\n").expect("it reads");
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("it prints numbers")
}

/// Where a symbol is, as the file counts.
fn address_of(symbol: &str, folder: &Path) -> u64 {
    let output = Command::new("nm").arg("shop").current_dir(folder).output();
    let output = output.expect("nm has to be installed for this test");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.ends_with(symbol));
    let (address, _) = line
        .and_then(|line| line.split_once(' '))
        .expect("the symbol is there");
    u64::from_str_radix(address, 16).expect("nm prints hexadecimal numbers")
}

fn look(inspector: &mut Inspector) -> Vec<HeapClass> {
    let options = Options {
        classes: true,
        ..Options::default()
    };
    let snapshot = inspector.snapshot(&options).expect("it can be read");
    assert_eq!(snapshot.quality.doubts, Vec::<String>::new());
    snapshot.classes
}

fn by_name(classes: &[HeapClass]) -> Books {
    assert!(classes.iter().all(|class| class.runtime == "c++"));
    assert!(classes.is_sorted_by(|a, b| a.bytes >= b.bytes));
    let row = |class: &HeapClass| (class.name.clone(), (class.count, class.bytes.0));
    classes.iter().map(row).collect()
}

/// Every class with its exact count, no other class, and the growth of the one that grew.
fn counts_are_exact(test: &str, flags: &[&str]) {
    let mut shop = Shop::start(test, flags);
    let first = shop.books();
    let mut inspector = Inspector::open(shop.running.pid()).expect("it can be read");
    assert_eq!(by_name(&look(&mut inspector)), first);
    assert_eq!(first.len(), 12);

    shop.grow();
    let mut expected = first;
    let (count, bytes) = expected["shop::Gift"];
    let each = bytes / count;
    expected.insert("shop::Gift".to_owned(), (count + 500, bytes + 500 * each));
    assert_eq!(shop.books(), expected, "the program says so itself");
    assert_eq!(by_name(&look(&mut inspector)), expected);
}

#[test]
fn of_a_position_independent_program() {
    counts_are_exact("classes_pie", &["-pie", "-fPIE"]);
}

#[test]
fn of_a_program_with_fixed_addresses() {
    counts_are_exact("classes_fixed", &["-no-pie", "-fno-pie"]);
}

#[test]
fn of_a_program_with_data_among_its_code() {
    counts_are_exact(
        "classes_mixed",
        &["-no-pie", "-fno-pie", "-Wl,-z,noseparate-code"],
    );
}

#[test]
fn of_a_program_that_brings_its_own_library() {
    counts_are_exact("classes_static", &["-pie", "-fPIE", "-static-libstdc++"]);
}

#[test]
fn nobody_asked() {
    let mut shop = Shop::start("classes_unasked", &["-pie"]);
    shop.books();
    let mut inspector = Inspector::open(shop.running.pid()).unwrap();
    let snapshot = inspector.snapshot(&Options::default()).unwrap();
    assert_eq!(snapshot.classes, []);
}

/// What `leaky_server` says of itself: sessions, their bytes.
fn sessions(server: &mut Running) -> (u64, u64) {
    let input = server.child.stdin.as_mut().expect("it was piped");
    input.write_all(b"\n").expect("it reads");
    let line = server.line();
    let fields: Vec<&str> = line.split(' ').collect();
    let ["sessions", count, "bytes", bytes, ..] = fields[..] else {
        panic!("no sessions: {line:?}");
    };
    (number(count), number(bytes))
}

/// While it works, so within what a racing walk may miss.
#[test]
fn of_a_server_that_leaks_one_class() {
    let folder = folder("classes_server");
    let text = source("leaky_server.cpp");
    let text = text.to_str().expect("a plain path");
    let flags = ["-std=c++17", "-O2", "-pthread", "-s", "-o", "server", text];
    tool("g++", &flags, &folder);
    let mut server = Running::start(Command::new(folder.join("server")).arg("2000"));
    let mut inspector = Inspector::open(server.pid()).unwrap();
    let options = Options {
        classes: true,
        ..Options::default()
    };
    let mut looks = Vec::new();
    for enough in [3_000, 8_000] {
        until("sessions are open", || sessions(&mut server).0 >= enough);
        let before = sessions(&mut server);
        let classes = by_name(&inspector.snapshot(&options).unwrap().classes);
        let after = sessions(&mut server);
        let found = classes["net::TlsSession"];
        for (found, before, after) in [(found.0, before.0, after.0), (found.1, before.1, after.1)] {
            let least = before - before / 200;
            // Each of four threads may have one that it did not count yet.
            let most = after + after / 200 + 4;
            assert!(
                (least..=most).contains(&found),
                "{found}: {before} to {after}"
            );
        }
        assert!(!classes.contains_key("net::Session"), "never one by itself");
        looks.push(classes);
    }
    let growth = |name: &str| looks[1][name].0.cast_signed() - looks[0][name].0.cast_signed();
    assert!(growth("net::TlsSession") >= 4_900);
    let requests = looks[1]["net::Request"].0;
    assert!((7_900..=8_100).contains(&requests), "{requests}");
    assert!(growth("net::Request").abs() <= 200);
}
