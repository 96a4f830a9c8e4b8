//! Which package brings a file's debug information: a hint for people, by the package database that
//! is at hand.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What to do to have the debug information of the file at `path`, seen below `root`.
pub(crate) fn hint(root: &Path, path: &Path) -> String {
    let name = memtide_model::text::printable(path.as_os_str().as_encoded_bytes());
    if root.join("var/lib/dpkg/info").is_dir() {
        return match debian_package(root, path) {
            Some(package) => format!("install {package}-dbgsym (or {package}-dbg)"),
            None => "build it with -g and do not strip it, or give --debug-dir".to_owned(),
        };
    }
    if ["var/lib/rpm", "usr/lib/sysimage/rpm"]
        .iter()
        .any(|dir| root.join(dir).is_dir())
    {
        return format!("run: dnf debuginfo-install {name}");
    }
    "install its package of debug symbols, or build it with -g, or give --debug-dir".to_owned()
}

/// What to do where the file itself is not at hand.
pub(crate) fn hint_without_file(root: &Path, path: &Path) -> String {
    let bring = "put the same build there again, or give --debug-dir with its debug information, and run \
         memtide symbolize on the recording";
    let package = root.join("var/lib/dpkg/info").is_dir();
    match package.then(|| debian_package(root, path)).flatten() {
        Some(package) => {
            format!("install {package}-dbgsym (or {package}-dbg) of the same version, or {bring}")
        }
        None => bring.to_owned(),
    }
}

/// The package whose list of files (`/var/lib/dpkg/info/PACKAGE.list`) has the path.
fn debian_package(root: &Path, path: &Path) -> Option<String> {
    // Since /lib became a link to /usr/lib, lists and mappings may name either.
    let other = match path.strip_prefix("/usr") {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => Path::new("/usr").join(path.strip_prefix("/").ok()?),
    };
    let lists = std::fs::read_dir(root.join("var/lib/dpkg/info")).ok()?;
    let list = lists
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|list| {
            list.extension()
                .is_some_and(|extension| extension == "list")
        })
        .find(|list| names(list, path) || names(list, &other))?;
    let package = list.file_stem()?.to_str()?;
    Some(package.split(':').next().unwrap_or(package).to_owned())
}

fn names(list: &PathBuf, path: &Path) -> bool {
    let Ok(file) = std::fs::File::open(list) else {
        return false;
    };
    let sought = path.as_os_str().as_encoded_bytes();
    BufReader::new(file)
        .split(b'\n')
        .map_while(Result::ok)
        .any(|line| line == sought)
}
