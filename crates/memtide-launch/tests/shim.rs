//! Where the shim is found, and that it is loaded from there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_launch::{
    ErrorKind, HeapMode, Launch, Locate, Origin, Recording, SelfTest, Shim, content_hash,
    inspect_program, self_test,
};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use support::{ENDS_WITH_42, file, library};

/// A stand-in for the embedded copy, which lives as long as memtide.
fn embedded() -> &'static [u8] {
    let dir = tempfile::tempdir().unwrap();
    let built = library(ENDS_WITH_42, &dir.path().join("shim.so"));
    Box::leak(fs::read(built).unwrap().into_boxed_slice())
}

fn from(embedded: &'static [u8], caches: Vec<PathBuf>) -> Locate {
    Locate {
        flag: None,
        variable: None,
        executable: None,
        embedded,
        caches,
    }
}

/// The exit code of `true` under the shim: 42 if it was loaded.
fn code_under(shim: &Shim) -> u8 {
    let dir = tempfile::tempdir().unwrap();
    let recording = Recording {
        directory: dir.path(),
        mode: HeapMode::Sampled,
        interval: 524_288,
    };
    let mut launch = Launch::new("true", [""; 0]);
    launch.record(shim, recording);
    let program = inspect_program(Path::new("/bin/true")).unwrap();
    launch.spawn(&program).unwrap().wait().unwrap().exit_code()
}

#[test]
fn the_copy_is_cached_checked_and_mended() {
    let (base, content) = (tempfile::tempdir().unwrap(), embedded());
    let from = from(content, vec![base.path().join("memtide")]);
    let shim = Shim::locate(&from).unwrap();
    assert_eq!(
        (shim.origin(), shim.is_in_memory()),
        (Origin::Embedded, false)
    );
    assert_eq!(shim.hash(), content_hash(content));
    let name = format!("memtide/shim-{:016x}/libmemtide_shim.so", shim.hash());
    assert_eq!(
        shim.file(),
        fs::canonicalize(base.path().join(name)).unwrap()
    );
    assert_eq!(fs::read(shim.file()).unwrap(), content);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(shim.file()), 0o644);
    assert_eq!(mode(shim.file().parent().unwrap()), 0o755);
    assert_eq!(code_under(&shim), 42);
    // Damaged, of the same length: found by its content and written anew.
    let mut damaged = content.to_vec();
    damaged[content.len() / 2] ^= 1;
    fs::write(shim.file(), damaged).unwrap();
    assert_eq!(code_under(&Shim::locate(&from).unwrap()), 42);
    assert_eq!(fs::read(shim.file()).unwrap(), content);
    // A link in its place is not followed.
    let elsewhere = base.path().join("elsewhere");
    fs::rename(shim.file(), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, shim.file()).unwrap();
    let again = Shim::locate(&from).unwrap();
    assert!(fs::symlink_metadata(again.file()).unwrap().is_file());
    let left: Vec<_> = fs::read_dir(shim.file().parent().unwrap())
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "no temporary file is left: {left:?}");
}

#[test]
fn copies_of_other_builds_go_when_nobody_used_them_for_a_month() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("memtide");
    let age = |name: &str, days: u64| {
        let path = folder.join(name);
        fs::create_dir_all(&path).unwrap();
        let then = SystemTime::now() - Duration::from_hours(24 * days);
        File::open(&path).unwrap().set_modified(then).unwrap();
        path
    };
    let (old, young, foreign) = (age("shim-1", 40), age("shim-2", 20), age("other", 400));
    Shim::locate(&from(embedded(), vec![folder.clone()])).unwrap();
    assert_eq!(
        (old.exists(), young.exists(), foreign.exists()),
        (false, true, true)
    );
}

