//! Shorter forms of demangled names of C++ and Rust.
//!
//! Names of templates are longer than any line. [`fitted`] takes away first what says least:
//! arguments, then the insides of templates, then the result, then the middle. Brackets are matched;
//! those of operators and arrows are none.
//!
//! Refuses to parse the languages' grammars: a name whose brackets do not match is cut in the middle
//! like any text. What [`fitted`] returns is escaped, nothing else.

use crate::escape;

/// The name without result, arguments and what stands before it: `void std::sort<int*>(int*)`
/// becomes `std::sort<int*>`.
pub(crate) fn qualified(function: &str) -> &str {
    let (mut start, mut end) = (0, function.len());
    let mut scan = Scan::new(function);
    while let Some((at, character)) = scan.next() {
        let outside = scan.depth == 0;
        match character {
            ' ' if outside
                && at >= scan.plain_until
                && !function.get(..at).is_some_and(|s| s.ends_with("operator")) =>
            {
                start = at + 1;
            }
            '(' if scan.depth == 1 && at > start => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    function.get(start..end).unwrap_or(function)
}

/// The name alone, for a line in which there is no room: `shop::Cart::add`.
pub(crate) fn brief(function: &str) -> String {
    without(qualified(function), '<', '>').replace("<…>", "")
}

/// Arguments of C++ templates that the library fills in and nobody writes, as they begin.
const DEFAULTS: [&str; 7] = [
    ", std::allocator<",
    ", std::char_traits<",
    ", std::default_delete<",
    ", std::equal_to<",
    ", std::hash<",
    ", std::less<",
    ", (__gnu_cxx::_Lock_policy)",
];

/// A type as people write it: `std::vector<int, std::allocator<int> >` becomes `std::vector<int>`.
/// Arguments that the library fills in go, all others stay: they are what tells types apart.
pub(crate) fn of_type(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    let mut scan = Scan::new(name);
    // How deep the brackets were around the argument that is being left out.
    let mut inside: Option<usize> = None;
    while let Some((at, character)) = scan.next() {
        let rest = name.get(at..).unwrap_or_default();
        if let Some(depth) = inside {
            let ends = (character == ',' && scan.depth == depth) || scan.depth < depth;
            if !ends {
                continue;
            }
            inside = None;
        }
        if scan.depth > 0 && DEFAULTS.iter().any(|start| rest.starts_with(start)) {
            inside = Some(scan.depth);
        } else {
            if character == '>' && written.ends_with(' ') {
                written.pop();
            }
            written.push(character);
        }
    }
    // An argument that never ends: not a name that this knows to read.
    if inside.is_some() {
        return name.to_owned();
    }
    written
        .replace("std::__cxx11::", "std::")
        .replace("std::basic_string<char>", "std::string")
}

/// Walks over a name and knows how deep in brackets it is. The signs of operators are no brackets.
struct Scan<'a> {
    name: &'a str,
    at: usize,
    depth: usize,
    /// Up to here no sign is a bracket: it is part of `operator<<`, `->` or `(anonymous …)`.
    plain_until: usize,
}

impl<'a> Scan<'a> {
    const fn new(name: &'a str) -> Self {
        Self {
            name,
            at: 0,
            depth: 0,
            plain_until: 0,
        }
    }

    /// The next character and where it is; after an opening bracket `depth` counts it already,
    /// after a closing one no longer.
    fn next(&mut self) -> Option<(usize, char)> {
        let rest = self.name.get(self.at..)?;
        let character = rest.chars().next()?;
        let at = self.at;
        self.at += character.len_utf8();
        if at >= self.plain_until {
            self.plain_until = at + plain_length(rest);
        }
        if at >= self.plain_until {
            match character {
                '<' | '(' | '[' | '{' => self.depth += 1,
                '>' | ')' | ']' | '}' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
        Some((at, character))
    }
}

/// How many bytes at the beginning hold signs that look like brackets and are none.
fn plain_length(rest: &str) -> usize {
    if rest.starts_with("->") {
        return 2;
    }
    for whole in ["(anonymous namespace)", "{{closure}}"] {
        if rest.starts_with(whole) {
            return whole.len();
        }
    }
    let Some(signs) = rest.strip_prefix("operator") else {
        return 0;
    };
    if signs.starts_with("()") {
        return "operator()".len();
    }
    let length = signs
        .find(|c: char| !"<>=-".contains(c))
        .unwrap_or(signs.len());
    // `operator<<int>` is `operator<` with an argument or `operator<<`; two signs are the likelier.
    "operator".len() + length.min(2)
}

/// `name` with what stands between each outermost pair of these brackets as `…`. A pair at the very
/// beginning stays, because in Rust it holds the type: `<shop::Cart as Clone>::clone`.
fn without(name: &str, open: char, close: char) -> String {
    let mut shown = String::with_capacity(name.len());
    let mut inside: Option<usize> = None;
    let mut scan = Scan::new(name);
    while let Some((at, character)) = scan.next() {
        let bracket = at >= scan.plain_until;
        match inside {
            Some(depth) if bracket && character == close && scan.depth < depth => {
                inside = None;
                shown.push(character);
            }
            Some(_) => {}
            None => {
                shown.push(character);
                let next_closes = name
                    .get(scan.at..)
                    .is_some_and(|rest| rest.starts_with(close));
                if bracket && character == open && at > 0 && !next_closes {
                    inside = Some(scan.depth);
                    shown.push('…');
                }
            }
        }
    }
    // Brackets that do not close: not a name that this knows to read.
    if inside.is_some() {
        return name.to_owned();
    }
    shown
}

/// The longest name that is looked at when it is made to fit, in characters.
const LOOKED_AT: usize = 400;

/// `name`, harmless, in the fullest form that fits: whole, without arguments, without the insides of
/// templates, the name alone, or that cut in the middle. `None` where not even three characters would stay.
pub(crate) fn fitted(name: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let whole = escape::clip(name, LOOKED_AT);
    if fits(&whole) {
        return Some(whole);
    }
    let name = escape::plain(name);
    let no_arguments = without(&name, '(', ')');
    let no_insides = without(&no_arguments, '<', '>');
    let name_alone = brief(&name);
    for shorter in [&no_arguments, &no_insides, &name_alone] {
        if fits(shorter) {
            return Some(shorter.clone());
        }
    }
    cut_middle(&name_alone, fits)
}

/// `text`, harmless, whole or cut in the middle. `None` where not even three characters would stay.
pub(crate) fn cut(text: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let whole = escape::clip(text, LOOKED_AT);
    if fits(&whole) {
        return Some(whole);
    }
    cut_middle(&escape::plain(text), fits)
}

/// Both ends with an ellipsis between, the end the longer one: there stands the function.
fn cut_middle(text: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let most = characters.len().min(LOOKED_AT).saturating_sub(1);
    let cut = |kept: usize| -> String {
        let head = characters.iter().take(kept * 2 / 5);
        let tail = characters
            .iter()
            .skip(characters.len() - (kept - kept * 2 / 5));
        head.chain(['…'].iter()).chain(tail).collect()
    };
    // What fits shrinks with what is kept, so the border can be found by halving.
    let (mut low, mut high) = (2, most + 1);
    while high > low + 1 {
        let middle = usize::midpoint(low, high);
        if fits(&cut(middle)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low > 2).then(|| cut(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_first_what_says_least() {
        let name =
            "void shop::Registry<std::string, shop::Cart>::insert<int>(std::pair<int, long>&&)";
        let fit = |width: usize| fitted(name, |text: &str| text.chars().count() <= width);
        assert_eq!(fit(100).unwrap(), name);
        assert_eq!(
            fit(70).unwrap(),
            "void shop::Registry<std::string, shop::Cart>::insert<int>(…)"
        );
        assert_eq!(fit(45).unwrap(), "void shop::Registry<…>::insert<…>(…)");
        assert_eq!(fit(30).unwrap(), "shop::Registry::insert");
        assert_eq!(fit(13).unwrap(), "shop…::insert");
        assert_eq!(fit(1), None);
        for width in 4..100 {
            let text = fit(width).unwrap();
            assert!(text.chars().count() <= width, "{width}: {text}");
        }
        let broken = "a<b<c>::d";
        assert_eq!(fitted(broken, |text| text.len() <= 9).unwrap(), broken);
    }

    #[test]
    fn types_lose_the_arguments_that_nobody_writes() {
        let text =
            "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
        let map = format!(
            "std::_Rb_tree_node<std::pair<{text} const, std::vector<shop::Cart, std::allocator<shop::Cart> > > >"
        );
        let shared = "std::_Sp_counted_ptr_inplace<shop::Cart, std::allocator<void>, (__gnu_cxx::_Lock_policy)2>";
        for (name, written) in [
            (text, "std::string"),
            (
                &map,
                "std::_Rb_tree_node<std::pair<std::string const, std::vector<shop::Cart>>>",
            ),
            (shared, "std::_Sp_counted_ptr_inplace<shop::Cart>"),
            (
                "shop::Pool<std::allocator<int>, 5>",
                "shop::Pool<std::allocator<int>, 5>",
            ),
            ("a, std::less<int>", "a, std::less<int>"),
            ("a<b, std::less<int", "a<b, std::less<int"),
            ("shop::Order", "shop::Order"),
            ("vtable at /opt/shop+0x1234", "vtable at /opt/shop+0x1234"),
        ] {
            assert_eq!(of_type(name), written);
        }
    }

    #[test]
    fn brief_names_have_neither_result_nor_arguments() {
        for (name, short) in [
            (
                "void shop::Registry<int, Cart>::insert<int>(int)",
                "shop::Registry::insert",
            ),
            (
                "<shop::Cart as core::clone::Clone>::clone",
                "<shop::Cart as core::clone::Clone>::clone",
            ),
            ("main", "main"),
            (
                "(anonymous namespace)::grow(int)",
                "(anonymous namespace)::grow",
            ),
            (
                "bool shop::operator<(Cart const&, Cart const&)",
                "shop::operator<",
            ),
            ("shop::run::{{closure}}", "shop::run::{{closure}}"),
        ] {
            assert_eq!(brief(name), short, "{name}");
        }
    }
}
