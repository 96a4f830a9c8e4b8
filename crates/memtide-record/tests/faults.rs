//! Recorders that are killed, disks that are full, places that may not be written.

mod common;

use common::place::{Tmpfs, copy};
use common::stacks::Stacks;
use common::{Random, Simulation, heap, plain_tick, start, target};
use memtide_model::{Bytes, HeapMode, HeapObservations, Nanos, Observations, StackEnd};
use memtide_record::{ErrorKind, Reader, Writer};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const CHILD: &str = "MEMTIDE_RECORD_TEST_CHILD";

fn read(path: &Path) -> Observations {
    Reader::open(path)
        .and_then(|reader| reader.observations(usize::MAX))
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
}

fn side_file(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The child: writes ticks as fast as it can and says which ones are committed.
fn write_until_killed(path: &Path) {
    let mut simulation = Simulation::ordinary();
    simulation.interval = Nanos::from_secs(5);
    let mut writer = Writer::create(path, &target(), &start(simulation.interval)).expect("new");
    writer
        .stacks_start(HeapMode::Full, Bytes(1))
        .expect("there is room");
    let mut program = Stacks::new(60, 1, 3, 100_000);
    let mut random = Random(1);
    let mut out = std::io::stdout();
    for number in 1..2_000_000_u64 {
        let tick = simulation.next();
        writer.tick(&tick).expect("there is room");
        let mut stacks = program.next();
        stacks.totals.at = tick.sample.at;
        writer.stacks(&stacks).expect("there is room");
        if number % 4 == 1 {
            let mut snapshot = heap::snapshot(&mut random, 0, (2, 5, 3));
            snapshot.at = tick.sample.at;
            writer.heap(&snapshot).expect("there is room");
        }
        writeln!(out, "committed {number}").expect("the parent listens");
    }
}

/// At five simulated seconds per tick, thinning begins after 720 ticks: kills hit it, checkpoints
/// and plain commits.
#[test]
fn a_killed_recorder_loses_two_ticks_at_most() {
    if let Some(path) = std::env::var_os(CHILD) {
        return write_until_killed(Path::new(&path));
    }
    let mut random = Random(std::process::id().into());
    let place = tempfile::tempdir().expect("a directory");
    let mut most = 0;
    for round in 0..50 {
        let path = place.path().join(format!("{round}.memtide"));
        let mut child = Command::new(std::env::current_exe().expect("we run"))
            .args([
                "--exact",
                "a_killed_recorder_loses_two_ticks_at_most",
                "--nocapture",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("we can run ourselves");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let number = |line: &str| line.strip_prefix("committed ")?.parse::<u64>().ok();
        // A number of ticks and not a time: how far it gets in a time is up to the machine's load.
        let enough = 1 + random.below(32).pow(2);
        let mut committed = loop {
            let line = lines
                .next()
                .expect("it goes on until killed")
                .expect("text");
            if let Some(number) = number(&line).filter(|number| *number >= enough) {
                break number;
            }
        };
        let (killer, delay) = (child.id(), Duration::from_micros(random.below(20_000)));
        // A reader while it is written, now and then.
        if round % 10 == 0 {
            assert!(!read(&path).recording.complete);
        }
        std::thread::spawn(move || {
            std::thread::sleep(delay);
            let pid = rustix::process::Pid::from_raw(killer.cast_signed()).expect("a child");
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("ours");
        });
        // Drained all the while: a full pipe would stop it at always the same place.
        for line in lines.map_while(Result::ok) {
            committed = number(&line).unwrap_or(committed);
        }
        child.wait().expect("it was killed");
        let seen = read(&path);
        let last = seen.recording.samples;
        assert!(
            last + 2 >= committed,
            "{committed} ticks were committed, the last is {last}"
        );
        assert!(
            last <= committed + 1,
            "{last} is there, {committed} were committed"
        );
        let folded: u64 = seen
            .samples
            .iter()
            .map(|s| u64::from(s.merged.samples))
            .sum();
        assert_eq!(
            folded, last,
            "all ticks before it are there, on their own or folded"
        );
        let stacks = seen.stacks.expect("the shim looked");
        let newest = stacks.totals.last().expect("they came with the first").at;
        let mut last_two = seen.samples.iter().rev().take(2);
        assert!(
            last_two.any(|sample| sample.at == newest),
            "{newest:?} belongs to neither of the last two ticks"
        );
        for history in &stacks.stacks {
            let whole = history.stack.frames.len();
            assert_eq!(
                whole,
                if history.stack.end == StackEnd::Overflow {
                    0
                } else {
                    40
                }
            );
        }
        whole_snapshots(&seen.heap.expect("the first tick has one"), newest);
        let file = rusqlite::Connection::open(&path).expect("it is there");
        let sound: String = file
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .expect("it can be checked");
        assert_eq!(sound, "ok");
        assert!(
            !side_file(&path, "-wal").exists(),
            "the reader folded it in"
        );
        most = most.max(last);
    }
    println!("50 kills, the longest recording had {most} ticks");
    assert!(most > 720, "some kill came after thinning had begun");
}

/// The last one, of one of the last four ticks, and the first have their lists, none has half of
/// them, and none between has any: writing one and dropping the lists before it is one act.
fn whole_snapshots(heap: &HeapObservations, newest: Nanos) {
    let count = heap.snapshots.len();
    assert!((1..=512).contains(&count), "{count}");
    let last = &heap.snapshots[count - 1];
    let late = (newest - last.at).0;
    assert!(
        late < 21_000_000_000,
        "the last is {late} ns before {newest:?}"
    );
    for (snapshot, index) in heap.snapshots.iter().zip(0..) {
        let lengths = (
            snapshot.arenas.len(),
            snapshot.sizes.len(),
            snapshot.classes.len(),
        );
        let is_end = index == 0 || index == count - 1;
        assert_eq!(
            lengths,
            if is_end { (2, 5, 3) } else { (0, 0, 0) },
            "{index} of {count}"
        );
    }
}

#[test]
fn a_full_disk_keeps_what_was_recorded_and_goes_on_when_there_is_room() {
    let Some(place) = Tmpfs::new(700) else { return };
    let path = place.path().join("a.memtide");
    let ballast = place.path().join("ballast");
    std::fs::write(&ballast, vec![1; 300 * 1024]).expect("there is room for it");
    let mut simulation = Simulation::new(Nanos::SECOND, (50, 20), (10, 10));
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("room");
    let mut stored = Vec::new();
    let error = loop {
        let tick = simulation.next();
        match writer.tick(&tick) {
            Ok(()) => stored.push(tick.sample),
            Err(error) => break error,
        }
        assert!(stored.len() < 10_000, "700 KiB are full at some time");
    };
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(stored.len() > 50, "{}", stored.len());
    for _ in 0..5 {
        let again = writer
            .tick(&simulation.next())
            .expect_err("it is still full");
        assert_eq!(again.kind(), ErrorKind::Full);
    }
    let exact = |seen: Observations, stored: &[memtide_model::Sample]| {
        let memory = |samples: &[memtide_model::Sample]| -> Vec<_> {
            samples
                .iter()
                .map(|s| (s.at, s.memory, s.activity, s.maps))
                .collect()
        };
        assert_eq!(memory(&seen.samples), memory(stored));
        seen
    };
    exact(read(&path), &stored);
    std::fs::remove_file(&ballast).expect("it is ours");
    for _ in 0..50 {
        let tick = simulation.next();
        writer.tick(&tick).expect("there is room again");
        stored.push(tick.sample);
    }
    writer.finish().expect("there is room again");
    let seen = exact(read(&path), &stored);
    assert!(seen.recording.complete);
    // Identities that failed to be written were written again, once each.
    assert_eq!(seen.threads.len(), 10);
    assert_eq!(seen.mappings.len(), 50);
}

#[test]
fn a_recorder_killed_on_a_full_disk_leaves_a_file_that_opens() {
    let Some(place) = Tmpfs::new(300) else { return };
    let path = place.path().join("a.memtide");
    let mut simulation = Simulation::ordinary();
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("room");
    let mut stored = 0;
    while writer.tick(&simulation.next()).is_ok() {
        stored += 1;
    }
    std::mem::forget(writer);
    assert!(stored > 10);
    // In another process, where no writer is alive: as copies, for there is no room here.
    let other = tempfile::tempdir().expect("a directory");
    let copied = other.path().join("a.memtide");
    copy(&path, &copied);
    copy(&side_file(&path, "-wal"), &side_file(&copied, "-wal"));
    assert_eq!(read(&copied).samples.len(), stored);
}

#[test]
fn a_file_is_made_for_its_owner_alone_and_never_written_over() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    writer
        .tick(&Simulation::ordinary().next())
        .expect("there is room");
    for suffix in ["", "-wal", "-shm"] {
        let facts = std::fs::metadata(side_file(&path, suffix)).expect("it is there");
        assert_eq!(facts.permissions().mode() & 0o777, 0o600, "{suffix}");
    }
    let error = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect_err("there is one");
    assert_eq!(error.kind(), ErrorKind::Exists);
    writer.finish().expect("there is room");
    let names: Vec<_> = std::fs::read_dir(place.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["a.memtide"], "one file and no side files");
    let error = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect_err("there is one");
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert_eq!(read(&path).samples.len(), 1);
}

#[test]
fn places_that_cannot_be_written_are_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let create = |path: &Path| {
        Writer::create(path, &target(), &start(Nanos::SECOND))
            .expect_err("no place")
            .kind()
    };
    assert_eq!(
        create(&place.path().join("no/such/a.memtide")),
        ErrorKind::NotFound
    );
    std::fs::write(place.path().join("file"), "").expect("there is room");
    assert_eq!(
        create(&place.path().join("file/a.memtide")),
        ErrorKind::NotFound
    );
    assert_eq!(create(place.path()), ErrorKind::Exists);
    assert_eq!(create(Path::new("/dev/full")), ErrorKind::Exists);
    assert_eq!(create(Path::new("/proc/a.memtide")), ErrorKind::NotFound);
    let Some(place) = Tmpfs::new(16) else { return };
    let path = place.path().join("a.memtide");
    assert_eq!(
        create(&path),
        ErrorKind::Full,
        "16 KiB do not hold the tables"
    );
    assert!(!path.exists(), "no empty file is left behind");
    place.make_read_only();
    assert_eq!(create(&path), ErrorKind::Denied);
}

#[test]
fn a_tick_of_another_process_is_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    let mut tick = plain_tick(common::BOOT, 1, true);
    tick.sample.process.start.0 += 1;
    let error = writer
        .tick(&tick)
        .expect_err("a reused pid is another process");
    assert_eq!(error.kind(), ErrorKind::OtherProcess);
}

