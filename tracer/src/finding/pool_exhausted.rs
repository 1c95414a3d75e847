//! Calls that wait until one of a few connections is free.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{connection_not_reused::most_at_once, evidence, long_waits};
use crate::report::{
    bucket::Bucket,
    group::Side,
    types::{Call, Finding, Report, Request, Segment},
};

/// Between having a connection and sending on it a client does little.
const SENDING_NS: u64 = 20_000_000;

/// A call that ends and the one that gets its connection are as near to each other.
const HANDING_NS: u64 = 5_000_000;

/// A shorter wait is for a lock of the client's own.
const LEAST_WAIT_NS: u64 = 10_000_000;

/// Waits for one host.
#[derive(Default)]
struct Waits<'a> {
    requests: BTreeSet<&'a str>,
    calls: u64,
    wait_ns: u64,
    longest_ns: u64,
}

/// A call waited for a connection where its request was in `wait.lock` until just before it, and until another call of the
/// process to the same host ended. A limit of the application's own looks the same. The cost is these waits.
pub fn check(report: &Report) -> Vec<Finding> {
    let mut calls = BTreeMap::<(&str, u32), Vec<&Call>>::new();
    for (request, call, host) in named_calls(report) {
        calls.entry((host, request.pid)).or_default().push(call);
    }
    let ends: BTreeMap<_, _> = calls.iter().map(|(peer, calls)| (*peer, Ends::new(calls))).collect();
    let mut hosts = BTreeMap::<&str, Waits>::new();
    for (request, call, host) in named_calls(report) {
        let Some((wait_ns, until_ns)) = wait_before(request, call) else { continue };
        if ends.get(&(host, request.pid)).is_some_and(|ends| ends.about(until_ns)) {
            let waits = hosts.entry(host).or_default();
            waits.requests.insert(&request.id);
            waits.calls += 1;
            waits.wait_ns = waits.wait_ns.saturating_add(wait_ns);
            waits.longest_ns = waits.longest_ns.max(wait_ns);
        }
    }
    let at_once = |host: &str| {
        let of_host = calls.iter().filter(|((of, _), _)| *of == host);
        of_host.map(|(_, calls)| most_at_once(calls)).max().unwrap_or_default()
    };
    hosts.into_iter().map(|(host, waits)| finding(host, &waits, at_once(host))).collect()
}

/// When calls ended, in order: each left its connection to another.
struct Ends(Vec<u64>);

impl Ends {
    fn new(calls: &[&Call]) -> Ends {
        let mut ends: Vec<u64> =
            calls.iter().map(|call| call.start_unix_ns.saturating_add(call.wall_ns)).collect();
        ends.sort_unstable();
        Ends(ends)
    }

    /// Whether one ended about then.
    fn about(&self, at_ns: u64) -> bool {
        let from = self.0.partition_point(|end_ns| *end_ns < at_ns.saturating_sub(HANDING_NS));
        self.0.get(from).is_some_and(|end_ns| *end_ns <= at_ns.saturating_add(HANDING_NS))
    }
}

fn named_calls(report: &Report) -> impl Iterator<Item = (&Request, &Call, &str)> {
    report.requests.iter().flat_map(|request| {
        request.calls.iter().filter_map(move |call| Some((request, call, call.host.as_deref()?)))
    })
}

/// How long the request was in `wait.lock` just before a call, and until when (Unix).
fn wait_before(request: &Request, call: &Call) -> Option<(u64, u64)> {
    let before = request.timeline.iter().filter(|segment| {
        segment.bucket == Bucket::WaitLock
            && segment.end_ns <= call.start_ns
            && call.start_ns - segment.end_ns < SENDING_NS
            && !is_for_own_lock(request, segment)
    });
    let longest = before.max_by_key(|segment| segment.end_ns - segment.start_ns)?;
    let wait_ns = longest.end_ns - longest.start_ns;
    (wait_ns >= LEAST_WAIT_NS).then(|| (wait_ns, request.start_unix_ns.saturating_add(longest.end_ns)))
}

/// Whether a lock of the application's own was waited for, of which `lock_contention` tells.
fn is_for_own_lock(request: &Request, segment: &Segment) -> bool {
    let waited = request.waited.binary_search_by_key(&segment.start_ns, |waited| waited.start_ns);
    let wait = waited.ok().and_then(|index| request.waits.get(request.waited.get(index)?.wait));
    wait.is_some_and(|wait| long_waits::who_waits(wait).is_some())
}

fn finding(host: &str, waits: &Waits, at_once: usize) -> Finding {
    Finding {
        kind: "pool_exhausted".to_owned(),
        side: Side::Own,
        title: format!("calls to {host} wait for a connection, or for their turn"),
        requests: waits.requests.len() as u64,
        cost_ns: waits.wait_ns,
        evidence: evidence([
            ("host", json!(host)),
            ("calls", json!(waits.calls)),
            ("longest_wait_ns", json!(waits.longest_ns)),
            ("calls_at_once", json!(at_once)),
        ]),
        advice: "Let the pool have as many connections as calls at once (httpx: `Limits(max_connections=...)`, aiohttp: \
                 `TCPConnector(limit=...)`, urllib3: `maxsize`), or raise the limit of your own; if the vendor sets it, \
                 start fewer."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, call, report, request},
        report::types::{Frame, Wait, Waited},
    };

    fn first() -> Request {
        let mut first = request("/chat", 0, &[(Bucket::LlmFirstByte, 100)]);
        first.calls.push(call("api.openai.com", &first, 0, 100));
        first
    }

    fn second(wait: Bucket, at_ms: u64) -> Request {
        let mut second = request("/chat", at_ms, &[(wait, 80), (Bucket::LlmFirstByte, 100)]);
        second.calls.push(call("api.openai.com", &second, 80, 100));
        second
    }

    #[test]
    fn a_call_behind_another_waits_for_its_connection() {
        let findings = check(&report([first(), second(Bucket::WaitLock, 20)]));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].cost_ns, findings[0].requests), (80 * MS, 1));
        assert_eq!(findings[0].evidence["calls_at_once"], 1);
    }

    #[test]
    fn a_lock_of_the_applications_own_is_not() {
        let mut second = second(Bucket::WaitLock, 20);
        let frame = Frame { function: "handler".to_owned(), file: "/srv/app.py".to_owned(), line: 1 };
        second.waits =
            vec![Wait { bucket: "wait.lock".to_owned(), stack: vec![frame], wait_ns: 80 * MS, times: 1 }];
        second.waited = vec![Waited { start_ns: 0, wait: 0 }];
        assert!(check(&report([first(), second])).is_empty());
    }

    #[test]
    fn other_waits_and_idle_hosts_are_not() {
        assert!(check(&report([first(), second(Bucket::WaitLoop, 20)])).is_empty());
        assert!(check(&report([first(), second(Bucket::WaitLock, 500)])).is_empty());
        // Some other lock, while the other call goes on.
        assert!(check(&report([first(), second(Bucket::WaitLock, 5)])).is_empty());
    }
}
