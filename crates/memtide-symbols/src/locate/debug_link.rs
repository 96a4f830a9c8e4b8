//! Debug files by `.gnu_debuglink` (binutils, `objcopy --add-gnu-debuglink`): a file name, zero
//! padded to four bytes, and the CRC-32 of the debug file.

use super::{Candidate, Origin, Proof, Sought, Source, below};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub(super) struct DebugLink;

impl Source for DebugLink {
    fn candidates(&self, sought: &Sought<'_>) -> Vec<Candidate> {
        let link = sought.image.and_then(|image| image.debug_link.as_ref());
        let Some((name, crc)) = link.filter(|(name, _)| is_plain(name)) else {
            return Vec::new();
        };
        let name = OsStr::from_bytes(name);
        let (path, _) = sought.module.plain_path();
        let Some(beside) = path.parent().filter(|beside| beside.is_absolute()) else {
            return Vec::new();
        };
        let mut paths = Vec::new();
        for root in sought.roots {
            let dir = below(root, beside);
            paths.extend([dir.join(name), dir.join(".debug").join(name)]);
            for debug_dir in sought.debug_dirs {
                paths.push(below(&below(root, debug_dir), beside).join(name));
            }
        }
        let own = |path: &Path| {
            sought
                .roots
                .iter()
                .any(|root| below(root, sought.module.plain_path().0) == path)
        };
        paths.retain(|path| !own(path));
        let candidate = |path| Candidate {
            path,
            origin: Origin::DebugLink,
            proof: Proof::Crc(*crc),
        };
        paths.into_iter().map(candidate).collect()
    }
}

/// The link is a name, not a path: one that climbs elsewhere is not followed.
fn is_plain(name: &[u8]) -> bool {
    !name.is_empty() && !name.contains(&b'/') && name != b".." && name != b"."
}
