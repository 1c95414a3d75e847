//! A route whose threads queue for the GIL.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{evidence, named};
use crate::report::{
    bucket::Bucket,
    group::{self, Group, Side},
    stats,
    types::{Finding, Report},
};

/// Below this share of the wall time it is the ordinary cost of threads.
const LEAST_SHARE: f64 = 0.05;

/// The cost of a route is its `wait.gil`.
pub fn check(report: &Report) -> Vec<Finding> {
    group::by_route(&report.requests).iter().filter_map(of_route).collect()
}

fn of_route(group: &Group) -> Option<Finding> {
    let wait_ns = group.bucket_ns(Bucket::WaitGil)?;
    let share = stats::ratio(wait_ns, group.wall_ns());
    if share < LEAST_SHARE {
        return None;
    }
    Some(Finding {
        kind: "gil_contention".to_owned(),
        side: Side::Own,
        title: format!("{} waits for the GIL, which other threads of the process hold", group.label),
        requests: group.requests.len() as u64,
        cost_ns: wait_ns,
        evidence: evidence([
            ("route", json!(group.label)),
            ("share", json!(share)),
            ("held_by_ns", named(&holders_ns(group))),
        ]),
        advice:
            "Run fewer threads and more worker processes, and move computing out of the process; the route \
                 with the most python.cpu holds the GIL."
                .to_owned(),
    })
}

/// How long the route waited for each function that held the GIL, and on which threads that ran.
fn holders_ns(group: &Group) -> BTreeMap<String, u64> {
    let mut holders = BTreeMap::<String, (u64, BTreeSet<u32>)>::new();
    for wait in group.requests.iter().flat_map(|request| &request.gil_waits) {
        let (wait_ns, tids) = holders.entry(wait.function.label()).or_default();
        *wait_ns = wait_ns.saturating_add(wait.wait_ns);
        tids.insert(wait.tid);
    }
    let named = holders.into_iter().map(|(function, (wait_ns, tids))| match (tids.len(), tids.first()) {
        (1, Some(tid)) => (format!("{function} on thread {tid}"), wait_ns),
        (threads, _) => (format!("{function} on {threads} threads"), wait_ns),
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::types::{Frame, GilWait},
    };

    #[test]
    fn queueing_is_found() {
        let findings = check(&report([request("/a", 0, &[(Bucket::WaitGil, 20), (Bucket::PythonCpu, 80)])]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].cost_ns, 20 * MS);
    }

    #[test]
    fn who_held_it_is_named() {
        let mut waiting = request("/a", 0, &[(Bucket::WaitGil, 20), (Bucket::PythonCpu, 80)]);
        let function = Frame { function: "burn".into(), file: "/srv/work.py".into(), line: 3 };
        let wait = |tid, ms| GilWait { function: function.clone(), tid, wait_ns: ms * MS };
        waiting.gil_waits = vec![wait(5, 11), wait(6, 7)];
        let findings = check(&report([waiting]));
        assert_eq!(findings[0].evidence["held_by_ns"]["burn (work.py:3) on 2 threads"], 18 * MS);
    }

    #[test]
    fn little_of_it_or_an_unknown_is_not() {
        let little = request("/a", 0, &[(Bucket::WaitGil, 4), (Bucket::PythonCpu, 96)]);
        let mut unknown = request("/b", 0, &[(Bucket::PythonCpu, 80)]);
        unknown.buckets.set(Bucket::WaitGil, None);
        assert!(check(&report([little, unknown])).is_empty());
    }
}
