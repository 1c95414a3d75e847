//! A request ends: whatever still works or waits for it claims its time up to here, and what goes on is background.

use crate::{
    event::ResponseHead,
    model::{Model, process::Process, thread::Frame},
    request::{Call, Request, RequestId, call::Span, open::Worker},
};

/// Between a call's end and the next attempt there is little but the sleep itself.
const BACKOFF_SLACK_NS: u64 = 20_000_000;

impl Model {
    pub(super) fn close(&mut self, id: RequestId, at_ns: u64) {
        self.claim_open_ends(id, at_ns);
        let Some(request) = self.requests.get(id).filter(|request| request.is_run()) else {
            return self.requests.close(id, at_ns);
        };
        let process = self.processes.get_mut(&request.tgid);
        let is_python = process.as_ref().is_some_and(|process| process.facts.is_some());
        if let Some(process) = process {
            process.run = None;
        }
        // Of a program that is no Python nothing is reported.
        if is_python {
            self.requests.close(id, at_ns);
        } else {
            self.requests.forget(id);
        }
    }

    /// What is on CPU for requests that were answered is so up to here.
    pub(super) fn leave_background(&mut self, at_ns: u64) {
        let tids: Vec<u32> = self.threads.keys().copied().collect();
        tids.into_iter().for_each(|tid| self.flush(at_ns, tid));
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
            self.unbind_server(id, at_ns, tid);
        }
        let is_child = |process: &Process| process.inherited.is_some_and(|(request, _)| request == id);
        let children = self.processes.iter().filter(|(_, process)| is_child(process));
        let children: Vec<u32> = children.map(|(tgid, _)| *tgid).collect();
        children.into_iter().for_each(|tgid| self.claim_child(at_ns, tgid));
        let steps: Vec<(u32, Frame)> = self
            .threads
            .iter()
            .flat_map(|(tid, thread)| thread.frames.iter().map(|frame| (*tid, *frame)))
            .filter(|(_, frame)| frame.request == Some(id))
            .collect();
        for (tid, frame) in steps {
            self.timer_ran(id, tid, &frame);
            let span = Span { start_ns: frame.start_ns, end_ns: at_ns };
            self.stepped(id, Worker::Context(frame.generation), tid, span);
        }
        let frames = self.threads.values_mut().flat_map(|thread| &mut thread.frames);
        for frame in frames.filter(|frame| frame.request == Some(id)) {
            frame.start_ns = at_ns;
            frame.timer = None;
            // What serves a connection goes on with its next request; what the request made goes on with its own.
            if frame.adopted || frame.serves.is_some() {
                frame.request = None;
            }
        }
    }

    /// A thread that served the request is free; one that works on what it was given goes on.
    fn unbind_server(&mut self, id: RequestId, at_ns: u64, tid: u32) {
        let Some(thread) = self.threads.get(&tid) else { return };
        if thread.request == Some(id) && !thread.is_started_by_request && !thread.works_from_queue {
            self.unbind_thread(at_ns, tid);
        }
    }
}

/// Nothing more comes: ends what was never answered with its request, and finds the attempts of one logical call.
pub fn settle_calls(request: &mut Request) {
    let Some(end_ns) = request.end_ns else { return };
    request.calls.retain(|call| !call.is_disowned);
    for call in &mut request.calls {
        let in_background = call.send.start_ns >= end_ns;
        call.finish(if in_background { request.background.until_ns } else { end_ns });
    }
    mark_attempts(request);
}

/// Attempts of one logical call: the next to the same host for the same, where the client counts it as another try, or after
/// an answer whose status asks for one, and a sleep that fills the time between. Where neither can be seen, a sleep stays a
/// sleep.
fn mark_attempts(request: &mut Request) {
    request.calls.sort_by_key(|call| call.send.start_ns);
    for index in 1..request.calls.len() {
        let (earlier, later) = request.calls.split_at(index);
        let next = &later[0];
        let retries = next.asked.retries.unwrap_or(0);
        let is_before = |call: &&Call| {
            let is_same = call.host == next.host && call.asked.model == next.asked.model;
            is_same
                && call.to_llm
                && call.end_ns() <= next.send.start_ns
                && (retries == 0 || call.attempt == retries)
        };
        let Some(last) = earlier.iter().rev().find(is_before) else { continue };
        let asks_for_more = |head: &ResponseHead| matches!(head.status, 408 | 409 | 429 | 500..=599);
        if retries == 0 && !last.response.as_ref().is_some_and(asks_for_more) {
            continue;
        }
        let (from_ns, to_ns, attempt) = (last.end_ns(), next.start_ns(), last.attempt + 1);
        let sleep = request
            .longest_sleep(from_ns.saturating_sub(BACKOFF_SLACK_NS), to_ns.saturating_add(BACKOFF_SLACK_NS))
            // What the client counts as another try, it slept for: however long it took from the failure to the sleep.
            .filter(|sleep| {
                retries > 0
                    || sleep.start_ns.saturating_sub(from_ns) < BACKOFF_SLACK_NS
                        && to_ns.saturating_sub(sleep.end_ns) < BACKOFF_SLACK_NS
            });
        if retries > 0 || sleep.is_some() {
            request.calls[index].attempt = attempt;
        }
        if let Some(sleep) = sleep {
            request.sleep_is_backoff(sleep.start_ns, sleep.end_ns);
        }
    }
}
