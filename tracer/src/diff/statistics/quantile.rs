//! Medians and other quantiles, without a guess at how times are distributed.

use super::{Blocks, Change, p_value};
use crate::report::stats;

/// The change of the quantile below which `percent` of the values lie. The values are in order of time, and not empty.
pub fn quantile(base: &[u64], new: &[u64], percent: f64, blocks: [&Blocks; 2]) -> Change {
    let [base_blocks, new_blocks] = blocks;
    let sides = [Side::new(base, percent, base_blocks), Side::new(new, percent, new_blocks)];
    let share = percent / 100.0;
    let draws = draws(base, share, base_blocks).into_iter().zip(draws(new, share, new_blocks));
    let differences = draws.map(|(base, new)| new - base).collect();
    let p_value = p_value(deviation(&sides), blocks);
    Change::new(sides[0].quantile, sides[1].quantile, differences, p_value, blocks)
}

/// The smallest p-value that so many requests could give, were every new one slower than every one of the base, or every new one
/// faster: the larger of both. Below this nothing can be told of any change.
pub fn least_p_value(percent: f64, blocks: [&Blocks; 2]) -> f64 {
    let [base, new] = blocks.map(Blocks::requests);
    if base == 0 || new == 0 {
        return 1.0;
    }
    let lower = |count: usize| (0..count as u64).collect::<Vec<u64>>();
    let higher = |count: usize| (1 << 40..(1 << 40) + count as u64).collect::<Vec<u64>>();
    let p_value = |base: &[u64], new: &[u64]| {
        let sides = [Side::independent(base, percent), Side::independent(new, percent)];
        p_value(deviation(&sides), blocks)
    };
    p_value(&lower(base), &higher(new)).max(p_value(&higher(base), &lower(new)))
}

struct Side {
    share: f64,
    sorted: Vec<f64>,
    quantile: f64,
    /// How many independent requests tell as much.
    effective: f64,
}

impl Side {
    fn new(values: &[u64], percent: f64, blocks: &Blocks) -> Side {
        let mut side = Side::independent(values, percent);
        let below: Vec<f64> =
            values.iter().map(|value| f64::from(u8::from(*value as f64 <= side.quantile))).collect();
        let count = values.len() as f64;
        let share = below.iter().sum::<f64>() / count;
        let independent = count * share * (1.0 - share);
        // The design effect of cluster samples (Rao and Scott 1981).
        let design = if independent > 0.0 { blocks.variance_of_sum(&below) / independent } else { 1.0 };
        side.effective = count / design.max(1.0);
        side
    }

    fn independent(values: &[u64], percent: f64) -> Side {
        let mut sorted: Vec<f64> = values.iter().map(|value| *value as f64).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let quantile = stats::percentile(values, percent).unwrap_or_default() as f64;
        Side { share: percent / 100.0, sorted, quantile, effective: values.len() as f64 }
    }

    /// How much speaks against `value` being the quantile: twice the logarithm of the likelihood's ratio.
    fn doubt(&self, value: f64) -> f64 {
        let count = self.sorted.len() as f64;
        let below = self.sorted.partition_point(|other| *other < value) as f64 / count;
        let up_to = self.sorted.partition_point(|other| *other <= value) as f64 / count;
        // Of equal values, any share may count as below.
        let nearest = self.share.clamp(below, up_to);
        2.0 * self.effective * divergence(nearest, self.share)
    }
}

/// Kullback and Leibler's, of an event's shares.
fn divergence(found: f64, expected: f64) -> f64 {
    let term = |found: f64, expected: f64| if found > 0.0 { found * (found / expected).ln() } else { 0.0 };
    (term(found, expected) + term(1.0 - found, 1.0 - expected)).max(0.0)
}

/// How many standard errors lie between both sides having one quantile and what was found: the root of the empirical
/// likelihood's ratio (Owen, doi:10.1093/biomet/75.2.237), at the value that fits both best.
fn deviation([base, new]: &[Side; 2]) -> f64 {
    let (low, high) = (base.quantile.min(new.quantile), base.quantile.max(new.quantile));
    let between = |side: &Side| {
        let from = side.sorted.partition_point(|value| *value < low);
        let to = side.sorted.partition_point(|value| *value <= high);
        from..to
    };
    let candidates = base.sorted[between(base)].iter().chain(&new.sorted[between(new)]);
    let doubt = candidates.map(|value| base.doubt(*value) + new.doubt(*value)).fold(f64::INFINITY, f64::min);
    doubt.sqrt()
}

