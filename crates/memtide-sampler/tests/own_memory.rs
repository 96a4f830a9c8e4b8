//! The preload shim's own memory in a real process: told from the program's, also where they touch.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use memtide_model::{Bytes, MappingClass, Pid, Tick};
use memtide_sampler::{Options, Outcome, Sampler};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const PART: Bytes = Bytes::from_kib(64);

/// A started `tests/targets/own.c`, and where it says that its memory lies.
struct Target {
    child: Child,
    own: Vec<(u64, u64)>,
    other: u64,
    file: u64,
}

impl Target {
    fn start(program: &Path, file: &Path) -> Self {
        let mut child = Command::new(program)
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut own, mut other, mut mapped) = (Vec::new(), 0, 0);
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["own", start, bytes] => own.push((start.parse().unwrap(), bytes.parse().unwrap())),
                ["other", start, _] => other = start.parse().unwrap(),
                ["file", start, _] => mapped = start.parse().unwrap(),
                _ => break,
            }
        }
        assert_eq!(
            own.len(),
            3,
            "the program must have come to its end of set-up"
        );
        Self {
            child,
            own,
            other,
            file: mapped,
        }
    }

    fn sampler(&self) -> Sampler {
        Sampler::open(Pid(self.child.id()), &Options::default()).unwrap()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn compile(directory: &Path) -> PathBuf {
    let program = directory.join("own");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/targets/own.c");
    let status = Command::new("cc")
        .args(["-O1", "-Wall", "-o"])
        .args([&program, &source])
        .status()
        .expect("a C compiler is called cc");
    assert!(status.success(), "cc must compile {}", source.display());
    program
}

fn tick(sampler: &mut Sampler) -> Tick {
    match sampler.tick().unwrap() {
        Outcome::Tick(tick) => *tick,
        Outcome::Ended(events) => panic!("it ended: {events:?}"),
    }
}

/// The class of the mapping that begins at this address.
fn class_at(tick: &Tick, address: u64) -> MappingClass {
    let mappings = tick
        .mappings
        .as_ref()
        .expect("the first tick reads the mappings");
    let here = mappings
        .iter()
        .find(|state| state.mapping.address == address);
    here.expect("a mapping begins there").mapping.class
}

#[test]
fn ranges_and_files_of_the_shim_are_a_class_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let program = compile(directory.path());
    let regions = directory.path().join("regions");
    std::fs::create_dir(&regions).unwrap();
    let target = Target::start(&program, &regions.join("1-0.region"));

    // Nobody has said anything yet: it is memory like any other.
    let before = tick(&mut target.sampler());
    assert_eq!(class_at(&before, target.own[0].0), MappingClass::Anon);
    assert_eq!(
        class_at(&before, target.other),
        MappingClass::Stack,
        "above a guard"
    );
    let shim = |tick: &Tick| {
        *tick
            .sample
            .maps
            .expect("read")
            .classes
            .get(MappingClass::Shim)
    };
    assert_eq!(shim(&before).count, 0);

    let mut sampler = target.sampler();
    sampler.own_ranges(&target.own);
    sampler.own_files(std::slice::from_ref(&regions));
    let seen = tick(&mut sampler);
    // Two mappings for three ranges: the kernel joined the first two, and the third is closed.
    assert_eq!(class_at(&seen, target.own[0].0), MappingClass::Shim);
    assert_eq!(class_at(&seen, target.own[2].0), MappingClass::Shim);
    let joined = seen.mappings.as_ref().unwrap().iter();
    let mut joined = joined.filter(|state| state.mapping.address == target.own[1].0);
    assert!(joined.next().is_none(), "the kernel joins neighbours");
    // Its own memory right behind is the program's, and the closed range before it is not its guard.
    assert_eq!(class_at(&seen, target.other), MappingClass::Anon);
    assert_eq!(class_at(&seen, target.file), MappingClass::Shim);
    let own = shim(&seen);
    assert_eq!(own.count, 3);
    assert_eq!(own.size, Bytes(4 * PART.0));
    assert_eq!(own.rss, Bytes(4 * PART.0));
    assert_eq!(own.anonymous, Bytes(3 * PART.0));

    // One range fewer than the mapping covers: it is not wholly the shim's.
    let mut sampler = target.sampler();
    sampler.own_ranges(&target.own[1..]);
    let part = tick(&mut sampler);
    assert_eq!(class_at(&part, target.own[0].0), MappingClass::Anon);
    assert_eq!(shim(&part).count, 1);
}
