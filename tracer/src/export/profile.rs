//! The wall time of requests by stack, all of it.

use std::{
    collections::BTreeMap,
    ops::{AddAssign, Sub},
};

use super::{
    sequence::waits,
    stack::{Place, Stack},
};
use crate::{report::types::Request, request::call_tree::OnCpu};

/// What was measured of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    pub samples: u64,
    /// CPU time that its samples stand for, of parallel threads added up.
    pub cpu_ns: u64,
    /// Of all stacks it sums to the wall time.
    pub wall_ns: u64,
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Weight) {
        self.samples = self.samples.saturating_add(other.samples);
        self.cpu_ns = self.cpu_ns.saturating_add(other.cpu_ns);
        self.wall_ns = self.wall_ns.saturating_add(other.wall_ns);
    }
}

/// The wall time of all these requests, by stack. Time on CPU is shared out among the stacks that samples of them found, as
/// those tell; where there were none it has no functions. A wait has those that began the call it is for, where they are known.
pub fn of<'a>(requests: &[&'a Request]) -> Vec<(Stack<'a>, Weight)> {
    let mut stacks = BTreeMap::<Stack, Weight>::new();
    for cause in OnCpu::ALL {
        for (stack, weight) in on_cpu(requests, cause) {
            *stacks.entry(stack).or_default() += weight;
        }
    }
    for request in requests {
        for wait in waits(request) {
            let wall_ns = wait.segment.end_ns.saturating_sub(wait.segment.start_ns);
            *stacks.entry(wait.stack()).or_default() += Weight { wall_ns, ..Weight::default() };
        }
    }
    stacks.retain(|_, weight| *weight != Weight::default());
    stacks.into_iter().collect()
}

fn on_cpu<'a>(requests: &[&'a Request], cause: OnCpu) -> Vec<(Stack<'a>, Weight)> {
    let mut sampled = BTreeMap::<Vec<Place>, (u64, u64)>::new();
    for request in requests {
        let own = request.stacks.iter();
        let own = own.map(|(stack, own)| (stack.into_iter().map(Place::from).collect(), own));
        for (stack, counts) in own.chain([(Vec::new(), request.stacks.cut())]) {
            let (samples, cpu_ns) = sampled.entry(stack).or_default();
            *samples += counts.get(cause);
            *cpu_ns += counts.get(cause) * request.stacks.sample_ns();
        }
    }
    let segments = requests.iter().flat_map(|request| &request.timeline);
    let wall_ns = segments
        .filter(|segment| segment.bucket == cause.bucket())
        .fold(0, |sum: u64, segment| sum.saturating_add(segment.end_ns.saturating_sub(segment.start_ns)));
    let times_ns: Vec<u64> = sampled.values().map(|(_, cpu_ns)| *cpu_ns).collect();
    let shares = share_out(wall_ns, &times_ns);
    let stack = |frames| Stack { frames, bucket: cause.bucket(), vendor: None };
    let weighed =
        |((frames, (samples, cpu_ns)), wall_ns)| (stack(frames), Weight { samples, cpu_ns, wall_ns });
    sampled.into_iter().zip(shares).map(weighed).collect()
}

/// Parts of the whole in the proportions of these, which sum to it; where all are 0 the first gets it, which is the stack
/// without functions.
fn share_out(whole: u64, proportions: &[u64]) -> Vec<u64> {
    let sum: u128 = proportions.iter().copied().map(u128::from).sum();
    let bound = |upto: u128| (u128::from(whole) * upto).checked_div(sum).unwrap_or(u128::from(whole)) as u64;
    let mut upto = 0;
    let mut given = 0;
    let shares = proportions.iter().map(|part| {
        upto += u128::from(*part);
        let share = bound(upto).sub(given);
        given += share;
        share
    });
    shares.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{self, MS},
        report::{bucket::Bucket, types::Segment},
    };

    #[test]
    fn shares_sum_to_the_whole() {
        assert_eq!(share_out(100, &[0, 1, 1, 1]), [0, 33, 33, 34]);
        assert_eq!(share_out(7, &[0, 0]), [7, 0]);
        assert_eq!(share_out(u64::MAX, &[1, u64::MAX]).iter().sum::<u64>(), u64::MAX);
        assert!(share_out(5, &[]).is_empty());
    }

    #[test]
    fn what_was_not_sampled_has_the_bucket_alone() {
        let mut request = cases::request("/a", 0, &[(Bucket::PythonCpu, 3), (Bucket::LlmFirstByte, 40)]);
        let phase = Segment { start_ns: 2 * MS, end_ns: 43 * MS, bucket: Bucket::LlmFirstByte };
        request.calls =
            vec![crate::report::types::Call { phases: vec![phase], ..cases::call("x", &request, 2, 41) }];
        let found: Vec<_> = of(&[&request])
            .into_iter()
            .map(|(stack, weight)| (stack.leaf(), stack.vendor, weight.wall_ns / MS))
            .collect();
        assert_eq!(
            found,
            [
                (Some("[llm.first_byte]".to_owned()), Some("openai"), 40),
                (Some("[python.cpu]".to_owned()), None, 3),
            ]
        );
    }
}
