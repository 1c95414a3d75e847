//! A route whose steps keep an event loop busy while other requests are ready to go on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    NOTABLE_SHARE, add,
    block_cause::{Cause, add_spent, own_length_ns},
    evidence,
    loop_wait::{Busy, Threads, all_waits},
    named,
};
use crate::report::{
    group,
    group::Side,
    stats,
    types::{Call, Caller, Finding, Function, Report},
};

/// A loop that is merely well used holds nobody up for longer than this at a time.
pub(super) const LONG_STEP_NS: u64 = 10_000_000;

/// One step alone that is shorter may be chance: a host that took the CPU away, or something that is done once.
const LONG_ALONE_NS: u64 = 25_000_000;

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
        let long = threads.during(waiting, wait).filter(|(busy, _)| own_length_ns(busy) >= LONG_STEP_NS);
        for (busy, delay_ns) in long {
            let blocker = blockers.entry(group::label(busy.request)).or_default();
            blocker.steps.insert((&busy.request.id, busy.start_ns), busy);
            blocker.waiting.insert(&waiting.id);
            add(&mut blocker.delayed_ns, group::label(waiting), delay_ns);
            if let Some(function) = ran(&busy) {
                add(&mut blocker.functions_ns, function, delay_ns);
            }
        }
    }
    blockers.retain(|_, blocker| {
        blocker.steps.len() > 1 || blocker.steps.values().any(|busy| own_length_ns(busy) >= LONG_ALONE_NS)
    });
    blockers.into_iter().map(|(route, blocker)| finding(route, &blocker)).collect()
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
    let calls = matches!(cause, Cause::SyncClient | Cause::Lookup);
    let hosts: BTreeSet<&str> = blocker.steps.values().flat_map(hosts).filter(|_| calls).collect();
    let with = cause.title(hosts.first().copied());
    Finding {
        kind: "loop_blocked".to_owned(),
        side: Side::Own,
        title: format!("{route} blocks the event loop with {with}"),
        requests: blocker.waiting.len() as u64,
        cost_ns: stats::sum(blocker.delayed_ns.values().copied()),
        evidence: evidence([
            ("route", json!(route)),
            ("blocking_requests", json!(requests.len())),
            ("long_steps", json!(blocker.steps.len())),
            ("longest_step_ns", json!(blocker.steps.values().map(Busy::length_ns).max())),
            ("network_wait_in_them_ns", json!(spent_ns.get(&Cause::SyncClient))),
            ("lookups_in_them_ns", json!(spent_ns.get(&Cause::Lookup))),
            ("files_in_them_ns", json!(spent_ns.get(&Cause::File))),
            ("locks_in_them_ns", json!(spent_ns.get(&Cause::Lock))),
            ("sleep_in_them_ns", json!(spent_ns.get(&Cause::Sleep))),
            ("programs_in_them_ns", json!(spent_ns.get(&Cause::Child))),
            ("cpu_in_them_ns", json!(spent_ns.get(&Cause::Cpu))),
            ("gc_in_them_ns", json!(spent_ns.get(&Cause::Gc))),
            ("imports_in_them_ns", json!(spent_ns.get(&Cause::Import))),
            ("held_up_ns", json!(blocker.delayed_ns)),
            ("running_ns", named(&blocker.functions_ns)),
        ]),
        advice: cause.advice().to_owned(),
    }
}

/// What a step ran: what samples found, or else who made a call in it.
fn ran(busy: &Busy) -> Option<String> {
    let sampled = busy.function.map(Function::label);
    let caller = || {
        let stack = calls(busy).flat_map(|call| &call.stack);
        stack.into_iter().find(|caller| caller.application).map(Caller::label)
    };
    sampled.or_else(caller)
}

/// Calls that were under way in a step.
fn calls<'a>(busy: &Busy<'a>) -> impl Iterator<Item = &'a Call> {
    let (start_ns, end_ns) = (busy.start_ns, busy.end_ns);
    busy.request.calls.iter().filter(move |call| {
        call.start_unix_ns < end_ns && call.start_unix_ns.saturating_add(call.wall_ns) > start_ns
    })
}

/// Whom a step called.
fn hosts<'a>(busy: &Busy<'a>) -> impl Iterator<Item = &'a str> {
    calls(busy).filter_map(|call| call.host.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, call, report, request},
        report::{
            bucket::Bucket,
            types::{Request, Segment, Step},
        },
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
    fn what_blocks_is_told_apart_by_its_kind() {
        let kinds = [
            (Bucket::WaitDisk, "files", "files_in_them_ns", "aiofiles"),
            (Bucket::WaitLock, "a lock", "locks_in_them_ns", "asyncio.Lock"),
            (Bucket::WaitSleep, "a sleep", "sleep_in_them_ns", "asyncio.sleep()"),
            (Bucket::WaitChild, "another program", "programs_in_them_ns", "create_subprocess_exec"),
            (Bucket::LlmDns, "name lookups", "lookups_in_them_ns", "loop.getaddrinfo"),
            (Bucket::NetOther, "synchronous calls", "network_wait_in_them_ns", "AsyncClient"),
        ];
        for (bucket, title, key, advice) in kinds {
            let blocking = request("/blocking", 6, &[(Bucket::PythonCpu, 1), (bucket, 79)]);
            let found = &check(&report([blocking, waiting()]))[0];
            assert!(found.title.ends_with(title), "{}", found.title);
            assert_eq!(found.evidence[key], 79 * MS, "{key}");
            assert!(found.advice.contains(advice), "{}", found.advice);
        }
    }

    #[test]
    fn a_lookup_of_another_peer_is_told_from_the_call_that_follows() {
        let mut blocking = request("/blocking", 6, &[(Bucket::NetOther, 80)]);
        let lookup = Segment { start_ns: 0, end_ns: 60 * MS, bucket: Bucket::LlmDns };
        let stack = [("send", "/lib/python3.11/http/client.py", false), ("ask", "/srv/app.py", true)];
        let caller = |(function, file, application): (&str, &str, bool)| Caller {
            function: function.into(),
            file: file.into(),
            line: Some(9),
            application,
            first_line: 1,
        };
        let mut asked = call("db.internal", &blocking, 0, 80);
        asked.phases = vec![lookup];
        asked.stack = stack.map(caller).to_vec();
        blocking.calls = vec![asked];
        let found = &check(&report([blocking, waiting()]))[0];
        assert!(found.title.ends_with("lookups of db.internal"), "{}", found.title);
        assert_eq!(found.evidence["lookups_in_them_ns"], 60 * MS);
        assert_eq!(found.evidence["network_wait_in_them_ns"], 20 * MS);
        assert_eq!(found.evidence["running_ns"]["ask (app.py:9)"], 80 * MS);
    }

    #[test]
    fn a_step_that_lacks_a_cpu_blocks_by_what_it_does_itself() {
        let preempted = request("/preempted", 6, &[(Bucket::PythonCpu, 5), (Bucket::WaitRunqueue, 75)]);
        assert!(check(&report([preempted, waiting()])).is_empty());
        let computing = request("/computing", 6, &[(Bucket::PythonCpu, 30), (Bucket::WaitRunqueue, 50)]);
        assert!(check(&report([computing, waiting()]))[0].title.ends_with("computation"));
    }

    #[test]
    fn steps_of_other_threads_and_short_steps_block_nobody() {
        let mut elsewhere = request("/thread", 6, &[(Bucket::PythonCpu, 80)]);
        elsewhere.steps[0].tid = 2;
        let short = request("/short", 6, &[(Bucket::PythonCpu, 5)]);
        assert!(check(&report([elsewhere, short, waiting()])).is_empty());
    }
}
