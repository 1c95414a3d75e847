//! Who kept the event loop while a request waited for it.

use std::cmp::Reverse;

use foldhash::HashMap;

use crate::{
    finding::loop_wait::{Threads, waits},
    report::{
        group,
        types::{Delay, Function, Request},
    },
};

/// Delays that are reported of a request, the longest.
const LIMIT: usize = 20;

/// Shorter ones are how a loop works.
const LEAST_NS: u64 = 1_000_000;

/// Fills in what delayed each request: others of these, and those that finished before.
pub fn fill_in(requests: &mut [Request], before: &[&Request]) {
    let all = of_requests(requests, before);
    for (request, delays) in requests.iter_mut().zip(all) {
        request.delays = delays;
    }
}

fn of_requests(requests: &[Request], before: &[&Request]) -> Vec<Vec<Delay>> {
    let threads = Threads::new(before.iter().copied().chain(requests));
    requests.iter().map(|request| of_request(request, &threads)).collect()
}

fn of_request(waiting: &Request, threads: &Threads) -> Vec<Delay> {
    // By the request that it waits for, and the function that this ran.
    let mut waits_ns =
        HashMap::<(&str, Option<(&str, &str, u32)>), (&Request, Option<&Function>, u64)>::default();
    for (busy, wait_ns) in waits(waiting).flat_map(|wait| threads.during(waiting, wait)) {
        let function =
            busy.function.map(|Function { function, file, line, .. }| (&**function, &**file, *line));
        let (_, _, sum_ns) =
            waits_ns.entry((&busy.request.id, function)).or_insert((busy.request, busy.function, 0));
        *sum_ns = sum_ns.saturating_add(wait_ns);
    }
    let mut longest: Vec<_> =
        waits_ns.into_iter().filter(|(_, (_, _, wait_ns))| *wait_ns >= LEAST_NS).collect();
    longest.sort_unstable_by_key(|(key, (_, _, wait_ns))| (Reverse(*wait_ns), *key));
    longest.truncate(LIMIT);
    let delay = |(_, (request, function, wait_ns)): (_, (&Request, Option<&Function>, u64))| Delay {
        request: request.id.clone(),
        route: group::label(request),
        function: function.map(Function::frame),
        wait_ns,
    };
    longest.into_iter().map(delay).collect()
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
        fill_in(&mut report.requests, &[]);
        let delays: Vec<_> =
            report.requests[0].delays.iter().map(|delay| (delay.route.as_str(), delay.wait_ns)).collect();
        assert_eq!(delays, [("GET /compute", 60 * MS), ("GET /short", 12 * MS)]);
        assert!(report.requests[1].delays.is_empty());
    }
}
