//! What the kernel keeps after a process let go of it: every object of the fixture is named, with its size and its
//! holders, and nothing of it is left when the fixture has ended.
#![expect(
    clippy::unwrap_used,
    reason = "in helpers of tests a panic is the failure"
)]

mod common;

use common::{Fixture, is_inside, is_root};
use memtide_census::{Scope, Wanted, take};
use memtide_model::{Bytes, Census, KernelObject, ObjectKind, Pid};
use std::process::Command;

fn look(scope: Scope) -> Census {
    let wanted = Wanted {
        scope,
        objects: true,
        ..Wanted::default()
    };
    take(&common::root(), &wanted).unwrap()
}

fn named<'c>(census: &'c Census, kind: ObjectKind, name: &str) -> Vec<&'c KernelObject> {
    let objects = census.objects.iter().flatten();
    objects
        .filter(|object| object.kind == kind && object.name == name)
        .collect()
}

fn one<'c>(census: &'c Census, kind: ObjectKind, name: &str) -> &'c KernelObject {
    let found = named(census, kind, name);
    assert_eq!(found.len(), 1, "{kind:?} {name}: {found:?}");
    found[0]
}

fn ids(fixture: &Fixture, key: &str) -> Vec<String> {
    let list = fixture.truth[key].as_array().unwrap();
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn system_v_objects_are_named_with_their_maker() {
    let fixture = Fixture::start("objects", &[]);
    let (pid, census) = (fixture.pid(), look(Scope::All));
    for (key, holders, doomed) in [
        ("segments", vec![], false),
        ("attached", vec![pid], false),
        ("doomed", vec![pid], true),
    ] {
        for id in ids(&fixture, key) {
            let segment = one(&census, ObjectKind::SystemVSegment, &format!("shmid {id}"));
            assert_eq!(
                (segment.creator, segment.bytes),
                (Some(pid), Bytes(1 << 19)),
                "half of it was touched"
            );
            assert_eq!((&segment.holders, segment.doomed), (&holders, doomed));
            assert_eq!(segment.count, Some(holders.len() as u64));
            assert_eq!(segment.key, Some(0));
        }
    }
    for id in ids(&fixture, "sets") {
        let set = one(
            &census,
            ObjectKind::SystemVSemaphores,
            &format!("semid {id}"),
        );
        assert_eq!((set.count, set.bytes), (Some(3), Bytes(0)));
    }
    for id in ids(&fixture, "lists") {
        let queue = one(&census, ObjectKind::SystemVQueue, &format!("msqid {id}"));
        assert_eq!(
            (queue.count, queue.bytes, queue.creator),
            (Some(1), Bytes(50), Some(pid))
        );
    }
    agrees_with_ipcs(&census, &fixture);
    let segments = ids(&fixture, "segments");
    drop(fixture);
    let census = look(Scope::Pids(vec![]));
    for id in segments {
        assert!(named(&census, ObjectKind::SystemVSegment, &format!("shmid {id}")).is_empty());
    }
}

/// Bytes, attachments and owners as ipcs(1) prints them.
fn agrees_with_ipcs(census: &Census, fixture: &Fixture) {
    let Ok(output) = Command::new("ipcs").args(["-m", "-b"]).output() else {
        println!("skipped: ipcs is not installed");
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut compared, ours) = (
        0,
        [ids(fixture, "segments"), ids(fixture, "attached")].concat(),
    );
    for line in text.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let [key, id, _owner, _mode, bytes, attached, ..] = words[..]
            && ours.iter().any(|own| own == id)
        {
            let segment = one(census, ObjectKind::SystemVSegment, &format!("shmid {id}"));
            assert_eq!(key, format!("0x{:08x}", segment.key.unwrap()));
            assert_eq!((bytes, attached.parse().ok()), ("1048576", segment.count));
            compared += 1;
        }
    }
    assert_eq!(compared, ours.len(), "{text}");
}

