//! Colours of boxes, for light and dark screens, and the style sheet made from them.
//!
//! A box of a differential graph is grey where its bytes are as they were, redder the more of them
//! came during the recording, bluer the more went. In the other graphs the colour says whose code
//! it is, with shades by name, so that neighbours can be told apart. Text on every box has a
//! contrast of at least 4.5 (WCAG 2, level AA); a test measures it.

use crate::chart::palette;
use crate::frames::Whose;
use plotters::style::RGBColor;
use std::fmt::Write as _;

/// Text on boxes on a dark screen.
const DARK_INK: RGBColor = RGBColor(0xf4, 0xf6, 0xf8);
/// The paper of a dark screen, as in `assets/page.css`.
const DARK_PAPER: RGBColor = RGBColor(0x14, 0x17, 0x1b);
/// What only helps to read the rest, on a dark screen.
const DARK_MUTED: RGBColor = RGBColor(0xa3, 0xac, 0xb8);

/// What a box is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fill {
    /// Growth in quarters, -4 (nearly all went) to 4 (all of it is new).
    Level(i8),
    /// The program's own code, in one of three shades.
    Program(u8),
    /// A library's, likewise.
    Library(u8),
    /// An allocator's or a runtime's.
    Runtime,
    /// No table names it.
    Unknown,
    /// No frame: sums and what was folded.
    Rest,
}

/// Every fill with its class, its colour on paper and on a dark screen.
const FILLS: [(Fill, &str, u32, u32); 18] = [
    (Fill::Level(-4), "b4", 0x006f_a9e0, 0x0039_6ca6),
    (Fill::Level(-3), "b3", 0x0092_bee8, 0x0033_6398),
    (Fill::Level(-2), "b2", 0x00b4_d2ef, 0x0034_587f),
    (Fill::Level(-1), "b1", 0x00d0_e0f0, 0x0037_4a62),
    (Fill::Level(0), "l0", 0x00e3_e6ea, 0x003a_424d),
    (Fill::Level(1), "r1", 0x00f6_d9d1, 0x005a_3f41),
    (Fill::Level(2), "r2", 0x00f5_bbac, 0x007a_3d38),
    (Fill::Level(3), "r3", 0x00f1_9c87, 0x0096_402f),
    (Fill::Level(4), "r4", 0x00ec_7d63, 0x00af_4832),
    (Fill::Program(0), "p0", 0x00f7_c57b, 0x0086_5714),
    (Fill::Program(1), "p1", 0x00f3_b562, 0x0078_4e11),
    (Fill::Program(2), "p2", 0x00ee_a64b, 0x006a_4510),
    (Fill::Library(0), "q0", 0x00b0_ddcb, 0x001f_6b55),
    (Fill::Library(1), "q1", 0x009c_d2bd, 0x001b_5f4c),
    (Fill::Library(2), "q2", 0x0088_c7ae, 0x0018_5443),
    (Fill::Runtime, "n", 0x00d3_d8de, 0x0046_4f5b),
    (Fill::Unknown, "u", 0x00d6_cde8, 0x0055_496e),
    (Fill::Rest, "e", 0x00ec_eef1, 0x002c_323a),
];

impl Fill {
    /// The colour of a growth: how much of what there was or is it makes up.
    pub(super) fn growth(bytes: u64, growth: Option<i64>) -> Self {
        let Some(growth) = growth else {
            return Self::Rest;
        };
        let end = bytes as f64;
        let start = end - growth as f64;
        let most = end.max(start);
        if most <= 0.0 {
            return Self::Level(0);
        }
        #[expect(clippy::cast_possible_truncation, reason = "-4 to 4 by the clamp")]
        let quarters = (growth as f64 / most * 4.0).round().clamp(-4.0, 4.0) as i8;
        Self::Level(quarters)
    }

    /// The colour of code by whose it is.
    pub(super) fn code(whose: Option<Whose>, label: &str) -> Self {
        match whose {
            None => Self::Rest,
            Some(Whose::Program) => Self::Program(shade(label)),
            Some(Whose::Library) => Self::Library(shade(label)),
            Some(Whose::Runtime) => Self::Runtime,
            Some(Whose::Unknown) => Self::Unknown,
        }
    }

