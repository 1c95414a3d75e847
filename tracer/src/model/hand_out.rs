//! Requests are handed out once they are done, and what is no longer needed of processes is forgotten: so a model may go on
//! for months.

use std::{borrow::Cow, collections::HashSet};

use crate::{
    model::{Model, Outcome, closing},
    request::{Call, FunctionId, Request, RequestId},
};

/// How long requests are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// One that was answered is done once nothing was done for it for so long,
    pub quiet_ns: u64,
    /// or so long after its answer.
    pub longest_ns: u64,
    /// Of a process that serves none, the run is handed out in pieces of this length: it may have no end.
    pub run_ns: u64,
}

/// Sizes of what the model holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub open_requests: usize,
    pub answered_requests: usize,
    pub processes: usize,
    pub threads: usize,
    pub connections: usize,
    pub functions: usize,
}

impl Model {
    /// Numbers requests from after `count` on.
    pub fn number_after(&mut self, count: u64) {
        self.requests.number_after(count);
    }

    /// Hands out the requests that are done at `at_ns`, and the losses since the last time. Events up to then were applied.
    pub fn hand_out(&mut self, at_ns: u64, patience: &Patience) -> Outcome<'_> {
        let with_requests = self.requests.processes();
        self.facts.retain(|tgid, _| self.processes.contains_key(tgid) || with_requests.contains(tgid));
        self.cut_runs(at_ns, patience);
        let mut requests = self.requests.take_closed(|request| is_done(request, at_ns, patience));
        requests.iter_mut().for_each(closing::settle_calls);
        Outcome {
            requests,
            facts: Cow::Borrowed(&self.facts),
            containers: Cow::Borrowed(&self.containers),
            functions: self.functions.list(),
            samples_per_second: self.samples_per_second,
            lost_events: std::mem::take(&mut self.lost_events),
        }
    }

    /// Forgets functions that no process runs any more. To be called less often than requests are held.
    pub fn forget_functions(&mut self) {
        let processes = self.processes.values();
        let used: HashSet<FunctionId> =
            processes.flat_map(|process| process.codes.values().copied()).collect();
        self.functions.keep(&used);
    }

    /// Processes that were not seen to end.
    pub fn processes(&self) -> impl Iterator<Item = u32> + '_ {
        self.processes.keys().copied()
    }

    pub fn held(&self) -> Held {
        let (open_requests, answered_requests) = self.requests.held();
        Held {
            open_requests,
            answered_requests,
            processes: self.processes.len(),
            threads: self.threads.len(),
            connections: self.connections.len(),
            functions: self.functions.list().len(),
        }
    }

    /// Ends runs that have gone on for long, and begins them anew. A call is not cut in two, unless it goes on for as long as
    /// such a piece.
    fn cut_runs(&mut self, at_ns: u64, patience: &Patience) {
        let is_due = |id: &RequestId| {
            let Some(run) = self.requests.get(*id) else { return false };
            let length_ns = at_ns.saturating_sub(run.start_ns);
            length_ns >= patience.run_ns.saturating_mul(2)
                || length_ns >= patience.run_ns && run.calls.iter().all(has_answer)
        };
        let runs = self.processes.iter().filter_map(|(tgid, process)| Some((*tgid, process.run?)));
        let due: Vec<(u32, RequestId)> = runs.filter(|(_, id)| is_due(id)).collect();
        for (tgid, run) in due {
            self.close(run, at_ns);
            let process = self.process(tgid);
            process.run = None;
            self.begin_run(tgid, at_ns);
            let Some(next) = self.process(tgid).run else { continue };
            let inherited = self.processes.values_mut().filter_map(|process| process.inherited.as_mut());
            inherited.filter(|(request, _)| *request == run).for_each(|inherited| *inherited = (next, at_ns));
        }
    }
}

fn is_done(request: &Request, at_ns: u64, patience: &Patience) -> bool {
    let Some(end_ns) = request.end_ns else { return false };
    let of_calls = request.calls.iter().map(Call::end_ns);
    let last_ns = of_calls.fold(end_ns.max(request.background.until_ns), u64::max);
    let is_quiet = at_ns.saturating_sub(last_ns) >= patience.quiet_ns;
    is_quiet && request.calls.iter().all(has_answer) || at_ns.saturating_sub(end_ns) >= patience.longest_ns
}

/// It has one, as far as can be seen, or gets none.
fn has_answer(call: &Call) -> bool {
    call.first_byte_ns.is_some() || call.answered || call.hung_up.is_some() || call.last_read_ns.is_some()
}
