//! What a request's threads and tasks waited in, as parts of its wall time.

use std::{cmp::Reverse, collections::BTreeMap};

use crate::{
    event::Function,
    report::{
        bucket::Bucket,
        types::{Frame, Segment, Wait, Waited},
    },
    request::{FunctionId, Request, call_tree::NodeId, waits},
};

/// Waits that are reported of a request: those that took most.
const LIMIT: usize = 20;

/// Waits by who waited and for what, the longest first, and which pieces of the timeline are which. Times of the timeline are
/// those of events; `names` are the capture's functions by number.
pub fn of(request: &Request, names: &[Function], timeline: &[Segment]) -> (Vec<Wait>, Vec<Waited>) {
    let mut slept: Vec<&waits::Wait> = request.waits.list().iter().collect();
    slept.sort_by_key(|wait| wait.span.start_ns);
    let mut slept = slept.into_iter().peekable();
    let mut under_way = Vec::<&waits::Wait>::new();
    let mut sums = BTreeMap::<(Bucket, NodeId), (Wait, Vec<u64>)>::new();
    for segment in timeline {
        under_way.extend(std::iter::from_fn(|| slept.next_if(|wait| wait.span.start_ns < segment.end_ns)));
        under_way.retain(|wait| wait.span.end_ns > segment.start_ns);
        // Of several for the same, the last begun.
        let Some(wait) = under_way.iter().rev().find(|wait| wait.may_be(segment.bucket)) else { continue };
        let (sum, starts_ns) = sums.entry((segment.bucket, wait.node)).or_insert_with(|| {
            let name = |number: FunctionId| names.get(number.0 as usize).map(Frame::from);
            let stack = request.waits.stack(wait).filter_map(name).collect();
            (Wait { bucket: segment.bucket.name().to_owned(), stack, wait_ns: 0, times: 0 }, Vec::new())
        });
        sum.wait_ns = sum.wait_ns.saturating_add(segment.end_ns - segment.start_ns);
        sum.times += 1;
        starts_ns.push(segment.start_ns.saturating_sub(request.start_ns));
    }
    let mut sums: Vec<(Wait, Vec<u64>)> = sums.into_values().collect();
    sums.sort_by_key(|(wait, _)| Reverse(wait.wait_ns));
    sums.truncate(LIMIT);
    let (waits, starts_ns): (Vec<Wait>, Vec<Vec<u64>>) = sums.into_iter().unzip();
    let pieces = starts_ns.into_iter().enumerate();
    let pieces = pieces
        .flat_map(|(wait, starts_ns)| starts_ns.into_iter().map(move |start_ns| Waited { start_ns, wait }));
    let mut waited: Vec<Waited> = pieces.collect();
    waited.sort_by_key(|waited| waited.start_ns);
    (waits, waited)
}