    /// Its class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        self.row().1
    }

    /// Its colour on paper.
    pub(super) fn on_paper(self) -> RGBColor {
        color(self.row().2)
    }

    fn row(self) -> (Self, &'static str, u32, u32) {
        let found = FILLS.iter().find(|(fill, ..)| *fill == self);
        found
            .copied()
            .unwrap_or((Self::Rest, "e", 0x00ec_eef1, 0x002c_323a))
    }
}

/// One of three shades, by FNV-1a of the name.
fn shade(label: &str) -> u8 {
    let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    u8::try_from((hash >> 32) % 3).unwrap_or(0)
}

const fn color(hex: u32) -> RGBColor {
    let [_, red, green, blue] = hex.to_be_bytes();
    RGBColor(red, green, blue)
}

fn hex(RGBColor(red, green, blue): RGBColor) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The style sheet of a flame graph, within the page and in a file of its own.
pub(crate) fn style_sheet() -> String {
    let mut sheet = String::from(
        ".flame text{font:12px ui-monospace,SFMono-Regular,Menlo,\"DejaVu Sans Mono\",Consolas,monospace;\
         pointer-events:none}\n.flame rect{stroke-width:.8}\n.flame g:hover>rect{stroke-width:2}\n",
    );
    let theme = |ink, muted, paper, fills: &dyn Fn(u32, u32) -> u32| {
        let mut rules = format!(
            ".flame text{{fill:{0}}}.flame .muted{{fill:{1}}}.flame .paper{{fill:{2}}}\
             svg.flame:root{{background:{2}}}.flame rect{{stroke:{2}}}.flame g:hover>rect{{stroke:{0}}}",
            hex(ink),
            hex(muted),
            hex(paper)
        );
        for (_, class, light, dark) in FILLS {
            // Writing to a String cannot fail.
            let _ = write!(
                rules,
                ".flame .{class}{{fill:{}}}",
                hex(color(fills(light, dark)))
            );
        }
        rules
    };
    let light = theme(palette::INK, palette::MUTED, palette::PAPER, &|light, _| {
        light
    });
    let dark = theme(DARK_INK, DARK_MUTED, DARK_PAPER, &|_, dark| dark);
    let _ = writeln!(
        sheet,
        "{light}\n@media screen and (prefers-color-scheme:dark){{{dark}}}"
    );
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use palette::contrast;

    #[test]
    fn text_on_every_box_is_readable() {
        for (fill, _, light, dark) in FILLS {
            for (ink, box_color) in [(palette::INK, light), (DARK_INK, dark)] {
                let ratio = contrast(ink, color(box_color));
                assert!(ratio >= 4.5, "{fill:?} {box_color:06x}: {ratio:.2}");
            }
        }
        assert!(contrast(DARK_MUTED, DARK_PAPER) >= 4.5);
    }

    #[test]
    fn classes_are_distinct_and_all_styled() {
        let sheet = style_sheet();
        for (index, (fill, class, ..)) in FILLS.iter().enumerate() {
            assert_eq!(
                sheet.matches(&format!(".flame .{class}{{")).count(),
                2,
                "{fill:?}"
            );
            assert!(FILLS.iter().skip(index + 1).all(|other| other.1 != *class));
            assert_eq!(fill.class(), *class);
        }
    }

    #[test]
    fn redder_the_more_is_new_and_bluer_the_more_went() {
        for (bytes, growth, level) in [
            (100, 100, 4),
            (100, 50, 2),
            (100, 0, 0),
            (100, -100, -2),
            (1, -1000, -4),
            (0, 0, 0),
            (u64::MAX, i64::MIN, -1),
        ] {
            assert_eq!(
                Fill::growth(bytes, Some(growth)),
                Fill::Level(level),
                "{bytes} {growth}"
            );
        }
        assert_eq!(Fill::growth(100, None), Fill::Rest);
    }
}
