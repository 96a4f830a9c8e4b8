//! Who else may keep the memory of a process: other allocators, by the files that are mapped.
//!
//! Only for the message that says so. What a process uses is found out by the sampler, more thoroughly.

use crate::memory::Mapping;

/// How the files of other allocators' libraries begin, and what they are called.
const ALLOCATORS: [(&[u8], &str); 8] = [
    (b"libjemalloc", "jemalloc"),
    (b"libtcmalloc", "tcmalloc"),
    (b"libmimalloc", "mimalloc"),
    (b"libsnmalloc", "snmalloc"),
    (b"librpmalloc", "rpmalloc"),
    (b"libscudo", "scudo"),
    (b"ld-musl", "musl"),
    (b"libc.musl", "musl"),
];

/// The allocator that is mapped beside, or in place of, the C library's; `None` where there is none.
pub(crate) fn allocator(mappings: &[Mapping]) -> Option<&'static str> {
    mappings.iter().find_map(|mapping| {
        // musl's library is named like any other; the folder tells.
        if mapping.name.ends_with(b"-musl/libc.so") {
            return Some("musl");
        }
        let name = mapping.name.rsplit(|&byte| byte == b'/').next()?;
        let known = ALLOCATORS.iter().find(|(start, _)| name.starts_with(start));
        known.map(|(_, allocator)| *allocator)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocators_are_known_by_their_files() {
        let mapping = |name: &str| Mapping {
            name: name.as_bytes().into(),
            ..Mapping::default()
        };
        let libc = mapping("/usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(allocator(&[libc.clone(), mapping("[heap]")]), None);
        let jemalloc = mapping("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2");
        assert_eq!(allocator(&[libc, jemalloc]), Some("jemalloc"));
        for path in [
            "/lib/ld-musl-x86_64.so.1",
            "/usr/lib/x86_64-linux-musl/libc.so",
        ] {
            assert_eq!(allocator(&[mapping(path)]), Some("musl"), "{path}");
        }
    }
}
