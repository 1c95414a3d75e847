//! Streams whose bytes were there long before the application read them.

use serde_json::json;

use super::evidence;
use crate::report::{
    group::{self, Group, Side},
    stats,
    types::{Call, Finding, Report},
};

/// An event loop that has time reads within a few tenths of a millisecond.
const LATE_NS: u64 = 5_000_000;

/// Fewer chunks tell little.
const LEAST_CHUNKS: u32 = 4;

/// The cost of a route is how long its streams' bytes lay there, all in all.
pub fn check(report: &Report) -> Vec<Finding> {
    group::by_route(&report.requests).iter().filter_map(of_route).collect()
}

fn of_route(group: &Group) -> Option<Finding> {
    let is_late = |call: &&Call| {
        let mean_ns = call.read_delay_ns.unwrap_or(0) / u64::from(call.chunks.max(1));
        call.vendor.is_some() && call.chunks >= LEAST_CHUNKS && mean_ns >= LATE_NS
    };
    let requests = group.requests.iter().filter(|request| request.calls.iter().any(|call| is_late(&call)));
    let late: Vec<&Call> = group.requests.iter().flat_map(|request| &request.calls).filter(is_late).collect();
    let delay_ns = stats::sum(late.iter().filter_map(|call| call.read_delay_ns));
    let chunks: u64 = late.iter().map(|call| u64::from(call.chunks)).sum();
    let mean_ns = delay_ns.checked_div(chunks)?;
    Some(Finding {
        kind: "stream_read_late".to_owned(),
        side: Side::Own,
        title: format!("{} reads its streams late", group.label),
        requests: requests.count() as u64,
        cost_ns: delay_ns,
        evidence: evidence([
            ("route", json!(group.label)),
            ("streams", json!(late.len())),
            ("chunks", json!(chunks)),
            ("mean_delay_ns", json!(mean_ns)),
        ]),
        advice: "The vendor was faster than this: see what runs between two reads (wait.loop: others' steps; python.cpu: its \
                 own work for each chunk; client: a slow caller), and do it after the stream or elsewhere."
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, call, report, request},
        report::{bucket::Bucket, types::Request},
    };

    fn stream(delay_ms: u64, chunks: u32) -> Request {
        let mut request = request("/chat", 0, &[(Bucket::LlmStream, 100)]);
        let call = call("api.openai.com", &request, 0, 100);
        request.calls.push(Call { read_delay_ns: Some(delay_ms * MS), chunks, ..call });
        request
    }

    #[test]
    fn bytes_that_lie_there_are_found() {
        let findings = check(&report([stream(200, 10), stream(1, 10)]));
        assert_eq!((findings[0].cost_ns, findings[0].requests), (200 * MS, 1));
        assert_eq!(findings[0].evidence["mean_delay_ns"], 20 * MS);
    }

    #[test]
    fn a_stream_that_is_read_at_once_is_not() {
        assert!(check(&report([stream(10, 10), stream(200, 2)])).is_empty());
    }
}
