//! A route whose steps keep an event loop busy while other requests are ready to go on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::json;

use super::evidence;
use crate::report::{
    bucket::Bucket,
    group, stats,
    types::{Finding, Report, Request, Segment},
};

/// A loop that is merely well used holds nobody back for longer than this at a time.
const LONG_STEP_NS: u64 = 10_000_000;

/// Steps of a thread in absolute time, in order; steps of one thread do not overlap.
type Lane<'a> = Vec<(u64, u64, &'a Request)>;

/// What a route did to others.
#[derive(Default)]
struct Blocker<'a> {
    cost_ns: u64,
    longest_ns: u64,
    requests: BTreeSet<&'a str>,
    waiting: BTreeSet<&'a str>,
    /// What the blocking steps spent their time on.
    spent_ns: BTreeMap<Bucket, u64>,
}

/// Holds the `wait.loop` of each request against the steps of others on the thread where it goes on. The
/// cost of a route is the time that others waited while its long steps ran.
pub fn check(report: &Report) -> Vec<Finding> {
    let lanes = lanes(report);
    let mut blockers = BTreeMap::<String, Blocker>::new();
    for waiting in &report.requests {
        for wait in waiting.timeline.iter().filter(|piece| piece.bucket == Bucket::WaitLoop) {
            let Some(lane) = loop_thread(waiting, wait).and_then(|tid| lanes.get(&(waiting.pid, tid))) else {
                continue;
            };
            let start_ns = waiting.start_unix_ns.saturating_add(wait.start_ns);
            let end_ns = waiting.start_unix_ns.saturating_add(wait.end_ns);
            let first = lane.partition_point(|(_, step_end_ns, _)| *step_end_ns <= start_ns);
            let overlapping =
                lane.iter().skip(first).take_while(|(step_start_ns, ..)| *step_start_ns < end_ns);
            for (step_start_ns, step_end_ns, request) in overlapping {
                let step_ns = step_end_ns.saturating_sub(*step_start_ns);
                if request.id == waiting.id || step_ns < LONG_STEP_NS {
                    continue;
                }
                let from_ns = start_ns.max(*step_start_ns);
                let to_ns = end_ns.min(*step_end_ns);
                let blocker = blockers.entry(group::label(request)).or_default();
                blocker.cost_ns = blocker.cost_ns.saturating_add(to_ns.saturating_sub(from_ns));
                blocker.longest_ns = blocker.longest_ns.max(step_ns);
                blocker.requests.insert(&request.id);
                blocker.waiting.insert(&waiting.id);
                add_spent(&mut blocker.spent_ns, request, from_ns, to_ns);
            }
        }
    }
    blockers.into_iter().map(|(route, blocker)| finding(route, &blocker)).collect()
}

/// The thread whose loop was waited for: that of the step with which the request goes on.
fn loop_thread(waiting: &Request, wait: &Segment) -> Option<u32> {
    let next = waiting.steps.partition_point(|step| step.start_ns < wait.end_ns);
    waiting.steps.get(next).or(waiting.steps.last()).map(|step| step.tid)
}

fn lanes(report: &Report) -> HashMap<(u32, u32), Lane<'_>> {
    let mut lanes = HashMap::<(u32, u32), Lane>::new();
    for request in &report.requests {
        for step in &request.steps {
            let start_ns = request.start_unix_ns.saturating_add(step.start_ns);
            let end_ns = request.start_unix_ns.saturating_add(step.end_ns);
            lanes.entry((request.pid, step.tid)).or_default().push((start_ns, end_ns, request));
        }
    }
    for lane in lanes.values_mut() {
        lane.sort_unstable_by_key(|(start_ns, end_ns, _)| (*start_ns, *end_ns));
    }
    lanes
}

/// Adds what a request spent between two instants, by bucket.
fn add_spent(spent_ns: &mut BTreeMap<Bucket, u64>, request: &Request, from_ns: u64, to_ns: u64) {
    let absolute = |ns| request.start_unix_ns.saturating_add(ns);
    let first = request.timeline.partition_point(|piece| absolute(piece.end_ns) <= from_ns);
    let pieces = request.timeline.iter().skip(first).take_while(|piece| absolute(piece.start_ns) < to_ns);
    for piece in pieces {
        let start_ns = absolute(piece.start_ns).max(from_ns);
        let end_ns = absolute(piece.end_ns).min(to_ns);
        let spent = spent_ns.entry(piece.bucket).or_default();
        *spent = spent.saturating_add(end_ns.saturating_sub(start_ns));
    }
}

