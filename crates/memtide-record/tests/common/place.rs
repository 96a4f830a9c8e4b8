//! Places that are small or read-only. Needs root for mounts; says so where it cannot.

use std::path::Path;
use std::process::Command;

/// A tmpfs of its own, unmounted when dropped.
pub(crate) struct Tmpfs {
    directory: tempfile::TempDir,
}

impl Tmpfs {
    /// `None`, and a line that says so, where this user may not mount.
    pub(crate) fn new(kib: u32) -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let options = format!("size={kib}k,mode=0777");
        let mounted = run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs"],
            directory.path(),
        );
        if !mounted {
            println!("skipped: mounting a tmpfs needs root");
        }
        mounted.then_some(Self { directory })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn make_read_only(&self) {
        let done = run("mount", &["-o", "remount,ro"], self.path());
        assert!(done, "what could be mounted can be remounted");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        run("umount", &["-l"], self.directory.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let output = Command::new(program).args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

/// Copies without opening the file in this process: that would drop a writer's locks.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(run("cp", &[from.to_str().expect("a plain path")], to));
}
