//! Writes every output of every synthetic finding into a directory, to be looked at by eye:
//! `cargo run -p memtide-report --example gallery -- DIRECTORY`.

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use memtide_report::flamegraph::{self, What};
use memtide_report::{comparison, html, json, live, png, terminal};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "gallery".to_owned());
    let directory = Path::new(&directory);
    std::fs::create_dir_all(directory)?;
    comparisons(directory)?;
    for (name, findings) in synthetic::all() {
        let file = |extension: &str| directory.join(name).with_extension(extension);
        let start = Instant::now();
        let picture = png::render(&findings, png::DEFAULT_SCALE)?;
        let painted = start.elapsed();
        let start = Instant::now();
        let page = html::render(&findings)?;
        println!(
            "{name}: png {} kB in {painted:?}, html {} kB in {:?}",
            picture.len() / 1000,
            page.len() / 1000,
            start.elapsed()
        );
        println!("  {}", live::line(&findings, 118));
        std::fs::write(file("png"), picture)?;
        std::fs::write(file("html"), page)?;
        std::fs::write(file("json"), json::render(&findings.report))?;
        let options = terminal::Options {
            width: 100,
            color: false,
            explain: true,
        };
        std::fs::write(file("txt"), terminal::render(&findings, &options))?;
        for width in [40, 80, 200] {
            let options = terminal::Options {
                width,
                color: true,
                explain: false,
            };
            let text = terminal::render(&findings, &options);
            std::fs::write(file(&format!("{width}.txt")), text)?;
        }
        if findings.report.heap.is_some() {
            for width in [40, 60, 100] {
                let options = terminal::Options {
                    width,
                    color: true,
                    explain: false,
                };
                let text = terminal::render_inspect(&findings.report, &options);
                std::fs::write(file(&format!("inspect.{width}.txt")), text)?;
            }
        }
        if findings.report.stacks.is_some() {
            flame_graphs(directory, name, &findings.report)?;
        }
    }
    Ok(())
}

/// Every comparison in every form.
fn comparisons(directory: &Path) -> Result<(), Box<dyn std::error::Error>> {
    for (name, compared) in synthetic::comparison::all() {
        let file = |extension: &str| directory.join(format!("{name}.{extension}"));
        let start = Instant::now();
        let picture = comparison::png(&compared, png::DEFAULT_SCALE)?;
        let painted = start.elapsed();
        let page = comparison::html(&compared)?;
        println!(
            "{name}: png {} kB in {painted:?}, html {} kB",
            picture.len() / 1000,
            page.len() / 1000
        );
        std::fs::write(file("png"), picture)?;
        std::fs::write(file("html"), page)?;
        std::fs::write(file("json"), comparison::json(&compared))?;
        for width in [40, 80, 120] {
            let options = terminal::Options {
                width,
                color: false,
                explain: width == 120,
            };
            let text = comparison::text(&compared, &options);
            std::fs::write(file(&format!("{width}.txt")), text)?;
        }
    }
    Ok(())
}

/// Every flame graph in every form.
fn flame_graphs(
    directory: &Path,
    name: &str,
    report: &memtide_model::Report,
) -> Result<(), Box<dyn std::error::Error>> {
    for what in What::ALL {
        let file = |extension: &str| directory.join(format!("{name}-{}.{extension}", what.name()));
        let start = Instant::now();
        let drawn = flamegraph::svg(report, what, 1200);
        println!(
            "  {}: svg {} kB in {:?}",
            what.name(),
            drawn.len() / 1000,
            start.elapsed()
        );
        std::fs::write(file("svg"), drawn)?;
        std::fs::write(file("flame.png"), flamegraph::png(report, what, 2.0)?)?;
        std::fs::write(file("folded"), flamegraph::folded(report, what))?;
    }
    Ok(())
}
