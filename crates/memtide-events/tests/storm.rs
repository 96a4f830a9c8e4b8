//! Engines against the books of a storm of forks: no process is lost, none has another parent or name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_events::{Engine, ErrorKind, Scope, Source, Tree};
use memtide_model::Pid;
use memtide_proc::clock;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::{
    Booked, Wrong, books, differences, drain_until_end, fixture, follow, is_root, reused, skip,
    start,
};

/// Set where a test runs itself again in another namespace or as another user: what it is to do there.
const INNER: &str = "MEMTIDE_TEST_INNER";

fn is_long() -> bool {
    std::env::var_os("MEMTIDE_LONG").is_some()
}

/// Follows a storm from its start and holds the tree against its books.
fn check(engine: Engine, folder: &Path, forks: u32) {
    let file = folder.join("books");
    let arguments = [file.to_str().unwrap(), &forks.to_string(), "2"];
    let mut child = start(&fixture("storm"), &arguments);
    let tree = follow(engine, &mut child);
    let books = books(&file);
    println!(
        "{engine}: {} forks, {} reused numbers, {:?} {:?}",
        books.len(),
        reused(&books),
        tree.counts(),
        tree.losses()
    );
    assert!(books.len() > forks as usize, "the storm took place");
    assert_right(engine, &tree, &books);
    let processes = tree.counts().processes;
    assert_eq!(processes, books.len() as u64 + 1, "and nobody else");
    assert_eq!(tree.counts().unseen_ends + tree.counts().unseen_forks, 0);
}

/// Nobody is lost, and nobody has another parent or name.
fn assert_right(engine: Engine, tree: &Tree, books: &[Booked]) {
    let mut wrong = differences(tree, books);
    if engine == Engine::Connector {
        // It counts what is lost of the whole machine, where others work as well; and it reads the name after an exec
        // from /proc, where the process may be gone.
        assert!(wrong.unnamed as u64 <= tree.counts().execs, "{wrong:?}");
        wrong.unnamed = 0;
    } else {
        assert!(tree.losses().is_complete(), "{engine}: {:?}", tree.losses());
    }
    assert_eq!(wrong, Wrong::default(), "{engine}");
    assert_eq!(tree.losses().late, 0, "{engine}");
}

/// A folder that every user may write to.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), all).unwrap();
    folder
}

/// Whether the engine can be had here; if not, why, is printed.
fn can(engine: Engine) -> bool {
    let scope = Scope::Tree(Pid(std::process::id()));
    let all = memtide_events::available(scope);
    let verdict = all.into_iter().find(|(other, _)| *other == engine);
    let Some((_, Err(reason))) = verdict else {
        return true;
    };
    skip(&format!("{engine}: {reason}"));
    false
}

#[test]
fn the_side_band_loses_nobody() {
    if can(Engine::SideBand) {
        let forks = if is_long() { 1_000_000 } else { 100_000 };
        check(Engine::SideBand, folder().path(), forks);
    }
}

#[test]
fn the_connector_loses_nobody() {
    if can(Engine::Connector) {
        check(Engine::Connector, folder().path(), 100_000);
    }
}

#[test]
fn ptrace_loses_nobody() {
    if can(Engine::Ptrace) {
        check(Engine::Ptrace, folder().path(), 20_000);
    }
}

#[test]
fn polling_says_that_it_misses_most() {
    let folder = folder();
    let file = folder.path().join("books");
    let mut child = start(&fixture("storm"), &[file.to_str().unwrap(), "5000", "2"]);
    let tree = follow(Engine::Poll, &mut child);
    let wrong = differences(&tree, &books(&file));
    assert!(wrong.missing > 2500, "polling cannot see these: {wrong:?}");
    assert!(tree.losses().polled && !tree.losses().is_complete());
}

/// Runs one test of this file again, by this command.
fn again(mut command: Command, test: &str, what: &str) {
    let own = std::env::current_exe().unwrap();
    command
        .arg(own)
        .args(["--exact", test, "--nocapture"])
        .env(INNER, what);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    print!("{told}");
    assert!(
        output.status.success() && told.contains(" forks, "),
        "{command:?}:\n{told}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn reused_numbers_are_other_processes() {
    if std::env::var_os(INNER).is_some() {
        let folder = folder();
        let refusal = Source::open(Engine::Connector, Scope::Machine).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::Refused);
        assert!(refusal.to_string().contains("--pid=host"), "{refusal}");
        check(Engine::SideBand, folder.path(), 30_000);
        let books = books(&folder.path().join("books"));
        assert!(reused(&books) > 20_000, "{} are reused", reused(&books));
        return check(Engine::Ptrace, folder.path(), 10_000);
    }
    if !is_root() {
        return skip("a pid namespace of its own needs root");
    }
    let mut small = Command::new("unshare");
    small.args(["--pid", "--fork", "--mount-proc", "--", "sh", "-c"]);
    small.arg("echo 4096 > /proc/sys/kernel/pid_max && exec \"$0\" \"$@\"");
    let host = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    let mut probe = Command::new("unshare");
    probe.args(["--pid", "--fork", "--mount-proc", "--", "sh", "-c"]);
    probe.arg("grep -q . /proc/sys/kernel/pid_max && test -w /proc/sys/kernel/pid_max");
    if !has_own_pid_max() || !probe.status().is_ok_and(|status| status.success()) {
        return skip("a pid_max of its own needs Linux 6.14 and unshare(1)");
    }
    again(small, "reused_numbers_are_other_processes", "namespace");
    let after = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap();
    assert_eq!(host, after, "the host's limit is what it was");
}

