//! The mapped file itself: by the kernel's own links first, then by its path.

use super::{Candidate, Origin, Proof, below};
use crate::module::Module;
use memtide_model::Pid;
use std::path::{Path, PathBuf};

pub(super) fn candidates(module: &Module, process: Option<Pid>) -> Vec<Candidate> {
    let (path, deleted) = module.plain_path();
    let mut candidates = Vec::new();
    if let Some(pid) = process {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        candidates.extend(
            kernel_links(&proc, module)
                .into_iter()
                .map(|path| Candidate {
                    path,
                    origin: Origin::MappedFile,
                    proof: Proof::SameFile,
                }),
        );
        candidates.extend(by_path(&proc.join("root"), path, Origin::ProcessRoot));
    }
    candidates.extend(by_path(Path::new("/"), path, Origin::Path));
    if deleted && module.build_id.is_none() {
        // What lies at the path now is another file, and nothing could show that it is the same.
        candidates.retain(|candidate| candidate.origin == Origin::MappedFile);
    }
    candidates
}

/// Links that lead to the mapped inode. `map_files` needs `CAP_CHECKPOINT_RESTORE`; `exe` does not.
fn kernel_links(proc: &Path, module: &Module) -> Vec<PathBuf> {
    let map_files = proc.join("map_files");
    // The link's text tells that the range has not been unmapped and used for another file.
    let is_module = |link: &PathBuf| std::fs::read_link(link).is_ok_and(|to| to == module.path);
    module
        .segments
        .iter()
        .map(|segment| map_files.join(format!("{:x}-{:x}", segment.start, segment.end)))
        .chain([proc.join("exe")])
        .filter(is_module)
        .collect()
}

/// A relative path would be one of this process's own directory, not of the target's.
fn by_path(root: &Path, path: &Path, origin: Origin) -> Option<Candidate> {
    path.is_absolute().then(|| Candidate {
        path: below(root, path),
        origin,
        proof: Proof::PathOnly,
    })
}
