//! The allocators that memtide knows: what their files are called, which package of Debian has them, how
//! their version is told, and how settings reach them.

use std::ffi::OsString;

/// Which allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The C library's own.
    Glibc,
    /// That of gperftools.
    Tcmalloc,
    Jemalloc,
    Mimalloc,
    /// A library of which only the path is known.
    Other,
}

impl Kind {
    /// Those that have a name of their own.
    pub(super) const NAMED: [Self; 4] =
        [Self::Glibc, Self::Tcmalloc, Self::Jemalloc, Self::Mimalloc];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Tcmalloc => "tcmalloc",
            Self::Jemalloc => "jemalloc",
            Self::Mimalloc => "mimalloc",
            Self::Other => "the library",
        }
    }

    /// Names of its library, the one to take first.
    pub(super) fn files(self) -> &'static [&'static str] {
        match self {
            // The whole library has a profiler on top of the same allocator, and needs more libraries.
            Self::Tcmalloc => &[
                "libtcmalloc_minimal.so.4",
                "libtcmalloc.so.4",
                "libtcmalloc_minimal.so",
                "libtcmalloc.so",
            ],
            Self::Jemalloc => &["libjemalloc.so.2", "libjemalloc.so.1", "libjemalloc.so"],
            Self::Mimalloc => &["libmimalloc.so.3", "libmimalloc.so.2", "libmimalloc.so"],
            Self::Glibc | Self::Other => &[],
        }
    }

    /// The Debian package that has it.
    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Glibc | Self::Other => "libc6",
            Self::Tcmalloc => "libgoogle-perftools4",
            Self::Jemalloc => "libjemalloc2",
            Self::Mimalloc => "libmimalloc2.0 (libmimalloc3 from Debian 13 on)",
        }
    }

    /// By the base name of a file; `None` for what is not known to be an allocator.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        const STARTS: [(&str, Kind); 4] = [
            ("libc.so.6", Kind::Glibc),
            ("libtcmalloc", Kind::Tcmalloc),
            ("libjemalloc", Kind::Jemalloc),
            ("libmimalloc", Kind::Mimalloc),
        ];
        let found = STARTS.iter().find(|(start, _)| name.starts_with(start));
        found.map(|(_, kind)| *kind)
    }

    /// What the settings become: variables of the environment.
    pub(super) fn variables(self, settings: &[(String, String)]) -> Vec<(OsString, OsString)> {
        let joined = |name: &str, prefix: &str, equals: &str, between: &str| {
            let all: Vec<String> = settings
                .iter()
                .map(|(name, value)| format!("{prefix}{name}{equals}{value}"))
                .collect();
            vec![(name.into(), all.join(between).into())]
        };
        let each = |prefix: &str| {
            let all = settings.iter();
            let pair = |(name, value): &(String, String)| {
                let name = if prefix.is_empty() {
                    name.clone()
                } else {
                    name.to_ascii_uppercase()
                };
                (format!("{prefix}{name}").into(), value.into())
            };
            all.map(pair).collect()
        };
        match self {
            _ if settings.is_empty() => Vec::new(),
            Self::Glibc => joined(super::TUNABLES, super::TUNABLE, "=", ":"),
            Self::Jemalloc => joined("MALLOC_CONF", "", ":", ","),
            Self::Tcmalloc => each("TCMALLOC_"),
            Self::Mimalloc => each("MIMALLOC_"),
            Self::Other => each(""),
        }
    }

    /// How the library that reads a setting has its name in its bytes, where that can be told. jemalloc
    /// says itself what it does not know.
    pub(super) fn sign_of_setting(self, name: &str) -> Option<String> {
        match self {
            Self::Glibc => Some(format!("{}{name}\0", super::TUNABLE)),
            Self::Tcmalloc => Some(format!("TCMALLOC_{}\0", name.to_ascii_uppercase())),
            Self::Mimalloc => Some(format!("{name}\0")),
            Self::Jemalloc | Self::Other => None,
        }
    }

    /// Version, from what every build of the library carries in its file; `None` where it does not.
    pub(super) fn version(self, content: &[u8]) -> Option<String> {
        match self {
            Self::Glibc => after(content, b"stable release version "),
            Self::Tcmalloc => after(content, b"gperftools "),
            Self::Jemalloc => before_commit(content),
            // Only in what it prints when it is asked to be verbose, as a number that is put together.
            Self::Mimalloc | Self::Other => None,
        }
    }
}

