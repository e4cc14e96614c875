use std::time::Duration;

/// Durations of single calls, kept per round so that one disturbed round moves no median.
#[derive(Debug, Default, Clone)]
pub struct Samples {
    /// All samples of finished rounds, in nanoseconds.
    all: Vec<f64>,
    /// The median of each finished round.
    round_medians: Vec<f64>,
    /// Samples of the running round.
    round: Vec<f64>,
}

impl Samples {
    /// Adds one call's duration to the running round.
    pub fn push(&mut self, took: Duration) {
        self.round.push(took.as_nanos() as f64);
    }

    /// Ends the running round; a round without samples leaves no trace.
    pub fn end_round(&mut self) {
        if self.round.is_empty() {
            return;
        }
        self.round_medians.push(median(&self.round));
        self.all.append(&mut self.round);
    }

    /// The median of the rounds' medians, in nanoseconds; `None` before the first round ended.
    pub fn median(&self) -> Option<f64> {
        (!self.round_medians.is_empty()).then(|| median(&self.round_medians))
    }

    /// The `q` quantile (0 to 1) over every sample of every round, in nanoseconds.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.all.is_empty() {
            return None;
        }
        let mut sorted = self.all.clone();
        sorted.sort_by(f64::total_cmp);
        Some(sorted[rank(sorted.len(), q)])
    }
}

/// The middle of `values`, which must not be empty.
///
/// # Panics
///
/// Panics when `values` is empty.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted[sorted.len() / 2];
    if sorted.len() % 2 == 1 { upper } else { (sorted[sorted.len() / 2 - 1] + upper) / 2.0 }
}

/// Index of quantile `q` among `len` sorted values (nearest rank).
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // q is in 0..=1, so is the product in 0..=len
fn rank(len: usize, q: f64) -> usize {
    ((len as f64 * q).ceil() as usize).clamp(1, len) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_rounds_not_of_samples() {
        let mut samples = Samples::default();
        for round in [[1, 2, 3], [2, 2, 2], [900, 901, 902]] {
            for micros in round {
                samples.push(Duration::from_nanos(micros));
            }
            samples.end_round();
        }
        assert_eq!(samples.median(), Some(2.0));
        assert_eq!(samples.quantile(0.99), Some(902.0));
        assert_eq!(samples.quantile(0.0), Some(1.0));
    }

    #[test]
    fn an_even_count_has_its_median_between_the_middle_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    }
}
