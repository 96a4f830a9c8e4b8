//! Colours: Okabe and Ito's, which the colour-blind can tell apart, in an order in which neighbours of
//! the stack also differ in lightness, for print and for grey screens.
//!
//! The page maps the five neutral ones to the reader's light or dark theme (`assets/page.css`).

use crate::heap::Part;
use memtide_model::Account;
use plotters::style::RGBColor;

/// Text and the RSS line.
pub(crate) const INK: RGBColor = RGBColor(0x1b, 0x1f, 0x24);
/// Labels of the axes.
pub(crate) const MUTED: RGBColor = RGBColor(0x5b, 0x64, 0x70);
/// Grid.
pub(crate) const GRID: RGBColor = RGBColor(0xdf, 0xe3, 0xe8);
/// Background, and the thin gaps between the bands.
pub(crate) const PAPER: RGBColor = RGBColor(0xff, 0xff, 0xff);
/// Memory that was there at the start.
pub(crate) const BASE: RGBColor = RGBColor(0xd3, 0xd8, 0xde);
/// Trend, forecast and limit.
pub(crate) const ACCENT: RGBColor = RGBColor(0xb3, 0x12, 0x3f);

/// The colour of an account within RSS.
pub(crate) const fn account(account: Account) -> RGBColor {
    match account {
        Account::HeapLive => RGBColor(0xd5, 0x5e, 0x00),
        Account::HeapRetained | Account::Heap => RGBColor(0xe6, 0x9f, 0x00),
        Account::Anon => RGBColor(0x00, 0x72, 0xb2),
        Account::Stacks => RGBColor(0x7c, 0xc4, 0xee),
        Account::File => RGBColor(0x00, 0x9e, 0x73),
        Account::Shared => RGBColor(0xf0, 0xe4, 0x42),
        Account::Shim => RGBColor(0x4d, 0x53, 0x5c),
        _ => RGBColor(0x8a, 0x8f, 0x98),
    }
}

/// The colour of a part of the heap; live blocks have that of their account.
pub(crate) const fn heap(part: Part) -> RGBColor {
    match part {
        Part::Live => account(Account::HeapLive),
        Part::Cached => RGBColor(0x7c, 0xc4, 0xee),
        Part::Trimmable => RGBColor(0x00, 0x9e, 0x73),
        Part::Stuck => account(Account::HeapRetained),
        Part::Top => RGBColor(0x00, 0x72, 0xb2),
        Part::Overhead => RGBColor(0x8a, 0x8f, 0x98),
    }
}

/// The colours of the arms of a comparison. The baseline, which comes first, is a neutral one; the page
/// makes the last one lighter on a dark screen.
const ARMS: [RGBColor; 8] = [
    INK,
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x88, 0x22, 0x55),
];

/// The colour of an arm of a comparison, 0 being the baseline. After eight they come again.
pub(crate) const fn arm(index: usize) -> RGBColor {
    ARMS[index % ARMS.len()]
}

/// True for arms whose colour another one has, too: their lines are dashed.
pub(crate) const fn arm_repeats(index: usize) -> bool {
    index >= ARMS.len()
}

/// Relative luminance (WCAG 2).
#[cfg(test)]
fn luminance(color: RGBColor) -> f64 {
    0.2126 * linear(color.0) + 0.7152 * linear(color.1) + 0.0722 * linear(color.2)
}

/// A channel of sRGB as an amount of light, 0 to 1.
#[cfg(test)]
fn linear(value: u8) -> f64 {
    let value = f64::from(value) / 255.0;
    if value <= 0.03928 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

/// Contrast of two colours (WCAG 2), 1 to 21.
#[cfg(test)]
pub(crate) fn contrast(a: RGBColor, b: RGBColor) -> f64 {
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    (a / b).max(b / a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_in_the_stack_differ_in_lightness() {
        let split = [
            Account::HeapLive,
            Account::HeapRetained,
            Account::Anon,
            Account::Stacks,
        ];
        let whole = [Account::Heap, Account::Anon, Account::Stacks, Account::File];
        let upper = [Account::File, Account::Shared, Account::Unexplained];
        let shim = [Account::Shared, Account::Shim, Account::Unexplained];
        for stack in [&split[..], &whole, &upper, &shim] {
            for pair in stack.windows(2) {
                let ratio = contrast(account(pair[0]), account(pair[1]));
                assert!(ratio > 1.5, "{pair:?}: {ratio:.2}");
            }
        }
    }

    #[test]
    fn neighbours_in_the_bar_of_the_heap_differ_in_lightness() {
        let parts = [
            Part::Live,
            Part::Cached,
            Part::Trimmable,
            Part::Stuck,
            Part::Top,
            Part::Overhead,
        ];
        for pair in parts.windows(2) {
            let ratio = contrast(heap(pair[0]), heap(pair[1]));
            assert!(ratio > 1.5, "{pair:?}: {ratio:.2}");
        }
    }

    /// Colour as those see it who lack the cones for red (0) or for green (1), or who lack none (2), in
    /// CIE L*a*b*. Matrices of Machado, Oliveira and Fernandes (2009) at full severity.
    fn seen(color: RGBColor, eyes: usize) -> [f64; 3] {
        const EYES: [[[f64; 3]; 3]; 3] = [
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
            [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        ];
        const XYZ: [[f64; 3]; 3] = [
            [0.412_456_4, 0.357_576_1, 0.180_437_5],
            [0.212_672_9, 0.715_152_2, 0.072_175_0],
            [0.019_333_9, 0.119_192_0, 0.950_304_1],
        ];
        let times = |matrix: [[f64; 3]; 3], v: [f64; 3]| {
            matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
        };
        let light = [color.0, color.1, color.2].map(linear);
        let light = times(EYES[eyes], light).map(|v| v.clamp(0.0, 1.0));
        let [x, y, z] = times(XYZ, light);
        let [x, y, z] = [x / 0.950_47, y, z / 1.088_83].map(|t| {
            if t > 0.008_856 {
                t.cbrt()
            } else {
                7.787 * t + 16.0 / 116.0
            }
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn arms_are_told_apart_by_all_eyes() {
        for eyes in 0..3 {
            for (index, one) in ARMS.into_iter().enumerate() {
                for other in ARMS.into_iter().skip(index + 1) {
                    let (a, b) = (seen(one, eyes), seen(other, eyes));
                    let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                    // About 2.3 is a just noticeable difference of fields beside each other.
                    assert!(
                        square.sqrt() > 15.0,
                        "{one:?} {other:?}: {:.1}",
                        square.sqrt()
                    );
                }
            }
        }
        for color in ARMS {
            assert!(contrast(color, PAPER) > 2.2, "{color:?}");
        }
    }

    #[test]
    fn text_is_readable_on_paper() {
        for color in [INK, MUTED, ACCENT] {
            assert!(contrast(color, PAPER) >= 4.5);
        }
    }
}
