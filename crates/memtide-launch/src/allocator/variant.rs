//! A variant as it is written: `glibc:arena_max=2,top_pad=0`, and lists of such.
//!
//! ```text
//! list    = variant ("," variant)*
//! variant = allocator [":" setting ("," setting)*]        setting = NAME "=" VALUE
//! ```
//!
//! Commas do both: a word whose first `=` stands before any `:` and `/` is a setting of the variant before it.

use super::kind::Kind;
use super::settings;
use crate::error::{Error, ErrorKind};
use std::collections::HashMap;
use std::path::PathBuf;

/// An allocator with its settings, as it was given: `glibc:arena_max=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    name: String,
    pub(super) kind: Kind,
    /// The library, where it was given by its path.
    pub(super) path: Option<PathBuf>,
    /// Names and values as the allocator wants them.
    pub(super) settings: Vec<(String, String)>,
}

impl Variant {
    /// Reads one variant: `NAME`, `NAME:SETTING=VALUE,…`, `/path/lib.so`, or `/path/lib.so:SETTING=VALUE,…`.
    /// A library whose name tells which allocator it is has the settings of that one; settings of any
    /// other are variables of the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Allocator`] for an allocator, a setting or a value that there is not, with those that
    /// there are.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let (allocator, given) = split(text);
        let (kind, path) = allocator_of(allocator)?;
        let refuse = |why: String| Error::new(ErrorKind::Allocator, format!("{text}: {why}"));
        let mut settings: Vec<(String, String)> = Vec::new();
        for setting in given.into_iter().flat_map(|given| given.split(',')) {
            let pair = setting.split_once('=');
            let (name, value) =
                pair.ok_or_else(|| refuse(format!("{setting:?} is no setting; write NAME=VALUE")))?;
            let name = name.trim();
            if settings.iter().any(|(before, _)| before == name) {
                return Err(refuse(format!("{name} is set twice")));
            }
            let value = settings::check(kind, name, value).map_err(refuse)?;
            settings.push((name.to_owned(), value));
        }
        Ok(Self {
            name: text.to_owned(),
            kind,
            path,
            settings,
        })
    }

    /// Reads a list. Commas separate variants and settings: a word whose first `=` stands before any `:`
    /// is a setting of the variant before it. The second of two variants that are alike is called
    /// `NAME#2`, and so on.
    ///
    /// # Errors
    /// As [`Self::parse`], and for an empty list.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, Error> {
        let mut texts: Vec<String> = Vec::new();
        for word in text.split(',') {
            match texts.last_mut() {
                Some(before) if is_setting(word) => {
                    // The first setting may have been cut off from its allocator: "glibc,arena_max=2".
                    let between = if split(before).1.is_some() { ',' } else { ':' };
                    before.push(between);
                    before.push_str(word);
                }
                _ => texts.push(word.to_owned()),
            }
        }
        let mut variants: Vec<Self> = texts
            .iter()
            .map(|text| Self::parse(text))
            .collect::<Result<_, _>>()?;
        let mut seen: HashMap<String, u32> = HashMap::new();
        for variant in &mut variants {
            let count = seen.entry(variant.name.clone()).or_default();
            *count += 1;
            if *count > 1 {
                variant.name = format!("{}#{count}", variant.name);
            }
        }
        Ok(variants)
    }

    /// Its name as it was given, with `#2` and so on where it was given before.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn is_setting(word: &str) -> bool {
    word.find(['=', ':', '/'])
        .is_some_and(|at| word[at..].starts_with('='))
}

/// The allocator and its settings, which come after the last colon that a setting follows.
fn split(text: &str) -> (&str, Option<&str>) {
    let colon = if text.contains('/') {
        let mut colons = text.match_indices(':').map(|(at, _)| at);
        colons.find(|at| is_setting(&text[at + 1..]))
    } else {
        text.find(':')
    };
    colon.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])))
}

