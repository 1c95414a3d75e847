//! A request ends: whatever still works or waits for it claims its time up to here.

use crate::{
    model::{Model, thread::Frame},
    request::{Request, RequestId, open::Worker},
};

/// Between a call's end and the next attempt there is little but the sleep itself.
const BACKOFF_SLACK_NS: u64 = 20_000_000;

impl Model {
    pub(super) fn close(&mut self, id: RequestId, at_ns: u64) {
        self.claim_open_ends(id, at_ns);
        let Some(mut request) = self.open.remove(&id) else { return };
        request.end_ns = Some(at_ns);
        for call in &mut request.calls {
            call.finish(at_ns);
        }
        mark_attempts(&mut request);
        if request.is_run() {
            let Some(process) = self.processes.get_mut(&request.tgid) else { return };
            process.run = None;
            // Of a program that is no Python nothing is reported.
            if process.facts.is_none() {
                return;
            }
        }
        self.closed.push(request);
    }

    fn claim_open_ends(&mut self, id: RequestId, at_ns: u64) {
        let workers: Vec<(u32, u32)> = self
            .threads
            .iter()
            .filter(|(tid, thread)| self.works_for(thread.tgid, **tid) == Some(id))
            .map(|(tid, thread)| (thread.tgid, *tid))
            .collect();
        for (_, tid) in workers {
            self.flush(at_ns, tid);
            self.claim_still_off(id, at_ns, tid);
            self.unbind_thread_from(id, at_ns, tid);
        }
        let steps: Vec<(u32, Frame)> = self
            .threads
            .iter()
            .flat_map(|(tid, thread)| thread.frames.iter().map(|frame| (*tid, *frame)))
            .filter(|(_, frame)| frame.request == Some(id))
            .collect();
        for (tid, frame) in steps {
            self.timer_ran(id, tid, &frame);
        }
        for (&tid, thread) in &mut self.threads {
            for frame in thread.frames.iter_mut().filter(|frame| frame.request == Some(id)) {
                if let Some(request) = self.open.get_mut(&id) {
                    request.stepped(Worker::Context(frame.generation), tid, frame.start_ns, at_ns);
                }
                frame.request = None;
            }
        }
    }

    fn unbind_thread_from(&mut self, id: RequestId, at_ns: u64, tid: u32) {
        if self.threads.get(&tid).is_some_and(|thread| thread.request == Some(id)) {
            self.unbind_thread(at_ns, tid);
        }
    }
}

/// Attempts of one logical call: the next to the same host, after an answer whose status asks for another try
/// and a sleep that fills the time between. Where the status can't be seen, a sleep stays a sleep.
fn mark_attempts(request: &mut Request) {
    request.calls.sort_by_key(|call| call.send.start_ns);
    for index in 1..request.calls.len() {
        let (earlier, later) = request.calls.split_at(index);
        let next = &later[0];
        let Some(last) = earlier.iter().rev().find(|call| call.host == next.host) else { continue };
        let may_retry =
            last.response.as_ref().is_some_and(|head| matches!(head.status, 408 | 409 | 429 | 500..=599));
        let (from_ns, to_ns) = (last.end_ns(), next.start_ns());
        if !may_retry || !last.to_llm {
            continue;
        }
        let Some(sleep) = request
            .longest_sleep(from_ns.saturating_sub(BACKOFF_SLACK_NS), to_ns.saturating_add(BACKOFF_SLACK_NS))
        else {
            continue;
        };
        let close = sleep.start_ns.saturating_sub(from_ns) < BACKOFF_SLACK_NS
            && to_ns.saturating_sub(sleep.end_ns) < BACKOFF_SLACK_NS;
        if close {
            let attempt = last.attempt + 1;
            request.sleep_is_backoff(sleep.start_ns, sleep.end_ns);
            request.calls[index].attempt = attempt;
        }
    }
}
