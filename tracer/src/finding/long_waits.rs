//! Routes that wait long for a lock, or for time to pass, and where in the application they do.

use std::collections::BTreeMap;

use serde_json::json;

use super::{NOTABLE_SHARE, add, evidence};
use crate::{
    event::is_of_application,
    report::{
        bucket::Bucket,
        group::{self, Group, Side},
        stats,
        types::{Finding, Frame, Report, Wait},
    },
};

/// Below this share of the wall time it is not what makes a route slow.
const LEAST_SHARE: f64 = 0.05;

/// Whose waits are for a connection, of which `pool_exhausted` tells.
const POOLS: [&str; 4] = ["/httpcore", "/httpx", "/aiohttp/", "/urllib3/"];

struct Kind {
    bucket: Bucket,
    kind: &'static str,
    /// Between the route and the function.
    title: &'static str,
    advice: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        bucket: Bucket::WaitLock,
        kind: "lock_contention",
        title: "waits for a lock in",
        advice: "Hold the lock for less: do what awaits, calls or computes before taking it or after giving it back; or have \
                 one lock for each key, or a semaphore that lets more in, where requests need not wait for each other.",
    },
    Kind {
        bucket: Bucket::WaitSleep,
        kind: "sleep_in_request",
        title: "sleeps in",
        advice: "Wait for what the sleep is meant to see (an event, a queue, a callback, a stream) rather than for a time; \
                 where it asks again and again, ask sooner at first.",
    },
];

/// The cost of a route is the time of the waits whose function in the application is known.
pub fn check(report: &Report) -> Vec<Finding> {
    let groups = group::by_route(&report.requests);
    KINDS.iter().flat_map(|kind| groups.iter().filter_map(|group| of_route(kind, group))).collect()
}

fn of_route(kind: &Kind, group: &Group) -> Option<Finding> {
    let (mut requests, mut times) = (0, 0);
    let mut functions_ns = BTreeMap::<String, u64>::new();
    for request in &group.requests {
        let own = request.waits.iter().filter(|wait| wait.bucket == kind.bucket.name());
        let mut has_any = false;
        for (wait, waits) in own.filter_map(|wait| Some((wait, who_waits(wait)?))) {
            has_any = true;
            times += wait.times;
            add(&mut functions_ns, waits.label(), wait.wait_ns);
        }
        requests += u64::from(has_any);
    }
    let cost_ns = stats::sum(functions_ns.values().copied());
    let (longest, _) = functions_ns.iter().max_by_key(|(_, ns)| **ns)?;
    if stats::ratio(cost_ns, group.wall_ns()) < LEAST_SHARE {
        return None;
    }
    let title = format!("{} {} {longest}", group.label, kind.title);
    functions_ns.retain(|_, ns| stats::ratio(*ns, cost_ns) >= NOTABLE_SHARE);
    Some(Finding {
        kind: kind.kind.to_owned(),
        side: Side::Own,
        title,
        requests,
        cost_ns,
        evidence: evidence([
            ("route", json!(group.label)),
            ("share", json!(stats::ratio(cost_ns, group.wall_ns()))),
            ("waits", json!(times)),
            ("in_ns", json!(functions_ns)),
        ]),
        advice: kind.advice.to_owned(),
    })
}

/// The innermost function of the application, unless what waits below it is a pool of connections.
pub fn who_waits(wait: &Wait) -> Option<&Frame> {
    let is_pool = |frame: &Frame| POOLS.iter().any(|pool| frame.file.contains(pool));
    let first = wait.stack.iter().find(|frame| is_of_application(&frame.file) || is_pool(frame))?;
    is_of_application(&first.file).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::types::Request,
    };

    fn frame(function: &str, file: &str) -> Frame {
        Frame { function: function.to_owned(), file: file.to_owned(), ..Frame::default() }
    }

    /// Half of its time it waits, in the library of this file.
    fn waits(bucket: Bucket, library: &str) -> Request {
        let mut waits = request("/a", 0, &[(bucket, 50), (Bucket::LlmFirstByte, 50)]);
        let stack =
            vec![frame("wait", library), frame("handler", "/srv/app.py"), frame("main", "/srv/app.py")];
        waits.waits = vec![Wait { bucket: bucket.name().to_owned(), stack, wait_ns: 50 * MS, times: 5 }];
        waits
    }

    #[test]
    fn who_waits_is_named() {
        for kind in KINDS {
            let findings = check(&report([waits(kind.bucket, "/usr/lib/python3.12/asyncio/locks.py")]));
            let [found] = findings.as_slice() else { panic!("{}: {findings:?}", kind.kind) };
            assert_eq!((found.kind.as_str(), found.cost_ns, found.requests), (kind.kind, 50 * MS, 1));
            assert!(found.title.contains(" handler (app.py"), "{}", found.title);
            assert_eq!(found.evidence["waits"], 5);
        }
    }

    #[test]
    fn pools_and_short_waits_are_not() {
        let pool = "/srv/venv/lib/python3.12/site-packages/httpcore/_synchronization.py";
        assert!(check(&report([waits(Bucket::WaitLock, pool)])).is_empty());
        let mut short = waits(Bucket::WaitSleep, "/usr/lib/python3.12/asyncio/tasks.py");
        short.waits[0].wait_ns = 4 * MS;
        assert!(check(&report([short])).is_empty());
        // Who waits is not known.
        let mut unknown = waits(Bucket::WaitLock, "");
        unknown.waits.clear();
        assert!(check(&report([unknown])).is_empty());
    }
}
