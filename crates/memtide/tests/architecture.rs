//! Keeps the plan of the house honest: which crate leans on which, what only one of them may use,
//! how long a file and a function may be, and that the documents point at things that exist.
//!
//! A rule that has to change is changed here and in ARCHITECTURE.md together.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our crates each of our crates may lean on. Data flows one way: a lens knows nothing of
/// trends, the analyzer nothing of /proc or SQL, the report nothing of either.
const ARROWS: &[(&str, &[&str])] = &[
    ("memtide-model", &[]),
    ("memtide-proc", &["memtide-model"]),
    ("memtide-record", &["memtide-model"]),
    ("memtide-sampler", &["memtide-model", "memtide-proc"]),
    ("memtide-analyzer", &["memtide-model"]),
    ("memtide-report", &["memtide-model"]),
    ("memtide-symbols", &["memtide-model"]),
    ("memtide-region", &[]),
    (
        "memtide-collect",
        &["memtide-model", "memtide-proc", "memtide-region"],
    ),
    ("memtide-import", &["memtide-model"]),
    (
        "memtide-inspect",
        &["memtide-model", "memtide-proc", "memtide-symbols"],
    ),
    (
        "memtide-launch",
        &["memtide-model", "memtide-proc", "memtide-region"],
    ),
    ("memtide-unwind", &[]),
    ("memtide-events", &["memtide-model", "memtide-proc"]),
    ("memtide-census", &["memtide-model", "memtide-proc"]),
    ("memtide-oom", &["memtide-model", "memtide-proc"]),
    // A tool of the project, which no crate leans on.
    (
        "memtide-score",
        &["memtide-analyzer", "memtide-import", "memtide-model"],
    ),
    (
        "memtide",
        &[
            "memtide-analyzer",
            "memtide-census",
            "memtide-collect",
            "memtide-events",
            "memtide-import",
            "memtide-inspect",
            "memtide-launch",
            "memtide-model",
            "memtide-oom",
            "memtide-proc",
            "memtide-record",
            "memtide-report",
            "memtide-sampler",
            "memtide-symbols",
        ],
    ),
];

/// Crates from outside that one room alone may use, because it hides them from the others.
const ONLY_USER: &[(&str, &str)] = &[
    ("rusqlite", "memtide-record"),
    ("clap", "memtide"),
    ("plotters", "memtide-report"),
    ("tiny-skia", "memtide-report"),
    ("statrs", "memtide-analyzer"),
    ("procfs", "memtide-sampler"),
];

/// Words that have no place in crates which only compute: files, clocks, terminals, processes.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::",
    "std::env",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "Zoned::now",
    "Timestamp::now",
    "println!",
    "eprintln!",
];

const LONGEST_FILE: usize = 600;
const LONGEST_FUNCTION: usize = 100;
/// Of twenty functions, nineteen are at most so long: a screen.
const LONG_FUNCTION: usize = 40;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/memtide lies two folders below the workspace")
        .to_path_buf()
}

/// Names of the crates that each of our crates leans on, those for its tests left out.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(root())
        .output()
        .expect("cargo can be run");
    assert!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    metadata["packages"]
        .as_array()
        .expect("packages is a list")
        .iter()
        .map(|package| {
            let needed = package["dependencies"].as_array().expect("a list");
            let needed = needed.iter().filter(|needed| needed["kind"] != "dev");
            (name(package), needed.map(name).collect())
        })
        .collect()
}

/// Every Rust file below `folder`, what cargo built left out.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the tree can be read") {
            let path = entry.expect("its entries too").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    assert!(!files.is_empty(), "no Rust file below {}", folder.display());
    files
}

/// The sources of all our crates; tests and benches, which hold data too, have no limits of size.
fn sources() -> Vec<PathBuf> {
    ARROWS
        .iter()
        .flat_map(|(name, _)| rust_files(&root().join("crates").join(name).join("src")))
        .collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn shown(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root)
        .unwrap_or(path)
        .display()
        .to_string()
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn crates_lean_only_where_the_plan_allows() {
    let dependencies = dependencies();
    let mut wrong = Vec::new();
    for (krate, needed) in &dependencies {
        let allowed = ARROWS.iter().find(|(name, _)| name == krate);
        let Some((_, allowed)) = allowed else {
            wrong.push(format!("{krate} is in no row of ARROWS"));
            continue;
        };
        for other in needed
            .iter()
            .filter(|name| dependencies.contains_key(*name))
        {
            if !allowed.contains(&other.as_str()) {
                wrong.push(format!("{krate} leans on {other}"));
            }
        }
    }
    for (krate, _) in ARROWS {
        if !dependencies.contains_key(*krate) {
            wrong.push(format!("{krate} is in ARROWS and not in the workspace"));
        }
    }
    assert_none("arrows that the plan does not have", &wrong);
}

#[test]
fn what_one_crate_hides_no_other_uses() {
    let mut wrong = Vec::new();
    for (krate, needed) in &dependencies() {
        for (hidden, user) in ONLY_USER {
            if krate != user && needed.iter().any(|name| name == hidden) {
                wrong.push(format!("{krate} uses {hidden}, which only {user} may"));
            }
        }
    }
    assert_none("crates used outside of their room", &wrong);
}

#[test]
fn the_model_leans_on_serde_alone() {
    let dependencies = dependencies();
    assert_eq!(dependencies["memtide-model"], ["serde"]);
}

#[test]
fn crates_that_only_compute_touch_no_file_clock_or_terminal() {
    let mut wrong = Vec::new();
    for krate in ["memtide-model", "memtide-analyzer"] {
        for file in rust_files(&root().join("crates").join(krate).join("src")) {
            if file.ends_with("tests.rs") || file.components().any(|c| c.as_os_str() == "tests") {
                continue;
            }
            let text = read(&file);
            // Tests stand below the code, and may read their data.
            let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
            for (index, line) in code.lines().enumerate() {
                let is_code = !line.trim_start().starts_with("//");
                if is_code && let Some(word) = IMPURE.iter().find(|word| line.contains(*word)) {
                    wrong.push(format!("{}:{}: {word}", shown(&file), index + 1));
                }
            }
        }
    }
    assert_none("a pure crate does what it refuses to do", &wrong);
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent = sources()
        .into_iter()
        .filter(|file| !read(file).starts_with("//! "))
        .map(|file| shown(&file))
        .collect::<Vec<_>>();
    assert_none("files that do not open with //!", &silent);
}

#[test]
fn files_and_functions_keep_their_size() {
    let mut wrong = Vec::new();
    let mut lengths = Vec::new();
    for file in sources() {
        let text = read(&file);
        let lines = text.lines().count();
        if lines > LONGEST_FILE {
            wrong.push(format!("{}: {lines} lines", shown(&file)));
        }
        for function in functions(&text) {
            if function.lines > LONGEST_FUNCTION {
                wrong.push(format!(
                    "{}:{}: {} lines: {}",
                    shown(&file),
                    function.first,
                    function.lines,
                    function.head
                ));
            }
            lengths.push(function.lines);
        }
    }
    assert_none("files over 600 or functions over 100 lines", &wrong);
    lengths.sort_unstable();
    let most = lengths[lengths.len() * 95 / 100];
    assert!(
        most <= LONG_FUNCTION,
        "of twenty functions nineteen are at most {LONG_FUNCTION} lines long; here {most}"
    );
}

struct Function<'a> {
    /// Number of its first line.
    first: usize,
    lines: usize,
    head: &'a str,
}

