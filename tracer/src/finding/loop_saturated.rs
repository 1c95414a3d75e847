//! An event loop that has more to do than time to do it, though no step is long.

use std::collections::BTreeMap;

use foldhash::HashSet;
use serde_json::json;

use super::{
    evidence,
    loop_blocked::LONG_STEP_NS,
    loop_wait::{Threads, all_waits},
};
use crate::report::{
    group::Side,
    stats,
    types::{Finding, Report},
};

/// Below this share of the process's wall time it is the ordinary queue of a loop.
const LEAST_SHARE: f64 = 0.1;

/// What the loop of a process keeps waiting.
#[derive(Default)]
struct Queue<'a> {
    waiting: HashSet<&'a str>,
    cost_ns: u64,
    steps: HashSet<(&'a str, u64)>,
    steps_ns: u64,
}

/// The cost of a process is the `wait.loop` of its requests while the loop ran short steps of others.
pub fn check(report: &Report) -> Vec<Finding> {
    let threads = Threads::new(&report.requests);
    let mut queues = BTreeMap::<u32, Queue>::new();
    for (waiting, wait) in all_waits(report) {
        let queue = queues.entry(waiting.pid).or_default();
        for (busy, delay_ns) in threads.during(waiting, wait) {
            if busy.length_ns() < LONG_STEP_NS {
                queue.waiting.insert(&waiting.id);
                queue.cost_ns = queue.cost_ns.saturating_add(delay_ns);
                if queue.steps.insert((&busy.request.id, busy.start_ns)) {
                    queue.steps_ns = queue.steps_ns.saturating_add(busy.length_ns());
                }
            }
        }
    }
    queues.iter().filter_map(|(pid, queue)| finding(report, *pid, queue)).collect()
}

fn finding(report: &Report, pid: u32, queue: &Queue) -> Option<Finding> {
    let requests = report.requests.iter().filter(|request| request.pid == pid);
    let share = stats::ratio(queue.cost_ns, stats::sum(requests.map(|request| request.wall_ns)));
    if share < LEAST_SHARE {
        return None;
    }
    Some(Finding {
        kind: "loop_saturated".to_owned(),
        side: Side::Own,
        title: format!("the event loop of process {pid} is full: others' short steps come first"),
        requests: queue.waiting.len() as u64,
        cost_ns: queue.cost_ns,
        evidence: evidence([
            ("pid", json!(pid)),
            ("wall_share", json!(share)),
            ("short_steps", json!(queue.steps.len())),
            ("mean_step_ns", json!(queue.steps_ns.checked_div(queue.steps.len() as u64))),
        ]),
        advice: "Run more worker processes (uvicorn --workers, gunicorn -w), or do less in each step: fewer \
                 middlewares, several chunks of a stream at once."
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::{
            bucket::Bucket,
            types::{Request, Step},
        },
    };

    /// Waits 70 ms for a loop, which runs steps of `step_ms` for ten others meanwhile.
    fn queue(step_ms: u64) -> Vec<Request> {
        let mut requests: Vec<Request> = (0..10)
            .map(|index| request("/others", index * step_ms, &[(Bucket::PythonCpu, step_ms)]))
            .collect();
        let mut waiting = request("/waits", 0, &[(Bucket::WaitLoop, 70), (Bucket::PythonCpu, 1)]);
        waiting.steps = vec![Step { start_ns: 70 * MS, end_ns: 71 * MS, context: 0, tid: 1, function: None }];
        requests.push(waiting);
        requests
    }

    #[test]
    fn many_short_steps_are_found() {
        let findings = check(&report(queue(7)));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].cost_ns, findings[0].requests), (70 * MS, 1));
        assert_eq!(
            (&findings[0].evidence["short_steps"], &findings[0].evidence["mean_step_ns"]),
            (&json!(10), &json!(7 * MS))
        );
    }

    #[test]
    fn long_steps_are_another_finding() {
        assert!(check(&report(queue(20))).is_empty());
    }
}
