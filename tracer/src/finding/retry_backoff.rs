//! Calls that were made again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::evidence;
use crate::report::{
    bucket::Bucket,
    types::{Call, Finding, Report, Request},
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

/// The cost is the failed attempts, inclusive, and the `llm.backoff` of the requests that made them.
pub fn check(report: &Report) -> Vec<Finding> {
    let mut hosts = BTreeMap::<&str, Retries>::new();
    for request in &report.requests {
        for retry in request.calls.iter().filter(|call| call.attempt > 1) {
            let entry = hosts.entry(retry.host.as_deref().unwrap_or("?")).or_default();
            entry.retries += 1;
            if entry.requests.insert(&request.id) {
                let backoff_ns = request.buckets.get(Bucket::LlmBackoff).unwrap_or_default();
                entry.backoff_ns = entry.backoff_ns.saturating_add(backoff_ns);
            }
            if let Some(failed) = attempt_before(request, retry) {
                entry.failed_ns = entry.failed_ns.saturating_add(failed.wall_ns);
                entry.statuses.insert(failed.status.map_or("none".to_owned(), |status| status.to_string()));
            }
        }
    }
    hosts.into_iter().map(|(host, retries)| finding(host, &retries)).collect()
}

/// The last call to the same host that was one attempt earlier.
fn attempt_before<'a>(request: &'a Request, retry: &Call) -> Option<&'a Call> {
    request
        .calls
        .iter()
        .filter(|call| call.host == retry.host && Some(call.attempt) == retry.attempt.checked_sub(1))
        .filter(|call| call.start_ns <= retry.start_ns)
        .max_by_key(|call| call.start_ns)
}

fn finding(host: &str, retries: &Retries) -> Finding {
    let advice = if retries.statuses.contains("429") {
        "The vendor limits the rate: spread the load, raise the quota, or send fewer calls at once; then check \
         max_retries and the client's back-off."
    } else {
        "See why the attempts failed (status, timeout of the client), and set max_retries and timeout to what a \
         caller will wait for."
    };
    Finding {
        kind: "retry_backoff".to_owned(),
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
        advice: advice.to_owned(),
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
            vec![Call { status: Some(429), ..first }, Call { status: Some(200), attempt: 2, ..second }];
        request
    }

    #[test]
    fn a_retry_costs_the_failed_attempt_and_the_backoff() {
        let findings = check(&report([chat()]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].cost_ns, 80 * MS);
        assert!(findings[0].advice.contains("rate"));
    }

    #[test]
    fn two_calls_are_no_retry() {
        let mut twice = chat();
        twice.calls[1].attempt = 1;
        assert!(check(&report([twice])).is_empty());
    }
}
