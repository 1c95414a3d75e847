//! Name lookups that take long.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::evidence;
use crate::report::{
    group::Side,
    types::{Finding, Report},
};

/// A local resolver that has the name answers within a millisecond, a near one within a few.
const SLOW_NS: u64 = 20_000_000;

/// Slow lookups of one host.
#[derive(Default)]
struct Lookups<'a> {
    requests: BTreeSet<&'a str>,
    slow: u64,
    slow_ns: u64,
    longest_ns: u64,
}

/// The cost of a host is the time of its slow lookups, inclusive.
pub fn check(report: &Report) -> Vec<Finding> {
    let mut hosts = BTreeMap::<&str, Lookups>::new();
    for request in &report.requests {
        for call in &request.calls {
            if let Some(dns_ns) = call.dns_ns.filter(|ns| *ns >= SLOW_NS) {
                let lookups = hosts.entry(call.host.as_deref().unwrap_or("?")).or_default();
                lookups.requests.insert(&request.id);
                lookups.slow += 1;
                lookups.slow_ns = lookups.slow_ns.saturating_add(dns_ns);
                lookups.longest_ns = lookups.longest_ns.max(dns_ns);
            }
        }
    }
    hosts.into_iter().map(|(host, lookups)| finding(host, &lookups)).collect()
}

fn finding(host: &str, lookups: &Lookups) -> Finding {
    Finding {
        kind: "slow_dns".to_owned(),
        side: Side::Own,
        title: format!("looking up {host} is slow"),
        requests: lookups.requests.len() as u64,
        cost_ns: lookups.slow_ns,
        evidence: evidence([
            ("host", json!(host)),
            ("slow_lookups", json!(lookups.slow)),
            ("longest_ns", json!(lookups.longest_ns)),
        ]),
        advice:
            "Run a caching resolver on the host; in Kubernetes, end the name with a dot or lower `ndots`, \
                 which tries each search domain first; and keep connections, which need no lookup."
                .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, call, report, request},
        report::{
            bucket::Bucket,
            types::{Call, Request},
        },
    };

    fn looked_up_in(dns_ms: u64) -> Request {
        let mut request = request("/chat", dns_ms, &[(Bucket::LlmDns, dns_ms), (Bucket::LlmFirstByte, 100)]);
        let call = call("api.openai.com", &request, 0, 100 + dns_ms);
        request.calls.push(Call { dns_ns: Some(dns_ms * MS), ..call });
        request
    }

    #[test]
    fn slow_lookups_are_found() {
        let findings = check(&report([looked_up_in(40), looked_up_in(60), looked_up_in(1)]));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].cost_ns, findings[0].requests), (100 * MS, 2));
    }

    #[test]
    fn quick_lookups_are_not() {
        assert!(check(&report([looked_up_in(1)])).is_empty());
    }
}