#[test]
fn files_in_memory_are_named_with_their_holders() {
    let fixture = Fixture::start("objects", &["queues=0", "open=0"]);
    let census = look(Scope::All);
    for name in fixture.texts("files") {
        let file = one(&census, ObjectKind::TmpfsFile, &format!("/dev/shm{name}"));
        assert_eq!((file.bytes, file.doomed), (Bytes(1 << 20), false));
        assert!(file.holders.is_empty());
        assert_eq!(file.uid, rustix::process::getuid().as_raw());
    }
    for name in fixture.texts("deleted") {
        let file = one(&census, ObjectKind::DeletedFile, &format!("/dev/shm{name}"));
        assert_eq!(
            (file.bytes, file.doomed, &file.holders),
            (Bytes(1 << 20), true, &vec![fixture.pid()])
        );
        assert!(named(&census, ObjectKind::TmpfsFile, &format!("/dev/shm{name}")).is_empty());
    }
    for name in fixture.texts("memfds") {
        let name = format!("memfd:{}", name.trim_start_matches('/'));
        let file = one(&census, ObjectKind::DeletedFile, &name);
        assert_eq!(
            (file.bytes, &file.holders),
            (Bytes(1 << 20), &vec![fixture.pid()])
        );
    }
    // What a file in tmpfs takes is in the kernel's sum of shared memory.
    let total: u64 = census
        .objects
        .iter()
        .flatten()
        .map(|object| object.bytes.0)
        .sum();
    assert!(total >= 4 << 20);
}

#[test]
fn a_file_that_is_only_mapped_has_its_mapper() {
    let path = format!("/dev/shm/memtide-mapped-{}", std::process::id());
    let script = format!(
        "import mmap,os,sys\nf=os.open('{path}',os.O_CREAT|os.O_RDWR,0o600)\nos.ftruncate(f,1<<20)\n\
         m=mmap.mmap(f,1<<20)\nos.close(f)\nm[:8192]=b'x'*8192\n\
         if sys.argv[1]=='gone': os.unlink('{path}')\n\
         print('READY {{\"pid\": %d}}'%os.getpid(),flush=True)\nsys.stdin.read()\n\
         if sys.argv[1]!='gone': os.unlink('{path}')\n"
    );
    let start = |how: &str| Fixture::of(Command::new("python3").args(["-c", &script, how]));
    let fixture = start("kept");
    let census = look(Scope::Pids(vec![fixture.pid()]));
    let file = one(&census, ObjectKind::TmpfsFile, &path);
    // Python keeps a descriptor of its own for a mapping.
    assert_eq!(
        (file.bytes, &file.holders),
        (Bytes(8192), &vec![fixture.pid()])
    );
    drop(fixture);
    let fixture = start("gone");
    let census = look(Scope::Pids(vec![fixture.pid()]));
    let file = one(&census, ObjectKind::DeletedFile, &path);
    assert_eq!(
        (file.bytes, &file.holders),
        (Bytes(8192), &vec![fixture.pid()])
    );
}

#[test]
fn queues_that_nobody_holds_are_seen_where_they_are_mounted() {
    if is_inside() {
        let fixture = Fixture::start("objects", &["queues=4", "open=1"]);
        queues_are_listed(&fixture, &look(Scope::All));
        return;
    }
    let fixture = Fixture::start("objects", &["queues=4", "open=1"]);
    if fixture.texts("queues").is_empty() {
        println!("skipped: this kernel makes no POSIX queues");
        return;
    }
    let census = look(Scope::All);
    let told = census
        .unseen
        .iter()
        .any(|line| line.contains("mount -t mqueue none /dev/mqueue"));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    if mounts.contains(" - mqueue ") {
        queues_are_listed(&fixture, &census);
        assert!(!told, "{:?}", census.unseen);
        return;
    }
    assert!(told, "{:?}", census.unseen);
    let [open] = &fixture.texts("open")[..] else {
        panic!("one is open");
    };
    let queue = one(&census, ObjectKind::PosixQueue, open);
    assert_eq!(
        (queue.bytes, &queue.holders),
        (Bytes(100), &vec![fixture.pid()])
    );
    drop(fixture);
    if is_root("mounting the queues") {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "mount -t mqueue none {} && exec \"$@\"",
            folder.path().display()
        );
        let command = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        common::again(
            "queues_that_nobody_holds_are_seen_where_they_are_mounted",
            &command,
        );
    }
}

fn queues_are_listed(fixture: &Fixture, census: &Census) {
    let holders = |key: &str| {
        if key == "open" {
            vec![fixture.pid()]
        } else {
            Vec::<Pid>::new()
        }
    };
    let mut listed = 0;
    for key in ["queues", "open"] {
        for name in fixture.texts(key) {
            let queue = one(census, ObjectKind::PosixQueue, &name);
            assert_eq!(
                (queue.bytes, &queue.holders, queue.doomed),
                (Bytes(100), &holders(key), false)
            );
            listed += 1;
        }
    }
    assert_eq!(listed, 5);
}
