//! What a step waited for before it began: for whoever made it ready, for a timer, or for its turn; and from when on it
//! was ready.

use crate::{
    model::{
        Model,
        context::Ready,
        thread::{Frame, Sets, Timer},
    },
    request::{Rank, RequestId, call::Span, open::Worker},
};

impl Model {
    /// The running step sets the result that another one waits for.
    pub(super) fn context_ready(&mut self, at_ns: u64, tgid: u32, tid: u32, address: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        let by = self.owner(tgid, tid);
        match std::mem::take(&mut self.thread(tgid, tid).sets) {
            Sets::Result => self.hands_over(at_ns, tgid, tid, address),
            Sets::Job => self.process(tgid).contexts.takes_job(address, by),
            // Of a lock, which says nothing of what both do with it.
            Sets::Turn => {}
        }
        self.process(tgid).contexts.made_ready(address, Ready { at_ns, by });
    }

    /// A task has what it waited for since its last step, in these code objects.
    pub(super) fn awaited(&mut self, at_ns: u64, tgid: u32, tid: u32, address: u64, frames: &[u64]) {
        let on = self.take_stream(tgid, tid, at_ns);
        let process = self.process(tgid);
        let stack = process.stack(frames);
        let Some(&context) = process.contexts.get(address) else { return };
        let id = self.context_works_for(&context).or_else(|| self.process_works_for(tgid));
        if let Some(on) = on {
            self.works_on_stream((tgid, tid), id, on, Worker::Context(context.generation), &stack);
        }
        let Some((left_ns, _)) = context.left else { return };
        if let Some(request) = id.and_then(|id| self.requests.get_mut(id)) {
            request.waited(Span { start_ns: left_ns, end_ns: at_ns }, None, &stack);
        }
    }

    /// A step begins of a context that was left at `left_ns`, and ready from then on. If another request's step made it
    /// so, it waited for that: for a lock, a place in a queue or a connection.
    pub(super) fn was_ready(&mut self, id: RequestId, at_ns: u64, tid: u32, ready: Ready, left_ns: u64) {
        self.claim_ready(id, tid, ready.at_ns, at_ns, Rank::Loop);
        if let (true, Some(request)) = (ready.by.is_some_and(|by| by != id), self.requests.get_mut(id)) {
            request.claim(left_ns, ready.at_ns, Rank::Pool);
        }
    }

    /// A thread of a pool takes up what a request's last step handed over. What the request waited for before that step,
    /// if for nothing else, was its turn, as long as the thread worked for others: anyio's limiter lets as many work.
    pub(super) fn claim_turn(&mut self, id: RequestId, tid: u32) {
        let (Some(thread), Some(request)) = (self.threads.get(&tid), self.requests.get_mut(id)) else {
            return;
        };
        let Some(idle) = request.idle else { return };
        if let Some(since_ns) = thread.works_for_others_since(id, idle.start_ns, idle.end_ns) {
            request.claim(since_ns, idle.end_ns, Rank::HandOver);
        }
    }

    pub(super) fn first_run(&mut self, id: RequestId, at_ns: u64, tid: u32, copied_ns: u64, by_tid: u32) {
        let Some(thread) = self.threads.get(&tid) else { return };
        if tid != by_tid {
            // A thread of a pool, or that of the loop which a pool's thread tells its result.
            let rank = if thread.last_epoll.is_some() { Rank::Loop } else { Rank::Executor };
            self.claim_ready(id, tid, copied_ns, at_ns, rank);
            return;
        }
        match thread.last_epoll {
            // The loop went to sleep in between: what runs now may be a timer, if one is due by now.
            Some(epoll) if epoll.out_ns >= copied_ns => {
                let timer = epoll.timer(copied_ns, at_ns);
                let request = self.requests.get(id);
                let is_connected = request
                    .and_then(|request| request.connected_ns)
                    .is_some_and(|at_ns| at_ns >= timer.due_ns);
                // What runs after the loop has read for the request, runs for that.
                let read_ns = request.and_then(|request| request.calls.last()?.last_read_ns);
                let has_read = read_ns.is_some_and(|at_ns| at_ns >= epoll.wake_ns);
                // Timers run first. What runs after a step of the request may be what that had done, as a task's callbacks are.
                let last = request.and_then(|request| request.last_step_end.as_ref());
                let has_run = last.is_some_and(|last| last.at_ns >= epoll.wake_ns);
                let frame = self.threads.get_mut(&tid).and_then(|thread| thread.frames.last_mut());
                let Some(frame) = frame else { return };
                frame.put_off_ns = Some(copied_ns);
                if epoll.has_timer_due(at_ns) && !is_connected && !has_read {
                    let rank = if has_run { Rank::MaybeSleep } else { Rank::Sleep };
                    frame.timer = Some(Timer { rank, ..timer });
                }
            }
            _ => self.claim_ready(id, tid, copied_ns, at_ns, Rank::Loop),
        }
    }

    /// A step of a request begins, which was not ready before `ready_ns`.
    pub(super) fn step_began(&mut self, id: RequestId, at_ns: u64, tid: u32, ready_ns: u64) {
        let Some(thread) = self.threads.get(&tid) else { return };
        let Some(request) = self.requests.get_mut(id) else { return };
        let Some(last) = request.last_step_end.take() else { return };
        request.idle = Some(Span { start_ns: last.at_ns, end_ns: at_ns });
        if thread.last_epoll.is_none() && last.tid != tid {
            // A pool thread took it up: that wait is known by the copy of the context.
            return;
        }
        let (since_ns, rank) = match thread.last_epoll {
            Some(epoll) if epoll.out_ns >= last.at_ns => (epoll.wake_ns, Rank::BusyLoop),
            _ if last.made_ready => (last.at_ns, Rank::Loop),
            _ => (last.at_ns, Rank::BusyLoop),
        };
        self.claim_ready(id, tid, since_ns.max(ready_ns), at_ns, rank);
    }

    /// The step that just began is the end of a sleep, whatever else woke the loop.
    pub(super) fn sleep_ended(&mut self, at_ns: u64, tid: u32) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let (Some(frame), Some(epoll)) = (thread.frames.last_mut(), thread.last_epoll) else { return };
        if let Some(set_ns) = frame.put_off_ns {
            frame.timer = Some(epoll.timer(set_ns, at_ns));
        }
    }

    /// A step that may have been a timer is over, and read nothing that was there before it began: it was one.
    pub(super) fn timer_ran(&mut self, id: RequestId, tid: u32, frame: &Frame) {
        let Some(Timer { set_ns, due_ns, rank }) = frame.timer else { return };
        if let Some(request) = self.requests.get_mut(id) {
            request.claim(set_ns, due_ns, rank);
        }
        if rank == Rank::Sleep {
            self.claim_ready(id, tid, due_ns, frame.start_ns, Rank::Loop);
        }
    }
}
