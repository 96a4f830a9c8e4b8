//! Where runs and results go.

use super::names;
use crate::cli::options::{Outputs, Work};
use crate::naming;
use crate::output;
use crate::progress;
use anyhow::Context as _;
use memtide_analyzer::comparison::Inputs;
use memtide_model::SecretKind;
use memtide_model::comparison::Comparison;
use memtide_report::comparison as report;
use memtide_report::terminal;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The folder of the runs, made.
///
/// # Errors
/// Where it is there already, or cannot be made.
pub(super) fn folder(work: &Work) -> anyhow::Result<PathBuf> {
    let path = work
        .folder
        .clone()
        .unwrap_or_else(|| naming::default_folder(&work.program));
    DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .with_context(|| {
            format!(
                "cannot make the folder {}; name another one with -o",
                path.display()
            )
        })?;
    Ok(path)
}

/// Writes all that was asked for, and the text.
pub(super) fn write(comparison: &Comparison, outputs: &Outputs) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    if let Some(path) = &outputs.html {
        output::save(path, report::html(comparison)?.as_bytes())?;
        written.push(path.clone());
    }
    if let Some(path) = &outputs.png {
        output::save(path, &report::png(comparison, output::PNG_SCALE)?)?;
        written.push(path.clone());
    }
    let mut is_on_stdout = false;
    if let Some(path) = &outputs.json {
        output::save(path, report::json(comparison).as_bytes())?;
        is_on_stdout = output::is_stdout(path);
        if !is_on_stdout {
            written.push(path.clone());
        }
    }
    if !outputs.quiet && !is_on_stdout {
        let options = terminal::Options {
            width: progress::width(rustix::stdio::stdout()),
            color: outputs.color,
            explain: false,
        };
        output::print(&report::text(comparison, &options))?;
    }
    Ok(written)
}

/// Takes paths and commands of the user's out of what a comparison is made from, so that no sentence of it
/// can hold them. Arms that were told apart by their paths alone are numbered.
pub(super) fn redact(inputs: &mut Inputs, cautions: &mut [String]) {
    let mut redactor = crate::secrets::redactor();
    redactor.command_line(&mut inputs.command);
    (inputs.load.iter_mut().chain(cautions)).for_each(|text| redactor.text(text));
    let mut names = Vec::new();
    for arm in &mut inputs.arms {
        let library = arm.name.split(':').next().filter(|name| name.contains('/'));
        let is_named_by_file = library.is_some_and(|library| {
            if !library.starts_with('/') {
                redactor.hide(SecretKind::Path, library);
            }
            !arm.allocator.is_empty() && library.ends_with(&arm.allocator)
        });
        redactor.text(&mut arm.name);
        if is_named_by_file {
            // An unknown library goes by the name of its file.
            arm.allocator.clone_from(&arm.name);
        }
        redactor.text(&mut arm.allocator);
        (arm.environment.iter_mut().chain(&mut arm.failed)).for_each(|text| redactor.text(text));
        for trial in &mut arm.trials {
            let file = trial.recording.as_deref().map(Path::new);
            let name = file.and_then(Path::file_name);
            trial.recording = name.map(|name| name.to_string_lossy().into_owned());
            (trial.failed.iter_mut()).for_each(|why| redactor.text(why));
        }
        names.push(std::mem::take(&mut arm.name));
    }
    for (arm, name) in inputs.arms.iter_mut().zip(names::numbered(names)) {
        arm.name = name;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_analyzer::comparison::ArmInput;
    use memtide_model::comparison::Trial;

    #[test]
    fn no_path_of_the_user_is_left() {
        let arm = |name: &str| ArmInput {
            name: name.to_owned(),
            allocator: name
                .split(':')
                .next()
                .and_then(|path| path.rsplit('/').next())
                .unwrap_or_default()
                .to_owned(),
            environment: vec![format!("LD_PRELOAD={name}")],
            trials: vec![Trial {
                recording: Some("/home/alice/shop/runs/001.memtide".to_owned()),
                failed: Some("cannot run /home/alice/shop/server".to_owned()),
                ..Trial::default()
            }],
            ..ArmInput::default()
        };
        let mut inputs = Inputs {
            command: ["/home/alice/shop/server", "--key=hunter22"]
                .map(str::to_owned)
                .to_vec(),
            load: Some("/home/alice/load.sh hunter22".to_owned()),
            arms: vec![
                arm("glibc"),
                arm("/home/alice/libfast.so"),
                arm("./shop/libquick.so:level=2"),
                arm("/usr/lib/one/libmimalloc.so.2"),
                arm("/usr/lib/two/libmimalloc.so.2"),
            ],
            ..Inputs::default()
        };
        let mut cautions = ["server lies in /home/alice/shop".to_owned()];
        redact(&mut inputs, &mut cautions);
        let said = format!("{inputs:?} {cautions:?}");
        for secret in ["alice", "shop", "hunter22", "libfast", "libquick"] {
            assert!(!said.contains(secret), "{secret} is still in {said}");
        }
        let names: Vec<&str> = inputs.arms.iter().map(|arm| arm.name.as_str()).collect();
        let distinct: std::collections::BTreeSet<&&str> = names.iter().collect();
        assert_eq!(distinct.len(), 5, "{names:?}");
        assert_eq!(names[0], "glibc");
        assert!(names[4].starts_with("libmimalloc.so.2"), "{names:?}");
    }
}
