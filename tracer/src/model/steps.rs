//! Steps of contexts on threads.

use crate::{
    event::ConnectionId,
    model::{Model, thread::Frame},
    request::{
        Rank, RequestId,
        call::Span,
        open::{StepEnd, Worker},
    },
};

impl Model {
    pub(super) fn context_entered(&mut self, at_ns: u64, tgid: u32, tid: u32, address: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        if self.thread(tgid, tid).frames.iter().any(|frame| frame.address == address) {
            // CPython refuses to enter a context that is entered already, and the exit is not reached
            // (Python/context.c, PyContext_Enter).
            return;
        }
        let thread = self.thread(tgid, tid);
        let is_new = match thread.frames.last_mut() {
            Some(frame) => std::mem::take(&mut frame.is_new),
            None => std::mem::take(&mut thread.is_new),
        };
        if is_new && self.process(tgid).runs_threads_in_contexts() {
            return;
        }
        self.thread(tgid, tid).enters_contexts = true;
        self.step_into(at_ns, tgid, tid, address, false);
    }

    /// A thread takes a step of a context, or of a greenlet, which is new.
    pub(super) fn step_into(&mut self, at_ns: u64, tgid: u32, tid: u32, address: u64, is_greenlet: bool) {
        self.flush(at_ns, tid);
        let around = self.owner(tgid, tid);
        let mut context = self.process(tgid).contexts.run(address);
        if context.owner.is_some_and(|id| context.may_work_for_others(self.requests.is_open(id))) {
            self.process(tgid).contexts.disown(address);
            context.owner = None;
        }
        let thread = self.thread(tgid, tid);
        let is_lent = thread.frames.is_empty() && thread.until_step_ends;
        let request = match (context.owner, context.serves) {
            _ if is_lent => around,
            (Some(owner), _) => Some(owner),
            (None, Some(connection)) => self.served_on(connection).or(around),
            (None, None) => around,
        };
        let frame = Frame {
            address,
            generation: context.generation,
            request,
            serves: context.serves,
            start_ns: at_ns,
            adopted: is_lent,
            put_off_ns: None,
            timer: None,
            takes_work: is_greenlet,
            is_new: is_greenlet,
        };
        self.thread(tgid, tid).frames.push(frame);
        self.thread(tgid, tid).owned_by(request, at_ns);
        let Some(id) = request else { return };
        if let (false, Some((copied_ns, by_tid))) = (context.has_run, context.copied) {
            self.first_run(id, at_ns, tid, copied_ns, by_tid);
        }
        // As anyio does, which runs a context on the loop's thread before it gives it to another one.
        if let Some((left_ns, _)) = context.left.filter(|(_, by_tid)| *by_tid != tid) {
            self.claim_ready(id, tid, left_ns, at_ns, Rank::HandOver);
            self.claim_turn(id, tid);
        }
        if let (Some(ready), Some((left_ns, _))) = (context.ready, context.left) {
            self.was_ready(id, at_ns, tid, ready, left_ns);
        }
        if around != Some(id) {
            // What the loop did for the request itself before that is its time, too.
            let by_another = context.ready.filter(|ready| ready.by.is_some_and(|by| by != id));
            let ready_ns = by_another.map_or(0, |ready| ready.at_ns);
            self.step_began(id, at_ns, tid, ready_ns);
        }
    }

    pub(super) fn context_exited(&mut self, at_ns: u64, tgid: u32, tid: u32, address: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        self.flush(at_ns, tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        // An exit that was not seen leaves its frame behind: leave all up to the one that is named.
        let frame = loop {
            match thread.frames.pop() {
                Some(frame) if address == 0 || frame.address == address => break Some(frame),
                Some(_) => {}
                None => break None,
            }
        };
        if let Some(frame) = frame {
            self.step_left(at_ns, tgid, tid, &frame);
        }
    }

    /// The thread runs in this context, or in one that it did not enter: whatever it entered besides it has left.
    pub(super) fn context_is(&mut self, at_ns: u64, tgid: u32, tid: u32, address: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        self.flush(at_ns, tid);
        while let Some(thread) = self.threads.get_mut(&tid) {
            let greenlet = thread.greenlet;
            let is_left = |frame: &mut Frame| frame.address != address && frame.address != greenlet;
            let Some(frame) = thread.frames.pop_if(is_left) else { break };
            self.step_left(at_ns, tgid, tid, &frame);
        }
    }

    /// A step is over, whose frame was taken off.
    pub(super) fn step_left(&mut self, at_ns: u64, tgid: u32, tid: u32, frame: &Frame) {
        self.process(tgid).contexts.left(frame.address, at_ns, tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        if thread.frames.is_empty() && thread.until_step_ends {
            self.unbind_thread(at_ns, tid);
        }
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let around = thread.frames.last().map_or(thread.request, |around| around.request);
        thread.owned_by(around, at_ns);
        if let Some(id) = frame.request {
            self.timer_ran(id, tid, frame);
            self.step_ended(id, at_ns, tid, frame);
        }
    }

    pub(super) fn context_copied(&mut self, at_ns: u64, tgid: u32, tid: u32, address: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        let makes_worker = std::mem::take(&mut self.thread(tgid, tid).makes_worker);
        let owner = self.owner(tgid, tid).filter(|_| !makes_worker);
        // What a request has made is its own, also when the connection goes on to the next one.
        let frame = self.thread(tgid, tid).frames.last();
        let serves = frame.and_then(|frame| frame.serves).filter(|_| owner.is_none() && !makes_worker);
        self.process(tgid).contexts.copied(address, owner, serves, at_ns, tid);
        let thread = self.thread(tgid, tid);
        thread.aside.remove(&address);
        if thread.is_started_by_request && thread.frames.is_empty() {
            // A pool's thread hands its result to a loop like this, and may go on with what another request
            // queued: whom it works for from here on can't be seen.
            self.unbind_thread(at_ns, tid);
        }
    }

    /// A step accepts a connection: what it copies from here on is for that.
    pub(super) fn accepted(&mut self, tgid: u32, tid: u32, connection: ConnectionId) {
        if let Some(frame) = self.thread(tgid, tid).frames.last_mut() {
            frame.serves = Some(connection);
        }
    }

    pub(super) fn context_ended(&mut self, tgid: u32, tid: u32, address: u64) {
        self.process(tgid).contexts.ended(address);
        self.thread(tgid, tid).aside.remove(&address);
    }

    /// Who works on this thread, for the numbering of contexts within a request.
    pub(super) fn worker(&self, tid: u32) -> Worker {
        let frame = self.threads.get(&tid).and_then(|thread| thread.frames.last());
        frame.map_or(Worker::Thread(tid), |frame| Worker::Context(frame.generation))
    }

    fn step_ended(&mut self, id: RequestId, at_ns: u64, tid: u32, frame: &Frame) {
        let around = self.threads.get(&tid).and_then(|thread| self.owner(thread.tgid, tid));
        let is_pool = self.threads.get(&tid).is_some_and(|thread| thread.last_epoll.is_none());
        let span = Span { start_ns: frame.start_ns, end_ns: at_ns };
        self.stepped(id, Worker::Context(frame.generation), tid, span);
        let Some(request) = self.requests.get_mut(id) else { return };
        if around != Some(id) {
            request.last_step_end = Some(StepEnd { at_ns, tid, made_ready: frame.adopted || is_pool });
        }
    }
}
