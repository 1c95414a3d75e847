//! Routes that something on the host or in the process holds back, by the bucket that says so.

use serde_json::json;

use super::{evidence, may_be_chance};
use crate::report::{
    bucket::Bucket,
    group::{self, Group, Side},
    stats,
    types::{Finding, Report, Request},
};

/// Below this share of the wall time it is the ordinary cost of what requests share.
const LEAST_SHARE: f64 = 0.05;

/// A bucket that says what holds requests back.
struct Cause {
    bucket: Bucket,
    kind: &'static str,
    /// Behind the route.
    title: &'static str,
    advice: &'static str,
}

const CAUSES: [Cause; 3] = [
    Cause {
        bucket: Bucket::WaitExecutor,
        kind: "executor_saturated",
        title: "waits for a thread of its pool",
        advice: "Give the pool more threads (`ThreadPoolExecutor(max_workers=...)`, `loop.set_default_executor(...)`; \
                 anyio, so FastAPI's plain `def`: `current_default_thread_limiter().total_tokens`), or make what they do \
                 asynchronous.",
    },
    Cause {
        bucket: Bucket::WaitRunqueue,
        kind: "cpu_oversubscribed",
        title: "is ready to run, and waits for a CPU",
        advice: "Give the host or the container more CPU time (Kubernetes: `limits.cpu`; systemd: `CPUQuota=`), or run fewer \
                 workers and threads on it.",
    },
    Cause {
        bucket: Bucket::PythonGc,
        kind: "long_collections",
        title: "waits for the garbage collector",
        advice: "Call `gc.freeze()` once the application has started, and collect more seldom (`gc.set_threshold(50_000, 20, \
                 100)`); what refers to itself in circles makes collections necessary.",
    },
];

/// The cost of a route is the bucket's time.
pub fn check(report: &Report) -> Vec<Finding> {
    let groups = group::by_route(&report.requests);
    CAUSES.iter().flat_map(|cause| groups.iter().filter_map(|group| of_route(report, cause, group))).collect()
}

fn of_route(report: &Report, cause: &Cause, group: &Group) -> Option<Finding> {
    let cost_ns = group.bucket_ns(cause.bucket)?;
    if may_be_chance(report, group, cause.bucket, cost_ns) {
        return None;
    }
    let share = stats::ratio(cost_ns, group.wall_ns());
    let held_back = |request: &&&Request| request.buckets.get(cause.bucket).is_some_and(|ns| ns > 0);
    let requests = group.requests.iter().filter(held_back);
    let longest_ns = requests.clone().filter_map(|request| request.buckets.get(cause.bucket)).max();
    (share >= LEAST_SHARE).then(|| Finding {
        kind: cause.kind.to_owned(),
        side: Side::Own,
        title: format!("{} {}", group.label, cause.title),
        requests: requests.count() as u64,
        cost_ns,
        evidence: evidence([
            ("route", json!(group.label)),
            ("share", json!(share)),
            ("longest_ns", json!(longest_ns)),
        ]),
        advice: cause.advice.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::{MS, report, request};

    #[test]
    fn what_holds_requests_back_is_found_by_its_bucket() {
        for cause in CAUSES {
            let held = request("/a", 0, &[(cause.bucket, 40), (Bucket::LlmFirstByte, 60)]);
            let free = request("/a", 500, &[(Bucket::LlmFirstByte, 100)]);
            let findings = check(&report([held, free]));
            assert_eq!(findings.len(), 1, "{}", cause.kind);
            let found = &findings[0];
            assert_eq!((found.kind.as_str(), found.cost_ns, found.requests), (cause.kind, 40 * MS, 1));
            assert_eq!(
                (&found.evidence["share"], &found.evidence["longest_ns"]),
                (&json!(0.2), &json!(40 * MS))
            );
        }
    }

    #[test]
    fn little_of_it_or_an_unknown_is_not() {
        let little = request("/a", 0, &[(Bucket::WaitExecutor, 4), (Bucket::LlmFirstByte, 96)]);
        let mut unknown = request("/b", 0, &[(Bucket::LlmFirstByte, 80)]);
        unknown.buckets.set(Bucket::PythonGc, None);
        assert!(check(&report([little, unknown])).is_empty());
    }
}