/// Each pid namespace has its own limit since Linux 6.14; before, a write would change the host's.
fn has_own_pid_max() -> bool {
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next(), numbers.next()) >= (Some(6), Some(14))
}

#[test]
fn without_privilege_own_children_are_seen() {
    if std::env::var_os(INNER).is_some() {
        return check(Engine::SideBand, folder().path(), 20_000);
    }
    if !is_root() || paranoid() > 2 {
        return skip("it needs root to become nobody, and kernel.perf_event_paranoid at most 2");
    }
    fixture("storm");
    again(
        nobody(),
        "without_privilege_own_children_are_seen",
        "nobody",
    );
}

/// A setuid program is not followed without privilege, and that is said.
#[test]
fn who_takes_on_privileges_is_counted() {
    let Some(inner) = std::env::var_os(INNER) else {
        return as_nobody_beside_a_setuid_storm();
    };
    let folder = folder();
    let (setuid, file) = (Path::new(&inner), folder.path().join("books"));
    let script = format!(
        "read _; {} {} 500 1; true",
        setuid.display(),
        file.display()
    );
    let mut child = start(Path::new("/bin/sh"), &["-c", &script]);
    let tree = follow(Engine::SideBand, &mut child);
    println!("500 forks, {:?} {:?}", tree.counts(), tree.losses());
    assert_eq!(tree.losses().escaped, 1, "the storm itself");
    assert!(!tree.losses().is_complete());
    assert!(tree.counts().processes < 10, "what it did was not seen");
    let storm = tree.nodes().find(|node| node.parent.is_some()).unwrap();
    let lived = storm.end.unwrap().at.seconds_since(storm.id.forked);
    assert!(
        lived > 0.01,
        "its end is not that of its records: {lived} s"
    );
}

fn as_nobody_beside_a_setuid_storm() {
    if !is_root() || paranoid() > 2 {
        return skip("it needs root to become nobody, and kernel.perf_event_paranoid at most 2");
    }
    let folder = folder();
    let setuid = folder.path().join("setuid-storm");
    std::fs::copy(fixture("storm"), &setuid).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o4755);
    std::fs::set_permissions(&setuid, mode).unwrap();
    let what = setuid.to_str().unwrap();
    again(nobody(), "who_takes_on_privileges_is_counted", what);
}

fn paranoid() -> i32 {
    let text = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    text.unwrap_or_default().trim().parse().unwrap_or(4)
}

fn nobody() -> Command {
    let mut nobody = Command::new("setpriv");
    nobody.args([
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--",
    ]);
    nobody.current_dir("/");
    nobody
}

/// What began after the engine was opened is seen as well of a process that runs already.
fn attach(engine: Engine) {
    let folder = folder();
    let file = folder.path().join("books");
    let mut child = start(&fixture("storm"), &[file.to_str().unwrap(), "20000", "2"]);
    drop(child.stdin.take());
    while !std::fs::read(&file).is_ok_and(|bytes| {
        bytes
            .first_chunk()
            .is_some_and(|count| u64::from_ne_bytes(*count) > 2000)
    }) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let source = Source::open(engine, Scope::Existing(Pid(child.id()))).unwrap();
    let since = clock::boottime();
    let tree: Tree = drain_until_end(source, &mut child);
    let mut books = books(&file);
    let all = books.len();
    books.retain(|booked| booked.before > since);
    println!(
        "{engine}: {} of {all} forks since, {:?}",
        books.len(),
        tree.counts()
    );
    assert!(
        books.len() > 1000,
        "most of the storm is to come: {}",
        books.len()
    );
    assert_right(engine, &tree, &books);
    let strangers = tree.nodes().filter(|node| node.parent.is_none()).count();
    assert_eq!(strangers, 1, "only the first has no parent in the tree");
}

#[test]
fn attaching_misses_nobody_that_comes_later() {
    for engine in [Engine::SideBand, Engine::Connector] {
        match Source::open(engine, Scope::Machine) {
            Ok(_) => attach(engine),
            Err(reason) => skip(&format!("{engine}: {reason}")),
        }
    }
}
