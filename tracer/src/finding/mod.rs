//! Findings: named bottlenecks, each with its cost, its evidence and the next step. Each check is a function
//! of the report alone, in a file of its own.

mod block_cause;
mod connection_not_reused;
mod cpu_bound;
mod gil_contention;
mod held_back;
mod hot_spot;
mod import_in_request;
mod keep_alive_expired;
mod long_waits;
mod loop_blocked;
mod loop_saturated;
pub mod loop_wait;
mod pool_exhausted;
mod rate_limited;
mod retry_backoff;
mod serial_calls;
mod slow_dns;
mod stream_read_late;
mod too_many_tasks;
mod vendor_dominates;

#[cfg(test)]
pub(crate) mod cases;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::report::{
    bucket::Bucket,
    functions::sample_ns,
    group::Group,
    stats,
    types::{Finding, Report},
};

/// Looks for one bottleneck.
type Check = fn(&Report) -> Vec<Finding>;

const CHECKS: [Check; 18] = [
    loop_blocked::check,
    loop_saturated::check,
    cpu_bound::check,
    serial_calls::check,
    connection_not_reused::check,
    vendor_dominates::check,
    gil_contention::check,
    held_back::check,
    retry_backoff::check,
    rate_limited::check,
    pool_exhausted::check,
    keep_alive_expired::check,
    stream_read_late::check,
    slow_dns::check,
    import_in_request::check,
    hot_spot::check,
    too_many_tasks::check,
    long_waits::check,
];

/// Costs below this are noise, whatever share they are.
const LEAST_COST_NS: u64 = 1_000_000;

/// Costs below this share of the wall time of all requests are not worth a look.
const LEAST_SHARE: f64 = 0.001;

/// All findings of a report, the most costly first. The report must be one that was just made from events:
/// `timeline`, `steps` and the place of calls are not in its JSON form. `report.findings` is not looked at.
pub fn find(report: &Report) -> Vec<Finding> {
    let mut findings: Vec<Finding> = CHECKS.iter().flat_map(|check| check(report)).collect();
    // A route that holds the loop for its vendor costs others more than a faster vendor would save it.
    let blockers: Vec<Finding> = findings.iter().filter(|f| f.kind == "loop_blocked").cloned().collect();
    let is_lesser = |finding: &Finding| {
        let same = |other: &&Finding| other.evidence.get("route") == finding.evidence.get("route");
        blockers.iter().find(same).is_some_and(|blocker| blocker.cost_ns > finding.cost_ns)
    };
    // So does one that waits there.
    let may_be_lesser = ["vendor_dominates", "lock_contention", "sleep_in_request"];
    findings.retain(|finding| !may_be_lesser.contains(&finding.kind.as_str()) || !is_lesser(finding));
    // Who reads late because others hold the loop is told of with them.
    let held_up_ns = |route: &str| {
        stats::sum(blockers.iter().filter_map(|f| f.evidence.get("held_up_ns")?.get(route)?.as_u64()))
    };
    let is_held_up = |finding: &Finding| {
        let route = finding.evidence.get("route").and_then(Value::as_str);
        route.is_some_and(|route| held_up_ns(route) >= finding.cost_ns)
    };
    findings.retain(|finding| finding.kind != "stream_read_late" || !is_held_up(finding));
    let wall_ns = stats::sum(report.requests.iter().map(|request| request.wall_ns));
    findings.retain(|finding| {
        finding.cost_ns >= LEAST_COST_NS && stats::ratio(finding.cost_ns, wall_ns) >= LEAST_SHARE
    });
    findings.sort_by(|a, b| b.cost_ns.cmp(&a.cost_ns).then_with(|| a.title.cmp(&b.title)));
    findings
}

/// Parts below this share of what a finding costs, or comes of, are no evidence.
const NOTABLE_SHARE: f64 = 0.05;

/// Of a bucket that only samples tell of, fewer may be chance.
const LEAST_SAMPLES: u64 = 4;

/// Whether the time of a group in a bucket is known by so few samples that it says nothing.
fn may_be_chance(report: &Report, group: &Group, bucket: Bucket, bucket_ns: u64) -> bool {
    let is_sampled = |pid| {
        report.capture.sampled.iter().any(|sampled| sampled.pid == pid && sampled.bucket == bucket.name())
    };
    bucket_ns < LEAST_SAMPLES * sample_ns(report.capture.samples_per_second)
        && group.requests.iter().any(|request| is_sampled(request.pid))
}

/// Evidence from pairs; keys of durations end in `_ns`, those of shares (0 to 1) in `share`.
fn evidence<const N: usize>(pairs: [(&str, Value); N]) -> serde_json::Map<String, Value> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Adds to what a key has.
fn add<K: Ord>(sums_ns: &mut BTreeMap<K, u64>, key: K, ns: u64) {
    let sum_ns = sums_ns.entry(key).or_default();
    *sum_ns = sum_ns.saturating_add(ns);
}

/// Evidence by name; none where nothing has a name.
fn named(ns: &BTreeMap<String, u64>) -> Value {
    if ns.is_empty() { Value::Null } else { serde_json::json!(ns) }
}

#[cfg(test)]
mod tests {
    use super::{
        cases::{MS, report, request},
        *,
    };
    #[test]
    fn the_most_costly_come_first_and_noise_is_left_out() {
        let slow = request("/slow", 0, &[(Bucket::LlmFirstByte, 400)]);
        let compute = request("/compute", 500, &[(Bucket::PythonCpu, 90), (Bucket::WaitGil, 10)]);
        let mut noise = request("/noise", 900, &[(Bucket::LlmFirstByte, 1)]);
        noise.buckets.set(Bucket::LlmFirstByte, Some(1_000));
        let findings = find(&report([noise, compute, slow]));
        let found: Vec<(&str, u64)> = findings.iter().map(|f| (f.kind.as_str(), f.cost_ns)).collect();
        assert_eq!(
            found,
            [("vendor_dominates", 400 * MS), ("cpu_bound", 90 * MS), ("gil_contention", 10 * MS)]
        );
    }
}