/// The number that follows the first of these that a number follows.
fn after(content: &[u8], sign: &[u8]) -> Option<String> {
    memchr::memmem::find_iter(content, sign).find_map(|at| {
        let rest = content.get(at + sign.len()..)?;
        let is_number = |byte: &&u8| byte.is_ascii_digit() || **byte == b'.';
        let number: Vec<u8> = rest
            .iter()
            .take_while(is_number)
            .copied()
            .take(16)
            .collect();
        let number = String::from_utf8(number).ok()?;
        let number = number.trim_end_matches('.');
        number.contains('.').then(|| number.to_owned())
    })
}

/// `5.3.0` of `5.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c` (`JEMALLOC_VERSION`).
fn before_commit(content: &[u8]) -> Option<String> {
    const COMMIT: usize = 40;
    memchr::memmem::find_iter(content, b"-g").find_map(|at| {
        let commit = content.get(at + 2..at + 2 + COMMIT)?;
        let start = content.get(at.saturating_sub(24)..at)?;
        let start = start.rsplit(|byte| *byte == 0).next()?;
        let (version, count) = std::str::from_utf8(start).ok()?.rsplit_once('-')?;
        let is_version = |c: char| c.is_ascii_digit() || c == '.';
        let is_whole = commit.iter().all(u8::is_ascii_hexdigit)
            && count.parse::<u32>().is_ok()
            && version.split('.').count() == 3
            && version.chars().all(is_version);
        is_whole.then(|| version.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_become_variables() {
        let of = |kind: Kind, settings: &[(&str, &str)]| {
            let settings: Vec<_> = settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            let variables = kind.variables(&settings).into_iter();
            let line = |(name, value): (OsString, OsString)| {
                format!("{}={}", name.to_string_lossy(), value.to_string_lossy())
            };
            variables.map(line).collect::<Vec<_>>()
        };
        assert_eq!(of(Kind::Glibc, &[]), Vec::<String>::new());
        assert_eq!(
            of(Kind::Glibc, &[("arena_max", "2"), ("top_pad", "0")]),
            ["GLIBC_TUNABLES=glibc.malloc.arena_max=2:glibc.malloc.top_pad=0"]
        );
        assert_eq!(
            of(
                Kind::Jemalloc,
                &[("dirty_decay_ms", "0"), ("tcache", "false")]
            ),
            ["MALLOC_CONF=dirty_decay_ms:0,tcache:false"]
        );
        assert_eq!(
            of(
                Kind::Tcmalloc,
                &[("release_rate", "10"), ("skip_sbrk", "1")]
            ),
            ["TCMALLOC_RELEASE_RATE=10", "TCMALLOC_SKIP_SBRK=1"]
        );
        assert_eq!(
            of(Kind::Mimalloc, &[("purge_delay", "0")]),
            ["MIMALLOC_PURGE_DELAY=0"]
        );
        assert_eq!(of(Kind::Other, &[("SnMalloc", "x")]), ["SnMalloc=x"]);
    }

    #[test]
    fn versions_are_read_from_bytes() {
        let jemalloc = b"x-g1\0\x005.3.0-0-g54eaed1d8b56b1aa528be3bdd1877e59c56fa90c\0";
        assert_eq!(Kind::Jemalloc.version(jemalloc).as_deref(), Some("5.3.0"));
        assert_eq!(Kind::Jemalloc.version(&jemalloc[..30]), None);
        let glibc = b"GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n";
        assert_eq!(Kind::Glibc.version(glibc).as_deref(), Some("2.36"));
        let tcmalloc = b"gperftools \0gperftools 2.10\0";
        assert_eq!(Kind::Tcmalloc.version(tcmalloc).as_deref(), Some("2.10"));
        for kind in Kind::NAMED {
            assert_eq!(kind.version(b""), None, "{kind:?}");
        }
    }
}