fn allocator_of(text: &str) -> Result<(Kind, Option<PathBuf>), Error> {
    if text.contains('/') {
        let path = PathBuf::from(text);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kind = Kind::of_file(&name).unwrap_or(Kind::Other);
        return Ok((kind, Some(path)));
    }
    let named = Kind::NAMED.into_iter().find(|kind| kind.name() == text);
    named.map(|kind| (kind, None)).ok_or_else(|| {
        let all = Kind::NAMED.map(Kind::name).join(", ");
        let text = format!(
            "there is no allocator {text:?}; take any of {all}, or the path of a library, as \
             /usr/lib/libother.so"
        );
        Error::new(ErrorKind::Allocator, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(text: &str) -> Vec<String> {
        let variants = Variant::parse_list(text).unwrap();
        variants
            .iter()
            .map(|variant| variant.name().to_owned())
            .collect()
    }

    #[test]
    fn commas_separate_variants_and_settings() {
        assert_eq!(listed("glibc"), ["glibc"]);
        assert_eq!(
            listed(
                "glibc,glibc:arena_max=2,top_pad=0,jemalloc:dirty_decay_ms=1000,background_thread=true,tcmalloc"
            ),
            [
                "glibc",
                "glibc:arena_max=2,top_pad=0",
                "jemalloc:dirty_decay_ms=1000,background_thread=true",
                "tcmalloc"
            ]
        );
        assert_eq!(
            listed("jemalloc:bin_shards=1-160:16|129-512:4,narenas=4, mimalloc"),
            [
                "jemalloc:bin_shards=1-160:16|129-512:4,narenas=4",
                "mimalloc"
            ]
        );
        assert_eq!(listed("glibc,arena_max=2"), ["glibc:arena_max=2"]);
        assert_eq!(
            listed("/a=b/x.so,/c:d/y.so:A=1"),
            ["/a=b/x.so", "/c:d/y.so:A=1"]
        );
    }

    #[test]
    fn the_same_again_gets_a_number() {
        let expected = [
            "glibc",
            "glibc:arena_max=2",
            "glibc#2",
            "glibc#3",
            "glibc:arena_max=2#2",
        ];
        let text = "glibc,glibc:arena_max=2,glibc,glibc,glibc:arena_max=2";
        assert_eq!(listed(text), expected);
    }

    #[test]
    fn a_path_that_tells_its_allocator_has_its_settings() {
        let jemalloc = Variant::parse("/opt/lib/libjemalloc.so.2:dirty_decay_ms=0").unwrap();
        assert_eq!(jemalloc.kind, Kind::Jemalloc);
        assert_eq!(jemalloc.path, Some("/opt/lib/libjemalloc.so.2".into()));
        assert_eq!(
            jemalloc.settings,
            [("dirty_decay_ms".to_owned(), "0".to_owned())]
        );
        let other = Variant::parse("./libx.so:X_LEVEL=3").unwrap();
        assert_eq!(
            (other.kind, other.path),
            (Kind::Other, Some("./libx.so".into()))
        );
        assert_eq!(other.settings, [("X_LEVEL".to_owned(), "3".to_owned())]);
    }

    #[test]
    fn what_there_is_not_is_answered_with_what_there_is() {
        let cases = [
            ("ptmalloc", "glibc, tcmalloc, jemalloc, mimalloc"),
            ("", "glibc, tcmalloc, jemalloc, mimalloc"),
            ("glibc,,jemalloc", "no allocator \"\""),
            ("arena_max=2", "no allocator"),
            ("glibc:arenas=2", "arena_max, arena_test"),
            ("glibc:arena_max", "write NAME=VALUE"),
            ("glibc:", "write NAME=VALUE"),
            ("glibc:arena_max=2,arena_max=3", "arena_max is set twice"),
            (
                "tcmalloc:release_rate=fast",
                "tcmalloc:release_rate=fast: release_rate=fast: it takes",
            ),
            ("mimalloc:colour=red", "purge_delay"),
            ("jemalloc:decay=1", "dirty_decay_ms"),
        ];
        for (text, says) in cases {
            let error = Variant::parse_list(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Allocator, "{text}");
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
