//! Calls that the vendor refused because there were too many.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    evidence,
    retry_backoff::{backoff_ns, retry_of},
};
use crate::report::{
    group::Side,
    types::{Call, Finding, Report},
};

/// Whether an answer says that there were too many calls: 429, and Anthropic's 529 that its own machines are full.
pub fn is_limited(call: &Call) -> bool {
    matches!(call.status, Some(429 | 529))
}

/// Refusals of one host.
#[derive(Default)]
struct Refusals<'a> {
    requests: BTreeSet<&'a str>,
    refused: u64,
    retried: u64,
    refused_ns: u64,
    backoff_ns: u64,
    retry_after_ns: Option<u64>,
    tokens_left: Option<u64>,
    requests_left: Option<u64>,
}

/// The cost is the refused calls, inclusive, and what was slept before the next attempt.
pub fn check(report: &Report) -> Vec<Finding> {
    let mut hosts = BTreeMap::<&str, Refusals>::new();
    for request in &report.requests {
        for call in request.calls.iter().filter(|call| is_limited(call)) {
            let host = hosts.entry(call.host.as_deref().unwrap_or("?")).or_default();
            host.requests.insert(&request.id);
            host.refused += 1;
            host.refused_ns = host.refused_ns.saturating_add(call.wall_ns);
            if let Some(retry) = retry_of(request, call) {
                host.retried += 1;
                host.backoff_ns = host.backoff_ns.saturating_add(backoff_ns(request, call, retry));
            }
            if let Some(limit) = &call.rate_limit {
                host.retry_after_ns = host.retry_after_ns.max(limit.retry_after_ns);
                host.tokens_left = limit.tokens_left.or(host.tokens_left);
                host.requests_left = limit.requests_left.or(host.requests_left);
            }
        }
    }
    hosts.into_iter().map(|(host, refusals)| finding(host, &refusals)).collect()
}

fn finding(host: &str, refusals: &Refusals) -> Finding {
    Finding {
        kind: "rate_limited".to_owned(),
        side: Side::Vendor,
        title: format!("{host} refuses {} calls: too many", refusals.refused),
        requests: refusals.requests.len() as u64,
        cost_ns: refusals.refused_ns.saturating_add(refusals.backoff_ns),
        evidence: evidence([
            ("host", json!(host)),
            ("refused", json!(refusals.refused)),
            ("retried", json!(refusals.retried)),
            ("backoff_ns", json!(refusals.backoff_ns)),
            ("longest_retry_after_ns", json!(refusals.retry_after_ns)),
            ("requests_left", json!(refusals.requests_left)),
            ("tokens_left", json!(refusals.tokens_left)),
        ]),
        advice: "Spread the load: limit the calls at once by a semaphore, ask for fewer tokens, raise the quota or use \
                 another region or vendor; `max_retries` decides how long a caller waits for it."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Limits,
        finding::cases::{MS, call, report, request},
        report::{bucket::Bucket, types::Request},
    };

    fn chat(status: u16) -> Request {
        let pieces = [(Bucket::LlmFirstByte, 30), (Bucket::LlmBackoff, 50), (Bucket::LlmFirstByte, 40)];
        let mut request = request("/chat", 0, &pieces);
        let limit = Limits { retry_after_ns: Some(50 * MS), ..Limits::default() };
        let first =
            Call { status: Some(status), rate_limit: Some(limit), ..call("api.openai.com", &request, 0, 30) };
        let second = Call { status: Some(200), attempt: 2, ..call("api.openai.com", &request, 80, 40) };
        request.calls = vec![first, second];
        request
    }

    #[test]
    fn a_refusal_costs_itself_and_the_sleep() {
        let findings = check(&report([chat(429)]));
        assert_eq!((findings[0].cost_ns, findings[0].requests), (80 * MS, 1));
        assert_eq!(findings[0].evidence["longest_retry_after_ns"], 50 * MS);
    }

    #[test]
    fn other_failures_are_not() {
        assert!(check(&report([chat(500)])).is_empty());
    }
}
