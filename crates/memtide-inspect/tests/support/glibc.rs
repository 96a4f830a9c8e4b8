//! Programs on other versions of glibc, which are unpacked beside and never installed.

use super::{build, skip};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// One C library and how to run programs on it.
pub struct Glibc {
    /// Its version; "here" is that of this system.
    pub version: &'static str,
    folder: Option<PathBuf>,
}

impl Glibc {
    /// This system's.
    pub const fn here() -> Self {
        Self {
            version: "here",
            folder: None,
        }
    }

    /// Another one: from the folder that `MEMTIDE_GLIBCS` names, or fetched by `tests/glibcs`. `None`, and
    /// said why, where it is not to be had.
    pub fn other(version: &'static str) -> Option<Self> {
        match folder() {
            Ok(folder) => Some(Self {
                version,
                folder: Some(folder.join(version)),
            }),
            Err(reason) => {
                skip(&format!("glibc {version}: {reason}"));
                None
            }
        }
    }

    /// A command that runs a program of `tests/targets` on it. The program is linked with it, too: what
    /// is linked with a newer one does not start on an older one.
    pub fn command(&self, name: &str) -> Command {
        let Some(folder) = &self.folder else {
            return Command::new(super::program(name));
        };
        let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let (libc, threads, loader) = (file("libc.so.6"), file("libpthread.so.0"), file("ld.so"));
        let options = [
            "-pthread",
            "-nodefaultlibs",
            &libc,
            &threads,
            &loader,
            "-lgcc",
        ];
        let program = build(name, &options).expect("it can be linked with this library");
        let mut command = Command::new(&loader);
        command.arg("--library-path").arg(folder).arg(program);
        command
    }
}

fn folder() -> &'static Result<PathBuf, String> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(folder) = std::env::var_os("MEMTIDE_GLIBCS") {
            let folder = PathBuf::from(folder);
            return if folder.join("2.31/complete").exists() {
                Ok(folder)
            } else {
                Err("MEMTIDE_GLIBCS names a folder without them".to_owned())
            };
        }
        fetch(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("glibcs"))
    })
}

fn fetch(folder: &Path) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/glibcs");
    let output = Command::new(script)
        .arg(folder)
        .output()
        .map_err(|error| format!("tests/glibcs does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(folder.to_owned()),
        Some(77) => Err(said.trim().to_owned()),
        _ => panic!("tests/glibcs failed: {said}"),
    }
}