/// The quantile of each draw, by nearest rank.
fn draws(values: &[u64], share: f64, blocks: &Blocks) -> Vec<f64> {
    let mut sorted: Vec<(u64, usize)> = blocks
        .of(values)
        .enumerate()
        .flat_map(|(block, values)| values.iter().map(move |value| (*value, block)))
        .collect();
    sorted.sort_unstable();
    // How many of the values up to each are in each block.
    let mut counts = vec![0; blocks.len()];
    let up_to: Vec<Vec<usize>> = sorted
        .iter()
        .map(|(_, block)| {
            counts[*block] += 1;
            counts.clone()
        })
        .collect();
    blocks.draw(|times| {
        let rank = (share * blocks.drawn(times) as f64).ceil() as usize;
        let drawn = |counts: &Vec<usize>| {
            counts.iter().zip(times).map(|(count, n)| count * usize::from(*n)).sum::<usize>()
        };
        let index = up_to.partition_point(|counts| drawn(counts) < rank);
        sorted[index.min(sorted.len() - 1)].0 as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(base: &[u64], new: &[u64], percent: f64) -> Change {
        let (a, b) = (Blocks::new(base.len(), 1), Blocks::new(new.len(), 2));
        quantile(base, new, percent, [&a, &b])
    }

    #[test]
    fn quantiles_are_those_of_the_report() {
        let values: Vec<u64> = (1..=100).rev().collect();
        let same = change(&values, &values, 95.0);
        assert_eq!((same.base, same.new), (95.0, 95.0));
        assert_eq!(same.p_value, 1.0);
        assert!(same.interval.0 <= 0.0 && same.interval.1 >= 0.0);
    }

    #[test]
    fn a_shift_is_seen_as_what_it_is() {
        let base: Vec<u64> = (0..200).map(|i| 1_000 + i * 37 % 100).collect();
        let new: Vec<u64> = base.iter().map(|value| value + 200).collect();
        let median = change(&base, &new, 50.0);
        assert_eq!(median.difference(), 200.0);
        assert!(
            median.interval.0 > 150.0 && median.interval.1 < 250.0 && median.p_value < 1e-9,
            "{median:?}"
        );
    }

    #[test]
    fn a_few_outliers_are_no_change() {
        let base = [100; 50];
        let mut new = base;
        new[10..15].fill(900);
        let p95 = change(&base, &new, 95.0);
        assert_eq!(p95.difference(), 800.0);
        assert!(p95.p_value > 0.01, "{p95:?}");
    }

    #[test]
    fn waves_tell_less_than_as_many_independent_requests() {
        let wave =
            |seed: u64| (0..240u64).map(move |i| if (i / 10 * 7 + seed) % 5 < 2 { 200 + i } else { 100 + i });
        let (base, new): (Vec<u64>, Vec<u64>) =
            (wave(0).collect(), wave(1).map(|value| value + 40).collect());
        let scattered = |values: &[u64]| (0..240).map(|i| values[i * 77 % 240]).collect::<Vec<u64>>();
        let in_waves = change(&base, &new, 50.0).p_value;
        let independent = change(&scattered(&base), &scattered(&new), 50.0).p_value;
        assert!(in_waves > independent, "{in_waves} {independent}");
    }

    #[test]
    fn few_requests_cannot_tell() {
        let told = |count: usize, percent| {
            let (a, b) = (Blocks::new(count, 1), Blocks::new(count, 2));
            // Among the wall times of ten routes.
            least_p_value(percent, [&a, &b]) < crate::diff::FALSE_ALARMS / 2.0 / 40.0
        };
        // The help of `tracer diff` says some 20 and some 250.
        assert_eq!([0, 1, 5, 10, 20].map(|count| told(count, 50.0)), [false, false, false, false, true]);
        assert_eq!([20, 100, 200, 270].map(|count| told(count, 95.0)), [false, false, false, true]);
    }
}
