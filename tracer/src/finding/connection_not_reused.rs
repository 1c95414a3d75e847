//! Connections opened again where one that was open could have served.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{evidence, keep_alive_expired::reopened};
use crate::report::{
    group::Side,
    stats,
    types::{Call, Finding, Report},
};

/// From this share of a host's calls on it is a habit, not an accident.
const LEAST_SHARE: f64 = 0.5;

/// Calls of one process to one host.
type Peers<'a> = BTreeMap<(&'a str, Option<u16>), Vec<(u32, &'a str, &'a Call)>>;

/// A process needs as many connections to a host as it has calls at once. Those beyond are paid again, but for those that
/// were closed in a pause, which is a finding of its own; the cost is that many times the mean of name lookup, connect and
/// TLS of the host's new connections.
pub fn check(report: &Report) -> Vec<Finding> {
    let mut peers = Peers::new();
    for request in &report.requests {
        for call in &request.calls {
            if let Some(host) = &call.host {
                peers.entry((host, call.port)).or_default().push((request.pid, &request.id, call));
            }
        }
    }
    peers.into_iter().filter_map(|((host, _), calls)| of_host(host, &calls)).collect()
}

fn of_host(host: &str, calls: &[(u32, &str, &Call)]) -> Option<Finding> {
    let mut by_process = BTreeMap::<u32, Vec<&Call>>::new();
    for (pid, _, call) in calls {
        by_process.entry(*pid).or_default().push(call);
    }
    let needed: usize = by_process.values().map(|calls| most_at_once(calls)).sum();
    let reopened: BTreeMap<u32, BTreeMap<u64, u64>> =
        by_process.iter().map(|(pid, calls)| (*pid, reopened(calls.iter().copied()))).collect();
    let is_reopened = |pid: u32, call: &Call| {
        reopened.get(&pid).is_some_and(|reopened| reopened.contains_key(&call.start_unix_ns))
    };
    let new: Vec<_> =
        calls.iter().filter(|(pid, _, call)| setup_ns(call) > 0 && !is_reopened(*pid, call)).collect();
    let again = new.len().saturating_sub(needed);
    if again == 0 || stats::ratio(again as u64, calls.len() as u64) < LEAST_SHARE {
        return None;
    }
    let total_ns = stats::sum(new.iter().map(|(_, _, call)| setup_ns(call)));
    let mean_ns = total_ns / new.len() as u64;
    let requests: BTreeSet<&str> = new.iter().map(|(_, id, _)| *id).collect();
    Some(Finding {
        kind: "connection_not_reused".to_owned(),
        side: Side::Own,
        title: format!("{} of {} calls to {host} open a connection anew", new.len(), calls.len()),
        requests: requests.len() as u64,
        cost_ns: mean_ns.saturating_mul(again as u64),
        evidence: evidence([
            ("host", json!(host)),
            ("new_connections", json!(new.len())),
            ("needed_at_once", json!(needed)),
            ("mean_setup_ns", json!(mean_ns)),
        ]),
        advice:
            "Make the client once and share it (one OpenAI(), one httpx.Client); one made for each request \
                 connects and shakes hands again."
                .to_owned(),
    })
}

/// Name lookup, connect and TLS handshake; 0 on a kept connection.
pub fn setup_ns(call: &Call) -> u64 {
    if call.connection_reused {
        return 0;
    }
    stats::sum([call.dns_ns, call.connect_ns, call.tls_ns].into_iter().flatten())
}

/// The most calls that were under way at one time.
pub fn most_at_once(calls: &[&Call]) -> usize {
    let mut changes: Vec<(u64, i32)> = calls
        .iter()
        .flat_map(|call| [(call.start_unix_ns, 1), (call.start_unix_ns.saturating_add(call.wall_ns), -1)])
        .collect();
    // At one instant, ends come before starts: the connection is free by then.
    changes.sort_unstable();
    let mut open = 0;
    let at_once = changes.into_iter().map(|(_, change)| {
        open += change;
        open
    });
    usize::try_from(at_once.max().unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, call, report, request},
        report::{bucket::Bucket, types::Request},
    };

    fn fresh(at_ms: u64) -> Request {
        let mut request = request("/chat", at_ms, &[(Bucket::LlmFirstByte, 100)]);
        let kept = call("api.openai.com", &request, 0, 100);
        let new = Call { connection_reused: false, tls_ns: Some(20 * MS), connect_ns: Some(10 * MS), ..kept };
        request.calls.push(new);
        request
    }

    #[test]
    fn a_client_for_each_request_is_found() {
        let findings = check(&report((0..4).map(|index| fresh(index * 200))));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].cost_ns, findings[0].requests), (90 * MS, 4));
        assert_eq!(findings[0].evidence["needed_at_once"], 1);
    }

    #[test]
    fn connections_that_are_needed_at_once_are_not() {
        assert!(check(&report((0..4).map(|index| fresh(index * 10)))).is_empty());
        let mut kept = fresh(500);
        kept.calls[0].connection_reused = true;
        assert!(check(&report([fresh(0), kept])).is_empty());
    }
}
