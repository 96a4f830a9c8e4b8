//! Stacks that are known and accepted, in the notation of `LeakSanitizer`'s suppression files.
//!
//! ```text
//! # a comment; empty lines are skipped
//! leak:libfontconfig.so       any frame of this file
//! leak:^init_tables$          a function of exactly this name
//! leak:cache_*_new            `*` stands for any characters, none included
//! ```
//!
//! A pattern is searched within the name of the function, the path of the source file and the path
//! of the module of every frame; `^` ties it to the beginning and `$` to the end of one of them. Text
//! after the pattern belongs to it: as with `LeakSanitizer`, a comment has a line of its own.
//!
//! It refuses what `LeakSanitizer` would refuse: lines of another kind (`race:`, `fun:`) are an error and
//! not skipped, because a suppression that is misspelt would else suppress nothing in silence.

use memtide_model::report::FrameRow;

/// What begins a line.
const LEAK: &str = "leak:";

/// A file of suppressions, parsed. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suppressions {
    patterns: Vec<Pattern>,
}

/// A line that is no suppression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("suppressions, line {line}: {why}")]
pub struct Error {
    line: usize,
    why: String,
}

impl Error {
    /// The line that is wrong, from 1.
    pub const fn line(&self) -> usize {
        self.line
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    /// As it was written, `leak:` included.
    written: String,
    /// Tied to the beginning.
    from_start: bool,
    /// Tied to the end.
    to_end: bool,
    /// The text between the stars; at least one part, the first and the last may be empty.
    parts: Vec<String>,
}

impl Suppressions {
    /// Parses a file of suppressions.
    ///
    /// # Errors
    /// For the first line that is neither `leak:PATTERN`, nor a comment, nor empty.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut patterns = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pattern = Pattern::parse(line).map_err(|why| Error {
                line: index + 1,
                why,
            })?;
            patterns.push(pattern);
        }
        Ok(Self { patterns })
    }

    /// True without any suppression.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The first suppression, in the order of the file, that names one of these frames, as it was
    /// written.
    pub fn find(&self, frames: &[FrameRow]) -> Option<&str> {
        let index = frames.iter().filter_map(|frame| self.index(frame)).min()?;
        self.written(index)
    }

    /// The number of the first suppression that names this frame.
    pub(crate) fn index(&self, frame: &FrameRow) -> Option<usize> {
        let names = [&frame.function, &frame.file, &frame.module];
        self.patterns.iter().position(|pattern| {
            (names.iter().filter_map(|name| name.as_deref())).any(|name| pattern.matches(name))
        })
    }

    /// A suppression by its number, as it was written.
    pub(crate) fn written(&self, index: usize) -> Option<&str> {
        self.patterns
            .get(index)
            .map(|pattern| pattern.written.as_str())
    }
}

impl Pattern {
    fn parse(line: &str) -> Result<Self, String> {
        let Some(pattern) = line.strip_prefix(LEAK) else {
            return Err(format!(
                "\"{line}\" does not begin with \"{LEAK}\"; a comment begins with \"#\""
            ));
        };
        let pattern = pattern.trim();
        let (from_start, rest) = match pattern.strip_prefix('^') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let (to_end, rest) = match rest.strip_suffix('$') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.chars().all(|c| c == '*') {
            return Err(format!(
                "\"{line}\" has no text to look for: it would match every stack"
            ));
        }
        Ok(Self {
            written: line.to_owned(),
            from_start,
            to_end,
            parts: rest.split('*').map(str::to_owned).collect(),
        })
    }

    /// Looks for the parts one after another, each as early as it is found; the last one, where it is
    /// tied to the end, there.
    fn matches(&self, name: &str) -> bool {
        let Some((last, parts)) = self.parts.split_last() else {
            return false;
        };
        let mut rest = name;
        for (index, part) in parts.iter().enumerate() {
            let found = if index == 0 && self.from_start {
                rest.strip_prefix(part.as_str())
            } else {
                rest.split_once(part.as_str()).map(|(_, after)| after)
            };
            let Some(after) = found else { return false };
            rest = after;
        }
        match (parts.is_empty() && self.from_start, self.to_end) {
            (true, true) => rest == last,
            (true, false) => rest.starts_with(last.as_str()),
            (false, true) => rest.ends_with(last.as_str()),
            (false, false) => rest.contains(last.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str, module: &str) -> FrameRow {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        FrameRow {
            function: some(function),
            module: some(module),
            file: some(file),
            line: None,
            inlined: false,
            address: "0x1".to_owned(),
        }
    }

    fn matches(pattern: &str, name: &str) -> bool {
        let list = Suppressions::parse(&format!("leak:{pattern}")).expect("a pattern");
        list.find(&[frame(name, "", "")]).is_some()
    }

    #[test]
    fn patterns_match_as_in_leak_sanitizer() {
        for (pattern, name, expected) in [
            ("parse", "my_parse_line", true),
            ("parse", "pars", false),
            ("^parse", "parse_line", true),
            ("^parse", "my_parse", false),
            ("line$", "parse_line", true),
            ("line$", "line_parse", false),
            // A first find that is not at the end does not hide the last one.
            ("line$", "line_line", true),
            ("^parse_line$", "parse_line", true),
            ("^parse_line$", "parse_lines", false),
            ("a*c", "xabbbcx", true),
            ("a*c", "ac", true),
            ("a*c", "ca", false),
            ("^a*c$", "abcbc", true),
            ("^a*c$", "abcb", false),
            ("^a*", "ba", false),
            ("*a", "ba", true),
            ("a*b*a", "aba", true),
            ("a*b*a", "ab", false),
            ("^aa*aa$", "aaa", false),
            ("grün*", "grün", true),
            ("std::vector<int>", "void f(std::vector<int>)", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} in {name}");
        }
    }

    #[test]
    fn function_file_and_module_of_any_frame_count() {
        let list = Suppressions::parse("# known\n\n  leak:libfont.so  \r\nleak:tables.c$\n")
            .expect("well formed");
        let here = frame("f", "/src/main.c", "/bin/app");
        let font = frame("", "", "/usr/lib/libfont.so.1");
        let tables = frame("g", "/src/tables.c", "/bin/app");
        assert_eq!(list.find(std::slice::from_ref(&here)), None);
        assert_eq!(
            list.find(&[here.clone(), font.clone()]),
            Some("leak:libfont.so")
        );
        // The order of the file decides, not that of the frames.
        assert_eq!(list.find(&[tables.clone(), font]), Some("leak:libfont.so"));
        assert_eq!(list.find(&[here, tables]), Some("leak:tables.c$"));
        assert!(
            Suppressions::parse("# nothing\n")
                .expect("empty")
                .is_empty()
        );
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line) in [
            ("leak:a\nrace:b\n", 2),
            ("\n\nleak:\n", 3),
            ("leak:**", 1),
            ("leak:^$", 1),
            ("parse_line", 1),
        ] {
            let error = Suppressions::parse(text).expect_err(text);
            assert_eq!(error.line(), line, "{error}");
            assert!(
                error.to_string().starts_with("suppressions, line "),
                "{error}"
            );
        }
    }
}
