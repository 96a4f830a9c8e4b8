//! The secrets met so far, their placeholders, and where each of them is looked for.
//!
//! Looking for all of them at one place of a text costs one hash look-up per length that occurs among
//! them, not one comparison per secret.

use super::SecretKind;
use super::public;
use core::net::IpAddr;
use std::collections::{BTreeSet, HashMap};

/// How many secrets are remembered one by one.
pub(super) const MOST_SECRETS: usize = 65_536;

/// The kernel cuts a thread's name after so many bytes (`TASK_COMM_LEN` less the final zero).
const LONGEST_COMM: usize = 15;

/// What separates the parts of an argument that are secrets of their own.
const SEPARATORS: &[char] = &[
    '=', ':', ',', ';', '@', '?', '&', '#', '"', '\'', '(', ')', '[', ']', '{', '}', '|',
];

/// Where a secret is looked for in free text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sought {
    /// Nowhere: it is replaced only where it is known to be one.
    Never,
    /// As a whole word.
    Words,
    /// Inside of words too.
    Anywhere,
}

impl Sought {
    /// Words and numbers mean something in sentences; only what looks like neither is replaced
    /// inside of other words.
    fn of(secret: &str) -> Self {
        let letters = secret.chars().all(char::is_alphabetic);
        let digits = secret.bytes().all(|byte| byte.is_ascii_digit());
        match secret.chars().count() {
            0..=2 => Self::Never,
            3 if digits => Self::Never,
            length if length < 6 || letters || digits => Self::Words,
            _ => Self::Anywhere,
        }
    }
}

struct Entry {
    placeholder: String,
    sought: Sought,
}

/// Secrets and their placeholders.
#[derive(Default)]
pub(super) struct Known {
    entries: HashMap<Box<str>, Entry>,
    /// Lengths in bytes of the secrets that are looked for.
    lengths: BTreeSet<usize>,
    /// Placeholders given out, by kind.
    given: HashMap<SecretKind, u32>,
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The placeholder of a secret that is not looked for elsewhere.
    pub(super) fn add_hidden(&mut self, kind: SecretKind, secret: &str) -> String {
        self.add(kind, secret, Sought::Never)
    }

    /// The placeholder of a secret that is looked for in free text from now on.
    pub(super) fn add_sought(&mut self, kind: SecretKind, secret: &str) -> String {
        self.add(kind, secret, Sought::of(secret))
    }

    /// The placeholder of a whole argument.
    pub(super) fn add_argument(&mut self, argument: &str) -> String {
        let is_path = argument.starts_with('/') && !argument.contains(SEPARATORS);
        let kind = if is_path {
            SecretKind::Path
        } else {
            kind_of(argument, SecretKind::Arg)
        };
        self.add_sought(kind, argument)
    }

    /// The parts of an argument: `hunter2` of `--password=hunter2` and of `-phunter2`, each piece of
    /// a URL, each path of a list. The names of options are none.
    pub(super) fn add_parts(&mut self, argument: &str) {
        let mut value = argument;
        if let Some((_, after)) = argument.split_once('=') {
            value = after;
            self.add_sought(kind_of(after, SecretKind::Arg), after);
        } else if argument.starts_with("--") {
            return;
        }
        if let Some(option) = argument.strip_prefix('-').filter(|o| !o.starts_with('-')) {
            let mut letters = option.chars();
            letters.next();
            self.add_sought(SecretKind::Arg, letters.as_str());
            if !argument.contains('=') {
                value = letters.as_str();
            }
        }
        for part in value.split("://").flat_map(|part| part.split(SEPARATORS)) {
            for word in part.split_whitespace() {
                self.add_word(word);
            }
        }
    }

    fn add_word(&mut self, word: &str) {
        if word.starts_with('/') {
            self.add_sought(SecretKind::Path, word);
            self.add_user_of(word);
            if let Some(file) = word.rsplit('/').find(|file| !file.is_empty()) {
                self.add_sought(SecretKind::Path, file);
            }
            return;
        }
        for piece in word.split('/').filter(|p| !public::is_common_word(p)) {
            self.add_sought(kind_of(piece, SecretKind::Arg), piece);
        }
    }

    /// The user whose home a path lies in.
    pub(super) fn add_user_of(&mut self, path: &str) {
        let user = path
            .split_once("/home/")
            .and_then(|(_, rest)| rest.split('/').next());
        if let Some(user) = user.filter(|user| !user.is_empty()) {
            self.add_sought(SecretKind::User, user);
        }
    }

    fn add(&mut self, kind: SecretKind, secret: &str, sought: Sought) -> String {
        if secret.is_empty() || placeholder_length(secret) == Some(secret.len()) {
            return secret.to_owned();
        }
        if let Some(entry) = self.entries.get_mut(secret) {
            if sought > entry.sought {
                entry.sought = sought;
                self.lengths.insert(secret.len());
            }
            return entry.placeholder.clone();
        }
        if self.entries.len() >= MOST_SECRETS {
            return format!("<{}-other>", kind.name());
        }
        let number = self.given.entry(kind).or_insert(0);
        *number += 1;
        let placeholder = format!("<{}-{number}>", kind.name());
        if sought != Sought::Never {
            self.lengths.insert(secret.len());
        }
        let shown = placeholder.clone();
        let entry = Entry {
            placeholder,
            sought,
        };
        self.entries.insert(secret.into(), entry);
        shown
    }

    /// The longest secret that begins at byte `at` of `text`: its length and its placeholder.
    pub(super) fn longest_at(&self, text: &str, at: usize) -> Option<(usize, &str)> {
        let rest = text.get(at..)?;
        self.lengths
            .iter()
            .rev()
            .skip_while(|length| **length > rest.len())
            .find_map(|&length| {
                let entry = self.entries.get(rest.get(..length)?)?;
                let found = match entry.sought {
                    Sought::Never => false,
                    Sought::Anywhere => true,
                    Sought::Words => is_whole_word(text, at, at + length),
                };
                found.then_some((length, entry.placeholder.as_str()))
            })
    }

    /// The placeholder of a secret of which `name` is what the kernel left of it.
    pub(super) fn truncated(&self, name: &str) -> Option<&str> {
        if name.len() < LONGEST_COMM {
            return None;
        }
        // The shortest, then the first in order: the answer must not hang on the table's order.
        self.entries
            .iter()
            .filter(|(_, entry)| entry.sought != Sought::Never)
            .filter(|(secret, _)| secret.starts_with(name))
            .min_by_key(|(secret, _)| (secret.len(), *secret))
            .map(|(_, entry)| entry.placeholder.as_str())
    }
}

fn kind_of(text: &str, otherwise: SecretKind) -> SecretKind {
    if text.parse::<IpAddr>().is_ok() {
        SecretKind::Address
    } else if text.contains("://") {
        SecretKind::Url
    } else {
        otherwise
    }
}

/// True where neither end lies inside a word.
pub(super) fn is_whole_word(text: &str, start: usize, end: usize) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let before = text
        .get(..start)
        .and_then(|head| head.chars().next_back())
        .is_some_and(is_word);
    let after = text
        .get(end..)
        .and_then(|tail| tail.chars().next())
        .is_some_and(is_word);
    !before && !after
}

/// The length of the placeholder that `text` begins with.
pub(super) fn placeholder_length(text: &str) -> Option<usize> {
    let (inside, _) = text.strip_prefix('<')?.split_once('>')?;
    let (kind, number) = inside.split_once('-')?;
    let is_kind = SecretKind::ALL.iter().any(|known| known.name() == kind);
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_kind && (is_number || number == "other")).then_some(inside.len() + 2)
}
