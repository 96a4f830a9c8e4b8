//! Processes that may not be read: the error says what is missing and the command that gives it. What yama
//! says is tested beside the code, for it needs a kernel that has it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_inspect::{Inspector, Options};
use memtide_model::Pid;
use std::process::Command;
use support::{Target, assert_equal, program, skip};

/// Not a test of its own: what the tests below run as another user, or with fewer rights.
#[test]
fn reader() {
    let Ok(pid) = std::env::var("MEMTIDE_TEST_READS") else {
        return;
    };
    let pid = Pid(pid.parse().unwrap());
    match Inspector::open(pid).and_then(|mut i| i.snapshot(&Options::default())) {
        Ok(snapshot) => println!("READ {}", snapshot.totals.live_blocks),
        Err(error) => println!("FAILED {:?} {error}", error.kind()),
    }
}

/// A folder that every user may enter, with this program and the targets in it.
struct Shared(tempfile::TempDir);

impl Shared {
    fn make() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::Builder::new()
            .prefix("memtide")
            .tempdir_in("/tmp")
            .unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::copy(
            std::env::current_exe().unwrap(),
            folder.path().join("reader"),
        )
        .unwrap();
        std::fs::copy(program("books"), folder.path().join("books")).unwrap();
        Self(folder)
    }

    /// What the reader says of `pid` when it is run by this command line.
    fn read(&self, by: &[&str], pid: Pid) -> String {
        let output = Command::new(by[0])
            .args(&by[1..])
            .arg(self.0.path().join("reader"))
            .args(["--exact", "reader", "--nocapture"])
            .env("MEMTIDE_TEST_READS", pid.to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let said = text.lines().find_map(|line| {
            line.find("READ ")
                .or_else(|| line.find("FAILED "))
                .map(|at| &line[at..])
        });
        said.unwrap_or_else(|| panic!("the reader says what it read: {output:?}"))
            .to_owned()
    }

    /// The target, run by this command line.
    fn target(&self, by: &[&str], arguments: &str) -> Target {
        let mut command = Command::new(by[0]);
        command.args(&by[1..]).arg(self.0.path().join("books"));
        Target::start(&mut command, arguments)
    }
}

const NOBODY: [&str; 4] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
];

/// True where users can be changed; says why not otherwise.
fn can_change_users() -> bool {
    let can = rustix::process::geteuid().is_root()
        && Command::new(NOBODY[0])
            .args(&NOBODY[1..])
            .arg("true")
            .status()
            .is_ok_and(|status| status.success());
    if !can {
        skip("other users need root and setpriv");
    }
    can
}

#[test]
fn another_users_process() {
    if !can_change_users() {
        return;
    }
    let shared = Shared::make();
    let target = Target::books("mix 2 0");
    let said = shared.read(&NOBODY, target.pid());
    assert!(said.starts_with("FAILED Denied"), "{said}");
    assert!(
        said.contains("user 0") && said.contains("user 65534"),
        "whose it is: {said}"
    );
    assert!(said.contains("sudo memtide"), "the remedy: {said}");
}

/// Root is not needed for one's own processes.
#[test]
fn ones_own_process_without_root() {
    if !can_change_users() {
        return;
    }
    let shared = Shared::make();
    let target = shared.target(&NOBODY, "mix 2 0");
    let blocks = target.books.get("blocks") + target.books.get("caches");
    assert_eq!(shared.read(&NOBODY, target.pid()), format!("READ {blocks}"));
}

#[test]
fn a_process_that_made_itself_unreadable() {
    if !can_change_users() {
        return;
    }
    let shared = Shared::make();
    let target = shared.target(&NOBODY, "undumpable 2 0");
    let said = shared.read(&NOBODY, target.pid());
    assert!(said.starts_with("FAILED Denied"), "{said}");
    assert!(said.contains("PR_SET_DUMPABLE"), "what is missing: {said}");
    assert!(said.contains("sudo memtide"), "the remedy: {said}");
    // Root reads it all the same.
    assert_equal("by root", &target.snapshot(), &target.books);
}

/// Root in a container has no right to trace.
#[test]
fn a_dropped_capability() {
    if !can_change_users() {
        return;
    }
    let shared = Shared::make();
    // The target has rights that the reader lacks.
    let target = Target::books("mix 2 0");
    let drop = [
        "setpriv",
        "--bounding-set=-sys_ptrace",
        "--inh-caps=-sys_ptrace",
    ];
    let said = shared.read(&drop, target.pid());
    if said.starts_with("READ") {
        skip("this kernel lets root without the capability read root's processes");
        return;
    }
    assert!(said.starts_with("FAILED Denied"), "{said}");
    assert!(said.contains("CAP_SYS_PTRACE"), "what is missing: {said}");
    assert!(said.contains("--cap-add SYS_PTRACE"), "the remedy: {said}");
}
