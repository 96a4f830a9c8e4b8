//! Names of processes, groups and files as placeholders, the same for the same name.

use crate::gather::Found;
use std::collections::BTreeMap;

/// Placeholders that were given out, each kind counted from 1.
#[derive(Default)]
struct Given(BTreeMap<(&'static str, String), usize>);

impl Given {
    fn hide(&mut self, kind: &'static str, name: &mut String) {
        let next = self.0.keys().filter(|(other, _)| *other == kind).count() + 1;
        let number = *self.0.entry((kind, std::mem::take(name))).or_insert(next);
        *name = format!("<{kind}-{number}>");
    }
}

impl Found {
    /// Replaces all names; the kernel's own words, which hold them, are left out.
    pub fn redact(&mut self) {
        let mut given = Given::default();
        for kill in &mut self.kills {
            given.hide("process", &mut kill.name);
            for task in &mut kill.tasks {
                given.hide("process", &mut task.name);
            }
            if let Some(request) = &mut kill.request {
                given.hide("process", &mut request.by);
            }
            for group in [&mut kill.group, &mut kill.task_group]
                .into_iter()
                .flatten()
            {
                given.hide("group", group);
            }
            for source in kill.sources.iter_mut().filter(|source| is_file(source)) {
                given.hide("file", source);
            }
            kill.text.clear();
        }
        for source in &mut self.sources {
            if is_file(&source.name) {
                let before = source.name.clone();
                given.hide("file", &mut source.name);
                if let Some(failed) = &mut source.failed {
                    *failed = failed.replace(&before, &source.name);
                }
            }
        }
    }
}

fn is_file(source: &str) -> bool {
    source != "/dev/kmsg" && source != "journal"
}
