//! `memtide symbolize`: names for the call stacks of a recording, later or on another machine.

use crate::cli::options::Symbolize;
use crate::exit::Code;
use crate::names::{self, Outcome, Search};
use crate::output;
use crate::progress;
use crate::secrets;
use memtide_model::text;

/// Names what can be named, and says how much that is.
pub(crate) fn run(options: &Symbolize) -> anyhow::Result<Code> {
    let search = Search {
        debug_dirs: &options.debug_dirs,
        ..Search::default()
    };
    let mut redactor = options.redact.then(secrets::redactor);
    let outcome = names::add(&options.file, search, redactor.as_mut())?;
    for warning in &outcome.warnings {
        progress::warn(warning);
    }
    output::print(&format!("{}\n", sentence(&outcome)))?;
    Ok(Code::Done)
}

fn sentence(outcome: &Outcome) -> String {
    let places = text::plural(outcome.places as u64, "place");
    format!(
        "{} of {places} in code have a name now, {} a line; {} had a name before",
        outcome.named, outcome.lines, outcome.before
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said() {
        let outcome = Outcome {
            places: 12,
            before: 3,
            named: 10,
            lines: 7,
            warnings: Vec::new(),
        };
        let expected = "10 of 12 places in code have a name now, 7 a line; 3 had a name before";
        assert_eq!(sentence(&outcome), expected);
    }
}
