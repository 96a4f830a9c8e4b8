//! What the stages measured and decided, written down while they do it.
//!
//! A comparison that a decision hangs on is made through the trail ([`Trail::above`] and the like): it
//! notes the number and its threshold and returns what the comparison says. So the reasoning cannot
//! tell other numbers than those that decided. A stage ends each of its questions with
//! [`Trail::answer`] or [`Trail::pass`], which makes a [`Step`] of the numbers noted since the last one.
//!
//! Many series are looked at without being reasoned about (rows of tables, shorter records): they get
//! a trail that nobody hears, which compares and keeps nothing.

use crate::verdict::Answer;
use memtide_model::{
    Number, Outcome, Reasoning, Shape, Side, Stage, Step, Threshold, Unit, VerdictKind,
};

/// The steps so far, and the numbers of the one that is being taken.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    heard: bool,
    steps: Vec<Step>,
    numbers: Vec<Number>,
    notes: Vec<String>,
}

impl Trail {
    /// A trail that is kept.
    pub fn new() -> Self {
        Self {
            heard: true,
            ..Self::default()
        }
    }

    /// A trail that only compares.
    pub fn unheard() -> Self {
        Self::default()
    }

    /// True if `value` is greater than the threshold.
    pub fn above(&mut self, name: &str, value: f64, unit: Unit, threshold: f64) -> bool {
        self.held(name, value, unit, Side::Above, threshold)
    }

    /// True if `value` is the threshold or more.
    pub fn at_least(&mut self, name: &str, value: f64, unit: Unit, threshold: f64) -> bool {
        self.held(name, value, unit, Side::AtLeast, threshold)
    }

    /// True if `value` is less than the threshold.
    pub fn below(&mut self, name: &str, value: f64, unit: Unit, threshold: f64) -> bool {
        self.held(name, value, unit, Side::Below, threshold)
    }

    /// True if `value` is the threshold or less.
    pub fn at_most(&mut self, name: &str, value: f64, unit: Unit, threshold: f64) -> bool {
        self.held(name, value, unit, Side::AtMost, threshold)
    }

    /// Notes a number that is not compared by itself.
    pub fn tell(&mut self, name: &str, value: f64, unit: Unit) {
        self.push(name, value, unit, None);
    }

    /// Notes a sentence that the decision of this step begins with.
    pub fn note(&mut self, sentence: impl Into<String>) {
        if self.heard {
            self.notes.push(sentence.into());
        }
    }

    /// Ends a question about one cause with the answer to it, or with what spoke against it. Where nothing was
    /// measured nothing was asked.
    pub fn answer(&mut self, stage: Stage, question: &str, found: Option<&Answer>) {
        if let Some(answer) = found {
            let at = self.pass(stage, question, "");
            self.conclude(at, answer);
        } else if !self.numbers.is_empty() {
            let against = self.against();
            self.pass(stage, question, &against);
        }
    }

    /// Ends a question that decides nothing by itself. Tells which step it is.
    pub fn pass(&mut self, stage: Stage, question: &str, decision: &str) -> usize {
        self.step(stage, question, decision, Outcome::PassedOn, None)
    }

    /// Ends a question with the verdict.
    pub fn verdict(&mut self, question: &str, decision: &str, kind: VerdictKind) {
        self.step(
            Stage::Verdict,
            question,
            decision,
            outcome_of(kind),
            Some(kind),
        );
    }

    /// Ends a question with a reason for doubt.
    pub fn doubt(&mut self, stage: Stage, question: &str, decision: &str) -> usize {
        self.step(stage, question, decision, Outcome::Doubted, None)
    }

    /// What an earlier step turned out to decide.
    pub fn conclude(&mut self, step: usize, answer: &Answer) {
        if let Some(step) = self.steps.get_mut(step) {
            step.outcome = outcome_of(answer.kind);
            step.verdict = Some(answer.kind);
            let candidates: Vec<&str> = answer.candidates.iter().map(|kind| kind.words()).collect();
            let mut sentences: Vec<String> = Vec::new();
            if !step.decision.is_empty() {
                sentences.push(step.decision.clone());
            }
            sentences.push(format!("{}.", answer.headline));
            if answer.kind == VerdictKind::Undetermined && !candidates.is_empty() {
                sentences.push(format!("It may be: {}.", candidates.join("; ")));
            }
            step.decision = sentences.join(" ");
        }
    }

    /// The last step of a stage, if it was asked.
    pub fn last_of(&self, stage: Stage) -> Option<usize> {
        self.steps.iter().rposition(|step| step.stage == stage)
    }

    /// Drops numbers that belong to no question.
    pub fn forget(&mut self) {
        self.numbers.clear();
        self.notes.clear();
    }

    /// All steps.
    pub fn into_reasoning(self) -> Reasoning {
        Reasoning { steps: self.steps }
    }

    fn held(&mut self, name: &str, value: f64, unit: Unit, side: Side, threshold: f64) -> bool {
        let met = side.holds(value, threshold);
        // No threshold that is not finite is ever crossed: there is nothing to hold against.
        let held = threshold.is_finite().then_some(Threshold {
            side,
            value: threshold,
            met,
        });
        self.push(name, value, unit, held);
        met
    }

    fn push(&mut self, name: &str, value: f64, unit: Unit, threshold: Option<Threshold>) {
        if self.heard {
            self.numbers.push(Number {
                name: name.to_owned(),
                value: value.is_finite().then_some(value),
                unit,
                threshold,
            });
        }
    }

    fn step(
        &mut self,
        stage: Stage,
        question: &str,
        decision: &str,
        outcome: Outcome,
        verdict: Option<VerdictKind>,
    ) -> usize {
        let mut sentences = core::mem::take(&mut self.notes);
        if !decision.is_empty() {
            sentences.push(decision.to_owned());
        }
        let step = Step {
            stage,
            question: question.to_owned(),
            numbers: core::mem::take(&mut self.numbers),
            decision: sentences.join(" "),
            outcome,
            verdict,
        };
        if self.heard {
            self.steps.push(step);
        }
        self.steps.len().saturating_sub(1)
    }

    /// "No: …", with what spoke against it.
    fn against(&self) -> String {
        let missed: Vec<&Number> = (self.numbers.iter())
            .filter(|number| !number.is_met())
            .collect();
        match missed[..] {
            [] => "No.".to_owned(),
            [only] => format!(
                "No: {} is {}, not {}.",
                only.name,
                only.text(),
                only.bound().unwrap_or_default()
            ),
            _ => {
                let names: Vec<&str> = missed.iter().map(|number| number.name.as_str()).collect();
                format!("No: neither {}.", names.join(" nor "))
            }
        }
    }
}

/// "It is linear."
pub(crate) fn is_shaped(shape: Shape) -> String {
    format!("Its shape: {}.", shape.words())
}

const fn outcome_of(kind: VerdictKind) -> Outcome {
    match kind {
        VerdictKind::Undetermined => Outcome::Doubted,
        _ => Outcome::Decided,
    }
}
