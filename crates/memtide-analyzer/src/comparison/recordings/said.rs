//! What recordings come to side by side, in sentences: the verdict, its evidence, and warnings.

use super::super::words::list;
use super::{By, Direction, Side, row};
use crate::thresholds::UNEQUAL_LENGTH;
use memtide_model::comparison::{ComparisonKind, ComparisonVerdict};
use memtide_model::report::How;
use memtide_model::{Account, Slope, text};

/// What the later recordings show against the first.
pub(super) fn verdict(sides: &[Side]) -> ComparisonVerdict {
    let Some((first, later)) = sides.split_first() else {
        return answer(ComparisonKind::Undetermined, "There is nothing to compare.");
    };
    if later.is_empty() {
        let alone = format!(
            "{} is the only recording: there is nothing to hold it against.",
            first.name
        );
        return answer(ComparisonKind::Undetermined, &alone);
    }
    // The newest stands last: what differs there is what counts now.
    let differs = (later.iter().rev())
        .filter_map(|side| Some((side, side.direction(first)?)))
        .find(|(_, (to, _))| *to != Direction::Same);
    let mut verdict = match differs {
        Some((side, (to, by))) => differing(side, first, to, by),
        None if later.iter().any(|side| side.direction(first).is_some()) => same(first, later),
        None => too_short(),
    };
    verdict.evidence = later.iter().flat_map(|side| facts(side, first)).collect();
    verdict
}

fn answer(kind: ComparisonKind, summary: &str) -> ComparisonVerdict {
    ComparisonVerdict {
        kind,
        arm: None,
        summary: summary.to_owned(),
        evidence: Vec::new(),
        advice: Vec::new(),
    }
}

fn differing(side: &Side, first: &Side, to: Direction, by: By) -> ComparisonVerdict {
    let better = to == Direction::Slower;
    let (name, before) = (&side.name, &first.name);
    let stopped = first.grows() == Some(true) && side.grows() == Some(false);
    let how = match (better, by) {
        (true, By::Rss) if stopped => "does not grow any more",
        (true, _) => "grows more slowly",
        (false, _) => "grows faster",
    };
    let (here, there) = match by {
        By::Rss => (side.rate, first.rate),
        By::Live => (side.live, first.live),
    };
    let rate = |slope: Option<Slope>| text::rate(slope.unwrap_or_default().per_second);
    let rates = format!("{} against {} in {before}", rate(here), rate(there));
    let summary = match by {
        By::Rss => format!("{name} {how}: {rates}."),
        By::Live => {
            format!("{name} {how} in live blocks: {rates}; RSS shows no difference yet.")
        }
    };
    let kind = if better {
        ComparisonKind::Better
    } else {
        ComparisonKind::Worse
    };
    let advice = if better && side.grows() != Some(true) {
        "Record the new one once more, for longer and under real load, to be sure.".to_owned()
    } else {
        let file = &side.findings.report.recording.file;
        let file = if file.is_empty() { name } else { file };
        format!("What still grows, and why: memtide report {file}")
    };
    ComparisonVerdict {
        arm: Some(name.clone()),
        advice: vec![advice],
        ..answer(kind, &summary)
    }
}

fn same(first: &Side, later: &[Side]) -> ComparisonVerdict {
    let names: Vec<&str> = later.iter().map(|side| side.name.as_str()).collect();
    let half = |slope: Slope| (slope.high - slope.low) / 2.0;
    // Intervals must come apart, and the difference must be material.
    let could = (later.iter())
        .filter_map(|side| {
            let apart = half(side.rate?) + half(first.rate?);
            Some(apart.max(side.material_rate(first)))
        })
        .fold(0.0_f64, f64::max);
    let (first, names, could) = (&first.name, list(&names), text::rate(could));
    ComparisonVerdict {
        advice: vec!["Longer recordings see smaller differences.".to_owned()],
        ..answer(
            ComparisonKind::NoDifference,
            &format!(
                "No difference in growth is shown between {first} and {names}; one of {could} could have been seen."
            ),
        )
    }
}

fn too_short() -> ComparisonVerdict {
    let mut verdict = answer(
        ComparisonKind::Undetermined,
        "The recordings are too short for rates of growth.",
    );
    verdict
        .advice
        .push("Record each for 20 seconds or more: memtide attach PID --for 1m -o FILE".to_owned());
    verdict
}

/// Rates with their intervals, the account that changed most, and the levels at the end.
fn facts(side: &Side, first: &Side) -> Vec<String> {
    let (name, before) = (&side.name, &first.name);
    let mut facts = Vec::new();
    for (what, here, there) in [
        ("RSS", side.rate, first.rate),
        ("Live blocks", side.live, first.live),
    ] {
        if let (Some(here), Some(there)) = (here, there) {
            facts.push(format!(
                "{what}: {} in {name} ({}), {} in {before} ({}).",
                text::rate(here.per_second),
                text::rates(here.low, here.high),
                text::rate(there.per_second),
                text::rates(there.low, there.high)
            ));
        }
    }
    facts.extend(foremost_account(side, first));
    if !side.rss.is_empty() && !first.rss.is_empty() {
        facts.push(format!(
            "At the end RSS is {} in {name} and {} in {before}.",
            text::bytes(side.rss.end()),
            text::bytes(first.rss.end())
        ));
    }
    facts
}

/// The account whose growth differs most.
fn foremost_account(side: &Side, first: &Side) -> Option<String> {
    let grown = |findings, account| row(findings, account).map(|row| row.growth_bytes);
    let each = Account::IN_RSS.into_iter().filter_map(|account| {
        let (here, there) = (
            grown(&side.findings, account),
            grown(&first.findings, account),
        );
        here.zip(there).map(|(here, there)| (account, here, there))
    });
    let (account, here, there) = each.max_by_key(|(_, here, there)| here.abs_diff(*there))?;
    (here != there).then(|| {
        format!(
            "The growth of {} differs most: {} in {} and {} in {}.",
            account.name(),
            text::signed_bytes(here as f64),
            side.name,
            text::signed_bytes(there as f64),
            first.name
        )
    })
}

/// What the reader should know of the numbers.
pub(super) fn warnings(sides: &[Side]) -> Vec<String> {
    let mut warnings = vec![
        "One recording each: how much runs of the same program differ among themselves is not known. \
         memtide compare --allocators repeats runs."
            .to_owned(),
    ];
    if let Some((first, later)) = sides.split_first() {
        warnings.extend(later.iter().filter_map(|side| other_program(side, first)));
        warnings.extend(later.iter().filter_map(|side| other_length(side, first)));
    }
    let killed = (sides.iter()).filter(|side| side.findings.report.ended.how == How::Oom);
    warnings.extend(killed.map(|side| {
        let name = &side.name;
        format!("The OOM killer ended {name}: its growth was cut off there.")
    }));
    warnings
}

fn other_program(side: &Side, first: &Side) -> Option<String> {
    let program = |side: &Side| side.findings.report.target.name.clone();
    let (here, there) = (program(side), program(first));
    (here != there).then(|| {
        let (name, before) = (&side.name, &first.name);
        format!("{name} is of the program {here}, {before} of {there}.")
    })
}

fn other_length(side: &Side, first: &Side) -> Option<String> {
    let (here, there) = (side.seconds(), first.seconds());
    (here.max(there) > here.min(there) * (1.0 + UNEQUAL_LENGTH)).then(|| {
        format!(
            "{} is {} long and {} {}: rates can be compared, levels and sums cannot.",
            side.name,
            text::duration(here),
            first.name,
            text::duration(there)
        )
    })
}
