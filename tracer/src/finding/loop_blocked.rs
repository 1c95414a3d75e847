//! A route whose steps keep an event loop busy while other requests are ready to go on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    evidence,
    loop_wait::{Busy, Threads, all_waits},
    named,
};
use crate::report::{
    bucket::Bucket,
    group::{self, Side},
    stats,
    types::{Finding, Report},
};

/// A loop that is merely well used holds nobody up for longer than this at a time.
pub(super) const LONG_STEP_NS: u64 = 10_000_000;

/// Causes below this share of the long steps are no evidence.
const NOTABLE_SHARE: f64 = 0.05;

/// What a route did to others.
#[derive(Default)]
struct Blocker<'a> {
    /// Its long steps, by request and start.
    steps: BTreeMap<(&'a str, u64), Busy<'a>>,
    waiting: BTreeSet<&'a str>,
    /// How long requests of each route waited for it.
    delayed_ns: BTreeMap<String, u64>,
    /// How long they waited for what it ran, by function.
    functions_ns: BTreeMap<String, u64>,
}

/// Holds the `wait.loop` of each request against the steps of others on the thread where it goes on. The
/// cost of a route is the time that others waited while its long steps ran.
pub fn check(report: &Report) -> Vec<Finding> {
    let threads = Threads::new(&report.requests);
    let mut blockers = BTreeMap::<String, Blocker>::new();
    for (waiting, wait) in all_waits(report) {
        let long = threads.during(waiting, wait).filter(|(busy, _)| busy.length_ns() >= LONG_STEP_NS);
        for (busy, delay_ns) in long {
            let blocker = blockers.entry(group::label(busy.request)).or_default();
            blocker.steps.insert((&busy.request.id, busy.start_ns), busy);
            blocker.waiting.insert(&waiting.id);
            let delayed = blocker.delayed_ns.entry(group::label(waiting)).or_default();
            *delayed = delayed.saturating_add(delay_ns);
            if let Some(function) = busy.function {
                let ran = blocker.functions_ns.entry(function.label()).or_default();
                *ran = ran.saturating_add(delay_ns);
            }
        }
    }
    blockers.into_iter().map(|(route, blocker)| finding(route, &blocker)).collect()
}

/// What a step was doing, as far as it matters for what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    Network,
    Cpu,
    Gc,
    Import,
    Sleep,
    Other,
}

fn finding(route: String, blocker: &Blocker) -> Finding {
    let mut spent_ns = BTreeMap::<Cause, u64>::new();
    for busy in blocker.steps.values() {
        add_spent(&mut spent_ns, busy);
    }
    let steps_ns = stats::sum(spent_ns.values().copied());
    spent_ns.retain(|_, ns| stats::ratio(*ns, steps_ns) >= NOTABLE_SHARE);
    let cause = spent_ns.iter().max_by_key(|(_, ns)| **ns).map_or(Cause::Other, |(cause, _)| *cause);
    let requests: BTreeSet<&str> = blocker.steps.keys().map(|(request, _)| *request).collect();
    let hosts: BTreeSet<&str> =
        blocker.steps.values().flat_map(|busy| hosts(busy)).filter(|_| cause == Cause::Network).collect();
    let with = match (cause, hosts.iter().next()) {
        (Cause::Network, Some(host)) => format!("synchronous calls to {host}"),
        (Cause::Network, None) => "synchronous calls".to_owned(),
        (Cause::Cpu, _) => "computation".to_owned(),
        (Cause::Gc, _) => "garbage collections".to_owned(),
        (Cause::Import, _) => "imports".to_owned(),
        (Cause::Sleep, _) => "a sleep".to_owned(),
        (Cause::Other, _) => "long steps".to_owned(),
    };
    Finding {
        kind: "loop_blocked".to_owned(),
        title: format!("{route} blocks the event loop with {with}"),
        requests: blocker.waiting.len() as u64,
        cost_ns: stats::sum(blocker.delayed_ns.values().copied()),
        evidence: evidence([
            ("route", json!(route)),
            ("blocking_requests", json!(requests.len())),
            ("long_steps", json!(blocker.steps.len())),
            ("longest_step_ns", json!(blocker.steps.values().map(Busy::length_ns).max())),
            ("network_wait_in_them_ns", json!(spent_ns.get(&Cause::Network))),
            ("cpu_in_them_ns", json!(spent_ns.get(&Cause::Cpu))),
            ("gc_in_them_ns", json!(spent_ns.get(&Cause::Gc))),
            ("imports_in_them_ns", json!(spent_ns.get(&Cause::Import))),
            ("held_up_ns", json!(blocker.delayed_ns)),
            ("running_ns", named(&blocker.functions_ns)),
        ]),
        advice: advice(cause).to_owned(),
    }
}

