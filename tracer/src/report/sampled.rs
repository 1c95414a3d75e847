//! Time on CPU that no probe tells apart, but samples do: each stands for as much time around it.

use super::{bucket::Bucket, types::Segment};
use crate::request::{Request, split::push};

/// Gives part of a request's [`Bucket::PythonCpu`] to the buckets of which only samples tell, and to imports of which the probes
/// did not. Times are as in events. Each sample stands for `sample_ns`.
pub fn divide(request: &Request, sampled: &[Bucket], sample_ns: u64, timeline: Vec<Segment>) -> Vec<Segment> {
    let is_missed = |at_ns: u64, bucket: Bucket| {
        let segment_at = |at_ns: u64| {
            let behind = timeline.partition_point(|segment| segment.start_ns <= at_ns);
            behind.checked_sub(1).map(|index| &timeline[index]).filter(|segment| at_ns < segment.end_ns)
        };
        bucket == Bucket::PythonImport
            && segment_at(at_ns).is_some_and(|segment| segment.bucket == Bucket::PythonCpu)
    };
    let samples = request.stacks.timed().iter().map(|timed| (timed.at_ns, timed.cause.bucket()));
    let mut samples: Vec<(u64, Bucket)> =
        samples.filter(|(at_ns, bucket)| sampled.contains(bucket) || is_missed(*at_ns, *bucket)).collect();
    if samples.is_empty() {
        return timeline;
    }
    samples.sort_unstable_by_key(|(at_ns, _)| *at_ns);
    cut(&timeline, &stretches(&timeline, &samples, sample_ns))
}

/// A stretch of the time in [`Bucket::PythonCpu`], counted from its first nanosecond as if nothing came between.
struct Stretch {
    from_ns: u64,
    to_ns: u64,
    bucket: Bucket,
}

/// What samples stand for: as much time before as behind each, as far as there is some that no other one stands for.
fn stretches(timeline: &[Segment], samples: &[(u64, Bucket)], sample_ns: u64) -> Vec<Stretch> {
    let on_cpu: Vec<&Segment> =
        timeline.iter().filter(|segment| segment.bucket == Bucket::PythonCpu).collect();
    let mut total_ns = 0;
    let before_ns: Vec<u64> = on_cpu
        .iter()
        .map(|segment| {
            let before_ns = total_ns;
            total_ns += segment.end_ns - segment.start_ns;
            before_ns
        })
        .collect();
    let mut stretches = Vec::<Stretch>::with_capacity(samples.len());
    for (at_ns, bucket) in samples {
        let behind = on_cpu.partition_point(|segment| segment.start_ns <= *at_ns);
        let so_far_ns = behind
            .checked_sub(1)
            .map_or(0, |index| before_ns[index] + on_cpu[index].end_ns.min(*at_ns) - on_cpu[index].start_ns);
        let taken_ns = stretches.last().map_or(0, |last| last.to_ns);
        let latest_ns = total_ns.saturating_sub(sample_ns);
        let from_ns = so_far_ns.saturating_sub(sample_ns / 2).min(latest_ns).max(taken_ns);
        let to_ns = (from_ns + sample_ns).min(total_ns);
        stretches.push(Stretch { from_ns, to_ns, bucket: *bucket });
    }
    stretches
}

