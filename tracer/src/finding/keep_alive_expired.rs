//! Connections that were closed because nobody called for a while, and opened again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{connection_not_reused::setup_ns, evidence};
use crate::report::{
    group::Side,
    types::{Call, Finding, Report},
};

/// httpx keeps an idle connection for 5 s, aiohttp for 15: what is closed sooner was not closed for that.
const IDLE_NS: u64 = 4_500_000_000;

/// Reopened connections of one host.
#[derive(Default)]
struct Reopened<'a> {
    requests: BTreeSet<&'a str>,
    calls: u64,
    setup_ns: u64,
    shortest_idle_ns: Option<u64>,
}

/// The cost of a host is what it took to connect again after a time without calls.
pub fn check(report: &Report) -> Vec<Finding> {
    let mut peers = BTreeMap::<(&str, u32), Vec<(&str, &Call)>>::new();
    for request in &report.requests {
        for call in &request.calls {
            if let Some(host) = &call.host {
                peers.entry((host, request.pid)).or_default().push((&request.id, call));
            }
        }
    }
    let mut hosts = BTreeMap::<&str, Reopened>::new();
    for ((host, _), calls) in &peers {
        let reopened = reopened(calls.iter().map(|(_, call)| *call));
        for (id, call) in calls {
            if let Some(idle_ns) = reopened.get(&call.start_unix_ns) {
                let host = hosts.entry(host).or_default();
                host.requests.insert(id);
                host.calls += 1;
                host.setup_ns = host.setup_ns.saturating_add(setup_ns(call));
                host.shortest_idle_ns = Some(host.shortest_idle_ns.map_or(*idle_ns, |ns| ns.min(*idle_ns)));
            }
        }
    }
    hosts.into_iter().map(|(host, reopened)| finding(host, &reopened)).collect()
}

/// Of the calls of a process to a host, those that connected again after nobody had called for so long, by their start.
pub fn reopened<'a>(calls: impl IntoIterator<Item = &'a Call>) -> BTreeMap<u64, u64> {
    let mut calls: Vec<&Call> = calls.into_iter().collect();
    calls.sort_by_key(|call| call.start_unix_ns);
    let mut last_end_ns = None;
    let mut reopened = BTreeMap::new();
    for call in calls {
        let idle_ns = last_end_ns.map(|end_ns| call.start_unix_ns.saturating_sub(end_ns));
        if let Some(idle_ns) = idle_ns.filter(|idle_ns| *idle_ns >= IDLE_NS && setup_ns(call) > 0) {
            reopened.insert(call.start_unix_ns, idle_ns);
        }
        last_end_ns = last_end_ns.max(Some(call.start_unix_ns.saturating_add(call.wall_ns)));
    }
    reopened
}

fn finding(host: &str, reopened: &Reopened) -> Finding {
    Finding {
        kind: "keep_alive_expired".to_owned(),
        side: Side::Own,
        title: format!("{} calls to {host} connect again after a pause", reopened.calls),
        requests: reopened.requests.len() as u64,
        cost_ns: reopened.setup_ns,
        evidence: evidence([
            ("host", json!(host)),
            ("calls", json!(reopened.calls)),
            ("shortest_pause_ns", json!(reopened.shortest_idle_ns)),
        ]),
        advice: "Keep idle connections longer than these pauses (httpx: `Limits(keepalive_expiry=...)`, 5 s by default; \
                 aiohttp: `TCPConnector(keepalive_timeout=...)`, 15 s), as long as the vendor does."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, call, report, request},
        report::{bucket::Bucket, types::Request},
    };

    fn new_connection(at_ms: u64) -> Request {
        let mut request = request("/chat", at_ms, &[(Bucket::LlmFirstByte, 100)]);
        let kept = call("api.openai.com", &request, 0, 100);
        request.calls.push(Call { connection_reused: false, tls_ns: Some(20 * MS), ..kept });
        request
    }

    #[test]
    fn a_pause_closes_connections() {
        let requests = [new_connection(0), new_connection(6_000), new_connection(20_000)];
        let findings = check(&report(requests));
        assert_eq!((findings[0].cost_ns, findings[0].requests), (40 * MS, 2));
        assert_eq!(findings[0].evidence["shortest_pause_ns"], 5_900 * MS);
    }

    #[test]
    fn calls_that_follow_are_not() {
        assert!(check(&report([new_connection(0), new_connection(3_000)])).is_empty());
        let mut kept = new_connection(6_000);
        kept.calls[0].connection_reused = true;
        assert!(check(&report([new_connection(0), kept])).is_empty());
    }
}
