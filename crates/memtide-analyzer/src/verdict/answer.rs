//! What a stage of the verdict says: the answer before it is weighed.

use super::apart::Apart;
use memtide_model::report::Evidence;
use memtide_model::{Account, VerdictKind};

/// An answer of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Why memory grows, or that it does not.
    pub kind: VerdictKind,
    /// What it may be, likeliest first.
    pub candidates: Vec<VerdictKind>,
    /// The summary without its full stop.
    pub headline: String,
    /// Facts with numbers, the strongest first.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub advice: Vec<String>,
    /// How such answers fare where all shorter records agree with them.
    pub standing: Standing,
    /// True if growth is claimed to go on.
    pub goes_on: bool,
    /// What goes on, where it was judged apart from what moves about it.
    pub apart: Option<Apart>,
    /// Bytes of the growth that it accounts for; 0 of what is counted and holds no memory.
    pub holds: f64,
}

/// How much an answer can be worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Proven by a counter: all of these were right in the corpus.
    Counted,
    /// By live bytes that were counted.
    Measured,
    /// By shape and size of memory.
    Shaped,
    /// Between candidates.
    Open,
}

impl Standing {
    /// What such an answer stands on.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Counted => "counted by the kernel",
            Self::Measured => "live blocks were counted",
            Self::Shaped => "judged by its shape",
            Self::Open => "open between candidates",
        }
    }
}

impl Answer {
    /// A decided answer of that kind.
    pub fn decided(kind: VerdictKind, standing: Standing, headline: String) -> Self {
        Self {
            kind,
            candidates: vec![kind],
            headline,
            evidence: Vec::new(),
            advice: Vec::new(),
            standing,
            goes_on: false,
            apart: None,
            holds: 0.0,
        }
    }

    /// `undetermined` between candidates, likeliest first.
    pub fn open(candidates: &[VerdictKind], headline: String) -> Self {
        Self {
            candidates: candidates.to_vec(),
            ..Self::decided(VerdictKind::Undetermined, Standing::Open, headline)
        }
    }

    /// With a fact that has no number of its own.
    #[must_use]
    pub fn fact(mut self, fact: String) -> Self {
        self.evidence.push(Evidence {
            fact,
            account: None,
            value: None,
            unit: None,
            low: None,
            high: None,
        });
        self
    }

    /// With a fact and its number.
    #[must_use]
    pub fn number(mut self, fact: String, value: f64, unit: &str) -> Self {
        self.evidence.push(Evidence {
            fact,
            account: None,
            value: Some(value),
            unit: Some(unit.to_owned()),
            low: None,
            high: None,
        });
        self
    }

    /// With the 90 % interval of the last fact's number.
    #[must_use]
    pub fn within(mut self, low: f64, high: f64) -> Self {
        if let Some(last) = self.evidence.last_mut() {
            (last.low, last.high) = (Some(low), Some(high));
        }
        self
    }

    /// Ties the last fact to an account.
    #[must_use]
    pub fn of_account(mut self, account: Account) -> Self {
        if let Some(last) = self.evidence.last_mut() {
            last.account = Some(account);
        }
        self
    }

    /// With something to do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// With growth that goes on.
    #[must_use]
    pub fn going_on(mut self) -> Self {
        self.goes_on = true;
        self
    }

    /// With the bytes of the growth that it accounts for.
    #[must_use]
    pub fn holding(mut self, bytes: f64) -> Self {
        self.holds = bytes.max(0.0);
        self
    }

    /// With another cause beside this one: what it is, its first number, and the first thing to do.
    #[must_use]
    pub fn beside(mut self, other: Self) -> Self {
        let first = other.evidence.into_iter().next();
        self.evidence.push(Evidence {
            fact: format!("Also: {}.", lowercase_first(&other.headline)),
            account: first.as_ref().and_then(|first| first.account),
            value: first.as_ref().and_then(|first| first.value),
            low: first.as_ref().and_then(|first| first.low),
            high: first.as_ref().and_then(|first| first.high),
            unit: first.and_then(|first| first.unit),
        });
        let advice = other.advice.into_iter().next();
        let new = advice.filter(|advice| !self.advice.contains(advice));
        self.advice.extend(new);
        self
    }
}

/// A sentence as it goes on behind a colon.
pub(super) fn lowercase_first(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}