/// What a killed recorder leaves: file and `-wal`, taken while it is still alive.
fn left_by_a_kill(to: &Path) -> usize {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut simulation = Simulation::ordinary();
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    for _ in 0..25 {
        writer.tick(&simulation.next()).expect("there is room");
    }
    copy(&path, to);
    copy(&side_file(&path, "-wal"), &side_file(to, "-wal"));
    25
}

#[test]
fn a_wal_that_a_kill_left_is_folded_in() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let ticks = left_by_a_kill(&path);
    let seen = read(&path);
    assert_eq!(seen.samples.len(), ticks);
    assert!(!seen.recording.complete);
    assert!(!side_file(&path, "-wal").exists() && !side_file(&path, "-shm").exists());
    assert_eq!(read(&path).samples.len(), ticks);
}

fn private_copies() -> usize {
    let prefix = format!("memtide-{}-", std::process::id());
    std::fs::read_dir(std::env::temp_dir())
        .expect("it is there")
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .count()
}

#[test]
fn recordings_in_read_only_places_are_read() {
    let Some(place) = Tmpfs::new(4_096) else {
        return;
    };
    // With a -wal.
    let left = place.path().join("left.memtide");
    let ticks = left_by_a_kill(&left);
    // Finished; the name is special in SQLite's URIs.
    let done = place.path().join("100% done?#&ä.memtide");
    let writer = Writer::create(&done, &target(), &start(Nanos::SECOND)).expect("new");
    writer.finish().expect("there is room");
    // In WAL mode by its header, everything checkpointed, no -wal.
    let folded = place.path().join("folded.memtide");
    left_by_a_kill(&folded);
    let file = rusqlite::Connection::open(&folded).expect("it is there");
    file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .expect("it folds in");
    file.close().expect("it closes");
    place.make_read_only();
    let reader = Reader::open(&left).expect("through a private copy");
    assert_eq!(private_copies(), 1);
    assert_eq!(
        reader.observations(1_000).expect("sound").samples.len(),
        ticks
    );
    drop(reader);
    assert_eq!(private_copies(), 0);
    assert_eq!(read(&folded).samples.len(), ticks);
    assert!(read(&done).recording.complete);
    let slashes = PathBuf::from(format!("/{}", folded.display()));
    assert_eq!(read(&slashes).samples.len(), ticks);
    assert!(side_file(&left, "-wal").exists(), "nothing was changed");
}

