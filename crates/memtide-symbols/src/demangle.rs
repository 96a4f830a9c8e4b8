//! Names as people write them: Rust (v0 and legacy) and C++ (Itanium).

use core::fmt::Write;

/// The readable form of a linker's name; the name itself where it is none of those.
///
/// Suffixes that the compiler adds to a clone (`.cold`, `.part.0`, `.isra.0`) stay: they tell that
/// the code is not the whole function. Rust's hash is left out.
pub fn demangle(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        let mut text = Bounded(String::new());
        return match write!(text, "{rust:#}") {
            Ok(()) => text.0,
            Err(_) => name.to_owned(),
        };
    }
    if !is_cpp(name) {
        return name.to_owned();
    }
    demangle_cpp(name).unwrap_or_else(|| name.to_owned())
}

/// The bounds are for hostile names: substitutions unfold a short one into gigabytes, nesting
/// exhausts the stack.
fn demangle_cpp(name: &str) -> Option<String> {
    const NESTING: u32 = 128;
    let parse = cpp_demangle::ParseOptions::default().recursion_limit(NESTING);
    let print = cpp_demangle::DemangleOptions::new().recursion_limit(NESTING);
    let symbol = cpp_demangle::Symbol::new_with_options(name, &parse).ok()?;
    let mut text = Bounded(String::new());
    symbol.structured_demangle(&mut text, &print).ok()?;
    Some(text.0)
}

/// Text that refuses to grow past what anybody would read.
struct Bounded(String);

impl core::fmt::Write for Bounded {
    fn write_str(&mut self, part: &str) -> core::fmt::Result {
        const LIMIT: usize = 64 << 10;
        if self.0.len().saturating_add(part.len()) > LIMIT {
            return Err(core::fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

/// True for a name that says its scope and parameters, which a bare `operator()` does not.
pub(crate) fn is_mangled(name: &str) -> bool {
    is_cpp(name) || name.starts_with("_R")
}

fn is_cpp(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("___Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_cpp_and_plain_names() {
        for (name, readable) in [
            ("main", "main"),
            ("_ZN3foo3barEv", "foo::bar()"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backEOi",
                "std::vector<int, std::allocator<int> >::push_back(int&&)",
            ),
            (
                "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE",
                "core::fmt::Write::write_fmt",
            ),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("_Z", "_Z"),
            ("", ""),
        ] {
            assert_eq!(demangle(name), readable);
        }
    }
}
