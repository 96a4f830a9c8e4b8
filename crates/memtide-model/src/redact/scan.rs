//! One pass over a text, from left to right: known secrets, and what is a secret by its form.
//!
//! At each place the longest match wins, be it a known secret or a form. What was put in is never
//! looked at again, nor is a placeholder that was there already.

use super::SecretKind;
use super::known::{Known, is_whole_word, placeholder_length};
use super::public;
use core::net::IpAddr;

/// A value is a secret if the key before its `=` contains one of these.
const SECRET_KEYS: &[&str] = &[
    "passw",
    "passphrase",
    "secret",
    "token",
    "credential",
    "apikey",
    "api_key",
    "api-key",
    "auth",
];

/// Text with its secrets replaced.
pub(super) fn redact(known: &mut Known, text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let form = form_at(text, at);
        let length = form.as_ref().map_or(0, |form| form.length);
        if let Some(length) = placeholder_length(rest) {
            shown.push_str(head(rest, length));
            at += length;
        } else if let Some((length, placeholder)) =
            known.longest_at(text, at).filter(|(n, _)| *n >= length)
        {
            shown.push_str(placeholder);
            at += length;
        } else if let Some(form) = form {
            let found = head(rest, form.length);
            shown.push_str(&match form.kind {
                SecretKind::Path => path(known, found),
                kind => known.add_sought(kind, found),
            });
            at += form.length;
        } else {
            at += push_first(&mut shown, rest);
        }
    }
    shown
}

/// Text in which only known secrets are replaced.
pub(super) fn redact_known(known: &Known, text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(length) = placeholder_length(rest) {
            shown.push_str(head(rest, length));
            at += length;
        } else if let Some((length, placeholder)) = known.longest_at(text, at) {
            shown.push_str(placeholder);
            at += length;
        } else {
            at += push_first(&mut shown, rest);
        }
    }
    shown
}

/// A path or the name of a mapping, what is harmless in it kept.
pub(super) fn path(known: &mut Known, name: &str) -> String {
    let parts = public::split(name);
    known.add_user_of(parts.secret);
    let mut shown = redact_known(known, parts.prefix);
    shown.push_str(&known.add_sought(SecretKind::Path, parts.secret));
    shown.push_str(parts.suffix);
    shown
}

/// Copies the first character and returns its length.
fn push_first(shown: &mut String, rest: &str) -> usize {
    let first = rest.chars().next();
    shown.extend(first);
    first.map_or(1, char::len_utf8)
}

fn head(text: &str, length: usize) -> &str {
    text.get(..length).unwrap_or(text)
}

/// Something that is a secret by its form.
struct Form {
    kind: SecretKind,
    length: usize,
}

/// The form that begins at byte `at`.
fn form_at(text: &str, at: usize) -> Option<Form> {
    let rest = text.get(at..)?;
    let before = text.get(..at)?.chars().next_back();
    if let Some(length) = value_length(text, at) {
        return Some(Form {
            kind: SecretKind::Secret,
            length,
        });
    }
    if rest.starts_with('/') {
        let inside = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '/'));
        let length = if inside { None } else { path_length(rest) };
        return length.map(|length| Form {
            kind: SecretKind::Path,
            length,
        });
    }
    if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) {
        return None;
    }
    let url = url_length(rest).map(|length| (SecretKind::Url, length));
    url.or_else(|| address_length(text, at).map(|length| (SecretKind::Address, length)))
        .map(|(kind, length)| Form { kind, length })
}

/// Up to the next blank or quote.
fn token(text: &str) -> &str {
    let end = text.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>'));
    head(text, end.unwrap_or(text.len()))
}

/// `hunter2` of `db_password=hunter2`, where `at` is right after the `=`.
fn value_length(text: &str, at: usize) -> Option<usize> {
    let key = text.get(..at)?.strip_suffix('=')?;
    let start = key
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
        .map_or(0, |index| index + 1);
    let key = key.get(start..)?.to_ascii_lowercase();
    let value = token(text.get(at..)?);
    let value = value.split(['&', ',', ';']).next()?;
    let is_secret = SECRET_KEYS.iter().any(|word| key.contains(word));
    (is_secret && !value.is_empty()).then_some(value.len())
}

fn path_length(rest: &str) -> Option<usize> {
    let found = token(rest);
    let found = found.split([',', ';', ')', '|']).next()?;
    let found = found.trim_end_matches(['.', ':', ']', '}']);
    // A lone slash is a division or the root of all; neither is a secret.
    (found.len() > 1).then_some(found.len())
}

fn url_length(rest: &str) -> Option<usize> {
    let (scheme, after) = rest.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'));
    let body = token(after).trim_end_matches([',', ';', ')', '.']);
    (is_scheme && !body.is_empty()).then_some(scheme.len() + 3 + body.len())
}

/// An IP address; its port, which is useful and no secret, stays.
fn address_length(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    let end = rest
        .find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, ':' | '.')))
        .unwrap_or(rest.len());
    let found = head(rest, end).trim_end_matches('.');
    let version_four = found.split(':').next().unwrap_or(found);
    [found, found.trim_end_matches(':'), version_four]
        .into_iter()
        .find(|candidate| {
            candidate
                .parse::<IpAddr>()
                .is_ok_and(|address| !address.is_loopback() && !address.is_unspecified())
        })
        .map(str::len)
        .filter(|length| is_whole_word(text, at, at + length))
}