/// The functions of a file that rustfmt has laid out: one ends with the first closing brace at the
/// indentation that it began with. Text that only looks like a function (in a raw string) may be
/// counted too short, never too long, unless it is never closed; then it is not counted.
fn functions(text: &str) -> Vec<Function<'_>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let head = line.trim_start();
        if !is_function_head(head) {
            continue;
        }
        let indentation = &line[..line.len() - head.len()];
        let one_line = head.ends_with('}') || head.ends_with(';');
        let last = if one_line {
            Some(index)
        } else {
            let at_margin = |line: &&str| {
                let rest = line.strip_prefix(indentation);
                rest.is_some_and(|rest| rest == "}" || rest.starts_with(')') && rest.ends_with(';'))
            };
            (index + 1..lines.len()).find(|&at| at_margin(&lines[at]))
        };
        if let Some(last) = last {
            found.push(Function {
                first: index + 1,
                lines: last - index + 1,
                head,
            });
        }
    }
    found
}

fn is_function_head(head: &str) -> bool {
    let mut rest = head;
    if let Some(after) = rest.strip_prefix("pub") {
        rest = after.strip_prefix('(').map_or(after, |scope| {
            scope.split_once(')').map_or(scope, |(_, after)| after)
        });
        rest = rest.trim_start();
    }
    while let Some(after) = ["const ", "async ", "unsafe ", "extern \"C\" "]
        .iter()
        .find_map(|word| rest.strip_prefix(word))
    {
        rest = after;
    }
    rest.starts_with("fn ")
}

#[test]
fn the_counter_of_lines_counts() {
    let body = "        step();\n".repeat(120);
    let text = format!(
        "fn short() {{}}\n\
         impl X {{\n    pub(crate) const fn long(\n        a: u8,\n    ) -> u8 {{\n{body}    }}\n\
         \n    async fn two(&self) -> &'static str {{\n        \"}}\"\n    }}\n\
         \n    fn declared(\n        &self,\n    ) -> u8;\n}}\n// fn none() {{\nlet fnord = 1;\n"
    );
    let counted: Vec<_> = functions(&text)
        .iter()
        .map(|function| (function.first, function.lines))
        .collect();
    assert_eq!(counted, [(1, 1), (3, 124), (128, 3), (132, 3)]);
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let root = root();
    let mut wrong = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md", "fixtures/corpus/README.md"] {
        let path = root.join(document);
        let folder = path.parent().expect("a file lies in a folder");
        let text = read(&path);
        for target in links(&text) {
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !folder.join(file).exists() {
                wrong.push(format!("{document}: {target}"));
            }
        }
    }
    assert_none("links to what is not in the tree", &wrong);
}

/// The targets of links and images that are not on the network.
fn links(text: &str) -> Vec<&str> {
    let markdown = text.split("](").skip(1).map(|rest| (rest, ')'));
    let html = ["src=\"", "href=\"", "srcset=\""]
        .into_iter()
        .flat_map(|attribute| text.split(attribute).skip(1).map(|rest| (rest, '"')));
    markdown
        .chain(html)
        .filter_map(|(rest, end)| rest.split([end, ' ', '\n']).next())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

#[test]
fn links_are_found() {
    let text = "[a](b.md#c) ![d](e/f.png \"title\") <img src=\"g.png\" width=3> [h](https://i.j/k)";
    assert_eq!(links(text), ["b.md#c", "e/f.png", "g.png"]);
}

#[test]
fn the_map_names_every_crate() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let missing: Vec<String> = ARROWS
        .iter()
        .filter(|(name, _)| {
            !map.contains(&format!("`{name}`")) && !map.contains(&format!("crates/{name}"))
        })
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_none("crates that ARCHITECTURE.md does not name", &missing);
}
