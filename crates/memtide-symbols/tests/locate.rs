//! Which file answers: stripped programs, debug files in all their places, compressed sections, mini
//! debug information, bare symbol tables, deleted files, and files of another build.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "helpers of tests count as outside them")]

mod support;

use memtide_model::{Nanos, Pid};
use memtide_symbols::{
    Address, BuildId, Check, Content, Frame, HeldFiles, Locator, MappedRange, Module, ModuleTable,
    Origin, Resolution, Resolver,
};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use support::{C, compile, functions, module, resolve, run};

/// The chain at the first byte of `hidden_helper`'s inlined part, by the line of the innermost call.
const HELPER: &str = "hidden_helper";

struct Stripped {
    dir: tempfile::TempDir,
    program: PathBuf,
    debug: PathBuf,
    full: PathBuf,
}

/// A program without any symbol, its debug file, and the unstripped original.
fn stripped(flags: &[&str]) -> Stripped {
    let dir = tempfile::tempdir().unwrap();
    let full = compile(dir.path(), "full", C, flags);
    let program = dir.path().join("program");
    let debug = dir.path().join("program.debug");
    run("objcopy", &["--only-keep-debug", text(&full), text(&debug)]);
    run("strip", &["-o", text(&program), text(&full)]);
    Stripped {
        dir,
        program,
        debug,
        full,
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn start_of(program: &Path, function: &str) -> u64 {
    functions(program)
        .into_iter()
        .find(|(_, _, name)| name == function)
        .unwrap()
        .0
}

/// The first byte of the helper's inlined part, and its chain by the program's own debug information.
fn at_helper(program: &Path) -> (u64, Vec<support::Plain>) {
    let svma = start_of(program, HELPER);
    let found = ask(program, &[], svma);
    (svma, found.frames(0).iter().map(support::plain).collect())
}

fn ask(program: &Path, dirs: &[PathBuf], svma: u64) -> Resolution {
    resolve(
        &Resolver::new(Locator::new(dirs.to_vec())),
        module(program),
        &[svma],
    )
}

fn names(frames: &[Frame]) -> Vec<(&str, bool)> {
    frames
        .iter()
        .map(|f| (f.function.as_deref().unwrap_or("??"), f.inlined))
        .collect()
}

fn build_id_dir(stripped: &Stripped) -> PathBuf {
    let id = Locator::new([])
        .build_id(&module(&stripped.program))
        .unwrap();
    let place = stripped
        .dir
        .path()
        .join("debug")
        .join(id.debug_path().unwrap());
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::copy(&stripped.debug, &place).unwrap();
    stripped.dir.path().join("debug")
}

#[test]
fn a_debug_file_is_found_by_build_id() {
    for flags in [&["-g", "-O2"][..], &["-g", "-O2", "-no-pie"]] {
        let stripped = stripped(flags);
        let dir = build_id_dir(&stripped);
        let svma = start_of(&stripped.full, HELPER);
        let resolution = ask(&stripped.program, &[dir], svma);
        let report = &resolution.modules()[0];
        assert_eq!(report.answered[0].origin, Origin::BuildIdDirectory);
        assert_eq!(report.answered[0].check, Check::BuildId);
        assert_eq!(report.answered[0].content, Content::DebugInfo);
        assert_eq!(report.warning, None);
        let with_original = ask(&stripped.full, &[], svma);
        let plain = |resolution: &Resolution| {
            resolution
                .frames(0)
                .iter()
                .map(support::plain)
                .collect::<Vec<_>>()
        };
        assert_eq!(plain(&resolution), plain(&with_original));
        assert_eq!(
            resolution.frames(0).last().unwrap().function.as_deref(),
            Some(HELPER)
        );
    }
}

#[test]
fn a_debug_file_of_another_build_is_refused() {
    let stripped = stripped(&["-g", "-O2"]);
    let dir = build_id_dir(&stripped);
    let other = compile(stripped.dir.path(), "other", C, &["-g", "-O1"]);
    let id = Locator::new([])
        .build_id(&module(&stripped.program))
        .unwrap();
    std::fs::copy(&other, dir.join(id.debug_path().unwrap())).unwrap();
    let resolution = ask(&stripped.program, &[dir], start_of(&stripped.full, HELPER));
    let report = &resolution.modules()[0];
    assert!(
        report
            .answered
            .iter()
            .all(|file| file.content != Content::DebugInfo)
    );
    assert!(
        report.refused[0].reason.contains("build-id"),
        "{}",
        report.refused[0]
    );
    let warning = report.warning.as_deref().unwrap();
    assert!(
        warning.starts_with("nothing is known of") && warning.contains("build-id"),
        "{warning}"
    );
}

#[test]
fn a_program_replaced_on_disk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path(), "program", C, &["-g", "-O2"]);
    let mut module = module(&program);
    module.build_id = BuildId::from_hex("0123456789abcdef");
    let resolution = resolve(
        &Resolver::new(Locator::new([])),
        module,
        &[start_of(&program, HELPER)],
    );
    assert_eq!(names(resolution.frames(0)), [("??", false)]);
    assert!(
        resolution.modules()[0].refused[0]
            .reason
            .contains("0123456789abcdef")
    );
    assert_eq!(resolution.warnings().count(), 1);
}

