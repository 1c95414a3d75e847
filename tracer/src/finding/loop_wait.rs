//! Waits for an event loop, held against what its thread did meanwhile.

use std::collections::BTreeMap;

use foldhash::HashMap;

use crate::report::{
    bucket::Bucket,
    types::{Function, Report, Request, Segment},
};

/// A step on a thread; from and to in time since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Busy<'a> {
    pub start_ns: u64,
    pub end_ns: u64,
    pub request: &'a Request,
    /// What it ran, where that was seen.
    pub function: Option<&'a Function>,
}

impl Busy<'_> {
    pub fn length_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }
}

/// What the threads of some requests did.
pub struct Threads<'a> {
    /// Steps by process and thread, in order and without overlap.
    lanes: HashMap<(u32, u32), Vec<Busy<'a>>>,
    /// The thread of the loop that runs a request.
    loops: HashMap<&'a str, u32>,
}

impl<'a> Threads<'a> {
    pub fn new(requests: impl IntoIterator<Item = &'a Request>) -> Self {
        let mut lanes = HashMap::<(u32, u32), Vec<Busy>>::default();
        let mut loops = HashMap::default();
        for request in requests {
            loops.extend(loop_of(request).map(|tid| (request.id.as_str(), tid)));
            for step in &request.steps {
                let start_ns = request.start_unix_ns.saturating_add(step.start_ns);
                let end_ns = request.start_unix_ns.saturating_add(step.end_ns);
                lanes.entry((request.pid, step.tid)).or_default().push(Busy {
                    start_ns,
                    end_ns,
                    request,
                    function: step.function.and_then(|index| request.functions.get(index)),
                });
            }
        }
        lanes.values_mut().for_each(|lane| *lane = without_overlap(lane));
        Threads { lanes, loops }
    }

    /// The steps of other requests that the event loop ran during a wait of `waiting` for it, each with how
    /// much of it (ns) lies within the wait.
    pub fn during(&self, waiting: &Request, wait: &Segment) -> impl Iterator<Item = (Busy<'a>, u64)> {
        let thread = self.loops.get(waiting.id.as_str());
        let thread = thread.and_then(|tid| self.lanes.get(&(waiting.pid, *tid)));
        let lane = thread.map_or(&[][..], Vec::as_slice);
        let start_ns = waiting.start_unix_ns.saturating_add(wait.start_ns);
        let end_ns = waiting.start_unix_ns.saturating_add(wait.end_ns);
        let first = lane.partition_point(|busy| busy.end_ns <= start_ns);
        let overlapping = lane.iter().skip(first).take_while(move |busy| busy.start_ns < end_ns);
        overlapping
            .filter(|busy| busy.request.id != waiting.id)
            .map(move |busy| (*busy, end_ns.min(busy.end_ns).saturating_sub(start_ns.max(busy.start_ns))))
    }
}

/// The thread of the loop that runs a request: the one with most of its steps. Pool threads have a few.
fn loop_of(request: &Request) -> Option<u32> {
    let mut steps = BTreeMap::<u32, usize>::new();
    for step in &request.steps {
        *steps.entry(step.tid).or_default() += 1;
    }
    steps.into_iter().max_by_key(|(_, steps)| *steps).map(|(tid, _)| tid)
}

/// Every wait of a request for its event loop.
pub fn waits(request: &Request) -> impl Iterator<Item = &Segment> {
    request.timeline.iter().filter(|piece| piece.bucket == Bucket::WaitLoop)
}

/// Every wait for an event loop, and the request that waits.
pub fn all_waits(report: &Report) -> impl Iterator<Item = (&Request, &Segment)> {
    report.requests.iter().flat_map(|request| waits(request).map(move |wait| (request, wait)))
}

/// Contexts may run within each other; what is inside belongs to the outermost.
fn without_overlap<'a>(lane: &mut [Busy<'a>]) -> Vec<Busy<'a>> {
    lane.sort_unstable_by_key(|busy| (busy.start_ns, std::cmp::Reverse(busy.end_ns)));
    let mut outermost = Vec::<Busy>::with_capacity(lane.len());
    for busy in lane {
        let free_ns = outermost.last().map_or(0, |last| last.end_ns);
        if busy.end_ns > free_ns {
            outermost.push(Busy { start_ns: busy.start_ns.max(free_ns), ..*busy });
        }
    }
    outermost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::cases::request;

    #[test]
    fn inner_steps_are_part_of_the_outer() {
        let request = request("/a", 0, &[(Bucket::PythonCpu, 1)]);
        let busy = |start_ns, end_ns| Busy { start_ns, end_ns, request: &request, function: None };
        let mut lane = [busy(20, 40), busy(0, 100), busy(90, 120), busy(200, 210)];
        let spans: Vec<(u64, u64)> =
            without_overlap(&mut lane).iter().map(|busy| (busy.start_ns, busy.end_ns)).collect();
        assert_eq!(spans, [(0, 100), (100, 120), (200, 210)]);
    }
}
