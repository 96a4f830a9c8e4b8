//! Builds the preload shim, which the command line carries inside itself.
//!
//! The shim needs a profile and a panic strategy of its own, and stable cargo has no dependency on a
//! library that is to be a file. So cargo is called once more, with a target folder inside of ours: no
//! lock is shared, nothing is written into the sources, and nothing of how memtide itself is built
//! (flags, wrappers, profiles) reaches the shim.
//!
//! Distributors who build the shim on their own name it with `MEMTIDE_SHIM_SO`; it must come from
//! the same sources, with the same `MEMTIDE_BUILD_HASH`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

#[expect(unreachable_pub, reason = "the crate that it belongs to exports it")]
#[path = "../memtide-launch/src/content_hash.rs"]
mod content_hash;

/// What the shim is made of, beside `crates/memtide`.
const SOURCES: [&str; 3] = ["memtide-region", "memtide-shim", "memtide-unwind"];
const FILE: &str = "libmemtide_shim.so";

fn main() {
    if let Err(reason) = run() {
        // One line each: cargo takes what follows a line's end for something else.
        for line in reason.lines() {
            println!("cargo::error={line}");
        }
        println!(
            "cargo::error=the preload shim could not be built; MEMTIDE_SHIM_SO=FILE takes one that is \
             built, MEMTIDE_SHIM_SO=/dev/null makes a memtide without"
        );
    }
}

fn run() -> Result<(), String> {
    let crates = PathBuf::from(variable("CARGO_MANIFEST_DIR")?)
        .parent()
        .ok_or("crates/memtide lies in a folder")?
        .to_path_buf();
    let hash = hash_of_sources(&crates)?.to_string();
    println!("cargo::rustc-env=MEMTIDE_BUILD_HASH={hash}");
    println!("cargo::rerun-if-env-changed=MEMTIDE_SHIM_SO");
    let file = match env::var_os("MEMTIDE_SHIM_SO").filter(|path| !path.is_empty()) {
        Some(given) => given_file(&PathBuf::from(given))?,
        None => build(&crates, &hash)?,
    };
    println!("cargo::rustc-env=MEMTIDE_SHIM_FILE={}", file.display());
    Ok(())
}

fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"))
}

fn given_file(path: &Path) -> Result<PathBuf, String> {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::canonicalize(path).map_err(|error| format!("MEMTIDE_SHIM_SO={}: {error}", path.display()))
}

/// Over names and contents of all that the shim is made of, in the order of the names.
fn hash_of_sources(crates: &Path) -> Result<u64, String> {
    let mut all = Vec::new();
    for name in SOURCES {
        let folder = crates.join(name);
        let mut files = vec![folder.join("Cargo.toml")];
        rust_files(&folder.join("src"), &mut files)?;
        files.sort();
        for file in files {
            println!("cargo::rerun-if-changed={}", file.display());
            let shown = file.strip_prefix(crates).unwrap_or(&file);
            all.extend(shown.as_os_str().as_encoded_bytes());
            all.push(0);
            all.extend(fs::read(&file).map_err(|error| reading(&file, &error))?);
            all.push(0);
        }
    }
    Ok(content_hash::content_hash(&all))
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    // The folder itself: a file that is added or removed changes it.
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).map_err(|error| reading(folder, &error))? {
        let path = entry.map_err(|error| reading(folder, &error))?.path();
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn reading(path: &Path, error: &std::io::Error) -> String {
    format!("reading {}: {error}", path.display())
}

fn build(crates: &Path, hash: &str) -> Result<PathBuf, String> {
    let folder = crates.join("memtide-shim");
    let target_folder = PathBuf::from(variable("OUT_DIR")?).join("shim");
    let triple = triple()?;
    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .args(["build", "--release", "--quiet", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .args(["--target", &triple, "--target-dir"])
        .arg(&target_folder);
    let lock = folder.join("Cargo.lock");
    if lock.is_file() {
        println!("cargo::rerun-if-changed={}", lock.display());
        cargo.arg("--locked");
    }
    for (name, _) in env::vars_os() {
        if is_of_the_outer_build(&name.to_string_lossy()) {
            cargo.env_remove(name);
        }
    }
    // Empty or not, it goes before flags of configuration files. Paths of this machine stay out.
    let flags = format!("--remap-path-prefix={}=crates", crates.display());
    let output = cargo
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .env("MEMTIDE_BUILD_HASH", hash)
        .output()
        .map_err(|error| format!("starting cargo for the shim: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(target_folder.join(triple).join("release").join(FILE))
}

/// The shim is for the C library of the machine, also where memtide itself is linked to another.
fn triple() -> Result<String, String> {
    let target = variable("TARGET")?.to_string_lossy().into_owned();
    if target.ends_with("-linux-gnu") {
        return Ok(target);
    }
    let arch = variable("CARGO_CFG_TARGET_ARCH")?;
    Ok(format!("{}-unknown-linux-gnu", arch.to_string_lossy()))
}

/// Flags, profiles and wrappers that are meant for memtide: clippy's wrapper alone would make this a
/// check that builds nothing.
fn is_of_the_outer_build(name: &str) -> bool {
    const EXACT: [&str; 6] = [
        "RUSTFLAGS",
        "CARGO_BUILD_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
    ];
    let is_flag_of_target = name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS");
    EXACT.contains(&name) || is_flag_of_target || name.starts_with("CARGO_PROFILE_")
}