/// The timeline with those stretches in their buckets.
fn cut(timeline: &[Segment], stretches: &[Stretch]) -> Vec<Segment> {
    let mut segments = Vec::with_capacity(timeline.len() + 2 * stretches.len());
    let mut stretches = stretches.iter().peekable();
    let mut done_ns = 0;
    for segment in timeline {
        if segment.bucket != Bucket::PythonCpu {
            push(&mut segments, segment.start_ns, segment.end_ns, segment.bucket);
            continue;
        }
        let mut at_ns = segment.start_ns;
        while at_ns < segment.end_ns {
            while stretches.next_if(|stretch| stretch.to_ns <= done_ns).is_some() {}
            let (until_ns, bucket) = match stretches.peek() {
                Some(stretch) if stretch.from_ns <= done_ns => (stretch.to_ns, stretch.bucket),
                Some(stretch) => (stretch.from_ns, Bucket::PythonCpu),
                None => (u64::MAX, Bucket::PythonCpu),
            };
            let length_ns = (until_ns - done_ns).min(segment.end_ns - at_ns);
            push(&mut segments, at_ns, at_ns + length_ns, bucket);
            at_ns += length_ns;
            done_ns += length_ns;
        }
    }
    segments
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::functions::SAMPLE_NS;

    const MS: u64 = 1_000_000;

    fn segment(start_ms: u64, end_ms: u64, bucket: Bucket) -> Segment {
        Segment { start_ns: start_ms * MS, end_ns: end_ms * MS, bucket }
    }

    fn divided(timeline: &[Segment], samples: &[(u64, Bucket)]) -> Vec<Segment> {
        cut(timeline, &stretches(timeline, samples, SAMPLE_NS))
    }

    fn sum(segments: &[Segment], bucket: Bucket) -> u64 {
        segments.iter().filter(|of| of.bucket == bucket).map(|of| of.end_ns - of.start_ns).sum()
    }

    #[test]
    fn a_sample_stands_for_as_much_time_around_it() {
        let timeline = [segment(0, 20, Bucket::PythonCpu), segment(20, 30, Bucket::WaitGil)];
        let found = divided(&timeline, &[(10 * MS, Bucket::PythonGc)]);
        let from_ns = 10 * MS - SAMPLE_NS / 2;
        let expected = [
            Segment { start_ns: 0, end_ns: from_ns, bucket: Bucket::PythonCpu },
            Segment { start_ns: from_ns, end_ns: from_ns + SAMPLE_NS, bucket: Bucket::PythonGc },
            Segment { start_ns: from_ns + SAMPLE_NS, end_ns: 20 * MS, bucket: Bucket::PythonCpu },
            segment(20, 30, Bucket::WaitGil),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn waits_between_are_no_part_of_it() {
        let timeline = [
            segment(0, 1, Bucket::PythonCpu),
            segment(1, 50, Bucket::WaitLoop),
            segment(50, 60, Bucket::PythonCpu),
        ];
        let found = divided(&timeline, &[(51 * MS, Bucket::PythonImport)]);
        assert_eq!(sum(&found, Bucket::PythonImport), SAMPLE_NS);
        assert_eq!(found[0], segment(0, 1, Bucket::PythonImport));
        assert_eq!(found[1], timeline[1]);
    }

    #[test]
    fn more_than_there_is_cant_be_given_away() {
        let timeline = [segment(0, 2, Bucket::PythonCpu)];
        let found = divided(&timeline, &[(MS, Bucket::PythonGc), (2 * MS, Bucket::PythonImport)]);
        assert_eq!(found, [segment(0, 2, Bucket::PythonGc)]);
        assert_eq!(
            divided(&[segment(0, 2, Bucket::WaitGil)], &[(MS, Bucket::PythonGc)]),
            [segment(0, 2, Bucket::WaitGil)]
        );
    }

    proptest! {
        #[test]
        fn only_time_on_cpu_changes_its_bucket(
            lengths in prop::collection::vec((1u64..20, any::<bool>()), 1..30),
            mut samples in prop::collection::vec((0u64..400, any::<bool>()), 0..60),
        ) {
            let mut timeline = Vec::new();
            let mut at_ms = 0;
            for (length_ms, is_cpu) in lengths {
                let bucket = if is_cpu { Bucket::PythonCpu } else { Bucket::WaitLoop };
                push(&mut timeline, at_ms * MS, (at_ms + length_ms) * MS, bucket);
                at_ms += length_ms;
            }
            samples.sort();
            let samples: Vec<(u64, Bucket)> = samples
                .iter()
                .map(|(at_ms, gc)| (at_ms * MS, if *gc { Bucket::PythonGc } else { Bucket::PythonImport }))
                .collect();
            let found = divided(&timeline, &samples);
            let mut end_ns = 0;
            for segment in &found {
                prop_assert_eq!(segment.start_ns, end_ns);
                prop_assert!(segment.start_ns < segment.end_ns);
                end_ns = segment.end_ns;
            }
            prop_assert_eq!(end_ns, at_ms * MS);
            let [gc, import, cpu] = [Bucket::PythonGc, Bucket::PythonImport, Bucket::PythonCpu]
                .map(|bucket| sum(&found, bucket));
            prop_assert_eq!(sum(&found, Bucket::WaitLoop), sum(&timeline, Bucket::WaitLoop));
            prop_assert_eq!(gc + import + cpu, sum(&timeline, Bucket::PythonCpu));
            prop_assert!(gc + import <= samples.len() as u64 * SAMPLE_NS);
        }
    }
}
