//! Means of what samples count: few a request, so that a request alone says little and its median is often nothing.

use super::{Blocks, Change, p_value};

/// The change of the mean. `grain` is the unit that values come in; a mean can't be known better than what falls between.
pub fn mean(base: &[f64], new: &[f64], blocks: [&Blocks; 2], grain: f64) -> Change {
    let [base_mean, new_mean] = [base, new].map(|values| values.iter().sum::<f64>() / values.len() as f64);
    let [base_blocks, new_blocks] = blocks;
    let draws = draws(base, base_blocks).into_iter().zip(draws(new, new_blocks));
    let differences = draws.map(|(base, new)| new - base).collect();
    let variance = variance(base, base_blocks, grain) + variance(new, new_blocks, grain);
    let deviation = (new_mean - base_mean) / variance.sqrt();
    Change::new(base_mean, new_mean, differences, p_value(deviation, blocks), blocks)
}

fn draws(values: &[f64], blocks: &Blocks) -> Vec<f64> {
    let sums: Vec<f64> = blocks.of(values).map(|block| block.iter().sum()).collect();
    blocks.draw(|times| {
        let sum: f64 = sums.iter().zip(times).map(|(sum, times)| sum * f64::from(*times)).sum();
        sum / blocks.drawn(times) as f64
    })
}

/// Of the mean; at least that of rounding each value to the grain.
fn variance(values: &[f64], blocks: &Blocks, grain: f64) -> f64 {
    let count = values.len() as f64;
    (blocks.variance_of_sum(values) / count.powi(2)).max(grain.powi(2) / 12.0 / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_seen_as_what_it_is() {
        let base: Vec<f64> = (0..100).map(|i| 30.0 + f64::from(i % 3)).collect();
        let new: Vec<f64> = base.iter().map(|value| value + 6.0).collect();
        let (a, b) = (Blocks::new(100, 1), Blocks::new(100, 2));
        let change = mean(&base, &new, [&a, &b], 1.0);
        assert!((change.difference() - 6.0).abs() < 1e-9);
        assert!(change.interval.0 > 5.0 && change.interval.1 < 7.0 && change.p_value < 1e-9, "{change:?}");
    }

    #[test]
    fn values_that_do_not_vary_are_known_to_their_grain() {
        let (a, b) = (Blocks::new(20, 1), Blocks::new(20, 2));
        let change = mean(&[5.0; 20], &[5.1; 20], [&a, &b], 5.0);
        assert!(change.p_value > 0.5, "{change:?}");
    }
}
