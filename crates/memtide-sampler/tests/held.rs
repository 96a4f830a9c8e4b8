//! What a process holds, by what it leads to: against programs that say what they opened.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use memtide_model::{HeldGroup, HeldKind, Pid, ReadKind};
use memtide_sampler::{Options, Outcome, Sampler};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A program of fixtures/processes, and the line that it said.
struct Fixture {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    truth: String,
}

impl Fixture {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/processes");
        let built = Command::new(folder.join("build"))
            .args(["-q", name])
            .status();
        assert!(built.unwrap().success(), "{name} can be built");
        let mut child = Command::new(folder.join("bin").join(name))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut fixture = Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
            truth: String::new(),
        };
        fixture.truth = fixture.line();
        fixture
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// How many calls it has made.
    fn calls(&mut self) -> u64 {
        writeln!(self.input.as_ref().unwrap(), "count").unwrap();
        let line = self.line();
        number(&line, "calls")
    }

    fn sampler(&self) -> Sampler {
        Sampler::open(Pid(self.child.id()), &Options::default()).unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The value of a key in the program's line, which is JSON.
fn value<'l>(line: &'l str, key: &str) -> &'l str {
    let start = line.find(&format!("\"{key}\": ")).unwrap() + key.len() + 4;
    let rest = &line[start..];
    let end = rest.find([',', '}', '\n']).unwrap();
    rest[..end].trim().trim_matches('"')
}

fn number(line: &str, key: &str) -> u64 {
    value(line, key).parse().unwrap()
}

/// The groups at one tick at which they were read.
fn held(sampler: &mut Sampler) -> Vec<HeldGroup> {
    let patience = Instant::now() + Duration::from_secs(30);
    while Instant::now() < patience {
        match sampler.tick().unwrap() {
            Outcome::Tick(tick) => {
                if let Some(held) = tick.held {
                    return held;
                }
            }
            Outcome::Ended(events) => panic!("it ended: {events:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("descriptors are read within 30 s");
}

#[test]
fn each_kind_is_told_by_its_target_and_counted_exactly() {
    let kinds = [
        ("file", HeldKind::File, "$", ""),
        ("files", HeldKind::File, "/job-*.dat", ""),
        (
            "newline",
            HeldKind::File,
            "/two\\x0alines (deleted)\\x0a*",
            "",
        ),
        ("deleted", HeldKind::Deleted, "$", ""),
        ("tcp", HeldKind::Tcp, "$", "CLOSE_WAIT"),
        ("unix", HeldKind::Unix, "", ""),
        ("pipe", HeldKind::Pipe, "with both ends here", ""),
        ("peer", HeldKind::Pipe, "with pid", ""),
        ("eventfd", HeldKind::Eventfd, "", ""),
        ("epoll", HeldKind::Epoll, "", ""),
        ("timerfd", HeldKind::AnonInode, "timerfd", ""),
        ("signalfd", HeldKind::AnonInode, "signalfd", ""),
        ("inotify", HeldKind::AnonInode, "inotify", ""),
        ("memfd", HeldKind::Memfd, "$", ""),
    ];
    for (kind, group, name, state) in kinds {
        let mut fixture = Fixture::start(
            "descriptors",
            &[&format!("kind={kind}"), "count=60", "rate=0"],
        );
        let calls = fixture.calls();
        let expected = calls * number(&fixture.truth, "each");
        assert_eq!(calls, 60, "{kind}: {}", fixture.truth);
        let name = name.replace('$', value(&fixture.truth, "target"));
        let groups = held(&mut fixture.sampler());
        // Its streams may be pipes, too, to whoever runs the tests.
        let alike = groups.iter().filter(|found| {
            let target = &found.target;
            (target.kind, &*target.state) == (group, state) && target.name.contains(&name)
        });
        let found = alike.max_by_key(|found| found.count);
        let found = found.unwrap_or_else(|| panic!("{kind}: {name} is among {groups:#?}"));
        // The program itself may hold one of that kind, too: the pipe of its input, say.
        assert!(
            (expected..=expected + 2).contains(&found.count),
            "{kind}: {found:?} of {groups:#?}"
        );
    }
}

#[test]
fn five_thousand_descriptors_stay_within_the_budget() {
    let fixture = Fixture::start("descriptors", &["kind=tcp", "count=5000", "rate=0"]);
    let mut sampler = fixture.sampler();
    let began = Instant::now();
    let groups = held(&mut sampler);
    let descriptors = (groups.iter()).filter(|group| group.target.kind.is_descriptor());
    let most = descriptors.max_by_key(|group| group.count).unwrap();
    let label = format!("tcp {} CLOSE_WAIT", value(&fixture.truth, "target"));
    assert_eq!((most.target.label(), most.count), (label, 5_000));
    while began.elapsed() < Duration::from_secs(10) {
        assert!(matches!(sampler.tick().unwrap(), Outcome::Tick(_)));
        std::thread::sleep(Duration::from_millis(250));
    }
    let costs = sampler.costs();
    let cost = costs
        .iter()
        .find(|cost| cost.kind == ReadKind::Descriptors)
        .unwrap();
    let each = cost.cpu.as_secs_f64() / cost.reads as f64;
    println!(
        "5,000 sockets: {} reads, {:.1} ms each, {} put off",
        cost.reads,
        1e3 * each,
        cost.skipped
    );
    // 7 % of a hundredth of a core; the first read is free.
    let spent = cost.cpu.as_secs_f64() - each;
    assert!(
        spent <= 0.0007 * began.elapsed().as_secs_f64() + each,
        "{cost:?}"
    );
}

#[test]
fn kernel_objects_of_the_process_are_counted_and_named() {
    let fixture = Fixture::start("objects", &["segments=7", "lists=3", "size=1048576"]);
    let mut sampler = fixture.sampler();
    let Outcome::Tick(tick) = sampler.tick().unwrap() else {
        panic!("it lives");
    };
    let queues = tick
        .sample
        .counts
        .queues
        .expect("this is our IPC namespace");
    // 7 detached, 1 attached, 1 marked for removal.
    assert_eq!(
        (queues.segments, queues.system_v),
        (9, 3),
        "{}",
        fixture.truth
    );
    assert!(queues.bytes.0 >= 7 * (1 << 19), "{queues:?}");
    let labels: Vec<(String, u64)> = tick
        .held
        .unwrap()
        .into_iter()
        .filter(|group| group.target.kind.is_object() && group.target.kind != HeldKind::PosixQueue)
        .map(|group| (group.target.label(), group.count))
        .collect();
    let expected = [
        ("system_v_segment of 1.00 MiB".to_owned(), 9),
        ("system_v_queue".to_owned(), 3),
    ];
    assert_eq!(labels, expected);
}
