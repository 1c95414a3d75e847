//! Calls that were made again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{evidence, rate_limited::is_limited};
use crate::report::{
    bucket::Bucket,
    group::Side,
    stats,
    types::{Call, Finding, Report, Request, Segment},
};

/// Retries of one host.
#[derive(Default)]
struct Retries<'a> {
    requests: BTreeSet<&'a str>,
    retries: u64,
    failed_ns: u64,
    backoff_ns: u64,
    /// How the failed attempts ended; `none` where there was no answer.
    statuses: BTreeSet<String>,
}

/// The cost is the failed attempts, inclusive, and what was slept before the next ones. Where the vendor had too many
/// calls, that is a finding of its own.
pub fn check(report: &Report) -> Vec<Finding> {
    let mut hosts = BTreeMap::<&str, Retries>::new();
    for request in &report.requests {
        for failed in request.calls.iter().filter(|call| !is_limited(call)) {
            let Some(retry) = retry_of(request, failed) else { continue };
            let entry = hosts.entry(retry.host.as_deref().unwrap_or("?")).or_default();
            entry.retries += 1;
            entry.requests.insert(&request.id);
            entry.failed_ns = entry.failed_ns.saturating_add(failed.wall_ns);
            entry.backoff_ns = entry.backoff_ns.saturating_add(backoff_ns(request, failed, retry));
            entry.statuses.insert(failed.status.map_or("none".to_owned(), |status| status.to_string()));
        }
    }
    hosts.into_iter().map(|(host, retries)| finding(host, &retries)).collect()
}

/// The next call to the same host for the same that is one attempt later.
pub fn retry_of<'a>(request: &'a Request, failed: &Call) -> Option<&'a Call> {
    request
        .calls
        .iter()
        .filter(|call| call.host == failed.host && call.model == failed.model)
        .filter(|call| Some(call.attempt) == failed.attempt.checked_add(1))
        .filter(|call| call.start_ns >= failed.start_ns)
        .min_by_key(|call| call.start_ns)
}

/// The `llm.backoff` between an attempt and the next.
pub fn backoff_ns(request: &Request, failed: &Call, retry: &Call) -> u64 {
    let between = |segment: &&Segment| {
        segment.bucket == Bucket::LlmBackoff
            && segment.start_ns >= failed.start_ns
            && segment.end_ns <= retry.start_ns.saturating_add(retry.wall_ns)
    };
    stats::sum(request.timeline.iter().filter(between).map(|segment| segment.end_ns - segment.start_ns))
}

fn finding(host: &str, retries: &Retries) -> Finding {
    Finding {
        kind: "retry_backoff".to_owned(),
        side: Side::Vendor,
        title: format!("calls to {host} are made again after they failed"),
        requests: retries.requests.len() as u64,
        cost_ns: retries.failed_ns.saturating_add(retries.backoff_ns),
        evidence: evidence([
            ("host", json!(host)),
            ("retries", json!(retries.retries)),
            ("statuses", json!(retries.statuses)),
            ("failed_ns", json!(retries.failed_ns)),
            ("backoff_ns", json!(retries.backoff_ns)),
        ]),
        advice: "See why the attempts failed (status, timeout of the client), and set max_retries and timeout to what a \
                 caller will wait for."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::{MS, call, report, request};

    fn chat() -> Request {
        let pieces = [(Bucket::LlmFirstByte, 30), (Bucket::LlmBackoff, 50), (Bucket::LlmFirstByte, 40)];
        let mut request = request("/chat", 0, &pieces);
        let first = call("api.openai.com", &request, 0, 30);
        let second = call("api.openai.com", &request, 80, 40);
        request.calls =
            vec![Call { status: Some(503), ..first }, Call { status: Some(200), attempt: 2, ..second }];
        request
    }

    #[test]
    fn a_retry_costs_the_failed_attempt_and_the_backoff() {
        let findings = check(&report([chat()]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].cost_ns, 80 * MS);
        assert_eq!(findings[0].evidence["statuses"], json!(["503"]));
    }

    #[test]
    fn two_calls_are_no_retry() {
        let mut twice = chat();
        twice.calls[1].attempt = 1;
        assert!(check(&report([twice])).is_empty());
        let mut limited = chat();
        limited.calls[0].status = Some(429);
        assert!(check(&report([limited])).is_empty());
    }
}
