//! Durations by size, small enough to be kept for every minute and quick enough to add up over weeks.

use super::varint;

/// Places that a power of two is divided into: a value is known to 1/32 of itself.
const PLACES: u64 = 32;
const PLACE_BITS: u32 = PLACES.trailing_zeros();

/// How often values occurred, by the place that they fall into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By place; without zeros at the end.
    counts: Vec<u64>,
}

impl Histogram {
    pub fn add(&mut self, value: u64) {
        self.add_to(place(value), 1);
    }

    pub fn merge(&mut self, other: &Histogram) {
        for (place, count) in other.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            self.add_to(place, *count);
        }
    }

    /// Adds what [`Histogram::encode`] gave. Bytes that are none of that change nothing more.
    pub fn merge_encoded(&mut self, bytes: &[u8]) {
        let mut numbers = varint::decode(bytes);
        let mut place = 0_usize;
        while let (Some(distance), Some(count)) = (numbers.next(), numbers.next()) {
            place = place.saturating_add(usize::try_from(distance).unwrap_or(usize::MAX));
            if place > self::place(u64::MAX) {
                return;
            }
            self.add_to(place, count);
        }
    }

    /// For each place that has values, the distance from the last such place, and how many.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut last = 0;
        for (place, count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            varint::encode(&mut bytes, (place - last) as u64);
            varint::encode(&mut bytes, *count);
            last = place;
        }
        bytes
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value at or below which `percent` of the values lie, by nearest rank, to within 1/64. `None` without values.
    pub fn percentile(&self, percent: f64) -> Option<u64> {
        let rank = (percent.clamp(0.0, 100.0) / 100.0 * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(middle(place))
    }

    fn add_to(&mut self, place: usize, count: u64) {
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] = self.counts[place].saturating_add(count);
    }
}

/// Below [`PLACES`] every value has its own; from there on each power of two has so many.
fn place(value: u64) -> usize {
    if value < PLACES {
        return value as usize;
    }
    let shift = value.ilog2() - PLACE_BITS;
    ((u64::from(shift) << PLACE_BITS) + (value >> shift)) as usize
}

/// The middle of the values of a place.
fn middle(place: usize) -> u64 {
    let place = place as u64;
    if place < 2 * PLACES {
        return place;
    }
    let shift = (place >> PLACE_BITS) - 1;
    let first = (PLACES + place % PLACES) << shift;
    first + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::stats;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        values.iter().for_each(|value| histogram.add(*value));
        histogram
    }

    #[test]
    fn none_and_the_largest() {
        assert_eq!(Histogram::default().percentile(50.0), None);
        assert_eq!(of(&[0, 1, 31]).percentile(0.0), Some(0));
        assert!(of(&[u64::MAX]).percentile(99.0).is_some_and(|value| value > u64::MAX / 64 * 63));
    }

    proptest! {
        #[test]
        fn percentiles_are_right_to_a_64th(
            values in prop::collection::vec(0..u64::MAX, 1..200),
            percent in 0.0..100.0,
        ) {
            let exact = stats::percentile(&values, percent).expect("there are some");
            let found = of(&values).percentile(percent).expect("there are some");
            prop_assert!(found.abs_diff(exact) <= exact / 64 + 1, "{found} for {exact}");
        }

        #[test]
        fn parts_add_up_to_the_whole(
            one in prop::collection::vec(any::<u64>(), 0..50),
            other in prop::collection::vec(any::<u64>(), 0..50),
        ) {
            let mut merged = of(&one);
            merged.merge_encoded(&of(&other).encode());
            let whole = of(&[one, other].concat());
            prop_assert_eq!(merged, whole);
        }

        #[test]
        fn other_bytes_are_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut histogram = Histogram::default();
            histogram.merge_encoded(&bytes);
            prop_assert!(histogram.counts.len() <= place(u64::MAX) + 1);
        }
    }
}