#[test]
fn a_debug_link_is_followed_where_its_crc_holds() {
    let stripped = stripped(&["-g", "-O2", "-Wl,--build-id=none"]);
    run(
        "objcopy",
        &[
            "--add-gnu-debuglink",
            text(&stripped.debug),
            text(&stripped.program),
        ],
    );
    let svma = start_of(&stripped.full, HELPER);
    let beside = stripped.debug.clone();
    let hidden = stripped.dir.path().join(".debug/program.debug");
    let global = stripped.dir.path().join("global");
    let own = stripped.dir.path().strip_prefix("/").unwrap();
    let below = global.join(own).join("program.debug");
    let mut place = beside;
    for next in [hidden, below] {
        let resolution = ask(&stripped.program, std::slice::from_ref(&global), svma);
        let used = &resolution.modules()[0].answered[0];
        assert_eq!(
            (used.origin, used.check, &used.path),
            (Origin::DebugLink, Check::Crc, &place)
        );
        std::fs::create_dir_all(next.parent().unwrap()).unwrap();
        std::fs::rename(&place, &next).unwrap();
        place = next;
    }
    let mut bytes = std::fs::read(&place).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&place, bytes).unwrap();
    let resolution = ask(&stripped.program, &[global], svma);
    assert!(resolution.modules()[0].refused[0].reason.contains("CRC"));
    assert_eq!(names(resolution.frames(0)), [("??", false)]);
}

#[test]
fn compressed_sections_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path(), "program", C, &["-g", "-O2"]);
    let (svma, expected) = at_helper(&program);
    assert!(expected[0].2 > 0);
    for kind in ["zlib", "zlib-gnu", "zstd"] {
        let packed = dir.path().join(kind);
        let option = format!("--compress-debug-sections={kind}");
        let done = Command::new("objcopy")
            .args([&option, text(&program), text(&packed)])
            .output();
        if !done.unwrap().status.success() {
            eprintln!("skipped: objcopy cannot compress with {kind}");
            continue;
        }
        let found = run("readelf", &["-SW", text(&packed)]);
        assert!(
            found.contains(".zdebug_info") || found.contains(" C "),
            "{kind}"
        );
        let resolution = ask(&packed, &[], svma);
        let frames: Vec<_> = resolution.frames(0).iter().map(support::plain).collect();
        assert_eq!(frames, expected, "{kind}");
    }
}

#[test]
fn symbols_alone_give_functions_and_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path(), "program", C, &["-O2"]);
    let svma = start_of(&program, HELPER) + 1;
    let resolution = ask(&program, &[], svma);
    assert_eq!(names(resolution.frames(0)), [(HELPER, false)]);
    assert_eq!(
        resolution.modules()[0].answered[0].content,
        Content::SymbolTable
    );
    assert_eq!(resolution.modules()[0].without_line, 1);
    assert!(
        resolution
            .warnings()
            .next()
            .unwrap()
            .contains("no debug information for")
    );
}

#[test]
fn mini_debug_information_and_dynamic_symbols_complete_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let library = compile(dir.path(), "lib.so", C, &["-O2", "-shared", "-fPIC"]);
    let (hidden, exported) = (
        start_of(&library, HELPER),
        start_of(&library, "exported_entry"),
    );
    let mini = dir.path().join("mini");
    let stripped = dir.path().join("stripped.so");
    run(
        "objcopy",
        &[
            "-S",
            "--keep-symbol=hidden_helper",
            text(&library),
            text(&mini),
        ],
    );
    run("xz", &["-k", text(&mini)]);
    run("strip", &["-o", text(&stripped), text(&library)]);

    let only_dynamic = ask(&stripped, &[], exported);
    assert_eq!(names(only_dynamic.frames(0)), [("exported_entry", false)]);
    assert_eq!(
        only_dynamic.modules()[0].answered[0].content,
        Content::DynamicSymbols
    );
    assert_eq!(
        names(ask(&stripped, &[], hidden).frames(0)),
        [("??", false)]
    );

    let section = format!(".gnu_debugdata={}", text(&dir.path().join("mini.xz")));
    run("objcopy", &["--add-section", &section, text(&stripped)]);
    let both = resolve(
        &Resolver::new(Locator::new([])),
        module(&stripped),
        &[hidden, exported],
    );
    assert_eq!(names(both.frames(0)), [(HELPER, false)]);
    assert_eq!(names(both.frames(1)), [("exported_entry", false)]);
    assert_eq!(both.modules()[0].answered[0].origin, Origin::MiniDebugInfo);
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(program: &Path) -> (Running, Vec<MappedRange>) {
    let mut child = Command::new(program)
        .arg("wait")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "ready\n");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.id())).unwrap();
    (Running(child), maps.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<MappedRange> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let protection = fields.next()?;
    let hex = |text| u64::from_str_radix(text, 16).unwrap();
    let offset = hex(fields.next()?);
    let path = fields.nth(2)?.trim_start();
    path.starts_with('/').then(|| MappedRange {
        start: hex(start),
        end: hex(end),
        file_offset: offset,
        executable: protection.contains('x'),
        path: path.into(),
    })
}

