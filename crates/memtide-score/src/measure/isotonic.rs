//! Monotone regression by pooling adjacent violators (Ayer et al. 1955): the rising step function that
//! is nearest to the outcomes in least squares.
//!
//! Outcomes of the same confidence are one point with their weight. Between two steps the lower one
//! holds: confidences of a table are discrete, and nothing is known between them.

use super::calibration::Outcome;

/// A rising step function from confidence to share right.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Steps {
    /// Where each step begins, and its height.
    steps: Vec<(f64, f64)>,
}

struct Block {
    from: f64,
    sum: f64,
    weight: f64,
}

impl Steps {
    /// The function nearest to the outcomes.
    pub(crate) fn fit(outcomes: &[Outcome]) -> Self {
        let mut sorted = outcomes.to_vec();
        sorted.sort_by(|a, b| a.confidence.total_cmp(&b.confidence));
        let same = |a: &Outcome, b: &Outcome| (a.confidence - b.confidence).abs() < 1e-9;
        let mut blocks: Vec<Block> = Vec::new();
        for points in sorted.chunk_by(same) {
            let right = points.iter().filter(|outcome| outcome.right).count();
            let mut block = Block {
                from: points.first().map_or(0.0, |outcome| outcome.confidence),
                sum: right as f64,
                weight: points.len() as f64,
            };
            // What is not higher than its left neighbour becomes one with it.
            while let Some(left) =
                blocks.pop_if(|left| left.sum / left.weight >= block.sum / block.weight)
            {
                block = Block {
                    from: left.from,
                    sum: left.sum + block.sum,
                    weight: left.weight + block.weight,
                };
            }
            blocks.push(block);
        }
        Self {
            steps: (blocks.iter())
                .map(|block| (block.from, block.sum / block.weight))
                .collect(),
        }
    }

    /// Its value; below the first step that of the first, 0 of nothing.
    pub(crate) fn at(&self, confidence: f64) -> f64 {
        let behind = self
            .steps
            .partition_point(|(from, _)| *from <= confidence + 1e-9);
        let step = self.steps.get(behind.saturating_sub(1));
        step.map_or(0.0, |(_, height)| *height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(points: &[(f64, u8)]) -> Vec<Outcome> {
        (points.iter())
            .map(|&(confidence, right)| Outcome {
                confidence,
                right: right == 1,
            })
            .collect()
    }

    /// `scipy.optimize.isotonic_regression([1, 0, 1, 1, 0, 1])` is 1/2, 1/2, 2/3, 2/3, 2/3, 1.
    #[test]
    fn steps_are_those_of_scipy() {
        let points = [(0.1, 1), (0.2, 0), (0.3, 1), (0.4, 1), (0.5, 0), (0.6, 1)];
        let steps = Steps::fit(&outcomes(&points));
        let third = 2.0 / 3.0;
        let expected = [0.5, 0.5, third, third, third, 1.0];
        for ((confidence, _), expected) in points.iter().zip(expected) {
            assert!(
                (steps.at(*confidence) - expected).abs() < 1e-12,
                "{steps:?}"
            );
        }
        assert!((steps.at(0.0) - 0.5).abs() < 1e-12);
        assert!((steps.at(0.45) - third).abs() < 1e-12);
        assert!((steps.at(0.99) - 1.0).abs() < 1e-12);
    }

    /// Means 1/2, 1/3, 1, 1/4 with weights 2, 3, 1, 4 pool into 4/10.
    #[test]
    fn equal_confidences_are_one_point_with_a_weight() {
        let points = [
            (0.1, 1),
            (0.1, 0),
            (0.2, 1),
            (0.2, 0),
            (0.2, 0),
            (0.3, 1),
            (0.4, 1),
            (0.4, 0),
            (0.4, 0),
            (0.4, 0),
        ];
        let steps = Steps::fit(&outcomes(&points));
        assert_eq!(steps.steps.len(), 1);
        assert!((steps.at(0.35) - 0.4).abs() < 1e-12);
        assert!(Steps::default().at(0.5).abs() < 1e-12);
    }
}