fn advice(cause: Cause) -> &'static str {
    match cause {
        Cause::Network => {
            "Use the asynchronous client (AsyncOpenAI, httpx.AsyncClient), or wrap the call in `await \
             asyncio.to_thread(...)`, or make the handler a plain `def`, which FastAPI runs in a thread."
        }
        Cause::Cpu => {
            "Move the computation off the loop: `await loop.run_in_executor(process_pool, ...)`, or a worker \
             of its own."
        }
        Cause::Gc => {
            "Call `gc.freeze()` once the application is loaded, so that collections skip what stays, or raise \
             `gc.set_threshold()`."
        }
        Cause::Import => "Import at the top of the module, so that it happens before requests come.",
        Cause::Sleep => "Replace time.sleep() by `await asyncio.sleep()`.",
        Cause::Other => "Wrap what blocks in `await asyncio.to_thread(...)`.",
    }
}

/// Adds what a request spent in a step, by cause.
fn add_spent(spent_ns: &mut BTreeMap<Cause, u64>, busy: &Busy) {
    let absolute = |ns| busy.request.start_unix_ns.saturating_add(ns);
    let timeline = &busy.request.timeline;
    let first = timeline.partition_point(|piece| absolute(piece.end_ns) <= busy.start_ns);
    let pieces = timeline.iter().skip(first).take_while(|piece| absolute(piece.start_ns) < busy.end_ns);
    for piece in pieces {
        let start_ns = absolute(piece.start_ns).max(busy.start_ns);
        let end_ns = absolute(piece.end_ns).min(busy.end_ns);
        let spent = spent_ns.entry(cause_of(piece.bucket)).or_default();
        *spent = spent.saturating_add(end_ns.saturating_sub(start_ns));
    }
}

fn cause_of(bucket: Bucket) -> Cause {
    match bucket {
        Bucket::NetOther => Cause::Network,
        bucket if group::side_of(bucket) == Side::Vendor => Cause::Network,
        Bucket::PythonCpu => Cause::Cpu,
        Bucket::PythonGc => Cause::Gc,
        Bucket::PythonImport => Cause::Import,
        Bucket::WaitSleep => Cause::Sleep,
        _ => Cause::Other,
    }
}

/// Whom a step called.
fn hosts<'a>(busy: &Busy<'a>) -> impl Iterator<Item = &'a str> {
    let (start_ns, end_ns) = (busy.start_ns, busy.end_ns);
    let calls = busy.request.calls.iter().filter(move |call| {
        call.start_unix_ns < end_ns && call.start_unix_ns.saturating_add(call.wall_ns) > start_ns
    });
    calls.filter_map(|call| call.host.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::types::{Function, Request, Step},
    };

    fn waiting() -> Request {
        let pieces = [(Bucket::PythonCpu, 1), (Bucket::WaitLoop, 80), (Bucket::PythonCpu, 1)];
        let mut waiting = request("/quick", 5, &pieces);
        waiting.steps = vec![
            Step { start_ns: 0, end_ns: MS, context: 0, tid: 1, function: None },
            Step { start_ns: 81 * MS, end_ns: 82 * MS, context: 0, tid: 1, function: None },
        ];
        waiting
    }

    #[test]
    fn a_long_step_that_others_wait_for_is_found() {
        let mut blocking = request("/sync", 6, &[(Bucket::LlmFirstByte, 70), (Bucket::PythonCpu, 10)]);
        let (function, file) = ("answer".to_owned(), "/srv/app.py".to_owned());
        blocking.functions = vec![Function { function, file, line: 7, ..Function::default() }];
        blocking.steps[0].function = Some(0);
        let findings = check(&report([blocking, waiting()]));
        assert_eq!(findings.len(), 1);
        let finding = &findings[0];
        assert_eq!((finding.kind.as_str(), finding.requests, finding.cost_ns), ("loop_blocked", 1, 80 * MS));
        assert_eq!(finding.evidence["route"], "GET /sync");
        assert_eq!(finding.evidence["network_wait_in_them_ns"], 70 * MS);
        assert_eq!(finding.evidence["held_up_ns"]["GET /quick"], 80 * MS);
        assert_eq!(finding.evidence["running_ns"]["answer (app.py:7)"], 80 * MS);
        assert!(finding.title.ends_with("synchronous calls"));
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
