//! Blocks of requests that followed each other, and drawing them again.

use std::ops::Range;

/// The most blocks that a series is cut into: enough to know how much they vary, and each still long enough to hold what comes and
/// goes within a sixteenth of the recording.
const MOST: usize = 16;

/// How often the blocks are drawn again. The bounds of an interval then vary by a fortieth of its width.
const DRAWS: usize = 2_000;

/// How a series of so many requests is cut, and which blocks each draw takes.
#[derive(Clone, Debug)]
pub struct Blocks {
    ranges: Vec<Range<usize>>,
    /// For each draw, how often it has each block.
    draws: Vec<Vec<u16>>,
}

impl Blocks {
    /// Of `requests` in their order of time. The same seed gives the same draws.
    pub fn new(requests: usize, seed: u64) -> Blocks {
        let count = requests.min(MOST);
        let bound = |index| index * requests / count;
        let ranges: Vec<Range<usize>> = (0..count).map(|index| bound(index)..bound(index + 1)).collect();
        let mut random = fastrand::Rng::with_seed(seed);
        let draws = (0..DRAWS).map(|_| {
            let mut times = vec![0; count];
            (0..count).for_each(|_| times[random.usize(..count)] += 1);
            times
        });
        Blocks { draws: draws.collect(), ranges }
    }

    /// Number of blocks.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Number of requests.
    pub fn requests(&self) -> usize {
        self.ranges.last().map_or(0, |range| range.end)
    }

    /// The values of each block.
    pub fn of<'a, T>(&'a self, values: &'a [T]) -> impl Iterator<Item = &'a [T]> {
        self.ranges.iter().map(|range| &values[range.clone()])
    }

    /// What `statistic` is for each draw, by how often it has each block.
    pub fn draw(&self, statistic: impl Fn(&[u16]) -> f64) -> Vec<f64> {
        self.draws.iter().map(|times| statistic(times)).collect()
    }

    /// The requests of a draw.
    pub fn drawn(&self, times: &[u16]) -> usize {
        self.ranges.iter().zip(times).map(|(range, times)| range.len() * usize::from(*times)).sum()
    }

    /// The variance of the sum of a series, as the sums of its blocks vary; 0 where there is but one.
    pub fn variance_of_sum(&self, values: &[f64]) -> f64 {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviations =
            self.of(values).map(|block| (block.iter().sum::<f64>() - mean * block.len() as f64).powi(2));
        let count = self.len() as f64;
        if self.len() < 2 { 0.0 } else { deviations.sum::<f64>() * count / (count - 1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_in_one_block() {
        for requests in [0, 1, 7, 24, 25, 1_000] {
            let blocks = Blocks::new(requests, 1);
            assert_eq!((blocks.requests(), blocks.len()), (requests, requests.min(MOST)));
            let values: Vec<f64> = (0..requests).map(|value| value as f64).collect();
            assert_eq!(blocks.of(&values).flatten().copied().collect::<Vec<f64>>(), values);
        }
    }

    #[test]
    fn a_draw_has_as_many_blocks_as_there_are_and_a_seed_repeats_it() {
        let count = |times: &[u16]| times.iter().map(|times| f64::from(*times)).sum();
        assert!(Blocks::new(100, 7).draw(count).iter().all(|count| *count == MOST as f64));
        let first = |times: &[u16]| f64::from(times[0]);
        assert_eq!(Blocks::new(100, 7).draw(first), Blocks::new(100, 7).draw(first));
        assert_ne!(Blocks::new(100, 7).draw(first), Blocks::new(100, 8).draw(first));
    }

    #[test]
    fn the_sum_of_what_comes_in_waves_varies_more() {
        let blocks = Blocks::new(240, 1);
        let alternating: Vec<f64> = (0..240).map(|i| f64::from(i % 2)).collect();
        let waves: Vec<f64> = (0..240).map(|i| f64::from(i / 15 % 2)).collect();
        assert!(blocks.variance_of_sum(&alternating) < 5.0);
        assert!(blocks.variance_of_sum(&waves) > 300.0);
    }
}
