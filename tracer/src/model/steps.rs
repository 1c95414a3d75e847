//! Steps of contexts on threads, and the request that each works for.

use crate::{
    event::{ConnectionId, Unknown},
    model::{
        Model,
        context::Ready,
        process::KnownProcess,
        thread::{Frame, Timer},
    },
    report::bucket::Bucket,
    request::{
        Rank, RequestId,
        call::Span,
        open::{StepEnd, Worker},
    },
};

/// Why nothing of a process is known but its requests.
const GREENLETS: &str = "it serves several requests by turns without contexts, as greenlets before greenlet 2.0 do, so \
                         whose work it does can't be seen: install greenlet 2.0 or newer";
const TOO_FAST: &str = "its event loop takes so many steps that following them would cost it more than a tenth of its CPU \
                        time, so they are no longer followed: give a loop more to do in each step";

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
        let context = self.process(tgid).contexts.run(address);
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
            let ready_ns = context.ready.map_or(0, |ready| ready.at_ns);
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

    /// The running step sets the result that another one waits for.
    pub(super) fn context_ready(&mut self, at_ns: u64, tgid: u32, tid: u32, address: u64) {
        self.is_on_cpu(at_ns, tgid, tid);
        let by = self.owner(tgid, tid);
        self.process(tgid).contexts.made_ready(address, Ready { at_ns, by });
    }

    /// A step begins of a context that was left at `left_ns`, and ready from then on. If another request's step made it
    /// so, it waited for that: for a lock, a place in a queue or a connection.
    fn was_ready(&mut self, id: RequestId, at_ns: u64, tid: u32, ready: Ready, left_ns: u64) {
        self.claim_ready(id, tid, ready.at_ns, at_ns, Rank::Loop);
        if let (true, Some(request)) = (ready.by.is_some_and(|by| by != id), self.requests.get_mut(id)) {
            request.claim(left_ns, ready.at_ns, Rank::Pool);
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

    /// The request that a thread works for: that of its innermost context, or its own; where there is none,
    /// the request a parent process worked for, or the run of its process.
    pub(super) fn works_for(&self, tgid: u32, tid: u32) -> Option<RequestId> {
        let owner = self.owner(tgid, tid);
        owner.or_else(|| {
            let process = self.processes.get(&tgid)?;
            self.inherited(tgid).filter(|_| process.facts.is_some()).or(process.run)
        })
    }

    /// As [`Self::works_for`], also of a program that runs no Python, or is not yet known to: its CPU time is nobody's
    /// Python, but its calls, and the processes that it starts, are for the request that started it.
    pub(super) fn acts_for(&self, tgid: u32, tid: u32) -> Option<RequestId> {
        self.works_for(tgid, tid).or_else(|| self.inherited(tgid))
    }

    /// The request that a parent process worked for when it started this one, until that is answered.
    fn inherited(&self, tgid: u32) -> Option<RequestId> {
        let (id, _) = self.processes.get(&tgid)?.inherited?;
        self.requests.is_open(id).then_some(id)
    }

    /// As [`Self::works_for`], without what holds for the whole process: what a copied context inherits.
    pub(super) fn owner(&self, tgid: u32, tid: u32) -> Option<RequestId> {
        let thread = self.threads.get(&tid).filter(|thread| thread.tgid == tgid)?;
        match thread.frames.last() {
            Some(frame) => frame.request,
            None => thread.request,
        }
    }

    /// From here on the running step works for this request: it read what a connection brought for it.
    pub(super) fn adopt(&mut self, id: RequestId, at_ns: u64, tgid: u32, tid: u32) {
        let before = self.owner(tgid, tid);
        if before == Some(id) {
            return;
        }
        if self.thread(tgid, tid).frames.is_empty() {
            self.unbind_thread(at_ns, tid);
            if self.juggles(before, tgid, tid) {
                return;
            }
            let thread = self.thread(tgid, tid);
            thread.request = Some(id);
            thread.bound_ns = at_ns;
            thread.is_started_by_request = false;
            thread.works_from_queue = false;
            thread.until_step_ends = thread.enters_contexts && thread.last_epoll.is_some();
        } else if let Some(frame) = self.thread(tgid, tid).frames.last_mut() {
            // The time of this step that is not yet claimed goes to the new request as well: the step was
            // begun for it.
            frame.request = Some(id);
            frame.adopted = true;
            // What was put off was so for the request that owns the context.
            frame.put_off_ns = None;
            frame.timer = None;
            frame.takes_work = false;
        }
        self.thread(tgid, tid).owned_by(Some(id), at_ns);
    }

    /// Whether a thread turns from `before` to another request while that is not answered, as greenlets do. An event
    /// loop that runs its steps in contexts may, between them; and a thread of a pool, which is no loop, where the end
    /// of an answer was not seen.
    fn juggles(&mut self, before: Option<RequestId>, tgid: u32, tid: u32) -> bool {
        let is_open = before.is_some_and(|before| self.requests.is_open(before));
        let thread = self.thread(tgid, tid);
        let is_loop = tid == tgid || thread.last_epoll.is_some();
        if is_open && is_loop && !thread.enters_contexts && !thread.juggles {
            thread.juggles = true;
            self.hide(tgid, GREENLETS);
        }
        self.thread(tgid, tid).juggles
    }

    /// From here on nothing shows whose steps a process takes.
    pub(super) fn unfollowed(&mut self, at_ns: u64, tgid: u32) {
        let own = self.threads.iter().filter(|(_, thread)| thread.tgid == tgid);
        let tids: Vec<u32> = own.map(|(tid, _)| *tid).collect();
        for tid in tids {
            self.unbind_thread(at_ns, tid);
            let thread = self.thread(tgid, tid);
            thread.frames.clear();
            thread.aside.clear();
            thread.juggles = true;
        }
        for id in self.requests.open_of(tgid) {
            if let Some(request) = self.requests.get_mut(id) {
                request.complete = false;
            }
        }
        self.process(tgid).is_unfollowed = true;
        self.hide(tgid, TOO_FAST);
    }

    /// From here on threads of this process give nothing but when requests come and are answered.
    fn hide(&mut self, tgid: u32, reason: &str) {
        let Some(KnownProcess { facts, .. }) = self.facts.get_mut(&tgid) else { return };
        let hidden = Bucket::ALL
            .iter()
            .filter(|bucket| !matches!(bucket, Bucket::Client | Bucket::Unattributed))
            .filter(|bucket| !facts.unknown.iter().any(|unknown| unknown.bucket == bucket.name()));
        let unknown =
            hidden.map(|bucket| Unknown { bucket: bucket.name().to_owned(), reason: reason.to_owned() });
        facts.unknown.extend(unknown.collect::<Vec<_>>());
    }

    /// Ends the thread's work for its request outside of any context.
    pub(super) fn unbind_thread(&mut self, at_ns: u64, tid: u32) {
        self.flush(at_ns, tid);
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        // A pool thread that waits for work of anybody's was done when it first did.
        let at_ns = thread.idle_since_ns.take().unwrap_or(at_ns);
        thread.works_from_queue = false;
        thread.until_step_ends = false;
        let (bound_ns, Some(id)) = (thread.bound_ns, thread.request.take()) else { return };
        self.stepped(id, Worker::Thread(tid), tid, Span { start_ns: bound_ns, end_ns: at_ns });
    }

    /// Who works on this thread, for the numbering of contexts within a request.
    pub(super) fn worker(&self, tid: u32) -> Worker {
        let frame = self.threads.get(&tid).and_then(|thread| thread.frames.last());
        frame.map_or(Worker::Thread(tid), |frame| Worker::Context(frame.generation))
    }

    fn first_run(&mut self, id: RequestId, at_ns: u64, tid: u32, copied_ns: u64, by_tid: u32) {
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
                let due_ns = epoll.timer_due_ns(at_ns);
                let request = self.requests.get(id);
                let is_connected =
                    request.and_then(|request| request.connected_ns).is_some_and(|at_ns| at_ns >= due_ns);
                // What runs after the loop has read for the request, runs for that.
                let read_ns = request.and_then(|request| request.calls.last()?.last_read_ns);
                let has_read = read_ns.is_some_and(|at_ns| at_ns >= epoll.wake_ns);
                let frame = self.threads.get_mut(&tid).and_then(|thread| thread.frames.last_mut());
                let Some(frame) = frame else { return };
                frame.put_off_ns = Some(copied_ns);
                if epoll.has_timer_due(at_ns) && !is_connected && !has_read {
                    frame.timer = Some(Timer { set_ns: copied_ns, due_ns });
                }
            }
            _ => self.claim_ready(id, tid, copied_ns, at_ns, Rank::Loop),
        }
    }

    /// A thread of a pool takes up what a request's last step handed over. What the request waited for before that step,
    /// if for nothing else, was its turn, as long as the thread worked for others: anyio's limiter lets as many work.
    fn claim_turn(&mut self, id: RequestId, tid: u32) {
        let (Some(thread), Some(request)) = (self.threads.get(&tid), self.requests.get_mut(id)) else {
            return;
        };
        let Some(idle) = request.idle else { return };
        if let Some(since_ns) = thread.works_for_others_since(id, idle.start_ns, idle.end_ns) {
            request.claim(since_ns, idle.end_ns, Rank::HandOver);
        }
    }

    /// The step that just began is the end of a sleep, whatever else woke the loop.
    pub(super) fn sleep_ended(&mut self, at_ns: u64, tid: u32) {
        let Some(thread) = self.threads.get_mut(&tid) else { return };
        let (Some(frame), Some(epoll)) = (thread.frames.last_mut(), thread.last_epoll) else { return };
        if let Some(set_ns) = frame.put_off_ns {
            frame.timer = Some(Timer { set_ns, due_ns: epoll.timer_due_ns(at_ns) });
        }
    }

    /// A step that may have been a timer is over, and read nothing that was there before it began: it was one.
    pub(super) fn timer_ran(&mut self, id: RequestId, tid: u32, frame: &Frame) {
        let Some(Timer { set_ns, due_ns }) = frame.timer else { return };
        if let Some(request) = self.requests.get_mut(id) {
            request.claim(set_ns, due_ns, Rank::Sleep);
        }
        self.claim_ready(id, tid, due_ns, frame.start_ns, Rank::Loop);
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
