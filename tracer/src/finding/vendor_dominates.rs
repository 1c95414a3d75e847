//! A route whose time is the vendor's.

use serde_json::json;

use super::evidence;
use crate::report::{
    bucket::Bucket,
    group::{self, Group, Side},
    stats,
    types::{Call, Finding, Report},
};

/// Beyond this share there is nothing to win in the route's own code. Time in which others hold it up is not
/// counted: that is a finding about them.
const DOMINANT_SHARE: f64 = 0.8;

/// Below this share of the wall time, being held up is what the route suffers from.
const LEAST_SHARE: f64 = 0.3;

/// The cost of a route is all of its `llm.*`.
pub fn check(report: &Report) -> Vec<Finding> {
    group::by_route(&report.requests).iter().filter_map(of_route).collect()
}

fn of_route(group: &Group) -> Option<Finding> {
    let wall_ns = group.wall_ns();
    let vendor_ns = group.side_ns(Side::Vendor);
    let share = stats::ratio(vendor_ns, wall_ns);
    let own_share = stats::ratio(vendor_ns, wall_ns.saturating_sub(group.held_up_ns()));
    if own_share <= DOMINANT_SHARE || share < LEAST_SHARE {
        return None;
    }
    let first_byte_ns = group.bucket_ns(Bucket::LlmFirstByte).unwrap_or_default();
    let stream_ns = group.bucket_ns(Bucket::LlmStream).unwrap_or_default();
    let (part, advice) = if first_byte_ns >= stream_ns {
        (
            "until its first byte",
            "Shorten the prompt or let the vendor cache its beginning, choose a faster model or a nearer \
             region, or start the call earlier.",
        )
    } else {
        (
            "while it streams",
            "Ask for fewer tokens or choose a faster model; hand the stream on to the caller as it comes.",
        )
    };
    Some(Finding {
        kind: "vendor_dominates".to_owned(),
        side: Side::Vendor,
        title: format!("{} waits for the vendor, mostly {part}", group.label),
        requests: group.requests.len() as u64,
        cost_ns: vendor_ns,
        evidence: evidence([
            ("route", json!(group.label)),
            ("vendor_share", json!(share)),
            ("first_byte_share", json!(stats::ratio(first_byte_ns, wall_ns))),
            ("stream_share", json!(stats::ratio(stream_ns, wall_ns))),
            ("first_content_p50_ns", json!(median(group, |call| call.first_content_ns))),
            ("output_tokens_p50", json!(median(group, |call| call.output_tokens))),
            (
                "tokens_per_second_p50",
                json!(median(group, |call| call.tokens_per_second().map(|speed| speed as u64))),
            ),
        ]),
        advice: advice.to_owned(),
    })
}

/// Of the route's calls that have it.
fn median(group: &Group, value: impl Fn(&Call) -> Option<u64>) -> Option<u64> {
    let calls = group.requests.iter().flat_map(|request| &request.calls);
    stats::percentile(&calls.filter_map(value).collect::<Vec<_>>(), 50.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::{MS, report, request};

    #[test]
    fn it_says_which_part_of_the_vendor() {
        let slow_start = request("/start", 0, &[(Bucket::LlmFirstByte, 90), (Bucket::PythonCpu, 10)]);
        let long_answer = request("/stream", 0, &[(Bucket::LlmFirstByte, 20), (Bucket::LlmStream, 280)]);
        let findings = check(&report([slow_start, long_answer]));
        assert_eq!(findings.len(), 2);
        assert!(findings[0].title.contains("while it streams"));
        assert_eq!(findings[1].cost_ns, 90 * MS);
        assert!(findings[1].title.contains("first byte"));
    }

    #[test]
    fn a_route_that_others_hold_up_still_waits_for_its_vendor() {
        let held_up = request("/wait", 0, &[(Bucket::LlmFirstByte, 50), (Bucket::WaitLoop, 50)]);
        assert_eq!(check(&report([held_up]))[0].cost_ns, 50 * MS);
    }

    #[test]
    fn a_route_with_time_of_its_own_is_not_found() {
        let mixed = request("/mixed", 0, &[(Bucket::LlmFirstByte, 80), (Bucket::PythonCpu, 20)]);
        let held_up = request("/held_up", 0, &[(Bucket::LlmFirstByte, 20), (Bucket::WaitLoop, 80)]);
        assert!(check(&report([mixed, held_up])).is_empty());
    }
}
