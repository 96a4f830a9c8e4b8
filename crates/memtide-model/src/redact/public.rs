//! What may stay: names that are the same on every machine.

/// Names of mappings that the kernel gives, by how they begin.
const KERNEL_NAMES: &[&str] = &[
    "[",
    "/SYSV",
    "/[aio]",
    "/anon_hugepage",
    "/dev/zero",
    "/dev/null",
    "/dev/dri/",
    "/dev/nvidia",
    "/dev/kfd",
    "anon_inode:",
    "socket:[",
    "pipe:[",
];

/// What stays of a name of which only the rest is the program's choice.
const KEPT_PREFIXES: &[&str] = &["/memfd:", "/dev/shm/", "/sys/fs/cgroup/"];

/// Where a distribution keeps its libraries.
const SYSTEM_LIBRARIES: &[&str] = &[
    "/lib/",
    "/lib32/",
    "/lib64/",
    "/usr/lib/",
    "/usr/lib32/",
    "/usr/lib64/",
];

/// Where sources lie that are the same on every machine.
const SYSTEM_SOURCES: &[&str] = &["/usr/include/", "/usr/lib/gcc/", "/rustc/"];

const DELETED: &str = " (deleted)";

/// Parts of control-group paths that systemd, Docker and Kubernetes give everywhere.
const COMMON_CGROUPS: &[&str] = &[
    "system.slice",
    "user.slice",
    "init.scope",
    "session.slice",
    "app.slice",
    "kubepods",
    "kubepods.slice",
    "kubepods-burstable.slice",
    "kubepods-besteffort.slice",
];

/// Words in arguments that tell nothing, and that sentences of ours use.
const COMMON_WORDS: &[&str] = &[
    "http",
    "https",
    "tcp",
    "udp",
    "unix",
    "file",
    "localhost",
    "true",
    "false",
    "yes",
    "all",
    "none",
    "null",
    "memory",
    "heap",
    "process",
    "thread",
    "threads",
];

/// A name in three parts: what stays before, the secret, what stays after.
pub(super) struct Parts<'a> {
    pub(super) prefix: &'a str,
    pub(super) secret: &'a str,
    pub(super) suffix: &'a str,
}

/// Splits the name of a mapping, or a path.
pub(super) fn split(name: &str) -> Parts<'_> {
    let (body, suffix) = split_deleted(name);
    let kept = |prefix| Parts {
        prefix,
        secret: "",
        suffix,
    };
    if let Some(prefix) = KEPT_PREFIXES.iter().find(|p| body.starts_with(**p)) {
        let (prefix, secret) = body.split_at(prefix.len());
        return Parts {
            prefix,
            secret,
            suffix,
        };
    }
    if is_kernel_file(body) || KERNEL_NAMES.iter().any(|n| body.starts_with(n)) {
        return kept(body);
    }
    if let Some(library) = system_library(body) {
        return kept(library);
    }
    Parts {
        prefix: "",
        secret: body,
        suffix,
    }
}

/// The kernel's " (deleted)" apart from the path.
pub(super) fn split_deleted(path: &str) -> (&str, &str) {
    match path.strip_suffix(DELETED) {
        Some(body) => (body, DELETED),
        None => (path, ""),
    }
}

/// True below /proc and /sys, but not for what is reached through a process's root or folder.
fn is_kernel_file(path: &str) -> bool {
    matches!(path, "/proc" | "/sys")
        || path.starts_with("/sys/")
        || path.starts_with("/proc/") && !path.contains("/root/") && !path.contains("/cwd/")
}

/// The file name of a shared library that the system brought; also where only that is left of the
/// path, as a redaction leaves it.
fn system_library(path: &str) -> Option<&str> {
    let file = path.rsplit('/').next()?;
    let is_library = file.split('.').skip(1).any(|part| part == "so");
    let is_system = SYSTEM_LIBRARIES.iter().any(|dir| path.starts_with(dir));
    let is_harmless = !path.contains('/') || is_system && !path.contains("/../");
    (is_library && is_harmless).then_some(file)
}

/// True for a source file that came with a compiler or a library's headers.
pub(super) fn is_system_source(path: &str) -> bool {
    SYSTEM_SOURCES.iter().any(|dir| path.starts_with(dir)) && !path.contains("/../")
}

/// True for an option's value that is an ordinary word.
pub(super) fn is_common_word(word: &str) -> bool {
    COMMON_WORDS.contains(&word)
}

/// True for the control group that everything is in.
pub(super) fn is_root_cgroup(path: &str) -> bool {
    path.is_empty() || path == "/"
}

/// The parts of a control group's path that are worth looking for: unit names, container ids.
pub(super) fn cgroup_parts(path: &str) -> impl Iterator<Item = &str> {
    let names = path.split('/');
    let ids = path
        .split(['/', '-', '.', ':'])
        .filter(|part| part.len() >= 12);
    names
        .chain(ids)
        .filter(|part| part.len() >= 6 && !COMMON_CGROUPS.contains(part))
}
