//! The bands of the stack.
//!
//! Two ways to stack, both of which end at RSS. *From zero*: each account's bytes on top of the
//! others'; a negative `unexplained` would pull the stack down, so it is shown as a band of its own
//! from RSS up to where the other accounts reach, as the part that was counted twice. *By growth*, for
//! a small growth of a large process: at the bottom all that was there at the start (less what
//! shrank since), on it what each account grew by. With s the value at the start and v the value now,
//! the bottom is the sum of min(s, v), a band is max(0, v - s), and min(s, v) + max(0, v - s) = v: the
//! bands still add up to RSS.

use memtide_model::{Account, TimelinePoint};

/// What a band stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// All accounts as they were at the start, less what shrank.
    Base,
    /// An account, or its growth.
    Account(Account),
    /// A negative `unexplained`: pages counted in two accounts.
    CountedTwice,
}

/// A band between two lines of (seconds, bytes).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Layer {
    /// What it is.
    pub(crate) content: Content,
    /// Its lower edge.
    pub(crate) lower: Vec<(f64, f64)>,
    /// Its upper edge, at the same moments.
    pub(crate) upper: Vec<(f64, f64)>,
}

/// A moment with a value for each account of [`Account::IN_RSS`].
struct Moment {
    seconds: f64,
    values: [f64; Account::IN_RSS.len()],
}

/// The layers from the bottom up; none without a moment at which the accounts are known. With
/// `starts` they are stacked by growth since those values.
pub(crate) fn layers(
    points: &[TimelinePoint],
    columns: usize,
    starts: Option<&dyn Fn(Account) -> f64>,
) -> Vec<Layer> {
    let moments = moments(points, columns);
    let mut stack: Vec<Layer> = Vec::new();
    let mut tops = vec![0.0; moments.len()];
    let mut push = |content, heights: &[f64], stack: &mut Vec<Layer>| {
        let edge = |tops: &[f64]| {
            moments
                .iter()
                .zip(tops)
                .map(|(m, top)| (m.seconds, *top))
                .collect()
        };
        let lower: Vec<_> = edge(&tops);
        for (top, height) in tops.iter_mut().zip(heights) {
            *top += height;
        }
        // An account that is empty all along has no band.
        if heights.iter().any(|height| *height != 0.0) {
            stack.push(Layer {
                content,
                lower,
                upper: edge(&tops),
            });
        }
    };
    if let Some(start) = starts {
        let base = |moment: &Moment| {
            let pairs = Account::IN_RSS.iter().zip(moment.values);
            pairs
                .map(|(account, value)| value.min(start(*account)))
                .sum()
        };
        push(
            Content::Base,
            &moments.iter().map(base).collect::<Vec<_>>(),
            &mut stack,
        );
    }
    for (index, account) in Account::IN_RSS.into_iter().enumerate() {
        let floor = starts.map_or(0.0, |start| start(account));
        let height = |moment: &Moment| (moment.values[index] - floor).max(0.0);
        let heights: Vec<_> = moments.iter().map(height).collect();
        push(Content::Account(account), &heights, &mut stack);
    }
    if starts.is_none() {
        stack.extend(counted_twice(&moments, &tops));
    }
    stack
}

/// The band from RSS to the top of the stack, where `unexplained` is negative.
fn counted_twice(moments: &[Moment], tops: &[f64]) -> Option<Layer> {
    let missing = |moment: &Moment| {
        let unexplained = Account::IN_RSS
            .iter()
            .position(|a| *a == Account::Unexplained);
        unexplained.map_or(0.0, |index| (-moment.values[index]).max(0.0))
    };
    moments.iter().any(|moment| missing(moment) > 0.0).then(|| {
        let pairs = || moments.iter().zip(tops);
        Layer {
            content: Content::CountedTwice,
            lower: pairs()
                .map(|(m, top)| (m.seconds, top - missing(m)))
                .collect(),
            upper: pairs().map(|(m, top)| (m.seconds, *top)).collect(),
        }
    })
}

