//! What the tests of this crate share: small C programs and libraries.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of each test file, not a crate")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A library that ends whoever loads it with code 42, before `main`.
pub const ENDS_WITH_42: &str = "#include <unistd.h>\n\
    __attribute__((constructor)) static void loaded(void) { _exit(42); }\n";
/// A program that does nothing.
pub const NOTHING: &str = "int main(void) { return 0; }\n";

/// Compiles C; fails with what the compiler says.
pub fn compile(source: &str, to: &Path, flags: &[&str]) -> PathBuf {
    let file = to.with_extension("c");
    std::fs::write(&file, source).expect("the source can be written");
    let output = Command::new("cc")
        .arg("-o")
        .arg(to)
        .arg(&file)
        .args(flags)
        .output()
        .expect("a C compiler called cc is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", to.display());
    to.to_path_buf()
}

/// A shared library.
pub fn library(source: &str, to: &Path) -> PathBuf {
    compile(source, to, &["-shared", "-fPIC"])
}

/// Writes a file with this mode.
pub fn file(path: &Path, content: &[u8], mode: u32) -> PathBuf {
    std::fs::write(path, content).expect("the file can be written");
    let mode = std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("its mode can be set");
    path.to_path_buf()
}