fn finding(route: String, blocker: &Blocker) -> Finding {
    let busy_with = blocker.spent_ns.iter().max_by_key(|(_, ns)| **ns).map(|(bucket, _)| *bucket);
    let spent_ns = stats::sum(blocker.spent_ns.values().copied());
    let cpu_ns = blocker.spent_ns.get(&Bucket::PythonCpu).copied().unwrap_or_default();
    Finding {
        kind: "loop_blocked".to_owned(),
        title: format!("{route} blocks the event loop while other requests are ready to go on"),
        requests: blocker.waiting.len() as u64,
        cost_ns: blocker.cost_ns,
        evidence: evidence([
            ("route", json!(route)),
            ("blocking_requests", json!(blocker.requests.len())),
            ("longest_step_ns", json!(blocker.longest_ns)),
            ("busy_with", json!(busy_with.map(Bucket::name))),
            ("cpu_share", json!(stats::ratio(cpu_ns, spent_ns))),
        ]),
        advice: advice(busy_with).to_owned(),
    }
}

fn advice(busy_with: Option<Bucket>) -> &'static str {
    match busy_with {
        Some(Bucket::PythonCpu | Bucket::PythonGc) => {
            "Move the computation off the loop: `await loop.run_in_executor(process_pool, ...)`, or a worker \
             of its own."
        }
        Some(Bucket::WaitSleep) => "Replace time.sleep() by `await asyncio.sleep()`.",
        Some(bucket) if group::side_of(bucket) == group::Side::Vendor || bucket == Bucket::NetOther => {
            "A blocking client is used on the loop: use the asynchronous one (AsyncOpenAI, httpx.AsyncClient), \
             or wrap the call in `await asyncio.to_thread(...)`."
        }
        Some(Bucket::PythonImport) => {
            "Import at the top of the module, so that it happens before requests come."
        }
        _ => "Wrap what blocks in `await asyncio.to_thread(...)`.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::types::Step,
    };

    fn waiting() -> Request {
        let pieces = [(Bucket::PythonCpu, 1), (Bucket::WaitLoop, 80), (Bucket::PythonCpu, 1)];
        let mut waiting = request("/quick", 5, &pieces);
        waiting.steps = vec![
            Step { start_ns: 0, end_ns: MS, context: 0, tid: 1 },
            Step { start_ns: 81 * MS, end_ns: 82 * MS, context: 0, tid: 1 },
        ];
        waiting
    }

    #[test]
    fn a_long_step_that_others_wait_for_is_found() {
        let blocking = request("/sync", 6, &[(Bucket::LlmFirstByte, 70), (Bucket::PythonCpu, 10)]);
        let findings = check(&report([blocking, waiting()]));
        assert_eq!(findings.len(), 1);
        let finding = &findings[0];
        assert_eq!((finding.kind.as_str(), finding.requests, finding.cost_ns), ("loop_blocked", 1, 80 * MS));
        assert_eq!(finding.evidence["route"], "GET /sync");
        assert_eq!(finding.evidence["busy_with"], "llm.first_byte");
        assert!(finding.advice.contains("AsyncOpenAI"));
    }

    #[test]
    fn the_advice_follows_what_the_step_was_busy_with() {
        let blocking = request("/compute", 6, &[(Bucket::PythonCpu, 80)]);
        assert!(check(&report([blocking, waiting()]))[0].advice.contains("process_pool"));
    }

    #[test]
    fn steps_of_other_threads_and_short_steps_block_nobody() {
        let mut elsewhere = request("/thread", 6, &[(Bucket::PythonCpu, 80)]);
        elsewhere.steps[0].tid = 2;
        let short = request("/short", 6, &[(Bucket::PythonCpu, 5)]);
        assert!(check(&report([elsewhere, short, waiting()])).is_empty());
    }
}