/// One moment per column at most: the last of each with a ledger.
fn moments(points: &[TimelinePoint], columns: usize) -> Vec<Moment> {
    let known: Vec<_> = points
        .iter()
        .filter(|point| !point.accounts.is_empty())
        .collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return Vec::new();
    };
    let span = last.seconds - first.seconds;
    let column = |seconds: f64| ((seconds - first.seconds) / span * columns as f64).floor();
    let mut moments: Vec<Moment> = Vec::new();
    for point in &known {
        let crowded = known.len() > columns
            && moments.len() > 1
            && moments
                .last()
                .is_some_and(|old| column(old.seconds) >= column(point.seconds));
        if crowded {
            moments.pop();
        }
        moments.push(Moment {
            seconds: point.seconds,
            values: values(point),
        });
    }
    moments
}

fn values(point: &TimelinePoint) -> [f64; Account::IN_RSS.len()] {
    Account::IN_RSS.map(|account| {
        let own = point.accounts.iter().filter(|(other, _)| *other == account);
        own.map(|(_, bytes)| *bytes as f64).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::Bytes;

    fn point(seconds: f64, accounts: &[(Account, i64)]) -> TimelinePoint {
        let rss = accounts.iter().map(|(_, bytes)| bytes).sum::<i64>();
        let rss = Bytes(u64::try_from(rss).unwrap());
        TimelinePoint {
            seconds,
            rss,
            rss_range: (rss, rss),
            accounts: accounts.to_vec(),
        }
    }

    #[test]
    fn the_stack_from_zero_ends_at_rss() {
        let points = [
            point(
                0.0,
                &[
                    (Account::Heap, 100),
                    (Account::File, 40),
                    (Account::Shared, 0),
                ],
            ),
            point(
                1.0,
                &[
                    (Account::Heap, 150),
                    (Account::File, 40),
                    (Account::Shared, 0),
                ],
            ),
        ];
        let layers = layers(&points, 100, None);
        let contents: Vec<_> = layers.iter().map(|layer| layer.content).collect();
        assert_eq!(
            contents,
            [
                Content::Account(Account::Heap),
                Content::Account(Account::File)
            ]
        );
        assert_eq!(layers[1].upper, [(0.0, 140.0), (1.0, 190.0)]);
    }

    #[test]
    fn a_negative_remainder_is_the_band_above_rss() {
        let points = [
            point(0.0, &[(Account::Heap, 100), (Account::Unexplained, -20)]),
            point(1.0, &[(Account::Heap, 100), (Account::Unexplained, 10)]),
        ];
        let layers = layers(&points, 100, None);
        let twice = layers.last().unwrap();
        assert_eq!(twice.content, Content::CountedTwice);
        assert_eq!(twice.lower[0], (0.0, 80.0), "RSS");
        assert_eq!(twice.upper[0], (0.0, 100.0), "where the accounts reach");
        assert_eq!(
            twice.lower[1], twice.upper[1],
            "nothing where nothing is counted twice"
        );
    }

    #[test]
    fn the_stack_by_growth_ends_at_rss_too() {
        let points = [
            point(0.0, &[(Account::Heap, 100), (Account::File, 40)]),
            point(
                1.0,
                &[
                    (Account::Heap, 130),
                    (Account::File, 25),
                    (Account::Unexplained, -3),
                ],
            ),
        ];
        let start = |account| match account {
            Account::Heap => 100.0,
            Account::File => 40.0,
            _ => 0.0,
        };
        let layers = layers(&points, 100, Some(&start));
        assert_eq!(layers[0].content, Content::Base);
        assert_eq!(
            layers[0].upper,
            [(0.0, 140.0), (1.0, 122.0)],
            "less what shrank"
        );
        assert_eq!(
            layers.last().unwrap().upper,
            [(0.0, 140.0), (1.0, 152.0)],
            "RSS"
        );
    }

    #[test]
    fn many_moments_are_thinned_and_ends_stay() {
        let points: Vec<_> = (0..10_000)
            .map(|s| point(f64::from(s), &[(Account::Heap, i64::from(s) + 1)]))
            .collect();
        let layers = layers(&points, 100, None);
        assert!(layers[0].upper.len() <= 103, "{}", layers[0].upper.len());
        assert_eq!(layers[0].upper.first(), Some(&(0.0, 1.0)));
        assert_eq!(layers[0].upper.last(), Some(&(9_999.0, 10_000.0)));
    }
}
