//! Colour, and the measuring and wrapping of text in terminal columns.
//!
//! Text is measured and wrapped first and painted last, so that escape sequences never count as
//! width. Colour only repeats what the words say.

use crate::sentences;
use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    Plain,
    /// Headings and totals.
    Strong,
    /// What only helps to read the rest.
    Faint,
    /// Growth and warnings.
    Alarm,
    /// What may calm.
    Calm,
}

/// Paints, or does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ink {
    /// Whether escape sequences are written at all.
    pub(crate) color: bool,
}

impl Ink {
    /// `text` in that tone.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().bold(),
            Tone::Faint => Style::new().dimmed(),
            Tone::Alarm => Style::new().fg_color(Some(AnsiColor::Red.into())),
            Tone::Calm => Style::new().fg_color(Some(AnsiColor::Green.into())),
        };
        if !self.color || style.is_plain() || text.is_empty() {
            return text.to_owned();
        }
        format!("{style}{text}{style:#}")
    }
}

/// Columns that `text` takes on a terminal; wide characters take two.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// `text` in lines of at most `width` columns, broken between words; a word that is longer than a
/// line is broken where the line ends, and a number stays with its unit.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(8);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    let glued = sentences::glued(text);
    for word in glued.split(' ').filter(|word| !word.is_empty()) {
        let word = word.replace('\u{a0}', " ");
        let needed = columns(&word);
        if used > 0 && used + 1 + needed > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        for character in word.chars() {
            let cells = character.width().unwrap_or(0);
            if used + cells > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push(character);
            used += cells;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `text` cut to `width` columns, with an ellipsis where something was cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let cells = character.width().unwrap_or(0);
        if used + cells + 1 > width {
            break;
        }
        kept.push(character);
        used += cells;
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapping_never_exceeds_the_width_and_loses_no_character() {
        let text = "a verdict 日本語日本語 of some words and aVeryLongWordWithoutAnyBreakInIt end";
        for width in 8..60 {
            let lines = wrap(text, width);
            assert!(
                lines.iter().all(|line| columns(line) <= width),
                "{width}: {lines:?}"
            );
            let letters = |text: &str| text.replace(' ', "");
            assert_eq!(letters(&lines.concat()), letters(text), "{width}");
        }
    }

    #[test]
    fn a_number_stays_with_its_unit() {
        let lines = wrap("in 3 min 48 s to 4 min 14 s, 90 % sure", 14);
        assert_eq!(lines, ["in 3 min 48 s", "to 4 min 14 s,", "90 % sure"]);
    }

    #[test]
    fn cutting_counts_columns_not_characters() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("abc", 2), "a…");
    }

    #[test]
    fn without_colour_there_is_no_escape_sequence() {
        assert_eq!(Ink { color: false }.paint(Tone::Alarm, "x"), "x");
        let painted = Ink { color: true }.paint(Tone::Alarm, "x");
        assert!(
            painted.starts_with('\u{1b}') && painted.ends_with("\u{1b}[0m"),
            "{painted:?}"
        );
    }
}
