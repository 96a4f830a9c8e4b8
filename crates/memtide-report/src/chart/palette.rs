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

/// Relative luminance (WCAG 2).
#[cfg(test)]
fn luminance(color: RGBColor) -> f64 {
    let linear = |value: u8| {
        let value = f64::from(value) / 255.0;
        if value <= 0.03928 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(color.0) + 0.7152 * linear(color.1) + 0.0722 * linear(color.2)
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

    #[test]
    fn text_is_readable_on_paper() {
        for color in [INK, MUTED, ACCENT] {
            assert!(contrast(color, PAPER) >= 4.5);
        }
    }
}
