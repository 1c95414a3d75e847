//! Requests that make so many tasks that to run them is what takes the time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{
    add, evidence,
    loop_wait::{Threads, all_waits},
    named,
};
use crate::report::{
    group::{self, Group, Side},
    stats,
    types::{Finding, Report, Request},
};

/// Tasks of one request that are under way at once; a fan-out of calls has a few dozen.
const MANY: usize = 500;

/// What does more in a step works; below it, most is what a task itself costs.
const SHORT_STEP_NS: u64 = 1_000_000;

/// What the tasks of a route did.
#[derive(Default)]
struct Tasks<'a> {
    ids: BTreeSet<&'a str>,
    waiting: BTreeSet<&'a str>,
    at_once: usize,
    short_steps: u64,
    steps_ns: u64,
    /// How long requests of each route waited for the short steps.
    delayed_ns: BTreeMap<String, u64>,
}

/// The cost of a route is what the short steps of such requests took, and how long others waited for them.
pub fn check(report: &Report) -> Vec<Finding> {
    let mut routes = BTreeMap::<String, Tasks>::new();
    let mut crowds = BTreeMap::<&str, String>::new();
    for Group { label, requests } in group::by_route(&report.requests) {
        for request in requests {
            let at_once = most_at_once(request);
            if at_once < MANY {
                continue;
            }
            let tasks = routes.entry(label.clone()).or_default();
            tasks.ids.insert(&request.id);
            tasks.at_once = tasks.at_once.max(at_once);
            for step in &request.steps {
                let length_ns = step.end_ns.saturating_sub(step.start_ns);
                if length_ns < SHORT_STEP_NS {
                    tasks.short_steps += 1;
                    tasks.steps_ns = tasks.steps_ns.saturating_add(length_ns);
                }
            }
            crowds.insert(&request.id, label.clone());
        }
    }
    if crowds.is_empty() {
        return Vec::new();
    }
    let threads = Threads::new(&report.requests);
    for (waiting, wait) in all_waits(report) {
        for (busy, delay_ns) in threads.during(waiting, wait) {
            let label = crowds.get(busy.request.id.as_str()).filter(|_| busy.length_ns() < SHORT_STEP_NS);
            let Some(tasks) = label.and_then(|label| routes.get_mut(label)) else { continue };
            tasks.waiting.insert(&waiting.id);
            add(&mut tasks.delayed_ns, group::label(waiting), delay_ns);
        }
    }
    routes.into_iter().map(|(route, tasks)| finding(&route, &tasks)).collect()
}

/// The most contexts of a request that had begun and were to go on, at one time. Each task has one.
fn most_at_once(request: &Request) -> usize {
    if (request.contexts as usize) < MANY {
        return 0;
    }
    let mut lives = BTreeMap::<u32, (u64, u64)>::new();
    for step in &request.steps {
        let (start_ns, end_ns) = lives.entry(step.context).or_insert((step.start_ns, step.end_ns));
        *start_ns = step.start_ns.min(*start_ns);
        *end_ns = step.end_ns.max(*end_ns);
    }
    let mut changes: Vec<(u64, isize)> =
        lives.values().flat_map(|(start_ns, end_ns)| [(*start_ns, 1), (*end_ns, -1)]).collect();
    changes.sort_unstable();
    let mut alive = 0;
    let at_once = changes.into_iter().map(|(_, change)| {
        alive += change;
        alive
    });
    usize::try_from(at_once.max().unwrap_or_default()).unwrap_or_default()
}

fn finding(route: &str, tasks: &Tasks) -> Finding {
    let delayed_ns = stats::sum(tasks.delayed_ns.values().copied());
    Finding {
        kind: "too_many_tasks".to_owned(),
        side: Side::Own,
        title: format!("{route} has up to {} tasks at once", tasks.at_once),
        requests: tasks.ids.union(&tasks.waiting).count() as u64,
        cost_ns: tasks.steps_ns.saturating_add(delayed_ns),
        evidence: evidence([
            ("route", json!(route)),
            ("tasks_at_once", json!(tasks.at_once)),
            ("short_steps", json!(tasks.short_steps)),
            ("mean_step_ns", json!(tasks.steps_ns.checked_div(tasks.short_steps))),
            ("short_steps_ns", json!(tasks.steps_ns)),
            ("held_up_ns", named(&tasks.delayed_ns)),
        ]),
        advice: "Let a few workers take what there is to do from an asyncio.Queue, or do many small things in one task; a \
                 semaphore helps where it is acquired before the task is made."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::cases::{MS, report, request},
        report::{bucket::Bucket, types::Step},
    };

    /// A request of so many tasks, which all begin before the first goes on; each takes two steps of 50 µs.
    fn crowd(tasks: u32, gap_ns: u64) -> Request {
        let step_ns = 50_000;
        let steps = (0..2 * tasks).map(|index| {
            let start_ns = u64::from(index) * (step_ns + gap_ns);
            Step { start_ns, end_ns: start_ns + step_ns, context: index % tasks, tid: 1, function: None }
        });
        let steps: Vec<Step> = steps.collect();
        let wall_ms = steps.last().map_or(0, |step| step.end_ns.div_ceil(MS));
        Request { steps, contexts: tasks, ..request("/fan", 0, &[(Bucket::PythonCpu, wall_ms)]) }
    }

    #[test]
    fn a_crowd_costs_its_steps_and_who_waits_for_them() {
        let mut waiting = request("/quick", 10, &[(Bucket::WaitLoop, 20), (Bucket::PythonCpu, 1)]);
        waiting.steps = vec![Step { start_ns: 20 * MS, end_ns: 21 * MS, context: 0, tid: 1, function: None }];
        let findings = check(&report([crowd(1_000, 0), waiting]));
        assert_eq!(findings.len(), 1);
        let found = &findings[0];
        assert_eq!((found.kind.as_str(), found.requests), ("too_many_tasks", 2));
        assert_eq!(found.evidence["tasks_at_once"], 1_000);
        assert_eq!(found.evidence["held_up_ns"]["GET /quick"], 20 * MS);
        assert_eq!(found.cost_ns, 120 * MS);
    }

    #[test]
    fn a_few_and_those_that_come_one_after_another_are_not() {
        let mut in_turn = crowd(1_000, 0);
        in_turn.steps.iter_mut().zip(0u32..).for_each(|(step, index)| step.context = index / 2);
        assert_eq!(most_at_once(&in_turn), 1);
        assert!(check(&report([crowd(100, 0), in_turn])).is_empty());
    }
}
