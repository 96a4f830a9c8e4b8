//! Debug files by build-id: `.build-id/xx/yyyy.debug` under each debug directory.

use super::{Candidate, Origin, Proof, Sought, Source, below};

pub(super) struct BuildIdDirectory;

impl Source for BuildIdDirectory {
    fn candidates(&self, sought: &Sought<'_>) -> Vec<Candidate> {
        let Some((build_id, name)) = sought.build_id.and_then(|id| Some((id, id.debug_path()?)))
        else {
            return Vec::new();
        };
        let at = |dir: &std::path::Path| Candidate {
            path: below(dir, name.as_ref()),
            origin: Origin::BuildIdDirectory,
            proof: Proof::BuildId(build_id.clone()),
        };
        sought
            .roots
            .iter()
            .flat_map(|root| sought.debug_dirs.iter().map(|dir| below(root, dir)))
            .map(|dir| at(&dir))
            .collect()
    }
}