#[test]
fn a_reader_sees_whole_ticks_while_they_are_written_and_disturbs_nobody() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut simulation = Simulation::ordinary();
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    let watched = path.clone();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stop = std::sync::Arc::clone(&done);
    let reading = std::thread::spawn(move || {
        let (mut last, mut reads) = (0, 0);
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            let seen = read(&watched);
            let samples = seen.samples.len();
            assert!(samples >= last, "{samples} samples after {last}");
            assert_eq!(seen.recording.samples, samples as u64);
            for sample in &seen.samples {
                let maps = sample.maps.expect("smaps is read at every tick");
                let rss: u64 = maps.classes.iter().map(|(_, class)| class.rss.0).sum();
                assert_eq!(rss, sample.memory.rss.0, "both are of the same tick");
            }
            (last, reads) = (samples, reads + 1);
        }
        reads
    });
    for _ in 0..2_000 {
        writer
            .tick(&simulation.next())
            .expect("readers are no hindrance");
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let reads = reading.join().expect("the reader saw no tear");
    println!("{reads} reads during 2,000 ticks");
    assert!(reads >= 3);
    writer.finish().expect("there is room");
    assert!(!side_file(&path, "-wal").exists());
    assert_eq!(read(&path).samples.len(), 2_000);
}

/// A reader that is still open at the end keeps the side files alive, and takes them with it.
#[test]
fn a_reader_that_outlives_the_recorder_leaves_one_file() {
    let place = tempfile::tempdir().expect("a directory");
    let path = place.path().join("a.memtide");
    let mut simulation = Simulation::ordinary();
    let mut writer = Writer::create(&path, &target(), &start(Nanos::SECOND)).expect("new");
    writer.tick(&simulation.next()).expect("there is room");
    let reader = Reader::open(&path).expect("it is being written");
    writer.tick(&simulation.next()).expect("there is room");
    writer.finish().expect("a reader is no hindrance");
    let seen = reader.observations(10).expect("sound");
    assert_eq!((seen.samples.len(), seen.recording.complete), (2, true));
    drop(reader);
    assert!(!side_file(&path, "-wal").exists() && !side_file(&path, "-shm").exists());
    assert!(read(&path).recording.complete);
}
