//! The embedded fonts: measuring, outlines, wrapping, and which characters they have.
//!
//! Two weights of Inter, cut down to Latin-1 and a few signs (`assets/fonts/README.md`). plotters'
//! own text painting places glyphs at whole pixels and looks fonts up in a global table; this module
//! gives outlines, so that text is painted like every other shape and nothing is looked up anywhere.
//!
//! Refuses to draw an empty box: a character without a glyph is shown as its code point.

use crate::{Error, escape, sentences};
use ab_glyph::{Font as _, FontRef, Outline};

/// Height of the letter x over the em of Inter (OS/2 `sxHeight` 1,536 of 2,816 units).
const X_HEIGHT: f32 = 0.545;

/// plotters-svg divides its font sizes by this before it writes them, so sizes are given multiplied.
pub(crate) const PLOTTERS_EM: f64 = 1.24;

/// A weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// For running text and labels.
    Regular,
    /// For titles.
    SemiBold,
}

/// Both weights.
pub(crate) struct Fonts {
    regular: FontRef<'static>,
    semi_bold: FontRef<'static>,
}

impl Fonts {
    /// The embedded fonts.
    pub(crate) fn load() -> Result<Self, Error> {
        let read = |bytes| FontRef::try_from_slice(bytes).map_err(|_| Error::Font);
        Ok(Self {
            regular: read(include_bytes!(
                "../../assets/fonts/Inter-Regular.subset.otf"
            ))?,
            semi_bold: read(include_bytes!(
                "../../assets/fonts/Inter-SemiBold.subset.otf"
            ))?,
        })
    }

    fn face(&self, weight: Weight) -> &FontRef<'static> {
        match weight {
            Weight::Regular => &self.regular,
            Weight::SemiBold => &self.semi_bold,
        }
    }

    /// Each character's outline in ems, y upwards, with the place of its origin in ems; spaces have
    /// no outline.
    pub(crate) fn outlines(&self, weight: Weight, text: &str) -> Vec<(f32, Outline, f32)> {
        let face = self.face(weight);
        let em = face.units_per_em().unwrap_or(1000.0);
        let mut origin = 0.0;
        let mut outlines = Vec::new();
        for character in text.chars() {
            let glyph = face.glyph_id(character);
            if let Some(outline) = face.outline(glyph) {
                outlines.push((origin, outline, em));
            }
            origin += face.h_advance_unscaled(glyph) / em;
        }
        outlines
    }

    /// The width of `text` at an em of `size`.
    pub(crate) fn width(&self, weight: Weight, size: f32, text: &str) -> f32 {
        let face = self.face(weight);
        let em = face.units_per_em().unwrap_or(1000.0);
        let advance = |character| face.h_advance_unscaled(face.glyph_id(character));
        text.chars().map(advance).sum::<f32>() / em * size
    }

    /// `text` with every character that the fonts lack as its code point.
    pub(crate) fn drawable(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for character in escape::plain(text).chars() {
            if self.regular.glyph_id(character).0 == 0 {
                escape::push_code_point(&mut shown, character);
            } else {
                shown.push(character);
            }
        }
        shown
    }

    /// `text`, made drawable, in at most `most` lines of `width`; the last ends with an ellipsis
    /// where something is left out. Words longer than a line are broken.
    pub(crate) fn wrap(
        &self,
        weight: Weight,
        size: f32,
        text: &str,
        width: f64,
        most: usize,
    ) -> Vec<String> {
        let text = sentences::glued(&self.drawable(text));
        let mut lines = vec![String::new()];
        let fits = |line: &str| f64::from(self.width(weight, size, line)) <= width;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let line = lines.last().map_or("", String::as_str);
            let joined = if line.is_empty() {
                word.to_owned()
            } else {
                format!("{line} {word}")
            };
            if fits(&joined) {
                lines.pop();
                lines.push(joined);
                continue;
            }
            if !line.is_empty() {
                lines.push(String::new());
            }
            self.break_word(&mut lines, word, &fits);
            if lines.len() > most {
                break;
            }
        }
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                while !last.is_empty() && !fits(&format!("{last}…")) {
                    last.pop();
                }
                last.push('…');
            }
        }
        lines
    }

    #[expect(
        clippy::unused_self,
        reason = "belongs to wrap, whose measure it is given"
    )]
    fn break_word(&self, lines: &mut Vec<String>, word: &str, fits: &impl Fn(&str) -> bool) {
        let mut part = String::new();
        for character in word.chars() {
            part.push(character);
            if !fits(&part) && part.chars().count() > 1 {
                part.pop();
                lines.pop();
                lines.push(std::mem::take(&mut part));
                lines.push(String::new());
                part.push(character);
            }
        }
        lines.pop();
        lines.push(part);
    }
}

/// How far below a text's anchor its baseline lies, in ems, as browsers do it for plotters' SVG.
pub(crate) fn baseline(vertical: plotters_backend::text_anchor::VPos) -> f32 {
    use plotters_backend::text_anchor::VPos;
    match vertical {
        VPos::Top => 0.76,
        VPos::Center => X_HEIGHT / 2.0,
        VPos::Bottom => -X_HEIGHT / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_one_width() {
        let fonts = Fonts::load().unwrap();
        for weight in [Weight::Regular, Weight::SemiBold] {
            let widths: Vec<_> = ('0'..='9')
                .map(|digit| fonts.width(weight, 100.0, &digit.to_string()))
                .collect();
            assert!(
                widths.iter().all(|width| (width - widths[0]).abs() < 0.2),
                "{widths:?}"
            );
            // About 0.65 em; Inter's own SemiBold "4" is a thousandth of an em narrower than the others.
            assert!((55.0..75.0).contains(&widths[0]), "{widths:?}");
        }
    }

    #[test]
    fn every_character_that_we_write_has_an_outline() {
        let fonts = Fonts::load().unwrap();
        for character in ('!'..='~').chain("äßé–—…→≈≤≥∞±×·µ".chars()) {
            let outlines = fonts.outlines(Weight::Regular, &character.to_string());
            assert_eq!(outlines.len(), 1, "{character}");
            assert!(!outlines[0].1.curves.is_empty(), "{character}");
            assert_eq!(
                fonts.drawable(&character.to_string()),
                character.to_string()
            );
        }
    }

    #[test]
    fn what_has_no_glyph_is_shown_as_its_code_point() {
        let fonts = Fonts::load().unwrap();
        assert_eq!(fonts.drawable("日本 grün"), "\\u{65e5}\\u{672c} grün");
        assert_eq!(fonts.drawable("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn wrapped_lines_fit_and_say_where_something_is_missing() {
        let fonts = Fonts::load().unwrap();
        let text =
            "The heap of a process grows by 3.1 MiB/min without an end in sight and ".repeat(4);
        let lines = fonts.wrap(Weight::SemiBold, 22.0, &text, 400.0, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines[2].ends_with('…'), "{lines:?}");
        assert!(
            lines
                .iter()
                .all(|line| fonts.width(Weight::SemiBold, 22.0, line) <= 400.0)
        );
        let long = fonts.wrap(Weight::Regular, 12.0, &"x".repeat(10_000), 300.0, 2);
        assert_eq!(long.len(), 2);
        assert!(
            long.iter()
                .all(|line| fonts.width(Weight::Regular, 12.0, line) <= 300.0)
        );
        assert_eq!(
            fonts.wrap(Weight::Regular, 12.0, "short", 300.0, 2),
            ["short"]
        );
    }
}