#[test]
fn a_cache_that_cannot_be_used_means_memory() {
    let (base, content) = (tempfile::tempdir().unwrap(), embedded());
    let at = |name: &str| base.path().join(name);
    file(&at("file"), b"no folder", 0o644);
    fs::create_dir(at("open")).unwrap();
    fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).unwrap();
    let caches = [
        at("with space"),
        at("with:colon"),
        at("with$dollar"),
        at("file/below"),
        at("open/memtide"),
        PathBuf::from("/proc/memtide"),
    ];
    for cache in caches {
        let shim = Shim::locate(&from(content, vec![cache.clone()])).unwrap();
        assert!(shim.is_in_memory(), "{}", cache.display());
        assert_eq!(shim.hash(), content_hash(content));
        assert_eq!(code_under(&shim), 42, "{}", cache.display());
        let number = shim.preload().to_str().unwrap().rsplit('/').next().unwrap();
        let number: u32 = number.parse().unwrap();
        assert!(
            number >= 64,
            "{number}: a script may use that descriptor for itself"
        );
    }
    // The next one in the list is used where the first cannot be.
    let second = from(content, vec![at("file/below"), at("good")]);
    assert!(!Shim::locate(&second).unwrap().is_in_memory());
    assert!(
        Shim::locate(&from(content, Vec::new()))
            .unwrap()
            .is_in_memory()
    );
}

#[test]
fn what_is_named_goes_first_and_is_used_or_refused() {
    let (base, content) = (tempfile::tempdir().unwrap(), embedded());
    let at = |name: &str| base.path().join(name);
    let [first, second] = ["first.so", "second.so"].map(|name| file(&at(name), content, 0o644));
    let spaced = file(&at("third one.so"), content, 0o644);
    let mut all = from(content, vec![at("cache")]);
    all.variable = Some(second.clone());
    assert_eq!(
        Shim::locate(&all).unwrap().file(),
        fs::canonicalize(&second).unwrap()
    );
    all.flag = Some(first);
    assert_eq!(Shim::locate(&all).unwrap().origin(), Origin::Flag);
    all.flag = Some(spaced);
    let shim = Shim::locate(&all).unwrap();
    assert_eq!((shim.is_in_memory(), code_under(&shim)), (true, 42));
    for (path, word) in [
        (at("absent"), "--shim"),
        (base.path().to_path_buf(), "--shim"),
        (file(&at("text"), b"hello", 0o644), "no library"),
        (file(&at("empty"), b"", 0o644), "no library"),
        (PathBuf::from("/bin/sh.absent"), "/bin/sh.absent"),
    ] {
        all.flag = Some(path);
        let error = Shim::locate(&all).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shim);
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_package_has_it_beside_the_executable() {
    let (base, content) = (tempfile::tempdir().unwrap(), embedded());
    let folder = base.path().join("lib/x86_64-linux-gnu/memtide");
    fs::create_dir_all(&folder).unwrap();
    let installed = file(&folder.join("libmemtide_shim.so"), content, 0o644);
    let mut all = from(content, Vec::new());
    all.executable = Some(base.path().join("bin/memtide"));
    let shim = Shim::locate(&all).unwrap();
    assert_eq!(shim.origin(), Origin::Installed);
    assert_eq!(shim.file(), fs::canonicalize(installed).unwrap());
}

#[test]
fn a_memtide_without_shim_says_so() {
    let error = Shim::locate(&from(b"", Vec::new())).unwrap_err();
    assert!(
        error.to_string().contains("built without the shim"),
        "{error}"
    );
}

#[test]
fn a_shim_that_does_not_answer_fails_its_test() {
    let base = tempfile::tempdir().unwrap();
    let test = SelfTest {
        program: "/bin/true".into(),
        arguments: Vec::new(),
        build_hash: 1,
        limit: Duration::from_secs(10),
    };
    let shim_of = |source: &str, name: &str| {
        let built = library(source, &base.path().join(name));
        let mut all = from(b"", Vec::new());
        all.flag = Some(built);
        Shim::locate(&all).unwrap()
    };
    let silent = self_test(&shim_of("int nothing;\n", "silent.so"), &test).unwrap_err();
    assert_eq!(silent.kind(), ErrorKind::SelfTest);
    assert!(silent.to_string().contains("did not load"), "{silent}");
    let hangs = "#include <unistd.h>\n__attribute__((constructor)) void f(void) { pause(); }\n";
    let short = SelfTest {
        limit: Duration::from_millis(100),
        ..test
    };
    let hangs = self_test(&shim_of(hangs, "hangs.so"), &short).unwrap_err();
    assert!(hangs.to_string().contains("did not end"), "{hangs}");
}
