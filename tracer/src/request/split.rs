//! Every nanosecond of a request's wall time goes to exactly one bucket.

use crate::{
    report::{bucket::Bucket, types::Segment},
    request::claim::{Claim, Rank},
};

/// Splits the interval from `from_ns` to `to_ns` into segments without gaps, in order, neighbours in different
/// buckets. Where no claim holds, the time is [`Bucket::Unattributed`]. Segment times are as in the claims.
pub fn split(claims: &[Claim], from_ns: u64, to_ns: u64) -> Vec<Segment> {
    let mut edges: Vec<(u64, i32, Rank)> = Vec::with_capacity(claims.len() * 2);
    for claim in claims {
        let (start_ns, end_ns) = (claim.start_ns.max(from_ns), claim.end_ns.min(to_ns));
        if start_ns < end_ns {
            edges.push((start_ns, 1, claim.rank));
            edges.push((end_ns, -1, claim.rank));
        }
    }
    edges.sort_unstable_by_key(|edge| edge.0);

    let mut segments = Vec::new();
    let mut holding = [0i32; Rank::COUNT];
    let mut since_ns = from_ns;
    for (at_ns, change, rank) in edges {
        push(&mut segments, since_ns, at_ns, first(&holding));
        since_ns = at_ns;
        holding[rank as usize] += change;
    }
    push(&mut segments, since_ns, to_ns, first(&holding));
    segments
}

fn first(holding: &[i32; Rank::COUNT]) -> Bucket {
    Rank::ALL.into_iter().find(|rank| holding[*rank as usize] > 0).map_or(Bucket::Unattributed, Rank::bucket)
}

/// Adds a segment that follows the last one, or makes that longer; one of no length is none.
pub fn push(segments: &mut Vec<Segment>, start_ns: u64, end_ns: u64, bucket: Bucket) {
    if start_ns >= end_ns {
        return;
    }
    match segments.last_mut() {
        Some(last) if last.bucket == bucket && last.end_ns == start_ns => last.end_ns = end_ns,
        _ => segments.push(Segment { start_ns, end_ns, bucket }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claim(start_ns: u64, end_ns: u64, rank: Rank) -> Claim {
        Claim { start_ns, end_ns, rank }
    }

    #[test]
    fn cpu_takes_time_from_a_vendor_wait_and_gaps_are_unattributed() {
        let claims = [claim(10, 50, Rank::FirstByte), claim(20, 30, Rank::Cpu)];
        let segments = split(&claims, 0, 60);
        let expected = [
            (0, 10, Bucket::Unattributed),
            (10, 20, Bucket::LlmFirstByte),
            (20, 30, Bucket::PythonCpu),
            (30, 50, Bucket::LlmFirstByte),
            (50, 60, Bucket::Unattributed),
        ];
        assert_eq!(segments, expected.map(|(start_ns, end_ns, bucket)| Segment { start_ns, end_ns, bucket }));
    }

    #[test]
    fn an_empty_interval_has_no_segments() {
        assert!(split(&[claim(0, 10, Rank::Cpu)], 5, 5).is_empty());
    }

    proptest! {
        #[test]
        fn segments_cover_the_interval_exactly(
            intervals in prop::collection::vec((0u64..1000, 0u64..1000, 0usize..Rank::COUNT), 0..40),
            from_ns in 0u64..500,
            length_ns in 0u64..700,
        ) {
            let claims: Vec<Claim> =
                intervals.into_iter().map(|(start, end, rank)| claim(start, end, Rank::ALL[rank])).collect();
            let to_ns = from_ns + length_ns;
            let segments = split(&claims, from_ns, to_ns);
            let mut at_ns = from_ns;
            for segment in &segments {
                prop_assert_eq!(segment.start_ns, at_ns);
                at_ns = segment.end_ns;
                // The bucket is that of the first claim in rank that covers the segment.
                let middle_ns = segment.start_ns;
                let rank = claims
                    .iter()
                    .filter(|claim| claim.start_ns <= middle_ns && middle_ns < claim.end_ns)
                    .map(|claim| claim.rank)
                    .min();
                prop_assert_eq!(segment.bucket, rank.map_or(Bucket::Unattributed, Rank::bucket));
            }
            prop_assert_eq!(at_ns, to_ns);
        }
    }
}
