//! The request that a thread works for, at each instant.

use crate::{
    event::Unknown,
    model::{Model, context::Context, process::KnownProcess},
    report::bucket::Bucket,
    request::{RequestId, call::Span, open::Worker},
};

/// Why nothing of a process is known but its requests.
const GREENLETS: &str = "it serves several requests by turns without contexts, as greenlets before greenlet 2.0 do, so \
                         whose work it does can't be seen: install greenlet 2.0 or newer";
const TOO_FAST: &str = "its event loop takes so many steps that following them would cost it more than a tenth of its CPU \
                        time, so they are no longer followed: give a loop more to do in each step";

impl Model {
    /// The request that a thread works for: that of its innermost context, or its own; where there is none,
    /// the request a parent process worked for, or the run of its process.
    pub(super) fn works_for(&self, tgid: u32, tid: u32) -> Option<RequestId> {
        self.owner(tgid, tid).or_else(|| self.process_works_for(tgid))
    }

    /// What holds for whatever of a process does not work for a request of its own.
    pub(super) fn process_works_for(&self, tgid: u32) -> Option<RequestId> {
        let process = self.processes.get(&tgid)?;
        self.inherited(tgid).filter(|_| process.facts.is_some()).or(process.run)
    }

    /// The request that a step of this context works for, unless it adopts another.
    pub(super) fn context_works_for(&self, context: &Context) -> Option<RequestId> {
        context.owner.or_else(|| self.served_on(context.serves?))
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
            self.hide_all(tgid, GREENLETS);
        }
        self.thread(tgid, tid).juggles
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
        self.hide_all(tgid, TOO_FAST);
    }

    /// From here on threads of this process give nothing but when requests come and are answered.
    fn hide_all(&mut self, tgid: u32, reason: &str) {
        let hidden = |bucket: &Bucket| !matches!(bucket, Bucket::Client | Bucket::Unattributed);
        let buckets: Vec<Bucket> = Bucket::ALL.into_iter().filter(hidden).collect();
        self.hide(tgid, &buckets, reason);
    }

    /// Where there is nothing of these buckets in a request of this process, it is not known whether there was.
    pub(super) fn hide(&mut self, tgid: u32, buckets: &[Bucket], reason: &str) {
        let Some(KnownProcess { facts, .. }) = self.facts.get_mut(&tgid) else { return };
        let hidden = buckets
            .iter()
            .filter(|bucket| !facts.unknown.iter().any(|unknown| unknown.bucket == bucket.name()));
        let unknown =
            hidden.map(|bucket| Unknown { bucket: bucket.name().to_owned(), reason: reason.to_owned() });
        facts.unknown.extend(unknown.collect::<Vec<_>>());
    }
}
