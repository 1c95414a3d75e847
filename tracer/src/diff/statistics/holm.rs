//! Many comparisons at once: among a hundred, one differs by chance as only one in a hundred does.

/// Holm's correction: p-values that may be held against one level, for which the probability of a single false alarm among all
/// is then no more than the level.
pub fn adjust(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 0.0f64;
    for (rank, index) in order.into_iter().enumerate() {
        least = least.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_counts_for_all_and_the_next_for_one_less() {
        assert_eq!(adjust(&[0.01, 0.3, 0.02]), vec![0.03, 0.3, 0.04]);
        assert_eq!(adjust(&[0.5, 0.9]), vec![1.0, 1.0]);
        assert_eq!(adjust(&[]), Vec::<f64>::new());
    }
}
