//! A route whose time goes into Python code.

use std::collections::BTreeMap;

use serde_json::json;

use super::{add, evidence};
use crate::report::{
    bucket::Bucket,
    group::{self, Group, Side},
    stats,
    types::{Finding, Report},
};

/// From this share on of the time that others do not hold it up, nothing but the code matters.
const DOMINANT_SHARE: f64 = 0.5;

/// Routes that are faster than this have no trouble to find.
const SLOW_NS: u64 = 10_000_000;

/// The cost of a route is its `python.cpu`.
pub fn check(report: &Report) -> Vec<Finding> {
    group::by_route(&report.requests).iter().filter_map(of_route).collect()
}

fn of_route(group: &Group) -> Option<Finding> {
    let cpu_ns = group.bucket_ns(Bucket::PythonCpu)?;
    let own_share = stats::ratio(cpu_ns, group.wall_ns().saturating_sub(group.held_up_ns()));
    if own_share < DOMINANT_SHARE || group.wall_percentile_ns(50.0) < SLOW_NS {
        return None;
    }
    let hottest = hottest(group);
    let advice = match &hottest {
        Some(function) => format!("Make {function} cheaper, cache its result, or move it to a process pool."),
        None => {
            "Profile this route's code; make it cheaper, cache its result, or move it to a process pool. A \
                 thread pool does not help: the GIL lets one thread run at a time."
                .to_owned()
        }
    };
    Some(Finding {
        kind: "cpu_bound".to_owned(),
        side: Side::Own,
        title: format!("{} is bound by Python code", group.label),
        requests: group.requests.len() as u64,
        cost_ns: cpu_ns,
        evidence: evidence([
            ("route", json!(group.label)),
            ("share", json!(stats::ratio(cpu_ns, group.wall_ns()))),
            ("cpu_p50_ns", json!(cpu_p50_ns(group))),
            ("hottest_function", json!(hottest)),
        ]),
        advice,
    })
}

fn cpu_p50_ns(group: &Group) -> Option<u64> {
    let cpu: Vec<u64> =
        group.requests.iter().filter_map(|request| request.buckets.get(Bucket::PythonCpu)).collect();
    stats::percentile(&cpu, 50.0)
}

/// The function with the most CPU of its own, where functions were sampled.
fn hottest(group: &Group) -> Option<String> {
    let mut self_ns = BTreeMap::<String, u64>::new();
    for function in group.requests.iter().flat_map(|request| &request.functions) {
        add(&mut self_ns, function.label(), function.self_ns);
    }
    self_ns.into_iter().max_by_key(|(_, ns)| *ns).map(|(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::types::Function,
    };

    #[test]
    fn a_route_of_computing_is_found_with_its_function() {
        let mut slow = request("/compute", 0, &[(Bucket::PythonCpu, 90), (Bucket::LlmFirstByte, 10)]);
        slow.functions.push(Function { function: "fib".into(), self_ns: 80 * MS, ..Function::default() });
        let findings = check(&report([slow]));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].cost_ns, 90 * MS);
        assert_eq!(findings[0].evidence["share"], 0.9);
        assert!(findings[0].advice.contains("fib"));
    }

    #[test]
    fn what_others_hold_up_is_no_part_of_it() {
        let held_up = request("/compute", 0, &[(Bucket::WaitLoop, 200), (Bucket::PythonCpu, 90)]);
        assert_eq!(check(&report([held_up])).len(), 1);
    }

    #[test]
    fn a_waiting_or_a_quick_route_is_not() {
        let waiting = request("/wait", 0, &[(Bucket::PythonCpu, 10), (Bucket::LlmFirstByte, 90)]);
        let quick = request("/quick", 0, &[(Bucket::PythonCpu, 5)]);
        assert!(check(&report([waiting, quick])).is_empty());
    }
}
