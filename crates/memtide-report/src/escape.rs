//! The one place that makes foreign text harmless.
//!
//! Names of processes, threads and files, command lines and cgroup paths are chosen by whoever runs
//! the target. [`plain`] takes from them the power to move a cursor, to reorder or to hide text; it
//! stands before every output. [`html`] also takes their power as markup and [`json_in_html`] that of
//! ending a script element. [`clip`] bounds their length.
//!
//! Refuses to guess: what is replaced is shown as its code point, not left out.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The longest foreign name that is shown in full, in characters.
pub const NAME_LIMIT: usize = 160;

/// `text` with control characters, reordering marks and invisible characters as `\u{…}`.
/// Backslashes stay: the recording has already escaped bytes that are not UTF-8 as `\xNN`.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_deceptive(character) {
            push_code_point(&mut safe, character);
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// [`plain`], and no longer than `limit` characters: of a longer text both ends stay, and between
/// them stands how much was left out.
pub fn clip(text: &str, limit: usize) -> String {
    let text = plain(text);
    let count = text.chars().count();
    if count <= limit {
        return text.into_owned();
    }
    let kept = limit.saturating_sub(30).max(8);
    let head: String = text.chars().take(kept.div_ceil(2)).collect();
    let tail: String = text.chars().skip(count - kept / 2).collect();
    format!("{head} … {} characters … {tail}", count - kept)
}

/// [`clip`] to [`NAME_LIMIT`].
pub fn name(text: &str) -> String {
    clip(text, NAME_LIMIT)
}

/// [`plain`] as HTML text or as the value of a quoted attribute.
pub fn html(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for character in plain(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// JSON that may stand within `<script type="application/json">`: still the same JSON. `<`, `>` and
/// `&` occur in JSON within strings only, where `\u003c` means the same and cannot end the element;
/// the two line separators are for readers that take JSON for JavaScript.
pub fn json_in_html(json: &str) -> String {
    let mut safe = String::with_capacity(json.len() + 64);
    for character in json.chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{:04x}", u32::from(character));
            }
            other => safe.push(other),
        }
    }
    safe
}

/// Appends a character as the code point that it is: `\u{202e}`.
pub(crate) fn push_code_point(text: &mut String, character: char) {
    // Writing to a String cannot fail.
    let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
}

/// Characters that act instead of being seen: controls, bidirectional marks, zero-width and other
/// invisible ones, line separators, tags and private use.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}' | '\u{fffe}'..='\u{ffff}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_as_its_code_point() {
        assert_eq!(plain("redis-server"), "redis-server");
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a\\u{1b}[2Jb\\u{a}c");
        assert_eq!(
            plain("cod\u{202e}exe.txt\u{200b}"),
            "cod\\u{202e}exe.txt\\u{200b}"
        );
        assert_eq!(plain("日本 grün \\xff"), "日本 grün \\xff");
        // XML 1.0 has no place for these two.
        assert_eq!(
            plain("\u{fffd}\u{fffe}\u{ffff}"),
            "\u{fffd}\\u{fffe}\\u{ffff}"
        );
    }

    #[test]
    fn long_names_keep_both_ends_and_say_what_is_missing() {
        let long = format!("head{}tail", "x".repeat(10_000));
        let clipped = clip(&long, 60);
        assert!(clipped.chars().count() <= 60, "{clipped}");
        assert!(clipped.starts_with("headxx") && clipped.ends_with("xxtail"));
        assert!(clipped.contains("9978 characters"), "{clipped}");
        assert_eq!(clip("short", 60), "short");
    }

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            html("</script><img src=x onerror='alert(1)'>&\""),
            "&lt;/script&gt;&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;"
        );
    }

    #[test]
    fn json_stays_the_same_json_and_cannot_end_its_element() {
        let value = serde_json::json!({"name": "</script><!-- \u{2028} & <![CDATA["});
        let safe = json_in_html(&value.to_string());
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']));
        let back: serde_json::Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(back, value);
    }
}