/// Where the running program has an svma, by its lowest mapping.
fn avma(ranges: &[MappedRange], name: &str, svma: u64, is_pie: bool) -> u64 {
    let own = ranges
        .iter()
        .find(|range| text(&range.path).contains(name))
        .unwrap();
    if is_pie { own.start + svma } else { svma }
}

#[test]
fn a_running_program_is_read_even_when_its_file_is_gone() {
    let linkers: [&[&str]; 3] = [
        &[],
        &["-no-pie"],
        &["-Wl,-Ttext-segment=0x12340000", "-no-pie"],
    ];
    for extra in linkers {
        let dir = tempfile::tempdir().unwrap();
        let flags = [&["-g", "-O2", "-Wl,-z,separate-code"], extra].concat();
        let program = compile(dir.path(), "victim", C, &flags);
        let svma = start_of(&program, HELPER);
        let expected: Vec<_> = ask(&program, &[], svma)
            .frames(0)
            .iter()
            .map(support::plain)
            .collect();
        for delete in [false, true] {
            let copy = dir.path().join(if delete { "gone" } else { "stays" });
            std::fs::copy(&program, &copy).unwrap();
            let (child, mut ranges) = start(&copy);
            if delete {
                std::fs::remove_file(&copy).unwrap();
                let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.0.id())).unwrap();
                ranges = maps.lines().filter_map(parse).collect();
                assert!(text(&ranges[0].path).ends_with("gone (deleted)"));
            }
            let mut table = ModuleTable::new();
            table.update(&ranges, Nanos(1));
            let locator = Locator::new([]).of_process(Pid(child.0.id()));
            let avma = avma(&ranges, text(&copy), svma, extra.is_empty());
            let address = Address {
                avma: avma + 1,
                is_return_address: true,
                at: None,
            };
            let resolution = Resolver::new(locator).resolve(&table, &[address]);
            let frames: Vec<_> = resolution.frames(0).iter().map(support::plain).collect();
            assert_eq!(frames, expected, "{extra:?} deleted: {delete}");
            assert_eq!(
                resolution.modules()[0].answered[0].origin,
                Origin::MappedFile
            );
        }
    }
}

#[test]
fn a_file_that_was_held_while_it_ran_answers_when_all_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let program = compile(dir.path(), "victim", C, &["-g", "-O2"]);
    let (svma, expected) = at_helper(&program);
    let build_id = Locator::new([]).build_id(&module(&program));
    let (child, _) = start(&program);
    std::fs::remove_file(&program).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", child.0.id())).unwrap();
    let ranges: Vec<MappedRange> = maps.lines().filter_map(parse).collect();
    let own: Vec<MappedRange> = ranges
        .into_iter()
        .filter(|range| text(&range.path).contains("victim"))
        .collect();
    let mut held = HeldFiles::new();
    // By the path that the loader knew, which may be another than the kernel's.
    let sought = Path::new("/elsewhere/victim");
    let locator = Locator::new([]);
    let pid = Pid(child.0.id());
    let by_path_alone = held.hold(&locator, pid, (sought, None), &own);
    assert!(!by_path_alone, "nothing shows that it is the same");
    let build_id = build_id.as_ref();
    assert!(held.hold(&locator, pid, (sought, build_id), &own));
    assert!(held.has(sought, build_id) && held.descriptors() == 1);
    drop(child);
    let resolver = Resolver::new(locator.with_held(held));
    let gone = Module {
        build_id: build_id.cloned(),
        ..module(sought)
    };
    let resolution = resolve(&resolver, gone, &[svma]);
    let frames: Vec<_> = resolution.frames(0).iter().map(support::plain).collect();
    assert_eq!(frames, expected);
    let origin = resolution.modules()[0].answered[0].origin;
    assert_eq!(origin, Origin::MappedFile);
}

#[test]
fn a_missing_file_is_a_value() {
    let resolution = ask(Path::new("/nowhere/libfoo.so"), &[], 0x1000);
    assert_eq!(names(resolution.frames(0)), [("??", false)]);
    assert_eq!(
        resolution.frames(0)[0].module.as_deref(),
        Some("/nowhere/libfoo.so")
    );
    let warning = resolution.warnings().next().unwrap();
    assert!(warning.contains("/nowhere/libfoo.so"), "{warning}");
}

#[test]
fn an_address_outside_all_modules_has_an_unknown_frame() {
    let table = ModuleTable::new();
    let address = Address {
        avma: 0,
        is_return_address: true,
        at: None,
    };
    let resolution = Resolver::new(Locator::new([])).resolve(&table, &[address]);
    assert_eq!(names(resolution.frames(0)), [("??", false)]);
    assert_eq!(resolution.frames(0)[0].module, None);
}
