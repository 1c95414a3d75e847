//! Who kept the event loop while a request waited for it.

use std::collections::BTreeMap;

use crate::{
    finding::loop_wait::{Threads, waits},
    report::{
        group,
        types::{Delay, Frame, Function, Report},
    },
};

/// Delays that are reported of a request, the longest.
const LIMIT: usize = 20;

/// Shorter ones are how a loop works.
const LEAST_NS: u64 = 1_000_000;

/// Fills in what delayed each request.
pub fn fill_in(report: &mut Report) {
    let mut delays = of_requests(report);
    for request in &mut report.requests {
        request.delays = delays.remove(&request.id).unwrap_or_default();
    }
}

fn of_requests(report: &Report) -> BTreeMap<String, Vec<Delay>> {
    let threads = Threads::new(report);
    // By the request that waits, the one that it waits for, and what that ran.
    let mut delays = BTreeMap::<&str, BTreeMap<(&str, Option<String>), Delay>>::new();
    for (waiting, wait) in waits(report) {
        for (busy, wait_ns) in threads.during(waiting, wait) {
            let function = busy.function.map(Function::frame);
            let key = (busy.request.id.as_str(), function.as_ref().map(Frame::label));
            let delay = delays.entry(&waiting.id).or_default().entry(key).or_insert_with(|| Delay {
                request: busy.request.id.clone(),
                route: group::label(busy.request),
                function,
                wait_ns: 0,
            });
            delay.wait_ns = delay.wait_ns.saturating_add(wait_ns);
        }
    }
    let longest = |delays: BTreeMap<_, Delay>| {
        let mut delays: Vec<Delay> = delays.into_values().filter(|delay| delay.wait_ns >= LEAST_NS).collect();
        delays.sort_by_key(|delay| std::cmp::Reverse(delay.wait_ns));
        delays.truncate(LIMIT);
        delays
    };
    delays.into_iter().map(|(request, delays)| (request.to_owned(), longest(delays))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::{bucket::Bucket, types::Step},
    };

    #[test]
    fn the_step_that_kept_the_loop_is_named_with_its_share() {
        let mut waiting = request("/quick", 5, &[(Bucket::WaitLoop, 80), (Bucket::PythonCpu, 1)]);
        waiting.steps = vec![Step { start_ns: 80 * MS, end_ns: 81 * MS, context: 0, tid: 1, function: None }];
        let long = request("/compute", 6, &[(Bucket::PythonCpu, 60)]);
        let short = request("/short", 67, &[(Bucket::PythonCpu, 12)]);
        let mut report = report([waiting, long, short]);
        fill_in(&mut report);
        let delays: Vec<_> =
            report.requests[0].delays.iter().map(|delay| (delay.route.as_str(), delay.wait_ns)).collect();
        assert_eq!(delays, [("GET /compute", 60 * MS), ("GET /short", 12 * MS)]);
        assert!(report.requests[1].delays.is_empty());
    }
}
