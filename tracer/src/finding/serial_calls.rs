//! Calls of one request that follow each other, and perhaps need not.

use serde_json::json;

use super::evidence;
use crate::report::{
    group::{self, Group, Side},
    stats,
    types::{Call, Finding, Report, Request},
};

/// Below this share of the route's wall time there is nothing worth the change.
const LEAST_SHARE: f64 = 0.05;

/// The cost of a request is what its longest chain of calls would save if they ran at once: their sum
/// without the longest. Whether one needs the answer of another can't be seen, so the finding asks.
pub fn check(report: &Report) -> Vec<Finding> {
    group::by_route(&report.requests).iter().filter_map(of_route).collect()
}

fn of_route(group: &Group) -> Option<Finding> {
    let chains: Vec<Vec<&Call>> =
        group.requests.iter().filter_map(|request| costliest_chain(request)).collect();
    let cost_ns = stats::sum(chains.iter().map(|chain| cost_ns(chain)));
    let longest = chains.iter().max_by_key(|chain| chain.len())?;
    let share = stats::ratio(cost_ns, group.wall_ns());
    if share < LEAST_SHARE {
        return None;
    }
    let mut hosts: Vec<&str> = longest.iter().filter_map(|call| call.host.as_deref()).collect();
    hosts.dedup();
    Some(Finding {
        kind: "serial_calls".to_owned(),
        side: Side::Own,
        title: format!(
            "{} makes up to {} calls one after the other: could they overlap?",
            group.label,
            longest.len()
        ),
        requests: chains.len() as u64,
        cost_ns,
        evidence: evidence([
            ("route", json!(group.label)),
            ("calls", json!(longest.len())),
            ("hosts", json!(hosts)),
            ("share", json!(share)),
        ]),
        advice: "Does each call need the answer of the one before? If not, start them together with \
                 `asyncio.gather(...)` or a thread pool."
            .to_owned(),
    })
}

/// Of the runs of calls that each stand alone in time, the one that would gain most. Calls that overlap are
/// no candidates, for whoever makes them knows how to; nor are retries, which must wait.
fn costliest_chain(request: &Request) -> Option<Vec<&Call>> {
    let mut calls: Vec<&Call> = request.calls.iter().filter(|call| call.attempt <= 1).collect();
    calls.sort_by_key(|call| call.start_ns);
    let mut batches: Vec<Vec<&Call>> = Vec::new();
    let mut last_end_ns = 0;
    for call in calls {
        match batches.last_mut() {
            Some(batch) if call.start_ns < last_end_ns => batch.push(call),
            _ => batches.push(vec![call]),
        }
        last_end_ns = last_end_ns.max(call.start_ns.saturating_add(call.wall_ns));
    }
    let chains = batches.split(|batch| batch.len() > 1).filter(|chain| chain.len() > 1);
    chains.map(<[Vec<&Call>]>::concat).max_by_key(|chain| cost_ns(chain))
}

fn cost_ns(chain: &[&Call]) -> u64 {
    let sum_ns = stats::sum(chain.iter().map(|call| call.wall_ns));
    sum_ns - chain.iter().map(|call| call.wall_ns).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, call, report, request},
        report::bucket::Bucket,
    };

    fn with_calls(spans_ms: &[(u64, u64)]) -> Request {
        let mut request = request("/many", 0, &[(Bucket::LlmFirstByte, 100)]);
        request.calls = spans_ms
            .iter()
            .map(|(at_ms, wall_ms)| call("api.openai.com", &request, *at_ms, *wall_ms))
            .collect();
        request
    }

    #[test]
    fn calls_in_a_row_are_asked_about() {
        let findings = check(&report([with_calls(&[(0, 30), (30, 40), (75, 20)])]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].cost_ns, 50 * MS);
        assert_eq!(findings[0].evidence["calls"], 3);
        assert!(findings[0].title.ends_with('?'));
    }

    #[test]
    fn calls_that_overlap_part_a_chain() {
        let request = with_calls(&[(0, 10), (10, 10), (20, 40), (25, 30), (30, 20), (60, 5), (65, 5)]);
        let findings = check(&report([request]));
        assert_eq!(findings[0].evidence["calls"], 2);
        assert_eq!(findings[0].cost_ns, 10 * MS);
    }

    #[test]
    fn calls_at_once_single_calls_and_retries_are_not() {
        let mut retried = with_calls(&[(0, 40), (50, 40)]);
        retried.calls[1].attempt = 2;
        let at_once = with_calls(&[(0, 40), (5, 40), (10, 30)]);
        assert!(check(&report([at_once, with_calls(&[(0, 40)]), retried])).is_empty());
    }
}
